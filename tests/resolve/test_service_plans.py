"""Service plans: order, control, readiness with the address of the context that asks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ota.resolve.documents.services import services_document
from ota.resolve.plan import Request
from ota.resolve.scope import Scope
from ota.resolve.service_plan import (
    CommandReadiness,
    ComposeControl,
    EndpointReadiness,
    HealthReadiness,
    LegacyControl,
    NoControl,
)
from ota.resolve.services import closure, plan_services
from resolve.planning import LINUX, loaded, plan

CONTEXTS = "execution:\n  contexts:\n    host: {backend: native}\n    other: {backend: native}\n"
TASK = "tasks:\n  go:\n    run: x\n    requires_services: [db]\n"


def service(body: str, more: str = "") -> str:
    return f"{CONTEXTS}services:\n  db:\n{body}{TASK}{more}"


def planned(body: str, more: str = ""):
    (db,) = plan(service(body, more), "go").services
    return db


def test_a_compose_service_keeps_its_project_files_and_profiles_in_order():
    db = planned(
        "    manager:\n      kind: compose\n      name: local\n      service: postgres\n"
        "      files: [a.yaml, b.yaml]\n      env_files: [one.env]\n      profiles: [dev]\n"
        "    readiness: {kind: compose_health, interval: 1s, retries: 4, start_period: 2s}\n"
    )
    assert db.control == ComposeControl(
        project="local",
        service="postgres",
        engine="docker",
        files=("a.yaml", "b.yaml"),
        env_files=("one.env",),
        profiles=("dev",),
    )
    assert db.readiness == HealthReadiness()
    assert (db.interval_ms, db.retries, db.start_period_ms) == (1000, 4, 2000)


CONTAINERS = """
execution:
  contexts:
    base: {backend: container, lifecycle: ephemeral, container: {image: i}}
    pods: {extends: base, container: {engines: [podman, docker]}}
    more: {extends: base, container: {engines: [podman]}}
    dock: {extends: base}
    join: {extends: more, attachments: {compose: [local]}}
services:
  of-local: {manager: {kind: compose, name: local, service: any}}
  db:
    manager: {kind: compose, name: PROJECT, service: db ENGINE}
    endpoints: {REACHING}
