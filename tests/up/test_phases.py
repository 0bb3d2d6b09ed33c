"""The phases of `ota up` in order, each proven before the next one begins."""

import json
import urllib.request

import pytest

from services.conftest import host_service
from support.servers import free_port, is_listening
from up.conftest import codes_of, contract, steps_of, web

pytestmark = pytest.mark.edge

SETUP = "  setup: {run: echo setup >> order.txt}\n"
APP = "    setup: {task: setup}\n    run: {task: dev}\n"


def started(repo) -> list[str]:
    """Services in the order in which their start command ran."""
    file = repo.path / "started.txt"
    return file.read_text().split() if file.exists() else []


@pytest.mark.proves("S003-22")
@pytest.mark.proves("S003-23")
@pytest.mark.proves("S003-62")
@pytest.mark.proves("S000-135")
def test_a_path_comes_up_phase_by_phase_and_its_run_task_is_ended_again(upped, assert_schema):
    port, db = free_port(), free_port()
    repo = upped(
        contract(
            services=host_service("db", db),
            tasks=SETUP + web(port, more="    depends_on: [setup]\n"),
            workflow=APP + "    services: {required: [db]}\n",
        )
    )
    result = repo.run("up", "--json")
    assert result.code == 0, result
    document = result.json
    assert_schema(document, "up")
    assert (document["ok"], document["status"], document["phase"]) == (True, "READY", "post-up diagnosis")
    assert (document["workflow"]["name"], document["task"]) == ("app", "dev")
    labels = [each["label"] for each in document["receipt"]["steps"]]
    assert labels == ["preconditions", "service db", "setup", "dev", "post-up diagnosis"]
    assert [each["stage_family"] for each in document["receipt"]["steps"]] == [
        "prepare",
        "setup",
        "setup",
        "verify",
        "proof",
    ]
    steps = steps_of(document)
    assert steps["dev"]["status"] == "READY"
    assert steps["dev"]["readiness"]["is_gate"]
    endpoint = document["receipt"]["workloads"]["dev"]["primary_endpoint"]
    assert (endpoint["host"]["url"], endpoint["confirmed"]) == (f"http://127.0.0.1:{port}/", True)
    assert document["receipt"]["status"] == "success"
    assert document["receipt"]["footprint"]["left_behind"] == []
    assert repo.read("order.txt").split() == ["setup"]  # although two phases need it
    assert not is_listening(port)
    assert is_listening(db)


@pytest.mark.proves("S000-138")
def test_progress_is_lines_on_standard_error_and_the_report_is_on_standard_output(upped):
    port, other = free_port(), free_port()
    at = f"address: 127.0.0.1, port: {{mode: fixed, value: {other}}}"
    host = f"project: {{host: {{{at}, path: /docs, primary: true}}}}"
    docs = f"        docs: {{protocol: http, bind: {{{at}}}, {host}}}\n"
    ready = "{kind: http, listener: docs, path: /health, interval: 50ms, retries: 200}"
    dev = web(port, body=f"python3 server.py {port} {other}", ready=ready, more=docs)
    repo = upped(contract(tasks=SETUP + dev, workflow=APP))
    result = repo.run("up")
    assert result.code == 0, result
    url = f"http://127.0.0.1:{other}/docs"
    wanted = ["> preconditions", "> setup (setup)", "> run (dev)", f"External: {url}", "> post-up diagnosis"]
    places = [result.err.index(text) for text in wanted]
    assert places == sorted(places)
    assert "\x1b" not in result.err + result.out
    lines = result.out.splitlines()
    assert lines[:5] == ["UP ./ota.yaml", "", "READY", "", "Phase: post-up diagnosis"]
    assert "Backend: native" in lines
    summary = lines[lines.index("UP SUMMARY") + 1 :]
    assert summary[0].split() == ["Status:", "success"]
    assert f"External:    {url}" in summary
    assert any(line.startswith("Secondary:   1 additional endpoint") for line in summary)
    assert summary[summary.index("Next:") + 1].strip().startswith("- `ota up --detach`")


