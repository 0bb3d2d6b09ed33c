"""A fixed port of a native task that is taken: a warning of diagnoses and previews, as the run refuses it."""

import socket

from support.servers import SERVER, free_port, service

WORKFLOW = "workflows: {default: w, w: {run: {task: web}}}"


def test_a_taken_native_port_is_told_before_the_run_refuses_it(project, assert_schema):
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        repo = project({"ota.yaml": service(port, extra=WORKFLOW)})
        for command, schema, key in (
            (("doctor",), "doctor", "findings"),
            (("up", "--dry-run"), "up", "blockers"),
            (("run", "web", "--dry-run"), "run", "blockers"),
        ):
            told = repo.run(*command, "--json")
            assert_schema(told.json, schema)
            assert told.code == 0
            (conflict,) = [each for each in told.json[key] if each["code"] == "OTA_HOST_PUBLICATION_CONFLICT"]
            assert conflict["severity"] == "warn"
            assert f"127.0.0.1:{port} is held by pid" in conflict["why"]
        assert repo.run("run", "web").code == 1


def test_what_the_repository_runs_itself_is_in_the_way_of_a_run_alone(project):
    repo = project({"ota.yaml": service(free_port(), extra=WORKFLOW), "server.py": SERVER})
    assert repo.run("up", "--detach").code == 0
    try:
        diagnosis = [repo.run("doctor").out, repo.run("up", "--dry-run").out]
        preview = repo.run("run", "web", "--dry-run").out
    finally:
        ended = repo.run("up", "--stop")
    assert not any("is taken" in each for each in diagnosis)
    assert f"`ota up {repo.path} --stop` when it was left running" in preview
    assert ended.code == 0
