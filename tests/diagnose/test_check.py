"""`ota check`: which checks run, what they may do, and what is left of them."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from readiness.liar_services import answer, answering, serving, silent, unused_port
from support.engines import wait_until
from support.leaks import MARK, marked_processes
from support.servers import is_listening

pytestmark = pytest.mark.edge

HEAD = "version: 1\nproject: {name: x}\n"


def codes(document):
    return [finding["code"] for finding in document["findings"]]


def summaries(document):
    return [finding["summary"] for finding in document["findings"]]


def checked(repo, *args, **more):
    done = repo.run("check", "--json", *args, **more)
    return done.code, done.json


# --- verdict and exit code -----------------------------------------------------------------------


def test_a_repository_without_checks_is_ready(project, assert_schema):
    code, document = checked(project({"ota.yaml": HEAD}))
    assert (code, document["ok"], document["findings"]) == (0, True, [])
    assert_schema(document, "check")


@pytest.mark.proves("S003-54", "S003-55")
@pytest.mark.parametrize(
    ("severity", "code", "banner"),
    [("error", 1, "BLOCKED"), ("warn", 0, "READY WITH WARNINGS"), ("info", 0, "READY")],
)
def test_only_severity_error_blocks(project, assert_schema, severity, code, banner):
    repo = project(
        {"ota.yaml": HEAD + f"checks: [{{name: c, kind: health, severity: {severity}, run: exit 3}}]\n"}
    )
    done = repo.run("check")
    assert done.code == code
    assert done.out.splitlines()[:3] == ["CHECK ./ota.yaml", "", banner]
    assert "Check failed: c" in done.out
    _, document = checked(repo)
    assert document["findings"][0]["severity"] == severity
    assert document["ok"] is (code == 0)
    assert_schema(document, "check")


@pytest.mark.proves("S003-41")
def test_the_name_of_a_check_is_told_as_it_is_written(project):
    name = "Backend: ready? (v2)"
    contract = HEAD + f"checks: [{{name: '{name}', kind: health, severity: error, run: 'false'}}]\n"
    assert summaries(checked(project({"ota.yaml": contract}))[1]) == [f"Check failed: {name}"]


@pytest.mark.proves("S003-13", "S003-20")
def test_nothing_but_the_checks_runs(project, tmp_path):
    contract = (
        HEAD
        + """
tools: {no-such-tool: "1"}
env: {vars: {NEVER_SET: {required: true}}}
services: {db: {required: true, start: touch started, healthcheck: touch asked}}
checks: [{name: c, kind: health, severity: error, run: "touch checked"}]
tasks:
  setup: {run: touch task}
