"""`internal: true` hides a task from listings and changes nothing about running it."""

import pytest

CONTRACT = """
version: 1
project: {name: visibility}
tasks:
  inner: {internal: true, run: "echo inner >> trace"}
  outer: {run: "echo outer >> trace", depends_on: [inner]}
  on-success: {run: "true", after_success: [inner]}
  on-failure: {run: "exit 4", after_failure: [inner]}
  on-both: {run: "true", after_always: [inner]}
"""


@pytest.fixture
def repo(project):
    return project({"ota.yaml": CONTRACT})


@pytest.mark.proves("S000-47")
@pytest.mark.proves("S000-48")
def test_an_internal_task_runs_as_a_dependency(repo):
    assert repo.run("run", "outer").code == 0
    assert repo.read("trace").split() == ["inner", "outer"]
    names = [task["name"] for task in repo.run("tasks", "--json").json["tasks"]]
    assert "outer" in names and "inner" not in names


@pytest.mark.proves("S000-49")
@pytest.mark.parametrize(("task", "code"), [("on-success", 0), ("on-failure", 4), ("on-both", 0)])
def test_an_internal_task_runs_as_a_hook(repo, task, code):
    assert repo.run("run", task).code == code
    assert repo.read("trace").split() == ["inner"]


@pytest.mark.proves("S000-50")
def test_an_internal_task_runs_when_named_and_says_that_it_is_internal(repo):
    result = repo.run("run", "inner")
    assert result.code == 0
    assert repo.read("trace").split() == ["inner"]
    assert "marked internal" in result.err
