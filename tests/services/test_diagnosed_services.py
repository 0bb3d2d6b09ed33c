"""`ota doctor` and `ota explain` ask services from the context each declares, and start none."""

import socket

import pytest

from services.conftest import contract, host_service
from support.servers import free_port

pytestmark = pytest.mark.edge

TASK = "  go:\n    run: echo body\n    requires_services: [db]\n"


def service_findings(document):
    return [each for each in document["findings"] if each["code"].startswith("OTA_SERVICE_")]


def brief(port: int) -> str:
    return host_service("db", port).replace("retries: 200", "retries: 2")


@pytest.mark.proves("S001-121")
@pytest.mark.proves("S001-167")
def test_a_service_is_asked_at_its_endpoint_and_the_finding_names_context_and_address(served, assert_schema):
    port = free_port()
    repo = served(contract(brief(port), TASK))
    result = repo.run("doctor", "--json")
    assert_schema(result.json, "doctor")
    (finding,) = service_findings(result.json)
    assert (finding["code"], finding["severity"]) == ("OTA_SERVICE_READINESS_FAILED", "error")
    assert f"from context `host` at 127.0.0.1:{port}: refused" in finding["why"]
    assert finding["next"].startswith("`python3 daemon.py db")
    assert result.code == 1
    assert not (repo.path / "started.txt").exists()
    with socket.create_server(("127.0.0.1", port)):
        ready = repo.run("doctor", "--json")
    assert service_findings(ready.json) == []


def test_an_optional_service_that_is_down_is_a_warning(served):
    service = brief(free_port()).replace("required: true", "required: false")
    (finding,) = service_findings(served(contract(service, TASK)).run("doctor", "--json").json)
    assert finding["severity"] == "warn"


def test_without_declared_patience_a_diagnosis_does_not_wait_a_whole_start(served):
    service = host_service("db", free_port()).replace(", interval: 50ms, retries: 200", "")
    result = served(contract(service, TASK)).run("doctor", "--json", timeout=30)
    (finding,) = service_findings(result.json)
    assert finding["code"] == "OTA_SERVICE_READINESS_FAILED"


def test_a_legacy_healthcheck_is_asked_on_the_host(served):
    service = "  db:\n    required: true\n    start: x\n    healthcheck: echo not yet; exit 4\n"
    (finding,) = service_findings(served(contract(service, TASK)).run("doctor", "--json").json)
    assert finding["code"] == "OTA_SERVICE_CHECK_FAILED"
    assert "exited 4: not yet" in finding["why"]


def test_a_context_that_cannot_execute_is_not_a_failed_service(served):
    service = (
        brief(free_port())
        .replace("from: host", "from: app")
        .replace("endpoints: {host:", "endpoints: {app: {address: db, port: 5432}, host:")
    )
    contexts = (
        "    host: {backend: native}\n"
        "    app: {backend: container, lifecycle: ephemeral, container: {image: app}}\n"
    )
    tasks = TASK.replace("    run:", "    context: host\n    run:")
    (finding,) = service_findings(served(contract(service, tasks, contexts)).run("doctor", "--json").json)
    assert finding["code"] == "OTA_SERVICE_READINESS_CONTEXT_UNEXECUTABLE"
    assert "move `services.db.readiness.from`" in finding["next"]


def test_explain_orders_the_start_of_the_service_as_a_repair(served):
    repo = served(contract(brief(free_port()), TASK))
    text = repo.run("explain").out
    assert "Service readiness failed: db" in text
    assert "python3 daemon.py db" in text


@pytest.mark.proves("S001-162")
def test_of_two_contexts_the_one_that_readiness_names_is_diagnosed(served):
    healthy, deaf = free_port(), free_port()
    inner = f"inner: {{address: 127.0.0.1, port: {deaf}}}"
    service = brief(healthy).replace("endpoints: {host:", f"endpoints: {{{inner}, host:")
    contexts = "    host: {backend: native}\n    inner: {backend: native}\n"
    repo = served(contract(service, TASK, contexts))
    with socket.create_server(("127.0.0.1", healthy)):
        assert service_findings(repo.run("doctor", "--json").json) == []
        repo.write({"ota.yaml": contract(service.replace("from: host", "from: inner"), TASK, contexts)})
        (finding,) = service_findings(repo.run("doctor", "--json").json)
    assert f"from context `inner` at 127.0.0.1:{deaf}" in finding["why"]


@pytest.mark.proves("S002-57")
def test_services_lists_one_endpoint_per_context(served, assert_schema):
    endpoints = "endpoints: {inner: {address: db, port: 5432}, host:"
    service = brief(6543).replace("endpoints: {host:", endpoints)
    contexts = "    host: {backend: native}\n    inner: {backend: native}\n"
    document = served(contract(service, TASK, contexts)).run("services", "--json").json
    assert_schema(document, "services")
    (db,) = document["services"]
    assert db["endpoints"] == {
        "host": {"address": "127.0.0.1", "port": 6543},
        "inner": {"address": "db", "port": 5432},
    }