"""
    )
    repo = project({"ota.yaml": contract})
    code, document = checked(repo)
    assert (code, document["findings"]) == (0, [])
    assert sorted(os.listdir(repo.path)) == ["checked", "ota.yaml"]


def test_two_runs_print_the_same_document(project):
    contract = (
        HEAD
        + "checks:\n"
        + "".join(f"  - {{name: c{n}, kind: health, severity: error, run: 'exit {n}'}}\n" for n in range(8))
    )
    repo = project({"ota.yaml": contract})
    first, second = (repo.run("check", "--json").out for _ in range(2))
    assert first == second


def test_a_wrong_workflow_names_the_right_ones(project):
    repo = project({"ota.yaml": HEAD + "workflows: {backend: {}}\n"})
    done = repo.run("check", "--workflow", "backnd")
    assert done.code == 1
    assert "declared: `backend`" in done.err
    assert "use `backend`" in done.err


# --- file and env checks -------------------------------------------------------------------------


@pytest.mark.proves("S003-44")
@pytest.mark.parametrize(
    ("path", "expect", "holds"),
    [
        ("there", None, True),
        ("there", "exists", True),
        ("there", "file", True),
        ("there", "directory", False),
        ("there", "missing", False),
        ("folder", "exists", True),
        ("folder", "file", False),
        ("folder", "directory", True),
        ("absent", "exists", False),
        ("absent", "file", False),
        ("absent", "missing", True),
    ],
)
def test_file_checks(project, path, expect, holds):
    expected = f", expect: {expect}" if expect else ""
    contract = HEAD + f"checks: [{{name: f, kind: file, severity: error, path: {path}{expected}}}]\n"
    code, document = checked(project({"ota.yaml": contract, "there": "", "folder/x": ""}))
    assert code == (0 if holds else 1)
    assert codes(document) == ([] if holds else ["OTA_FILE_CHECK_FAILED"])


DOTENV = """\
PLAIN=yes
export QUOTED="a b"
EMPTY=
HOST=db.internal
LOCAL=localhost
V4=127.0.0.9
V6=::1
JDBC=jdbc:postgresql://app:pw@db.internal:5432/app?ssl=true
PG=postgres://app:p%40ss@[2001:db8::7]:5432/app
REDIS=redis://:secret@127.0.0.1:6379/0
LOOP6=http://[::1]:8080/x
DSN=host=db.internal port=5432
BARE=not a url
"""


@pytest.mark.parametrize(
    ("assertion", "holds"),
    [
        pytest.param("{key: PLAIN, state: present}", True, marks=pytest.mark.proves("S003-47")),
        ("{key: EMPTY, state: present}", True),
        pytest.param("{key: ABSENT, state: present}", False, marks=pytest.mark.proves("S003-47")),
        pytest.param("{key: ABSENT, state: missing}", True, marks=pytest.mark.proves("S003-47")),
        pytest.param("{key: PLAIN, state: missing}", False, marks=pytest.mark.proves("S003-47")),
        pytest.param("{key: QUOTED, equals: a b}", True, marks=pytest.mark.proves("S003-48")),
        pytest.param("{key: PLAIN, equals: 'yes '}", False, marks=pytest.mark.proves("S003-48")),
        pytest.param("{key: PLAIN, equals: 'YES'}", False, marks=pytest.mark.proves("S003-48")),
        ("{key: ABSENT, equals: x}", False),
        pytest.param("{key: PLAIN, not_equals: [no, never]}", True, marks=pytest.mark.proves("S003-49")),
        pytest.param("{key: PLAIN, not_equals: [no, 'yes']}", False, marks=pytest.mark.proves("S003-49")),
        pytest.param(
            "{key: HOST, host: {allowed: [db.internal, other]}}", True, marks=pytest.mark.proves("S003-50")
        ),
        pytest.param("{key: HOST, host: {allowed: [other]}}", False, marks=pytest.mark.proves("S003-50")),
        pytest.param(
            "{key: JDBC, url_host: {allowed: [db.internal]}}", True, marks=pytest.mark.proves("S003-51")
        ),
        pytest.param("{key: JDBC, url_host: {allowed: [app]}}", False, marks=pytest.mark.proves("S003-51")),
        pytest.param(
            "{key: PG, url_host: {allowed: ['2001:db8::7']}}", True, marks=pytest.mark.proves("S003-51")
        ),
        pytest.param(
            "{key: REDIS, url_host: {allowed: [127.0.0.1]}}", True, marks=pytest.mark.proves("S003-51")
        ),
        ("{key: DSN, url_host: {allowed: [db.internal]}}", True),
        ("{key: BARE, url_host: {allowed: [x]}}", False),
        pytest.param("{key: HOST, host: {policy: not_loopback}}", True, marks=pytest.mark.proves("S003-52")),
        pytest.param(
            "{key: LOCAL, host: {policy: not_loopback}}", False, marks=pytest.mark.proves("S003-52")
        ),
        pytest.param("{key: V4, host: {policy: not_loopback}}", False, marks=pytest.mark.proves("S003-52")),
        pytest.param("{key: V6, host: {policy: not_loopback}}", False, marks=pytest.mark.proves("S003-52")),
        pytest.param(
            "{key: JDBC, url_host: {policy: not_loopback}}", True, marks=pytest.mark.proves("S003-52")
        ),
        pytest.param(
            "{key: REDIS, url_host: {policy: not_loopback}}", False, marks=pytest.mark.proves("S003-52")
        ),
        pytest.param(
            "{key: LOOP6, url_host: {policy: not_loopback}}", False, marks=pytest.mark.proves("S003-52")
        ),
    ],
)
@pytest.mark.proves("S003-45")
def test_env_assertions_on_a_dotenv_file(project, assertion, holds):
    contract = HEAD + (
        "checks: [{name: e, kind: env, severity: error, "
        f"env: {{path: conf/.env, assertions: [{assertion}]}}}}]\n"
    )
    code, document = checked(project({"ota.yaml": contract, "conf/.env": DOTENV}))
    assert (code, codes(document)) == ((0, []) if holds else (1, ["OTA_CHECK_FAILED"]))


@pytest.mark.proves("S003-46")
@pytest.mark.parametrize("layer", ["process", "source", "default"])
def test_env_assertions_on_resolved_values(project, layer):
    default = ", default: right" if layer == "default" else ""
    contract = (
        HEAD
        + f"""
