"""Host packages and required checks: asked before a task, and clear when they are not there."""

import json
import os

import pytest

pytestmark = pytest.mark.edge


@pytest.fixture
def tools(tmp_path):
    """Scripts in front of PATH: name to body."""

    def make(scripts: dict[str, str], folder: str = "bin") -> dict[str, str]:
        place = tmp_path / folder
        place.mkdir()
        for name, body in scripts.items():
            (place / name).write_text(f"#!/bin/sh\n{body}\n")
            (place / name).chmod(0o755)
        return {"PATH": f"{place}:{os.environ['PATH']}"}

    return make


HEAD = "version: 1\nproject: {name: p}\n"


def asking(check: str, task: str = "run: 'echo ran > ran'", platform: str = "apt: [libthing-dev]") -> str:
    return HEAD + (
        f'checks: [{{name: has-lib, kind: precondition, severity: error, run: "{check}"}}]\n'
        f"native_prerequisites: {{lib: {{check: has-lib, platforms: {{linux: {{{platform}}}}}}}}}\n"
        f"tasks:\n"
        f"  before: {{run: 'echo before > before'}}\n"
        f"  t: {{{task}, depends_on: [before], requirements: {{native: [lib]}}}}\n"
    )


def test_a_missing_native_prerequisite_stops_the_task_before_its_dependencies(project):
    repo = project({"ota.yaml": asking("test -e /no/such/header")})
    result = repo.run("run", "t")
    assert result.code == 1
    assert "Missing requirements" in result.err
    assert "needs native prerequisite lib" in result.err
    assert "sudo apt-get install libthing-dev" in result.err
    assert not (repo.path / "before").exists()
    assert not (repo.path / "ran").exists()


def test_what_is_missing_is_evidence_of_the_step(project, assert_schema):
    repo = project({"ota.yaml": asking("false")})
    document = json.loads(repo.run("run", "t", "--json", "--receipt").out)
    assert_schema(document, "run")
    (step,) = document["receipt"]["steps"]
    fulfilment = step["backend_fulfillment"]
    assert fulfilment["missing"] == ["native prerequisite lib"]
    assert fulfilment["result"] == "missing_requirements"
    assert [each["code"] for each in document["findings"]] == ["OTA_NATIVE_PREREQUISITE_MISSING"]


def test_a_prerequisite_that_is_there_lets_the_task_run(project):
    repo = project({"ota.yaml": asking("true")})
    assert repo.run("run", "t").code == 0
    assert (repo.path / "ran").exists()


def test_an_optional_prerequisite_is_a_warning(project):
    contract = asking("false").replace("{lib: {check", "{lib: {required: false, check")
    result = project({"ota.yaml": contract}).run("run", "t")
    assert result.code == 0
    assert "Missing native prerequisite: lib" in result.err


@pytest.mark.parametrize(
    "body",
    [
        "run: 'printf %s \"$READY\" > ran'",
        "command: {exe: sh, args: ['-c', 'printf %s \"$READY\" > ran']}",
    ],
)
def test_an_activation_wraps_the_check_and_the_body(project, body):
    platform = "note: n, activation: {kind: command, shell: sh, run: 'echo noise; export READY=yes'}"
    repo = project({"ota.yaml": asking("test $READY = yes", body, platform)})
    assert repo.run("run", "t").code == 0
    assert repo.read("ran") == "yes"


def test_an_activation_keeps_the_path_it_sets(project):
    platform = "note: n, activation: {kind: command, shell: bash, run: 'PATH=$PWD/bin:$PATH'}"
    repo = project({"ota.yaml": asking("extra", "run: extra > ran", platform)})
    extra = repo.path / "bin" / "extra"
    extra.parent.mkdir()
    extra.write_text("#!/bin/sh\necho found\n")
    extra.chmod(0o755)
    assert repo.run("run", "t").code == 0
    assert repo.read("ran") == "found\n"


