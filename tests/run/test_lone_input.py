"""A bare word behind the task: an existing path, or the value of the task's only input."""

import pytest

CONTRACT = """\
version: 1
project: {name: lone}
tasks:
  open:
    inputs: {url: {}}
    run: echo "url=$OTA_INPUT_URL"
  two:
    inputs: {a: {}, b: {}}
    run: "true"
"""


@pytest.mark.edge
@pytest.mark.parametrize("value", ["http://127.0.0.1:8765/", "feature/login", "notes.yaml"])
def test_a_value_may_look_like_a_path(project, value):
    result = project({"ota.yaml": CONTRACT}).run("run", "open", value)
    assert result.code == 0
    assert f"url={value}\n" in result.out + result.err


@pytest.mark.edge
def test_a_word_that_exists_is_the_path(project):
    made = project({"sub/ota.yaml": CONTRACT})
    result = made.run("run", "open", "sub")
    assert result.code == 0
    assert "url=\n" in result.out + result.err


@pytest.mark.edge
def test_a_path_that_is_missing_is_told_where_no_value_can_be_meant(project):
    result = project({"ota.yaml": CONTRACT}).run("run", "two", "nowhere/at/all")
    assert result.code == 1
    assert "contract path does not exist: nowhere/at/all" in result.err
