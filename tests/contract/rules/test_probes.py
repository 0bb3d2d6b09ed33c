"""Rules of readiness probes, each broken alone."""

import pytest

from contract.rules.table import Case, errors, only, prove

API = "target: {kind: task, name: api, listener: http}"
TASKS = (
    "tasks:\n"
    "  api: {launch: {kind: command, exe: ./api}, runtime: {kind: service, listeners: %s}}\n"
    "  e2e: {run: ./e2e}\n"
)
LISTENERS = "{http: {http: 8080}}"
RAW = "{raw: {tcp: 9000}}"
SERVICE = (
    "execution: {default_context: h, contexts: {h: {backend: native}}}\n"
    "services: {db: {manager: {kind: compose, name: n, service: db}, endpoints: {%s}}}\n"
)
ONE = SERVICE % "h: {address: 127.0.0.1, port: 1}"
TWO = SERVICE % "h: {address: 127.0.0.1, port: 1}, i: {context: h, address: 127.0.0.1, port: 2}"


def probe(text: str, rest: str = "", name: str = "p", timeout: str = "timeout: 2s, ") -> str:
    """A contract with one probe."""
    return f"readiness: {{probes: {{{name}: {{{timeout}{text}}}}}}}\n{rest}"


def http(text: str, listeners: str = LISTENERS, rest: str = "") -> str:
    """An http probe beside a service task."""
    return probe(f"kind: http, {text}", TASKS % listeners + rest)


def tcp(text: str, listeners: str = LISTENERS) -> str:
    """A tcp probe beside a service task."""
    return probe(f"kind: tcp, {text}", TASKS % listeners)


def listening(bind: str, project: str = "") -> str:
    """One listener, in full form."""
    published = f", project: {{host: {{address: 127.0.0.1, port: {{{project}}}}}}}" if project else ""
    return f"{{http: {{protocol: http, bind: {{address: 127.0.0.1, port: {{{bind}}}}}{published}}}}}"


def seen(view: str, observer: str = "", listeners: str = LISTENERS, rest: str = "") -> str:
    """A probe that looks at the task through a view."""
    watched = f", observer: {{{observer}}}" if observer else ""
    return http(f"path: /h, {API[:-1]}, address_view: {view}{watched}}}", listeners, rest)


GET = f"path: /h, {API}"
URL = 'url: "http://example.test/"'
VALID = http(GET)
WEB = probe(f"kind: http, {URL}")
P = "readiness.probes.p"
T = P + ".target"
FIXED = "mode: fixed, value: 8080"
SHARED = (
    "execution: {shared_backends: {b: {scope: local, backend: native, lifecycle: persistent}}}\n"
    "tasks:\n"
    "  api: {launch: {kind: command, exe: ./api}, "
    "runtime: {kind: service, backend_binding: b, listeners: {http: {http: 8080}}}}\n"
    "  ui: {launch: {kind: command, exe: ./ui}, "
    "runtime: {kind: service%s, listeners: {http: {http: 8081}}}}\n"
)
INTERNAL = f"kind: http, path: /h, {API[:-1]}, address_view: internal, observer: {{kind: task, task: ui}}}}"
BRANCHED = (
    "execution: {contexts: {h: {backend: native}, c: {backend: container, lifecycle: persistent, "
    "container: {image: a}}}}\n"
    "tasks:\n"
    "  api:\n"
    "    launch: {kind: command, exe: ./api}\n"
    "    runtime: {kind: service, listeners: {http: {http: 8080}}}\n"
    "    execution:\n"
    "      default_mode: native\n"
    "      modes:\n"
    "        container:\n"
    "          context: c\n"
    "          runtime: {kind: service, listeners: {http: {protocol: http, "
    "bind: {address: 0.0.0.0, port: {mode: fixed, value: 8080}}, "
    "project: {host: {address: 127.0.0.1, port: {mode: fixed, value: %s}}}}}}\n"
)