@pytest.mark.proves("S000-127")
@pytest.mark.proves("S001-138")
def test_a_path_that_only_sets_up_claims_no_endpoint(upped, assert_schema):
    port = free_port()
    repo = upped(contract(tasks=SETUP + web(port), workflow="    setup: {task: setup}\n"))
    document = repo.run("up", "--json").json
    assert_schema(document, "up")
    assert document["status"] == "READY"
    assert "workloads" not in document["receipt"]
    assert "runtime" not in document["receipt"]
    text = repo.run("up")
    assert "External" not in text.out + text.err and str(port) not in text.out + text.err


def test_without_workflows_setup_and_the_agents_default_task_are_the_path(upped):
    port = free_port()
    agent = "agent: {default_task: dev, safe_tasks: [dev]}\n"
    repo = upped(contract(tasks=SETUP + web(port), more=agent))
    document = repo.run("up", "--json").json
    assert document["status"] == "READY"
    assert "workflow" not in document
    assert [each["label"] for each in document["receipt"]["steps"]][1:3] == ["setup", "dev"]


def test_a_path_of_nothing_but_services_is_brought_up_too(upped, assert_schema):
    db = free_port()
    repo = upped(contract(services=host_service("db", db)))
    result = repo.run("up", "--json")
    assert_schema(result.json, "up")
    assert result.json["status"] == "READY"
    assert is_listening(db)
    text = repo.run("up")
    assert text.code == 0
    assert "Service:     db: ready; already running" in text.out


def test_a_finite_run_task_is_not_run(upped):
    tasks = SETUP + "  build: {run: touch built}\n"
    workflow = "    setup: {task: setup}\n    run: {task: build}\n"
    repo = upped(contract(tasks=tasks, workflow=workflow))
    document = repo.run("up", "--json").json
    assert document["status"] == "READY"
    assert document["task"] == "build"
    assert not (repo.path / "built").exists()
    skipped = repo.run("up", "--dry-run", "--json").json["plan"]["skipped"]
    assert any("`ota run build`" in each for each in skipped)


def test_prepare_comes_first_and_is_not_repeated_by_a_setup_that_depends_on_it(upped):
    tasks = (
        "  config: {run: echo config >> order.txt}\n"
        "  setup: {run: echo setup >> order.txt, depends_on: [config]}\n"
    )
    workflow = "    prepare: {task: config}\n    setup: {task: setup}\n"
    repo = upped(contract(tasks=tasks, workflow=workflow))
    document = repo.run("up", "--json").json
    assert document["status"] == "READY"
    assert repo.read("order.txt").split() == ["config", "setup"]
    assert document["receipt"]["steps"][0]["label"] == "config"
    assert steps_of(document)["config"]["stage_family"] == "prepare"


def test_an_action_that_the_workflow_states_itself_prepares_it(upped, assert_schema):
    action = "{action: {kind: ensure_file, path: made.txt, value: hello}}"
    workflow = f"    prepare: {action}\n    setup: {{task: setup}}\n"
    repo = upped(contract(tasks=SETUP, workflow=workflow))
    result = repo.run("up", "--json")
    assert_schema(result.json, "up")
    assert result.json["status"] == "READY", result
    assert repo.read("made.txt").strip() == "hello"


def test_a_failed_prepare_is_the_end_and_keeps_its_code(upped, assert_schema):
    workflow = "    prepare: {task: config}\n    setup: {task: setup}\n"
    repo = upped(contract(tasks="  config: {run: exit 5}\n" + SETUP, workflow=workflow))
    result = repo.run("up", "--json")
    assert_schema(result.json, "up")
    assert (result.code, result.json["status"], result.json["phase"]) == (5, "PREPARE FAILED", "prepare")
    assert codes_of(result.json) == ["OTA_UP_PREPARE_FAILED"]
    assert not (repo.path / "order.txt").exists()


# --- preconditions -------------------------------------------------------------------------------


