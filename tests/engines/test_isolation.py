"""Isolated dependency paths on real engines: a volume over the bind mount, ours, shared, and kept apart."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.container_project import ContainerProject, image_with
from support.engines import Engine
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
      container: {image: IMAGE, engines: [ENGINE]}
      attachments: {isolated_paths: [deps]}
tasks:
  setup: {run: "echo from-container > deps/made"}
  show: {run: "mount | grep ' /workspace/deps '; cat deps/made src.txt; ls deps"}
"""

# The founding example, with an image that has stand-ins for node and pnpm.
EXAMPLE = """version: 1
project: {name: web}
execution:
  default_context: app
  contexts:
    app:
      backend: container
      lifecycle: persistent
      container:
        image: IMAGE
        engines: [ENGINE]
      attachments:
        isolated_paths:
          - node_modules
      requirements:
        runtimes:
          node: ">=24.14.1"
        tools:
          pnpm: "*"
tasks:
  setup:
    internal: true
    context: app
    run: pnpm install
  dev:
    context: app
    run: pnpm dev
"""
PROGRAMS = {
    "/bin/node": "#!/bin/sh\necho v24.15.0\n",
    "/bin/pnpm": """#!/bin/sh
case $1 in
    --version) echo 10.0.0 ;;
    install) mkdir -p node_modules/left-pad && echo "for the container" > node_modules/left-pad/index.js ;;
    dev) cat node_modules/left-pad/index.js ;;
esac
""",
}


@pytest.fixture
def node_image(engine: Engine, tmp_path: Path) -> Iterator[str]:
    tag = image_with(engine, PROGRAMS, tmp_path)
    yield tag
    engine.run("rmi", "-f", tag)


@pytest.mark.proves("S000-145")
@pytest.mark.proves("S000-149")
@pytest.mark.proves("S000-150")
def test_an_isolated_path_is_a_named_volume_with_our_labels(
    engine: Engine, on_engine: MakeContainerProject
) -> None:
    repo = on_engine(engine, CONTRACT)
    repo.run("setup")
    token = repo.token
    volume = repo.mounts()["/workspace/deps"]
    assert volume.startswith("ota-isolated-")
    labels = {
        name: value for name, value in repo.volume(volume)["Labels"].items() if name.startswith("dev.ota.")
    }
    assert labels == {
        "dev.ota.managed": "true",
        "dev.ota.kind": "dependency-isolation",
        "dev.ota.repo": token,
        "dev.ota.path": "deps",
        "dev.ota.context": "app",
    }
    repo.run("setup")
    assert repo.token == token


@pytest.mark.proves("S000-146")
@pytest.mark.proves("S001-37")
def test_every_run_and_lifecycle_of_a_context_has_the_same_volume(
    engine: Engine, on_engine: MakeContainerProject
) -> None:
    repo = on_engine(engine, CONTRACT, **{"src.txt": "source\n"})
    repo.run("setup")
    [volume] = repo.volumes
    first = repo.container()["Id"]
    engine.run("rm", "-f", first)
    again = repo.run("show", "--stream")
    assert "from-container" in again.out
    assert repo.container()["Id"] != first
    ephemeral = repo.run("show", "--lifecycle", "ephemeral", "--stream")
    assert "from-container" in ephemeral.out
    assert repo.volumes == [volume]


@pytest.mark.proves("S001-08")
@pytest.mark.proves("S001-36")
@pytest.mark.proves("S001-153")
def test_host_and_container_keep_their_own_trees_and_share_the_source(
    engine: Engine, on_engine: MakeContainerProject
) -> None:
    repo = on_engine(engine, CONTRACT, **{"deps/host": "of the host\n", "src.txt": "first\n"})
    repo.run("setup")
    (repo.path / "src.txt").write_text("edited\n")
    shown = repo.run("show", "--stream").out.splitlines()
    assert shown[0].split()[2] == "/workspace/deps", "mounted before the body began"
    assert shown[1:] == ["from-container", "edited", "made"]
    assert [each.name for each in (repo.path / "deps").iterdir()] == ["host"]
    assert (repo.path / "deps" / "host").read_text() == "of the host\n"


@pytest.mark.proves("S000-83")
def test_another_isolated_path_recreates_the_container(
    engine: Engine, on_engine: MakeContainerProject
) -> None:
    repo = on_engine(engine, CONTRACT)
    repo.run("setup")
    before = repo.container()["Id"]
    repo.write(CONTRACT.replace("[deps]", "[deps, cache]"))
    done = repo.run("setup")
    assert "persistent container recreated (dependency isolation changed)" in done.err
    assert repo.container()["Id"] != before
    assert set(repo.mounts()) == {"/workspace/deps", "/workspace/cache"}


@pytest.mark.proves("S000-129")
def test_clean_takes_the_very_container_that_runs_made_and_reused(
    engine: Engine, on_engine: MakeContainerProject
) -> None:
    repo = on_engine(engine, CONTRACT)
    assert "persistent container created" in repo.run("setup").err
    [made] = repo.containers
    assert "persistent container reused" in repo.run("setup").err
    assert repo.containers == [made]
    done = repo.project.run("clean", "--json")
    assert done.json["summary"]["removed_current_persistent_containers"] == 1
    assert made not in engine.run("ps", "-a", "--format", "{{.Names}}").stdout.split()


@pytest.mark.proves("S001-45")
@pytest.mark.proves("S001-46")
@pytest.mark.proves("S001-47")
@pytest.mark.proves("S001-128")
@pytest.mark.proves("S001-129")
def test_the_founding_example(engine: Engine, on_engine: MakeContainerProject, node_image: str) -> None:
    repo = on_engine(engine)
    repo.write(EXAMPLE.replace("IMAGE", node_image), **{"node_modules/of-host.js": "1\n"})
    for task in ("setup", "dev"):
        plan = repo.project.run("execution", "plan", "--task", task, "--json").json
        assert_schema(plan, "execution-plan")
        resolved = plan["resolved"]
        assert (resolved["backend"], resolved["context"], resolved["lifecycle"]) == (
            "container",
            "app",
            "persistent",
        )
    topology = repo.project.run("execution", "topology", "--json").json
    for document in (plan, topology):
        [context] = document["declared_execution"]["contexts"]
        assert context["attachments"]["isolated_effective_paths"] == ["/workspace/node_modules"]

    repo.run("setup")
    assert [each.name for each in (repo.path / "node_modules").iterdir()] == ["of-host.js"]
    assert repo.run("dev", "--stream").out == "for the container\n"
    for command in ("doctor", "explain"):
        assert "/workspace/node_modules" in repo.project.run(command).out
        document = repo.project.run(command, "--json").json
        assert_schema(document, command)
        [context] = document["execution"]["contexts"]
        assert context["attachments"]["isolated_effective_paths"] == ["/workspace/node_modules"]

    assert (len(repo.containers), len(repo.volumes)) == (1, 1)
    assert repo.project.run("clean").code == 0
    assert repo.owned() == {"container": [], "volume": [], "network": []}
    assert [each.name for each in (repo.path / "node_modules").iterdir()] == ["of-host.js"]


def test_two_runs_at_once_make_one_volume(engine: Engine, on_engine: MakeContainerProject) -> None:
    repo = on_engine(engine, CONTRACT.replace("lifecycle: persistent", "lifecycle: ephemeral"))
    started = [repo.project.start("run", "setup") for _ in range(4)]
    assert [each.finish(120.0).code for each in started] == [0] * 4
    assert len(repo.volumes) == 1
    assert repo.containers == []
