"""Readiness, services and workflows as they are planned and shown: one owner, one definition, one address."""

import pytest

from contract.reading import FIXTURES
from ota.errors import ContractError
from ota.resolve.plan import Request
from ota.resolve.probes import ResolvedSurface, resolve_surface
from ota.resolve.scope import Scope
from ota.resolve.services import plan_services
from resolve.planning import LINUX, founding, loaded, plan, plan_json, task_json, task_plan, topology_json

POSTGRES = {"host": {"address": "127.0.0.1", "port": 5432}, "app": {"address": "postgres", "port": 5432}}


def text_of(name: str) -> str:
    return (FIXTURES / "founding" / f"{name}.yaml").read_text(encoding="utf-8")


def service_json(document, name: str) -> dict:
    (found,) = [each for each in document["services"] if each["name"] == name]
    return found


# --- examples of the documents ---------------------------------------------------------------------


@pytest.mark.proves("S003-31")
def test_the_task_runtime_readiness_example_plans_in_its_container_context() -> None:
    contract = founding("task-runtime-readiness")
    resolved = plan_json(contract, "dev")["resolved"]
    assert (resolved["backend"], resolved["context"]) == ("container", "app")
    listener = resolved["runtime"]["listeners"]["http"]
    assert (listener["bind_address"], listener["bind_port_value"]) == ("0.0.0.0", 3000)
    assert listener["host_projection"]["url"] == "http://127.0.0.1:3000/"
    readiness = task_json(topology_json(contract), "dev")["runtime"]["readiness"]
    assert (readiness["kind"], readiness["listener"], readiness["path"]) == ("http", "http", "/")


@pytest.mark.proves("S003-37")
def test_the_service_readiness_example_is_asked_from_its_context() -> None:
    contract = founding("service-readiness")
    (service,) = plan_services(Scope(contract, Request(), LINUX), ["postgres"])
    assert (service.readiness.kind, service.readiness.context, service.readiness.plane) == (
        "tcp",
        "app",
        "container",
    )
    assert (service.readiness.address, service.readiness.port) == ("postgres", 5432)
    assert (service.timeout_ms, service.retries, service.is_required) == (3000, 5, True)
    assert service_json(topology_json(contract), "postgres")["readiness"]["from"] == "app"


@pytest.mark.proves("S001-26")
def test_the_topology_of_the_example_shows_listener_endpoints_and_where_readiness_is_asked() -> None:
    document = topology_json(founding("tasks-workloads-services"))
    listener = task_json(document, "dev")["runtime"]["listeners"]["http"]
    assert (listener["bind_address"], listener["bind_port_mode"], listener["bind_port_value"]) == (
        "0.0.0.0",
        "fixed",
        3000,
    )
    host = listener["host_projection"]
    assert (host["address"], host["port_mode"], host["path"]) == ("127.0.0.1", "auto", "/")
    postgres = service_json(document, "postgres")
    assert postgres["endpoints"] == POSTGRES
    assert postgres["readiness"]["from"] == "app"


@pytest.mark.proves("S002-64")
def test_the_container_app_beside_compose_postgres_plans_its_branch() -> None:
    contract = founding("container-app-compose-postgres")
    resolved = plan_json(contract, "start")["resolved"]
    assert (resolved["backend"], resolved["context"]) == ("container", "app")
    listener = resolved["runtime"]["listeners"]["http"]
    assert (listener["bind_port_mode"], listener["bind_port_value"]) == ("fixed", 3000)
    host = listener["host_projection"]
    assert (host["port_mode"], host["path"], "port_value" in host) == ("auto", "/", False)
    assert service_json(topology_json(contract), "postgres")["endpoints"] == POSTGRES


@pytest.mark.proves("S002-137")
def test_the_honest_topology_example_lacks_only_its_body() -> None:
    text = text_of("honest-topology")
    with pytest.raises(ContractError) as caught:
        loaded(text)
    assert [finding.code for finding in caught.value.findings] == ["OTA_V271"]
    resolved = plan_json(
        loaded(text.replace("    context: app\n", "    context: app\n    run: mvn verify\n")), "dev"
    )["resolved"]
    assert (resolved["backend"], resolved["context"], resolved["lifecycle"]) == (
        "container",
        "app",
        "persistent",
    )


