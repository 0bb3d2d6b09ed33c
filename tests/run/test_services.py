"""Service tasks: ports, injected URLs, readiness as a gate, endpoints planned and confirmed."""

import json
import re
import signal
import socket
import urllib.request

import psutil
import pytest

from support.servers import SERVER, free_port, is_listening, service
from support.waiting import wait_until

pytestmark = pytest.mark.edge


def stopped(live, text: str = "External: "):
    """Wait for ota's own confirmation, then Ctrl-C."""
    live.wait_for(text)
    live.signal(signal.SIGINT)
    return live.finish()


@pytest.fixture
def served(project):
    port = free_port()
    return project({"ota.yaml": service(port), "server.py": SERVER}), port


@pytest.mark.proves("S001-06")
@pytest.mark.proves("S001-50")
@pytest.mark.proves("S001-65")
@pytest.mark.proves("S001-91")
@pytest.mark.proves("S001-92")
@pytest.mark.proves("S001-143")
@pytest.mark.proves("S002-63")
def test_a_native_service_gets_its_url_before_it_starts_and_ota_confirms_the_same_one(served):
    repo, port = served
    live = repo.start("run", "web", "--stream")
    result = stopped(live)
    url = f"http://127.0.0.1:{port}/"
    assert result.out.splitlines()[:4] == [
        "OTA_BIND_ADDRESS=127.0.0.1",
        "OTA_BIND_ADDRESS_HTTP=127.0.0.1",
        f"OTA_BIND_PORT={port}",
        f"OTA_BIND_PORT_HTTP={port}",
    ]
    for line in (f"OTA_PUBLIC_URL={url}", "OTA_PUBLIC_HOST=127.0.0.1", f"OTA_PUBLIC_PORT={port}"):
        assert line in result.out.splitlines()
    assert f"OTA_PUBLIC_URL_HTTP={url}" in result.out.splitlines()
    assert f"Endpoint (planned) {url}" in result.err
    assert f"External: {url}" in result.err
    assert result.err.index("Endpoint (planned)") < result.err.index("External: ")
    assert not is_listening(port)


@pytest.mark.proves("S000-134")
@pytest.mark.proves("S000-140")
@pytest.mark.proves("S000-141")
@pytest.mark.proves("S000-142")
@pytest.mark.proves("S001-144")
def test_receipt_and_json_hold_the_endpoint_the_body_was_given(served, assert_schema):
    repo, port = served
    live = repo.start("run", "web", "--json")
    live.wait_for("listening")
    wait_until_ready(port)
    live.signal(signal.SIGINT)
    document = live.finish().json
    assert_schema(document, "run")
    runtime = document["receipt"]["runtime"]
    url = f"http://127.0.0.1:{port}/"
    assert runtime["primary_listener"] == "http"
    assert runtime["primary_endpoint"]["host"]["url"] == url
    assert [each["listener"] for each in runtime["exposed_endpoints"]] == ["http"]
    assert runtime["listeners"]["http"]["resolved"]["host"]["url"] == url
    assert document["receipt"]["workloads"] == {"web": runtime}
    assert f"OTA_PUBLIC_URL={url}" in document["stdout"].splitlines()


def wait_until_ready(port: int) -> None:
    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    wait_until(answers, "the service to be ready")


def test_readiness_is_a_gate_and_not_the_first_answer(project):
    port = free_port()
    repo = project({"ota.yaml": service(port), "server.py": SERVER})
    live = repo.start("run", "web", "--stream", env={"READY_AFTER_S": "1"})
    live.wait_for("listening")
    assert "External:" not in live.err
    result = stopped(live)
    assert "External: " in result.err


@pytest.mark.proves("S003-83")
def test_an_exhausted_readiness_stops_the_service_and_names_the_broken_rung(project, assert_schema):
    port = free_port()
    readiness = "{kind: http, listener: http, path: /nowhere, interval: 50ms, retries: 40}"
    repo = project({"ota.yaml": service(port, readiness=readiness), "server.py": SERVER})
    text = repo.run("run", "web")
    assert text.code == 1
    assert "Service failed to start" in text.err
    assert "40 attempts failed (40 attempts, interval 50ms, timeout 2s, start period 0ms)" in text.err
    assert "status 404" in text.err
    assert "content: broken" in text.err
    assert "the server has no such route" in text.err
    assert not is_listening(port)
    document = repo.run("run", "web", "--json").json
    assert_schema(document, "run")
    assert document["status"] == "failed"
    assert document["receipt"]["failure_origin"] == "readiness"
    ladder = document["receipt"]["steps"][0]["readiness"]["ladder"]
    assert [rung["standing"] for rung in ladder][-1] == "broken"
    assert document["receipt"]["runtime"]["primary_endpoint"]["confirmed"] is False


