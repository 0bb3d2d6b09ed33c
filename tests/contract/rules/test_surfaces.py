"""Rules of surfaces, each broken alone."""

import pytest

from contract.rules.table import Case, prove


def surface(text: str, name: str = "s") -> str:
    """A contract with one surface."""
    return f"surfaces: {{{name}: {{{text}}}}}\n"


def ready(text: str, kind: str = "http") -> str:
    """An http surface with readiness."""
    return surface(f"kind: {kind}, port: 80, readiness: {{{text}}}")


WEB = surface("kind: http, port: 80")
READY = ready("kind: http")
R = "surfaces.s.readiness."

CASES = (
    Case("V195", 'surfaces.""', surface("kind: http, port: 80", '""'), WEB),
    Case("V195", "surfaces.s.label", WEB.replace("80", '80, label: ""'), WEB.replace("80", "80, label: Web")),
    Case("V195", "surfaces.s.purpose", WEB.replace("80", '80, purpose: " "'), WEB),
    Case("V197", "surfaces.s.port", surface("kind: tcp, port: 0"), surface("kind: tcp, port: 1")),
    Case("V197", "surfaces.s.port", surface("kind: tcp, port: 65536"), surface("kind: tcp, port: 65535")),
    Case("V198", "surfaces.s.path", WEB.replace("80", "80, path: app"), WEB.replace("80", "80, path: /app")),
    Case("V199", "surfaces.s.path", surface("kind: tcp, port: 80, path: /"), surface("kind: tcp, port: 80")),
    Case("V200", R + "path", ready("kind: http, path: ok"), ready("kind: http, path: /ok")),
    Case("V200", R + "path", ready("kind: http", "tcp"), ready("kind: tcp", "tcp")),
    Case("V201", R + 'headers.""', ready('kind: http, headers: {"": a}'), READY),
    Case("V201", R + "success.status[0]", ready("kind: http, success: {status: [42]}"), READY),
    Case("V201", R + "body.contains", ready('kind: http, body: {contains: ""}'), READY),
    Case(
        "V201",
        R + "body.contains",
        ready("kind: http, method: HEAD, body: {contains: ok}"),
        ready("kind: http, method: GET, body: {contains: ok}"),
    ),
    *(
        Case("V202", R + field, ready(f"kind: tcp, {field}: {value}"), ready("kind: tcp"))
        for field, value in (
            ("path", "/"),
            ("method", "GET"),
            ("headers", "{A: b}"),
            ("success", "{status: [200]}"),
            ("body", "{contains: a}"),
        )
    ),
    *(
        Case("V203", R + field, ready(f"kind: http, {field}: {value}"), ready(f"kind: http, {field}: {fine}"))
        for field, value, fine in (
            ("interval", "0", "250"),
            ("timeout", "soon", "5s"),
            ("start_period", "0s", "1m"),
            ("retries", "0", "1"),
        )
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_surface_rule_is_broken_alone(case: Case) -> None:
    prove(case)
