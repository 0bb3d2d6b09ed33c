"""Named probes as requests: where the address of each holds, and what a container makes of the host's."""

import pytest

from ota.resolve.plan import Request
from ota.resolve.probes import ProbeProblem, ResolvedProbe, resolve_probe
from ota.resolve.scope import Scope
from resolve.planning import LINUX, MAC, loaded

CONTEXTS = """execution:
  contexts:
    host: {backend: native}
    app:
      backend: container
      lifecycle: ephemeral
      container: {image: busybox, engines: [podman]}
services:
  db:
    manager: {kind: compose, name: local, service: db, file: compose.yaml}
    endpoints: {app: {address: db, port: 5432}, host: {address: 127.0.0.1, port: 15432}}
"""
TASKS = """tasks:
  web:
    context: host
    run: serve
    runtime: {kind: service, listeners: {http: {http: 3000}}}
  looker: {context: app, run: 'true'}
"""


def resolved(probe: str, host=LINUX) -> ResolvedProbe | ProbeProblem:
    text = f"{CONTEXTS}{TASKS}readiness:\n  probes:\n    asked: {{{probe}, timeout: 2s}}\n"
    return resolve_probe(Scope(loaded(text), Request(), host), "asked")


def test_an_endpoint_of_a_container_context_is_asked_from_a_place_in_that_context():
    inside = resolved("kind: tcp, target: {kind: service, name: db, endpoint: app}")
    assert isinstance(inside, ResolvedProbe)
    assert (inside.target, inside.plane, inside.context) == ("tcp db:5432", "container", "app")
    assert inside.where is not None
    assert inside.where.context.container.service_projects == ("local",), "it joins what the service is on"
    outside = resolved("kind: tcp, target: {kind: service, name: db, endpoint: host}")
    assert isinstance(outside, ResolvedProbe)
    assert (outside.plane, outside.where) == ("native", None)


@pytest.mark.parametrize("host", [LINUX, MAC], ids=["linux", "macos"])
def test_an_observer_in_a_container_sees_the_host_through_its_engine_or_not_at_all(host):
    seen = resolved(
        "kind: http, path: /ok, target: {kind: task, name: web, listener: http, "
        "observer: {kind: task, task: looker}}",
        host,
    )
    if host is LINUX:
        assert isinstance(seen, ProbeProblem)
        assert "cannot reach `127.0.0.1:3000`" in seen.why
    else:
        assert isinstance(seen, ResolvedProbe)
        assert seen.target == "http://host.containers.internal:3000/ok"
        assert seen.where is not None
        assert (seen.resolution_plane, seen.where.name) == ("container", "looker")
