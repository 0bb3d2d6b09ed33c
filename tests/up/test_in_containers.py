"""Paths whose setup and run tasks are in containers, and services that the host starts for them."""

import json
import signal

import pytest

from support.engines import BUSYBOX
from support.servers import free_port, is_listening
from up.conftest import codes_of, steps_of

pytestmark = pytest.mark.engine

SERVE = "mkdir -p /tmp/www; echo ok > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www"


def contained(
    engine: str, port: int, *, lifecycle: str, setup: str = "echo made > made.txt", serve: str = SERVE
):
    """A workflow with its setup and its run task in one container context."""
    listener = {
        "protocol": "http",
        "bind": {"address": "0.0.0.0", "port": {"mode": "fixed", "value": 8080}},
        "project": {"host": {"address": "127.0.0.1", "port": {"mode": "fixed", "value": port}, "path": "/"}},
    }
    return json.dumps(
        {
            "version": 1,
            "project": {"name": "contained"},
            "execution": {
                "default_context": "app",
                "contexts": {
                    "host": {"backend": "native"},
                    "app": {
                        "backend": "container",
                        "lifecycle": lifecycle,
                        "container": {"image": BUSYBOX, "engines": [engine]},
                    },
                },
            },
            "tasks": {
                "setup": {"run": setup},
                "dev": {
                    "run": serve,
                    "runtime": {
                        "kind": "service",
                        "readiness": {"kind": "http", "listener": "http", "path": "/", "interval": "100ms"},
                        "listeners": {"http": listener},
                    },
                },
            },
            "workflows": {"default": "app", "app": {"setup": {"task": "setup"}, "run": {"task": "dev"}}},
        }
    )


@pytest.fixture
def path(project, engine):
    """A path in containers of each engine; what stays of it on purpose goes with the test."""
    port = free_port()
    repo = project()

    def make(lifecycle: str, **more: str):
        repo.write({"ota.yaml": contained(engine.name, port, lifecycle=lifecycle, **more)})
        return repo, port

    yield make
    engine.remove(owned(repo, engine))


def owned(repo, engine) -> dict:
    file = repo.path / ".ota/state/ownership-id"
    return engine.found(f"dev.ota.repo={file.read_text().strip()}") if file.exists() else {}


@pytest.mark.parametrize("lifecycle", ["ephemeral", "persistent"])
def test_a_path_in_containers_is_proven_and_its_run_task_ended(path, engine, assert_schema, lifecycle):
    repo, port = path(lifecycle)
    result = repo.run("up", "--json", timeout=110)
    assert result.code == 0, result
    assert_schema(result.json, "up")
    document = result.json
    assert document["status"] == "READY"
    steps = steps_of(document)
    assert list(steps) == ["preconditions", "setup", "dev", "post-up diagnosis"]
    assert (steps["dev"]["status"], steps["dev"]["backend"]) == ("READY", "container")
    assert repo.read("made.txt") == "made\n"
    endpoint = document["receipt"]["workloads"]["dev"]["primary_endpoint"]
    assert (endpoint["host"]["url"], endpoint["confirmed"]) == (f"http://127.0.0.1:{port}/", True)
    assert "service_termination" not in document["receipt"]
    assert document["receipt"]["lifecycle"] == lifecycle
    assert bool(owned(repo, engine)["container"]) == (lifecycle == "persistent")
    text = repo.run("up", timeout=110)
    assert text.code == 0
    assert "Backend: container" in text.out and f"External:    http://127.0.0.1:{port}/" in text.out
    assert "Note: setup ran on the container plane" in text.err
    assert "- `ota up --detach` brings it up again and leaves `dev` running" in text.out
    if lifecycle == "ephemeral":
        assert not is_listening(port)


def test_a_run_task_that_does_not_answer_is_a_failed_run_and_leaves_no_container(path, engine, assert_schema):
    repo, port = path("ephemeral", serve="exec sleep 300")
    result = repo.run("up", "--ready-timeout", "3s", "--json", timeout=110)
    assert_schema(result.json, "up")
    assert (result.code, result.json["status"], result.json["phase"]) == (1, "RUN FAILED", "run"), result
    assert codes_of(result.json) == ["OTA_STARTUP_READINESS_EXHAUSTED"]
    assert owned(repo, engine)["container"] == []
    assert not is_listening(port)


def test_an_interrupted_wait_leaves_no_container(path, engine):
    repo, port = path("ephemeral", serve="echo waiting; exec sleep 300")
    live = repo.start("up", "--stream")
    live.wait_for("waiting", timeout=60)
    live.signal(signal.SIGINT)
    result = live.finish(60)
    assert result.code == 130, result
    assert owned(repo, engine)["container"] == []
    assert not is_listening(port)


