"""Container memory: what the context declares, what one run asks for, and what the engine enforces."""

from collections.abc import Callable

import pytest

from support.container_project import ContainerProject
from support.engines import Engine
from support.schemas import assert_schema

pytestmark = pytest.mark.engine

MakeContainerProject = Callable[..., ContainerProject]
GIB = 1 << 30

# The founding example "Container memory, one-run override"; its body stands in for `npm run test`.
EXAMPLE = """version: 1
project: {name: web}
execution:
  contexts:
    app:
      backend: container
      lifecycle: persistent
      container:
        image: IMAGE
        engines: [ENGINE]
        resources:
          memory:
            minimum: 2GiB
            default: 2GiB
tasks:
  test:
    context: app
    run: echo tested
"""
DECLARED = """version: 1
project: {name: web}
execution:
  contexts:
    app:
      backend: container
      lifecycle: ephemeral
      container:
        image: IMAGE
        engines: [ENGINE]
        resources: {memory: {MEMORY}}
    host: {backend: native}
    far: {backend: remote, remote: {provider: ssh, target: me@nowhere.invalid}}
tasks:
  wait: {context: app, run: "echo up; while [ ! -e go ]; do sleep 0.1; done"}
  keep: {context: app, lifecycle: persistent, run: "true"}
  here: {context: host, run: "touch ran"}
  there: {context: far, run: "touch ran"}
"""


def limit_while_running(repo: ContainerProject, *words: str) -> int:
    """The engine's memory limit of the ephemeral container of `wait`."""
    live = repo.project.start("run", "wait", "--stream", *words)
    live.wait_for("up\n", timeout=60.0)
    limit = repo.container()["HostConfig"]["Memory"]
    assert isinstance(limit, int)
    (repo.path / "go").touch()
    assert live.finish(60.0).code == 0
    (repo.path / "go").unlink()
    assert repo.containers == []
    return limit


def declared(engine: Engine, on_engine: MakeContainerProject, memory: str) -> ContainerProject:
    return on_engine(engine, DECLARED.replace("MEMORY", memory))


@pytest.mark.proves("S000-68")
@pytest.mark.proves("S000-69")
@pytest.mark.proves("S000-70")
@pytest.mark.proves("S000-72")
@pytest.mark.proves("S000-73")
@pytest.mark.proves("S001-56")
@pytest.mark.proves("S001-107")
@pytest.mark.proves("S001-147")
@pytest.mark.proves("S002-152")
@pytest.mark.proves("S002-153")
def test_the_founding_example_over_three_runs(engine: Engine, on_engine: MakeContainerProject) -> None:
    repo = on_engine(engine, EXAMPLE)
    repo.run("test")
    first = repo.container()
    assert first["HostConfig"]["Memory"] == 2147483648
    done = repo.run("test", "--memory", "4GiB")
    second = repo.container()
    assert second["HostConfig"]["Memory"] == 4294967296
    assert second["Id"] != first["Id"]
    assert "persistent container recreated (memory changed)" in done.err
    repo.run("test")
    third = repo.container()
    assert third["HostConfig"]["Memory"] == 2147483648
    assert third["Id"] != second["Id"]


@pytest.mark.proves("S000-74")
@pytest.mark.proves("S000-75")
def test_summary_and_receipt_state_the_amount(engine: Engine, on_engine: MakeContainerProject) -> None:
    repo = on_engine(engine, EXAMPLE)
    told = repo.run("test", "--memory", "3GiB", "--receipt").err
    receipt, _, summary = told.partition("RUN SUMMARY")
    assert "Memory: 3GiB" in receipt
    assert "Memory:      3GiB" in summary
    document = repo.run("test", "--memory", "3GiB", "--json").json
    assert_schema(document, "run")
    assert document["receipt"]["container_memory_bytes"] == 3 * GIB
    assert repo.container()["HostConfig"]["Memory"] == 3 * GIB


@pytest.mark.proves("S000-71")
@pytest.mark.proves("S001-145")
@pytest.mark.proves("S001-146")
def test_an_ephemeral_run_gets_the_override_else_the_default_else_the_minimum(
    engine: Engine, on_engine: MakeContainerProject
) -> None:
    repo = declared(engine, on_engine, "minimum: 64MiB, default: 96MiB")
    assert limit_while_running(repo) == 96 << 20
    assert limit_while_running(repo, "--memory", "128MiB") == 128 << 20
    repo.write(DECLARED.replace("MEMORY", "minimum: 64MiB"))
    assert limit_while_running(repo) == 64 << 20
    repo.write(DECLARED.replace("resources: {memory: {MEMORY}}", ""))
    assert limit_while_running(repo) == 0


@pytest.mark.proves("S001-58")
@pytest.mark.proves("S002-154")
def test_less_than_the_minimum_is_refused_before_anything_is_made(
    engine: Engine, on_engine: MakeContainerProject
) -> None:
    repo = on_engine(engine, EXAMPLE)
    done = repo.run("test", "--memory", "1GiB", code=1)
    assert "below `execution.contexts.app.container.resources.memory.minimum` `2GiB`" in done.err
    assert repo.token == ""
    preview = repo.project.run("run", "test", "--memory", "1GiB", "--dry-run", "--json")
    assert preview.code == 1
    assert_schema(preview.json, "run")


@pytest.mark.proves("S001-57")
@pytest.mark.parametrize(("task", "plane"), [("here", "native"), ("there", "remote")])
def test_memory_is_refused_where_no_container_runs(
    docker: Engine, on_engine: MakeContainerProject, task: str, plane: str
) -> None:
    repo = declared(docker, on_engine, "minimum: 64MiB")
    done = repo.run(task, "--memory", "128MiB", code=1)
    assert f"cannot apply `--memory` when execution resolves to {plane}" in done.err
    assert not (repo.path / "ran").exists()
    assert repo.token == ""


def test_memory_is_equal_in_every_spelling(engine: Engine, on_engine: MakeContainerProject) -> None:
    repo = declared(engine, on_engine, "default: 128MiB")
    repo.run("keep")
    made = repo.container()["Id"]
    for spelling in ("131072KiB", "134217728", "128mib"):
        assert "persistent container reused" in repo.run("keep", "--memory", spelling).err
    assert repo.container()["Id"] == made


@pytest.mark.parametrize("size", ["0", "1.5GiB", "2GB", "-1", "", "9" * 30])
def test_a_size_that_is_none_is_a_usage_error(
    docker: Engine, on_engine: MakeContainerProject, size: str
) -> None:
    repo = declared(docker, on_engine, "default: 128MiB")
    done = repo.run("keep", "--memory", size, code=2)
    assert "--memory" in done.err
    assert repo.token == ""
