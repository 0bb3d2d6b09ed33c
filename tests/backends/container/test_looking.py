"""A look into a container context that dies in the middle: what it made says whose it was."""

import os
from pathlib import Path

import pytest

from ota.backends.container.engine import engine_of
from ota.backends.container.looking import look_inside
from ota.backends.container.stale import clean_stale
from ota.backends.container.work import BodyEnvironment, Work
from ota.errors import HostError
from ota.resolve.plan import ContainerPlan, ContextPlan
from support.fake_engine import FakeEngine

pytestmark = pytest.mark.edge


def made_for_a_look(docker: FakeEngine, root: Path) -> dict[str, str]:
    """The labels of the container that a look at a checkout without a token asks for."""
    engine = engine_of("docker", docker.environment)
    assert engine is not None
    container = ContainerPlan(image="x", engines=("docker",), user="0:0")
    context = ContextPlan(plane="container", plane_source="context", name="app", container=container)
    work = Work(root=root, run_id="r", step="s", task="t", context=context, body="true")
    with pytest.raises(HostError):
        look_inside(engine, work, BodyEnvironment(values={}, secrets=frozenset()), limit_s=5.0)
    (words,) = [call for call in docker.calls() if call[0] == "create"]
    pairs = (words[at + 1].partition("=") for at, word in enumerate(words) if word == "--label")
    return {name: value for name, _, value in pairs}


def test_a_look_that_was_killed_is_stale_though_the_checkout_has_no_token(tmp_path: Path) -> None:
    docker = FakeEngine(tmp_path)
    labels = made_for_a_look(docker, tmp_path)
    assert not (tmp_path / ".ota").exists()
    assert labels["dev.ota.owner_pid"] == str(os.getpid())
    assert "dev.ota.repo" not in labels
    docker.container("ota-doctor-1", labels, "created")
    docker.container("ota-doctor-2", {**labels, "dev.ota.owner_pid": str(2**22 + 1)}, "created")
    found = clean_stale(docker.environment, is_dry_run=False)
    assert [each.name for each in found.matched] == ["ota-doctor-2"]
    assert docker.names("container") == ["ota-doctor-1"]