CASES = (
    Case("V165", 'readiness.probes.""', probe(f"kind: http, {URL}", name='""'), WEB),
    Case("V166", P, probe("kind: http"), WEB),
    Case("V166", P, http(f"{API}, {URL}"), VALID),
    Case("V167", P + ".timeout", probe(f"kind: http, {URL}", timeout=""), WEB),
    *(
        Case("V168", P + ".timeout", probe(f"kind: http, {URL}", timeout=f"timeout: {text}, "), WEB)
        for text in ("0", "0s", "soon", "-1", "1.5")
    ),
    *(
        Case("V169", P + ".url", probe(f"kind: http, url: '{url}'"), WEB)
        for url in (
            "example.test",
            "http://",
            "https://",
            "",
            "ftp://example.test",
            "http://a:99999/",
        )
    ),
    Case("V170", P + ".url", probe(f"kind: tcp, {URL}"), tcp(API)),
    *(
        Case("V171", f"{P}.{field}", tcp(f"{API}, {field}: {value}"), tcp(API))
        for field, value in (
            ("method", "GET"),
            ("headers", "{A: b}"),
            ("success", "{status: [200]}"),
            ("body", "{contains: a}"),
            ("expect_status", "200"),
        )
    ),
    Case("V172", P + ".path", probe(f"kind: http, path: /h, {URL}"), WEB),
    Case(
        "V173",
        P + ".expect_status",
        http(f"{GET}, expect_status: 200, success: {{status: [200]}}"),
        http(f"{GET}, success: {{status: [200]}}"),
    ),
    Case("V174", P + ".expect_status", http(f"{GET}, expect_status: 99"), http(f"{GET}, expect_status: 204")),
    Case("V174", P + ".success.status", http(f"{GET}, success: {{status: []}}"), VALID),
    Case("V174", P + ".success.status[1]", http(f"{GET}, success: {{status: [200, 600]}}"), VALID),
    Case("V175", P + '.headers.""', http(GET + ', headers: {"": b}'), http(f"{GET}, headers: {{A: b}}")),
    Case("V176", P + ".body.contains", http(GET + ', body: {contains: ""}'), VALID),
    Case(
        "V176",
        P + ".body.contains",
        http(f"{GET}, method: HEAD, body: {{contains: a}}"),
        http(f"{GET}, body: {{contains: a}}"),
    ),
    Case("V178", T + ".name", http(GET.replace("api", "nope")), VALID),
    Case("V178", T + ".name", http(GET.replace("api", '""')), VALID),
    Case("V179", T + ".listener", http("path: /h, target: {kind: task, name: api}"), VALID),
    Case("V180", T + ".endpoint", http(GET[:-1] + ", endpoint: h}"), VALID),
    Case("V181", T + ".listener", http(GET.replace("listener: http", "listener: web")), VALID),
    Case("V181", T + ".listener", http(GET.replace("api", "e2e")), VALID),
    Case("V182", T + ".observer.task", seen("host", "kind: task"), seen("host", "kind: task, task: e2e")),
    Case("V182", T + ".observer.task", seen("host", "kind: task, task: nope"), VALID),
    Case(
        "V183",
        T + ".observer.task",
        seen("host", "kind: command_host, task: e2e"),
        seen("host", "kind: command_host"),
    ),
    Case("V184", T + ".address_view", seen("topology"), seen("topology", "kind: task, task: e2e")),
    Case("V184", T + ".address_view", seen("topology", "kind: command_host"), seen("host")),
    Case("V184", T + ".address_view", seen("internal", "kind: command_host"), seen("internal")),
    Case(
        "V185",
        T + ".name",
        probe("kind: tcp, target: {kind: service, name: nope}", ONE),
        probe("kind: tcp, target: {kind: service, name: db}", ONE),
    ),
    *(
        Case(
            "V186",
            f"{T}.{field}",
            probe(f"kind: tcp, target: {{kind: service, name: db, {field}: {value}}}", ONE),
            probe("kind: tcp, target: {kind: service, name: db, address_view: host}", ONE),
        )
        for field, value in (
            ("listener", "http"),
            ("observer", "{kind: command_host}"),
            ("address_view", "topology"),
            ("address_view", "internal"),
        )
    ),
    Case(
        "V187",
        T + ".endpoint",
        probe("kind: tcp, target: {kind: service, name: db}", TWO),
        probe("kind: tcp, target: {kind: service, name: db, endpoint: i}", TWO),
    ),
    Case(
        "V187",
        T + ".endpoint",
        probe("kind: tcp, target: {kind: service, name: db, endpoint: nope}", ONE),
        probe("kind: tcp, target: {kind: service, name: db, endpoint: h}", ONE),
    ),
    Case("V187", T + ".endpoint", probe("kind: tcp, target: {kind: service, name: db}", SERVICE % ""), VALID),
    Case("V188", P + ".path", http(API), VALID),
    Case("V188", P + ".path", http(f"path: health, {API}"), VALID),
    Case("V188", P + ".path", tcp(f"path: /h, {API}"), tcp(API)),
    Case("V189", T + ".listener", http(GET.replace("listener: http", "listener: raw"), RAW), VALID),
    Case("V190", T + ".listener", http(GET, listening(FIXED)), http(GET, listening(FIXED, FIXED))),
    Case("V190", T + ".listener", http(GET, listening(FIXED, "mode: auto")), VALID),
    Case(
        "V191",
        T + ".listener",
        probe(f"kind: http, {GET}", BRANCHED % 8090),
        probe(f"kind: http, {GET}", BRANCHED % 8080),
    ),
    Case(
        "V192",
        T + ".address_view",
        probe(INTERNAL, SHARED % ""),
        probe(INTERNAL, SHARED % ", backend_binding: b"),
    ),
    Case(
        "V192",
        T + ".address_view",
        seen("internal", "kind: task, task: e2e"),
        seen("topology", "kind: task, task: e2e"),
    ),
    Case("V192", T + ".address_view", seen("internal", "", listening("mode: discover")), seen("internal")),
    Case(
        "V192",
        T + ".address_view",
        seen("topology", "kind: task, task: e2e", listening(FIXED)),
        seen("topology", "kind: task, task: e2e", listening(FIXED, FIXED)),
    ),
)


