"""Readiness that a task declares for its workload: what is asked, what counts, and when it is over."""

import json
import signal
import time
from pathlib import Path

import pytest

from ota.contract.load import load_bytes
from ota.errors import ContractError
from support.servers import free_port, is_listening, service

pytestmark = pytest.mark.edge

FOUNDING = Path(__file__).parents[1] / "fixtures" / "founding"
RECORDER = '''
"""Answer requests on the given ports as ANSWERS says (the last one again and again); write each one down."""
import http.server, json, os, socketserver, sys, threading, time
answers = json.loads(os.environ.get("ANSWERS", '[[200, "ok"]]'))
asked = 0
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        global asked
        with open("requests.txt", "a") as log:
            log.write(json.dumps({"method": self.command, "path": self.path, "headers": dict(self.headers),
                                  "port": self.server.server_port}) + "\\n")
        status, body = answers[min(asked, len(answers) - 1)]
        asked += 1
        while status == 0:  # accepted, and never answered
            time.sleep(60)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.encode())
    do_GET = do_HEAD = answer
    def log_message(self, *args): pass
time.sleep(float(os.environ.get("LISTEN_AFTER_S", "0")))
for port in sys.argv[1:]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
print("listening", flush=True)
while True:
    time.sleep(3600)
'''


def requests(repo):
    file = repo.path / "requests.txt"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def confirmed(repo, task: str = "web", env=None):
    """Run until ota says that it reached the workload, then Ctrl-C."""
    live = repo.start("run", task, "--stream", env=env)
    live.wait_for("External: ")
    live.signal(signal.SIGINT)
    return live.finish()


def recorded(project, port: int, readiness: str, extra: str = ""):
    contract = service(port, readiness=readiness, body=f"exec python3 server.py {port}", extra=extra)
    return project({"ota.yaml": contract, "server.py": RECORDER})


def example(project, name: str, port: int, replaced: int, body: str = ""):
    """An example of the documents with a stand-in for its body, on a port that is free here."""
    text = (FOUNDING / f"{name}.yaml").read_text()
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("run:")]
    at = next(i for i, line in enumerate(lines) if line.strip() == "runtime:")
    indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
    lines.insert(at, f"{indent}run: {body or f'exec python3 server.py {port}'}")
    contract = "\n".join(lines).replace(str(replaced), str(port)) + "\n"
    return project({"ota.yaml": contract, "server.py": RECORDER})


# --- what is asked ---------------------------------------------------------------------------------


@pytest.mark.proves("S003-08", "S003-29", "S003-72", "S003-73")
def test_the_workload_gets_the_declared_request(project):
    port = free_port()
    repo = recorded(
        project,
        port,
        "{kind: http, listener: http, method: HEAD, path: /live, "
        "headers: {Accept: application/json, X-Asked-By: ota}, interval: 100ms, retries: 100}",
    )
    confirmed(repo)
    first = requests(repo)[0]
    assert (first["method"], first["path"]) == ("HEAD", "/live")
    assert first["headers"]["Accept"] == "application/json"
    assert first["headers"]["X-Asked-By"] == "ota"
    assert first["headers"]["Host"] == f"127.0.0.1:{port}"


@pytest.mark.proves("S003-30")
def test_only_the_named_listener_decides(project):
    good, bad = free_port(), free_port()

    def listener(name: str, port: int, primary: str) -> str:
        fixed = f"address: 127.0.0.1, port: {{mode: fixed, value: {port}}}"
        project = f"project: {{host: {{{fixed}, primary: {primary}}}}}"
        return f"        {name}: {{protocol: http, bind: {{{fixed}}}, {project}}}\n"

    listeners = "      listeners:\n" + listener("good", good, "true") + listener("bad", bad, "false")
    head = "version: 1\nproject: {name: x}\ntasks:\n  web:\n"
    body = f"    run: exec python3 server.py {good}\n    runtime:\n      kind: service\n"

    def contract(asked: str, patience: int = 400) -> str:
        ready = f"      readiness: {{kind: tcp, listener: {asked}, interval: 50ms, retries: {patience}}}\n"
        return head + body + ready + listeners

    confirmed(project({"ota.yaml": contract("good"), "server.py": RECORDER}))
    refused = project({"ota.yaml": contract("bad", 20), "server.py": RECORDER}).run("run", "web")
    assert refused.code == 1
    assert f"bad (tcp 127.0.0.1:{bad}): refused" in refused.err
    with pytest.raises(ContractError) as caught:
        load_bytes(contract("missing").encode(), Path("/repo/ota.yaml"), "ota.yaml")
    assert "OTA_V457" in [finding.code for finding in caught.value.findings]


