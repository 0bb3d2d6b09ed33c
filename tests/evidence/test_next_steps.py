"""What to do next stays what can be typed, also where a list of it is one text."""

import pytest

pytestmark = pytest.mark.edge

CONTRACT = """
version: 1
project: {name: x}
checks: [{name: c, kind: health, severity: error, run: 'echo no; exit 1'}]
tasks: {setup: {run: 'true'}}
workflows: {default: app, app: {setup: {task: setup}}}
"""


@pytest.mark.parametrize("words", [("up",), ("receipt",)])
def test_a_command_in_a_next_step_is_the_command(project, words):
    document = project({"ota.yaml": CONTRACT}).run(*words, "--json").json
    receipt = document["receipt"]
    assert receipt["next_steps"] == [
        f"run `echo no; exit 1` by hand, mend what it says, then rerun `ota {words[0]}`"
    ]
    assert receipt["next"] == receipt["next_steps"][0]
