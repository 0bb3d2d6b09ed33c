"""What a contract makes: the names that cleaning calls current are those that runs make."""

from pathlib import Path

from ota.backends.container.expected import expected_state
from ota.backends.container.identity import identify, ordered, publications_of
from ota.contract.load import Loaded, load_bytes
from ota.resolve.plan import Plan, Request
from ota.resolve.planner import plan_run
from ota.system.host import HostFacts

HOST = HostFacts(os="linux", arch="x64", uid=1000, gid=1000, home="/home/me", user="me")
ROOT = Path("/srv/shop")

CONTRACT = """
version: 1
project: {name: shop}
execution:
  default_context: app
  contexts:
    app:
      backend: container
      lifecycle: persistent
      container:
        image: node:24
        engines: [docker, podman]
        resources: {memory: {default: 1GiB}}
      attachments: {isolated_paths: [./node_modules/, .cache]}
    check:
      backend: container
      lifecycle: ephemeral
      container: {image: "python:3.13"}
      attachments: {isolated_paths: [.venv]}
    host: {backend: native}
  shared_backends:
    core: {scope: local, backend: container, lifecycle: persistent, context: app}
tasks:
  setup: {run: "npm ci"}
  test: {context: check, run: "pytest"}
  native: {context: host, run: "true"}
  dev:
    run: "npm run dev"
    runtime:
      kind: service
      listeners:
        http:
          protocol: http
          bind: {address: 0.0.0.0, port: {mode: fixed, value: 3000}}
          project: {host: {address: 127.0.0.1, port: {mode: auto}}}
  api: &shared
    run: "npm run api"
    runtime:
      kind: service
      backend_binding: core
      listeners:
        http:
          protocol: http
          bind: {address: 0.0.0.0, port: {mode: fixed, value: 4000}}
          project: {host: {address: 127.0.0.1, port: {mode: fixed, value: 4000}}}
  web:
    run: "npm run web"
    runtime:
      kind: service
      backend_binding: core
      listeners:
        http:
          protocol: http
          bind: {address: 0.0.0.0, port: {mode: fixed, value: 5000}}
          project: {host: {address: 127.0.0.1, port: {mode: fixed, value: 5000}}}
"""


def load(text: str) -> Loaded:
    return load_bytes(text.encode(), ROOT / "ota.yaml", "ota.yaml")


def plan(task: str, **request: object) -> Plan:
    return plan_run(load(CONTRACT), Request(task=task, **request), HOST)  # type: ignore[arg-type]


def name_of(plan: Plan, engine: str, *others: Plan) -> str:
    task = plan.requested_step.task
    assert task.context.container is not None
    union = [each for one in (plan, *others) for each in publications_of(one.requested_step.task.runtime)]
    who = identify(
        task.context,
        task.context.container,
        root=ROOT,
        engine=engine,
        task=task.name,
        publications=ordered(union),
    )
    return who.persistent_name


def test_every_shape_the_contract_means_is_expected_on_every_engine_of_its_context() -> None:
    expected = expected_state(load(CONTRACT), HOST)
    assert set(expected.by_engine) == {"docker", "podman"}
    for engine in ("docker", "podman"):
        names = expected.on(engine).containers
        assert name_of(plan("setup"), engine) in names
        assert name_of(plan("dev"), engine) in names
        assert name_of(plan("api"), engine, plan("web")) in names
        assert name_of(plan("api"), engine) not in names, "a shared backend publishes for all its tasks"
    assert name_of(plan("test"), "docker") in expected.on("docker").containers
    assert name_of(plan("test"), "docker") not in expected.on("podman").containers
    assert expected.candidates == (("docker", "podman"), ("docker",))


def test_what_an_override_made_is_not_expected() -> None:
    names = expected_state(load(CONTRACT), HOST).on("docker").containers
    assert name_of(plan("setup", memory_bytes=1 << 32), "docker") not in names
    assert name_of(plan("setup", lifecycle="ephemeral"), "docker") in names


def test_volumes_of_persistent_and_ephemeral_contexts_are_expected() -> None:
    expected = expected_state(load(CONTRACT), HOST)
    assert len(expected.on("docker").volumes) == 3
    assert len(expected.on("podman").volumes) == 2


def test_a_contract_without_containers_expects_nothing_anywhere() -> None:
    expected = expected_state(load("version: 1\nproject: {name: x}\ntasks: {a: {run: 'true'}}\n"), HOST)
    assert expected.candidates == ()
    assert expected.by_engine == {}


def test_the_root_shorthand_is_expected() -> None:
    text = """
version: 1
project: {name: x}
execution:
  preferred: container
  lifecycle: persistent
  backends: {container: {image: "node:24"}}
tasks:
  a: {run: "true"}
"""
    expected = expected_state(load(text), HOST)
    task = plan_run(load(text), Request(task="a"), HOST).requested_step.task
    assert task.context.container is not None
    who = identify(task.context, task.context.container, root=ROOT, engine="docker", task="a")
    assert expected.on("docker").containers == {who.persistent_name}


def test_a_structured_container_launch_is_expected_on_its_engine() -> None:
    text = """
version: 1
project: {name: x}
surfaces:
  db: {kind: http, port: 8080}
tasks:
  db:
    launch: {kind: container, image: "db:1", engine: podman}
    runtime:
      kind: service
      surfaces:
        db:
          bind: {address: 0.0.0.0, port: {mode: fixed, value: 8080}}
          project: {host: {address: 127.0.0.1, port: {mode: fixed, value: 8080}, primary: true}}
"""
    expected = expected_state(load(text), HOST)
    assert expected.on("podman").families == {"launch:db"}
    assert expected.candidates == (("podman",),)