env:
  vars: {{MODE: {{required: true{default}}}}}
  sources: [{{kind: dotenv, path: .env}}]
checks: [{{name: e, kind: env, severity: error, env: {{assertions: [{{key: MODE, equals: right}}]}}}}]
"""
    )
    repo = project({"ota.yaml": contract, ".env": "MODE=right\n" if layer == "source" else ""})
    env = {"MODE": "right"} if layer == "process" else {"MODE": None}
    assert checked(repo, env=env)[0] == 0
    assert checked(repo, env={"MODE": "wrong"})[0] == 1


@pytest.mark.proves("S003-53")
def test_the_value_of_a_secret_is_never_told(project):
    contract = (
        HEAD
        + """
env:
  vars: {TOKEN: {required: true, secret: true}}
  sources: [{kind: dotenv, path: .env}]
checks:
  - {name: e, kind: env, severity: error, env: {assertions: [{key: TOKEN, equals: other}]}}
  - {name: f, kind: env, severity: error, env: {path: .env, assertions: [{key: TOKEN, equals: other}]}}
  - {name: r, kind: health, severity: error, run: 'echo "token is $TOKEN"; exit 1'}
"""
    )
    repo = project({"ota.yaml": contract, ".env": "TOKEN=hunter2hunter2\n"})
    for done in (repo.run("check"), repo.run("check", "--json"), repo.run("doctor", "--json")):
        assert done.code == 1
        assert "hunter2" not in done.out + done.err
        assert "token is ***" in done.out


def test_what_only_a_task_gives_a_secret_is_not_told_either(project):
    contract = (
        HEAD
        + """
env: {vars: {TOKEN: {secret: true}}}
checks: [{name: r, kind: health, severity: error, run: 'cat .env.go; exit 1'}]
workflows: {default: work, work: {run: {task: go}}}
tasks: {go: {run: "true", env_files: [.env.go]}}
"""
    )
    repo = project({"ota.yaml": contract, ".env.go": "TOKEN=hunter2hunter2\n"})
    for words in (("check",), ("doctor", "--json"), ("receipt", "--archive")):
        done = repo.run(*words)
        assert (done.code, "hunter2" in done.out + done.err) == (1, False), words
    assert "TOKEN=***" in repo.run("explain").out


@pytest.mark.parametrize(
    ("content", "is_good"),
    [
        (b"\xef\xbb\xbfA=1\r\nexport B='x y'\r\n", True),
        (b"A=1\nB='x y\n", False),
        (b"A=1\nthis is no assignment\nB=x y\n", False),
    ],
)
def test_dotenv_files_as_people_write_them(project, content, is_good):
    contract = HEAD + (
        "checks: [{name: e, kind: env, severity: error, env: {path: .env, assertions: "
        "[{key: A, equals: '1'}, {key: B, equals: 'x y'}]}}]\n"
    )
    code, document = checked(project({"ota.yaml": contract, ".env": content}))
    assert code == (0 if is_good else 1)
    if not is_good:
        assert ".env" in document["findings"][0]["why"]


def test_thousands_of_env_lines_are_no_trouble(project):
    lines = "".join(f"NAME_{number}=value {number}\n" for number in range(20_000))
    contract = HEAD + (
        "env: {sources: [{kind: dotenv, path: .env}], vars: {NAME_19999: {required: true}}}\n"
        "checks: [{name: e, kind: env, severity: error, env: {path: .env, assertions: "
        "[{key: NAME_19999, equals: value 19999}]}}]\n"
        "tasks: {t: {run: 'true'}}\n"
    )
    repo = project({"ota.yaml": contract, ".env": lines})
    assert checked(repo)[0] == 0
    assert repo.run("doctor").code == 0


# --- commands ------------------------------------------------------------------------------------


@pytest.mark.proves("S003-56", "S003-57")
def test_checks_run_in_the_contract_folder_with_the_readings_of_timeouts(project):
    contract = (
        HEAD
        + """
