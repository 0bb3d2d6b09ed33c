"""Rules of runtimes, listeners and attached surfaces, each broken alone."""

import pytest

from contract.rules.table import Case, errors, only, prove, told
from ota.contract.listeners import primary_listener
from ota.contract.model.runtime import Bind, BindPort, HostPort, HostProjection, Listener, Projection
from ota.contract.model.scalars import Port

EXECUTION = """execution:
  contexts:
    host: {backend: native}
    box: {backend: container, lifecycle: persistent, container: {image: n}}
    once: {backend: container, lifecycle: ephemeral, fulfillment: run, container: {image: n}}
    plain: {backend: container, lifecycle: ephemeral, container: {image: n}}
  shared_backends:
    here: {scope: local, backend: native, lifecycle: persistent}
"""
SURFACES = "surfaces: {web: {kind: http, port: 3000}, ops: {kind: tcp, port: 9}}\n"


def service(runtime: str, task: str = "", more: str = EXECUTION + SURFACES) -> str:
    body = f"launch: {{kind: command, exe: a}}{task}"
    return f"tasks:\n  t: {{{body}, runtime: {{kind: service{runtime}}}}}\n{more}"


def listeners(text: str, task: str = "") -> str:
    return service(f", listeners: {{{text}}}", task)


def listener(
    bind: str = "{mode: fixed, value: 3000}",
    host: str = "",
    address: str = "127.0.0.1",
    protocol: str = "http",
    name: str = "l",
) -> str:
    """One listener in full form; `host` is the host port and what follows it."""
    project = f", project: {{host: {{address: 127.0.0.1, port: {host}}}}}" if host else ""
    return f"{name}: {{protocol: {protocol}, bind: {{address: {address}, port: {bind}}}{project}}}"


FIXED = "{mode: fixed, value: 3000}"
AUTO = "{mode: auto}"
SHORT = listeners("l: {http: 3000}")
FULL = listeners(listener(host=FIXED))
L = "tasks.t.runtime.listeners.l."
HOST = L + "project.host."


def second(host: str) -> str:
    return listener(host=host, name="m").replace("3000", "3001")


def surfaces(text: str) -> str:
    return service(f", surfaces: {text}")


CASES = (
    pytest.param(
        Case(
            "V420",
            "tasks.t.runtime.backend_binding",
            service(", backend_binding: heer, listeners: {l: {http: 80}}"),
            service(", backend_binding: here, listeners: {l: {http: 80}}"),
        ),
        marks=pytest.mark.proves("S004-42"),
    ),
    pytest.param(
        Case(
            "V421",
            "tasks.t.runtime.backend_binding",
            service(", backend_binding: here, listeners: {" + listener() + "}", ", context: box"),
            service(", backend_binding: here, listeners: {" + listener() + "}", ", context: host"),
        ),
        marks=pytest.mark.proves("S004-42"),
    ),
    Case("V423", 'tasks.t.runtime.listeners.""', listeners('"": {http: 80}'), SHORT),
    Case("V424", L + "bind.address", listeners(listener(address='""')), listeners(listener())),
    Case(
        "V424",
        "tasks.t.runtime.surfaces.web.bind.address",
        surfaces('{web: {bind: {address: " "}}}'),
        surfaces("{web: {}}"),
    ),
    Case("V425", L + "bind.port.value", listeners(listener("{mode: fixed}")), listeners(listener())),
    Case(
        "V426",
        L + "bind.port.value",
        listeners(listener("{mode: discover, value: 3}")),
        listeners(listener("{mode: discover}")),
    ),
    pytest.param(
        Case(
            "V427", L + "bind.port.mode", listeners(listener(AUTO)), listeners(listener("{mode: discover}"))
        ),
        marks=pytest.mark.proves("S000-143"),
    ),
    Case(
        "V427",
        L + "bind.port.mode",
        listeners(listener(AUTO, FIXED, "0.0.0.0"), ", context: box"),
        listeners(listener(FIXED, AUTO, "0.0.0.0"), ", context: box"),
    ),
    Case("V429", HOST + "address", FULL.replace("host: {address: 127.0.0.1", 'host: {address: ""'), FULL),
    Case("V430", HOST + "port.value", listeners(listener(host="{mode: fixed}")), FULL),
    Case(
        "V431",
        HOST + "port.value",
        listeners(listener(host="{mode: auto, value: 3000}")),
        listeners(listener(host=AUTO)),
    ),
    Case(
        "V432",
        HOST + "path",
        listeners(listener(host=FIXED + ", path: app")),
        listeners(listener(host=FIXED + ", path: /app")),
    ),
    *(
        pytest.param(case, marks=pytest.mark.proves("S000-136"))
        for case in (
            Case(
                "V433",
                "tasks.t.runtime.listeners",
                listeners(listener(host=FIXED) + ", " + second(FIXED)),
                listeners(listener(host=FIXED) + ", " + second(FIXED + ", primary: true")),
            ),
            Case(
                "V434",
                "tasks.t.runtime.listeners",
                listeners(
                    listener(host=FIXED + ", primary: true") + ", " + second(FIXED + ", primary: true")
                ),
                listeners(listener(host=FIXED + ", primary: true") + ", " + second(FIXED)),
            ),
        )
    ),
    Case(
        "V433",
        "tasks.t.runtime.listeners",
        surfaces("[web, ops]"),
        surfaces("{web: {project: {host: {primary: true}}}, ops: {}}"),
    ),
    pytest.param(
        Case(
            "V435",
            "tasks.t.runtime.listeners.web_a",
            listeners("web-a: {http: 80}, " + listener(host=FIXED + ", primary: true", name="web_a")),
            listeners("web-a: {http: 80}, " + listener(host=FIXED + ", primary: true", name="web_b")),
        ),
        marks=pytest.mark.proves("S000-144"),
    ),
    Case("V443", "tasks.t.runtime.surfaces.wbe", surfaces("[wbe]"), surfaces("[web]")),
    Case("V444", "tasks.t.runtime.surfaces[1]", surfaces("[web, web]"), surfaces("[web]")),
    Case(
        "V445",
        "tasks.t.runtime.surfaces.web.bind.port",
        surfaces("{web: {bind: {port: {mode: fixed, value: 3001}}, project: {host: {port: {mode: auto}}}}}"),
        surfaces("{web: {bind: {port: {mode: fixed, value: 3000}}, project: {host: {port: {mode: auto}}}}}"),
    ),
    Case(
        "V446",
        "tasks.t.runtime.listeners.web.protocol",
        service(", surfaces: [web], listeners: {web: {tcp: 3000}}"),
        service(", surfaces: [web], listeners: {web: {http: 3000}}"),
    ),
    Case(
        "V446",
        "tasks.t.runtime.listeners.web.bind.port",
        service(", surfaces: [web], listeners: {web: {http: 3001}}"),
        service(", surfaces: [web], listeners: {web: {http: 3000}}"),
    ),
    pytest.param(
        Case(
            "V447",
            "tasks.t.runtime",
            listeners(listener(), ", context: once"),
            listeners(listener(), ", context: plain"),
        ),
        marks=pytest.mark.proves("S004-114"),
    ),
)

