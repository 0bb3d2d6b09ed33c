"""Services in containers: ports published, readiness that means it, endpoints confirmed, ends classified."""

import contextlib
import json
import re
import signal
import socket
import threading
import urllib.request

import pexpect
import pytest

from container.conftest import HTTPD, READY, listener, service
from support.project import OTA
from support.servers import free_port

pytestmark = pytest.mark.engine

BOTH = pytest.mark.parametrize("lifecycle", ["ephemeral", "persistent"])


def answer(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as response:
        return response.read().decode()


def stopped(live, text: str = "External: ", number: int = signal.SIGINT):
    live.wait_for(text)
    live.signal(number)
    return live.finish()


def url_in(text: str) -> str:
    return next(line for line in text.splitlines() if line.startswith("External: ")).split()[1]


def is_free(port: int) -> bool:
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@BOTH
@pytest.mark.proves("S001-32")
@pytest.mark.proves("S001-59")
@pytest.mark.proves("S001-60")
@pytest.mark.proves("S001-61")
@pytest.mark.proves("S001-85")
@pytest.mark.proves("S001-99")
@pytest.mark.proves("S001-100")
@pytest.mark.proves("S000-124")
def test_one_url_everywhere_given_before_the_start_and_confirmed_after(contained, assert_schema, lifecycle):
    repo = contained({"web": service(f"env | grep OTA_PUBLIC; {HTTPD}", READY)}, lifecycle=lifecycle)
    live = repo.start("run", "web", "--stream")
    live.wait_for("External: ")
    url = url_in(live.err)
    assert answer(url) == "ok\n"
    result = stopped(live)
    assert f"Endpoint (planned) {url}" in result.err
    assert result.err.index("Endpoint (planned)") < result.err.index("External: ")
    assert "Internal: http://0.0.0.0:8080" in result.err
    port = url.rsplit(":", 1)[1].strip("/")
    for line in (f"OTA_PUBLIC_URL={url}", "OTA_PUBLIC_HOST=127.0.0.1", f"OTA_PUBLIC_PORT={port}"):
        assert line in result.out.splitlines()
    assert f"External:    {url}" in result.err
    live = repo.start("run", "web", "--json")
    live.wait_for("OTA_PUBLIC_URL_HTTP=")
    wait_until_published(repo, live)
    live.signal(signal.SIGINT)
    document = live.finish().json
    assert_schema(document, "run")
    receipt = document["receipt"]
    endpoint = receipt["runtime"]["primary_endpoint"]
    assert endpoint["confirmed"] is True
    assert f"OTA_PUBLIC_URL={endpoint['host']['url']}" in document["stdout"].splitlines()
    assert receipt["service_termination"]["cause"] == "interrupted"
    assert receipt["service_termination"]["container"] == receipt["target"]
    assert (document["status"], receipt["status"]) == ("interrupted", "interrupted")
    (step,) = receipt["steps"]
    assert step["status"] == "INTERRUPTED"
    assert "service interrupted after readiness" in step["detail"]
    assert "service stopped" not in step["detail"]


def wait_until_published(repo, live) -> None:
    """Until the service of a run without live output answers."""
    line = next(line for line in (live.out + live.err).splitlines() if line.startswith("OTA_PUBLIC_URL="))
    url = line.partition("=")[2]
    for _ in range(200):
        with contextlib.suppress(OSError):
            if answer(url):
                break
        threading.Event().wait(0.05)
    threading.Event().wait(0.3)  # ota sees it too


def ctrl_c_on_a_terminal(repo) -> tuple[int, str]:
    """Run `web` on a pseudo-terminal, press Ctrl-C once ota has reached it; the code, and what it showed."""
    env = {**repo.project.environment(), "TERM": "xterm", "NO_COLOR": "1"}
    command = [*OTA[1:], "run", "web", "--stream"]
    child = pexpect.spawn(OTA[0], command, cwd=str(repo.path), env=env, encoding="utf-8", timeout=60)
    child.expect("External: ")
    before = child.before
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus, before + child.before


@BOTH
@pytest.mark.proves("S000-16")
@pytest.mark.proves("S000-17")
@pytest.mark.proves("S000-87")
@pytest.mark.proves("S000-125")
@pytest.mark.proves("S000-126")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_after_readiness_frees_the_port_and_is_called_interrupted(
    contained, assert_schema, lifecycle, number
):
    port = free_port()
    repo = contained({"web": service(HTTPD, READY, http=listener(host=port))}, lifecycle=lifecycle)
    if number == signal.SIGINT:
        code, shown = ctrl_c_on_a_terminal(repo)
        assert f"🦦 Endpoint (planned) http://127.0.0.1:{port}/" in shown
    else:
        result = stopped(repo.start("run", "web", "--stream"), number=number)
        code, shown = result.code, result.err
    assert code == 128 + number
    assert "Status:      interrupted" in shown
    assert "service interrupted after readiness" in shown
    assert "service stopped after readiness" not in shown
    assert "Task Failed" not in shown and "Service stopped" not in shown
    assert repo.containers() == []
    if lifecycle == "ephemeral":
        assert is_free(port)
    else:
        (name,) = repo.containers("persistent")
        assert "httpd" not in repo.engine.run("exec", name, "ps").stdout


@pytest.mark.proves("S000-76")
@pytest.mark.proves("S000-77")
@pytest.mark.proves("S000-78")
@pytest.mark.parametrize("code", [0, 3])
def test_a_service_that_stops_after_readiness_fails_the_run_as_such(contained, assert_schema, code):
    body = f"(httpd -f -p 8080 -h /bin & sleep 3; exit {code})"
    ready = {**READY, "path": "/busybox"}
    repo = contained({"web": service(body, ready)})
    repo.shim()
    result = repo.run("run", "web", "--json", env=repo.shimmed)
    document = result.json
    assert_schema(document, "run")
    assert result.code == (code or 1)
    receipt = document["receipt"]
    assert receipt["status"] == "failed"
    assert receipt["failure_origin"] == "service_stopped"
    cause = "exited_non_zero" if code else "exited"
    assert receipt["service_termination"] == {
        "kind": "service_stopped",
        "cause": cause,
        "after_readiness": True,
        "target": "container",
        "container": receipt["target"],
        "exit_code": code,
    }
    words = "exited non-zero" if code else "exited"
    assert f"service stopped after readiness; container {words}" in receipt["steps"][0]["detail"]
    calls = [call.split() for call in repo.calls]
    last_inspect = max(i for i, call in enumerate(calls) if call[0] == "inspect")
    removed = next(i for i, call in enumerate(calls) if call[0] == "rm")  # by its id: there is one container
    assert last_inspect < removed
    assert receipt["runtime"]["primary_endpoint"]["host"]["port"]


@pytest.mark.proves("S000-86")
@pytest.mark.proves("S000-88")
def test_a_service_that_stops_inside_a_container_that_stays_says_so(contained, assert_schema):
    ready = {**READY, "path": "/busybox"}
    body = "httpd -f -p 8080 -h /bin & sleep 3; kill $!; exit 4"
    repo = contained({"web": service(body, ready)}, lifecycle="persistent")
    result = repo.run("run", "web", "--json", "--receipt")
    document = result.json
    assert_schema(document, "run")
    assert result.code == 4
    step = document["receipt"]["steps"][0]
    assert document["receipt"]["service_termination"]["target"] == "service workload in persistent container"
    assert document["receipt"]["service_termination"]["cause"] == "exited_non_zero"
    assert step["detail"].startswith("requested task; persistent container created; service stopped after")
    assert step["container_reconciliation"]["action"] == "created"
    assert "persistent container reused" in repo.run("run", "web").err


@pytest.mark.parametrize("lifecycle", ["ephemeral", "persistent"])
@pytest.mark.proves("S000-79")
def test_an_out_of_memory_kill_is_named_with_the_limit_and_a_way_out(contained, assert_schema, lifecycle):
    hog = "httpd -f -p 8080 -h /bin & sleep 2; tail /dev/zero"
    repo = contained(
        {"web": service(hog, {**READY, "path": "/busybox"})},
        lifecycle=lifecycle,
        container={"resources": {"memory": {"default": "32MiB"}}},
    )
    result = repo.run("run", "web", "--json")
    document = result.json
    assert_schema(document, "run")
    receipt = document["receipt"]
    assert receipt["service_termination"]["cause"] == "oom_killed"
    assert receipt["container_memory_bytes"] == 32 * 1024 * 1024
    assert "was OOM-killed" in receipt["steps"][0]["detail"]
    assert "--memory" in receipt["next"]
    assert result.code == 137
    # what Podman's monitor writes where it was started is no part of a checkout
    assert sorted(path.name for path in repo.path.iterdir()) == [".ota", "ota.yaml"]


def test_tcp_readiness_is_not_fooled_by_a_port_with_nobody_behind_it(contained, assert_schema):
    ready = {"kind": "tcp", "listener": "db", "interval": "100ms", "retries": 15}
    lone = service("sleep 600", ready, db=listener(protocol="tcp"))
    repo = contained({"db": lone})
    result = repo.run("run", "db", "--json")
    document = result.json
    assert_schema(document, "run")
    assert result.code == 1
    (step,) = document["receipt"]["steps"]
    rungs = {rung["rung"]: rung["standing"] for rung in step["readiness"]["ladder"]}
    assert rungs["process_alive"] == "holds"
    assert rungs["socket_bound"] == "broken"
    assert "nothing listens on port 8080" in json.dumps(step)
    assert repo.containers() == []


def test_a_server_on_the_loopback_of_its_container_is_told_apart_from_none(contained):
    ready = {"kind": "tcp", "listener": "db", "interval": "100ms", "retries": 15}
    lone = service("exec httpd -f -p 127.0.0.1:8080", ready, db=listener(protocol="tcp"))
    result = contained({"db": lone}).run("run", "db")
    assert result.code == 1
    assert "bound on 127.0.0.1, which is reachable only inside its container" in result.err
    assert "make it bind 0.0.0.0" in result.err


@BOTH
def test_tcp_readiness_holds_once_somebody_listens(contained, lifecycle):
    ready = {"kind": "tcp", "listener": "db", "interval": "100ms"}
    slow = service(f"sleep 1; {HTTPD}", ready, db=listener(protocol="tcp"))
    live = contained({"db": slow}, lifecycle=lifecycle).start("run", "db", "--stream")
    live.wait_for("External: ")
    with socket.create_connection(("127.0.0.1", int(url_in(live.err).rsplit(":", 1)[1])), 5):
        pass
    assert stopped(live).code == 130


def test_a_failed_readiness_stops_the_service_and_shows_the_last_answers(contained):
    ready = {**READY, "path": "/nowhere", "retries": 10}
    result = contained({"web": service(HTTPD, ready)}).run("run", "web")
    assert result.code == 1
    assert "Service failed to start" in result.err
    assert "status 404" in result.err
    assert "answers in plane: holds: accepts connections (" in result.err
    assert "published: holds: on 127.0.0.1:" in result.err


@BOTH
@pytest.mark.proves("S000-107")
@pytest.mark.proves("S000-108")
@pytest.mark.proves("S000-110")
@pytest.mark.proves("S001-112")
def test_a_fixed_port_held_by_a_stranger_is_named_before_anything_is_made(contained, lifecycle):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        repo = contained({"web": service(HTTPD, READY, http=listener(host=port))}, lifecycle=lifecycle)
        repo.shim()
        result = repo.run("run", "web", env=repo.shimmed)
    assert result.code == 1
    assert "Host publication failed" in result.err
    assert f"could not publish host port {port}" in result.err
    assert "tasks.web.runtime.listeners.http.project.host.port" in result.err
    assert "pid " in result.err
    proposed = re.search(r"`ota run web --host-port (\d+)", result.err)
    assert proposed is not None and is_free(int(proposed[1])), result.err
    assert not any(call.startswith(("create", "run ")) for call in repo.calls)


@pytest.mark.proves("S001-87")
@pytest.mark.proves("S001-156")
def test_an_automatic_port_stolen_at_the_last_moment_is_replaced_by_another(contained):
    repo = contained({"web": service(HTTPD, READY)})
    # the thief binds the very port between `create` and `start`, once
    repo.shim(
        'if [ "$1" = create ] && [ ! -e "$0.stolen" ]; then\n'
        '  port=$(echo "$*" | sed -n "s/.*127.0.0.1:\\([0-9]*\\):8080.*/\\1/p"); echo $port >"$0.stolen"\n'
        "fi\n"
        'if [ "$1" = start ] && [ ! -e "$0.done" ]; then\n'
        '  touch "$0.done"; real run -d --name thief-$$ --label dev.ota.test=thief '
        '-p 127.0.0.1:$(cat "$0.stolen"):1/tcp ota-test/busybox sleep 60 >/dev/null\n'
        '  echo thief-$$ >"$0.thief"\nfi'
    )
    live = repo.start("run", "web", "--stream", env=repo.shimmed)
    try:
        result = stopped(live)
    finally:
        thief = next(repo._shims.glob("*.thief")).read_text().strip()
        repo.engine.run("rm", "-f", thief)
    stolen = next(repo._shims.glob("*.stolen")).read_text().strip()
    assert f":{stolen}/" not in url_in(result.err)
    assert result.err.count("Note:        fresh container") == 1
    assert "address already in use" not in result.err
    assert "port is already allocated" not in result.err
    assert repo.containers() == []


@pytest.mark.proves("S001-95")
def test_two_listeners_are_published_and_the_primary_decides(contained):
    body = "httpd -p 9090 -h /bin; env | grep OTA_PUBLIC | sort; " + HTTPD
    listeners = {
        "http": listener(primary=True),
        "metrics": listener(9090, path="/busybox"),
    }
    repo = contained({"web": service(body, READY, **listeners)})
    live = repo.start("run", "web", "--stream")
    live.wait_for("OTA_PUBLIC_URL_METRICS=")
    values = dict(line.split("=", 1) for line in live.out.splitlines() if line.startswith("OTA_PUBLIC"))
    live.wait_for(f"External: {values['OTA_PUBLIC_URL']}")
    live.wait_for(f"External: {values['OTA_PUBLIC_URL_METRICS']}")
    assert values["OTA_PUBLIC_URL"] == values["OTA_PUBLIC_URL_HTTP"]
    assert answer(values["OTA_PUBLIC_URL"]) == "ok\n"
    assert values["OTA_PUBLIC_URL_METRICS"].endswith("/busybox")
    result = stopped(live)
    assert "Secondary:   1 additional endpoint" in result.err


@BOTH
@pytest.mark.proves("S000-62")
@pytest.mark.proves("S000-63")
@pytest.mark.proves("S000-64")
@pytest.mark.proves("S000-65")
@pytest.mark.proves("S000-93")
@pytest.mark.proves("S000-94")
@pytest.mark.proves("S000-95")
@pytest.mark.proves("S000-96")
@pytest.mark.proves("S000-97")
@pytest.mark.proves("S001-54")
@pytest.mark.proves("S001-88")
@pytest.mark.proves("S001-106")
def test_host_port_moves_the_publication_and_nothing_inside_for_one_run(contained, assert_schema, lifecycle):
    declared, asked = free_port(), free_port()
    body = f"env | grep OTA_; {HTTPD}"
    repo = contained({"web": service(body, READY, http=listener(host=declared))}, lifecycle=lifecycle)
    live = repo.start("run", "web", "--host-port", str(asked), "--stream")
    live.wait_for("External: ")
    (name,) = repo.containers(lifecycle)
    published = repo.inspect(name)["NetworkSettings"]["Ports"]["8080/tcp"]
    assert [each["HostPort"] for each in published] == [str(asked)]
    assert answer(f"http://127.0.0.1:{asked}/") == "ok\n"
    result = stopped(live)
    lines = result.out.splitlines()
    assert f"OTA_PUBLIC_PORT={asked}" in lines
    assert f"OTA_PUBLIC_URL=http://127.0.0.1:{asked}/" in lines
    assert "OTA_BIND_PORT=8080" in lines
    assert f"External:    http://127.0.0.1:{asked}/" in result.err
    live = repo.start("run", "web", "--json", "--host-port", str(asked))
    live.wait_for("OTA_PUBLIC_PORT")
    live.signal(signal.SIGINT)
    document = live.finish().json
    assert_schema(document, "run")
    assert document["receipt"]["runtime"]["primary_endpoint"]["host"]["port"] == asked
    back = stopped(repo.start("run", "web", "--stream"))
    assert f"External: http://127.0.0.1:{declared}/" in back.err


@pytest.mark.proves("S001-113")
def test_host_port_on_an_automatic_projection_is_refused_and_nothing_starts(contained):
    repo = contained({"web": service(HTTPD, READY)})
    repo.shim()
    result = repo.run("run", "web", "--host-port", "4000", env=repo.shimmed)
    assert result.code == 1
    assert "`auto`" in result.err
    assert repo.calls == []


@pytest.mark.proves("S000-91")
@pytest.mark.proves("S000-92")
@pytest.mark.proves("S000-128")
@BOTH
def test_a_dependency_publishes_nothing_of_the_task_it_runs_for(contained, lifecycle):
    declared, asked = free_port(), free_port()
    web = {**service(HTTPD, READY, http=listener(host=declared)), "depends_on": ["setup"]}
    repo = contained({"setup": {"run": "echo set up; sleep 1"}, "web": web}, lifecycle=lifecycle)
    repo.shim()
    live = repo.start("run", "web", "--host-port", str(asked), "--stream", env=repo.shimmed)
    result = stopped(live)
    made = [call for call in repo.calls if call.startswith(("create", "run -d"))]
    assert len(made) == 2
    assert "-p " not in made[0]
    assert f"-p 127.0.0.1:{asked}:8080/tcp" in made[1]
    assert "set up" in result.out
