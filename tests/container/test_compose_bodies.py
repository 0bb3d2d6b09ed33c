"""Tasks whose body is Compose itself: finite commands in services, and a project that stays up."""

import json
import signal

import pytest

from support.engines import BUSYBOX, KV
from support.servers import free_port

pytestmark = pytest.mark.engine

COMMANDS = ["docker compose", pytest.param("podman-compose", marks=pytest.mark.slow)]


@pytest.fixture
def composed(compose_project, project):
    """A repository whose tasks drive one compose project with a server `web` and a store `kv`."""

    def make(command: str, tasks, port: int):
        services = {
            "web": {
                "image": BUSYBOX,
                "command": ["httpd", "-f", "-p", "8080", "-h", "/bin"],
                "ports": [f"127.0.0.1:{port}:8080"],
                "init": True,
            },
            "kv": {"image": KV},
        }
        kv = compose_project(command, {"services": services})
        repo = project()
        repo.write({"compose.yaml": kv.file.read_text()})
        inputs = {"overlays": {"compose": {"files": ["compose.yaml"], "project_name": kv.name}}}
        for task in tasks.values():
            task["adapter_inputs"] = inputs
            task.setdefault("requirements", {"tools": {kv.engine.name: "*"}})
            (task.get("compose") or task["launch"])["engine"] = kv.engine.name
        text = {"version": 1, "project": {"name": "composed"}, "tasks": tasks}
        repo.write({"ota.yaml": json.dumps(text)})
        return repo, kv

    return make


def served(port: int, *, detach: bool = False) -> dict:
    host = {"address": "127.0.0.1", "port": {"mode": "fixed", "value": port}}
    bind = {"address": "127.0.0.1", "port": {"mode": "fixed", "value": port}}
    return {
        "launch": {"kind": "compose", "action": "up", "services": ["web"], "detach": detach},
        "runtime": {
            "kind": "service",
            "listeners": {"http": {"protocol": "http", "bind": bind, "project": {"host": host}}},
            "readiness": {"kind": "http", "listener": "http", "path": "/busybox", "interval": "200ms"},
        },
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_finite_lanes_run_in_services_with_their_code_and_output(composed, assert_schema, command):
    tasks = {
        "up": {"compose": {"kind": "up", "services": ["kv"], "detach": True}},
        "words": {
            "compose": {"kind": "exec", "service": "kv", "exe": "echo", "args": ["a b", "it's", "$HOME"]}
        },
        "fail": {"compose": {"kind": "exec", "service": "kv", "exe": "sh", "args": ["-c", "exit 7"]}},
        "down": {"compose": {"kind": "down", "remove_volumes": True, "timeout_seconds": 1}},
    }
    repo, kv = composed(command, tasks, free_port())
    assert repo.run("run", "up", timeout=120).code == 0
    assert kv.state("kv") == "running"
    document = repo.run("run", "words", "--json").json
    assert_schema(document, "run")
    assert "a b it's $HOME" in document["stdout"]
    if command != "podman-compose":  # version 1.0.3 of it ends with 0, whatever the command did
        assert repo.run("run", "fail").code == 7
    assert repo.run("run", "down", timeout=120).code == 0
    assert kv._found()["container"] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_an_attached_project_is_ready_confirmed_and_down_again(composed, command):
    port = free_port()
    repo, kv = composed(command, {"web": served(port)}, port)
    live = repo.start("run", "web", "--stream")
    live.wait_for(f"External: http://127.0.0.1:{port}/", 60)
    live.signal(signal.SIGINT)
    result = live.finish(60)
    assert "Status:      interrupted" in result.err, result
    assert all(not kv.engine.inspect(name)[0]["State"]["Running"] for name in kv._found()["container"])


def test_a_detached_project_stays_up_after_the_task(composed):
    port = free_port()
    repo, kv = composed("docker compose", {"web": served(port, detach=True)}, port)
    live = repo.start("run", "web", "--stream")
    live.wait_for(f"External: http://127.0.0.1:{port}/", 60)
    live.signal(signal.SIGINT)
    assert live.finish(60).code == 130
    assert kv.state("web") == "running"
    again = repo.start("run", "web", "--stream")
    again.wait_for(f"External: http://127.0.0.1:{port}/", 60)
    again.signal(signal.SIGINT)
    again.finish(60)


def test_a_terminal_that_is_declared_and_not_there_is_refused_before_anything_runs(composed):
    tasks = {"shell": {"compose": {"kind": "attach", "service": "kv", "exe": "sh"}}}
    repo, _ = composed("docker compose", tasks, free_port())
    result = repo.run("run", "shell")
    assert result.code == 1
    assert "A terminal is required" in result.err
