"""`--dry-run` says what a run would do, knows what it cannot know yet, and touches nothing."""

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
