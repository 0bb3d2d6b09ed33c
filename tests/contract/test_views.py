"""Which address a view gives a caller: the whole table, on contracts small enough to read."""

from pathlib import Path

import pytest

from ota.contract.load import load_bytes
from ota.contract.model import Contract
from ota.contract.model.scalars import AddressView, Plane
from ota.contract.planes import Planes
from ota.contract.views import Endpoint, Unprovable, address_of, host_endpoint, listener_names, shared_backend

CONTEXTS = """\
version: 1
project: {name: demo}
execution:
  contexts:
    h: {backend: native}
    c: {backend: container, lifecycle: persistent, container: {image: a}}
    r: {backend: remote, remote: {provider: ssh, target: me@host}}
  shared_backends:
    near: {scope: local, backend: native, lifecycle: persistent, context: h}
    box: {scope: local, backend: container, lifecycle: persistent, context: c}
    far: {scope: remote, backend: remote, lifecycle: persistent, context: r}
"""
BACKENDS = {"native": ("h", "near"), "container": ("c", "box"), "remote": ("r", "far")}
HOST = "127.0.0.1:8080"
BIND = "127.0.0.1:9000"


def producer(plane: Plane, *, shared: bool, bind: str = "0.0.0.0") -> str:
    """`api` on a plane: natively host and bind port are one, elsewhere they differ."""
    context, backend = BACKENDS[plane]
    inside = 8080 if plane == "native" else 9000
    binding = f"backend_binding: {backend}, " if shared else ""
    return (
        f"  api:\n    context: {context}\n    launch: {{kind: command, exe: ./api}}\n"
        f"    runtime: {{kind: service, {binding}listeners: {{http: {{protocol: http, "
        f"bind: {{address: '{bind}', port: {{mode: fixed, value: {inside}}}}}, "
        f"project: {{host: {{address: 127.0.0.1, port: {{mode: fixed, value: 8080}}, path: /v1}}}}}}}}}}\n"
    )


def caller(plane: Plane, *, shared: bool, finite: bool = False) -> str:
    """`web` on a plane: a service that may share, or a finite task."""
    context, backend = BACKENDS[plane]
    if finite:
        return f"  web: {{context: {context}, run: ./web}}\n"
    binding = f"backend_binding: {backend}, " if shared else ""
    return (
        f"  web:\n    context: {context}\n    launch: {{kind: command, exe: ./web}}\n"
        f"    runtime: {{kind: service, {binding}listeners: {{http: {{protocol: http, "
        "bind: {address: 0.0.0.0, port: {mode: fixed, value: 7000}}}}}\n"
    )


def contract(tasks: str) -> Contract:
    """The proven contract."""
    return load_bytes((CONTEXTS + "tasks:\n" + tasks).encode(), Path("/repo/ota.yaml"), "ota.yaml").contract


def seen(tasks: str, plane: Plane, view: AddressView) -> Endpoint | Unprovable:
    """What `web` sees of `api` through a view."""
    made = contract(tasks)
    return address_of(
        Planes(made),
        view,
        "http",
        caller=("web", made.tasks["web"], plane),
        producer=("api", made.tasks["api"]),
    )


PLANES: tuple[Plane, ...] = ("native", "container", "remote")


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("shared", [True, False])
def test_the_host_view_is_the_published_url_on_every_plane(plane: Plane, shared: bool) -> None:
    found = seen(producer(plane, shared=shared) + caller(plane, shared=shared), plane, "host")
    assert isinstance(found, Endpoint)
    assert (found.url, found.source) == (f"http://{HOST}/v1", "host projection")


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("view", ["topology", "internal"])
def test_a_shared_backend_gives_the_bind_endpoint(plane: Plane, view: AddressView) -> None:
    found = seen(producer(plane, shared=True) + caller(plane, shared=True), plane, view)
    assert isinstance(found, Endpoint)
    assert found.url == (f"http://{HOST}" if plane == "native" else f"http://{BIND}")
    assert found.shared_backend == BACKENDS[plane][1]


def test_unshared_topology_falls_back_to_the_host_natively_only() -> None:
    native = seen(producer("native", shared=False) + caller("native", shared=False), "native", "topology")
    assert isinstance(native, Endpoint)
    assert native.source == "host projection"
    for plane in ("container", "remote"):
        found = seen(producer(plane, shared=False) + caller(plane, shared=False), plane, "topology")
        assert isinstance(found, Unprovable)
        assert found.kind == "not shared"
        assert "`web` and `api`" in found.reason
        assert f"backend is {plane}" in found.reason


@pytest.mark.parametrize("plane", PLANES)
def test_unshared_internal_is_never_guessed(plane: Plane) -> None:
    found = seen(producer(plane, shared=False) + caller(plane, shared=True), plane, "internal")
    assert isinstance(found, Unprovable)
    assert found.kind == "not shared"


def test_a_finite_caller_shares_through_the_pinned_remote_context_only() -> None:
    for plane, shares in (("remote", True), ("container", False), ("native", False)):
        made = contract(producer(plane, shared=True) + caller(plane, shared=False, finite=True))
        found = shared_backend(Planes(made), made.tasks["web"], plane, made.tasks["api"])
        assert (found is not None) == shares, plane


def test_a_caller_on_another_plane_does_not_share() -> None:
    found = seen(producer("container", shared=True) + caller("native", shared=True), "native", "internal")
    assert isinstance(found, Unprovable)


def test_a_wildcard_bind_is_shown_as_loopback_and_ipv6_in_brackets() -> None:
    wild = seen(
        producer("container", shared=True, bind="::") + caller("container", shared=True),
        "container",
        "internal",
    )
    assert isinstance(wild, Endpoint)
    assert wild.url == f"http://{BIND}"
    one = seen(
        producer("remote", shared=True, bind="fd00::1") + caller("remote", shared=True), "remote", "internal"
    )
    assert isinstance(one, Endpoint)
    assert one.url == "http://[fd00::1]:9000"


def test_a_discovered_port_is_no_provable_bind() -> None:
    tasks = producer("native", shared=True) + caller("native", shared=True)
    tasks = tasks.replace("{mode: fixed, value: 8080}}, project", "{mode: discover}}, project")
    tasks = tasks.replace("port: {mode: fixed, value: 8080}, path: /v1", "port: {mode: auto}, path: /v1")
    found = seen(tasks, "native", "internal")
    assert isinstance(found, Unprovable)
    assert found.kind == "bind not fixed"


def test_tcp_has_no_scheme_and_the_root_path_is_not_shown() -> None:
    service = "{launch: {kind: command, exe: ./a}, runtime: {kind: service, listeners: {%s}}}"
    made = contract(f"  api: {service % 'http: {http: 80}'}\n  raw: {service % 'r: {tcp: 81}'}\n")
    http = host_endpoint("api", made.tasks["api"], "http", made.surfaces)
    tcp = host_endpoint("raw", made.tasks["raw"], "r", made.surfaces)
    assert isinstance(http, Endpoint) and isinstance(tcp, Endpoint)
    assert (http.url, tcp.url) == ("http://127.0.0.1:80", "127.0.0.1:81")
    assert listener_names(made.tasks["raw"], made.surfaces) == ("r",)
    assert isinstance(host_endpoint("raw", made.tasks["raw"], "nope", made.surfaces), Unprovable)
