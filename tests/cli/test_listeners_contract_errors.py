"""A wrong listener is told by field in every command that reads the contract, never as a crash."""

import pytest

pytestmark = pytest.mark.edge

HEAD = """version: 1
project: {{name: shop}}
execution:
  contexts:
    host: {{backend: native}}
    app: {{backend: container, lifecycle: ephemeral, container: {{image: "node:24"}}}}
tasks:
  dev:
    run: "true"
    context: {context}
    runtime:
      kind: service
      listeners: {listeners}
"""
HTTP = "protocol: http, bind: {{address: {address}, port: {bind}}}, project: {{host: {host}}}"
FIXED = "{mode: fixed, value: 3000}"
HOST_FIXED = "{address: 127.0.0.1, port: {mode: fixed, value: 3000}}"
LISTENER = "tasks.dev.runtime.listeners.http"


def listener(bind=FIXED, host=HOST_FIXED, address="127.0.0.1"):
    return "{" + HTTP.format(address=address, bind=bind, host=host) + "}"


def contract(listeners, context="host"):
    return HEAD.format(context=context, listeners=listeners)


def host(port):
    return f"{{address: 127.0.0.1, port: {port}}}"


def two(first, second):
    def one(number, primary):
        given = f", primary: {primary}" if primary else ""
        projected = f"{{address: 127.0.0.1, port: {{mode: fixed, value: {number}}}{given}}}"
        return listener(f"{{mode: fixed, value: {number}}}", projected)

    return f"{{http: {one(3000, first)}, metrics: {one(3001, second)}}}"


CASES = {
    "bind mode missing": (contract(f"{{http: {listener('{value: 3000}')}}}"), f"{LISTENER}.bind.port"),
    "bind mode auto": (contract(f"{{http: {listener('{mode: auto}')}}}"), f"{LISTENER}.bind.port.mode"),
    "bind value missing": (contract(f"{{http: {listener('{mode: fixed}')}}}"), f"{LISTENER}.bind.port"),
    "host mode missing": (
        contract(f"{{http: {listener(host=host('{value: 3000}'))}}}"),
        f"{LISTENER}.project.host.port",
    ),
    "host mode discover": (
        contract(f"{{http: {listener(host=host('{mode: discover}'))}}}"),
        f"{LISTENER}.project.host.port.mode",
    ),
    "host value missing": (
        contract(f"{{http: {listener(host=host('{mode: fixed}'))}}}"),
        f"{LISTENER}.project.host.port",
    ),
    "host value zero": (
        contract(f"{{http: {listener(host=host('{mode: fixed, value: 0}'))}}}"),
        f"{LISTENER}.project.host.port.value",
    ),
    "host value text": (
        contract(f"{{http: {listener(host=host('{mode: fixed, value: web}'))}}}"),
        f"{LISTENER}.project.host.port.value",
    ),
    "host value too large": (
        contract(f"{{http: {listener(host=host('{mode: fixed, value: 70000}'))}}}"),
        f"{LISTENER}.project.host.port.value",
    ),
    "no primary": (contract(two("", "")), "tasks.dev.runtime.listeners"),
    "two primaries": (contract(two("true", "true")), "tasks.dev.runtime.listeners"),
    "container bind not fixed": (
        contract(f"{{http: {listener('{mode: discover}', address='0.0.0.0')}}}", "app"),
        LISTENER,
    ),
    "container bind on loopback": (contract(f"{{http: {listener()}}}", "app"), LISTENER),
    "discover with a fixed projection": (
        contract(f"{{http: {listener('{mode: discover}')}}}"),
        LISTENER,
    ),
    "shorthand and full form": (contract("{http: {http: 3000, protocol: http}}"), LISTENER),
    "http and tcp": (contract("{http: {http: 3000, tcp: 3001}}"), LISTENER),
}
NAMES = tuple(CASES)


@pytest.mark.proves("S000-114")
@pytest.mark.parametrize("case", NAMES)
def test_validate_names_the_field_and_the_fix(project, case):
    text, field = CASES[case]
    done = project({"ota.yaml": text}).run("validate")
    assert (done.code, done.out) == (1, "")
    assert f"Field: {field}" in done.err, done
    assert "Why:" in done.err
    assert "Next:" in done.err
    assert "./ota.yaml:" in done.err
    assert "Traceback" not in done.err


@pytest.mark.proves("S000-118")
@pytest.mark.parametrize("case", [each for each in NAMES if each.startswith("host ")])
def test_run_stops_with_the_field_and_starts_nothing(project, case):
    text, field = CASES[case]
    repo = project({"ota.yaml": text.replace('run: "true"', "run: touch started")})
    done = repo.run("run", "dev")
    assert (done.code, done.out) == (1, "")
    assert f"Field: {field}" in done.err, done
    assert "Next:" in done.err
    assert "Traceback" not in done.err
    assert not (repo.path / "started").exists()


def test_under_run_the_title_speaks_of_the_projection(project):
    repo = project({"ota.yaml": CASES["no primary"][0]})
    assert "ERROR  Task runtime projection is invalid" in repo.run("run", "dev").err
    assert "ERROR  Invalid contract" in repo.run("validate").err


@pytest.mark.proves("S001-109")
def test_no_primary(project):
    done = project({"ota.yaml": CASES["no primary"][0]}).run("validate")
    assert "declares multiple projected listeners" in done.err
    assert "none sets project.host.primary: true" in done.err.replace("`", "")
    assert "Field: tasks.dev.runtime.listeners" in done.err
    assert "exactly one" in done.err.partition("Next:")[2]


@pytest.mark.proves("S001-110")
def test_two_primaries(project):
    done = project({"ota.yaml": CASES["two primaries"][0]}).run("validate")
    assert "declares multiple listeners with project.host.primary: true" in done.err.replace("`", "")
    assert "Field: tasks.dev.runtime.listeners" in done.err
    error = done.err.partition("ERROR")[2]
    assert "keep one" in error.partition("Next:")[2].splitlines()[0]


@pytest.mark.proves("S001-111")
def test_loopback_bind_in_a_container(project):
    done = project({"ota.yaml": CASES["container bind on loopback"][0]}).run("validate")
    assert "cannot project to the host from a loopback-only container bind address" in done.err
    assert "bind.address: 0.0.0.0" in done.err.partition("Next:")[2].replace("`", "")
    assert f"Field: {LISTENER}" in done.err