def test_a_failed_setup_keeps_its_code(path, engine):
    repo, _ = path("ephemeral", setup="echo broken; exit 9")
    result = repo.run("up", "--json", timeout=110)
    assert (result.code, result.json["status"], result.json["stdout"]) == (9, "SETUP FAILED", "broken\n")
    assert owned(repo, engine)["container"] == []


@pytest.mark.proves("S000-05")
def test_the_selectors_choose_where_setup_and_run_really_are(path, engine, assert_schema):
    repo, port = path("persistent")
    contract = json.loads(repo.read("ota.yaml"))
    for task in ("setup", "dev"):
        contract["tasks"][task]["execution"] = {
            "default_mode": "native",
            "modes": {"native": {"context": "host"}, "container": {"context": "app"}},
        }
    serve = f"exec python3 -m http.server --bind 127.0.0.1 {port}"
    native = {"http": {"http": port}}
    branch = contract["tasks"]["dev"]["execution"]["modes"]["native"]
    branch["run"] = serve
    branch["runtime"] = {
        "kind": "service",
        "readiness": {"kind": "http", "listener": "http", "path": "/"},
        "listeners": native,
    }
    repo.write({"ota.yaml": json.dumps(contract)})
    for flags, backend, lifecycle in (
        ((), "native", None),
        (("--native",), "native", None),
        (("--container", "--ephemeral"), "container", "ephemeral"),
        (("--container", "--persistent"), "container", "persistent"),
    ):
        preview = repo.run("up", "--dry-run", "--json", *flags)
        assert preview.code == 0, preview
        assert preview.json["execution"]["backend"] == backend
        assert lifecycle is None or preview.json["execution"]["lifecycle"] == lifecycle
        result = repo.run("up", "--json", *flags, timeout=110)
        assert_schema(result.json, "up")
        assert (result.code, result.json["status"]) == (0, "READY"), result
        assert (result.json["receipt"]["backend"], result.json["receipt"].get("lifecycle")) == (
            backend,
            lifecycle,
        )
        step = steps_of(result.json)["setup"]
        assert (step["backend"], step.get("lifecycle")) == (backend, lifecycle)


def test_without_an_engine_it_stops_in_the_preconditions_and_runs_nothing_on_the_host(
    path, engine, assert_schema
):
    repo, _ = path("ephemeral")
    contract = repo.read("ota.yaml").replace(f'["{engine.name}"]', '["no-such-engine"]')
    repo.write({"ota.yaml": contract})
    result = repo.run("up", "--json")
    assert_schema(result.json, "up")
    assert (result.code, result.json["status"], result.json["phase"]) == (1, "NOT READY", "preconditions")
    assert codes_of(result.json) == ["OTA_CONTAINER_BACKEND_CLI_MISSING"]
    assert not (repo.path / "made.txt").exists()


LAUNCHED = """
version: 1
project: {{name: launched}}
execution: {{default_context: host, contexts: {{host: {{backend: native}}}}}}
tasks:
  dev:
    launch: {{kind: compose, action: up, services: [web]}}
    adapter_inputs: {{compose: {{files: [compose.yaml], project_name: {project}}}}}
    runtime:
      kind: service
      readiness: {{kind: http, listener: http, path: /}}
      listeners: {{http: {{http: {port}}}}}
workflows:
  default: app
  app: {{run: {{task: dev}}}}
"""


def test_a_run_task_that_compose_launches_is_proven_and_ended(project, compose_project, assert_schema):
    port = free_port()
    repo = project()
    service = {
        "image": BUSYBOX,
        "init": True,
        "command": ["sh", "-c", SERVE],
        "ports": [f"127.0.0.1:{port}:8080"],
    }
    app = compose_project("docker compose", {"services": {"web": service}}, folder=repo.path)
    repo.write({"ota.yaml": LAUNCHED.format(project=app.name, port=port)})
    result = repo.run("up", "--json", timeout=110)
    assert_schema(result.json, "up")
    assert (result.code, result.json["status"]) == (0, "READY"), result
    assert result.json["receipt"]["runtime"]["primary_endpoint"]["confirmed"]
    assert not is_listening(port)
    assert app.state("web") == "exited"
    refused = repo.run("up", "--detach", "--json", timeout=110)
    assert codes_of(refused.json) == ["OTA_UP_DETACH_UNSUPPORTED"]
