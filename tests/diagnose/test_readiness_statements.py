"""What diagnoses say about readiness, statement by statement: layers, planes, scopes."""

import json
import os
import signal
import socket

import pytest

from readiness.liar_services import answer, answering, serving
from readiness.test_certificates import speaking
from support.certificates import Authority
from support.servers import SERVER, free_port

pytestmark = pytest.mark.edge

HEAD = "version: 1\nproject: {name: x}\n"


def findings_of(repo, command: str, *args: str, **more) -> dict[str, dict]:
    document = repo.run(command, "--json", *args, **more).json
    return {each["code"]: each for each in document["findings"]}


def snapshot(folder):
    return sorted(
        (str(each.relative_to(folder)), each.stat().st_mtime_ns)
        for each in folder.rglob("*")
        if each.is_file()
    )


# --- planes stay apart -----------------------------------------------------------------------------

PLANES = (
    HEAD
    + """
execution:
  default_context: host
  contexts:
    host: {backend: native, requirements: {tools: {host-tool: '*'}, runtimes: {host-runtime: '2'}}}
    app:
      backend: container
      lifecycle: ephemeral
      container: {image: nowhere/app}
      requirements: {tools: {workload-tool: '*'}}
tasks:
  here: {run: x, context: host}
  there: {run: x, context: app}
"""
)


@pytest.mark.proves("S001-10")
def test_each_plane_is_asked_for_its_own_tools_only(project):
    repo = project({"ota.yaml": PLANES})
    native = repo.run("doctor", "--json").json["findings"]
    assert any("host-tool" in each["summary"] for each in native)
    assert not any("workload-tool" in json.dumps(each) for each in native)
    container = repo.run("doctor", "--json", "--mode", "container", env={"PATH": "/nowhere"}).json["findings"]
    assert not any("host-tool" in json.dumps(each) for each in container)


@pytest.mark.proves("S001-118")
@pytest.mark.parametrize(
    ("says", "code"),
    [(None, "OTA_RUNTIME_MISSING"), ("echo host-runtime 1.9", "OTA_RUNTIME_VERSION_MISMATCH")],
)
def test_requirements_of_a_context_are_looked_for_and_compared(project, tmp_path, says, code):
    folder = tmp_path / "bin"
    folder.mkdir()
    if says is not None:
        (folder / "host-runtime").write_text(f"#!/bin/sh\n{says}\n")
        (folder / "host-runtime").chmod(0o755)
    env = {"PATH": f"{folder}:{os.environ['PATH']}"}
    found = findings_of(project({"ota.yaml": PLANES}), "doctor", env=env)
    assert "context `host`" in found[code]["why"]
    assert found[code]["provenance"] == "repo contract"


# --- services --------------------------------------------------------------------------------------

ENDPOINTS = (
    HEAD
    + """
execution: {default_context: host, contexts: {host: {backend: native}}}
services:
  db: {required: true, endpoints: {%s: {context: %s, address: 127.0.0.1, port: %s}}, readiness: {%s}}
tasks: {t: {run: 'true', requires_services: [db]}}
"""
)


@pytest.mark.proves("S001-120")
def test_the_endpoint_that_a_readiness_uses_is_validated_and_named(project):
    readiness = "kind: tcp, from: host, interval: 50ms, retries: 2"
    port = free_port()
    wrong = findings_of(project({"ota.yaml": ENDPOINTS % ("a", "host", port, readiness)}), "doctor")
    assert f"from context `host` at 127.0.0.1:{port}" in wrong["OTA_SERVICE_READINESS_FAILED"]["why"]
    missing = (ENDPOINTS % ("a", "other", port, readiness)).replace(
        "host: {backend: native}}", "host: {backend: native}, other: {backend: native}}"
    )
    done = project({"ota.yaml": missing}).run("doctor")
    assert done.code == 1
    assert "OTA_V225" in done.err


@pytest.mark.proves("S001-127")
def test_without_an_engine_a_container_context_is_a_topology_blocker_and_no_failed_service(project):
    contract = (
        (ENDPOINTS % ("a", "app", 5432, "kind: tcp, from: app, retries: 2"))
        .replace("127.0.0.1", "db")
        .replace(
            "host: {backend: native}}",
            "host: {backend: native}, "
            "app: {backend: container, lifecycle: ephemeral, container: {image: a}}}",
        )
    )
    found = findings_of(project({"ota.yaml": contract}), "doctor", env={"PATH": "/nowhere"})
    blocker = found["OTA_SERVICE_READINESS_CONTEXT_UNEXECUTABLE"]
    assert blocker["category"] == "execution"
    assert "context `app` could not execute that readiness probe" in blocker["why"]
    assert "repair execution context `app`, or move `services.db.readiness.from`" in blocker["next"]
    assert not {"OTA_SERVICE_READINESS_FAILED", "OTA_SERVICE_CHECK_FAILED"} & set(found)