def test_a_secondary_endpoint_that_nobody_reached_stays_planned(project):
    a, b = free_port(), free_port()
    facts = {"a": a, "b": b, "ready": "app", "pa": "true", "pb": "false"}
    contract = (TWO % facts).replace(f"server.py {a} {b}", f"server.py {a}")
    result = stopped(project({"ota.yaml": contract, "server.py": SERVER}).start("run", "web", "--stream"))
    assert f"External:    http://127.0.0.1:{a}/\n" in result.err
    assert "Secondary:   1 additional endpoint (planned, not confirmed: metrics)\n" in result.err


def test_a_service_on_another_address_than_declared_is_told_so(project):
    port = free_port()
    readiness = "{kind: tcp, listener: http, interval: 50ms, retries: 40}"
    other = free_port()
    contract = service(port, readiness=readiness, body=f"python3 server.py {other}")
    result = project({"ota.yaml": contract, "server.py": SERVER}).run("run", "web")
    assert result.code == 1
    assert str(other) in result.err


def test_a_busy_port_names_its_holder_and_starts_nothing(served):
    repo, port = served
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", port))
        holder.listen()
        result = repo.run("run", "web")
    assert result.code == 1
    assert "Host publication failed" in result.err
    assert f"could not publish host port {port}" in result.err
    assert "is held" in result.err and "pid " in result.err
    assert "tasks.web.runtime.listeners.http" in result.err
    assert "listening" not in result.out + result.err


def test_a_port_held_by_another_run_of_ota_names_task_and_repository(served):
    repo, _ = served
    first = repo.start("run", "web", "--stream")
    first.wait_for("External: ")
    second = repo.run("run", "web")
    assert second.code == 1
    assert "started by ota as task `web`" in second.err
    assert str(repo.path) in second.err
    stopped(first)


TWO = """
version: 1
project: {name: two}
tasks:
  web:
    run: python3 server.py %(a)d %(b)d
    runtime:
      kind: service
      readiness: {kind: http, listener: %(ready)s, path: /health, interval: 100ms}
      listeners:
        app:
          protocol: http
          bind: {address: 127.0.0.1, port: {mode: fixed, value: %(a)d}}
          project: {host: {address: 127.0.0.1, port: {mode: fixed, value: %(a)d}, path: /, primary: %(pa)s}}
        metrics:
          protocol: http
          bind: {address: 127.0.0.1, port: {mode: fixed, value: %(b)d}}
          project: {host: {address: 127.0.0.1, port: {mode: auto}, path: /health, primary: %(pb)s}}
"""


@pytest.mark.proves("S000-137")
@pytest.mark.proves("S000-139")
@pytest.mark.proves("S001-64")
@pytest.mark.proves("S001-89")
@pytest.mark.proves("S001-90")
@pytest.mark.parametrize("primary", ["app", "metrics"])
def test_the_marked_primary_decides_the_url_whatever_its_name(project, assert_schema, primary):
    a, b = free_port(), free_port()
    facts = {"a": a, "b": b, "ready": "app", "pa": "false", "pb": "false"}
    facts["pa" if primary == "app" else "pb"] = "true"
    repo = project({"ota.yaml": TWO % facts, "server.py": SERVER})
    urls = {"app": f"http://127.0.0.1:{a}/", "metrics": f"http://127.0.0.1:{b}/health"}
    live = repo.start("run", "web", "--stream", "--receipt")
    live.wait_for(f"External: {urls['metrics']}")
    live.wait_for(f"External: {urls['app']}")
    live.signal(signal.SIGINT)
    result = live.finish()
    assert f"OTA_PUBLIC_URL={urls[primary]}" in result.out.splitlines()
    assert f"OTA_PUBLIC_URL_APP={urls['app']}" in result.out.splitlines()
    assert f"OTA_PUBLIC_URL_METRICS={urls['metrics']}" in result.out.splitlines()
    summary = result.err[result.err.index("RUN SUMMARY") :]
    assert f"External:    {urls[primary]}" in summary
    assert "Secondary:   1 additional endpoint\n" in summary
    assert f"- {primary} (primary, confirmed)" in result.err
    live = repo.start("run", "web", "--json")
    live.wait_for("listening")
    wait_until_ready(a)
    live.signal(signal.SIGINT)
    document = live.finish().json
    assert_schema(document, "run")
    runtime = document["receipt"]["runtime"]
    assert runtime["primary_listener"] == primary
    assert [each["primary"] for each in runtime["exposed_endpoints"]] == [True, False]


DISCOVER = """
version: 1
project: {name: found}
tasks:
  web:
    run: sh -c 'sh -c "exec python3 server.py %d"' ; true
    runtime:
      kind: service
      listeners:
        http:
          protocol: http
          bind: {address: 127.0.0.1, port: {mode: discover}}
          project: {host: {address: 127.0.0.1, port: {mode: auto}}}
"""


