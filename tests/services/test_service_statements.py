"""Services of this machine, statement by statement: who starts them, where they are asked, how often."""

import os
import re
import subprocess

import psutil
import pytest

from readiness.liar_services import answer, answering, closing, serving, silent
from services.conftest import contract, host_service
from support.servers import free_port, is_listening
from support.waiting import wait_until

pytestmark = pytest.mark.edge

TWO = "    host: {backend: native}\n    inner: {backend: native}\n"


def service_steps(repo, task: str = "go") -> dict[str, dict]:
    steps = repo.run("run", task, "--json").json["receipt"]["steps"]
    return {each["label"]: each for each in steps}


def reached(name: str, port: int, readiness: str, *, required: bool = True, context: str = "host") -> str:
    """A service that nobody starts: it is only asked."""
    return (
        f"  {name}:\n    required: {str(required).lower()}\n"
        f"    endpoints: {{{context}: {{address: 127.0.0.1, port: {port}}}}}\n"
        f"    readiness: {{from: {context}, {readiness}}}\n"
    )


@pytest.mark.proves("S001-166")
def test_a_host_manager_runs_its_own_command_without_a_shell(served):
    port = free_port()
    repo = served(contract(host_service("db", port), "  go: {run: 'true', requires_services: [db]}\n"))
    step = service_steps(repo)["service db"]
    assert step["status"] == "READY"
    process = psutil.Process(int(repo.read("db.pid")))
    assert process.cmdline()[1:] == ["daemon.py", "db", str(port), "0", "daemon"]
    assert process.cwd() == str(repo.path)
    assert is_listening(port)


@pytest.mark.proves("S001-07")
def test_each_context_reaches_a_service_at_its_own_endpoint(served):
    first, second = free_port(), free_port()
    host, inner = (
        f"{{address: {at}, port: {port}}}" for at, port in (("127.0.0.1", first), ("localhost", second))
    )
    services = f"  db:\n    endpoints: {{host: {host}, inner: {inner}}}\n"
    binding = "env_bindings: {DB: {from_service: {service: db, format: url, scheme: tcp}}}"
    tasks = "".join(
        f"  at-{each}: {{context: {each}, run: 'echo $DB', {binding}}}\n" for each in ("host", "inner")
    )
    repo = served(contract(services, tasks, TWO))
    (shown,) = repo.run("execution", "topology", "--json").json["services"]
    assert {name: each["port"] for name, each in shown["endpoints"].items()} == {
        "host": first,
        "inner": second,
    }
    assert repo.run("run", "at-host", "--stream").out.strip() == f"tcp://127.0.0.1:{first}"
    assert repo.run("run", "at-inner", "--stream").out.strip() == f"tcp://localhost:{second}"


@pytest.mark.proves("S001-160")
def test_a_run_takes_services_and_contexts_from_the_contract(served):
    port = free_port()
    tasks = (
        "  go:\n    context: inner\n    run: echo $WHERE\n    requires_services: [db]\n"
        "  other:\n    context: host\n    run: echo $WHERE\n"
    )
    contexts = (
        "    host: {backend: native, env: {WHERE: out here}}\n"
        "    inner: {backend: native, env: {WHERE: in there}}\n"
    )
    repo = served(contract(host_service("db", port), tasks, contexts))
    done = repo.run("run", "go", "--stream")
    assert (done.code, done.out) == (0, "in there\n")
    assert is_listening(port)
    assert repo.run("run", "other", "--stream").out == "out here\n"


# --- how it is asked -------------------------------------------------------------------------------


@pytest.mark.proves("S003-39")
def test_timeout_bounds_each_attempt_and_retries_their_number(served):
    with serving(silent) as deaf:
        asked = "kind: http, path: /, timeout: 300ms, retries: 5, interval: 100ms"
        services = reached("db", deaf.port, asked)
        repo = served(contract(services, "  go: {run: echo body, requires_services: [db]}\n"))
        done = repo.run("run", "go")
    assert (done.code, "body" in done.out) == (1, False)
    assert deaf.accepted == 5
    assert "5 attempts failed (5 attempts, interval 100ms, timeout 300ms" in done.err
    # what is told is the time that passed, and that is a little more than was given
    assert re.search(r"no answer within [34]\d\d ms", done.err)
    with serving(silent) as deaf:
        repo.write({"ota.yaml": contract(reached("db", deaf.port, asked), "  go: {run: x}\n")})
        severities = [each["severity"] for each in repo.run("doctor", "--json").json["findings"]
                      if each["code"] == "OTA_SERVICE_READINESS_FAILED"]  # fmt: skip
    assert (severities, deaf.accepted) == (["error"], 5)


@pytest.mark.proves("S003-36")
def test_a_command_is_ready_with_exit_0_and_stands_alone(served):
    services = reached("db", 5432, "run: test -e up")
    repo = served(contract(services, "  go: {run: echo body, requires_services: [db]}\n"))
    doctor = repo.run("doctor", "--json").json["findings"]
    assert [each["code"] for each in doctor if "SERVICE" in each["code"]] == ["OTA_SERVICE_READINESS_FAILED"]
    (repo.path / "up").touch()
    assert repo.run("run", "go", "--stream").out == "body\n"
    for more, code in (("kind: tcp", "OTA_V222"), ("timeout: 3s", "OTA_V227")):
        repo.write({"ota.yaml": contract(reached("db", 5432, f"run: 'true', {more}"), "  go: {run: x}\n")})
        assert code in repo.run("validate").err


