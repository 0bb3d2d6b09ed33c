"""Bytes that are no UTF-8, where the system allows them: paths and variables are told, not stumbled over."""

import json
import os

from support.servers import SERVER, free_port, service

CONTRACT = """
version: 1
project: {name: bytes}
env: {vars: {PLACE: {required: true}, CODE: {secret: true}}}
tasks:
  told: {run: "printf %s $PLACE"}
"""
ENVIRONMENT = {"PLACE": os.fsdecode(b"caf\xe9"), "CODE": os.fsdecode(b"\xffsecret\xff")}


def test_a_variable_that_is_no_text_is_readable_in_every_document(project, assert_schema):
    repo = project({"ota.yaml": CONTRACT})
    for command, schema in (
        (("env",), "env"),
        (("doctor",), "doctor"),
        (("run", "told", "--dry-run"), "run"),
        (("run", "told", "--archive", "--log"), "run"),
        (("receipt", "--archive"), "receipt"),
    ):
        told = repo.run(*command, "--json", env=ENVIRONMENT)
        assert told.code == 0, told.out
        assert_schema(told.json, schema)
        assert "\\xffsecret" not in told.out
    shown = repo.run("env", "--json", env=ENVIRONMENT).json["env"]
    assert {each["name"]: each.get("value") for each in shown}["PLACE"] == "caf\\xe9"
    archives = list((repo.path / ".ota/receipts").glob("*.json"))
    assert len(archives) == 2
    assert all(json.loads(each.read_bytes()) for each in archives)


def test_a_checkout_in_a_folder_that_is_no_text_is_run_and_brought_up(project):
    folder = os.fsdecode(b"r\xe9po")
    contract = service(
        free_port(), extra="  told: {run: 'echo said'}\nworkflows: {default: w, w: {run: {task: web}}}"
    )
    repo = project({f"{folder}/ota.yaml": contract, f"{folder}/server.py": SERVER})
    assert repo.run("run", "told", "--log", "--archive", cwd=folder).code == 0
    told = repo.run("up", "--detach", "--json", cwd=folder)
    ended = repo.run("up", "--stop", "--json", cwd=folder)
    assert told.code == ended.code == 0
    assert ended.json["summary"]["stopped_count"] == 1