@pytest.mark.proves("S003-114")
def test_a_reusable_probe_lends_request_and_timeout_to_the_tasks_own_listener(project):
    port = free_port()
    probes = (
        "readiness:\n  probes:\n    be:\n      kind: http\n      path: /probe\n      headers: {X-Probe: be}\n"
        "      expect_status: 204\n      timeout: 3s\n"
        "      target: {kind: task, name: web, listener: http}\n"
    )
    repo = recorded(project, port, "{probe: be, listener: http, interval: 100ms, retries: 100}", probes)
    confirmed(repo, env={"ANSWERS": '[[200, ""], [204, ""]]'})
    seen = requests(repo)
    assert len(seen) >= 2, "200 is not what the probe accepts"
    assert {(each["path"], each["headers"]["X-Probe"]) for each in seen} == {("/probe", "be")}


# --- what counts -----------------------------------------------------------------------------------


@pytest.mark.proves("S003-74")
@pytest.mark.parametrize(
    ("accepted", "answers", "is_ready"),
    [
        ("", [301], True),
        ("", [404], False),
        (", success: {status: [200, 204]}", [204], True),
        (", success: {status: [200, 204]}", [201], False),
        (", success: {status: [503]}", [503], True),
    ],
)
def test_the_declared_statuses_are_the_accepted_ones(project, accepted, answers, is_ready):
    repo = recorded(
        project,
        free_port(),
        f"{{kind: http, listener: http, path: /, interval: 100ms, retries: 50{accepted}}}",
    )
    env = {"ANSWERS": json.dumps([[status, "x"] for status in answers])}
    if is_ready:
        confirmed(repo, env=env)
    else:
        done = repo.run("run", "web", env=env)
        assert done.code == 1
        assert f"status {answers[0]}" in done.err


@pytest.mark.proves("S003-75", "S003-81")
def test_the_http_example_is_ready_once_status_and_body_are_both_right(project):
    port = free_port()
    repo = example(project, "http-task-readiness", port, 8080)
    near_misses = [
        [503, '{"status":"UP"}'],
        [200, '{"status":"DOWN"}'],
        [200, '{"status": "UP"}'],
        [200, "{'status':'UP'}"],
    ]
    answers = [*near_misses, [200, 'so "status":"UP" it is']]
    confirmed(repo, "api", env={"ANSWERS": json.dumps(answers)})
    seen = requests(repo)
    assert len(seen) == len(answers), "no earlier answer was taken for ready, and none after it was asked"
    assert {(each["method"], each["path"]) for each in seen} == {("GET", "/health")}


@pytest.mark.proves("S003-28", "S001-82", "S002-76")
def test_the_tcp_example_is_ready_exactly_when_the_socket_accepts(project):
    port = free_port()
    repo = example(project, "tcp-shorthand", port, 6379)
    live = repo.start("run", "redis", "--json", env={"LISTEN_AFTER_S": "1.5"})
    live.wait_for("listening")
    live.signal(signal.SIGINT)
    receipt = live.finish().json["receipt"]
    assert receipt["runtime"]["primary_endpoint"]["confirmed"] is True
    ready = receipt["steps"][0]["readiness"]
    assert ready["elapsed_ms"] >= 1_000, "not before the socket was there"