@pytest.mark.parametrize("shell", ["pwsh", "cmd"])
def test_an_activation_for_another_kind_of_shell_is_refused_before_anything_starts(project, tools, shell):
    platform = f"note: n, activation: {{kind: command, shell: {shell}, run: 'set X=1'}}"
    path = "workflows: {default: w, w: {run: {task: t}}}\n"
    repo = project({"ota.yaml": asking("touch asked", platform=platform) + path})
    env = tools({shell: "touch tried"})
    for command in (("run", "t"), ("doctor",), ("run", "t", "--dry-run")):
        result = repo.run(*command, env=env)
        assert result.code == 1, command
        told = result.out + result.err
        assert f"native prerequisite `lib` is activated on linux by shell `{shell}`" in told
        assert "native_prerequisites.lib.platforms.linux.activation" in told
    assert not [name for name in ("before", "ran", "asked", "tried") if (repo.path / name).exists()]


def test_a_failing_activation_starts_nothing(project):
    platform = "note: n, activation: {kind: command, shell: sh, run: 'exit 9'}"
    repo = project({"ota.yaml": asking("true", platform=platform)})
    result = repo.run("run", "t")
    assert result.code == 1
    assert "exited 9" in result.err
    assert not (repo.path / "ran").exists()


def test_a_component_of_a_toolchain_is_no_program_to_look_for(project, tools):
    contract = HEAD + (
        "toolchains: {rust: {version: '1', components: [clippy]}}\n"
        "tasks: {t: {run: 'true', requirements: {toolchains: [rust]}}}\n"
    )
    found = {"rustc": "echo rustc 1.80.0", "cargo": "echo cargo 1.80.0"}
    has = tools(found | {"rustup": "echo clippy-x86_64-unknown-linux-gnu"})
    lacks = tools(found | {"rustup": "echo rust-src"}, "other")
    assert project({"ota.yaml": contract}).run("run", "t", env=has).code == 0
    result = project({"ota.yaml": contract}).run("run", "t", env=lacks)
    assert result.code == 1
    assert "Missing toolchain component: clippy" in result.err


CHECKED = HEAD + (
    "checks: [{name: built, kind: file, severity: SEVERITY, path: out}]\n"
    "tasks:\n"
    "  build: {run: BUILD}\n"
    "  t: {run: 'echo ran > ran', depends_on: [build], requirements: {checks: [built]}}\n"
)


def test_a_required_check_may_be_seen_to_by_a_dependency(project):
    contract = CHECKED.replace("SEVERITY", "error").replace("BUILD", "touch out")
    assert project({"ota.yaml": contract}).run("run", "t").code == 0


def test_a_required_check_that_does_not_hold_stops_the_body(project):
    repo = project({"ota.yaml": CHECKED.replace("SEVERITY", "error").replace("BUILD", "'true'")})
    result = repo.run("run", "t")
    assert result.code == 1
    assert "Required check failed" in result.err
    assert "File check failed: built" in result.err
    assert not (repo.path / "ran").exists()


def test_a_required_check_that_only_warns_stops_nothing(project):
    repo = project({"ota.yaml": CHECKED.replace("SEVERITY", "warn").replace("BUILD", "'true'")})
    result = repo.run("run", "t")
    assert result.code == 0
    assert "File check failed: built" in result.err


PROGRAM = HEAD + (
    "tasks:\n"
    "  shell: {run: no-such-program}\n"
    "  argv: {command: {exe: no-such-program}}\n"
    "  path: {command: {exe: ./no-such-program}}\n"
    "  after: {run: 'true', depends_on: [argv]}\n"
    "  more: {command: {exe: no-such-program}, requirements: {tools: {no-other-program: '*'}}}\n"
)


@pytest.mark.parametrize("task", ["shell", "argv", "path", "after"])
def test_a_body_whose_program_is_not_there_ends_as_a_shell_has_it(project, task):
    assert project({"ota.yaml": PROGRAM}).run("run", task).code == 127


def test_other_missing_requirements_are_a_failure_of_ota(project):
    result = project({"ota.yaml": PROGRAM}).run("run", "more")
    assert result.code == 1
    assert "task `more` needs no-other-program, no-such-program" in result.err