@pytest.mark.proves("S003-97")
def test_a_service_without_readiness_is_started_with_a_warning_when_it_is_required(project):
    contract = HEAD + (
        "services: {db: {required: true, start: touch started}, mail: {start: touch mail}}\n"
        "tasks: {t: {run: 'true', requires_services: [db, mail]}}\n"
    )
    repo = project({"ota.yaml": contract})
    found = repo.run("doctor", "--json").json["findings"]
    assert [(each["code"], each["severity"]) for each in found if "SERVICE" in each["code"]] == [
        ("OTA_SERVICE_UNVERIFIABLE", "warn")
    ]
    steps = repo.run("run", "t", "--json").json["receipt"]["steps"]
    assert {each["label"]: each["status"] for each in steps} == {
        "service db": "WARN",
        "service mail": "READY",
        "t": "READY",
    }
    assert (repo.path / "started").exists()


# --- checks ----------------------------------------------------------------------------------------

NAMED = (
    HEAD
    + """
checks: [{name: be, kind: health, severity: error, run: "test -e up"}]
tasks: {t: {run: 'true'}}
workflows: {default: w, w: {run: {task: t}, readiness: {checks: [be]}}, all: {run: {task: t}}}
"""
)


@pytest.mark.proves("S003-40")
def test_one_named_check_has_one_result_wherever_it_is_asked(project):
    repo = project({"ota.yaml": NAMED})
    for is_up in (False, True):
        if is_up:
            (repo.path / "up").touch()
        told = [
            [(each["code"], each["summary"]) for each in repo.run(*command, "--json").json["findings"]]
            for command in (
                ["check"],
                ["check", "--workflow", "all"],
                ["doctor"],
                ["doctor", "--workflow", "all"],
            )
        ]
        assert told == [[] if is_up else [("OTA_CHECK_FAILED", "Check failed: be")]] * 4


@pytest.mark.proves("S003-43")
def test_a_health_check_tells_a_running_app_from_one_that_is_down(project):
    port = free_port()
    asking = f"import urllib.request; urllib.request.urlopen('http://127.0.0.1:{port}/health', timeout=5)"
    check = "{name: app, kind: health, severity: error, timeout: 20s, run: python3 ask.py}"
    repo = project({"ota.yaml": HEAD + f"checks: [{check}]\n", "ask.py": asking})
    assert repo.run("check").code == 1
    with serving(answering(answer()), port=port):
        assert repo.run("check").code == 0


@pytest.mark.proves("S003-58")
def test_the_command_checks_example_runs_both_in_order(project, tmp_path):
    from contract.reading import FIXTURES

    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "node").write_text("#!/bin/sh\nexit 1\n")
    (folder / "node").chmod(0o755)
    text = (FIXTURES / "founding" / "command-checks.yaml").read_text()
    repo = project({"ota.yaml": text, "scripts/validate-config.sh": "#!/bin/sh\nexit 2\n"})
    done = repo.run("check", env={"PATH": f"{folder}:{os.environ['PATH']}"})
    assert done.code == 1
    assert done.out.index("Check failed: repo-config-valid") < done.out.index("Check failed: backend-ready")


# --- layers, and where they are told ---------------------------------------------------------------

LAYERS = (
    HEAD
    + """
execution: {default_context: host, contexts: {host: {backend: native}}}
services: {db: {required: true, endpoints: {host: {address: 127.0.0.1, port: %s}},
                readiness: {kind: tcp, from: host, interval: 50ms, retries: 2}}}
readiness: {probes: {be: {kind: http, url: 'http://127.0.0.1:%s/', timeout: 1s}}}
surfaces: {web: {kind: http, port: %s, readiness: {kind: http, path: /}}}
checks: [{name: conf, kind: file, severity: error, path: absent.conf},
         {name: cmd, kind: health, severity: error, run: 'false'}]
tasks: {dev: {run: x, runtime: {kind: service, surfaces: [web]}}}
workflows:
  default: w
  w: {run: {task: dev}, services: {required: [db]},
      readiness: {checks: [conf, cmd], probes: [be], surfaces: [web]}}
"""
)


@pytest.mark.proves("S003-07")
def test_every_layer_has_a_code_of_its_own(project):
    repo = project({"ota.yaml": LAYERS % (free_port(), free_port(), free_port())})
    layers = {
        "OTA_FILE_CHECK_FAILED",
        "OTA_CHECK_FAILED",
        "OTA_WORKFLOW_PROBE_FAILED",
        "OTA_WORKFLOW_SURFACE_READINESS_FAILED",
    }
    assert set(findings_of(repo, "check")) == layers
    errors = {code for code, each in findings_of(repo, "doctor").items() if each["severity"] == "error"}
    assert errors == layers | {"OTA_SERVICE_READINESS_FAILED"}


