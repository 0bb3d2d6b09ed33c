"""Which path `ota up` brings up, where, with what; and its preview."""

import json
import os
import time

import pytest

from services.conftest import host_service
from support.servers import free_port, is_listening
from up.conftest import codes_of, contract, steps_of, web

pytestmark = pytest.mark.edge

SETUP = "  setup: {run: echo setup >> order.txt}\n"
APP = "    setup: {task: setup}\n    run: {task: dev}\n"
TWO = """
version: 1
project: {{name: upped}}
execution:
  contexts:
    host: {{backend: native}}
services:
{services}checks:
  - {{name: backend-ready, kind: health, severity: error, run: 'true', timeout: 10s}}
  - {{name: frontend-ready, kind: health, severity: error, run: 'exit 1', timeout: 10s}}
tasks:
  setup: {{run: echo setup >> order.txt}}
{backend}{frontend}workflows:
  default: backend
  backend:
    setup: {{task: setup}}
    run: {{task: api}}
    services: {{required: [db]}}
    readiness: {{checks: [backend-ready]}}
  frontend:
    setup: {{task: setup}}
    run: {{task: page}}
    services: {{required: []}}
    readiness: {{checks: [frontend-ready]}}
"""


@pytest.fixture
def two(upped):
    db = free_port()
    text = TWO.format(
        services=host_service("db", db),
        backend=web(free_port(), name="api"),
        frontend=web(free_port(), name="page"),
    )
    return upped(text)


@pytest.mark.proves("S003-05")
@pytest.mark.proves("S003-68")
def test_a_broken_check_of_the_frontend_never_fails_the_backend(two, assert_schema):
    backend = two.run("up", "--json")
    assert (backend.code, backend.json["status"], backend.json["workflow"]["name"]) == (0, "READY", "backend")
    assert "frontend" not in json.dumps(backend.json["findings"])
    frontend = two.run("up", "--workflow", "frontend", "--json")
    assert_schema(frontend.json, "up")
    assert (frontend.code, frontend.json["status"]) == (1, "NOT READY")
    assert codes_of(frontend.json) == ["OTA_CHECK_FAILED"]
    assert frontend.json["workflow"]["name"] == "frontend"
    assert [each["label"] for each in frontend.json["receipt"]["steps"]] == [
        "preconditions",
        "setup",
        "page",
        "post-up diagnosis",
    ]
    for command in ("doctor", "check"):
        assert two.run(command, "--workflow", "frontend").code == 1
        assert two.run(command, "--workflow", "backend").code == 0


@pytest.mark.proves("S003-65")
def test_an_unknown_workflow_lists_the_known_ones(two):
    result = two.run("up", "--workflow", "nothing")
    assert result.code == 1
    assert "unknown workflow `nothing`" in result.err
    assert "`backend`" in result.err and "`frontend`" in result.err
    assert not (two.path / "order.txt").exists()


BREAKS = {
    "setup": ("echo setup >> order.txt", "exit 4", "SETUP FAILED", "OTA_UP_SETUP_FAILED", 4),
    "service": ("exe: python3", "exe: 'false'", "SERVICE START FAILED", "OTA_SERVICE_START_FAILED", 1),
    "run": ("python3 server.py", "exit 6", "RUN FAILED", "OTA_UP_RUN_FAILED", 6),
    "check": ("'true'", "exit 1", "NOT READY", "OTA_CHECK_FAILED", 1),
}


@pytest.mark.proves("S003-06")
@pytest.mark.parametrize("broken", BREAKS)
def test_each_part_of_a_workflow_that_breaks_flips_it_and_is_named(two, assert_schema, broken):
    good, bad, status, code, exit_code = BREAKS[broken]
    assert two.run("up").code == 0
    import psutil

    process = psutil.Process(int(two.read("db.pid")))
    process.kill()
    two.write({"ota.yaml": two.read("ota.yaml").replace(good, bad, 1)})
    result = two.run("up", "--json")
    assert_schema(result.json, "up")
    assert (result.code, result.json["status"]) == (exit_code, status), result
    assert codes_of(result.json) == [code]
    text = two.run("up")
    assert text.code == exit_code
    assert "NOT READY" in text.out


# --- where and with what -------------------------------------------------------------------------

