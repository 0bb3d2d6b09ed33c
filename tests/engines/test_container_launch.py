"""Packaged images as tasks, `launch.kind: container`, on real Docker and Podman."""

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from urllib.request import urlopen

import pytest

from ota.backends.container.engine import CallCount
from ota.backends.container.engine import Engine as OtaEngine
from ota.backends.container.ownership import ensure_token
from ota.backends.container.undo import take_back
from ota.system.clock import SYSTEM_CLOCK
from support.container_project import ContainerProject
from support.engines import BUSYBOX, Engine
from support.servers import free_port
from support.waiting import wait_until

pytestmark = pytest.mark.engine

OnEngine = Callable[..., ContainerProject]

# The founding example "Structured launch", its image standing in for n8n: a web server over its volume.
CONTRACT = """version: 1
project: {name: packaged}
tasks:
  packaged:
    description: Start a packaged container image
    env: {GREETING: hello}
    launch:
      kind: container
      engine: ENGINE
      image: IMAGE
      args: [sh, -c, "ls /data; echo $GREETING; echo kept >>/data/index.html; exec httpd -f -p 5678 -h /data"]
      volumes:
        - name: VOLUME
          target: /data
    runtime:
      kind: service
      surfaces:
        backend:
          bind: {address: 0.0.0.0, port: {mode: fixed, value: 5678}}
          project: {host: {address: 127.0.0.1, port: {mode: fixed, value: PORT}, path: /, primary: true}}
surfaces:
  backend: {kind: http, port: 5678}
"""


@pytest.fixture
def repo(engine: Engine, on_engine: OnEngine) -> Iterator[ContainerProject]:
    made = on_engine(engine)
    volume = volume_of(made)
    made.write(CONTRACT.replace("VOLUME", volume).replace("PORT", str(free_port())))
    yield made
    made.engine.remove({**made.owned(), "volume": [volume]})


def volume_of(repo: ContainerProject) -> str:
    return f"otatest-{repo.path.parent.name}"


def port_of(repo: ContainerProject) -> int:
    [binding] = repo.container()["HostConfig"]["PortBindings"]["5678/tcp"]
    assert binding["HostIp"] == "127.0.0.1"
    return int(binding["HostPort"])


def fetched(port: int) -> str:
    with urlopen(f"http://127.0.0.1:{port}/index.html", timeout=5) as answer:
        return str(answer.read().decode())


@pytest.mark.proves("S002-142")
def test_a_packaged_image_runs_with_its_volume_its_port_and_the_contracts_environment(
    repo: ContainerProject,
) -> None:
    live = repo.project.start("run", "packaged", env={"OF_THIS_SHELL": "1"})
    live.wait_for("External:", timeout=60)
    port = port_of(repo)
    assert f"http://127.0.0.1:{port}/" in live.err and port != 5678
    assert fetched(port) == "kept\n"
    assert repo.mounts() == {"/data": volume_of(repo)}
    said = repo.container()["Config"]["Env"]
    assert "GREETING=hello" in said and "HOST=0.0.0.0" in said
    assert not any(each.startswith(("OF_THIS_SHELL=", "PWD=", "HOME=/tmp")) for each in said)
    live.signal(signal.SIGINT)
    done = live.finish(60)
    assert done.code == 130 and "Status:      interrupted" in done.err
    assert "container was interrupted" in done.err
    assert repo.container()["State"]["Running"] is False


def test_the_next_launch_replaces_the_container_and_keeps_what_the_volume_holds(
    repo: ContainerProject,
) -> None:
    for expected in ("kept\n", "kept\nkept\n"):
        live = repo.project.start("run", "packaged")
        live.wait_for("External:", timeout=60)
        assert fetched(port_of(repo)) == expected
        live.signal(signal.SIGTERM)
        assert live.finish(60).code == 143
        assert len(repo.containers) == 1


def test_a_second_launch_does_not_take_the_container_from_the_first(repo: ContainerProject) -> None:
    live = repo.project.start("run", "packaged")
    live.wait_for("External:", timeout=60)
    done = repo.run("packaged", code=1)
    assert "still going on" in done.err
    assert fetched(port_of(repo)) == "kept\n"
    live.signal(signal.SIGINT)
    live.finish(60)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({}, "not managed by ota"),
        ({"dev.ota.managed": "true", "dev.ota.repo": "feedfeedfeedfeed"}, "a different repository"),
        ({"dev.ota.managed": "true", "dev.ota.repo": "TOKEN"}, "not a persistent launch container"),
        (
            {
                "dev.ota.managed": "true",
                "dev.ota.repo": "TOKEN",
                "dev.ota.lifecycle": "persistent",
                "dev.ota.persistent.family": "launch:other",
            },
            "a different task",
        ),
    ],
)
def test_a_container_of_that_name_that_is_somebody_elses_is_named_and_left(
    repo: ContainerProject, labels: dict[str, str], reason: str
) -> None:
    name = f"otatest-{uuid.uuid4().hex[:12]}"
    contract = repo.project.read("ota.yaml").replace(
        "kind: container\n", f"kind: container\n      name: {name}\n"
    )
    repo.project.write({"ota.yaml": contract})
    token = ensure_token(repo.path)
    words = [
        word
        for key, value in {**labels, "dev.ota.test": repo.engine.token}.items()
        for word in ("--label", f"{key}={value.replace('TOKEN', token)}")
    ]
    repo.engine.run("run", "-d", "--init", "--name", name, *words, BUSYBOX, "sleep", "600")
    done = repo.run("packaged", code=1)
    assert "Launch container name conflict" in done.err and reason in done.err
    assert repo.engine.inspect(name)[0]["State"]["Running"] is True


def test_a_container_that_takes_the_name_while_ours_is_made_is_left(repo: ContainerProject) -> None:
    name = f"otatest-{uuid.uuid4().hex[:12]}"
    labels = {"dev.ota.managed": "true", "dev.ota.lifecycle": "persistent", "dev.ota.repo": "0" * 16}
    words = [
        word
        for key, value in {**labels, "dev.ota.test": repo.engine.token}.items()
        for word in ("--label", f"{key}={value}")
    ]
    repo.engine.run("run", "-d", "--init", "--name", name, *words, BUSYBOX, "sleep", "600")
    [made] = repo.engine.inspect(name)
    engine = OtaEngine(
        name=repo.engine.name,
        program=repo.engine.name,
        environ={**os.environ, **repo.engine.environment},
        clock=SYSTEM_CLOCK,
        count=CallCount(),
    )
    assert take_back(engine, name, {**labels, "dev.ota.repo": ensure_token(repo.path)})
    assert take_back(engine, name, {})
    assert repo.engine.inspect(name)[0]["Id"] == made["Id"]
    assert take_back(engine, name, labels)
    assert name not in repo.engine.run("ps", "-a", "--format", "{{.Names}}").stdout.split()


def test_an_image_that_ends_by_itself_is_a_stopped_service(repo: ContainerProject) -> None:
    contract = repo.project.read("ota.yaml").replace("exec httpd", "exit 3; exec httpd")
    repo.project.write({"ota.yaml": contract})
    done = repo.run("packaged", code=3)
    assert "hello" in done.out + done.err
    assert repo.container()["State"]["ExitCode"] == 3


def test_a_run_that_is_killed_leaves_no_launched_container(repo: ContainerProject) -> None:
    live = repo.project.start("run", "packaged")
    live.wait_for("External:", timeout=60)
    live.kill()
    wait_until(lambda: repo.containers == [], "the guardian to end it", timeout=30)
