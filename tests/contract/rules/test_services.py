"""Rules of services, each broken alone."""

import pytest

from contract.rules.table import Case, errors, only, prove, told

EXECUTION = "execution: {default_context: h, contexts: {h: {backend: native}, i: {backend: native}}}\n"
ENDPOINT = "endpoints: {h: {address: 127.0.0.1, port: 1}}"
PROBES = "readiness: {probes: {p: {kind: http, timeout: 2s, url: 'http://example.test/'}}}\n"
COMPOSE = "manager: {kind: compose, name: n, service: db}"
HOST = "manager: {kind: host, start: {exe: ./up}, stop: {exe: ./down}}"
UNIT = "manager: {kind: host, host: {kind: systemd, unit: %s}}"
PRODUCER = "producer: {repo: r, task: t}"


def service(text: str, name: str = "db", rest: str = "") -> str:
    """A contract with two contexts and one service."""
    return f"{EXECUTION}services:\n  {name}: {{{text}}}\n{rest}"


def ready(text: str, manager: str = COMPOSE, endpoints: str = ENDPOINT) -> str:
    """A service with an endpoint and readiness."""
    return service(f"{manager}, {endpoints}, readiness: {{{text}}}", rest=PROBES)


def managed(text: str) -> str:
    """A service with a manager."""
    return service(f"manager: {{{text}}}")


VALID = service(COMPOSE)
HTTP = "kind: http, from: h, path: /ok"
S = "services.db"
M = S + ".manager."
R = S + ".readiness."
SEVERAL = "endpoints: {h: {address: a, port: 1}, j: {context: h, address: b, port: 2}}"
FIELDS = {
    "method": "GET",
    "path": "/ok",
    "headers": "{A: b}",
    "success": "{status: [200]}",
    "body": "{contains: a}",
}