checks:
  - name: repo-config-valid
    kind: precondition
    severity: error
    run: ./scripts/validate-config.sh
    timeout: 10
  - {name: backend-ready, kind: health, severity: error, run: test -f ota.yaml, timeout: 10000}
"""
    )
    repo = project({"ota.yaml": contract, "scripts/validate-config.sh": "#!/bin/sh\nexit 0\n", "sub/x": ""})
    assert repo.run("check", cwd="sub").code == 0
    told = repo.run("validate").out
    assert told.count("timeouts without a unit are read by their size") == 1
    assert "`timeout: 10` means 10 seconds" in told


def sleepers():
    """What a check of this test started and still lives, as `ps` would name it."""
    found = []
    for each in marked_processes(os.environ[MARK]):
        with suppress(psutil.NoSuchProcess):
            if each.name() == "sleep":
                found.append(each.pid)
    return found


@pytest.mark.proves("S003-59")
def test_a_hanging_check_is_ended_with_everything_it_started(project):
    contract = HEAD + (
        "checks: [{name: hang, kind: health, severity: error, timeout: 400ms, "
        "run: 'sleep 71.5 & setsid sleep 71.5 & sh -c \"sleep 71.5\"'}]\n"
    )
    code, document = checked(project({"ota.yaml": contract}))
    assert (code, codes(document)) == (1, ["OTA_CHECK_TIMED_OUT"])
    assert "did not end within 0.4 s" in document["findings"][0]["why"]
    assert sleepers() == []


def test_what_a_good_check_leaves_running_is_ended(project):
    contract = HEAD + (
        "checks: [{name: c, kind: health, severity: error, "
        "run: 'setsid sleep 72.5 >/dev/null 2>&1 & sleep 72.5 >/dev/null 2>&1 & true'}]\n"
    )
    assert checked(project({"ota.yaml": contract}))[0] == 0
    assert sleepers() == []


def test_checks_run_side_by_side(project):
    contract = (
        HEAD
        + "checks:\n"
        + "".join(
            f"  - {{name: c{n}, kind: health, severity: warn, run: 'sleep 1.5; exit {n}'}}\n"
            for n in range(1, 13)
        )
    )
    repo = project({"ota.yaml": contract})
    began = time.monotonic()
    _, document = checked(repo)
    assert time.monotonic() - began < 12 * 1.5 / 2
    assert summaries(document) == [f"Check failed: c{n}" for n in range(1, 13)]


def test_an_interrupt_ends_the_checks_and_the_command(project):
    contract = HEAD + ("checks: [{name: c, kind: health, severity: error, run: 'touch begun; sleep 73.5'}]\n")
    repo = project({"ota.yaml": contract})
    live = repo.start("check")
    deadline = time.monotonic() + 20
    while not (repo.path / "begun").exists() and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    live.signal_group(2)
    assert live.finish().code == 130
    assert sleepers() == []


def test_when_ota_is_killed_its_guardian_ends_the_checks(project):
    contract = HEAD + ("checks: [{name: c, kind: health, severity: error, run: 'touch begun; sleep 74.5'}]\n")
    repo = project({"ota.yaml": contract})
    live = repo.start("check")
    deadline = time.monotonic() + 20
    while not (repo.path / "begun").exists() and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    psutil.Process(live.pid).kill()
    deadline = time.monotonic() + 20
    while sleepers() and time.monotonic() < deadline:
        threading.Event().wait(0.05)
    assert sleepers() == []


@pytest.mark.parametrize("command", ["test -f made/by.setup", "[ -f made/by.setup ]"])
def test_a_mere_test_for_a_file_names_what_creates_it(project, command):
    check = f"checks: [{{name: c, kind: precondition, severity: error, run: '{command}'}}]\n"
    bare = checked(project({"ota.yaml": HEAD + check}))[1]["findings"][0]["next"]
    assert bare.startswith("create `made/by.setup`")
    prepared = project({"ota.yaml": HEAD + check + "tasks: {setup: {run: 'true'}}\n"})
    assert "ota run setup" in checked(prepared)[1]["findings"][0]["next"]


# --- probes --------------------------------------------------------------------------------------


def probe_contract(probe, *, check="timeout: 2s"):
    return (
        HEAD
        + f"""