PARSED = (
    Case(
        "P03",
        L + "protocol",
        listeners("l: {protocol: udp, bind: {address: a, port: {mode: discover}}}"),
        SHORT,
    ),
    Case("P03", HOST + "port.mode", listeners(listener(host="{mode: discover}")), FULL),
    Case("P04", L + "bind.port.mode", listeners(listener("{value: 3}")), FULL),
)
"""What the parser refuses already."""


@pytest.mark.parametrize("case", (*CASES, *PARSED), ids=str)
def test_a_runtime_rule_is_broken_alone(case: Case) -> None:
    prove(case)


@pytest.mark.parametrize("mixed", ["protocol: null", "bind: {}", "project: null", "protocol: http"])
@pytest.mark.proves("S001-73", "S002-66")
def test_shorthand_stands_alone(mixed: str) -> None:
    assert [rule for rule, _ in errors(listeners(f"l: {{http: 3000, {mixed}}}"))] == ["P05"]


@pytest.mark.proves("S001-74", "S002-67")
def test_a_listener_has_one_protocol() -> None:
    assert [rule for rule, _ in errors(listeners("l: {http: 3000, tcp: 3001}"))] == ["P06"]


def test_primary_messages_say_what_the_troubleshooting_guide_says() -> None:
    none = only(listeners(listener(host=FIXED) + ", " + second(FIXED)))
    assert "declares multiple projected listeners" in none.summary
    assert "none sets project.host.primary: true" in none.summary
    marked = FIXED + ", primary: true"
    many = only(listeners(listener(host=marked) + ", " + second(marked)))
    assert "declares multiple listeners with project.host.primary: true" in many.summary


@pytest.mark.proves("S000-143")
def test_automatic_bind_says_where_auto_belongs() -> None:
    found = only(listeners(listener(AUTO)))
    assert "`auto`" in found.summary
    assert "`project.host.port.mode`" in found.why


def test_a_worker_without_listeners_is_advised_only() -> None:
    found = told("tasks: {t: {launch: {kind: command, exe: a}, runtime: {kind: service}}}\n")
    assert [(each.code, each.severity) for each in found] == [("OTA_V422", "warn")]


@pytest.mark.proves("S000-130", "S001-48", "S001-49")
@pytest.mark.parametrize(
    "text",
    [
        "l: {http: 3000}",
        "l: {tcp: 6379}",
        listener(address="0.0.0.0"),
        listener(host=AUTO),
        listener(host=FIXED + ", primary: true, path: /app"),
        listener(protocol="https", host=FIXED),
        listener(host=FIXED) + ", " + second(FIXED + ", primary: true"),
    ],
)
def test_a_service_declares_its_listeners(text: str) -> None:
    assert errors(listeners(text)) == []


@pytest.mark.proves("S001-49")
def test_a_container_publishes_what_binds_every_address() -> None:
    assert errors(listeners(listener(FIXED, AUTO, "0.0.0.0"), ", context: box")) == []


@pytest.mark.proves("S001-64")
@pytest.mark.parametrize("names", [("a", "z"), ("z", "a"), ("web", "admin")])
def test_the_marked_listener_is_primary_whatever_it_is_called(names: tuple[str, str]) -> None:
    marked, other = names
    both = {
        marked: made(Port(3001), primary=True),
        other: made(Port(3000), primary=False),
    }
    assert primary_listener(both) == marked
    text = (
        listener(host=FIXED, name=other)
        + ", "
        + second(FIXED + ", primary: true").replace("m:", f"{marked}:")
    )
    assert errors(listeners(text)) == []
    assert errors(listeners(text.replace(", primary: true", ""))) == [("V433", "tasks.t.runtime.listeners")]


def made(port: Port, *, primary: bool) -> Listener:
    host = HostProjection(address="127.0.0.1", port=HostPort(mode="fixed", value=port), primary=primary)
    bind = Bind(address="127.0.0.1", port=BindPort(mode="fixed", value=port))
    return Listener(protocol="http", bind=bind, project=Projection(host=host))
