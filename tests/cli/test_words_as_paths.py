"""Words that are looked at as paths, and files that are not ota's: an answer for each, never harm."""

import os
import stat

import pytest

pytestmark = pytest.mark.edge

LONG = "a" * 300
SAY = "version: 1\nproject: {name: s}\ntasks: {say: {run: 'echo said $OTA_INPUT_TEXT', inputs: {text: {}}}}\n"
HERE = "version: 1\nproject: {name: shop}\ntasks: {deploy: {run: 'echo deployed'}}\n"


def fifo(path):
    os.mkfifo(path)


def write_protected(path):
    path.write_bytes(b"mine")
    path.chmod(0o444)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (fifo, "a named pipe"),
        (os.mkdir, "a directory"),
        (write_protected, "write-protected"),
        (lambda path: path.symlink_to(path.name), "go round in circles"),
    ],
)
def test_the_schema_replaces_nothing_that_is_no_file_of_the_user(project, make, told):
    repo = project({})
    target = repo.path / "x"
    make(target)
    before = target.lstat()
    done = repo.run("schema", "--output", "x")
    assert (done.code, "Wrote" in done.err) == (1, False)
    assert told in done.err
    after = target.lstat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)


def test_the_schema_goes_through_a_link_and_keeps_the_mode(project):
    repo = project({"real/schema.json": "{}"})
    (repo.path / "real/schema.json").chmod(0o640)
    (repo.path / "x").symlink_to("real/schema.json")
    (repo.path / "to-be").symlink_to("real/new.json")
    assert repo.run("schema", "--output", "x").code == 0
    assert repo.run("schema", "--output", "to-be").code == 0
    assert (repo.path / "x").is_symlink()
    assert "$schema" in (repo.path / "real/schema.json").read_text()
    assert "$schema" in (repo.path / "real/new.json").read_text()
    assert stat.S_IMODE((repo.path / "real/schema.json").stat().st_mode) == 0o640


def test_a_word_too_long_for_a_path_is_the_value_of_an_input(project):
    repo = project({"ota.yaml": SAY})
    done = repo.run("run", "say", LONG)
    assert done.code == 0
    assert f"said {LONG}" in done.out + done.err


@pytest.mark.parametrize("command", ["validate", "doctor", "clean", "up --stop"])
@pytest.mark.parametrize("form", ["path", "file"])
def test_a_name_longer_than_any_can_be_is_no_bug(project, command, form):
    repo = project({"ota.yaml": HERE})
    done = repo.run(*command.split(), *(["--file"] if form == "file" else []), LONG)
    assert "OTA_BUG" not in done.err
    assert LONG in done.out + done.err


@pytest.mark.parametrize(
    "line",
    [
        ("--file=", "run", "deploy"),
        ("--file", "", "run", "deploy"),
        ("run", "deploy", "--file", ""),
        ("run", ""),
        ("run", "deploy", ""),
        ("validate", ""),
        ("tasks", "--workflow="),
        ("run", "deploy", "--member", ""),
    ],
)
def test_what_is_given_empty_is_a_mistake_and_nothing_else_runs(project, line):
    done = project({"ota.yaml": HERE}).run(*line)
    assert done.code == 2
    assert "deployed" not in done.out + done.err


@pytest.mark.parametrize("target", ["not-there.yaml", "ota.yaml"])
@pytest.mark.parametrize(
    "line", [("run", "deploy"), ("doctor",), ("validate", "."), ("validate", "--file", "ota.yaml")]
)
def test_a_contract_that_is_a_link_to_nothing_is_not_passed_over(project, target, line):
    repo = project({"ota.yaml": HERE, "inner/keep": ""})
    (repo.path / "inner/ota.yaml").symlink_to(target)
    done = repo.run(*line, cwd="inner")
    assert done.code == 1
    assert f"it is a symbolic link to {target}, which leads nowhere" in done.out + done.err
    assert "deployed" not in done.out + done.err


@pytest.mark.parametrize("make", [fifo, os.mkdir])
def test_ignore_rules_that_cannot_be_added_are_a_failure_that_names_the_file(project, make, assert_schema):
    repo = project({"ota.yaml": HERE, ".git/HEAD": "ref: refs/heads/main\n"})
    make(repo.path / ".gitignore")
    done = repo.run("doctor", "--fix", "--json")
    assert (done.code, done.json["ok"]) == (1, False)
    assert done.json["fix"]["errors"][0].startswith(".gitignore: it is a ")
    assert_schema(done.json, "doctor")
