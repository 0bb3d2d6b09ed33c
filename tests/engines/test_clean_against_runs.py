"""`ota clean` beside runs that begin, go on and die: it takes nothing they use, and all they left."""

import os
import random
import signal
from collections.abc import Callable

import psutil
import pytest

from support.container_project import ContainerProject
from support.engines import Engine
from support.waiting import wait_until

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
      container: {image: IMAGE, engines: [ENGINE]}
      attachments: {isolated_paths: [deps]}
  shared_backends:
    core: {scope: local, backend: container, lifecycle: persistent, context: app}
tasks:
  keep: {run: "echo kept > deps/kept && cat deps/kept"}
  once: {lifecycle: ephemeral, run: "echo once > deps/once && cat deps/once"}
  wait: {lifecycle: ephemeral, run: "echo up; sleep 300"}
  api:
    run: "echo api up; httpd -f -p 0.0.0.0:4000"
    runtime: &service
      kind: service
      backend_binding: core
      listeners:
        api:
          protocol: http
          bind: {address: 0.0.0.0, port: {mode: fixed, value: 4000}}
          project: {host: {address: 127.0.0.1, port: {mode: auto}, primary: true}}
  web:
    run: "httpd -f -p 0.0.0.0:5000"
    runtime:
      kind: service
      backend_binding: core
      listeners:
        web:
          protocol: http
          bind: {address: 0.0.0.0, port: {mode: fixed, value: 5000}}
          project: {host: {address: 127.0.0.1, port: {mode: auto}, primary: true}}
""".replace(" &service", "")


def clean(repo: ContainerProject, code: int = 0) -> dict:  # type: ignore[type-arg]
    done = repo.project.run("clean", "--json")
    assert done.code == code, done
    document = done.json
    assert isinstance(document, dict)
    return document


@pytest.mark.timeout(300)
def test_runs_and_cleans_at_once_hurt_nobody(engine: Engine, on_engine: MakeContainerProject) -> None:
    repo = on_engine(engine, CONTRACT)
    assert repo.project.run("run", "keep").code == 0
    [volume] = repo.owned()["volume"]
    chance = random.Random(7)
    commands = [("run", "keep"), ("run", "once"), ("clean",)] * 4
    chance.shuffle(commands)
    started = [(command, repo.project.start(*command)) for command in commands]
    for command, live in started:
        done = live.finish(200.0)
        if command == ("clean",):
            assert done.code == 0 or "a live execution uses this repository" in done.err, done
        else:
            assert done.code == 0, done
    clean(repo)
    assert repo.owned() == {"container": [], "volume": [], "network": []}
    is_there = engine.run("volume", "inspect", volume, check=False).returncode == 0
    assert not is_there, "an engine made the volume, without labels, that clean had taken away"


def test_a_run_in_a_container_is_not_disturbed(engine: Engine, on_engine: MakeContainerProject) -> None:
    repo = on_engine(engine, CONTRACT)
    live = repo.project.start("run", "wait", "--stream")
    live.wait_for("up\n", timeout=60.0)
    [name] = repo.containers
    document = clean(repo, code=1)
    assert document["reason"] == "active_execution_conflict"
    assert repo.containers == [name]
    live.signal(signal.SIGINT)
    assert live.finish(60.0).code == 130
    clean(repo)
    assert repo.owned()["volume"] == []


def test_what_a_killed_run_left_goes(engine: Engine, on_engine: MakeContainerProject) -> None:
    repo = on_engine(engine, CONTRACT)
    live = repo.project.start("run", "wait", "--stream")
    live.wait_for("up\n", timeout=60.0)
    [name] = repo.containers
    children = psutil.Process(live.pid).children()
    guardian = [child.pid for child in children if child.name() == "ota-guardian"]
    assert guardian, children
    for pid in (*guardian, live.pid):
        os.kill(pid, signal.SIGKILL)
    live.finish(60.0)
    wait_until(lambda: not os.path.exists(f"/proc/{live.pid}"), "the run to be gone")
    document = clean(repo)
    assert document["ok"]
    assert name not in engine.run("ps", "-a", "--format", "{{.Names}}").stdout.split()
    assert repo.owned() == {"container": [], "volume": [], "network": []}


def test_the_container_of_a_shared_backend_is_current(
    engine: Engine, on_engine: MakeContainerProject
) -> None:
    repo = on_engine(engine, CONTRACT)
    live = repo.project.start("run", "api", "--stream")
    live.wait_for("External:", timeout=60.0)
    live.signal(signal.SIGINT)
    live.finish(60.0)
    assert len(repo.containers) == 1
    document = clean(repo)
    assert document["summary"]["removed_current_persistent_containers"] == 1
    assert document["summary"]["removed_current_dependency_isolation_volumes"] == 1
