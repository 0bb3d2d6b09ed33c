"""Compose networks, readiness asked from inside, tasks of one run on several planes, shared backends."""

import json

import pytest

from container.conftest import HTTPD, READY, contract, listener, service
from support.engines import KV
from support.servers import free_port

pytestmark = pytest.mark.engine

COMMANDS = ["docker compose", pytest.param("podman-compose", marks=pytest.mark.slow)]
PING = "printf 'PING\\r\\n' | nc -w 2 kv 6379"


@pytest.fixture
def with_kv(compose_project, project):
    """A repository with a compose service `kv`, reached as `kv:6379` from its container context `app`."""
    made = []

    def make(command: str, *, readiness, tasks, lifecycle="ephemeral", port=None, **context):
        kv = compose_project(command, {"services": {"kv": {"image": KV}}})
        engine = kv.engine
        repo = project()
        repo.write({"compose.yaml": kv.file.read_text()})
        declared = {
            "kv": {
                "manager": {
                    "kind": "compose",
                    "name": kv.name,
                    "service": "kv",
                    "file": "compose.yaml",
                    "engine": engine.name,
                },
                "endpoints": {"app": {"address": "kv", "port": 6379}},
                "readiness": readiness,
            }
        }
        text = contract(engine.name, tasks, lifecycle=lifecycle, root={"services": declared}, **context)
        repo.write({"ota.yaml": json.dumps(text)})
        made.append((repo, engine))
        return repo, kv

    yield make
    for repo, engine in made:
        token = repo.path / ".ota/state/ownership-id"
        if token.exists():
            engine.remove(engine.found(f"dev.ota.repo={token.read_text().strip()}"))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("lifecycle", "readiness"),
    [
        ("ephemeral", {"from": "app", "kind": "tcp"}),
        ("persistent", {"from": "app", "run": PING + " | grep PONG"}),
    ],
    ids=["ephemeral-tcp", "persistent-run"],
)
@pytest.mark.proves("S001-30")
@pytest.mark.proves("S001-31")
@pytest.mark.proves("S001-140")
@pytest.mark.proves("S001-142")
@pytest.mark.proves("S002-08")
def test_a_service_is_started_asked_from_inside_and_reached_by_name(
    with_kv, assert_schema, command, lifecycle, readiness
):
    task = {"run": f"{PING}; echo done", "requires_services": ["kv"]}
    repo, kv = with_kv(command, readiness=readiness, tasks={"ping": task}, lifecycle=lifecycle)
    result = repo.run("run", "ping", "--json", timeout=120)
    document = result.json
    assert_schema(document, "run")
    assert result.code == 0, result
    assert "PONG" in document["stdout"]
    labels = [step["label"] for step in document["receipt"]["steps"]]
    assert labels == ["service kv", "ping"]
    assert kv.state("kv") == "running"
    step = document["receipt"]["steps"][-1]
    assert (step["engine"], step["networks"]) == (kv.engine.name, [f"{kv.name}_default"])
    told = repo.run("run", "ping", "--receipt", timeout=120).err
    receipt, _, summary = told.partition("RUN SUMMARY")
    assert f"  Network: {kv.name}_default\n" in receipt
    assert f"Network:     {kv.name}_default\n" in summary


@pytest.mark.parametrize("lifecycle", ["ephemeral", "persistent"])
@pytest.mark.proves("S001-169")
def test_an_attached_project_is_joined(with_kv, lifecycle):
    repo, kv = with_kv(
        "docker compose",
        readiness={"from": "app", "kind": "tcp"},
        tasks={"ping": {"run": PING}},
        lifecycle=lifecycle,
    )
    kv.run("up", "-d", "kv")
    text = json.loads(repo.read("ota.yaml"))
    text["execution"]["contexts"]["app"]["attachments"] = {"compose": [kv.name]}
    repo.write({"ota.yaml": json.dumps(text)})
    document = repo.run("run", "ping", "--json").json
    assert "PONG" in document["stdout"]


def test_a_context_that_cannot_execute_is_not_a_service_that_is_down(with_kv):
    repo, _ = with_kv(
        "docker compose",
        readiness={"from": "app", "kind": "tcp"},
        tasks={"ping": {"run": "true", "requires_services": ["kv"]}},
        container={"image": "ota-test/nowhere"},
    )
    result = repo.run("run", "ping")
    assert result.code == 1
    assert "could not execute the readiness probe of service `kv` in context `app`" in result.err
    assert "move readiness.from" in result.err