def of(*rules: str) -> list[Case]:
    """The cases of these rules."""
    return [case for case in CASES if case.rule in rules]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_probe_rule_is_broken_alone(case: Case) -> None:
    prove(case)


@pytest.mark.proves("S003-100")
@pytest.mark.parametrize("case", of("V166"), ids=str)
def test_a_probe_takes_exactly_one_of_url_and_target(case: Case) -> None:
    prove(case)
    assert "exactly one of `url` and `target`" in only(case.broken).summary


@pytest.mark.parametrize("case", of("V169"), ids=str)
def test_only_absolute_http_and_https_urls_are_probed(case: Case) -> None:
    prove(case)


@pytest.mark.parametrize("url", ["http://status.example.test/live", "https://status.example.test/live"])
def test_a_literal_url_names_something_outside_the_contract(url: str) -> None:
    assert errors(probe(f"kind: http, url: '{url}'")) == []


@pytest.mark.proves("S003-105")
def test_topology_without_an_observer_names_the_one_to_add() -> None:
    found = only(seen("topology"))
    assert found.code == "OTA_V184"
    assert "observer: {kind: task, task:" in found.next


@pytest.mark.proves("S003-107")
@pytest.mark.parametrize("case", of("V186"), ids=str)
def test_a_service_target_takes_no_observer_listener_or_view(case: Case) -> None:
    prove(case)


def test_two_status_forms_and_an_unobserved_topology_are_two_errors() -> None:
    text = http(
        "path: /health, expect_status: 200, success: {status: [200, 204]}, "
        f"{API[:-1]}, address_view: topology}}"
    )
    assert sorted(code for code, _ in errors(text)) == ["V173", "V184"]


def test_a_task_may_observe_itself() -> None:
    assert errors(seen("internal", "kind: task, task: api")) == []


def test_conflicting_declarations_are_named_with_their_places() -> None:
    found = only(probe(f"kind: http, {GET}", BRANCHED % 8090))
    assert "conflicting host-view declarations" in found.why
    assert "`tasks.api.runtime`" in found.why
    assert "`tasks.api.execution.modes.container.runtime`" in found.why
