"""Dependencies, hooks, conditions, and which exit code a run ends with."""

import pytest

CONTRACT = """
version: 1
project: {name: order}
checks:
  - {name: never, kind: precondition, severity: error, run: "false"}
  - {name: has-flag, kind: file, severity: error, path: flag}
tasks:
  a: {run: "echo a >> trace"}
  b: {run: "echo b >> trace", depends_on: [a]}
  c: {run: "echo c >> trace", depends_on: [a]}
  all: {run: "echo all >> trace", depends_on: [b, c, a]}
  fails: {run: "echo fails >> trace; exit 3"}
  needs-fails: {run: "echo never >> trace", depends_on: [a, fails, b]}
  ok-hook: {run: "echo ok-hook >> trace"}
  bad-hook: {run: "echo bad-hook >> trace; exit 9"}
  build: {run: "echo build >> trace; exit 7", after_failure: [bad-hook], after_always: [ok-hook]}
  good: {run: "echo good >> trace", after_success: [ok-hook], after_failure: [fails], after_always: [a]}
  hooked: {run: "true", after_success: [bad-hook]}
  skipped: {run: "echo skipped >> trace", depends_on: [a], when: {checks: [never]}}
  flagged: {run: "echo flagged >> trace", when: {checks: [has-flag]}}
  parent: {run: "echo parent >> trace", depends_on: [skipped]}
  group: {aggregate: {tasks: [a, fails, b]}}
  signalled: {run: "kill -9 $$"}
  missing: {command: {exe: no-such-program-here}}
  plain: {command: {exe: ./data.txt}}
"""


def trace(repo) -> list[str]:
    return repo.read("trace").split() if (repo.path / "trace").exists() else []


@pytest.fixture
def repo(project):
    return project({"ota.yaml": CONTRACT, "data.txt": "no program"})


def test_dependencies_run_depth_first_in_declared_order_each_once(repo):
    assert repo.run("run", "all").code == 0
    assert trace(repo) == ["a", "b", "c", "all"]


def test_a_failing_dependency_stops_the_run_with_its_code(repo, assert_schema):
    result = repo.run("run", "needs-fails", "--json")
    assert result.code == 3
    assert trace(repo) == ["a", "fails"]
    assert_schema(result.json, "run")
    receipt = result.json["receipt"]
    assert receipt["failed_dependency"] == "fails"
    assert receipt["failed_task"] == "fails"
    assert [step["label"] for step in receipt["steps"]] == ["a", "fails"]


def test_a_failing_hook_never_hides_a_failed_body(repo):
    result = repo.run("run", "build")
    assert result.code == 7
    assert trace(repo) == ["build", "bad-hook", "ok-hook"]
    assert "task `build` exited with code 7" in result.err


def test_hooks_follow_success_and_run_again_after_an_earlier_generation(repo):
    assert repo.run("run", "good").code == 0
    assert trace(repo) == ["good", "ok-hook", "a"]


def test_only_a_failing_hook_gives_its_code(repo, assert_schema):
    result = repo.run("run", "hooked", "--json")
    assert result.code == 9
    assert_schema(result.json, "run")
    assert result.json["receipt"]["failure_origin"] == "hook"


def test_a_condition_that_does_not_hold_skips_task_and_dependencies(repo, assert_schema):
    result = repo.run("run", "skipped", "--json")
    assert result.code == 0
    assert trace(repo) == []
    assert_schema(result.json, "run")
    assert result.json["status"] == "skipped"


def test_a_skipped_dependency_does_not_fail_its_parent(repo):
    assert repo.run("run", "parent").code == 0
    assert trace(repo) == ["parent"]


def test_a_condition_that_holds_lets_the_task_run(repo):
    repo.write({"flag": ""})
    assert repo.run("run", "flagged").code == 0
    assert trace(repo) == ["flagged"]


def test_the_first_failing_member_is_the_result_of_an_aggregate(repo):
    assert repo.run("run", "group").code == 3
    assert trace(repo) == ["a", "fails"]


def test_death_by_a_signal_is_128_plus_its_number(repo):
    assert repo.run("run", "signalled").code == 137


def test_a_program_that_is_not_there_is_127_and_one_that_cannot_run_is_126(project):
    repo = project(
        {
            "ota.yaml": """
version: 1
project: {name: programs}
tasks:
  missing: {run: no-such-program-here}
  plain: {run: ./data.txt}
""",
            "data.txt": "no program",
        }
    )
    assert repo.run("run", "missing").code == 127
    assert repo.run("run", "plain").code == 126


def test_a_command_whose_program_is_missing_is_refused_before_it_starts(repo):
    result = repo.run("run", "missing")
    assert result.code == 127
    assert "Missing tool: no-such-program-here" in result.err


def test_skip_deps_runs_the_body_alone_and_says_so(repo):
    result = repo.run("run", "all", "--skip-deps")
    assert result.code == 0
    assert trace(repo) == ["all"]
    assert "--skip-deps used" in result.err


def test_skip_deps_without_dependencies_is_refused(repo):
    result = repo.run("run", "a", "--skip-deps")
    assert result.code == 1
    assert trace(repo) == []


@pytest.mark.edge
def test_independent_dependencies_run_side_by_side_when_asked(project):
    """Each waits for the other's file, so that both must be running at one moment."""
    body = "touch {me}.here; for i in $(seq 200); do [ -e {other}.here ] && exit 0; sleep 0.05; done; exit 1"
    repo = project(
        {
            "ota.yaml": f"""
version: 1
project: {{name: jobs}}
tasks:
  left: {{run: "{body.format(me="left", other="right")}; echo left"}}
  right: {{run: "{body.format(me="right", other="left")}; echo right"}}
  both: {{run: "echo both", depends_on: [left, right]}}
"""
        }
    )
    result = repo.run("run", "both", "--jobs", "2", "--stream")
    assert result.code == 0, result
    assert "both | both" in result.out


def test_with_jobs_every_line_carries_the_name_of_its_task(project):
    lines = "for i in 1 2 3; do echo {me}-$i; done"
    repo = project(
        {
            "ota.yaml": f"""
version: 1
project: {{name: jobs}}
tasks:
  left: {{run: "{lines.format(me="left")}"}}
  right: {{run: "{lines.format(me="right")}"}}
  both: {{run: "true", depends_on: [left, right]}}
"""
        }
    )
    result = repo.run("run", "both", "--jobs", "4", "--stream")
    assert result.code == 0
    assert sorted(result.out.splitlines()) == [
        f"{me} | {me}-{i}" for me in ("left", "right") for i in (1, 2, 3)
    ]
