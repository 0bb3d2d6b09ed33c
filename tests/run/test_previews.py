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
