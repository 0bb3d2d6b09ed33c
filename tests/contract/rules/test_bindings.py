"""Rules of env bindings and adapter inputs, each broken alone."""

import pytest

from contract.rules.table import Case, prove

MORE = """execution: {default_context: host, contexts: {host: {backend: native}, other: {backend: native}}}
env: {vars: {URL: {secret: true}, PASS: {secret: true}, OPEN: {}}}
services:
  db: {start: ./db, endpoints: {host: {address: 127.0.0.1, port: 5432}}}
  bare: {start: ./bare}
  far: {start: ./far, endpoints: {other: {address: far, port: 1}}}
  two:
    start: ./two
    endpoints: {a: {context: host, address: a, port: 1}, b: {context: host, address: b, port: 2}}
"""


def bind(text: str, variable: str = "URL", extra: str = "") -> str:
    bindings = f"env_bindings: {{{variable}: {{from_service: {{{text}}}}}}}"
    return f"tasks:\n  t: {{run: make, {bindings}{extra}}}\n{MORE}"


def adapter(text: str) -> str:
    return f"tasks:\n  t: {{run: make, adapter_inputs: {{{text}}}}}\n"


FINE = bind("service: db")
SECRET = bind("service: db, username: a, password: b")
B = "tasks.t.env_bindings.URL.from_service"
COMPOSE = adapter("overlays: {compose: {files: [a.yml]}}")
A = "tasks.t.adapter_inputs."

CASES = (
    Case("V370", "tasks.t.env_bindings.URL", bind("service: db", extra=", env: {URL: a}"), FINE),
    Case("V371", B + ".service", bind("service: bd"), FINE),
    Case("V372", B + ".service", bind("service: bare"), FINE),
    Case("V373", B, bind("service: far"), bind("service: far, view: other")),
    Case("V373", B + ".view", bind("service: far, view: host"), FINE),
    *(
        Case("V374", f"{B}.{field}", bind(f'service: db, {field}: ""'), FINE)
        for field in ("view", "endpoint", "scheme", "username", "database")
    ),
    Case(
        "V375", B + ".password_env", bind("service: db, username: a, password: b, password_env: PASS"), SECRET
    ),
    Case("V376", B + ".password", bind("service: db, password: b"), SECRET),
    Case("V377", B + ".password", bind("service: db, username: a, password: b, format: host"), SECRET),
    Case(
        "V378",
        "tasks.t.env_bindings.OPEN.from_service.password",
        bind("service: db, username: a, password: b", "OPEN"),
        SECRET,
    ),
    *(
        Case(
            "V379",
            B + ".password_env",
            bind(f"service: db, username: a, password_env: {name}"),
            bind("service: db, username: a, password_env: PASS"),
        )
        for name in ("OPEN", "NONE", "1A")
    ),
    Case("V380", B + ".endpoint", bind("service: db, endpoint: hots"), bind("service: db, endpoint: host")),
    Case("V380", B, bind("service: two"), bind("service: two, endpoint: a")),
    Case("V382", A + "overlays.make", adapter("overlays: {make: {files: [a]}}"), COMPOSE),
    Case("V382", A + "overlays.bake.profiles", adapter("overlays: {bake: {profiles: [a]}}"), COMPOSE),
    Case("V382", A + "helm.files", adapter("helm: {files: [a]}"), adapter("helm: {values_files: [a]}")),
    Case("V383", A + "overlays.compose.files[0]", adapter("overlays: {compose: {files: [../a]}}"), COMPOSE),
    Case(
        "V383", A + "overlays.compose.profiles[0]", adapter('overlays: {compose: {profiles: [""]}}'), COMPOSE
    ),
    Case("V383", A + "bake.cwd", adapter("bake: {cwd: /a}"), adapter("bake: {cwd: a}")),
    Case(
        "V384",
        A + "compose.files",
        adapter("compose: {files: [a]}, overlays: {compose: {files: [b]}}"),
        adapter("compose: {files: [a]}, overlays: {compose: {profiles: [b]}}"),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_binding_rule_is_broken_alone(case: Case) -> None:
    prove(case)


def test_a_binding_without_a_view_uses_the_context_of_the_task() -> None:
    in_other = bind("service: far", extra=", context: other")
    prove(Case("V373", B, bind("service: far"), in_other))
