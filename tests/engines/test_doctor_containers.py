"""What `ota doctor` and `ota execution plan` say about containers before anything runs in one."""

import socket
from collections.abc import Callable

import pytest

from ota.backends.container.identity import persistent_labels
from ota.backends.container.ownership import ensure_token
from support.container_project import ContainerProject
from support.engines import BUSYBOX, TEST_LABEL, Engine
from support.schemas import assert_schema

pytestmark = pytest.mark.engine

MakeContainerProject = Callable[..., ContainerProject]

CONTRACT = """version: 1
project: {name: shop}
execution:
  default_context: app
  contexts:
    app:
      backend: container
      lifecycle: persistent
      container:
        image: IMAGE
        engines: [ENGINE]
        resources: {memory: {minimum: 64MiB, default: 128MiB}}
      attachments: {compose: [PROJECT], isolated_paths: [deps]}
services:
  db:
    manager: {kind: compose, name: PROJECT, file: compose.yaml, service: db}
    endpoints: {app: {address: db, port: 6379}}
tasks:
  dev:
    launch: {kind: command, exe: httpd, args: ["-f", "-p", "0.0.0.0:3000"]}
    runtime:
      kind: service
      listeners:
        http:
          protocol: http
          bind: {address: 0.0.0.0, port: {mode: fixed, value: 3000}}
          project: {host: {address: 127.0.0.1, port: {mode: fixed, value: PORT}, primary: true}}
        admin:
          protocol: tcp
          bind: {address: 0.0.0.0, port: {mode: fixed, value: 4000}}
          project: {host: {address: 127.0.0.1, port: {mode: auto}}}
"""


@pytest.fixture
def shop(engine: Engine, on_engine: MakeContainerProject, free_port: int, unique: str) -> ContainerProject:
    text = CONTRACT.replace("PORT", str(free_port)).replace("PROJECT", unique)
    return on_engine(engine, text, **{"compose.yaml": "services: {db: {image: ota-test/kv}}\n"})


@pytest.fixture
def unique(engine: Engine) -> str:
    return f"otatest{engine.token[:8]}"


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def codes(document: dict) -> dict[str, dict]:  # type: ignore[type-arg]
    return {each["code"]: each for each in document["findings"]}


def test_plan_and_preview_show_memory_paths_networks_and_listeners(
    shop: ContainerProject, unique: str, free_port: int
) -> None:
    for command in (("execution", "plan", "--task", "dev"), ("run", "dev", "--dry-run")):
        text = shop.project.run(*command).out
        for line in (
            "  Memory: 128MiB",
            "  Isolated Paths: deps",
            f"  Networks: {unique}_default",
            f"    - http (http, bind=0.0.0.0 fixed:3000, host=127.0.0.1 fixed:{free_port}, primary)",
            "    - admin (tcp, bind=0.0.0.0 fixed:4000, host=127.0.0.1 auto)",
        ):
            assert any(each.startswith(line) for each in text.splitlines()), f"{line!r} in\n{text}"
    document = shop.project.run("execution", "plan", "--task", "dev", "--json").json
    assert_schema(document, "execution-plan")
    assert document["resolved"]["container_memory_bytes"] == 128 << 20
    assert document["resolved"]["networks"] == [f"{unique}_default"]
    asked = shop.project.run(
        "run", "dev", "--dry-run", "--json", "--memory", "1GiB", "--host-port", "4711"
    ).json
    assert_schema(asked, "run")
    assert shop.token == "", "nothing was made"


def test_doctor_shows_memory_paths_attachments_and_publications(
    shop: ContainerProject, unique: str, free_port: int
) -> None:
    done = shop.project.run("doctor", "--mode", "container")
    for line in (
        "  Memory: 128MiB (at least 64MiB)",
        "    - app: /workspace/deps (in volumes that ota manages)",
        f"    - app: {unique}_default (compose {unique})",
        f"    - dev http: 127.0.0.1:{free_port} -> port 3000 in app",
        "    - dev admin: 127.0.0.1:auto -> port 4000 in app",
    ):
        assert line in done.out.splitlines(), done
    document = shop.project.run("doctor", "--mode", "container", "--json").json
    assert_schema(document, "doctor")
    assert [(each["listener"], each["host"]) for each in document["publications"]] == [
        ("admin", "127.0.0.1:auto"),
        ("http", f"127.0.0.1:{free_port}"),
    ]
    assert shop.token == "", "nothing was made"


def test_a_missing_compose_network_is_named_and_a_strangers_too(
    shop: ContainerProject, engine: Engine, unique: str
) -> None:
    network = f"{unique}_default"

    def asked() -> dict[str, dict]:  # type: ignore[type-arg]
        return codes(shop.project.run("doctor", "--mode", "container", "--json").json)

    absent = asked()["OTA_CONTAINER_NETWORK_ABSENT"]
    assert network in absent["summary"]
    assert absent["severity"] == "info"
    mark = ("--label", f"{TEST_LABEL}={engine.token}")
    engine.run("network", "create", *mark, network)
    foreign = asked()
    assert "OTA_CONTAINER_NETWORK_ABSENT" not in foreign
    assert foreign["OTA_CONTAINER_NETWORK_FOREIGN"]["severity"] == "warn"
    engine.run("network", "rm", network)
    engine.run("network", "create", *mark, "--label", f"com.docker.compose.project={unique}", network)
    assert not {"OTA_CONTAINER_NETWORK_ABSENT", "OTA_CONTAINER_NETWORK_FOREIGN"} & asked().keys()


def test_a_fixed_port_that_a_stranger_holds_is_a_warning_that_names_it(
    shop: ContainerProject, engine: Engine, free_port: int
) -> None:
    def asked() -> dict[str, dict]:  # type: ignore[type-arg]
        return codes(shop.project.run("doctor", "--mode", "container", "--json").json)

    assert "OTA_HOST_PUBLICATION_CONFLICT" not in asked()
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", free_port))
        thief.listen()
        taken = asked()["OTA_HOST_PUBLICATION_CONFLICT"]
    assert taken["severity"] == "warn"
    assert str(free_port) in taken["summary"]
    assert "pid " in taken["why"]
    assert "ota run dev --host-port" in taken["next"]
    name = engine.start(BUSYBOX, "sleep", "600", options=("-p", f"127.0.0.1:{free_port}:80"))
    taken = asked()["OTA_HOST_PUBLICATION_CONFLICT"]
    assert f"{engine.name} container `{name}` publishes it" in taken["why"]
    assert f"{engine.name} stop {name}" in taken["next"]


def test_a_port_of_our_own_container_is_no_news(
    shop: ContainerProject, engine: Engine, free_port: int
) -> None:
    labels = persistent_labels(ensure_token(shop.path), family="f", shape="s")
    words = [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]
    engine.start(BUSYBOX, "sleep", "600", options=("-p", f"127.0.0.1:{free_port}:80", *words))
    document = shop.project.run("doctor", "--mode", "container", "--json").json
    assert "OTA_HOST_PUBLICATION_CONFLICT" not in codes(document)