PLANES = """
version: 1
project: {name: planes}
execution:
  default_context: host
  contexts:
    host: {backend: native, env: {WHERE: host}}
    box: {backend: container, lifecycle: ephemeral, container: {image: example/image}}
    kept: {backend: container, lifecycle: persistent, container: {image: example/image}}
tasks:
  setup:
    run: echo setup
    execution: {default_mode: native, modes: {native: {context: host}, container: {context: box}}}
  dev:
    run: python3 server.py
    runtime:
      kind: service
      listeners: {http: {protocol: http, bind: {address: 0.0.0.0, port: {mode: fixed, value: 3000}}}}
    execution: {default_mode: native, modes: {native: {context: host}, container: {context: box}}}
workflows:
  default: app
  app: {setup: {task: setup}, run: {task: dev}}
"""
PAIRS = [
    ("--native", "--mode native"),
    ("--native", "--backend native"),
    ("--container", "--mode container"),
    ("--container --persistent", "--mode container --lifecycle persistent"),
    ("--container --ephemeral", "--container --lifecycle ephemeral"),
]


@pytest.mark.parametrize(("short", "long"), PAIRS)
def test_the_selectors_mean_their_long_forms(upped, assert_schema, short, long):
    repo = upped(PLANES)
    one = repo.run("up", "--dry-run", "--json", *short.split())
    two = repo.run("up", "--dry-run", "--json", *long.split())
    assert_schema(one.json, "up")
    assert one.code == two.code
    assert one.out_bytes == two.out_bytes
    assert one.json["overrides"]["backend"] == one.json["execution"]["backend"]
    if "ephemeral" in short or "persistent" in short:
        assert one.json["execution"]["lifecycle"] in short


@pytest.mark.proves("S000-09")
def test_help_lists_the_selectors_and_examples(upped):
    shown = upped(PLANES).run("up", "--help").out
    for flag in ("--native", "--container", "--persistent", "--ephemeral", "--mode", "--lifecycle"):
        assert flag in shown
    for flag in ("--detach", "--attach", "--ready-timeout", "--workflow", "--dry-run", "--json", "--stream"):
        assert flag in shown
    assert "ota up --workflow backend --detach" in shown


@pytest.mark.parametrize(
    "wrong",
    [
        "--native --container",
        "--detach --attach",
        "--detach --stream",
        "--json --stream",
        "--dry-run --receipt",
        "--dry-run --stream",
        "--persistent --ephemeral",
    ],
)
def test_contradictions_are_usage_errors(upped, wrong):
    result = upped(PLANES).run("up", *wrong.split())
    assert result.code == 2
    assert "cannot be used with" in result.err


@pytest.mark.proves("S001-139")
def test_a_remote_setup_blocks_and_nothing_starts(upped, assert_schema, tmp_path):
    db = free_port()
    ssh = tmp_path / "shims" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(f"#!/bin/sh\ntouch {tmp_path}/ssh-was-called\n")
    ssh.chmod(0o755)
    env = {"PATH": f"{ssh.parent}:{os.environ['PATH']}"}
    text = contract(
        services=host_service("db", db),
        tasks="  setup: {run: touch setup-ran, context: far}\n",
        workflow="    setup: {task: setup}\n    services: {required: [db]}\n",
    ).replace(
        "    host: {backend: native}\n",
        "    host: {backend: native}\n"
        "    far: {backend: remote, remote: {provider: ssh, target: dev@far.example}}\n",
    )
    repo = upped(text)
    result = repo.run("up", "--json", env=env)
    assert_schema(result.json, "up")
    assert (result.code, result.json["status"], result.json["phase"]) == (1, "NOT READY", "preconditions")
    assert codes_of(result.json)[0] == "OTA_UP_SETUP_REMOTE"
    told = repo.run("up", env=env)
    assert "setup task `setup` resolves to context `far`, which is remote" in told.out
    assert not (tmp_path / "ssh-was-called").exists() and not (repo.path / "setup-ran").exists()
    assert result.json["receipt"]["status"] == "blocked"
    assert not is_listening(db)
    preview = repo.run("up", "--dry-run", "--json")
    assert (preview.code, preview.json["preview_status"]) == (1, "BLOCKED")


