"""The short container that gives a new volume its owner, on an engine that will not remove it."""

import os
from pathlib import Path

import pytest

from ota.backends.container.engine import Engine, engine_of
from ota.backends.container.identity import IsolatedVolume
from ota.backends.container.volumes import Owner, ensure_volumes
from ota.backends.container.work import Scene, UserChoice, Work
from ota.resolve.plan import ContainerPlan, ContextPlan
from ota.system.journal import open_journal, read_journal

RUN = "20250101T000000Z-dev-abcdef"
ENGINE = """#!/bin/sh
case $1-$2 in
  volume-inspect) echo "Error: no such volume" >&2; echo "[]"; exit 1 ;;
  volume-create) exit 0 ;;
  run-*) while [ "$1" != --name ]; do shift; done; echo "$2" >"$0.name"; exit 0 ;;
  inspect-*) echo '[{"Id": "0123456789abcdef", "Name": "/'$(cat "$0.name")'",
    "State": {"Status": "exited"}, "Config": {"Labels": {"dev.ota.run": "r"}}}]' ;;
  rm-*) [ -e "$0.willing" ] || { echo "device or resource busy" >&2; exit 1; } ;;
esac
"""


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(ENGINE)
    program.chmod(0o755)
    found = engine_of("docker", {"PATH": f"{program.parent}:{os.environ['PATH']}"})
    assert found is not None
    return found


@pytest.mark.parametrize("is_willing", [True, False], ids=["taken back", "left"])
def test_what_cannot_be_taken_back_stays_announced(tmp_path: Path, engine: Engine, is_willing: bool) -> None:
    if is_willing:
        Path(f"{engine.program}.willing").touch()
    journal = open_journal(tmp_path, run_id=RUN, task="dev")
    container = ContainerPlan(image="x", engines=("docker",))
    context = ContextPlan(plane="container", plane_source="context", name="app", container=container)
    work = Work(root=tmp_path, run_id=RUN, step="dev-1", task="dev", context=context, body="true")
    volume = IsolatedVolume(name="ota-v", path="deps", context="app")
    owner = Owner(token="t", user=UserChoice(user="1000:1000"), labels={"dev.ota.run": "r"})
    ensure_volumes(engine, (volume,), work, owner, Scene(journal=journal, environ=os.environ))
    assert len(read_journal(journal.path).containers) == (0 if is_willing else 1)
    journal.close()
