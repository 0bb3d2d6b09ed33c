"""A contract may be a stranger's: nothing in it steers the terminal of who merely looks at it."""

import pytest

from ota.cli.render.style import Style

pytestmark = pytest.mark.edge

NASTY = """version: 1
project: {name: "\\e]0;owned\\a"}
tasks:
  "\\e[2Jclear": {run: "true", description: "back\\u202espace\\x08"}
  "two\\nlines": {run: "true"}
  plain: {run: "exit 3", depends_on: ["\\e[2Jclear"]}
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


def test_a_name_with_a_line_break_stays_one_item(project):
    assert "- two\\nlines\n" in project({"ota.yaml": NASTY}).run("tasks").out


def test_own_colours_survive_the_taming():
    style = Style(is_rich=True, has_colour=True)
    text = style.paint("ready", "success") + "\x1b[31mforged\x1b[2J"
    assert style.tamed(text) == style.paint("ready", "success") + "\\x1b[31mforged\\x1b[2J"