readiness:
  probes:
    be: {probe}
checks: [{{name: be-ready, kind: health, severity: error, probe: be, {check}}}]
workflows: {{backend: {{readiness: {{probes: [be]}}}}}}
"""
    )


@pytest.mark.proves("S003-112")
def test_a_probe_check_holds_when_the_url_answers(project):
    with serving(answering(answer())) as server:
        repo = project(
            {
                "ota.yaml": probe_contract(
                    f"{{kind: http, url: 'http://127.0.0.1:{server.port}/h', timeout: 2s}}"
                )
            }
        )
        assert checked(repo)[0] == 0
    code, document = checked(repo)
    assert (code, codes(document)) == (1, ["OTA_CHECK_FAILED"])
    assert summaries(document) == ["Probe check failed: be-ready"]
    assert f"http://127.0.0.1:{server.port}/h: refused" in document["findings"][0]["why"]


@pytest.mark.parametrize(
    ("stated", "good", "bad"),
    [
        pytest.param("", [200], [204, 301, 404, 503], marks=pytest.mark.proves("S003-109")),
        pytest.param(", expect_status: 204", [204], [200], marks=pytest.mark.proves("S003-110")),
        (", success: {status: [200, 404]}", [200, 404], [204]),
    ],
)
def test_accepted_statuses(project, stated, good, bad):
    for status in (*good, *bad):
        with serving(answering(answer(status, headers="Location: /x\r\n"))) as server:
            url = f"http://127.0.0.1:{server.port}/"
            repo = project({"ota.yaml": probe_contract(f"{{kind: http, url: '{url}', timeout: 2s{stated}}}")})
            assert checked(repo)[0] == (0 if status in good else 1), status


@pytest.mark.proves("S003-118", "S003-108")
def test_the_request_is_the_declared_one_for_check_and_doctor(project):
    seen = []
    with serving(answering(answer(200, b'{"status":"UP"}'), seen=seen)) as server:
        probe = (
            f"{{kind: http, url: 'http://127.0.0.1:{server.port}/healthz/readiness?full=1', method: GET, "
            "headers: {x-ota-probe: external}, success: {status: [200]}, "
            'body: {contains: \'"status":"UP"\'}, timeout: 10000}'
        )
        repo = project({"ota.yaml": probe_contract(probe) + "tasks: {t: {run: 'true'}}\n"})
        assert checked(repo)[0] == 0
        assert repo.run("doctor", "--workflow", "backend").code == 0
    assert len(seen) == 2
    for request in seen:
        assert request.startswith(b"GET /healthz/readiness?full=1 HTTP/1.1\r\n")
        assert b"x-ota-probe: external\r\n" in request


@pytest.mark.proves("S003-15")
def test_a_probe_reached_through_check_and_workflow_is_asked_once(project):
    with serving(answering(answer())) as server:
        contract = probe_contract(f"{{kind: http, url: 'http://127.0.0.1:{server.port}/', timeout: 2s}}")
        contract = contract.replace("{probes: [be]}", "{checks: [be-ready], probes: [be]}")
        assert checked(project({"ota.yaml": contract}), "--workflow", "backend")[0] == 0
        assert server.accepted == 1


def test_a_silent_server_is_a_time_out_within_the_checks_own_limit(project):
    with serving(silent) as server:
        probe = f"{{kind: http, url: 'http://127.0.0.1:{server.port}/', timeout: 10s}}"
        repo = project({"ota.yaml": probe_contract(probe, check="timeout: 300ms")})
        began = time.monotonic()
        _, document = checked(repo)
    assert time.monotonic() - began < 8
    assert summaries(document) == ["Probe check timed out: be-ready"]
    assert codes(document) == ["OTA_CHECK_TIMED_OUT"]


TASK = """
readiness:
  probes:
    web-up: {kind: http, target: {kind: task, name: web, listener: http}, path: /health, timeout: 2s}
    web-tcp: {kind: tcp, target: {kind: task, name: web, listener: http}, timeout: 2s}
