"""A contract may be a stranger's: nothing in it steers the terminal of who merely looks at it."""

import pytest

from ota.cli.render.style import Style

pytestmark = pytest.mark.edge

NASTY = """version: 1
project: {name: "\\e]0;owned\\a"}
tasks:
  clear: {run: "true", description: "back\\u202espace\\x08", notes: "\\e[2Jtwo\\nlines"}
  plain: {run: "exit 3", depends_on: [clear]}
"""
LOOKS = (
    ("validate",),
    ("tasks",),
    ("tasks", "--use"),
    ("execution", "plan"),
    ("execution", "topology"),
    ("run", "plain"),
    ("run", "plain", "--dry-run"),
    ("run", "plain", "--receipt"),
    ("run", "nothing"),
)


@pytest.mark.parametrize("words", LOOKS, ids=" ".join)
def test_control_characters_of_a_contract_are_shown_not_sent(project, words):
    done = project({"ota.yaml": NASTY}).run(*words)
    shown = done.out + done.err
    assert [c for c in shown if not c.isprintable() and c not in "\n\t"] == []


@pytest.mark.parametrize("name", ["a\\nREADY", "\\e[2Jclear", "\\u2028", "--help", "-x"])
@pytest.mark.parametrize("words", [("validate",), ("tasks", "--use"), ("run", "plain")], ids=" ".join)
def test_a_name_that_cannot_be_typed_or_shown_is_refused(project, name, words):
    tasks = f'tasks: {{plain: {{run: "true"}}, "{name}": {{run: "true"}}}}\n'
    done = project({"ota.yaml": f"version: 1\nproject: {{name: p}}\n{tasks}"}).run(*words)
    assert (done.code, done.out, done.err.count("OTA_V270")) == (1, "", 1)
    assert [c for c in done.err if not c.isprintable() and c != "\n"] == []
    assert "\nREADY" not in done.err


def test_own_colours_survive_the_taming():
    style = Style(is_rich=True, has_colour=True)
    text = style.paint("ready", "success") + "\x1b[31mforged\x1b[2J"
    assert style.tamed(text) == style.paint("ready", "success") + "\\x1b[31mforged\\x1b[2J"
