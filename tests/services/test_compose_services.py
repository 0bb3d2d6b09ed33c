"""Compose services on real engines: every compose command there is, health, engines that are down."""

import pytest

from services.conftest import contract, host_service
from support.engines import BUSYBOX, COMPOSE_COMMANDS
from support.servers import free_port, is_listening
from support.waiting import wait_until

pytestmark = pytest.mark.engine

TASK = "  go:\n    run: wget -q -O - http://127.0.0.1:{port}/\n    requires_services: [web]\n"


def application(port: int, *, command=("httpd", "-f", "-p", "8080", "-h", "/www"), health: bool = False):
    web = {"image": BUSYBOX, "init": True, "command": list(command), "ports": [f"127.0.0.1:{port}:8080"]}
    if health:
        asked = ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/"]
        web["healthcheck"] = {"test": asked, "interval": "1s", "timeout": "5s", "retries": 20}
    other = {"image": BUSYBOX, "init": True, "command": ["sleep", "600"]}
    return {"services": {"web": web, "other": other}}


def web_service(app, port: int, *, readiness: str = "{kind: http, path: /, from: host}") -> str:
    engine = "podman" if "podman" in app.command else "docker"
    return (
        "  web:\n    required: true\n    manager:\n"
        f"      {{kind: compose, name: {app.name}, service: web, file: compose.yaml, engine: {engine}}}\n"
        f"    endpoints: {{host: {{address: 127.0.0.1, port: {port}}}}}\n    readiness: {readiness}\n"
    )


def only(command: str, repo, tmp_path) -> dict[str, str]:
    """A PATH on which the other compose commands do not answer; the plugin is silenced by a wrapper."""
    if command == "docker compose":
        return {}
    import os
    import shutil

    folder = tmp_path / "wrapped"
    folder.mkdir(exist_ok=True)
    real = shutil.which("docker")
    wrapper = folder / "docker"
    wrapper.write_text(f'#!/bin/sh\n[ "$1" = compose ] && exit 1\nexec {real} "$@"\n')
    wrapper.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


@pytest.fixture
def served(project, compose_project):
    """A repository whose compose file belongs to a project of its own."""

    def make(command: str, document, port: int, **readiness: str):
        repo = project()
        app = compose_project(command, document, folder=repo.path)
        repo.write({"ota.yaml": contract(web_service(app, port, **readiness), TASK.format(port=port))})
        return repo, app

    return make


@pytest.mark.proves("S001-114", "S002-60", "S003-11")
@pytest.mark.parametrize("command", COMPOSE_COMMANDS)
def test_a_compose_service_is_started_by_the_command_there_is(command, served, tmp_path, assert_schema):
    port = free_port()
    repo, app = served(command, application(port), port)
    env = only(command, repo, tmp_path)
    result = repo.run("run", "go", "--json", env=env, timeout=100)
    assert result.code == 0, result
    assert_schema(result.json, "run")
    service, task = result.json["receipt"]["steps"]
    assert (service["label"], service["status"], task["label"]) == ("service web", "READY", "go")
    assert f"`{command} -f compose.yaml -p {app.name} up -d web`" in service["detail"]
    assert app.state("web") == "running"
    labels = app.engine.inspect(app.container("web"))[0]["Config"]["Labels"]
    assert labels["com.docker.compose.project"] == app.name
    assert labels["com.docker.compose.service"] == "web"
    assert "other" not in app.engine.run("ps", "--format", "{{.Names}}").stdout.replace(app.name, "")
    again = repo.run("run", "go", "--json", env=env, timeout=100).json
    assert f"already running, not started (seen through `{command}`" in again["receipt"]["steps"][0]["detail"]


def test_the_health_of_the_container_is_a_gate(served):
    port = free_port()
    health = "{kind: compose_health, interval: 200ms}"
    repo, app = served("docker compose", application(port, health=True), port, readiness=health)
    result = repo.run("run", "go", "--json", timeout=100)
    assert result.code == 0, result
    state = app.engine.inspect(app.container("web"))[0]["State"]["Health"]["Status"]
    assert state == "healthy"