checks:
  - {name: up, kind: health, severity: error, probe: web-up}
  - {name: tcp, kind: health, severity: error, probe: web-tcp}
tasks:
  web: {run: serve, runtime: {kind: service, listeners: {http: {http: PORT}}}}
"""


@pytest.mark.proves("S003-104", "S003-102")
def test_a_task_target_is_asked_at_its_published_endpoint(project):
    seen = []
    with serving(answering(answer(), seen=seen)) as server:
        repo = project({"ota.yaml": HEAD + TASK.replace("PORT", str(server.port))})
        assert checked(repo)[0] == 0
        topology = repo.run("execution", "topology", "--json").json
        assert topology["readiness_probes"]["web-up"]["target"]["resolution_plane"] == "command_host"
        assert any(request.startswith(b"GET /health ") for request in seen)
        other = unused_port()
        repo.write({"ota.yaml": HEAD + TASK.replace("PORT", str(other))})
        _, document = checked(repo)
    assert summaries(document) == ["Probe check failed: up", "Probe check failed: tcp"]
    assert f":{other}" in document["findings"][0]["why"]
    assert "ota run web" in document["findings"][0]["next"]


SERVICE = """
execution:
  contexts:
    host: {backend: native}
    app: {backend: container, lifecycle: ephemeral, container: {image: x}}
services:
  api:
    endpoints: {host: {address: 127.0.0.1, port: PORT}, app: {address: api, port: 80}}
readiness:
  probes:
    h: {kind: http, target: {kind: service, name: api, endpoint: host}, path: /ok, timeout: 2s}
    t: {kind: tcp, target: {kind: service, name: api, endpoint: host}, timeout: 2s}
checks:
  - {name: h, kind: health, severity: error, probe: h}
  - {name: t, kind: health, severity: error, probe: t}