@pytest.mark.proves("S003-42")
def test_a_failed_precondition_keeps_everything_from_starting(upped, assert_schema):
    port, db = free_port(), free_port()
    check = "  - {name: licence, kind: precondition, severity: error, run: test -e licence.txt}\n"
    repo = upped(
        contract(
            services=host_service("db", db),
            checks=check,
            tasks=web(port),
            workflow="    run: {task: dev}\n    services: {required: [db]}\n",
        )
    )
    result = repo.run("up", "--json")
    assert_schema(result.json, "up")
    assert (result.code, result.json["status"], result.json["phase"]) == (1, "NOT READY", "preconditions")
    assert codes_of(result.json) == ["OTA_CHECK_FAILED"]
    assert result.json["receipt"]["status"] == "blocked"
    assert [each["label"] for each in result.json["receipt"]["steps"]] == ["preconditions"]
    assert started(repo) == []
    text = repo.run("up")
    assert (
        "NOT READY" in text.out and "Check failed: licence" in text.out and "Phase: preconditions" in text.out
    )


def test_setup_runs_early_to_mend_a_precondition_and_only_once(upped):
    check = "  - {name: licence, kind: precondition, severity: error, run: test -e licence.txt}\n"
    tasks = "  setup: {run: touch licence.txt; echo setup >> order.txt}\n"
    repo = upped(contract(checks=check, tasks=tasks, workflow="    setup: {task: setup}\n"))
    result = repo.run("up", "--json")
    assert (result.code, result.json["status"]) == (0, "READY"), result
    assert repo.read("order.txt").split() == ["setup"]
    assert result.json["findings"] == []


def test_a_precondition_that_setup_does_not_mend_stops_the_provisioning(upped, assert_schema):
    check = "  - {name: licence, kind: precondition, severity: error, run: test -e licence.txt}\n"
    repo = upped(contract(checks=check, tasks=SETUP, workflow="    setup: {task: setup}\n"))
    result = repo.run("up", "--json")
    assert_schema(result.json, "up")
    assert (result.code, result.json["status"], result.json["phase"]) == (1, "NOT READY", "provisioning")
    assert codes_of(result.json) == ["OTA_CHECK_FAILED"]
    assert result.json["receipt"]["status"] == "failed"


def test_a_setup_that_cannot_begin_leaves_the_blockers_to_the_preconditions(upped):
    tools = 'tools: {no-such-tool: ">=1"}\n'
    repo = upped(contract(tasks=SETUP, workflow="    setup: {task: setup}\n", more=tools))
    result = repo.run("up", "--json")
    assert (result.code, result.json["status"], result.json["phase"]) == (1, "NOT READY", "provisioning")
    assert codes_of(result.json) == ["OTA_TOOL_MISSING"]
    assert not (repo.path / "order.txt").exists()


# --- services and setup --------------------------------------------------------------------------


@pytest.mark.proves("S003-67")
def test_only_the_services_of_the_workflow_and_what_they_depend_on_are_started(upped):
    ports = [free_port() for _ in range(3)]
    services = (
        host_service("db", ports[0], more="    depends_on: [base]\n")
        + host_service("base", ports[1])
        + host_service("other", ports[2])
    )
    workflow = "    setup: {task: setup}\n    services: {required: [db]}\n"
    repo = upped(contract(services=services, tasks=SETUP, workflow=workflow))
    document = repo.run("up", "--json").json
    assert document["status"] == "READY"
    assert started(repo) == ["base", "db"]
    assert "required by workflow `app`" in steps_of(document)["service base"]["detail"]
    assert not is_listening(ports[2])


def test_without_a_list_of_its_own_a_workflow_gets_every_required_service(upped):
    first, second = free_port(), free_port()
    services = host_service("db", first) + host_service("spare", second).replace(
        "required: true", "required: false"
    )
    repo = upped(contract(services=services, tasks=SETUP, workflow="    setup: {task: setup}\n"))
    assert repo.run("up", "--json").json["status"] == "READY"
    assert started(repo) == ["db"]


@pytest.mark.proves("S001-172")
def test_a_legacy_service_is_brought_up(upped):
    port = free_port()
    legacy = (
        "  db:\n    required: true\n    provider: local\n"
        f"    start: python3 daemon.py db {port} 0.2\n    stop: kill $(cat db.pid)\n"
        f"    healthcheck: python3 -c \"import socket; socket.create_connection(('127.0.0.1', {port}))\"\n"
        "    timeout: 5000\n"
    )
    repo = upped(contract(services=legacy, tasks=SETUP, workflow="    setup: {task: setup}\n"))
    result = repo.run("up", "--json")
    assert result.json["status"] == "READY", result
    assert is_listening(port)
    assert repo.run("doctor", "--json").json["ok"]


