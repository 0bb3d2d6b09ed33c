"""Readiness asked from the context it names: the host, or a container of a real engine."""

import pytest

from contract.reading import FIXTURES
from services.conftest import contract
from services.test_compose_services import application
from support.engines import BUSYBOX
from support.servers import free_port

pytestmark = pytest.mark.engine

CONTEXTS = (
    "    host: {backend: native}\n"
    "    app: {backend: container, lifecycle: ephemeral, "
    f"container: {{image: {BUSYBOX}, engines: [docker]}}}}\n"
)
BY_NAME, BY_NUMBER = "app: {address: web, port: 8080}", "app: {address: ADDRESS, port: 8080}"


@pytest.fixture
def asked(project, compose_project):
    """The codes that doctor finds about a running compose service `web`, asked as `readiness` says."""
    document = application(free_port())
    del document["services"]["web"]["ports"]
    repo = project()
    app = compose_project("docker compose", document, folder=repo.path)
    app.run("up", "-d", "web")
    (network,) = app.engine.inspect(app.container("web"))[0]["NetworkSettings"]["Networks"].values()

    def ask(readiness: str, endpoints: str) -> list[str]:
        service = (
            "  web:\n    required: true\n    manager:\n"
            f"      {{kind: compose, name: {app.name}, service: web, file: compose.yaml}}\n"
            f"    endpoints: {{{endpoints.replace('ADDRESS', network['IPAddress'])}}}\n"
            f"    readiness: {{{readiness}}}\n"
        )
        repo.write({"ota.yaml": contract(service, "  go: {run: 'true', context: host}\n", CONTEXTS)})
        found = repo.run("doctor", "--json", timeout=100).json["findings"]
        return [each["code"] for each in found if "SERVICE" in each["code"]]

    return ask


FAILED = ["OTA_SERVICE_READINESS_FAILED"]


@pytest.mark.proves("S003-34", "S002-59", "S003-35")
@pytest.mark.parametrize(
    ("kind", "inside"), [("tcp", BY_NAME), ("http, path: /", BY_NUMBER)], ids=["tcp", "http"]
)
def test_the_context_decides_where_and_at_which_endpoint_is_asked(asked, kind, inside):
    """The image has neither curl nor python; the port is published nowhere on the host."""
    outside = f"host: {{address: 127.0.0.1, port: {free_port()}}}"
    timing = "interval: 100ms, retries: 3"
    assert asked(f"from: app, kind: {kind}, {timing}", f"{inside}, {outside}") == []
    assert asked(f"from: host, kind: {kind}, {timing}", f"{inside}, {outside}") == FAILED


@pytest.mark.proves("S002-58")
def test_a_command_runs_in_the_context_it_names(asked):
    """Only a container has the checkout at /workspace, and only this host has it elsewhere too."""
    endpoints = f"{BY_NAME}, host: {{address: 127.0.0.1, port: 9}}"
    run = "run: 'test -f /workspace/ota.yaml'"
    assert asked(f"from: app, {run}", endpoints) == []
    assert asked(f"from: host, {run}", endpoints) == FAILED


@pytest.mark.proves("S002-52")
def test_the_native_plane_of_a_task_with_two_has_its_own_environment(project, compose_project):
    """The example of the documents, with stand-ins for image, body and database."""
    document = {"services": {"postgres": application(free_port())["services"]["other"]}}
    repo = project()
    app = compose_project("docker compose", document, folder=repo.path)
    text = (FIXTURES / "founding" / "two-honest-planes.yaml").read_text()
    for written, stand_in in (
        ("name: local", f"name: {app.name}"),
        ("docker-compose.yml", "compose.yaml"),
        ("image: node:24-bookworm", f"image: {BUSYBOX}\n        engines: [docker]"),
        ("run: pg_isready -h postgres -p 5432", "run: test -f /workspace/ota.yaml"),
        ("run: mvn spring-boot:run", 'run: echo "$DB_URL ${SERVER_PORT-unset}"'),
    ):
        assert written in text
        text = text.replace(written, stand_in)
    repo.write({"ota.yaml": text})
    done = repo.run("run", "start", "--native", "--stream", timeout=100)
    assert done.out == "jdbc:postgresql://127.0.0.1:5432/app unset\n", done
    assert app.state("postgres") == "running"
    repo.run("clean", timeout=100)