def test_structured_readiness_starts_no_process(served, tmp_path):
    """A PATH without any client, and an empty one: tcp and http are asked by ota itself."""
    with serving(answering(answer())) as web:
        services = reached("db", web.port, "kind: http, path: /") + reached("q", web.port, "kind: tcp")
        repo = served(contract(services, "  go: {run: x}\n"))
        done = repo.run("doctor", "--json", env={"PATH": str(tmp_path)})
    assert not [each for each in done.json["findings"] if "SERVICE" in each["code"]]


# --- services that lie -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "readiness", "said"),
    [
        pytest.param(closing, "kind: tcp", "accepted, then closed at once", id="accepts, then closes"),
        pytest.param(closing, "kind: http, path: /", "accepted, then closed without an answer", id="no word"),
        pytest.param(silent, "kind: http, path: /, timeout: 200ms", "no answer within", id="never answers"),
        pytest.param(
            answering(answer(503, b'"status":"UP"')),
            "kind: http, path: /, body: {contains: UP}",
            "status 503",
            id="503 with the right body",
        ),
        pytest.param(
            answering(answer(302, headers="Location: /login\r\n")),
            "kind: http, path: /, success: {status: [200]}",
            "redirect 302 to /login (not followed",
            id="redirects",
        ),
        pytest.param(
            answering(answer(200, b"x" * 100_000)),
            "kind: http, path: /, body: {contains: never}",
            "in its first 32768 bytes",
            id="huge body",
        ),
    ],
)
def test_a_service_that_lies_keeps_the_body_from_starting(served, behaviour, readiness, said):
    with serving(behaviour) as liar:
        asked = f"{readiness}, interval: 50ms, retries: 3"
        services = reached("db", liar.port, asked)
        repo = served(contract(services, "  go: {run: echo body, requires_services: [db]}\n"))
        done = repo.run("run", "go")
    assert (done.code, done.out) == (1, "")
    assert said in done.err
    assert "service `db` required by task `go` is not ready" in done.err


def test_a_service_that_says_yes_once_and_then_no_is_ready_only_while_it_says_so(served):
    """What was seen when the body began is what counts: nothing claims more afterwards."""
    with serving(answering(answer(200), answer(500))) as flapping:
        services = reached("db", flapping.port, "kind: http, path: /, interval: 50ms, retries: 3")
        repo = served(contract(services, "  go: {run: echo body, requires_services: [db]}\n"))
        assert repo.run("run", "go").code == 0
        again = repo.run("run", "go")
    assert (again.code, again.out) == (1, "")
    assert "status 500" in again.err


def test_a_stranger_on_the_port_of_a_service_is_named(served):
    """It does not answer as the service would: the service is started, and its failure names the holder."""
    with serving(answering(answer(404))) as stranger:
        service = host_service("db", stranger.port).replace(
            "kind: tcp, from: host, interval: 50ms, retries: 200",
            "kind: http, path: /, success: {status: [200]}, from: host, interval: 50ms, retries: 10",
        )
        repo = served(contract(service, "  go: {run: echo body, requires_services: [db]}\n"))
        done = repo.run("run", "go")
    assert (done.code, done.out) == (1, "")
    assert f"127.0.0.1:{stranger.port} is held by" in done.err
    assert f"pid {os.getpid()}" in done.err


def test_doctor_may_run_twice_at_once(served):
    with serving(answering(answer())) as web:
        services = reached("db", web.port, "kind: http, path: /")
        checks = "checks: [{name: slow, kind: health, severity: error, run: sleep 0.3}]\n"
        repo = served(contract(services, "  go: {run: x}\n") + checks)
        lives = [repo.start("doctor", "--json") for _ in range(4)]
        documents = [live.finish() for live in lives]
    assert [each.code for each in documents] == [0] * 4
    assert len({each.out for each in documents}) == 1


# --- a real database -------------------------------------------------------------------------------


def test_a_real_redis_comes_up_and_is_stopped_with_the_command_that_is_told(served):
    if subprocess.run(["which", "redis-server"], capture_output=True, check=False).returncode:
        pytest.skip("redis-server is not installed")
    port = free_port()
    service = (
        "  cache:\n    required: true\n    manager:\n      kind: host\n"
        f'      start: {{exe: redis-server, args: [--port, "{port}", --daemonize, "yes", --save, "", '
        f"--dir, ., --pidfile, redis.pid]}}\n"
        f'      stop: {{exe: redis-cli, args: [-p, "{port}", shutdown, nosave]}}\n'
        f"    endpoints: {{host: {{address: 127.0.0.1, port: {port}}}}}\n"
        "    readiness: {kind: tcp, from: host, interval: 50ms, retries: 200}\n"
    )
    task = f"  go: {{run: 'redis-cli -p {port} set ota ready', requires_services: [cache]}}\n"
    repo = served(contract(service, task))
    try:
        done = repo.run("run", "go", "--json")
        assert (done.code, done.json["stdout"].strip()) == (0, "OK")
        (step,) = [each for each in done.json["receipt"]["steps"] if each["label"] == "service cache"]
        assert f"`redis-cli -p {port} shutdown nosave` stops it" in step["detail"]
    finally:
        subprocess.run(["redis-cli", "-p", str(port), "shutdown", "nosave"], capture_output=True, check=False)
    wait_until(lambda: not is_listening(port), "the end of redis")
