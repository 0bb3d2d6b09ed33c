"""`requires_services` with services of this machine: started once, waited for, left running."""

import json
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

import psutil
import pytest

from services.conftest import contract, host_service
from support.servers import SERVER, free_port, is_listening
from support.waiting import wait_until

pytestmark = pytest.mark.edge

TASK = "  go:\n    run: echo body\n    requires_services: [{names}]\n"


def steps_of(document):
    return {each["label"]: each for each in document["receipt"]["steps"]}


def is_gone(pid: int) -> bool:
    """Whether nothing runs under the pid; one that nobody has collected yet has ended too."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def started(repo) -> list[str]:
    file = repo.path / "started.txt"
    return file.read_text().split() if file.exists() else []


@pytest.mark.proves("S001-115")
@pytest.mark.proves("S001-116")
@pytest.mark.proves("S001-117")
def test_a_service_is_started_and_ready_before_the_body_and_is_a_step_of_its_own(served, assert_schema):
    port = free_port()
    task = "  go:\n    run: date +%s.%N > body.txt\n    requires_services: [db]\n"
    repo = served(contract(host_service("db", port, delay_s=0.5), task))
    result = repo.run("run", "go", "--json")
    assert result.code == 0, result
    assert_schema(result.json, "run")
    listening_at = float(repo.read("listening.txt").split()[1])
    assert listening_at < float(repo.read("body.txt"))
    receipt = result.json["receipt"]
    service, task_step = receipt["steps"]
    assert (service["label"], service["stage_family"], service["status"]) == ("service db", "setup", "READY")
    assert (service["order"], task_step["order"], task_step["label"]) == (1, 2, "go")
    assert "dependency_steps" not in receipt
    assert "workloads" not in receipt
    assert service["readiness"]["is_gate"]
    assert service["execution_parent"] == "go"
    assert is_listening(port)


def test_the_service_outlives_a_run_that_fails_and_keeps_its_output(served):
    port = free_port()
    task = "  go:\n    run: exit 3\n    requires_services: [db]\n"
    repo = served(contract(host_service("db", port, how="same-session"), task))
    result = repo.run("run", "go")
    assert result.code == 3, result
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/after", timeout=10) as answer:
        assert answer.read() == b"up"
    log = repo.path / ".ota" / "state" / "services" / "db.log"
    wait_until(lambda: "asked for /after" in log.read_text(), "what the service prints after the run")
    assert "Service:     db: ready" in result.out + result.err


def test_what_answers_already_is_not_started_again_and_its_holder_is_named(served):
    port = free_port()
    repo = served(contract(host_service("db", port), TASK.format(names="db")))
    assert repo.run("run", "go").code == 0
    again = repo.run("run", "go", "--json")
    assert again.code == 0
    assert started(repo) == ["db"]
    detail = steps_of(again.json)["service db"]["detail"]
    assert "already running, not started" in detail
    assert f"pid {repo.read('db.pid')}" in detail


def test_a_service_that_several_tasks_of_a_run_require_is_looked_at_once(served):
    port = free_port()
    tasks = (
        "  one:\n    run: echo one\n    requires_services: [db]\n"
        "  two:\n    run: echo two\n    requires_services: [db]\n"
        "  go:\n    run: echo body\n    depends_on: [one, two]\n    requires_services: [db]\n"
    )
    repo = served(contract(host_service("db", port), tasks))
    document = repo.run("run", "go", "--jobs", "3", "--json").json
    assert document["ok"]
    assert started(repo) == ["db"]
    labels = [each["label"] for each in document["receipt"]["steps"]]
    assert labels[0] == "service db"
    assert sorted(labels) == ["go", "one", "service db", "two"]


def test_runs_at_the_same_moment_start_a_service_once(served):
    port = free_port()
    repo = served(contract(host_service("db", port, delay_s=0.7), TASK.format(names="db")))
    live = [repo.start("run", "go", "--json") for _ in range(5)]
    results = [each.finish() for each in live]
    assert [each.code for each in results] == [0] * 5, results
    assert started(repo) == ["db"]
    details = [steps_of(each.json)["service db"]["detail"] for each in results]
    assert sum("already running" in detail for detail in details) == 4


@pytest.mark.proves("S002-62")
def test_only_what_is_required_is_started(served):
    first, second = free_port(), free_port()
    services = host_service("db", first) + host_service("other", second)
    repo = served(contract(services, TASK.format(names="db")))
    document = repo.run("run", "go", "--json").json
    assert document["ok"]
    assert started(repo) == ["db"]
    assert "dependency_steps" not in document["receipt"]
    assert not is_listening(second)


def test_services_start_after_what_they_depend_on_and_otherwise_side_by_side(served):
    ports = [free_port() for _ in range(4)]
    services = (
        host_service("app", ports[0], more="    depends_on: [left, right]\n")
        + host_service("left", ports[1], delay_s=0.6, more="    depends_on: [base]\n")
        + host_service("right", ports[2], delay_s=0.6, more="    depends_on: [base]\n")
        + host_service("base", ports[3], delay_s=0.3)
    )
    repo = served(contract(services, TASK.format(names="app")))
    document = repo.run("run", "go", "--json").json
    assert document["ok"]
    order = started(repo)
    assert (order[0], set(order[1:3]), order[3]) == ("base", {"left", "right"}, "app")
    steps = steps_of(document)
    left, right = steps["service left"], steps["service right"]
    assert max(left["started_at"], right["started_at"]) < min(left["finished_at"], right["finished_at"])
    assert steps["service base"]["finished_at"] <= min(left["started_at"], right["started_at"])
    assert max(left["finished_at"], right["finished_at"]) <= steps["service app"]["started_at"]


def test_a_closure_larger_than_what_waits_at_once_comes_up_in_order(served):
    with socket.create_server(("127.0.0.1", 0), backlog=200) as listening:
        port = listening.getsockname()[1]
        services = "".join(
            f"  s{n}:\n    endpoints: {{host: {{address: 127.0.0.1, port: {port}}}}}\n"
            "    readiness: {kind: tcp, from: host, interval: 50ms, retries: 20}\n"
            + (
                f"    depends_on: [{', '.join(f's{m}' for m in (n + 1, n + 7) if m < 60)}]\n"
                if n < 59
                else ""
            )
            for n in range(60)
        )
        repo = served(contract(services, TASK.format(names="s0")))
        document = repo.run("run", "go", "--json").json
    assert document["ok"]
    ended = {each["label"]: each["finished_at"] for each in document["receipt"]["steps"]}
    began = {each["label"]: each["started_at"] for each in document["receipt"]["steps"]}
    assert len(began) == 61
    for n in range(59):
        assert ended[f"service s{n + 1}"] <= began[f"service s{n}"]


@pytest.mark.proves("S002-61")
def test_a_service_that_does_not_get_ready_keeps_the_body_from_starting(served, assert_schema):
    port, wrong = free_port(), free_port()
    service = host_service("db", port).replace(f"port: {port}", f"port: {wrong}").replace("200", "3")
    repo = served(contract(service, TASK.format(names="db")))
    result = repo.run("run", "go")
    assert result.code == 1
    assert "service `db` required by task `go` is not ready" in result.err
    assert f"from context `host` at 127.0.0.1:{wrong}" in result.err
    assert result.err.count("refused") >= 3
    assert "body" not in result.out.split("Next")[0].splitlines()
    document = repo.run("run", "go", "--json").json
    assert_schema(document, "run")
    receipt = document["receipt"]
    assert (receipt["status"], receipt["failure_origin"]) == ("failed", "service_readiness")
    (step,) = receipt["steps"]
    assert (step["label"], step["status"]) == ("service db", "NOT READY")
    assert len(step["readiness"]["last_results"]) == 3


def test_a_failing_start_command_ends_the_run_with_its_code_and_shows_its_output(served, assert_schema):
    port = free_port()
    service = host_service("db", port).replace(
        "{exe: python3, args: [daemon.py, db,", "{exe: sh, args: [-c, 'echo no space left >&2; exit 7',"
    )
    repo = served(contract(service, TASK.format(names="db")))
    result = repo.run("run", "go")
    assert result.code == 7, result
    assert "no space left" in result.err
    assert "returned 7" in result.err
    document = repo.run("run", "go", "--json").json
    assert_schema(document, "run")
    (step,) = document["receipt"]["steps"]
    assert (step["status"], step["exit_code"]) == ("SERVICE START FAILED", 7)
    assert document["receipt"]["failure_origin"] == "service_start"


def test_a_start_command_that_does_not_exist_is_named(served):
    service = host_service("db", free_port()).replace("exe: python3", "exe: no-such-server")
    result = served(contract(service, TASK.format(names="db"))).run("run", "go")
    assert result.code == 127
    assert "no-such-server: not found" in result.err


def test_what_depends_on_a_service_that_failed_is_not_started(served):
    services = host_service("app", free_port(), more="    depends_on: [base]\n") + host_service(
        "base", free_port()
    ).replace("exe: python3, args: [daemon.py", "exe: 'false', args: [daemon.py")
    repo = served(contract(services, TASK.format(names="app")))
    result = repo.run("run", "go", "--json")
    assert result.code == 1
    assert started(repo) == []
    assert [each["label"] for each in result.json["receipt"]["steps"]] == ["service base"]


def test_a_dependency_whose_service_fails_is_named_as_the_dependency(served):
    service = host_service("db", free_port()).replace("exe: python3", "exe: 'false'")
    tasks = TASK.format(names="db") + "  all:\n    run: echo all\n    depends_on: [go]\n"
    result = served(contract(service, tasks)).run("run", "all", "--json")
    assert result.code == 1
    assert result.json["receipt"]["failed_dependency"] == "go"


@pytest.mark.proves("S003-98")
def test_readiness_is_asked_at_the_endpoint_of_the_context_it_names(served):
    healthy, deaf = free_port(), free_port()
    service = (
        host_service("db", healthy)
        .replace("from: host", "from: inner")
        .replace("200", "3")
        .replace("endpoints: {host:", f"endpoints: {{inner: {{address: 127.0.0.1, port: {deaf}}}, host:")
    )
    contexts = "    host: {backend: native}\n    inner: {backend: native}\n"
    repo = served(contract(service, TASK.format(names="db"), contexts))
    result = repo.run("run", "go")
    assert result.code == 1
    assert f"from context `inner` at 127.0.0.1:{deaf}" in result.err
    assert is_listening(healthy)


def test_a_stranger_on_the_port_is_named(served):
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        service = (
            host_service("db", port)
            .replace("kind: tcp", "kind: http, path: /, timeout: 200ms")
            .replace("200}", "2}")
        )
        repo = served(contract(service, TASK.format(names="db")))
        result = repo.run("run", "go")
    assert result.code == 1
    assert f"127.0.0.1:{port} is held by pid {psutil.Process().pid}" in result.err


def test_a_service_nobody_starts_is_waited_for_and_then_told_as_such(served):
    port = free_port()
    service = (
        "  db:\n"
        f"    endpoints: {{host: {{address: 127.0.0.1, port: {port}}}}}\n"
        "    readiness: {kind: tcp, from: host, interval: 50ms, retries: 3}\n"
    )
    repo = served(contract(service, TASK.format(names="db")))
    result = repo.run("run", "go")
    assert result.code == 1
    assert "start service `db` yourself" in result.err
    with socket.create_server(("127.0.0.1", port)):
        document = repo.run("run", "go", "--json").json
    assert document["ok"]
    assert "nothing declared that starts it" in steps_of(document)["service db"]["detail"]


def test_legacy_commands_start_and_prove_a_service(served):
    port = free_port()
    service = (
        f"  db:\n    start: python3 daemon.py db {port} 0.3\n"
        f"    healthcheck: test -s listening.txt\n    timeout: 5000\n"
    )
    repo = served(contract(service, TASK.format(names="db")))
    document = repo.run("run", "go", "--json").json
    assert document["ok"]
    assert started(repo) == ["db"]
    assert steps_of(document)["service db"]["status"] == "READY"
    assert (
        steps_of(repo.run("run", "go", "--json").json)["service db"]["detail"].count("already running") == 1
    )
    assert started(repo) == ["db"]


def test_a_required_service_without_readiness_is_started_and_told_as_unverified(served, assert_schema):
    port = free_port()
    lines = host_service("db", port).splitlines(keepends=True)
    service = "".join(line for line in lines if "readiness" not in line)
    document = served(contract(service, TASK.format(names="db"))).run("run", "go", "--json").json
    assert document["ok"]
    assert_schema(document, "run")
    step = steps_of(document)["service db"]
    assert step["status"] == "WARN"
    assert "could not be verified" in step["detail"]
    assert document["summary"]["warn_count"] == 1


# --- interruption --------------------------------------------------------------------------------


def test_an_interrupt_while_waiting_ends_the_wait_and_leaves_the_service(served, assert_schema):
    repo = served(contract(host_service("db", free_port(), delay_s=60), TASK.format(names="db")))
    live = repo.start("run", "go", "--json")
    wait_until((repo.path / "db.pid").exists, "the service's process")
    began = time.monotonic()
    live.signal(signal.SIGINT)
    result = live.finish()
    assert result.code == 130, result
    assert time.monotonic() - began < 5
    assert_schema(result.json, "run")
    assert result.json["status"] == "interrupted"
    assert steps_of(result.json)["service db"]["status"] == "INTERRUPTED"
    assert "go" not in steps_of(result.json)
    assert psutil.pid_exists(int(repo.read("db.pid")))


def test_an_interrupt_while_a_start_command_hangs_ends_all_of_that_command(served):
    service = host_service("db", free_port()).replace(
        "{exe: python3, args: [daemon.py, db,",
        "{exe: sh, args: [-c, 'sleep 600 & echo $! > child.txt; echo $$ > hanging.txt; wait',",
    )
    repo = served(contract(service, TASK.format(names="db")))
    live = repo.start("run", "go")
    wait_until((repo.path / "hanging.txt").exists, "the start command")
    live.signal(signal.SIGTERM)
    result = live.finish()
    assert result.code == 143, result
    for name in ("hanging.txt", "child.txt"):
        assert is_gone(int(repo.read(name)))


def test_after_a_kill_of_ota_the_next_run_takes_the_service_as_it_is(served):
    port = free_port()
    repo = served(contract(host_service("db", port, delay_s=0.8), TASK.format(names="db")))
    live = repo.start("run", "go")
    wait_until((repo.path / "db.pid").exists, "the service's process")
    live.signal(signal.SIGKILL)
    live.finish()
    wait_until(lambda: is_listening(port), "the service")
    result = repo.run("run", "go", "--json")
    assert result.code == 0, result
    assert started(repo) == ["db"]


def test_a_preview_lists_the_services_in_order_and_starts_none(served, assert_schema):
    reached = (
        "  base:\n    endpoints: {host: {address: 127.0.0.1, port: 1}}\n"
        "    readiness: {kind: tcp, from: host}\n"
    )
    services = host_service("db", free_port(), more="    depends_on: [base]\n") + reached
    repo = served(contract(services, TASK.format(names="db")))
    document = repo.run("run", "go", "--dry-run", "--json").json
    assert_schema(document, "run")
    assert document["plan"]["actions"] == [
        "wait for service base",
        "start unless ready, and wait for service db",
        "run go in host",
    ]
    assert started(repo) == []


# --- what this build cannot do ---------------------------------------------------------------------


def test_a_readiness_context_that_cannot_execute_is_a_topology_blocker(served, assert_schema):
    service = (
        host_service("db", free_port())
        .replace("from: host", "from: app")
        .replace("endpoints: {host:", "endpoints: {app: {address: db, port: 5432}, host:")
    )
    contexts = (
        "    host: {backend: native}\n"
        "    app: {backend: container, lifecycle: ephemeral, container: {image: app}}\n"
    )
    tasks = TASK.format(names="db").replace("    run:", "    context: host\n    run:")
    contexts = contexts.replace("image: app", "image: app, engines: [no-such-engine]")
    repo = served(contract(service, tasks, contexts))
    result = repo.run("run", "go", "--json")
    assert result.code == 1
    assert_schema(result.json, "run")
    text = repo.run("run", "go").err
    assert "could not execute the readiness probe of service `db` in context `app`" in text
    assert "no-such-engine" in text
    assert "repair execution context `app`, or move readiness.from of service `db`" in text


def test_a_systemd_unit_is_refused_by_name(served):
    service = "  db:\n    manager: {kind: host, host: {kind: systemd, unit: postgresql}}\n"
    result = served(contract(service, TASK.format(names="db"))).run("run", "go")
    assert result.code == 1
    assert "is the systemd unit `postgresql`" in result.err


# --- beside tasks ----------------------------------------------------------------------------------


@pytest.mark.proves("S001-104")
def test_a_broken_app_and_a_broken_service_are_told_apart(served):
    port, web = free_port(), free_port()
    tasks = (
        "  web:\n    run: python3 server.py\n    requires_services: [db]\n    runtime:\n      kind: service\n"
        "      readiness: {kind: http, listener: http, path: /missing, interval: 50ms, retries: 3}\n"
        f"      listeners:\n        http: {{http: {web}}}\n"
    )
    repo = served(contract(host_service("db", port), tasks), **{"server.py": SERVER})
    app = repo.run("run", "web", "--json").json["receipt"]
    assert (app["failure_origin"], app["failed_task"]) == ("readiness", "web")
    assert {each["label"]: each["status"] for each in app["steps"]} == {
        "service db": "READY",
        "web": "FAILED",
    }
    broken = host_service("db", free_port()).replace("exe: python3", "exe: 'false'")
    repo.write({"ota.yaml": contract(broken, tasks.replace("/missing", "/health"))})
    service = repo.run("run", "web", "--json").json["receipt"]
    assert service["failure_origin"] == "service_start"
    assert "runtime" not in service
    assert [each["label"] for each in service["steps"]] == ["service db"]


def test_secrets_in_the_output_of_a_start_command_are_masked_everywhere(served):
    service = host_service("db", free_port()).replace(
        "{exe: python3, args: [daemon.py, db,", "{exe: sh, args: [-c, 'echo token $TOKEN; exit 4',"
    )
    text = contract(service, TASK.format(names="db")) + "env:\n  vars:\n    TOKEN: {secret: true}\n"
    repo = served(text)
    result = repo.run("run", "go", "--log", env={"TOKEN": "s3cr3t-value-of-it"})
    assert result.code == 4, result
    assert "s3cr3t-value-of-it" not in result.out + result.err
    for file in (repo.path / ".ota").rglob("*"):
        assert not file.is_file() or b"s3cr3t-value-of-it" not in file.read_bytes(), file


@pytest.mark.skipif(
    shutil.which("redis-server") is None, reason="no redis-server: apt-get install redis-server"
)
def test_a_real_redis_is_started_and_asked(served, assert_schema):
    port = free_port()
    service = (
        "  cache:\n    required: true\n    manager:\n      kind: host\n"
        f'      start: {{exe: redis-server, args: ["--port", "{port}", "--daemonize", "yes", "--save", "", '
        f'"--pidfile", "{{pidfile}}"]}}\n'
        f"    endpoints: {{host: {{address: 127.0.0.1, port: {port}}}}}\n"
        "    readiness: {kind: tcp, from: host}\n"
    )
    task = f"  go:\n    run: redis-cli -p {port} ping\n    requires_services: [cache]\n"
    repo = served(contract(service, task))
    repo.write({"ota.yaml": contract(service.replace("{pidfile}", str(repo.path / "redis.pid")), task)})
    result = repo.run("run", "go", "--json")
    assert result.code == 0, result
    assert_schema(result.json, "run")
    assert result.json["stdout"] == "PONG\n"
    assert json.loads(json.dumps(steps_of(result.json)))["service cache"]["readiness"]["attempts"] >= 1
    assert is_listening(port)


def test_what_a_service_prints_after_its_start_is_kept_without_secrets(served):
    port = free_port()
    text = (
        contract(host_service("db", port), "  go: {requires_services: [db], run: 'true'}\n")
        + "env: {vars: {DB_PASSWORD: {secret: true, required: true}}}\n"
    )
    repo = served(text)
    assert repo.run("run", "go", env={"DB_PASSWORD": "path-of-dust"}).code == 0
    urllib.request.urlopen(f"http://127.0.0.1:{port}/path-of-dust", timeout=10).close()
    log = repo.path / ".ota/state/services/db.log"
    wait_until(lambda: b"asked for /***" in log.read_bytes(), "the masked line")
    assert b"path-of-dust" not in log.read_bytes()


def test_a_start_goes_on_when_ota_is_killed_and_its_output_is_kept(served):
    port = free_port()
    slow = host_service("db", port).replace("exe: python3, args: [daemon.py", "exe: sh, args: [slow.sh")
    repo = served(contract(slow, "  go: {requires_services: [db], run: 'true'}\n"), **{
        "slow.sh": "touch began\nwhile [ ! -e go ]; do sleep 0.02; done\necho going on\n"
        'exec python3 daemon.py "$@"\n'
    })  # fmt: skip
    run = repo.start("run", "go")
    wait_until(lambda: (repo.path / "began").exists(), "the start command")
    run.signal(signal.SIGKILL)
    run.finish()
    (repo.path / "go").touch()
    wait_until(lambda: is_listening(port), "the service")
    assert b"going on\n" in (repo.path / ".ota/state/services/db.log").read_bytes()


def test_what_stops_a_service_again_is_told_of_those_that_the_run_started(served):
    port = free_port()
    service = host_service("db", port).replace(
        "    endpoints:", "      stop: {exe: sh, args: [-c, 'kill $(cat db.pid)']}\n    endpoints:"
    )
    repo = served(contract(service, TASK.format(names="db")))
    story = steps_of(repo.run("run", "go", "--json").json)["service db"]["detail"]
    stop = "sh -c 'kill $(cat db.pid)'"
    assert f"keeps running; `{stop}` stops it" in story
    assert stop not in steps_of(repo.run("run", "go", "--json").json)["service db"]["detail"]
    subprocess.run(stop, shell=True, cwd=repo.path, check=True)
    wait_until(lambda: not is_listening(port), "the end of the service")
