"""A fresh checkout whose values a task of it makes: everybody names that task, and it helps."""

import shlex

import pytest

CONTRACT = """
version: 1
project: {name: fresh}
env:
  vars: {TOKEN: {required: true, secret: true}, MODE: {required: true}}
  sources: [{kind: dotenv, path: ./.env, must_exist: MUST}]
checks:
  - {name: settings, kind: file, severity: error, path: .env}
tasks:
  setup:
    action: {kind: ensure_env_file, path: .env, template: example, vars: {TOKEN: {random: {bytes: 8}}}}
  use: {run: "echo $MODE"}
workflows: {default: app, app: {setup: {task: setup}, run: {task: use}}}
"""

ASKED = (
    ("env", "sub"),
    ("env", "sub", "--why", "MODE"),
    ("env", "sub", "--task", "use"),
    ("doctor", "sub"),
    ("explain", "sub"),
    ("check", "sub"),
    ("run", "use", "sub", "--dry-run"),
    ("run", "use", "sub"),
)


@pytest.mark.parametrize("must_exist", ["true", "false"])
def test_everybody_names_the_task_that_makes_missing_values_and_it_helps(project, must_exist):
    contract = CONTRACT.replace("MUST", must_exist)
    repo = project({"sub/ota.yaml": contract, "sub/example": "TOKEN=\nMODE=dev\n"})
    for command in ASKED:
        told = repo.run(*command)
        assert told.code == 1, command
        assert "run `ota run setup sub`, which makes `" in told.out + told.err, command
    assert repo.run(*shlex.split("run setup sub")).code == 0
    assert repo.run("run", "use", "sub", "--stream").out == "dev\n"


def test_a_value_that_a_made_file_lacks_is_added_or_made(project):
    repo = project({"ota.yaml": CONTRACT.replace("MUST", "true"), "example": "", ".env": ""})
    why = {name: repo.run("env", "--why", name).out for name in ("TOKEN", "MODE")}
    assert "run `ota run setup`, which sets it in `./.env`" in why["TOKEN"]
    assert "add `MODE=…` to `./.env`" in why["MODE"]