CASES = (
    Case("V205", 'services.""', service(COMPOSE, '""'), VALID),
    *(
        Case("V206", f"{S}.{field}", service(f"{COMPOSE}, {field}: x"), VALID)
        for field in ("provider", "start", "stop")
    ),
    Case("V207", M + "name", managed("kind: compose, service: db"), VALID),
    Case("V207", M + "name", managed('kind: compose, name: "", service: db'), VALID),
    Case("V208", M + "service", managed("kind: compose, name: n"), VALID),
    *(
        Case("V209", M + where, managed(f"kind: compose, name: n, service: db, {text}"), VALID)
        for where, text in (
            ("file", 'file: ""'),
            ("files[0]", 'files: [""]'),
            ("env_file", 'env_file: ""'),
            ("env_files[0]", 'env_files: [" "]'),
            ("profiles[0]", 'profiles: [""]'),
        )
    ),
    *(
        Case("V210", M + field, managed(f"kind: host, start: {{exe: ./up}}, {field}: {value}"), service(HOST))
        for field, value in (
            ("service", "db"),
            ("file", "a"),
            ("files", "[a]"),
            ("env_file", "a"),
            ("env_files", "[a]"),
            ("profiles", "[a]"),
            ("engine", "docker"),
        )
    ),
    Case("V211", M + "name", managed('kind: host, name: "", start: {exe: ./up}'), service(HOST)),
    Case(
        "V212",
        M + "host",
        managed("kind: host, host: {kind: systemd, unit: u}, start: {exe: ./up}"),
        service(UNIT % "u"),
    ),
    Case("V213", M + "host", service(COMPOSE[:-1] + ", host: {kind: systemd, unit: u}}"), VALID),
    Case("V213", M + "host.unit", service(UNIT % '""'), service(UNIT % "u")),
    Case("V214", M + "start", service(COMPOSE[:-1] + ", start: {exe: ./up}}"), VALID),
    Case("V214", M + "stop.exe", service(HOST.replace("./down", '""')), service(HOST)),
    *(
        Case("V215", f"{S}.{field}", service(f'{field}: ""'), service(f"{field}: x"))
        for field in ("provider", "start", "stop", "healthcheck")
    ),
    *(
        Case(
            "V216",
            f"{S}.producer.{field}",
            service(PRODUCER.replace(f"{field}: {value}", f'{field}: ""')),
            service(PRODUCER),
        )
        for field, value in (("repo", "r"), ("task", "t"))
    ),
    Case("V216", S + ".producer.listener", service(PRODUCER[:-1] + ', listener: ""}'), service(PRODUCER)),
    Case(
        "V217",
        S + ".producer.address_view",
        service(PRODUCER[:-1] + ", address_view: topology}"),
        service(PRODUCER[:-1] + ", address_view: host}"),
    ),
    *(
        Case("V218", S + ".producer", service(f"{PRODUCER}, {text}"), service(PRODUCER))
        for text in (COMPOSE, ENDPOINT, "healthcheck: x", "provider: x", "timeout: 3s")
    ),
    Case("V221", S + ".readiness", ready("from: h"), ready("kind: tcp, from: h")),
    Case("V222", S + ".readiness", ready("probe: p, kind: http, from: h"), ready("probe: p, from: h")),
    Case("V222", S + ".readiness", ready("run: x, kind: tcp, from: h"), ready("run: x, from: h")),
    *(
        Case("V223", R + "from", ready(text), ready(f"{text}, from: h"))
        for text in ("probe: p", "kind: tcp", "kind: http, path: /ok", "run: x")
    ),
    Case("V224", R + "from", ready("kind: tcp, from: nope"), ready("kind: tcp, from: h")),
    Case("V225", R + "from", ready("kind: tcp, from: i"), ready("kind: tcp, from: h")),
    Case("V225", R + "from", ready("run: x, from: i"), ready("run: x, from: h")),
    Case(
        "V226",
        R + "endpoint",
        ready("kind: tcp, from: h", endpoints=SEVERAL),
        ready("kind: tcp, from: h, endpoint: j", endpoints=SEVERAL),
    ),
    Case(
        "V226",
        R + "endpoint",
        ready("kind: tcp, from: h, endpoint: nope"),
        ready("kind: tcp, from: h, endpoint: h"),
    ),
    *(
        Case("V227", R + field, ready(f"run: x, from: h, {field}: {value}"), ready("run: x, from: h"))
        for field, value in {**FIELDS, "retries": "3", "endpoint": "h", "interval": "1s"}.items()
    ),
    Case("V228", R + "probe", ready("probe: nope, from: h"), ready("probe: p, from: h")),
    *(
        Case(
            "V229",
            R + field,
            ready(f"probe: p, from: h, {field}: {value}"),
            ready("probe: p, from: h, retries: 3"),
        )
        for field, value in {**FIELDS, "timeout": "1s"}.items()
    ),
    Case("V230", R + "path", ready("kind: http, from: h"), ready(HTTP)),
    Case("V230", R + "path", ready("kind: http, from: h, path: ok"), ready(HTTP)),
    Case("V231", R + 'headers.""', ready(HTTP + ', headers: {"": a}'), ready(HTTP)),
    Case("V231", R + "success.status[0]", ready(f"{HTTP}, success: {{status: [7]}}"), ready(HTTP)),
    Case("V231", R + "body.contains", ready(HTTP + ', body: {contains: ""}'), ready(HTTP)),
    Case("V231", R + "body.contains", ready(f"{HTTP}, method: HEAD, body: {{contains: a}}"), ready(HTTP)),
    *(
        Case("V232", R + field, ready(f"kind: tcp, from: h, {field}: {value}"), ready("kind: tcp, from: h"))
        for field, value in FIELDS.items()
    ),
    Case("V233", R + "kind", ready("kind: compose_health", HOST), ready("kind: compose_health")),
    *(
        Case(
            "V233",
            R + field,
            ready(f"kind: compose_health, {field}: {value}"),
            ready("kind: compose_health, retries: 9"),
        )
        for field, value in {**FIELDS, "from": "h", "endpoint": "h", "timeout": "1s"}.items()
    ),
    Case("V234", R + "kind", ready("kind: systemd_active", HOST), ready("kind: systemd_active", UNIT % "u")),
    Case(
        "V234",
        R + "from",
        ready("kind: systemd_active, from: h", UNIT % "u"),
        ready("kind: systemd_active, interval: 1s", UNIT % "u"),
    ),
    *(
        Case("V235", R + field, ready(f"{HTTP}, {field}: {value}"), ready(f"{HTTP}, {field}: {fine}"))
        for field, value, fine in (
            ("interval", "0", "1"),
            ("timeout", "2x", "2s"),
            ("start_period", "-1s", "1s"),
            ("retries", "0", "1"),
        )
    ),
    Case(
        "V236", S + ".healthcheck", service(f"healthcheck: x, {ENDPOINT}, readiness: {{{HTTP}}}"), ready(HTTP)
    ),
    Case(
        "V237",
        S + ".timeout",
        service(f"{COMPOSE}, timeout: 3s, {ENDPOINT}, readiness: {{{HTTP}}}"),
        ready(HTTP),
    ),
    Case("V238", S + ".timeout", service("start: x, timeout: 0"), service("start: x, timeout: 5000")),
    Case(
        "V239",
        S + '.endpoints.""',
        service(f'{COMPOSE}, endpoints: {{"": {{context: h, address: a, port: 1}}}}'),
        service(f"{COMPOSE}, endpoints: {{x: {{context: h, address: a, port: 1}}}}"),
    ),
    Case("V239", S + ".endpoints.x", service(f"{COMPOSE}, endpoints: {{x: {{address: a, port: 1}}}}"), VALID),
    Case(
        "V239",
        S + ".endpoints.h.context",
        service(f"{COMPOSE}, endpoints: {{h: {{context: nope, address: a, port: 1}}}}"),
        VALID,
    ),
    Case(
        "V240",
        S + ".endpoints.h.address",
        service(f"{COMPOSE}, {ENDPOINT}".replace("127.0.0.1", '""')),
        VALID,
    ),
    Case(
        "V240",
        S + ".endpoints.h.port",
        service(f"{COMPOSE}, {ENDPOINT}".replace("port: 1", "port: 0")),
        VALID,
    ),
    Case("V241", S, service("required: true"), service("required: true, healthcheck: x")),
    Case("V242", S + ".depends_on[0]", service(f"{COMPOSE}, depends_on: [nope]"), VALID),
    Case(
        "V243",
        "services.a.depends_on",
        f"services: {{a: {{{COMPOSE}, depends_on: [b]}}, b: {{{COMPOSE}, depends_on: [a]}}}}\n",
        f"services: {{a: {{{COMPOSE}, depends_on: [b]}}, b: {{{COMPOSE}}}}}\n",
    ),
    Case("V243", S + ".depends_on", service(f"{COMPOSE}, depends_on: [db]"), VALID),
)