@pytest.mark.proves("S001-173")
def test_a_legacy_service_is_the_hosts_beside_a_container_task_until_it_has_an_endpoint_there(
    contained, assert_schema
):
    legacy = {
        "required": True,
        "start": "pwd >started-in",
        "healthcheck": "pwd >asked-in; test -s started-in",
        "timeout": 5000,
    }
    task = {"run": "pwd >ran-in", "requires_services": ["db"]}
    workflow = {"workflows": {"default": "app", "app": {"setup": {"task": "work"}}}}
    repo = contained({"work": task}, root={"services": {"db": legacy}, **workflow})
    result = repo.run("run", "work", "--json", timeout=120)
    assert_schema(result.json, "run")
    assert result.code == 0, result
    read = repo.project.read
    assert [read(f"{each}-in") for each in ("started", "asked", "ran")] == [
        f"{repo.path}\n",
        f"{repo.path}\n",
        "/workspace\n",
    ]

    def warned(*command):
        document = repo.run(*command, "--json", timeout=120).json
        assert_schema(document, command[0])
        found = [each for each in document["findings"] if each["code"] == "OTA_SERVICE_TOPOLOGY_HOST_BOUND"]
        return [(each["severity"], each["next"]) for each in found]

    [(severity, advice)] = warned("doctor")
    assert severity == "warn"
    assert "`services.db.endpoints` for context `app`" in advice
    assert warned("up") == warned("doctor", "--mode", "container") == [(severity, advice)]
    known = {**legacy, "endpoints": {"app": {"address": "db", "port": 5432}}}
    repo.write({"work": task}, root={"services": {"db": known}, **workflow})
    assert warned("doctor") == []
    repo.write({"work": {**task, "context": "host"}}, root={"services": {"db": legacy}, **workflow})
    text = json.loads(repo.project.read("ota.yaml"))
    text["execution"]["contexts"]["host"] = {"backend": "native"}
    repo.project.write({"ota.yaml": json.dumps(text)})
    assert warned("doctor") == []


MIXED = {
    "native": {"run": "echo native; echo n >>trace", "context": "host"},
    "inside": {"run": "echo inside; echo c >>trace"},
    "all": {"run": "cat trace", "context": "host", "depends_on": ["native", "inside"]},
    "both": {
        "execution": {
            "default_mode": "native",
            "modes": {
                "native": {"context": "host", "run": "echo on the host $WHO", "env": {"WHO": "n"}},
                "container": {
                    "context": "app",
                    "lifecycle": "persistent",
                    "run": "echo in a container $WHO",
                    "env": {"WHO": "c"},
                },
            },
        }
    },
}


def mixed(contained):
    repo = contained(MIXED)
    text = json.loads(repo.project.read("ota.yaml"))
    text["execution"]["contexts"]["host"] = {"backend": "native"}
    repo.project.write({"ota.yaml": json.dumps(text)})
    return repo


@pytest.mark.proves("S001-11")
def test_tasks_of_one_run_are_on_different_planes(contained, assert_schema):
    repo = mixed(contained)
    document = repo.run("run", "all", "--json").json
    assert_schema(document, "run")
    assert document["stdout"] == "n\nc\n"
    planes = {step["task"]: step["backend"] for step in document["receipt"]["steps"]}
    assert planes == {"native": "native", "inside": "container", "all": "native"}


@pytest.mark.proves("S000-99")
@pytest.mark.proves("S001-163")
@pytest.mark.proves("S001-151")
def test_one_task_has_its_own_body_env_and_lifecycle_on_each_plane(contained):
    repo = mixed(contained)
    native = repo.run("run", "both", "--json").json
    inside = repo.run("run", "both", "--container", "--json").json
    assert native["stdout"] == "on the host n\n"
    assert inside["stdout"] == "in a container c\n"
    assert (inside["receipt"]["context"], inside["receipt"]["lifecycle"]) == ("app", "persistent")
    assert len(repo.containers("persistent")) == 1


def test_hooks_of_a_container_task_run_on_their_own_plane(contained):
    repo = mixed(contained)
    text = json.loads(repo.project.read("ota.yaml"))
    text["tasks"]["fail"] = {"run": "exit 3", "after_failure": ["native"], "after_always": ["inside"]}
    repo.project.write({"ota.yaml": json.dumps(text)})
    result = repo.run("run", "fail")
    assert result.code == 3
    assert repo.project.read("trace") == "n\nc\n"


def test_two_tasks_of_a_shared_backend_run_in_one_container(contained, assert_schema):
    shared = {
        "bench": {"scope": "local", "backend": "container", "lifecycle": "persistent", "context": "app"}
    }
    web = service(HTTPD, READY, http=listener(host=free_port()))
    web["runtime"]["backend_binding"] = "bench"
    api = service(HTTPD.replace("8080", "9090"), {**READY, "listener": "api"}, api=listener(9090))
    api["runtime"]["backend_binding"] = "bench"
    repo = contained({"web": web, "api": api}, lifecycle="persistent")
    text = json.loads(repo.project.read("ota.yaml"))
    text["execution"]["shared_backends"] = shared
    repo.project.write({"ota.yaml": json.dumps(text)})
    one = repo.start("run", "web", "--stream")
    one.wait_for("External: ")
    other = repo.start("run", "api", "--json")
    for _ in range(200):
        if "httpd -f -p 9090" in repo.engine.run("exec", *repo.containers("persistent"), "ps").stdout:
            break
    other.signal(2)
    document = other.finish().json
    assert_schema(document, "run")
    (step,) = document["receipt"]["steps"]
    assert step["shared_local_backend"]["name"] == "bench"
    assert step["shared_local_backend"]["reuse"] == "reused"
    assert list(document["receipt"]["runtime"]["listeners"]) == ["api"]
    assert len(repo.containers("persistent")) == 1
    one.signal(2)
    one.finish()