def test_a_service_that_cannot_be_started_is_named_with_its_code(upped, assert_schema):
    services = host_service("db", free_port()).replace(
        "exe: python3, args: [daemon.py", "exe: sh, args: [-c, exit 9"
    )
    workflow = "    setup: {task: setup}\n    services: {required: [db]}\n"
    repo = upped(contract(services=services, tasks=SETUP, workflow=workflow))
    result = repo.run("up", "--json")
    assert_schema(result.json, "up")
    assert result.code == 9
    document = result.json
    assert (document["status"], document["phase"]) == ("SERVICE START FAILED", "services")
    assert (document["service"], document["exit_code"]) == ("db", 9)
    assert codes_of(document) == ["OTA_SERVICE_START_FAILED"]
    assert not (repo.path / "order.txt").exists()
    text = repo.run("up")
    assert text.code == 9
    assert "Phase: services (SERVICE START FAILED)" in text.out
    assert "Next:" in text.out


def test_a_service_that_does_not_get_ready_is_not_ready_and_exits_1(upped, assert_schema):
    port, elsewhere = free_port(), free_port()
    services = (
        host_service("db", port)
        .replace(f'db, "{port}"', f'db, "{elsewhere}"')
        .replace("retries: 200", "retries: 6")
    )
    workflow = "    setup: {task: setup}\n    services: {required: [db]}\n"
    repo = upped(contract(services=services, tasks=SETUP, workflow=workflow))
    result = repo.run("up", "--json")
    assert_schema(result.json, "up")
    document = result.json
    assert (result.code, document["status"], document["phase"]) == (1, "NOT READY", "services")
    assert document["service"] == "db"
    assert codes_of(document) == ["OTA_SERVICE_READINESS_FAILED"]
    assert is_listening(elsewhere), "what was started is left as it is"


def test_a_failed_setup_keeps_its_code_and_shows_what_it_printed(upped, assert_schema):
    port = free_port()
    tasks = "  setup: {run: echo it broke here; exit 7}\n" + web(port)
    repo = upped(contract(tasks=tasks, workflow=APP))
    result = repo.run("up", "--json")
    assert_schema(result.json, "up")
    document = result.json
    assert result.code == 7
    assert (document["status"], document["phase"]) == ("SETUP FAILED", "setup")
    assert (document["task"], document["exit_code"]) == ("setup", 7)
    assert document["stdout"] == "it broke here\n"
    assert codes_of(document) == ["OTA_UP_SETUP_FAILED"]
    assert "dev" not in steps_of(document)
    assert (document["receipt"]["status"], document["receipt"]["failed_task"]) == ("failed", "setup")
    text = repo.run("up")
    assert text.code == 7
    assert "it broke here" in text.out and "Failed Step: setup" in text.out and "Next:" in text.out


def test_a_setup_whose_condition_does_not_hold_is_skipped(upped):
    checks = "  - {name: fresh, kind: file, severity: info, path: fresh.txt, expect: exists}\n"
    tasks = "  setup: {run: echo setup >> order.txt, when: {checks: [fresh]}}\n"
    workflow = "    setup: {task: setup}\n    readiness: {signal: {checks: [fresh]}}\n"
    repo = upped(contract(checks=checks, tasks=tasks, workflow=workflow))
    document = repo.run("up", "--json").json
    assert document["status"] == "READY"
    assert steps_of(document)["setup"]["status"] == "SKIPPED"


# --- the run task --------------------------------------------------------------------------------


def test_a_run_task_that_does_not_get_ready_is_ended_and_explained(upped, assert_schema):
    port = free_port()
    ready = "{kind: http, listener: http, path: /nowhere, interval: 50ms, retries: 20}"
    repo = upped(contract(tasks=SETUP + web(port, ready=ready), workflow=APP))
    result = repo.run("up", "--json")
    assert_schema(result.json, "up")
    document = result.json
    assert (result.code, document["status"], document["phase"]) == (1, "RUN FAILED", "run")
    assert codes_of(document) == ["OTA_STARTUP_READINESS_EXHAUSTED"]
    assert steps_of(document)["dev"]["readiness"]["ladder"]
    assert not is_listening(port)
    text = repo.run("up")
    assert "Ladder:" in text.out and "the server has no such route" in text.out