tasks: {go: {run: x, requires_services: [db]}}
"""


@pytest.mark.parametrize(
    ("reaching", "stated", "project", "engine"),
    [
        ("pods", "", "other", "podman"),
        ("pods more", "", "other", "podman"),
        ("pods dock", "", "other", "docker"),
        ("dock", "", "other", "docker"),
        ("", "", "other", "docker"),
        ("", "", "local", "podman"),
        ("dock", "", "local", "docker"),
        ("pods", ", engine: docker", "other", "docker"),
        ("dock", ", engine: podman", "other", "podman"),
    ],
)
def test_compose_uses_the_engine_of_the_containers_that_reach_the_service(reaching, stated, project, engine):
    endpoints = ", ".join(f"{name}: {{address: db, port: 1}}" for name in reaching.split())
    text = CONTAINERS.replace("REACHING", endpoints).replace(" ENGINE", stated).replace("PROJECT", project)
    contract = loaded(text)
    (db,) = plan_services(Scope(contract, Request(), LINUX), ["db"])
    assert db.control.engine == engine
    assert (("podman", "docker") in db.control.candidates) is ("pods" in reaching and not stated)
    shown = services_document(contract)["services"][0]
    assert shown["manager"]["start"].split()[0] == engine


def test_the_engine_of_the_shorthand_counts_as_that_of_app():
    text = (
        "execution:\n  preferred: container\n  lifecycle: ephemeral\n"
        "  backends: {container: {image: i, engines: [podman]}}\n"
        "services:\n  db:\n    manager: {kind: compose, name: local, service: db}\n"
        "    endpoints: {app: {address: db, port: 1}}\n"
        "tasks: {go: {run: x, requires_services: [db]}}\n"
    )
    (db,) = plan(text, "go").services
    assert db.control.engine == "podman"


def test_timing_that_is_not_declared_is_bounded():
    db = planned("    start: x\n    healthcheck: y\n")
    assert (db.control, db.readiness) == (LegacyControl(start="x"), CommandReadiness(run="y"))
    assert (db.interval_ms, db.retries, db.timeout_ms, db.start_period_ms) == (500, 120, 2000, 0)


def test_the_address_is_the_one_of_the_context_that_asks():
    db = planned(
        "    endpoints:\n      host: {address: 127.0.0.1, port: 1}\n"
        "      other: {address: 10.0.0.1, port: 2}\n"
        "    readiness: {kind: tcp, from: other}\n"
    )
    assert isinstance(db.readiness, EndpointReadiness)
    assert (db.readiness.address, db.readiness.port, db.readiness.context) == ("10.0.0.1", 2, "other")
    assert isinstance(db.control, NoControl)
    assert not db.can_start


def test_of_several_endpoints_of_a_context_the_named_one_is_asked():
    db = planned(
        "    endpoints:\n      a: {context: host, address: 127.0.0.1, port: 1}\n"
        "      b: {context: host, address: 127.0.0.1, port: 2}\n"
        "    readiness: {kind: tcp, from: host, endpoint: b}\n"
    )
    assert isinstance(db.readiness, EndpointReadiness)
    assert db.readiness.port == 2


def test_a_named_probe_lends_its_request_and_timeout_and_not_its_address():
    db = planned(
        "    endpoints:\n      host: {address: 127.0.0.1, port: 1}\n"
        "    readiness: {probe: alive, from: host, retries: 9}\n",
        "readiness:\n  probes:\n    alive:\n      kind: http\n      url: http://127.0.0.1:9/\n"
        "      timeout: 700ms\n      headers: {X-A: b}\n      expect_status: 204\n",
    )
    assert isinstance(db.readiness, EndpointReadiness)
    assert (db.readiness.port, db.readiness.statuses, dict(db.readiness.headers)) == (1, (204,), {"X-A": "b"})
    assert (db.timeout_ms, db.retries) == (700, 9)


def test_a_legacy_compose_provider_is_asked_inside_its_service():
    db = planned("    provider: docker-compose\n    start: x\n    healthcheck: pg_isready -q\n")
    assert db.readiness == CommandReadiness(run="docker compose exec -T db sh -lc 'pg_isready -q'")
    typed = planned("    manager: {kind: compose, name: p, service: s}\n    healthcheck: pg_isready\n")
    assert typed.readiness == CommandReadiness(run="pg_isready", is_in_service=True)


@pytest.mark.parametrize("names", [["s0"], ["s3"], ["s2", "s0"]])
def test_only_what_is_asked_for_and_what_it_needs_is_planned(names):
    text = "services:\n" + "".join(
        f"  s{n}:\n    start: x\n" + (f"    depends_on: [s{n + 1}]\n" if n < 4 else "") for n in range(5)
    )
    plans = plan_services(Scope(loaded(text + "tasks:\n  go: {run: x}\n"), _request(), LINUX), names)
    lowest = min(int(name[1:]) for name in names)
    assert [each.name for each in plans] == [f"s{n}" for n in range(4, lowest - 1, -1)]


@given(
    st.lists(st.sets(st.integers(0, 11)), min_size=12, max_size=12), st.sets(st.integers(0, 11), min_size=1)
)
def test_every_service_comes_after_what_it_depends_on_and_once(needs, asked):
    text = "services:\n"
    for number, below in enumerate(needs):
        names = ", ".join(f"s{each}" for each in sorted(below) if each < number)
        text += (
            f"  s{number}:\n    start: x\n    depends_on: [{names}]\n"
            if names
            else (f"  s{number}:\n    start: x\n")
        )
    scope = Scope(loaded(text + "tasks:\n  go: {run: x}\n"), _request(), LINUX)
    names = [f"s{each}" for each in sorted(asked)]
    plans = plan_services(scope, names)
    order = [each.name for each in plans]
    assert len(set(order)) == len(order)
    assert set(names) <= set(order)
    for each in plans:
        assert all(order.index(below) < order.index(each.name) for below in each.depends_on)
    assert [each.name for each in closure(plans, names)] == order


def _request():
    from ota.resolve.plan import Request

    return Request(task="go")