@pytest.mark.proves("S002-29")
def test_setup_and_run_get_the_merged_context_and_the_profile_of_the_workflow(upped):
    port = free_port()
    text = f"""
version: 1
project: {{name: merged}}
env:
  profiles:
    local: {{env: {{FROM_PROFILE: profile}}}}
execution:
  contexts:
    base: {{backend: native, env: {{FROM_BASE: base, LEVEL: base}}}}
    host: {{extends: base, env: {{LEVEL: host}}}}
tasks:
  setup: {{context: host, run: 'echo setup $FROM_BASE $LEVEL $FROM_PROFILE $WHO >> seen.txt'}}
  dev:
    context: host
    run: 'echo dev $FROM_BASE $LEVEL $FROM_PROFILE $WHO >> seen.txt; exec python3 server.py'
    runtime:
      kind: service
      readiness: {{kind: tcp, listener: http}}
      listeners: {{http: {{http: {port}}}}}
workflows:
  default: app
  app:
    setup: {{task: setup}}
    run: {{task: dev}}
    env: {{profile: local}}
    instances:
      default: one
      one: {{env: {{WHO: "${{OTA_WORKFLOW_INSTANCE}}"}}}}
      two: {{env: {{WHO: second}}}}
"""
    repo = upped(text)
    result = repo.run("up", "--json")
    assert result.json["status"] == "READY", result
    assert repo.read("seen.txt").splitlines() == ["setup base host profile one", "dev base host profile one"]
    assert result.json["receipt"]["context"] == "host"
    assert repo.run("up", "--workflow", "app@two").code == 0
    assert repo.read("seen.txt").splitlines()[-1] == "dev base host profile second"


def test_a_setup_that_would_never_end_is_refused(upped):
    worker = "  setup:\n    run: touch ran; sleep 300\n    runtime: {kind: service}\n"
    repo = upped(contract(tasks=worker, workflow="    setup: {task: setup}\n"))
    result = repo.run("up", "--json")
    assert (result.code, codes_of(result.json)) == (1, ["OTA_UP_SETUP_IS_SERVICE"])
    assert not (repo.path / "ran").exists()


@pytest.mark.proves("S001-161")
def test_contexts_their_requirements_and_required_services_drive_the_path(upped):
    port, db = free_port(), free_port()
    text = f"""
version: 1
project: {{name: driven}}
execution:
  default_context: host
  contexts:
    host: {{backend: native, env: {{WHERE: host}}}}
    tools:
      backend: native
      env: {{WHERE: tools}}
      requirements: {{tools: {{python3: ">=3.8"}}}}
services:
{host_service("db", db).replace("required: true", "required: false")}tasks:
  setup:
    context: tools
    requires_services: [db]
    run: 'echo setup $WHERE >> seen.txt; test -e listening.txt'
  dev:
    run: 'echo dev $WHERE >> seen.txt; exec python3 server.py'
    runtime:
      kind: service
      readiness: {{kind: tcp, listener: http}}
      listeners: {{http: {{http: {port}}}}}
workflows:
  default: app
  app: {{setup: {{task: setup}}, run: {{task: dev}}}}
"""
    repo = upped(text)
    result = repo.run("up", "--json")
    assert result.json["status"] == "READY", result
    assert repo.read("seen.txt").splitlines() == ["setup tools", "dev host"]
    steps = steps_of(result.json)
    assert list(steps) == ["preconditions", "service db", "setup", "dev", "post-up diagnosis"]
    assert (steps["setup"]["context"], steps["dev"]["context"]) == ("tools", "host")
    repo.write({"ota.yaml": text.replace("python3: ", "no-such-tool: ")})
    lacking = repo.run("up", "--json")
    assert (lacking.code, codes_of(lacking.json)) == (1, ["OTA_TOOL_MISSING"])


def test_an_agent_is_refused_a_path_that_is_not_safe(upped, assert_schema):
    port = free_port()
    agent = "agent: {default_task: setup, safe_tasks: [setup], writable_paths: [order.txt]}\n"
    repo = upped(contract(tasks=SETUP + web(port), workflow=APP, more=agent))
    result = repo.run("up", "--agent", "--json")
    assert_schema(result.json, "up")
    assert result.code == 1
    assert codes_of(result.json) == ["OTA_AGENT_EXECUTION_REFUSED"]
    assert not (repo.path / "order.txt").exists()


@pytest.mark.proves("S003-71")
def test_a_literal_url_is_listed_and_never_claimed(upped):
    workflow = "    setup: {task: setup}\n    exposes: ['http://127.0.0.1:5678']\n"
    repo = upped(contract(tasks=SETUP, workflow=workflow))
    document = repo.run("up", "--json").json
    assert document["workflow"]["exposes"] == ["http://127.0.0.1:5678"]
    assert "5678" not in json.dumps(document["receipt"])
    text = repo.run("up")
    assert "5678" not in text.out + text.err
    assert "http://127.0.0.1:5678" in repo.run("workflows").out
    assert repo.run("workflows", "--json").json["workflows"][0]["exposes"] == ["http://127.0.0.1:5678"]