def test_the_operator_can_give_the_run_task_less_time(upped):
    port = free_port()
    repo = upped(contract(tasks=SETUP + web(port), workflow=APP))
    env = {"READY_AFTER_S": "60"}
    result = repo.run("up", "--ready-timeout", "400ms", "--json", env=env)
    assert (result.code, result.json["status"]) == (1, "RUN FAILED")
    (finding,) = [each for each in result.json["findings"] if each["severity"] == "error"]
    assert "attempts failed (8 attempts, interval 50ms" in finding["why"]
    assert "400ms in all" in finding["why"]
    assert repo.run("up", "--ready-timeout", "soon").code == 2
    assert repo.run("up", "--ready-timeout", "0s").code == 2


def test_the_time_for_readiness_bounds_an_attempt_that_gets_no_answer(upped):
    port = free_port()
    mute = f"import socket, time\nheard = socket.create_server(('127.0.0.1', {port}))\ntime.sleep(600)\n"
    ready = "{kind: http, listener: http, path: /health}"
    text = contract(tasks=web(port, body="python3 mute.py", ready=ready), workflow="    run: {task: dev}\n")
    repo = upped(text, **{"mute.py": mute})
    document = repo.run("up", "--ready-timeout", "1s", "--json").json
    (finding,) = [each for each in document["findings"] if each["severity"] == "error"]
    assert finding["code"] == "OTA_STARTUP_READINESS_EXHAUSTED"
    assert "was not ready after 1 s" in finding["summary"]


def test_a_run_task_that_ends_by_itself_failed_although_its_code_is_0(upped, assert_schema):
    port = free_port()
    repo = upped(contract(tasks=SETUP + web(port, body="exit 0", ready=""), workflow=APP))
    result = repo.run("up", "--json")
    assert_schema(result.json, "up")
    assert (result.code, result.json["status"]) == (1, "RUN FAILED")
    repo.write({"ota.yaml": contract(tasks=SETUP + web(port, body="exit 4", ready=""), workflow=APP)})
    result = repo.run("up", "--json")
    assert (result.code, result.json["status"], result.json["exit_code"]) == (4, "RUN FAILED", 4)


@pytest.mark.proves("S003-96")
def test_without_declared_readiness_an_open_listener_counts_and_that_is_told(upped):
    port = free_port()
    repo = upped(contract(tasks=SETUP + web(port, ready=""), workflow=APP))
    document = repo.run("up", "--json").json
    assert document["status"] == "READY"
    detail = steps_of(document)["dev"]["detail"]
    assert "it declares no readiness: that listener `http` is reachable is all that counts" in detail


def test_a_worker_without_listeners_counts_when_its_process_stays(upped):
    worker = "  dev:\n    run: exec sleep 300\n    runtime: {kind: service}\n"
    repo = upped(contract(tasks=SETUP + worker, workflow=APP))
    document = repo.run("up", "--json").json
    assert document["status"] == "READY", document
    assert "that its process runs is all that counts" in steps_of(document)["dev"]["detail"]


def test_a_busy_port_of_the_run_task_names_its_holder(upped, assert_schema):
    import socket

    port = free_port()
    repo = upped(contract(tasks=SETUP + web(port), workflow=APP))
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", port))
        holder.listen()
        result = repo.run("up", "--json")
    assert_schema(result.json, "up")
    assert (result.code, result.json["status"], result.json["phase"]) == (1, "RUN FAILED", "run")
    assert codes_of(result.json) == ["OTA_HOST_PUBLICATION_CONFLICT"]


# --- the last look -------------------------------------------------------------------------------


@pytest.mark.proves("S003-24")
@pytest.mark.proves("S001-137")
def test_a_service_that_setup_broke_is_found_at_the_end(upped, assert_schema):
    db = free_port()
    tasks = "  setup: {run: 'kill $(cat db.pid); while kill -0 $(cat db.pid) 2>&-; do sleep 0.05; done'}\n"
    workflow = "    setup: {task: setup}\n    services: {required: [db]}\n"
    repo = upped(
        contract(
            services=host_service("db", db).replace("retries: 200", "retries: 4"),
            tasks=tasks,
            workflow=workflow,
        )
    )
    repo.write({"ota.yaml": repo.read("ota.yaml").replace("retries: 4", "retries: 40")})
    result = repo.run("up", "--json")
    assert_schema(result.json, "up")
    document = result.json
    assert (result.code, document["status"], document["phase"]) == (1, "NOT READY", "post-up diagnosis")
    assert codes_of(document) == ["OTA_SERVICE_READINESS_FAILED"]
    assert document["receipt"]["status"] == "failed"
    assert steps_of(document)["service db"]["status"] == "READY"


