"""What may stand at the cursor, asked through the protocol."""

import os

import pytest

from ota.cli.catalogue import COMMANDS
from ota.cli.completion import candidates

CONTRACT = """version: 1
project: {name: shop}
tasks:
  build: {run: "true", description: "Compile: everything"}
  "gen:api":
    run: "true"
    inputs:
      part: {allowed: [major, minor, patch], description: Which part}
      dry_run_first: {}
      mode: {allowed: [standard, quick]}
  "gen:web": {run: "true"}
  "gen:hidden": {run: "true", internal: true}
workflows:
  default: app
  app: {run: {task: build}, description: The shop}
  ship: {run: {task: "gen:api"}}
"""


@pytest.fixture
def at(tmp_path, monkeypatch):
    (tmp_path / "ota.yaml").write_text(CONTRACT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OTA_FILE", raising=False)

    def ask(*words):
        return [value for value, _ in candidates(words)]

    return ask


def test_commands_and_global_flags(at):
    assert set(at("")) == {each.name.split()[0] for each in COMMANDS} | {"help"}
    assert at("exec") == ["execution"]
    assert at("execution", "") == ["plan", "topology"]
    assert at("help", "val") == ["validate"]
    assert "--plain" in at("--")
    assert at("--plain", "va") == ["validate"]
    assert at("nonsense", "") == []


@pytest.mark.parametrize("words", [("run", ""), ("--plain", "run", ""), ("run", "--native", "")])
def test_tasks_that_are_not_internal(at, words):
    assert at(*words) == ["build", "gen:api", "gen:web"]


def test_descriptions_are_help(at):
    assert candidates(["run", "b"]) == [("build", "Compile: everything")]


def test_a_task_by_its_beginning(at):
    assert at("run", "gen:") == ["gen:api", "gen:web"]
    assert at("run", "gen:a") == ["gen:api"]
    assert at("run", "gen:h") == []


SHORTCUTS = (
    "--native",
    "--container",
    "--remote",
    "--persistent",
    "--ephemeral",
    "--log",
    "--host-port",
    "--memory",
)


@pytest.mark.proves("S000-11")
def test_shortcuts_are_ota_flags_before_the_boundary_and_do_not_open_the_inputs(at):
    offered = at("run", "gen:api", "")
    assert set(SHORTCUTS) < set(offered)
    assert {"--part", "--dry-run-first"} < set(offered)
    for flag in ("--native", "--persistent", "--log"):
        after = at("run", "gen:api", flag, "--")
        assert flag not in after
        assert "--skip-deps" in after
        assert "--part" in after
    assert at("run", "gen:api", "--host-port", "3000", "--pa") == ["--part"]


def test_behind_the_boundary_only_inputs_stand(at):
    assert at("run", "gen:api", "--", "") == ["--dry-run-first", "--mode", "--part"]
    assert at("run", "gen:api", "--part", "minor", "") == ["--dry-run-first", "--mode"]
    assert at("run", "gen:api", "--part=minor", "--") == ["--dry-run-first", "--mode"]
    assert at("run", "gen:api", "--unknown", "x", "--na") == []


def test_a_conflicting_flag_is_not_offered(at):
    after = at("run", "build", "--native", "--")
    assert "--container" not in after
    assert "--mode" not in after


def test_values(at):
    assert at("run", "gen:api", "--part", "") == ["major", "minor", "patch"]
    assert at("run", "gen:api", "--part", "m") == ["major", "minor"]
    assert at("run", "gen:api", "--part=p") == ["--part=patch"]
    assert at("run", "build", "--mode", "") == ["native", "container", "remote"]
    assert at("run", "build", "--mode=re") == ["--mode=remote"]
    assert at("run", "build", "--backend", "r") == ["remote"]
    assert at("tasks", "--workflow", "") == ["app", "ship"]
    assert at("tasks", "--via=n") == ["--via=native"]
    assert at("env", "--task", "g") == ["gen:api", "gen:web"]
    assert at("execution", "plan", "--task", "b") == ["build"]
    assert at("completion", "") == ["bash", "zsh", "fish", "check"]


def test_a_flag_that_is_also_an_input_is_the_inputs_behind_the_boundary(at):
    assert at("run", "gen:api", "--mode", "s") == []
    assert at("run", "gen:api", "--mode", "native", "--mode", "s") == ["standard"]
    assert at("run", "gen:api", "--", "--mode", "") == ["standard", "quick"]


def test_flags_are_offered_once_and_words_behind_two_dashes_are_no_flags(at):
    assert "--json" not in at("tasks", "--json", "--")
    assert at("tasks", "--", "--") == []


def test_paths(at, tmp_path):
    (tmp_path / "services" / "api").mkdir(parents=True)
    (tmp_path / "services" / "api" / "ota.yaml").write_text("")
    (tmp_path / "services" / "api" / "notes.txt").write_text("")
    assert at("validate", "") == ["ota.yaml", "services/"]
    assert at("validate", "services/") == ["services/api/"]
    assert at("tasks", "services/api/") == ["services/api/ota.yaml"]
    assert at("--file", "o") == ["ota.yaml"]
    assert at("run", "build", "ser") == ["services/"]
    assert at("validate", "nowhere/") == []


def test_the_contract_of_the_line_is_asked(at, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "ota.yaml").write_text(
        "version: 1\nproject: {name: o}\ntasks: {far: {run: 'true'}}\nworkflows: {w: {run: {task: far}}}\n"
    )
    assert at("--file", "other/ota.yaml", "run", "") == ["far"]
    assert at("tasks", "other", "--workflow", "") == ["w"]


def test_a_contract_with_a_broken_rule_still_helps(at, tmp_path):
    (tmp_path / "ota.yaml").write_text(
        "version: 1\nproject: {name: o}\ntasks: {near: {run: 'true', depends_on: [x]}}\n"
    )
    assert at("run", "") == ["near"]


@pytest.mark.parametrize("text", ["", "{", "- a\n", "version: 1\ntasks: 7\n", "\x00", "a: &a [*a]\n"])
def test_any_trouble_means_fewer_candidates(at, tmp_path, text):
    (tmp_path / "ota.yaml").write_text(text)
    assert at("run", "") == []
    assert "--native" in at("run", "build", "--")
    assert at("tasks", "--workflow", "") == []
    (tmp_path / "ota.yaml").unlink()
    assert at("run", "") == []


@pytest.mark.edge
def test_the_protocol_prints_a_candidate_a_line_with_help_behind_a_tab(project):
    repo = project({"ota.yaml": CONTRACT})
    for words in (("ota", "run", "b"), ("run", "b"), ("/opt/bin/ota", "run", "b")):
        done = repo.run("--", *words, env={"COMPLETE": "bash"})
        assert (done.code, done.out, done.err) == (0, "build\tCompile: everything\n", "")


@pytest.mark.edge
@pytest.mark.parametrize("text", ["{", "version: 1\n", None])
def test_the_protocol_is_silent_on_any_error(project, text):
    repo = project({} if text is None else {"ota.yaml": text})
    done = repo.run("--", "ota", "run", "", env={"COMPLETE": "zsh"})
    assert (done.code, done.out, done.err) == (0, "", "")


@pytest.mark.edge
def test_completing_changes_nothing(project):
    repo = project({"ota.yaml": CONTRACT})
    before = sorted(os.listdir(repo.path))
    repo.run("--", "ota", "run", "gen:api", "--part", "", env={"COMPLETE": "fish"})
    repo.run("--", "ota", "receipt", "--show", "", env={"COMPLETE": "fish"})
    assert sorted(os.listdir(repo.path)) == before


@pytest.mark.edge
def test_words_of_the_command_need_no_contract_parser(project):
    repo = project({"ota.yaml": CONTRACT})
    done = repo.run(
        "--", "ota", "run", "build", "--na", env={"COMPLETE": "bash", "PYTHONPROFILEIMPORTTIME": "1"}
    )
    assert done.out.startswith("--native")
    assert "ota.contract.parse" in done.err  # the inputs of `build` were looked up
    done = repo.run("--", "ota", "tasks", "--al", env={"COMPLETE": "bash", "PYTHONPROFILEIMPORTTIME": "1"})
    assert done.out == "--all\tInclude internal tasks\n"
    assert "ota.source" not in done.err


@pytest.mark.edge
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_registration(project, shell):
    repo = project({})
    registration = repo.run(env={"COMPLETE": shell})
    assert registration.code == 0
    assert registration.out == repo.run("completion", shell).out
    assert registration.out == repo.run("completion", shell, "--script").out
    assert "COMPLETE=" in registration.out


@pytest.mark.edge
def test_an_unknown_shell_gets_nothing(project):
    done = project({}).run(env={"COMPLETE": "tcsh"})
    assert (done.code, done.out, done.err) == (1, "", "")