@pytest.mark.proves("S003-14", "S003-16", "S003-17")
def test_a_workflow_is_shown_with_all_its_pieces_and_nothing_of_it_runs(project, assert_schema):
    contract = (
        (LAYERS % (1, 2, 3))
        .replace(
            "tasks: {",
            "tasks: {prep: {run: touch ran}, setup: {internal: true, run: touch ran}, "
            "join: {run: touch ran}, ",
        )
        .replace("w: {run:", "w: {prepare: {task: prep}, setup: {task: setup}, attach: {task: join}, run:")
    )
    repo = project({"ota.yaml": contract})
    before = snapshot(repo.path)
    document = repo.run("tasks", "--workflow", "w", "--json").json
    assert_schema(document, "tasks")
    text = repo.run("tasks", "--workflow", "w").out
    workflow = document["workflow"]
    assert [workflow[f"{each}_task"] for each in ("prepare", "setup", "run", "attach")] == [
        "prep",
        "setup",
        "dev",
        "join",
    ]
    assert workflow["required_services"] == ["db"]
    assert workflow["readiness_checks"] == ["conf", "cmd"]
    assert workflow["readiness_probes"] == ["be"]
    assert workflow["readiness_surfaces"] == ["web"]
    for piece in ("prep", "setup", "dev", "join", "db", "conf", "be", "web"):
        assert piece in text
    (shown,) = [each for each in repo.run("workflows", "--json").json["workflows"] if each["name"] == "w"]
    assert {key: shown[key] for key in workflow} == workflow
    assert snapshot(repo.path) == before


def test_every_document_carries_the_workflow_and_its_task(project):
    contract = HEAD + (
        "checks: [{name: c, kind: health, severity: error, run: 'true'}]\n"
        "tasks: {t: {run: 'true'}, setup: {run: 'true'}}\n"
        "workflows: {default: w, w: {setup: {task: setup}, run: {task: t}, readiness: {checks: [c]}}}\n"
    )
    repo = project({"ota.yaml": contract})
    for command in (
        ("doctor",),
        ("check",),
        ("explain",),
        ("execution", "plan"),
        ("up",),
    ):
        document = repo.run(*command, "--json").json
        assert document["workflow"]["name"] == "w", command
        assert document["task"] == "t", command
    assert repo.run("tasks", "--workflow", "w", "--json").json["workflow"]["name"] == "w"


# --- native runs -----------------------------------------------------------------------------------


@pytest.mark.proves("S001-23")
def test_an_app_needs_no_entry_under_services(project):
    port = free_port()
    contract = HEAD + (
        "execution: {contexts: {host: {backend: native}}}\n"
        f"services: {{db: {{endpoints: {{host: {{address: 127.0.0.1, port: {port}}}}}, "
        "readiness: {kind: tcp, from: host}}}\n"
        f"tasks: {{web: {{run: exec python3 server.py, requires_services: [db], "
        f"runtime: {{kind: service, listeners: {{http: {{http: {free_port()}}}}}}}}}}}\n"
    )
    repo = project({"ota.yaml": contract, "server.py": SERVER})
    assert [each["name"] for each in repo.run("services", "--json").json["services"]] == ["db"]
    with socket.create_server(("127.0.0.1", port)):
        live = repo.start("run", "web", "--stream")
        live.wait_for("External: http://127.0.0.1:")
        live.signal(signal.SIGINT)
        live.finish()


# --- https -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["check", "doctor"])
def test_a_certificate_that_does_not_hold_is_told_with_its_remedy(project, tmp_path, assert_schema, command):
    authority = Authority.make(tmp_path)
    expired = authority.signed("old", "DNS:localhost", until="20210101000000Z")
    good = authority.signed("good", "DNS:localhost")
    env = {"SSL_CERT_FILE": str(authority.trusted)}

    def contract(port: int) -> str:
        probe = f"{{kind: http, url: 'https://localhost:{port}/live', timeout: 10s}}"
        check = "{name: c, kind: health, severity: error, probe: out}"
        return (
            HEAD + f"readiness: {{probes: {{out: {probe}}}}}\nchecks: [{check}]\ntasks: {{t: {{run: x}}}}\n"
        )

    with serving(speaking(expired)) as server:
        repo = project({"ota.yaml": contract(server.port)})
        done = repo.run(command, "--json", env=env)
        text = repo.run(command, env=env).out
    assert done.code == 1
    assert_schema(done.json, command)
    (finding,) = [each for each in done.json["findings"] if each["code"] == "OTA_CHECK_FAILED"]
    assert "the certificate of localhost has expired" in finding["why"]
    assert "renew its certificate" in finding["next"]
    assert "the certificate of localhost has expired" in text
    with serving(speaking(good)) as server:
        repo.write({"ota.yaml": contract(server.port)})
        assert repo.run(command, env=env).code == 0
