"""What each plane lets a listener do, each rule broken alone."""

import pytest

from contract.rules.table import Case, errors, only, prove

EXECUTION = """execution:
  contexts:
    host: {backend: native}
    box: {backend: container, lifecycle: persistent, container: {image: n}}
    once: {backend: container, lifecycle: ephemeral, container: {image: n}}
    far: {backend: remote, remote: {provider: ssh, target: a@b}}
  shared_backends:
    there: {scope: remote, backend: remote, lifecycle: persistent}
"""


def listener(
    bind: str = "{mode: fixed, value: 3000}", host: str = "", address: str = "127.0.0.1", name: str = "l"
) -> str:
    project = f", project: {{host: {{address: 127.0.0.1, port: {host}}}}}" if host else ""
    return f"{name}: {{protocol: http, bind: {{address: {address}, port: {bind}}}{project}}}"


def task(listeners: str, context: str = "host", extra: str = "", name: str = "t") -> str:
    runtime = f"runtime: {{kind: service{extra}, listeners: {{{listeners}}}}}"
    return f"  {name}: {{context: {context}, launch: {{kind: command, exe: a}}, {runtime}}}\n"


def service(listeners: str, context: str = "host", extra: str = "", more: str = "") -> str:
    return "tasks:\n" + task(listeners, context, extra) + more + EXECUTION


FIXED = "{mode: fixed, value: 3000}"
OTHER = "{mode: fixed, value: 3001}"
AUTO = "{mode: auto}"
DISCOVER = "{mode: discover}"
OPEN = "0.0.0.0"
L = "tasks.t.runtime.listeners.l."
NATIVE = service(listener(FIXED, FIXED))
BOX = service(listener(FIXED, FIXED, OPEN), "box")
FAR = service(listener(FIXED, FIXED), "far")


def loopback(address: str) -> Case:
    return Case("V437", L + "bind.address", service(listener(FIXED, FIXED, address), "box"), BOX)


SHARED = ", backend_binding: there, readiness: {kind: tcp, listener: l}"

CASES = (
    # The probed listener of a shared remote backend has a rule of its own.
    Case(
        "V463",
        L + "bind.port.mode",
        service(listener(DISCOVER), "far", SHARED),
        service(listener(FIXED), "far", SHARED),
    ),
    Case("V428", L + "bind.port.mode", service(listener(DISCOVER), "box"), service(listener(), "box")),
    Case(
        "V428",
        L + "bind.port.mode",
        service(listener(DISCOVER) + ", " + listener(OTHER, name="m")),
        service(listener() + ", " + listener(OTHER, name="m")),
    ),
    pytest.param(
        Case(
            "V436",
            L + "bind.port.mode",
            service(listener(DISCOVER, AUTO, OPEN), "box"),
            service(listener(FIXED, AUTO, OPEN), "box"),
        ),
        marks=pytest.mark.proves("S000-133", "S000-143", "S001-68", "S001-69"),
    ),
    pytest.param(loopback("127.0.0.1"), marks=pytest.mark.proves("S000-133", "S001-70")),
    pytest.param(loopback("localhost"), marks=pytest.mark.proves("S001-71")),
    loopback('"::1"'),
    loopback("127.0.1.1"),
    pytest.param(
        Case("V438", L + "project.host.port.value", service(listener(FIXED, OTHER)), NATIVE),
        marks=pytest.mark.proves("S000-132"),
    ),
    pytest.param(
        Case(
            "V439",
            L + "project.host.port.mode",
            service(listener(DISCOVER, FIXED)),
            service(listener(DISCOVER, AUTO)),
        ),
        marks=pytest.mark.proves("S000-132", "S001-67"),
    ),
    pytest.param(
        Case("V440", L + "bind.port.mode", service(listener(DISCOVER), "far"), FAR),
        marks=pytest.mark.proves("S004-79"),
    ),
    Case("V441", L + "project.host.port.mode", service(listener(FIXED, AUTO), "far"), FAR),
    Case(
        "V442",
        "tasks.u.runtime.listeners.l.project.host",
        service(
            listener(FIXED, FIXED, OPEN), "box", more=task(listener(FIXED, OTHER, OPEN), "box", name="u")
        ),
        service(
            listener(FIXED, FIXED, OPEN), "box", more=task(listener(FIXED, FIXED, OPEN), "box", name="u")
        ),
    ),
    Case(
        "V442",
        "tasks.t.runtime.listeners.m.project.host",
        service(
            listener(FIXED, FIXED, OPEN) + ", " + listener(FIXED, OTHER + ", primary: true", OPEN, "m"),
            "once",
        ),
        service(
            listener(FIXED, FIXED, OPEN) + ", " + listener(OTHER, OTHER + ", primary: true", OPEN, "m"),
            "once",
        ),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_plane_rule_is_broken_alone(case: Case) -> None:
    prove(case)


def test_tasks_in_fresh_containers_publish_for_themselves() -> None:
    other = task(listener(FIXED, OTHER, OPEN), "once", name="u")
    assert errors(service(listener(FIXED, FIXED, OPEN), "once", more=other)) == []


def test_a_loopback_bind_in_a_container_is_told_with_its_fix() -> None:
    found = only(service("l: {http: 3000}", "box"))
    assert "cannot project to the host from a loopback-only container bind address" in found.summary
    assert "`bind.address: 0.0.0.0`" in found.next
    assert "full form" in found.next
    assert found.place is not None
    assert found.place.field == L + "bind.address"


@pytest.mark.proves("S000-143")
def test_a_container_projection_names_the_bind_mode_it_found() -> None:
    assert "`discover`" in only(service(listener(DISCOVER, AUTO, OPEN), "box")).summary


def test_a_loopback_surface_in_a_container_is_fixed_by_an_override() -> None:
    surface = "surfaces: {web: {kind: http, port: 3000}}\n"
    plain = service("", "box", ", surfaces: [web]") + surface
    assert errors(plain) == [("V437", "tasks.t.runtime.surfaces")]
    assert "surface `web`" in only(plain).next
    fixed = service("", "box", ", surfaces: {web: {bind: {address: 0.0.0.0}}}") + surface
    assert errors(fixed) == []


def test_an_engine_that_runs_the_service_may_translate_its_port() -> None:
    launch = "launch: {kind: container, image: n}"
    overlay = "{web: {bind: {address: 0.0.0.0}, project: {host: {port: {mode: fixed, value: 8080}}}}}"
    text = f"tasks:\n  t: {{{launch}, runtime: {{kind: service, surfaces: {overlay}}}}}\n"
    assert errors(text + "surfaces: {web: {kind: http, port: 80}}\n") == []