@pytest.mark.proves("S001-66", "S003-96")
def test_a_discovered_port_is_found_through_shells_and_children(project, assert_schema):
    port = free_port()
    repo = project({"ota.yaml": DISCOVER % port, "server.py": SERVER})
    live = repo.start("run", "web", "--stream", "--receipt")
    live.wait_for(f"External: http://127.0.0.1:{port}/")
    live.signal(signal.SIGINT)
    result = live.finish()
    assert "OTA_PUBLIC_URL" not in result.out
    # nothing that it declares says when it is ready, in the receipt and in the summary
    told = "it declares no readiness: that listener `http` is reachable is all that was seen"
    assert " ".join(result.err.split()).count(told) == 2
    assert not is_listening(port)


# Listens where it was told; `0` lets the system choose, and what is taken makes it go to the next free one.
MOVING = """
import http.server, os, sys
wanted = int(sys.argv[1])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"{os.getpid()} on {self.server.server_port}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
class Server(http.server.ThreadingHTTPServer):
    allow_reuse_address = False
try:
    server = Server(("127.0.0.1", wanted), Handler)
except OSError:
    print(f"port {wanted} is in use, trying another one", flush=True)
    server = Server(("127.0.0.1", 0), Handler)
with open("port.txt", "w") as file:
    file.write(f"{os.getpid()} on {server.server_port}")
server.serve_forever()
"""


def answered_where_it_said(repo) -> int:
    """Run `web` and ask the URL that ota shows; the port the server had."""
    live = repo.start("run", "web", "--stream")
    live.wait_for("External: http://127.0.0.1:")
    url = re.search(r"External: (http://127\.0\.0\.1:\d+/)", live.out + live.err)[1]
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.read().decode() == repo.read("port.txt")
    live.signal(signal.SIGINT)
    assert live.finish().code == 130
    port = int(repo.read("port.txt").split()[-1])
    assert url == f"http://127.0.0.1:{port}/"
    return port


@pytest.mark.proves("S001-51")
def test_the_port_that_the_system_chose_is_found_after_the_start(project):
    repo = project({"ota.yaml": DISCOVER % 0, "server.py": MOVING})
    port = answered_where_it_said(repo)
    assert not is_listening(port)


@pytest.mark.proves("S001-52")
def test_a_server_that_moves_away_from_a_taken_port_is_followed(project):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wanted = taken.getsockname()[1]
        repo = project({"ota.yaml": DISCOVER % wanted, "server.py": MOVING})
        port = answered_where_it_said(repo)
    assert port != wanted
    assert not is_listening(port)


@pytest.mark.proves("S002-74")
def test_a_tcp_listener_has_an_address_and_no_url(project, assert_schema):
    port = free_port()
    contract = service(port, readiness="{kind: tcp, listener: http}").replace(
        f"http: {{http: {port}}}", f"http: {{tcp: {port}}}"
    )
    repo = project({"ota.yaml": contract, "server.py": SERVER})
    result = stopped(repo.start("run", "web", "--stream"))
    assert f"External: 127.0.0.1:{port}" in result.err
    document = json.loads(archived(repo))
    assert "url" not in document["primary_endpoint"]["host"]


def archived(repo) -> str:
    live = repo.start("run", "web", "--json")
    live.wait_for("listening")
    live.signal(signal.SIGINT)
    return json.dumps(live.finish().json["receipt"]["runtime"])


@pytest.mark.parametrize("ending", ["exit 0", "exit 3"])
def test_a_service_that_ends_before_it_is_ready_failed_to_start(project, ending):
    repo = project({"ota.yaml": service(free_port(), body=f"echo bye; {ending}")})
    result = repo.run("run", "web")
    assert result.code == (3 if "3" in ending else 1)
    assert "bye" in result.err


def test_a_server_that_forks_and_exits_is_refused_and_not_left_behind(project):
    port = free_port()
    repo = project({"ota.yaml": service(port, body="setsid python3 server.py & exit 0"), "server.py": SERVER})
    result = repo.run("run", "web")
    assert result.code == 1
    assert not is_listening(port)


def test_a_native_service_keeps_the_code_of_its_child(project):
    port = free_port()
    repo = project({"ota.yaml": service(port), "server.py": SERVER + "\n"})
    live = repo.start("run", "web", "--stream", env={"EXIT_CODE": "4"})
    live.wait_for("External: ")
    server_of(live.pid).terminate()
    result = live.finish()
    assert result.code == 4


def server_of(pid: int) -> psutil.Process:
    """The Python server below a running ota."""
    return next(
        child for child in psutil.Process(pid).children(recursive=True) if "server.py" in child.cmdline()
    )
