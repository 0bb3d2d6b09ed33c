"""`--dry-run` says what a run would do, knows what it cannot know yet, and touches nothing."""

import pytest

from support.servers import SERVER, free_port, service

CONTRACT = """
version: 1
project: {name: previews}
env: {vars: {MADE: {}}}
tasks:
  make: {run: "echo MADE=yes > made.env"}
  use: {run: "echo $MADE", env_files: [made.env], depends_on: [make]}
  alone: {run: "echo $MADE", env_files: [made.env]}
"""


def test_a_file_an_earlier_step_may_make_is_a_warning_and_the_run_then_works(project, assert_schema):
    repo = project({"ota.yaml": CONTRACT})
    preview = repo.run("run", "use", "--dry-run", "--json")
    assert_schema(preview.json, "run")
    assert preview.code == 0
    assert preview.json["preview_status"] == "RUNNABLE WITH WARNINGS"
    assert "`make` runs first" in preview.json["blockers"][0]["why"]
    assert sorted(path.name for path in repo.path.iterdir()) == ["ota.yaml"]
    assert repo.run("run", "use", "--stream").out.splitlines() == ["yes"]


def test_the_same_file_missing_without_an_earlier_step_blocks(project):
    preview = project({"ota.yaml": CONTRACT}).run("run", "alone", "--dry-run", "--json")
    assert preview.code == 1
    assert preview.json["preview_status"] == "BLOCKED"


VALUES = """
version: 1
project: {{name: previews}}
tasks:
  setup: {setup}
  use: {{run: "echo $TOKEN", depends_on: [setup]}}
env:
  vars: {{TOKEN: {{required: true}}}}
  sources: [{{kind: dotenv, path: .env}}]
"""
BY_ACTION = "{action: {kind: ensure_file, path: .env, value: 'TOKEN=made'}}"
BY_SHELL = "{run: 'echo TOKEN=made > .env'}"


def test_a_value_that_the_first_step_lacks_itself_blocks_as_it_does_the_run(project, assert_schema):
    repo = project({"ota.yaml": VALUES.format(setup=BY_SHELL)})
    preview = repo.run("run", "use", "--dry-run", "--json")
    assert_schema(preview.json, "run")
    assert (preview.code, preview.json["preview_status"]) == (1, "BLOCKED")
    run = repo.run("run", "use", "--json")
    assert run.code == 1
    assert not (repo.path / ".env").exists()


def test_a_value_that_an_action_makes_is_a_warning_and_the_run_then_works(project):
    repo = project({"ota.yaml": VALUES.format(setup=BY_ACTION)})
    preview = repo.run("run", "use", "--dry-run", "--json")
    assert (preview.code, preview.json["preview_status"]) == (0, "RUNNABLE WITH WARNINGS")
    assert "`setup` runs first" in preview.json["blockers"][0]["why"]
    assert repo.run("run", "use", "--stream").out.splitlines()[-1] == "made"


def test_preview_and_run_agree_on_plane_and_endpoint(project):
    port = free_port()
    repo = project({"ota.yaml": service(port), "server.py": SERVER})
    preview = repo.run("run", "web", "--dry-run", "--json").json
    live = repo.start("run", "web", "--json")
    live.wait_for("listening")
    live.signal(2)
    receipt = live.finish().json["receipt"]
    assert preview["resolved"]["backend"] == receipt["backend"]
    assert preview["contract_identity"] == receipt["contract_identity"]


CONTAINED = """
version: 1
project: {name: previews}
execution:
  default_context: app
  contexts:
    host: {backend: native}
    app: {backend: container, lifecycle: ephemeral, container: {image: "x:1", engines: [docker]}}
tasks:
  build: {run: make, context: app}
  plain: {run: make, context: host}
  packed:
    context: host
    launch: {kind: container, engine: docker, image: "x:1"}
    runtime:
      kind: service
      surfaces:
        web:
          bind: {address: 0.0.0.0, port: {mode: fixed, value: 80}}
          project: {host: {address: 127.0.0.1, port: {mode: fixed, value: 5680}, primary: true}}
surfaces: {web: {kind: http, port: 80}}
workflows: {default: w, w: {run: {task: build}}}
"""
DOWN = "echo 'Cannot connect to the Docker daemon' >&2; exit 1"
BARE = """echo "$1" >> "$ASKED"
case "$1" in info) exit 0;; esac
echo "Error: No such image: x:1" >&2; exit 1
"""


@pytest.mark.parametrize(
    ("engine", "code", "severity"),
    [
        (None, "OTA_CONTAINER_BACKEND_CLI_MISSING", "error"),
        (DOWN, "OTA_CONTAINER_BACKEND_UNAVAILABLE", "error"),
        (BARE, "OTA_CONTAINER_IMAGE_UNAVAILABLE", "warn"),
        ("exit 0", None, None),
    ],
)
def test_previews_and_doctor_say_the_same_of_engine_and_image(
    project, assert_schema, tmp_path, engine, code, severity
):
    programs = tmp_path / "programs"
    programs.mkdir()
    if engine is not None:
        (programs / "docker").write_text(f"#!/bin/sh\n{engine}\n")
        (programs / "docker").chmod(0o755)
    asked = tmp_path / "asked"
    env = {"PATH": str(programs), "ASKED": str(asked)}
    repo = project({"ota.yaml": CONTAINED})

    def told(*args):
        done = repo.run(*args, "--json", env=env)
        assert_schema(done.json, args[0])
        found = done.json.get("blockers" if "--dry-run" in args else "findings", ())
        said = [(each["code"], each["severity"], each["summary"], each["why"]) for each in found]
        return [
            each for each in said if each[0].startswith("OTA_CONTAINER_") and "PARTIAL" not in each[0]
        ], done

    run, preview = told("run", "build", "--dry-run")
    assert (preview.code, preview.json["ok"]) == ((1, False) if severity == "error" else (0, True))
    assert [each[:2] for each in run] == ([(code, severity)] if code else [])
    if engine == BARE:
        assert asked.read_text().split() == ["info", "image"]
        assert "whether that works cannot be told before" in run[0][3]
    assert run == told("run", "packed", "--dry-run")[0]
    assert run == told("up", "--dry-run")[0]
    assert run == told("doctor")[0]
    assert told("run", "plain", "--dry-run")[0] == []
    assert sorted(each.name for each in repo.path.iterdir()) == ["ota.yaml"]
