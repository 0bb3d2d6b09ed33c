"""Containers in the journal of a run: announced before they exist, handed to who knows engines."""

import os
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from ota.errors import Finding, HostError
from ota.system.guardian import Released
from ota.system.journal import ContainerStep, JournalFacts, open_journal, read_journal
from ota.system.processes import Identity, observe_identity
from ota.system.reconcile import reconcile

pytestmark = pytest.mark.edge

LABELS = {"dev.ota.run": "run-1"}


def test_a_container_is_on_disk_before_it_is_made_and_gone_once_it_ended(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, run_id="run-1", task="dev")
    first = journal.container("docker", "ota-ephemeral-1", LABELS)
    second = journal.container("podman", "ota-2", LABELS, body="dev")
    (one, two) = read_journal(journal.path).containers
    assert (one.id, one.engine, one.name, one.labels, one.body) == (
        first, "docker", "ota-ephemeral-1", LABELS, "",
    )  # fmt: skip
    assert (two.id, two.engine, two.name, two.body) == (second, "podman", "ota-2", "dev")
    journal.ended(first, 0)
    assert [each.name for each in read_journal(journal.path).containers] == ["ota-2"]
    journal.close()


def journal_of_a_dead_run(repo: Path) -> Path:
    journal = open_journal(repo, run_id="run-1", task="dev")
    journal.container("docker", "ota-ephemeral-1", LABELS)
    run = read_journal(journal.path).run
    lines = journal.path.read_bytes().splitlines(keepends=True)[1:]
    journal.close()
    assert run is not None
    dead = replace(run, ota=dead_identity())
    journal.path.write_bytes(msgspec.json.encode(dead) + b"\n" + b"".join(lines))
    return journal.path


def dead_identity() -> Identity:
    me = observe_identity(os.getpid())
    assert me is not None
    return replace(me, start_ticks=me.start_ticks - 1)


def test_reconciliation_hands_the_containers_of_a_dead_run_over(tmp_path: Path) -> None:
    path = journal_of_a_dead_run(tmp_path)
    seen: list[ContainerStep] = []

    def release(facts: JournalFacts) -> Released:
        seen.extend(facts.containers)
        return Released(removed=tuple(each.name for each in facts.containers))

    result = reconcile(tmp_path, release=release)
    assert [each.name for each in seen] == ["ota-ephemeral-1"]
    assert result.notes == ("removed 1 container left by run run-1 of task dev",)
    assert not path.exists()


@pytest.mark.parametrize("how", ["answers", "raises"])
def test_the_journal_stays_while_a_container_could_not_be_removed(tmp_path: Path, how: str) -> None:
    path = journal_of_a_dead_run(tmp_path)
    finding = Finding(code="OTA_X", summary="docker does not answer", why="", next="start it")

    def release(facts: JournalFacts) -> Released:
        if how == "raises":
            raise HostError(finding)
        return Released(left=(finding,))

    result = reconcile(tmp_path, release=release)
    assert [(each.summary, each.severity) for each in result.findings] == [("docker does not answer", "warn")]
    assert path.exists()


def test_a_run_without_containers_asks_nobody(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, run_id="run-1", task="dev")
    run = read_journal(journal.path).run
    journal.close()
    assert run is not None
    journal.path.write_bytes(msgspec.json.encode(replace(run, ota=dead_identity())) + b"\n")

    def release(facts: JournalFacts) -> Released:
        raise AssertionError("no engine is asked")

    assert reconcile(tmp_path, release=release).findings == ()