def test_a_published_port_with_nobody_behind_it_is_not_ready(served):
    port = free_port()
    tcp = "{kind: tcp, from: host, interval: 100ms, retries: 5}"
    repo, app = served("docker compose", application(port, command=("sleep", "600")), port, readiness=tcp)
    result = repo.run("run", "go", timeout=100)
    assert result.code == 1, result
    assert "service `web` required by task `go` is not ready" in result.err
    assert app.state("web") == "running"


def test_a_container_that_ends_is_not_ready(served):
    port = free_port()
    health = "{kind: compose_health, interval: 100ms, retries: 5}"
    repo, _ = served("docker compose", application(port, command=("false",)), port, readiness=health)
    result = repo.run("run", "go", timeout=100)
    assert result.code == 1, result
    assert "no running container of service `web`" in result.err


def test_a_compose_file_that_is_wrong_is_a_failed_start_with_its_own_words(served):
    port = free_port()
    repo, app = served("docker compose", application(port), port)
    app.file.write_text("services: [not, a, map]\n")
    result = repo.run("run", "go", timeout=100)
    assert result.code not in (0, 130), result
    assert "service `web` could not be started" in result.err
    assert "services" in result.err.partition("Output")[2]


def test_an_engine_that_is_down_is_named_and_not_the_service(served):
    port = free_port()
    repo, _ = served("docker compose", application(port), port)
    nowhere = {"DOCKER_HOST": f"unix://{repo.path}/nobody.sock"}
    result = repo.run("run", "go", "--json", env=nowhere, timeout=100)
    assert result.code != 0
    assert result.json["receipt"]["failure_origin"] == "service_start"
    text = repo.run("run", "go", env=nowhere, timeout=100).err
    assert "docker does not answer" in text
    assert "start the engine until `docker info` answers" in text


@pytest.mark.proves("S001-05")
def test_compose_and_host_services_come_up_in_one_run(served, served_on_host):
    port, other = free_port(), free_port()
    repo, app = served("docker compose", application(port), port)
    served_on_host(repo)
    services = web_service(app, port) + host_service("db", other)
    task = TASK.format(port=port).replace("[web]", "[web, db]")
    repo.write({"ota.yaml": contract(services, task)})
    result = repo.run("run", "go", "--json", timeout=100)
    assert result.code == 0, result
    labels = [each["label"] for each in result.json["receipt"]["steps"]]
    assert (sorted(labels[:2]), labels[2]) == (["service db", "service web"], "go")
    assert app.state("web") == "running"
    assert is_listening(other)


@pytest.mark.proves("S003-115")
def test_a_named_probe_asks_the_endpoint_of_the_service(served):
    port = free_port()
    probed = "{probe: alive, from: host, interval: 100ms, retries: 50}"
    repo, _ = served("docker compose", application(port), port, readiness=probed)
    probes = (
        "readiness:\n  probes:\n    alive:\n      kind: http\n      url: http://127.0.0.1:9/\n"
        "      timeout: 2s\n      expect_status: STATUS\n"
    )
    plain = repo.read("ota.yaml")
    repo.write({"ota.yaml": plain + probes.replace("STATUS", "200")})
    assert repo.run("run", "go", timeout=100).code == 0
    repo.write({"ota.yaml": plain.replace("50}", "3}") + probes.replace("STATUS", "204")})
    result = repo.run("run", "go", timeout=100)
    assert result.code == 1
    assert f"127.0.0.1:{port}" in result.err
    assert "expected 204" in result.err


@pytest.mark.proves("S003-33")
def test_doctor_asks_a_compose_service_without_any_script_and_starts_nothing(served, assert_schema):
    port = free_port()
    brief = "{kind: http, path: /, from: host, interval: 100ms, retries: 2}"
    repo, app = served("docker compose", application(port), port, readiness=brief)

    def findings():
        document = repo.run("doctor", "--json", timeout=100).json
        assert_schema(document, "doctor")
        return [each for each in document["findings"] if each["code"].startswith("OTA_SERVICE_")]

    (finding,) = findings()
    assert finding["code"] == "OTA_SERVICE_READINESS_FAILED"
    assert f"`docker compose -f compose.yaml -p {app.name} up -d web`" in finding["next"]
    assert app.engine.run("ps", "-a", "--format", "{{.Names}}").stdout.count(app.name) == 0
    app.run("up", "-d", "web")
    wait_until(lambda: findings() == [], "a service that doctor takes for ready")