# --- services --------------------------------------------------------------------------------------

TWO_CONTEXTS = """
execution: {default_context: host, contexts: {host: {backend: native}, inner: {backend: native}}}
services:
  db:
    start: ./db
    endpoints: {host: {address: 127.0.0.1, port: 5432}, inner: {address: db.internal, port: 15432}}
    readiness: {kind: tcp, from: inner}
tasks:
  go: {run: x}
"""


@pytest.mark.proves("S001-09", "S002-15")
def test_readiness_takes_the_endpoint_of_its_context_and_no_other() -> None:
    contract = loaded(TWO_CONTEXTS)
    (service,) = plan_services(Scope(contract, Request(), LINUX), ["db"])
    assert (service.readiness.context, service.readiness.address, service.readiness.port) == (
        "inner",
        "db.internal",
        15432,
    )
    with pytest.raises(ContractError) as caught:
        loaded(TWO_CONTEXTS.replace(", inner: {address: db.internal, port: 15432}", ""))
    assert "OTA_V225" in [finding.code for finding in caught.value.findings]


# --- surfaces and workflows ------------------------------------------------------------------------

SURFACE = """
surfaces:
  web: {kind: http, port: 4100, path: /app, readiness: {kind: http, path: /app/health}}
tasks:
  dev: {run: x, runtime: {kind: service, surfaces: [web]}}
  preview: {run: y, runtime: {kind: service, surfaces: [web]}}
workflows:
  default: a
  a: {run: {task: dev}, readiness: {surfaces: [web]}, exposes: [{surface: web}]}
  b: {run: {task: preview}, readiness: {surfaces: [web]}, exposes: [{surface: web}]}
"""


@pytest.mark.proves("S003-09", "S003-10")
@pytest.mark.parametrize(("port", "path"), [(4100, "/app"), (4200, "/shop")])
def test_a_surface_is_defined_once_for_every_task_and_workflow_that_attaches_it(port: int, path: str) -> None:
    contract = loaded(SURFACE.replace("4100", str(port)).replace("/app", path))
    document = topology_json(contract)
    url = f"http://127.0.0.1:{port}{path}"
    for task, workflow in (("dev", "a"), ("preview", "b")):
        listener = task_json(document, task)["runtime"]["listeners"]["web"]
        assert (listener["bind_port_value"], listener["host_projection"]["path"]) == (port, path)
        assert plan(contract, task, workflow=workflow).requested_step.task.runtime.readiness.probe.path == (
            f"{path}/health"
        )
        shown = plan_json(contract, workflow=workflow)["workflow"]
        assert (shown["exposes"], shown["readiness_surfaces"]) == ([url], ["web"])
        surface = resolve_surface(Scope(contract, Request(), LINUX), "web", task)
        assert isinstance(surface, ResolvedSurface)
        assert surface.probe.target == f"http://127.0.0.1:{port}{path}/health"


PROBES = """
readiness:
  probes:
    be: {kind: http, target: {kind: task, name: dev, listener: http}, path: /h, %s, timeout: 3s}
checks: [{name: c, kind: health, severity: error, probe: be}]
tasks:
  dev:
    run: x
    runtime: {kind: service, readiness: {probe: be, listener: http}, listeners: {http: {http: 8080}}}
workflows: {default: w, w: {run: {task: dev}, readiness: {probes: [be]}}}
"""


@pytest.mark.proves("S003-99", "S003-111")
def test_a_probe_is_declared_once_and_used_by_its_name() -> None:
    contract = loaded(PROBES % "success: {status: [200, 204]}")
    (probe,) = topology_json(contract)["readiness_probes"].values()
    assert (probe["path"], probe["success"], probe["timeout_ms"]) == ("/h", {"status": [200, 204]}, 3000)
    assert task_plan(contract, "dev").runtime.readiness.probe.statuses == (200, 204)
    with pytest.raises(ContractError) as caught:
        loaded(PROBES % "success: {status: [200]}, expect_status: 200")
    assert "OTA_V173" in [finding.code for finding in caught.value.findings]
