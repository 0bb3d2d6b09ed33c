"""Bad terminals, absent readers, narrow screens, poor encodings: the command stays calm."""

import re
import subprocess

import pexpect
import pytest

from ota.cli import main
from ota.cli.catalogue import COMMANDS
from support.project import OTA

pytestmark = pytest.mark.edge

MANY = "version: 1\nproject: {name: shop}\ntasks:\n" + "".join(
    f"  task-{number}: {{run: 'true', description: 'says otter 🦦 to everybody'}}\n" for number in range(2000)
)
LISTINGS = ("validate", "tasks", "workflows", "services", "env", "execution plan", "execution topology")


def shell(repo, text, **env):
    ota = " ".join(OTA)
    return subprocess.run(
        ["bash", "-c", text.replace("ota", ota)],
        cwd=repo.path,
        env={**repo.environment(), **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_reader_that_leaves_early_is_no_error_to_talk_about(project):
    done = shell(project({"ota.yaml": MANY}), "set -o pipefail; ota tasks | head -1; echo ${PIPESTATUS[1]}")
    assert done.stdout.splitlines()[0].startswith("TASKS")
    assert done.stderr == ""


def test_a_closed_standard_output(shop):
    done = shell(shop, "ota tasks >&-; echo $?; ota --version >&-; echo $?; ota tasks --json >&-; echo $?")
    assert (done.stdout, done.stderr) == ("0\n0\n0\n", "")


def test_a_closed_standard_error(project):
    repo = project({"ota.yaml": "version: 1\n"})
    done = shell(repo, "ota validate 2>&-; echo $?; ota nope 2>&-; echo $?")
    assert done.stdout == "1\n2\n"


@pytest.mark.parametrize("command", ["tasks", "tasks --json", "--version", "schema"])
def test_a_full_disk_behind_standard_output_is_said(project, command):
    done = shell(project({"ota.yaml": MANY}), f"ota {command} >/dev/full")
    assert done.returncode == 1
    assert done.stderr == "error: the output could not be written: No space left on device\n"


def test_a_report_of_up_that_a_full_disk_swallowed_is_no_success(project):
    text = "version: 1\nproject: {name: shop}\ntasks: {go: {run: 'true'}}\n"
    repo = project({"ota.yaml": text + "workflows: {default: work, work: {setup: {task: go}}}\n"})
    done = shell(repo, "ota up >/dev/full")
    assert done.returncode == 1
    assert done.stderr.endswith("error: the output could not be written: No space left on device\n")


@pytest.mark.parametrize("command", LISTINGS)
@pytest.mark.parametrize(
    "env",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0"}],
    ids=["ascii", "C"],
)
def test_an_encoding_without_otters(shop, command, env):
    done = shop.run(*command.split(), env=env)
    assert (done.code, done.err) == (0, "")
    usual = shop.run(*command.split())
    assert done.out.splitlines()[0] == usual.out.splitlines()[0]


def test_json_is_utf_8_whatever_the_locale_says(project):
    text = "version: 1\nproject: {name: shop}\ntasks: {a: {run: 'true', description: 'otter 🦦'}}\n"
    repo = project({"ota.yaml": text})
    done = repo.run("tasks", "--json", env={"PYTHONIOENCODING": "ascii"})
    assert done.out_bytes == repo.run("tasks", "--json").out_bytes
    assert done.json["tasks"][0]["description"] == "otter 🦦"


@pytest.mark.parametrize("command", [*LISTINGS, *(f"{each.name} --help" for each in COMMANDS), "--help"])
def test_a_screen_of_twenty_columns(shop, command):
    done = shop.run(*command.split(), env={"COLUMNS": "20"})
    assert (done.code, done.err) == (0, "")
    assert done.out


def test_prose_wraps_to_the_declared_width_and_commands_stay_whole(shop):
    done = shop.run("validate", env={"COLUMNS": "44"})
    prose = [each for each in done.out.splitlines() if "Code:" not in each]
    assert max(len(each) for each in prose) <= 44
    # off a terminal lines are whole, for grep and for programs
    assert max(map(len, shop.run("validate").out.splitlines())) > 80


def test_help_fits_the_width(project):
    for width in (60, 80, 100):
        done = project({}).run("run", "--help", env={"COLUMNS": str(width)})
        assert max(map(len, done.out.splitlines())) <= width


def on_terminal(repo, *args, **env):
    child = pexpect.spawn(
        OTA[0],
        [*OTA[1:], *args],
        cwd=str(repo.path),
        env={**repo.environment(), "TERM": "xterm", **env},
        encoding="utf-8",
        dimensions=(24, 100),
        timeout=30,
    )
    child.expect(pexpect.EOF)
    child.close()
    return child


def test_a_terminal_gets_icons_and_colours(shop):
    child = on_terminal(shop, "validate")
    assert "🦦 VALIDATE ./ota.yaml" in child.before
    assert "✓ VALID" in child.before
    assert "\x1b[" in child.before
    assert "🦦 v" in on_terminal(shop, "--version").before


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_can_be_declined(shop, env):
    assert "\x1b[" not in on_terminal(shop, "validate", **env).before


def test_plain_is_ascii_on_a_terminal_too(shop):
    lines = "--plain validate", "tasks --plain", "--version --plain", "--plain --help", "run --help --plain"
    for args in map(str.split, lines):
        seen = on_terminal(shop, *args).before
        assert seen.isascii()
        assert "\x1b" not in seen


def test_rich_and_plain_text_say_the_same(shop):
    rich = re.sub(r"\x1b\[[0-9;]*m", "", on_terminal(shop, "services").before).replace("\r\n", "\n")
    for icon, plain in (("🦦 ", ""), ("✦", "-"), ("  »", "  -")):
        rich = rich.replace(icon, plain)
    assert rich == shop.run("services").out


def test_ctrl_c_ends_quietly_with_130(monkeypatch, capsys):
    def interrupted(_tokens):
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "_main", interrupted)
    assert main.main(["tasks"]) == 130
    assert capsys.readouterr() == ("", "")
