"""Rules of checks, each broken alone."""

import pytest

from contract.rules.table import Case, errors, prove, told

PROBES = "readiness: {probes: {p: {kind: http, timeout: 2s, url: 'http://example.test/'}}}\n"


def check(kind: str, text: str, name: str = "c") -> str:
    """A contract with one check."""
    return (
        f"{PROBES}checks:\n  - {{name: {name}, kind: {kind}, severity: error{', ' + text if text else ''}}}\n"
    )


def asserting(text: str) -> str:
    """An env check with one assertion on `A`."""
    return check("env", f"env: {{assertions: [{{key: A{', ' + text if text else ''}}}]}}")


def changed(text: str) -> str:
    """A changed_files check."""
    return check("changed_files", f"changed_files: {{{text}}}")


RUN = check("precondition", "run: 'true'")
FILE = check("file", "path: a")
ENV = asserting("state: present")
CHANGED = changed("paths: ['src/**']")
C = "checks[0]"
A = C + ".env.assertions[0]"

CASES = (
    Case("V245", C + ".name", check("precondition", "run: x", '""'), RUN),
    Case("V246", C, check("precondition", ""), RUN),
    Case("V246", C, check("health", ""), check("health", "probe: p")),
    Case("V246", C, check("health", "run: x, probe: p"), check("health", "run: x")),
    Case("V246", C, check("file", "path: a, run: x"), FILE),
    Case("V246", C, check("env", "path: a, env: {assertions: [{key: A, state: present}]}"), ENV),
    Case("V247", C + ".path", check("file", ""), FILE),
    Case("V247", C + ".path", check("file", "run: x"), FILE),
    Case("V248", C + ".path", check("precondition", "path: a"), RUN),
    Case(
        "V250",
        C + ".expect",
        check("precondition", "run: x, expect: file"),
        check("file", "path: a, expect: file"),
    ),
    Case("V251", C + ".changed_files", check("changed_files", ""), CHANGED),
    Case("V251", C + ".changed_files", check("changed_files", "run: x"), CHANGED),
    Case("V251", C + ".changed_files", check("health", "changed_files: {paths: [a]}"), CHANGED),
    Case("V252", C + ".changed_files.paths", changed("paths: []"), CHANGED),
    *(
        Case("V252", C + ".changed_files.paths[0]", changed(f"paths: ['{p}']"), CHANGED)
        for p in ("", "../a", "/a")
    ),
    Case("V253", C + ".changed_files.base_ref", changed('paths: [a], base_ref: ""'), CHANGED),
    Case("V253", C + ".changed_files.head_ref", changed('paths: [a], base_ref: x, head_ref: ""'), CHANGED),
    Case("V254", C + ".run", check("precondition", 'run: " "'), RUN),
    Case("V255", C + ".probe", check("health", "probe: nope"), check("health", "probe: p")),
    Case("V255", C + ".probe", check("health", 'probe: ""'), check("health", "probe: p")),
    Case("V256", C + ".path", check("file", "path: ../a"), check("file", "path: ../a, scope: workspace")),
    Case(
        "V256",
        C + ".path",
        check("file", "path: /a, scope: workspace"),
        check("file", "path: a, scope: repo"),
    ),
    Case("V256", C + ".path", check("file", 'path: ""'), check("file", "path: .")),
    Case("V257", C + ".scope", check("health", "run: x, scope: repo"), check("health", "run: x")),
    *(
        Case(
            "V258",
            C + ".timeout",
            check("health", f"run: x, timeout: {bad}"),
            check("health", f"run: x, timeout: {fine}"),
        )
        for bad, fine in (("0", "10"), ("0ms", "500ms"), ("later", "10000"), ("-3", "3s"))
    ),
    Case("V259", C + ".env", check("env", ""), ENV),
    Case("V259", C + ".env", check("env", "probe: p"), ENV),
    Case("V259", C + ".env", check("file", "env: {assertions: [{key: A, state: present}]}"), ENV),
    *(
        Case(
            "V260",
            C + ".env.path",
            check("env", f"env: {{path: '{path}', assertions: [{{key: A, state: present}}]}}"),
            check("env", "env: {path: .env, assertions: [{key: A, state: present}]}"),
        )
        for path in ("", "../.env", "/etc/env")
    ),
    Case("V261", C + ".env.assertions", check("env", "env: {assertions: []}"), ENV),
    Case("V261", A + ".key", check("env", 'env: {assertions: [{key: "", state: present}]}'), ENV),
    Case("V262", A, asserting(""), asserting("equals: x")),
    Case("V262", A, asserting("equals: x, state: present"), asserting("not_equals: [x]")),
    Case("V263", A + ".host", asserting("host: {}"), asserting("host: {policy: not_loopback}")),
    Case(
        "V263",
        A + ".url_host",
        asserting("url_host: {policy: not_loopback, allowed: [a]}"),
        asserting("url_host: {allowed: [a]}"),
    ),
    Case("V264", A + ".not_equals", asserting("not_equals: []"), ENV),
    Case("V264", A + ".not_equals[1]", asserting('not_equals: [a, ""]'), ENV),
    Case("V264", A + ".host.allowed", asserting("host: {allowed: []}"), ENV),
    Case("V264", A + ".url_host.allowed[0]", asserting('url_host: {allowed: [""]}'), ENV),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_check_rule_is_broken_alone(case: Case) -> None:
    prove(case)


def test_a_file_check_without_expect_means_exists() -> None:
    assert errors(FILE) == []


def test_bare_timeouts_are_noted_once_with_their_reading() -> None:
    text = PROBES + (
        "checks:\n"
        "  - {name: a, kind: health, severity: warn, run: x, timeout: 10}\n"
        "  - {name: b, kind: health, severity: warn, run: x, timeout: 10000}\n"
    )
    notes = [finding for finding in told(text) if finding.code == "OTA_TIMEOUT_READING"]
    assert [(note.severity, note.place and note.place.field) for note in notes] == [
        ("info", "checks[0].timeout")
    ]
    assert "10 seconds" in notes[0].why


def test_timeouts_with_units_draw_no_note() -> None:
    assert told(check("health", "run: x, timeout: 10s")) == ()