# --- the preview ---------------------------------------------------------------------------------


def snapshot(root) -> dict:
    return {
        os.path.join(folder, name): os.stat(os.path.join(folder, name)).st_mtime_ns
        for folder, _, names in os.walk(root)
        for name in names
    }


def test_a_preview_names_everything_in_order_and_changes_nothing(upped, assert_schema):
    port, db = free_port(), free_port()
    check = "  - {name: fit, kind: precondition, severity: error, run: touch checked}\n"
    tasks = "  prep: {run: touch prepared}\n" + SETUP + web(port, more="    depends_on: [setup]\n")
    repo = upped(
        contract(
            services=host_service("db", db),
            checks=check,
            tasks=tasks,
            workflow="    prepare: {task: prep}\n" + APP + "    services: {required: [db]}\n",
        )
    )
    before = snapshot(repo.path)
    result = repo.run("up", "--dry-run", "--json")
    assert_schema(result.json, "up")
    assert (result.code, result.json["status"], result.json["preview_status"]) == (0, "READY", "RUNNABLE")
    assert result.json["plan"]["actions"] == [
        "run prep in host",
        "check preconditions",
        "start unless ready, and wait for service db",
        "run setup in host",
        "start dev in host and wait until it is ready, unless it runs already",
        "check readiness of workflow `app`",
        "end dev",
    ]
    assert result.json["execution_started"] is False
    assert snapshot(repo.path) == before
    assert not is_listening(db) and not is_listening(port)
    text = repo.run("up", "--dry-run", "--detach")
    assert text.out.startswith("UP PREVIEW ./ota.yaml\n\nRUNNABLE\nMode: dry-run (no write)\n")
    assert "leave dev running" in text.out and "no service was started" in text.out
    assert text.out.rstrip().endswith("- `ota up --detach`")
    assert snapshot(repo.path) == before


def test_a_preview_that_would_be_blocked_says_why(upped, assert_schema):
    tools = 'tools: {no-such-tool: ">=1"}\n'
    port = free_port()
    repo = upped(contract(tasks=web(port), workflow="    run: {task: dev}\n", more=tools))
    result = repo.run("up", "--dry-run", "--json")
    assert_schema(result.json, "up")
    assert (result.code, result.json["status"], result.json["ok"]) == (1, "BLOCKED", False)
    assert [each["code"] for each in result.json["blockers"]] == ["OTA_TOOL_MISSING"]
    text = repo.run("up", "--dry-run")
    assert text.code == 1
    assert "BLOCKED" in text.out and "Primary Blocker Missing tool: no-such-tool" in text.out


REQUIRED = "env:\n  vars: {TOKEN: {required: true}}\n  sources: [{kind: dotenv, path: .env}]\n"


def test_what_setup_may_mend_is_a_warning_of_the_preview(upped, assert_schema):
    port = free_port()
    makes = "  setup: {action: {kind: ensure_file, path: .env, value: 'TOKEN=made'}}\n"
    repo = upped(contract(tasks=makes + web(port), workflow=APP, more=REQUIRED))
    result = repo.run("up", "--dry-run", "--json")
    assert_schema(result.json, "up")
    assert (result.code, result.json["status"]) == (0, "READY WITH WARNINGS")
    assert "`setup` comes first and may mend it" in result.json["blockers"][0]["why"]
    assert repo.run("up").code == 0


def test_what_setup_lacks_itself_blocks_the_preview_as_it_does_the_run(upped):
    repo = upped(contract(tasks=SETUP, workflow="    setup: {task: setup}\n", more=REQUIRED))
    result = repo.run("up", "--dry-run", "--json")
    assert (result.code, result.json["status"]) == (1, "BLOCKED")
    assert [each["code"] for each in result.json["blockers"]] == ["OTA_ENV_MISSING"]
    assert repo.run("up").code == 1
    assert not (repo.path / "order.txt").exists()


# --- how it is told ------------------------------------------------------------------------------


def test_streamed_output_is_live_and_buffered_output_is_not_shown_on_success(upped):
    port = free_port()
    tasks = "  setup: {run: echo words of setup}\n" + web(
        port, body="echo words of dev; exec python3 server.py"
    )
    repo = upped(contract(tasks=tasks, workflow=APP))
    live = repo.run("up", "--stream")
    assert live.code == 0
    assert "words of setup" in live.out and "words of dev" in live.out
    quiet = repo.run("up")
    assert "words of" not in quiet.out + quiet.err