"""


@pytest.mark.proves("S003-103")
def test_a_service_target_is_asked_at_the_named_endpoint(project):
    with serving(answering(answer())) as server:
        repo = project({"ota.yaml": HEAD + SERVICE.replace("PORT", str(server.port))})
        assert checked(repo)[0] == 0
    assert summaries(checked(repo)[1]) == ["Probe check failed: h", "Probe check failed: t"]


def test_an_endpoint_of_a_container_context_is_not_asked_from_the_host(project):
    nobody = SERVICE.replace("{image: x}", "{image: x, engines: [nerdctl]}")
    contract = HEAD + nobody.replace("PORT", "1").replace("endpoint: host", "endpoint: app")
    code, document = checked(project({"ota.yaml": contract}))
    assert (code, set(codes(document))) == (1, {"OTA_CHECK_UNEVALUABLE"})
    assert "could not execute the readiness probe of `h` in context `app`" in document["findings"][0]["why"]


@pytest.mark.proves("S003-120")
def test_an_observer_on_the_same_native_backend_asks_where_its_neighbour_listens(project):
    listener = "{protocol: http, bind: {address: 127.0.0.1, port: {mode: fixed, value: PORT}}}"
    runtime = "{kind: service, backend_binding: bench, listeners: {http: LISTENER}}"
    contract = HEAD + (
        "execution:\n  default_context: host\n  contexts: {host: {backend: native}}\n"
        "  shared_backends: {bench: {scope: local, backend: native, lifecycle: persistent}}\n"
        f"tasks:\n  backend: {{run: x, runtime: {runtime.replace('LISTENER', listener)}}}\n"
        f"  sandbox: {{run: x, runtime: {runtime.replace('LISTENER', listener.replace('PORT', '1'))}}}\n"
        "readiness:\n  probes:\n    up: {kind: http, path: /healthz/readiness, timeout: 2s, target: "
        "{kind: task, name: backend, listener: http, address_view: topology, observer: OBSERVER}}\n"
        "checks:\n  - {name: up, kind: health, severity: error, probe: up}\n"
    ).replace("OBSERVER", "{kind: task, task: sandbox}")
    seen = []
    with serving(answering(answer(), seen=seen)) as server:
        assert checked(project({"ota.yaml": contract.replace("PORT", str(server.port))}))[0] == 0
    assert seen[0].startswith(b"GET /healthz/readiness ")


def test_a_preview_of_up_asks_nothing_inside_a_container(project):
    nobody = SERVICE.replace("{image: x}", "{image: x, engines: [nerdctl]}").replace("health", "precondition")
    contract = HEAD + nobody.replace("PORT", "1").replace("endpoint: host", "endpoint: app")
    repo = project({"ota.yaml": contract})
    asked = {flag: repo.run("up", *flag.split(), "--json").json for flag in ("", "--dry-run")}
    assert "OTA_CHECK_UNEVALUABLE" in codes(asked[""])
    assert "could not execute" not in str(asked["--dry-run"])


# --- workflows -----------------------------------------------------------------------------------

PATHS = """
checks:
  - {name: front, kind: health, severity: error, run: "touch front-ran; false"}
  - {name: back, kind: health, severity: error, run: "true"}
  - {name: tool, kind: precondition, severity: error, run: "touch tool-ran"}
  - {name: hint, kind: health, severity: error, run: "exit 5"}
tasks:
  serve: {run: "true", requirements: {checks: [tool]}}
  plain: {run: "true"}
workflows:
  default: backend
  backend:
    run: {task: serve}
    readiness: {checks: [back], signal: {checks: [hint]}}
  frontend: {run: {task: plain}, readiness: {checks: [front]}}
  bare: {run: {task: plain}}
"""


@pytest.mark.proves("S003-61", "S003-66")
def test_a_workflow_is_judged_by_its_own_checks_and_those_of_its_tasks(project, assert_schema):
    repo = project({"ota.yaml": HEAD + PATHS})
    code, document = checked(repo)
    assert code == 0
    assert document["workflow"]["name"] == "backend"
    assert document["task"] == "serve"
    assert [(f["summary"], f["severity"]) for f in document["findings"]] == [("Check failed: hint", "info")]
    assert (repo.path / "tool-ran").exists()
    assert not (repo.path / "front-ran").exists()
    assert_schema(document, "check")


def test_another_workflow_of_the_same_checkout_is_judged_apart(project):
    repo = project({"ota.yaml": HEAD + PATHS})
    code, document = checked(repo, "--workflow", "frontend")
    assert (code, summaries(document)) == (1, ["Check failed: front"])
    assert not (repo.path / "tool-ran").exists()


def test_a_workflow_without_readiness_runs_every_check(project):
    code, document = checked(project({"ota.yaml": HEAD + PATHS}), "--workflow", "bare")
    assert (code, summaries(document)) == (1, ["Check failed: front", "Check failed: hint"])


SURFACE = """
surfaces:
  web: {kind: http, port: PORT, readiness: {kind: http, path: /health}}
tasks:
  serve: {run: "true", runtime: {kind: service, surfaces: [web]}}
workflows:
  default: app
  app: {run: {task: serve}, readiness: {surfaces: [web]}}
