"""`ota up` with work in containers: setup in its own context, the run task proven there, services by name."""

import json
import signal

import pytest

from container.conftest import HTTPD, READY, service
from support.engines import KV

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
    repo = contained({"setup": {"run": f"{PING} >pong", "requires_services": ["kv"]}}, lifecycle="persistent")
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
    after = repo.run("doctor", timeout=120)
    assert after.code == 0, after