@pytest.mark.proves("S003-82")
def test_a_tcp_probe_of_an_http_listener_asks_nothing_but_the_connection(project):
    port = free_port()
    repo = example(project, "tcp-task-readiness", port, 8080)
    confirmed(repo, "api", env={"ANSWERS": '[[503, "busy"]]'})
    assert requests(repo) == []


@pytest.mark.proves("S001-79", "S002-73")
def test_the_http_shorthand_example_is_reached_at_its_browser_url(project):
    if is_listening(3000):
        pytest.skip("port 3000 of this machine is taken")
    repo = example(project, "http-shorthand", 3000, 3000)
    live = repo.start("run", "dev", "--json", env={"ANSWERS": '[[503, "no"], [200, "yes"]]'})
    live.wait_for("listening")
    deadline = time.monotonic() + 20
    while len(requests(repo)) < 2:
        assert time.monotonic() < deadline
    live.wait_for("http://127.0.0.1:3000/") if "http://127" in live.err else None
    live.signal(signal.SIGINT)
    runtime = live.finish().json["receipt"]["runtime"]
    assert [(each["method"], each["path"]) for each in requests(repo)][:2] == [("GET", "/")] * 2
    assert runtime["primary_endpoint"]["host"]["url"] == "http://127.0.0.1:3000/"
    assert runtime["primary_endpoint"]["confirmed"] is True


# --- when it is over -------------------------------------------------------------------------------


@pytest.mark.proves("S003-02", "S002-10")
def test_a_process_that_lives_and_says_that_it_is_ready_is_not_when_it_never_listens(project):
    port = free_port()
    body = f"echo 'ready in 12 ms'; echo 'Local: http://127.0.0.1:{port}/'; exec sleep 60"
    ready = "{kind: tcp, listener: http, interval: 50ms, retries: 6, timeout: 1s}"
    contract = service(port, readiness=ready, body="sh body.sh")
    repo = project({"ota.yaml": contract, "body.sh": body})
    done = repo.run("run", "web")
    assert done.code == 1
    assert "6 attempts failed" in done.err
    assert "refused" in done.err
    assert "External" not in done.err
    assert "printed nothing" not in done.err, "it did print"
    receipt = repo.run("run", "web", "--json").json["receipt"]
    assert receipt["runtime"]["primary_endpoint"]["confirmed"] is False
    rungs = {each["rung"]: each["standing"] for each in receipt["steps"][0]["readiness"]["ladder"]}
    assert (rungs["process_alive"], rungs["socket_bound"]) == ("holds", "broken")
    assert rungs["answers_from_host"] == "not_reached"


@pytest.mark.proves("S003-03")
def test_an_open_port_whose_route_says_no_is_not_ready(project):
    repo = recorded(
        project, free_port(), "{kind: http, listener: http, path: /health, interval: 100ms, retries: 80}"
    )
    done = repo.run("run", "web", env={"ANSWERS": '[[503, "busy"]]'})
    assert done.code == 1
    assert "status 503 (expected 200-399)" in done.err
    assert "External" not in done.err


@pytest.mark.proves("S003-84")
def test_each_owner_of_readiness_works_alone(project):
    port = free_port()
    confirmed(recorded(project, port, "{kind: tcp, listener: http, interval: 50ms, retries: 400}"))
    head = "version: 1\nproject: {name: x}\n"
    alone = project({"ota.yaml": head + "checks: [{name: c, kind: health, severity: error, run: exit 0}]\n"})
    assert alone.run("check").code == 0
    workflow = project({
        "ota.yaml": head
        + f"readiness: {{probes: {{p: {{kind: http, url: 'http://127.0.0.1:{port}/', timeout: 1s}}}}}}\n"
        + "workflows: {default: w, w: {readiness: {probes: [p]}}}\ntasks: {a: {run: 'true'}}\n"
    })  # fmt: skip
    assert workflow.run("check", "--json").json["findings"][0]["code"] == "OTA_WORKFLOW_PROBE_FAILED"
