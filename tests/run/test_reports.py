"""What a run tells at its end: whose output, what next, and what else went wrong."""

CONTRACT = """
version: 1
project: {name: reports}
tasks:
  lint: {run: "echo linted"}
  unit: {run: "echo tested"}
  all: {aggregate: {tasks: [lint, unit]}}
  first: {run: "echo first >> order; echo one"}
  second: {run: "echo second >> order; echo two", depends_on: [first]}
  fail: {run: "exit 7", after_failure: [bad]}
  bad: {run: "exit 9"}
  slow: {run: "sleep 0.3; echo slow >> order"}
  quick: {run: "echo quick >> order"}
  ordered: {aggregate: {tasks: [slow, quick]}}
  asks: {run: "exit 3", inputs: {name: {default: x}}}
"""


def test_off_a_terminal_every_task_that_printed_is_heard(project):
    repo = project({"ota.yaml": CONTRACT})
    told = repo.run("run", "all").err
    assert "Output of `lint`:\nlinted" in told
    assert "Output of `unit`:\ntested" in told
    told = repo.run("run", "second").err
    assert "Output of `first`:\none" in told and "Output of `second`:\ntwo" in told
    assert "Output:\nlinted" in repo.run("run", "lint").err


def test_what_to_do_next_names_the_same_repository_flags_and_inputs(project):
    repo = project({"sub/ota.yaml": CONTRACT})
    told = repo.run("run", "asks", "sub", "--native", "--name", "it's").err
    assert "ota run asks sub --mode native --name" in told or "ota run asks sub --native --name" in told
    assert "'it'\"'\"'s'" in told
    assert "`ota tasks --use sub`" in repo.run("run", "lint", "sub").err


def test_a_hook_that_fails_behind_a_failed_body_is_told_and_changes_nothing(project, assert_schema):
    repo = project({"ota.yaml": CONTRACT})
    result = repo.run("run", "fail")
    assert result.code == 7
    assert "hook `bad` ended with exit code 9 as well" in result.err
    document = repo.run("run", "fail", "--json").json
    assert_schema(document, "run")
    assert document["receipt"]["summary"]["warn_count"] == 1


def test_the_members_of_an_aggregate_stay_in_order_with_several_jobs(project):
    repo = project({"ota.yaml": CONTRACT})
    assert repo.run("run", "ordered", "--jobs", "4").code == 0
    assert repo.read("order").split() == ["slow", "quick"]
