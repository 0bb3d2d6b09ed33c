"""Probes and probe checks on what only a container context reaches: asked from inside, by who only looks."""

import json
import signal

import pytest

from container.conftest import HTTPD, contract
from support.engines import KV
from support.waiting import wait_until

pytestmark = pytest.mark.engine

COMMANDS = ["docker compose", pytest.param("podman-compose", marks=pytest.mark.slow)]


@pytest.fixture
def probed(compose_project, project):
    """A repository whose workflow is ready when `kv:6379` answers from its container context `app`."""
    made = []

    def make(command: str, lifecycle: str, image: str | None = None):
        kv = compose_project(command, {"services": {"kv": {"image": KV}}})
        engine = kv.engine
        manager = {"kind": "compose", "name": kv.name, "service": "kv", "file": "compose.yaml"}
        root = {
            "services": {
                "kv": {
                    "required": True,
                    "manager": {**manager, "engine": engine.name},
                    "endpoints": {"app": {"address": "kv", "port": 6379}},
                }
            },
            "readiness": {
                "probes": {
                    "kv": {"kind": "tcp", "timeout": "3s", "target": {"kind": "service", "name": "kv"}}
                }
            },
            "checks": [{"name": "kv-answers", "kind": "health", "severity": "warn", "probe": "kv"}],
            "workflows": {
                "default": "app",
                "app": {
                    "setup": {"task": "ping"},
                    "services": {"required": ["kv"]},
                    "readiness": {"probes": ["kv"]},
                },
            },
        }
        tasks = {"ping": {"run": "echo made", "requires_services": ["kv"]}}
        more = {"container": {"image": image}} if image else {}
        repo = project()
        text = contract(engine.name, tasks, lifecycle=lifecycle, root=root, env={"TOKEN": "inside"}, **more)
        repo.write({"compose.yaml": kv.file.read_text(), "ota.yaml": json.dumps(text)})
        made.append((repo, engine))
        return repo, kv

    yield make
    for repo, engine in made:
        token = repo.path / ".ota/state/ownership-id"
        if token.exists():
            engine.remove(engine.found(f"dev.ota.repo={token.read_text().strip()}"))


def codes(document) -> dict[str, dict]:
    return {each["code"]: each for each in document["findings"]}


def state_of(repo) -> set[str]:
    """What ota keeps of this repository, beside proven contracts."""
    folder = repo.path / ".ota" / "state"
    found = {str(path.relative_to(folder)) for path in folder.rglob("*")} if folder.exists() else set()
    return {name for name in found if not name.startswith("cache")}


def owned(repo, engine) -> dict[str, list[str]]:
    """What carries the repository's token; nothing while it has none."""
    token = repo.path / ".ota/state/ownership-id"
    return engine.found(f"dev.ota.repo={token.read_text().strip()}") if token.exists() else {}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_probe_is_asked_from_inside_its_context_and_leaves_no_trace(probed, assert_schema, command):
    repo, kv = probed(command, "persistent")
    down = repo.run("check", "--json", timeout=100)
    assert_schema(down.json, "check")
    failed = codes(down.json)["OTA_WORKFLOW_PROBE_FAILED"]
    assert "tcp kv:6379 from container context `app`" in failed["why"]
    assert f"network `{kv.name}_default` does not exist yet" in failed["why"]
    assert failed["evidence"]["source"] == "container_target"
    assert kv.name not in kv.engine.run("network", "ls", "--format", "{{.Name}}").stdout
    kv.run("up", "-d", "kv")
    for name in ("check", "doctor", "explain"):
        document = repo.run(name, "--json", timeout=100).json
        assert_schema(document, name)
        told = document["findings"] if "findings" in document else document["steps"]
        assert not [each for each in told if "PROBE" in each["code"]], told
    assert state_of(repo) == set()
    # those of other tests go too
    names = ("ps", "-a", "--format", "{{.Names}}")
    wait_until(lambda: "ota-doctor-" not in kv.engine.run(*names).stdout, "containers of looks to go", 20)


@pytest.mark.parametrize("command", COMMANDS)
def test_up_and_later_looks_ask_in_the_container_that_stays(probed, assert_schema, command):
    repo, kv = probed(command, "persistent")
    up = repo.run("up", "--json", timeout=150)
    assert_schema(up.json, "up")
    assert up.code == 0, up
    assert len(owned(repo, kv.engine)["container"]) == 1
    before = owned(repo, kv.engine), state_of(repo)
    assert repo.run("check", "--json", timeout=100).json["ok"] is True
    assert (owned(repo, kv.engine), state_of(repo)) == before


def test_a_context_that_cannot_execute_is_no_failed_probe(probed, assert_schema):
    repo, kv = probed("docker compose", "ephemeral", image="ota-test/nowhere")
    kv.run("up", "-d", "kv")
    document = repo.run("check", "--json", timeout=100).json
    assert_schema(document, "check")
    (finding,) = document["findings"]
    assert finding["code"] == "OTA_WORKFLOW_PROBE_UNEVALUABLE"
    assert "could not execute the readiness probe of `kv` in context `app`" in finding["why"]
    assert "image is not on docker: ota-test/nowhere" in finding["why"]
    assert finding["next"].startswith("repair execution context `app`, or point the probe at an endpoint")


@pytest.mark.proves("S003-120")
def test_an_observer_in_a_shared_container_sees_what_the_host_does_not(contained):
    """`backend` is published nowhere: only who shares its container reaches it."""
    bound = {"kind": "service", "backend_binding": "bench"}

    def listening(port: int) -> dict[str, object]:
        return {"protocol": "http", "bind": {"address": "0.0.0.0", "port": {"mode": "fixed", "value": port}}}

    tasks = {
        "backend": {
            "run": f"mkdir -p /tmp/www/healthz; echo ok >/tmp/www/healthz/readiness; echo up; {HTTPD}",
            "runtime": {**bound, "listeners": {"http": listening(8080)}},
        },
        "sandbox": {"run": "sleep 600", "runtime": {**bound, "listeners": {"other": listening(8090)}}},
    }
    target = {"kind": "task", "name": "backend", "listener": "http", "address_view": "topology"}
    observed = {**target, "observer": {"kind": "task", "task": "sandbox"}}
    repo = contained(
        tasks,
        lifecycle="persistent",
        root={
            "readiness": {
                "probes": {
                    "up": {"kind": "http", "path": "/healthz/readiness", "timeout": "3s", "target": observed}
                }
            },
            "checks": [{"name": "up", "kind": "health", "severity": "error", "probe": "up"}],
        },
    )
    text = json.loads(repo.project.read("ota.yaml"))
    bench = {"scope": "local", "backend": "container", "lifecycle": "persistent", "context": "app"}
    text["execution"]["shared_backends"] = {"bench": bench}
    repo.project.write({"ota.yaml": json.dumps(text)})
    down = repo.run("check", "--json", timeout=100).json
    assert [each["code"] for each in down["findings"]] == ["OTA_CHECK_FAILED"]
    assert (
        "http://127.0.0.1:8080/healthz/readiness from container context `app`" in down["findings"][0]["why"]
    )
    live = repo.start("run", "backend", "--stream")
    live.wait_for("up")
    wait_until(lambda: repo.run("check", "--json", timeout=100).json["ok"], "the server inside", 30)
    assert len(repo.containers("persistent")) == 1
    assert repo.containers() == []
    live.signal(signal.SIGINT)
    live.finish(60)