def of(*rules: str) -> list[Case]:
    """The cases of these rules."""
    return [case for case in CASES if case.rule in rules]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_service_rule_is_broken_alone(case: Case) -> None:
    prove(case)


@pytest.mark.proves("S001-174")
@pytest.mark.parametrize("kind", ["systemd", "kubernetes", "launchd"])
def test_other_managers_are_refused_with_the_supported_ones_listed(kind: str) -> None:
    (found,) = told(managed(f"kind: {kind}, name: n"))
    assert found.code == "OTA_P03"
    assert found.place and found.place.field == M + "kind"
    assert "`compose`" in found.why and "`host`" in found.why


def test_the_context_of_the_shorthand_is_known_by_its_name() -> None:
    text = (
        "execution: {preferred: container, lifecycle: persistent, backends: {container: {image: a}}}\n"
        f"services: {{db: {{{COMPOSE}, endpoints: {{app: {{address: db, port: 1}}}}}}}}\n"
    )
    assert errors(text) == []


def test_a_cycle_of_services_is_told_once_with_its_route() -> None:
    chain = {"a": "b", "b": "c", "c": "a", "d": "a"}
    text = "services:\n" + "".join(f"  {k}: {{{COMPOSE}, depends_on: [{v}]}}\n" for k, v in chain.items())
    assert "a -> b -> c -> a" in only(text).why


def test_a_long_chain_of_services_is_walked() -> None:
    text = "services:\n" + "".join(
        f"  s{i}: {{{COMPOSE}, depends_on: [{f's{i - 1}' if i else ''}]}}\n" for i in range(2000)
    )
    assert errors(text) == []


@pytest.mark.proves("S003-116")
@pytest.mark.parametrize(("field", "value"), [*FIELDS.items(), ("timeout", "1s")])
def test_a_named_probe_takes_no_request_beside_it(field: str, value: str) -> None:
    assert errors(ready(f"probe: p, from: h, {field}: {value}")) == [("V229", R + field)]
    task = (
        "tasks: {api: {launch: {kind: command, exe: ./api}, runtime: {kind: service, "
        f"listeners: {{http: {{http: 8080}}}}, readiness: {{probe: p, {field}: {value}}}}}}}}}\n"
    )
    assert errors(PROBES + task) == [("V452", f"tasks.api.runtime.readiness.{field}")]