@pytest.mark.proves("S003-113")
def test_the_probes_of_the_workflow_are_asked_while_the_run_task_runs(upped, assert_schema):
    port = free_port()
    probes = (
        "readiness:\n  probes:\n    answers:\n      kind: http\n"
        f"      url: http://127.0.0.1:{port}/health\n      timeout: 2000\n"
    )
    workflow = APP + "    readiness: {probes: [answers]}\n"
    repo = upped(contract(tasks=SETUP + web(port), workflow=workflow, more=probes))
    document = repo.run("up", "--json").json
    assert document["status"] == "READY", document
    repo.write(
        {"ota.yaml": repo.read("ota.yaml").replace("/health\n      timeout", "/nowhere\n      timeout")}
    )
    result = repo.run("up", "--json")
    assert_schema(result.json, "up")
    assert (result.code, result.json["phase"]) == (1, "post-up diagnosis")
    assert codes_of(result.json) == ["OTA_WORKFLOW_PROBE_FAILED"]
    assert not is_listening(port)
    assert repo.run("doctor", "--json").json["ok"] is False


@pytest.mark.proves("S001-76")
def test_a_surface_is_declared_once_and_proves_the_path(upped):
    port = free_port()
    surfaces = (
        f"surfaces:\n  api:\n    kind: http\n    port: {port}\n    path: /health\n"
        "    readiness: {kind: http, path: /health, interval: 50ms, retries: 200}\n"
    )
    tasks = SETUP + "  dev:\n    run: python3 server.py\n    runtime: {kind: service, surfaces: [api]}\n"
    workflow = APP + "    readiness: {surfaces: [api]}\n    exposes: [{surface: api}]\n"
    repo = upped(contract(tasks=tasks, workflow=workflow, more=surfaces))
    document = repo.run("up", "--json").json
    assert document["status"] == "READY", document
    url = f"http://127.0.0.1:{port}/health"
    assert document["workflow"]["exposes"] == [url]
    assert document["receipt"]["runtime"]["primary_endpoint"]["host"]["url"] == url


def test_a_run_task_without_readiness_leaves_the_waiting_to_the_path(upped):
    port = free_port()
    code = f"import urllib.request as r; r.urlopen('http://127.0.0.1:{port}/health')"
    checks = "  - {name: healthy, kind: health, severity: error, run: python3 ask.py, timeout: 5s}\n"
    workflow = APP + "    readiness: {checks: [healthy]}\n"
    text = contract(checks=checks, tasks=SETUP + web(port, ready=""), workflow=workflow)
    repo = upped(text, **{"ask.py": code})
    assert repo.run("up", "--json", env={"READY_AFTER_S": "1.5"}).json["status"] == "READY"
    slow = repo.run("up", "--ready-timeout", "6s", "--json", env={"READY_AFTER_S": "90"})
    assert (slow.code, slow.json["status"], slow.json["phase"]) == (1, "NOT READY", "post-up diagnosis")
    assert codes_of(slow.json) == ["OTA_CHECK_FAILED"]


def test_the_url_is_there_while_the_path_is_looked_at_and_gone_afterwards(upped):
    port = free_port()
    checks = "  - {name: asked, kind: health, severity: error, run: python3 ask.py, timeout: 10s}\n"
    ask = f"import urllib.request as r; open('answer', 'wb').write(r.urlopen('http://127.0.0.1:{port}/').read())"
    repo = upped(
        contract(checks=checks, tasks=SETUP + web(port), workflow=APP + "    readiness: {checks: [asked]}\n"),
        **{"ask.py": ask},
    )
    assert repo.run("up", "--json").json["status"] == "READY"
    assert json.loads(repo.read("answer")) == {"status": "UP"}
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2)
