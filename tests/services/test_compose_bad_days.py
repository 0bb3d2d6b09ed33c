"""Compose services on real engines: what the contract names, and days on which compose or engine fail."""

import os
import shlex
import subprocess

import pytest

from services.conftest import contract
from services.test_compose_services import TASK, application, web_service
from support.engine_faults import SocketProxy
from support.engines import wait_until
from support.servers import free_port, is_listening

pytestmark = pytest.mark.engine


@pytest.fixture
def served(project, compose_project):
    """A repository with a compose service `web`, and the project that it belongs to."""

    def make(port: int, *, document=None, readiness: str = "{kind: http, path: /, from: host}"):
        repo = project()
        app = compose_project("docker compose", document or application(port), folder=repo.path)
        repo.write({
            "ota.yaml": contract(web_service(app, port, readiness=readiness), TASK.format(port=port))
        })  # fmt: skip
        return repo, app

    return make


# --- what the contract names -----------------------------------------------------------------------


@pytest.mark.proves("S001-29")
def test_the_service_and_the_project_of_the_contract_are_the_ones_that_run(project, compose_project):
    port = free_port()
    document = application(port)
    document = {"services": {"postgres": document["services"]["web"]}}
    repo = project()
    app = compose_project("docker compose", document, folder=repo.path)
    if app.engine.containers("com.docker.compose.project=local"):
        pytest.skip("somebody else's project `local` is on this engine")
    app.name = "local"
    service = (
        "  postgres:\n    required: true\n    manager:\n      kind: compose\n      name: local\n"
        "      file: compose.yaml\n      service: postgres\n"
        f"    endpoints: {{host: {{address: 127.0.0.1, port: {port}}}}}\n"
        "    readiness: {kind: tcp, from: host}\n"
    )
    repo.write({"ota.yaml": contract(service, "  go: {run: 'true', requires_services: [postgres]}\n")})
    assert repo.run("run", "go", timeout=100).code == 0
    labels = app.engine.inspect(app.container("postgres"))[0]["Config"]["Labels"]
    assert labels["com.docker.compose.project"] == "local"
    assert labels["com.docker.compose.service"] == "postgres"
    assert labels["com.docker.compose.project.config_files"] == str(repo.path / "compose.yaml")


@pytest.mark.proves("S001-165")
def test_what_compose_started_is_stopped_by_the_command_that_is_told(served):
    port = free_port()
    repo, app = served(port)
    step = repo.run("run", "go", "--json", timeout=100).json["receipt"]["steps"][0]
    assert f"started with `docker compose -f compose.yaml -p {app.name} up -d web`" in step["detail"]
    stop = f"docker compose -f compose.yaml -p {app.name} stop web"
    assert f"`{stop}` stops it" in step["detail"]
    assert app.state("web") == "running"
    subprocess.run(shlex.split(stop), cwd=repo.path, env=os.environ, check=True, capture_output=True)
    assert app.state("web") == "exited"


@pytest.mark.proves("S001-27")
def test_a_task_may_call_compose_itself_on_the_host(project, compose_project):
    port = free_port()
    repo = project()
    app = compose_project("docker compose", application(port), folder=repo.path)
    tasks = f"  compose:up:\n    context: host\n    run: docker compose -p {app.name} up -d web\n"
    repo.write({"ota.yaml": contract("", tasks).replace("services:\n", "")})
    done = repo.run("run", "compose:up", "--json", timeout=100)
    assert done.code == 0, done
    assert done.json["receipt"]["backend"] == "native"
    assert app.state("web") == "running"


# --- compose files ---------------------------------------------------------------------------------


def test_an_absent_compose_file_is_a_failed_start_that_names_it(served):
    repo, app = served(free_port())
    app.file.unlink()
    done = repo.run("run", "go", timeout=100)
    assert done.code != 0
    assert "service `web` could not be started" in done.err
    assert "compose.yaml" in done.err
    assert app.engine.containers(f"com.docker.compose.project={app.name}") == []


def test_the_same_service_of_another_project_is_not_taken_for_ours(served, compose_project, tmp_path):
    """Somebody else's copy answers on the port: it is not ours, and ours cannot have the port."""
    port = free_port()
    other = compose_project("docker compose", application(port), folder=tmp_path / "other")
    other.run("up", "-d", "web")
    wait_until(lambda: is_listening(port), "the other project's service")
    repo, app = served(port, readiness="{kind: http, path: /, from: host, interval: 100ms, retries: 5}")
    found = [each for each in repo.run("doctor", "--json", timeout=100).json["findings"]
             if each["code"] == "OTA_SERVICE_READINESS_FAILED"]  # fmt: skip
    assert len(found) == 1
    assert f"no running container of service `web` in project `{app.name}`" in found[0]["why"]
    done = repo.run("run", "go", timeout=100)
    assert done.code != 0
    assert "service `web` could not be started" in done.err
    assert other.state("web") == "running"


# --- engines ---------------------------------------------------------------------------------------


def test_an_engine_that_dies_while_its_service_is_waited_for_is_named(served, tmp_path, monkeypatch):
    port = free_port()
    is_dead = False
    slow = application(port, command=("sleep", "600"))
    repo, app = served(port, document=slow, readiness="{kind: tcp, from: host, interval: 100ms, retries: 15}")
    folder = tmp_path / "s"
    folder.mkdir()
    proxy = SocketProxy(
        folder / "d.sock",
        app.engine.environment["DOCKER_HOST"],
        lambda _data: "refuse" if is_dead else "pass",
    )
    try:
        live = repo.start("run", "go", env={"DOCKER_HOST": proxy.address})
        wait_until(lambda: bool(app.engine.containers(f"com.docker.compose.project={app.name}")), "it")
        wait_until(lambda: app.state("web") == "running", "the container")
        is_dead = True
        done = live.finish(timeout=100)
    finally:
        proxy.close()
    assert done.code == 1
    assert "docker does not answer" in done.err
    assert "start the engine until `docker info` answers" in done.err
    assert app.state("web") == "running"


@pytest.mark.proves("S002-55")
def test_an_unpublished_port_is_not_reached_from_the_host_context(served):
    port = free_port()
    document = application(port)
    del document["services"]["web"]["ports"]
    asked = "{kind: tcp, from: host, interval: 50ms, retries: 2}"
    repo, app = served(port, document=document, readiness=asked)
    app.run("up", "-d", "web")
    (finding,) = [each for each in repo.run("doctor", "--json", timeout=100).json["findings"]
                  if each["code"] == "OTA_SERVICE_READINESS_FAILED"]  # fmt: skip
    assert f"from context `host` at 127.0.0.1:{port}: refused" in finding["why"]
    answered = app.run("exec", "-T", "web", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/")
    assert answered.returncode == 0
