"""Every command and every way a contract can fail: which stream, which code, which words."""

import pytest

from ota.cli.catalogue import COMMANDS

pytestmark = pytest.mark.edge

BARE = "version: 1\nproject: {name: shop}\ntasks: {build: {run: 'true'}}\n"
TOO_NEW = """version: 1
project: {name: shop}
metadata: {ota: {minimum_version: 99.0.0}}
future_section: {a: 1}
tasks: {build: {run: 'true'}}
"""
SEMANTIC = "version: 1\nproject: {name: shop}\ntasks: {build: {run: 'true', depends_on: [nothing]}}\n"
BROKEN = "version: 1\nproject: {name: shop\n"

# `schema`, `version` and `completion` need no contract.
READERS = tuple(each for each in COMMANDS if each.name not in ("schema", "version", "completion"))
WITH_JSON = tuple(each for each in READERS if any(flag.name == "--json" for flag in each.flags))


def line(command):
    return [*command.name.split(), *(["build"] if command.takes_inputs else [])]


def names(commands):
    commands = tuple(commands)
    return {"argvalues": commands, "ids": [each.name for each in commands]}


@pytest.mark.proves("S000-159")
@pytest.mark.parametrize("command", **names(READERS))
def test_a_too_new_contract_is_refused_by_every_command(project, command):
    done = project({"ota.yaml": TOO_NEW}).run(*line(command))
    assert (done.code, done.out) == (1, "")
    assert "Contract could not be loaded" in done.err
    assert "99.0.0" in done.err
    assert "1.6.26" in done.err
    assert "upgrade ota" in done.err


@pytest.mark.proves("S000-159")
@pytest.mark.parametrize("command", **names(WITH_JSON))
def test_a_too_new_contract_is_one_failure_document(project, assert_schema, command):
    done = project({"ota.yaml": TOO_NEW}).run(*line(command), "--json")
    assert (done.code, done.err) == (1, "")
    assert done.json["ok"] is False
    assert "99.0.0" in done.json["error"]
    assert done.json["path"] == "./ota.yaml"
    assert_schema(done.json, "validate")


@pytest.mark.parametrize("command", **names(each for each in READERS if each.name != "doctor"))
def test_a_missing_contract(project, command):
    done = project({}).run(*line(command), cwd=".")
    assert (done.code, done.out) == (1, "")
    assert "no ota.yaml was found" in done.err
    assert "Next:" in done.err


@pytest.mark.parametrize("command", **names(READERS))
def test_yaml_that_does_not_parse(project, command):
    done = project({"ota.yaml": BROKEN}).run(*line(command))
    assert (done.code, done.out) == (1, "")
    assert "Contract could not be loaded" in done.err
    assert "./ota.yaml:" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("command", **names(READERS))
def test_a_broken_rule_names_field_place_and_what_to_type_next(project, command):
    done = project({"ota.yaml": SEMANTIC}).run(*line(command))
    assert (done.code, done.out) == (1, "")
    assert "ERROR  Invalid contract" in done.err
    assert "Field: tasks.build.depends_on[0]" in done.err
    assert "./ota.yaml:3:" in done.err
    assert "Why:" in done.err
    assert "`ota validate`" in done.err
    assert f"`ota {' '.join(line(command))}`" in done.err


@pytest.mark.parametrize("command", **names(WITH_JSON))
def test_a_broken_rule_in_json(project, assert_schema, command):
    done = project({"ota.yaml": SEMANTIC}).run(*line(command), "--json")
    assert (done.code, done.err) == (1, "")
    assert done.json["ok"] is False
    assert done.json["errors"][0].startswith("tasks.build.depends_on[0]: ")
    assert done.json["summary"]["error_count"] == 1
    assert_schema(done.json, "validate")


@pytest.mark.parametrize("command", **names(COMMANDS))
def test_an_unknown_flag_is_a_usage_error(project, command):
    # behind a task an unknown flag would be the task's, so it stands before
    done = project({"ota.yaml": BARE}).run(*command.name.split(), "--frobnicate")
    assert (done.code, done.out) == (2, "")
    assert "unexpected argument '--frobnicate'" in done.err
    assert f"Usage: ota {command.name}" in done.err


def test_an_unknown_command_is_a_usage_error(project):
    done = project({}).run("frobnicate")
    assert (done.code, done.out) == (2, "")
    assert "unrecognized subcommand 'frobnicate'" in done.err
    assert "Usage: ota " in done.err


@pytest.mark.parametrize("command", **names(COMMANDS))
def test_help_is_on_standard_output_and_good(project, command):
    done = project({}).run(*command.name.split(), "--help")
    assert (done.code, done.err) == (0, "")
    assert f"Usage: ota {command.name}" in done.out


@pytest.mark.parametrize("command", **names(READERS))
def test_a_path_that_does_not_exist(project, command):
    done = project({"ota.yaml": BARE}).run(*line(command), "./nowhere")
    assert (done.code, done.out) == (1, "")
    assert "contract path does not exist: " in done.err


def test_a_directory_is_the_boundary_of_the_search(project):
    repo = project({"ota.yaml": BARE, "sub/file": ""})
    done = repo.run("validate", "sub")
    assert done.code == 1
    assert "sub holds no ota.yaml" in done.err
    assert repo.run("validate", cwd="sub").code == 0


def test_file_flag_and_variable_name_the_contract(project):
    repo = project({"other.yaml": BARE, "sub/ota.yaml": SEMANTIC})
    assert repo.run("validate", "--file", "other.yaml").code == 0
    assert repo.run("--file", "other.yaml", "validate").code == 0
    assert repo.run("validate", env={"OTA_FILE": "other.yaml"}).code == 0
    assert repo.run("validate", "sub", env={"OTA_FILE": "other.yaml"}).code == 0
    assert repo.run("validate", "--file", "other.yaml", env={"OTA_FILE": "sub/ota.yaml"}).code == 0
    assert repo.run("validate", "sub", "--json").json["path"] == "./sub/ota.yaml"
    failed = repo.run("validate", "sub")
    assert "`ota validate sub`" in failed.err


def test_all_errors_are_counted_and_shown_in_file_order(project):
    text = "version: 1\nproject: {name: shop}\ntasks:\n"
    text += "  a: {run: 'true', depends_on: [x]}\n  b: {run: 'true', depends_on: [y]}\n"
    done = project({"ota.yaml": text}).run("validate")
    assert done.err.index("tasks.a.depends_on[0]") < done.err.index("tasks.b.depends_on[0]")
    assert "2 errors" in done.err


def test_debug_traces_on_standard_error_and_leaves_standard_output_alone(project):
    repo = project({"ota.yaml": BARE})
    usual, traced = repo.run("tasks", "--json"), repo.run("--debug", "tasks", "--json")
    assert traced.out_bytes == usual.out_bytes
    assert "debug: contract " in traced.err
    assert usual.err == ""


def test_of_very_many_findings_text_shows_the_first_and_json_all(project):
    tasks = "".join(f"  t{number}: {{}}\n" for number in range(250))
    repo = project({"ota.yaml": f"version: 1\nproject: {{name: p}}\ntasks:\n{tasks}"})
    done = repo.run("validate")
    assert done.err.count("OTA_V271") == 100
    assert "... and 150 more" in done.err and "250 errors" in done.err
    assert len(repo.run("validate", "--json").json["errors"]) == 250
