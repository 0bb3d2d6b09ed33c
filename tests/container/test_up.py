"""`ota up` with work in containers: setup in its own context, the run task proven there, services by name."""

import json
import signal
import uuid

import pytest

from container.conftest import HTTPD, READY, service
from support.engines import KV, TEST_LABEL

pytestmark = pytest.mark.engine

PING = "printf 'PING\\r\\n' | nc -w 2 kv 6379"


def with_workflow(repo, workflow, **more):
    text = json.loads(repo.project.read("ota.yaml"))
    text["execution"]["contexts"]["host"] = {"backend": "native"}
    text["workflows"] = {"default": "app", "app": workflow}
    text.update(more)
    repo.project.write({"ota.yaml": json.dumps(text)})


@pytest.mark.proves("S001-136")
@pytest.mark.proves("S001-154")
@pytest.mark.parametrize("lifecycle", ["ephemeral", "persistent"])
def test_setup_runs_in_its_container_with_its_volumes_and_the_rest_on_the_host(
    contained, assert_schema, lifecycle
):
    tasks = {
        "setup": {"run": "mount >mounts; pwd >where; echo x >node_modules/installed"},
        "check": {"run": "pwd", "context": "host"},
    }
    repo = contained(tasks, lifecycle=lifecycle, attachments={"isolated_paths": ["node_modules"]})
    with_workflow(repo, {"setup": {"task": "setup"}, "run": {"task": "check"}})
    result = repo.run("up", "--json", timeout=120)
    document = result.json
    assert_schema(document, "up")
    assert result.code == 0, result
    assert " on /workspace/node_modules " in repo.project.read("mounts")
    assert repo.project.read("where") == "/workspace\n"
    assert not (repo.path / "node_modules" / "installed").exists()
    assert repo.containers() == []


def test_a_run_task_in_a_container_is_proven_and_ended_again(contained, assert_schema):
    repo = contained({"web": service(HTTPD, READY)})
    with_workflow(repo, {"run": {"task": "web"}})
    result = repo.run("up", "--json", timeout=120)
    assert_schema(result.json, "up")
    assert result.code == 0, result
    assert "http://127.0.0.1:" in json.dumps(result.json)
    assert repo.containers() == []


def test_an_interrupted_up_leaves_no_container(contained):
    repo = contained({"setup": {"run": "echo begun; sleep 600"}})
    with_workflow(repo, {"setup": {"task": "setup"}})
    live = repo.start("up", "--stream")
    live.wait_for("begun")
    live.signal(signal.SIGINT)
    assert live.finish(30).code == 130
    assert repo.containers() == []


@pytest.mark.proves("S001-170")
@pytest.mark.proves("S001-122")
def test_setup_reaches_a_service_by_name_and_doctor_asks_it_from_there(contained, compose_project):
    command = "docker compose"
    kv = compose_project(command, {"services": {"kv": {"image": KV}}})
    # it is the attachment that joins the network: setup itself requires nothing
    joined = {"compose": [kv.name]}
    repo = contained({"setup": {"run": f"{PING} >pong"}}, lifecycle="persistent", attachments=joined)
    if repo.engine.name != "docker":
        pytest.skip("its container is on the other engine")
    repo.project.write({"compose.yaml": kv.file.read_text()})
    manager = {"kind": "compose", "name": kv.name, "service": "kv", "file": "compose.yaml"}
    declared = {
        "kv": {
            "required": True,
            "manager": manager,
            "endpoints": {"app": {"address": "kv", "port": 6379}},
            "readiness": {"from": "app", "kind": "tcp"},
        }
    }
    workflow = {"setup": {"task": "setup"}, "services": {"required": ["kv"]}}
    with_workflow(repo, workflow, services=declared)
    before = repo.run("doctor", "--json", timeout=120)
    assert "kv:6379" in json.dumps(before.json)
    assert before.code == 1
    result = repo.run("up", "--json", timeout=120)
    assert result.code == 0, result
    assert "PONG" in repo.project.read("pong")
    (name,) = repo.containers("persistent")
    assert list(repo.inspect(name)["NetworkSettings"]["Networks"]) == [f"{kv.name}_default"]
    after = repo.run("doctor", timeout=120)
    assert after.code == 0, after


@pytest.mark.proves("S001-135")
def test_a_missing_network_is_named_before_setup_and_there_when_setup_runs(contained, assert_schema):
    """A stranger's network of that name, and a project that nothing declares, are told too."""
    project = f"otatest-{uuid.uuid4().hex[:12]}"
    network = f"{project}_default"
    repo = contained({"setup": {"run": "echo made >made"}}, attachments={"compose": [project]})
    engine, made = repo.engine, repo.path / "made"
    manager = {"kind": "compose", "name": project, "service": "kv", "file": "compose.yaml"}
    services = {
        "kv": {"required": False, "manager": manager},
        "gate": {"required": True, "start": "test -e open", "healthcheck": "test -e open"},
    }
    workflow = {"setup": {"task": "setup"}, "services": {"required": ["gate"]}}
    with_workflow(repo, workflow, services=services)

    def told(code: int, **expected: str) -> dict:
        result = repo.run("up", "--json", timeout=120)
        assert_schema(result.json, "up")
        assert result.code == code, result
        found = {each["code"]: each for each in result.json["findings"]}
        assert {each: found[each]["severity"] for each in expected} == expected, result
        assert all(network in found[each]["summary"] for each in expected)
        return result.json

    def exists() -> bool:
        return network in engine.run("network", "ls", "--format", "{{.Name}}").stdout.split()

    # what comes right before setup fails: everything that is told here was known without it
    assert told(1, OTA_CONTAINER_NETWORK_ABSENT="info")["phase"] == "services"
    assert not made.exists()
    mark = ("--label", f"{TEST_LABEL}={engine.token}")
    engine.run("network", "create", *mark, network)
    assert told(1, OTA_CONTAINER_NETWORK_FOREIGN="warn")["phase"] == "services"
    assert not made.exists()
    engine.run("network", "rm", network)

    (repo.path / "open").touch()
    told(0, OTA_CONTAINER_NETWORK_ABSENT="info")
    assert made.read_text() == "made\n"
    assert exists()
    assert "OTA_CONTAINER_NETWORK_ABSENT" not in repo.run("up", "--json", timeout=120).out

    made.unlink()
    repo.project.write({"ota.yaml": repo.project.read("ota.yaml").replace(f'["{project}"]', '["nobody"]')})
    refused = repo.run("up", timeout=120)
    assert refused.code == 1
    assert "attachments.compose" in refused.err
    assert not made.exists()