"""


def test_a_surface_is_asked_where_the_run_task_publishes_it(project):
    seen = []
    with serving(answering(answer(), seen=seen)) as server:
        repo = project({"ota.yaml": HEAD + SURFACE.replace("PORT", str(server.port))})
        assert checked(repo)[0] == 0
    assert seen[0].startswith(b"GET /health ")
    began = time.monotonic()
    code, document = checked(repo)
    assert time.monotonic() - began < 10
    assert (code, codes(document)) == (1, ["OTA_WORKFLOW_SURFACE_READINESS_FAILED"])
    assert "ota run serve" in document["findings"][0]["next"]


LATE = """
import http.server, sys, time
asked = 0
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global asked
        asked += 1
        self.send_response(200 if asked > int(sys.argv[3]) else 503); self.end_headers()
    def log_message(self, *a): pass
time.sleep(float(sys.argv[2]))
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), H).serve_forever()
"""


def test_a_surface_that_a_run_of_ota_is_bringing_up_is_waited_for(project):
    port = unused_port()
    contract = (HEAD + SURFACE).replace("PORT", str(port))
    repo = project({
        "ota.yaml": contract.replace('run: "true"', f"run: python3 -u late.py {port} 2.5 0"),
        "late.py": LATE,
    })  # fmt: skip
    run = repo.start("run", "serve")
    wait_until(lambda: any((repo.path / ".ota/state/active").glob("*.jsonl")), "a run")
    code, document = checked(repo)
    assert code == 0, (document, run.out, run.err)
    run.signal(signal.SIGTERM)
    run.finish()


def test_a_surface_of_a_young_server_that_does_not_answer_well_yet_is_asked_again(project):
    port = unused_port()
    repo = project({"ota.yaml": (HEAD + SURFACE).replace("PORT", str(port)), "late.py": LATE})
    with subprocess.Popen([sys.executable, "late.py", str(port), "0", "3"], cwd=repo.path) as server:
        try:
            wait_until(lambda: is_listening(port), "a listener")
            assert checked(repo)[0] == 0
        finally:
            server.kill()


def test_a_young_process_at_work_in_the_repository_is_no_reason_to_wait(project):
    repo = project({"ota.yaml": (HEAD + SURFACE).replace("PORT", str(unused_port()))})
    with subprocess.Popen(["sleep", "60"], cwd=repo.path) as shell:
        try:
            began = time.monotonic()
            assert checked(repo)[0] == 1
            assert time.monotonic() - began < 10
        finally:
            shell.kill()


def test_a_signal_surface_that_is_down_is_a_note(project):
    contract = (
        (HEAD + SURFACE).replace("{surfaces: [web]}}", "{signal: {surfaces: [web]}}}").replace("PORT", "1")
    )
    code, document = checked(project({"ota.yaml": contract}))
    assert (code, codes(document)) == (0, ["OTA_WORKFLOW_SIGNAL_SURFACE_READINESS_FAILED"])
    assert document["findings"][0]["severity"] == "info"


def test_a_workflow_probe_that_fails_is_an_error(project):
    contract = probe_contract("{kind: http, url: 'http://127.0.0.1:1/', timeout: 1s}").replace(
        "checks: [{name: be-ready, kind: health, severity: error, probe: be, timeout: 2s}]\n", ""
    )
    code, document = checked(project({"ota.yaml": contract}), "--workflow", "backend")
    assert (code, codes(document)) == (1, ["OTA_WORKFLOW_PROBE_FAILED"])
    signal = contract.replace("{probes: [be]}", "{signal: {probes: [be]}}")
    code, document = checked(project({"ota.yaml": signal}), "--workflow", "backend")
    assert (code, codes(document)) == (0, ["OTA_WORKFLOW_SIGNAL_PROBE_FAILED"])


def test_nothing_is_written(project):
    repo = project(
        {"ota.yaml": HEAD + PATHS.replace("touch front-ran; ", "").replace("touch tool-ran", "true")},
        git=True,
    )
    before = sorted(Path(root) / name for root, _, names in os.walk(repo.path) for name in names)
    repo.run("check")
    repo.run("check", "--json", "--workflow", "frontend")
    assert sorted(Path(root) / name for root, _, names in os.walk(repo.path) for name in names) == before
