"""Fixtures of tests that run the whole of ota on real engines."""

from collections.abc import Callable, Iterator

import pytest

from support.container_project import ContainerProject
from support.engines import Engine
from support.project import Project

MakeContainerProject = Callable[..., ContainerProject]


@pytest.fixture
def on_engine(project: Callable[..., Project]) -> Iterator[MakeContainerProject]:
    """Make a repository on an engine: `on_engine(engine, contract, **files)`."""
    made: list[ContainerProject] = []

    def make(engine: Engine, text: str = "", name: str = "repo", **files: str) -> ContainerProject:
        new = ContainerProject(engine, project(name=name))
        made.append(new)
        if text:
            new.write(text, **files)
        return new

    yield make
    for each in made:
        each.discard()
