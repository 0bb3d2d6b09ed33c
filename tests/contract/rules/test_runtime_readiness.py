"""Rules of runtime readiness, each broken alone."""

import pytest

from contract.rules.table import Case, prove

MORE = """execution:
  contexts:
    host: {backend: native}
    box: {backend: container, lifecycle: persistent, container: {image: n}}
"""
PROBES = """readiness:
  probes:
    web: {kind: http, timeout: 2s, path: /, target: {kind: task, name: t, listener: l}}
    far: {kind: http, timeout: 2s, url: "http://example.com/"}
    other: {kind: http, timeout: 2s, path: /, target: {kind: task, name: u, listener: l}}
"""
INSIDE = """readiness:
  probes:
    far: {kind: http, timeout: 2s, url: "http://example.com/"}
    inside: {kind: tcp, timeout: 2s, target: {kind: task, name: t, listener: l, address_view: internal}}
"""
U = "  u: {launch: {kind: command, exe: b}, runtime: {kind: service, listeners: {l: {http: 4000}}}}\n"
LISTENERS = "l: {http: 3000}"
OPEN = (
    "l: {protocol: http, bind: {address: 0.0.0.0, port: {mode: fixed, value: 3000}}, "
    "project: {host: {address: 127.0.0.1, port: {mode: fixed, value: 3000}}}}"
)
BARE = "l: {protocol: http, bind: {address: 127.0.0.1, port: {mode: fixed, value: 3000}}}"

BOTH = ", execution: {default_mode: native, modes: {container: {context: box}}}"
"""Native by default: what probe `inside` itself may assume."""
TCP_LISTENER = (
    "m: {protocol: tcp, bind: {address: 127.0.0.1, port: {mode: fixed, value: 9}}, "
    "project: {host: {address: 127.0.0.1, port: {mode: auto}, primary: true}}}"
)


def ready(text: str, listeners: str = LISTENERS, task: str = "", probes: str = PROBES) -> str:
    runtime = f"runtime: {{kind: service, listeners: {{{listeners}}}, readiness: {{{text}}}}}"
    return f"tasks:\n  t: {{launch: {{kind: command, exe: a}}{task}, {runtime}}}\n{U}{MORE}{probes}"


HTTP = ready("kind: http, listener: l, path: /")
TCP = ready("kind: tcp, listener: l")
PROBE = ready("probe: web")
R = "tasks.t.runtime.readiness."

CASES = (
    Case("V450", R[:-1], ready("listener: l"), TCP),
    Case("V451", R + "probe", ready("probe: wbe"), PROBE),
    *(
        pytest.param(
            Case("V452", R + field, ready(f"probe: web, {field}: {value}"), PROBE),
            marks=pytest.mark.proves("S003-116"),
        )
        for field, value in (
            ("kind", "http"),
            ("method", "GET"),
            ("path", "/"),
            ("headers", "{A: b}"),
            ("success", "{status: [200]}"),
            ("body", "{contains: a}"),
            ("timeout", "5s"),
        )
    ),
    Case(
        "V453",
        R + "signal_probes",
        ready("probe: far, signal_probes: []"),
        ready("probe: far, signal_probes: [web]"),
    ),
    Case("V453", R + "signal_probes[0]", ready("probe: web, signal_probes: [web]"), PROBE),
    Case("V453", R + "signal_probes[1]", ready("probe: far, signal_probes: [web, web]"), PROBE),
    Case("V454", R + "signal_probes[0]", ready("probe: far, signal_probes: [wbe]"), PROBE),
    Case("V455", R + "signal_probes[0]", ready("probe: web, signal_probes: [far]"), PROBE),
    Case("V455", R + "signal_probes[0]", ready("probe: web, signal_probes: [other]"), PROBE),
    Case(
        "V456",
        R + "signal_probes[0]",
        ready("probe: far, signal_probes: [inside]", OPEN, BOTH, INSIDE),
        ready("probe: far, signal_probes: [inside]", probes=INSIDE),
    ),
    Case("V457", R + "listener", ready("kind: tcp"), TCP),
    Case("V457", R + "listener", ready("kind: tcp, listener: m"), TCP),
    Case("V457", R + "listener", ready("probe: web, listener: m"), PROBE),
    Case(
        "V458",
        R + "listener",
        ready("kind: http, path: /, listener: m", LISTENERS + ", " + TCP_LISTENER),
        ready("kind: tcp, listener: m", LISTENERS + ", " + TCP_LISTENER),
    ),
    Case("V459", R + "path", ready("kind: http, listener: l"), HTTP),
    Case("V459", R + "path", ready("kind: http, listener: l, path: ok"), HTTP),
    Case("V460", R + 'headers.""', ready('kind: http, listener: l, path: /, headers: {"": a}'), HTTP),
    Case(
        "V460",
        R + "success.status[0]",
        ready("kind: http, listener: l, path: /, success: {status: [42]}"),
        HTTP,
    ),
    Case(
        "V460",
        R + "body.contains",
        ready("kind: http, listener: l, path: /, method: HEAD, body: {contains: a}"),
        HTTP,
    ),
    *(
        Case("V461", R + field, ready(f"kind: tcp, listener: l, {field}: {value}"), TCP)
        for field, value in (
            ("path", "/"),
            ("method", "GET"),
            ("headers", "{A: b}"),
            ("success", "{status: [200]}"),
            ("body", "{contains: a}"),
        )
    ),
    Case("V462", R + "listener", ready("kind: tcp, listener: l", BARE, probes=""), TCP),
    *(
        Case("V464", R + field, ready(f"kind: tcp, listener: l, {field}: {value}"), TCP)
        for field, value in (
            ("interval", "0"),
            ("timeout", "soon"),
            ("retries", "0"),
            ("start_period", "1.5s"),
        )
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_readiness_rule_is_broken_alone(case: Case) -> None:
    prove(case)
