"""A member of a monorepo on a real engine: its directory is mounted, and its own token is cleaned by."""

from collections.abc import Callable, Iterator

import pytest

from support.container_project import ContainerProject
from support.engines import Engine
from support.project import Project
from support.schemas import assert_schema

pytestmark = pytest.mark.engine

ROOT = """version: 1
project: {name: shop}
workspace: {type: monorepo, members: [api]}
execution:
  default_context: app
  contexts:
    app: {backend: container, lifecycle: persistent, container: {image: IMAGE, engines: [ENGINE]}}
tasks: {where: {run: cat here}}
"""


@pytest.fixture
def shop(podman: Engine, project: Callable[..., Project]) -> Iterator[tuple[Project, ContainerProject]]:
    """The root, and the member as a project of its own."""
    root = project()
    ContainerProject(podman, root).write(
        ROOT, **{"api/ota.yaml": "project: {name: api}\n", "api/here": "in api"}
    )
    member = ContainerProject(podman, Project(root.path / "api", root.home))
    yield root, member
    member.discard()


def test_a_member_has_its_own_container_and_the_root_cleans_it(
    shop: tuple[Project, ContainerProject],
) -> None:
    root, member = shop
    done = root.run("run", "where", "--member", "api", "--stream")
    assert (done.code, "in api" in done.out) == (0, True), done
    [mount] = [each for each in member.container()["Mounts"] if each["Type"] == "bind"]
    assert mount["Source"] == str(member.path)
    assert not (root.path / ".ota").exists()
    cleaned = root.run("clean", "--json")
    assert_schema(cleaned.json, "clean")
    [api] = cleaned.json["workspace"]["members"]
    assert (api["member"], api["report"]["summary"]["total_removed"]) == ("api", 1)
    assert member.containers == []