def test_the_receipt_is_printed_and_agrees_with_the_json(upped):
    port = free_port()
    repo = upped(contract(tasks=SETUP + web(port), workflow=APP))
    text = repo.run("up", "--receipt").out
    assert "RECEIPT ./ota.yaml" in text
    for order, label in enumerate(("preconditions", "setup", "dev", "post-up diagnosis"), 1):
        assert f"{order}. READY  {label}" in text
    assert text.index("RECEIPT") < text.index("UP SUMMARY") < text.index("Next:")
    steps = steps_of(repo.run("up", "--json").json)
    assert all(each["status"] == "READY" for each in steps.values())


@pytest.mark.proves("S003-01")
def test_started_reached_ready_confirmed_and_workflow_ready_are_facts_of_their_own(upped):
    port = free_port()
    checks = "  - {name: fit, kind: health, severity: error, run: test -e fit.txt, timeout: 5s}\n"
    workflow = APP + "    readiness: {checks: [fit]}\n"
    never = "{kind: http, listener: http, path: /nowhere, interval: 50ms, retries: 120}"
    repo = upped(contract(checks=checks, tasks=SETUP + web(port, ready=never), workflow=workflow))
    listening = repo.run("up", "--json").json
    rungs = {each["rung"]: each["standing"] for each in steps_of(listening)["dev"]["readiness"]["ladder"]}
    assert (rungs["process_alive"], rungs["socket_bound"], rungs["content"]) == ("holds", "holds", "broken")
    endpoint = listening["receipt"]["runtime"]["primary_endpoint"]
    assert (listening["status"], endpoint["confirmed"]) == ("RUN FAILED", False)
    assert "attempts" in steps_of(listening)["dev"]["readiness"]
    repo.write({"ota.yaml": contract(checks=checks, tasks=SETUP + web(port), workflow=workflow)})
    confirmed = repo.run("up", "--json").json
    assert confirmed["receipt"]["runtime"]["primary_endpoint"]["confirmed"] is True
    assert steps_of(confirmed)["dev"]["readiness"]["is_gate"] is True
    assert (confirmed["ok"], confirmed["status"]) == (False, "NOT READY")
    text = repo.run("up")
    assert "External:" in text.err and "NOT READY" in text.out
    repo.write({"fit.txt": ""})
    ready = repo.run("up", "--json").json
    assert (ready["ok"], ready["status"]) == (True, "READY")


def test_secrets_are_in_no_report(upped):
    port = free_port()
    more = "env:\n  vars:\n    TOKEN: {secret: true, required: true}\n"
    tasks = "  setup: {run: echo token is $TOKEN; exit 3}\n" + web(port)
    repo = upped(contract(tasks=tasks, workflow=APP, more=more))
    secret = {"TOKEN": "a-most-secret-value"}
    for more_flags in ((), ("--json",), ("--stream",), ("--receipt",)):
        result = repo.run("up", *more_flags, env=secret)
        assert result.code == 3
        assert "a-most-secret-value" not in result.out + result.err
        assert "token is ***" in result.out + result.err


@pytest.mark.parametrize("columns", ["200", "40", "24"])
def test_a_secret_is_not_seen_either_where_a_narrow_terminal_would_break_it(upped, columns):
    more = "env:\n  vars:\n    PHRASE: {secret: true}\n"
    more += 'checks: [{name: leaky, kind: health, severity: error, run: "cat .env.setup >&2; exit 3"}]\n'
    tasks = "  setup: {run: 'true', env_files: [.env.setup]}\n"
    repo = upped(contract(tasks=tasks, workflow="    setup: {task: setup}\n", more=more))
    words = ("correct", "horse", "battery", "staple", "quite", "plainly")
    repo.write({".env.setup": 'PHRASE="{}  {}\t{} {} {} {}"\n'.format(*words)})
    result = repo.run("up", env={"COLUMNS": columns})
    assert (result.code, 'PHRASE="***"' in result.out) == (1, True), result
    assert not [word for word in words if word in result.out + result.err]


def test_six_independent_services_take_about_as_long_as_the_slowest(upped):
    ports = [free_port() for _ in range(6)]
    services = "".join(host_service(f"s{n}", port, delay_s=1.0) for n, port in enumerate(ports))
    repo = upped(contract(services=services))
    began = time.monotonic()
    result = repo.run("up", "--json")
    assert result.code == 0, result
    assert time.monotonic() - began < 4.5
    assert all(is_listening(port) for port in ports)
