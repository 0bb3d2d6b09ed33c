"""Reconciliation: what is proven is ended, what is not is reported, what lives is left alone."""

import os
import threading
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from ota.system.footprint import observe_footprint
from ota.system.journal import RunStep, StartedStep, active_directory, open_journal, read_journal
from ota.system.processes import Identity, is_alive, observe_identity
from ota.system.reconcile import Reconciliation, living_runs, reconcile
from system.system_tools import Drive, eventually

pytestmark = pytest.mark.edge

TWO = """
setsid sh -c 'echo $$ > daemon; exec sleep 600' &
while [ ! -s daemon ]; do sleep 0.01; done
touch up
wait
"""


def dead_identity() -> Identity:
    """A process that provably ended: ours, with another start."""
    me = observe_identity(os.getpid())
    assert me is not None
    return replace(me, start_ticks=me.start_ticks - 1)


def write_journal(repo: Path, run_id: str, ota: Identity, *started: Identity, **changes: object) -> Path:
    """What a run killed at some point leaves behind."""
    with_lock = open_journal(repo, run_id=run_id, task="dev")
    run = read_journal(with_lock.path).run
    assert run is not None
    with_lock.close()
    steps: list[RunStep | StartedStep] = [replace(run, ota=ota, **changes)]
    steps.extend(StartedStep(id=1, identity=identity, at="") for identity in started)
    with_lock.path.write_bytes(b"".join(msgspec.json.encode(step) + b"\n" for step in steps))
    return with_lock.path


def test_a_repository_without_state_costs_nothing_and_stays_without(tmp_path: Path) -> None:
    assert reconcile(tmp_path) == Reconciliation()
    assert os.listdir(tmp_path) == []


def test_what_a_dead_run_left_is_ended_and_told(tmp_path: Path) -> None:
    with Drive(tmp_path, TWO, guardian=False) as run:
        run.wait_armed()
        run.wait_started()
        eventually((tmp_path / "up").exists)
        run.process.kill()
        run.process.wait()
        assert len(run.members()) == 2
        result = reconcile(tmp_path)
        assert result.notes == (f"ended 2 processes left by run {run.run_id} of task dev",)
        assert result.findings == ()
        assert run.nothing_left()


def test_a_living_run_is_left_alone(tmp_path: Path) -> None:
    with Drive(tmp_path, TWO, guardian=False) as run:
        run.wait_armed()
        run.wait_started()
        eventually((tmp_path / "up").exists)
        assert reconcile(tmp_path) == Reconciliation()
        assert len(run.members()) == 2
        run.process.kill()
        run.process.wait()
        reconcile(tmp_path)


def test_our_own_journal_is_left_alone(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, run_id="own", task="dev")
    assert reconcile(tmp_path) == Reconciliation()
    assert journal.path.exists()
    journal.close()


def test_living_runs_are_told_from_dead_and_unreadable_ones(tmp_path: Path) -> None:
    assert living_runs(tmp_path) == ()
    me = observe_identity(os.getpid())
    assert me is not None
    write_journal(tmp_path, "run-1", dead_identity())
    write_journal(tmp_path, "run-2", me)
    (active_directory(tmp_path) / "run-3.jsonl").write_bytes(b"garbage")
    assert [run.run_id for run in living_runs(tmp_path)] == ["run-2"]


def test_a_reused_pid_in_a_journal_is_never_ended(tmp_path: Path) -> None:
    """The journalled leader has the pid of this very test, with another start time."""
    path = write_journal(tmp_path, "run-1", dead_identity(), dead_identity())
    result = reconcile(tmp_path)
    assert (result.notes, result.findings) == ((), ())
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"garbage\n", b'{"step":"run","version":99}\n', b"\xff\xfe"])
def test_an_unreadable_journal_is_reported_and_kept(tmp_path: Path, content: bytes) -> None:
    path = active_directory(tmp_path) / "run-1.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    result = reconcile(tmp_path)
    assert [(finding.code, finding.severity) for finding in result.findings] == [
        ("OTA_JOURNAL_UNPROVEN", "warn")
    ]
    assert str(path) in result.findings[0].next
    assert path.read_bytes() == content


def test_a_run_on_another_machine_or_in_another_container_is_unproven(tmp_path: Path) -> None:
    elsewhere = replace(dead_identity(), boot_id="another boot")
    paths = [
        write_journal(tmp_path, "run-1", elsewhere, hostname="another machine"),
        write_journal(tmp_path, "run-2", dead_identity(), pid_namespace="pid:[1]"),
    ]
    result = reconcile(tmp_path)
    assert [finding.code for finding in result.findings] == ["OTA_JOURNAL_UNPROVEN"] * 2
    assert all(path.exists() for path in paths)


def test_a_run_from_before_a_reboot_is_over(tmp_path: Path) -> None:
    me = observe_identity(os.getpid())
    assert me is not None
    path = write_journal(tmp_path, "run-1", replace(me, boot_id="the boot before"))
    assert reconcile(tmp_path).findings == ()
    assert not path.exists()


def test_a_living_owner_counts_where_there_are_no_locks(tmp_path: Path) -> None:
    me = observe_identity(os.getpid())
    assert me is not None
    path = write_journal(tmp_path, "run-1", me)
    assert reconcile(tmp_path) == Reconciliation()
    assert path.exists()


def test_a_held_journal_counts_where_the_owner_cannot_be_seen(tmp_path: Path) -> None:
    """A run whose pid means nothing here, as in another container: the lock shows that it lives."""
    journal = open_journal(tmp_path, run_id="run-1", task="dev")
    run = read_journal(journal.path).run
    assert run is not None
    journal.path.write_bytes(msgspec.json.encode(replace(run, ota=dead_identity())) + b"\n")
    assert reconcile(tmp_path) == Reconciliation()
    assert journal.path.exists()
    journal.close()


def test_the_draft_of_a_dead_run_is_removed_and_that_of_a_living_one_kept(tmp_path: Path) -> None:
    me, dead = observe_identity(os.getpid()), dead_identity()
    assert me is not None
    active = active_directory(tmp_path)
    active.mkdir(parents=True)
    ours = active / f".run-1.{me.pid}.{me.start_ticks}.tmp"
    abandoned = active / f".run-2.{dead.pid}.{dead.start_ticks}.tmp"
    foreign = active / "notes.tmp"
    for path in (ours, abandoned, foreign):
        path.write_bytes(b"")
    reconcile(tmp_path)
    assert sorted(active.iterdir()) == sorted([ours, foreign])


def test_several_reconcilers_at_once_do_it_once(tmp_path: Path) -> None:
    with Drive(tmp_path, TWO, guardian=False) as run:
        run.wait_armed()
        run.wait_started()
        eventually((tmp_path / "up").exists)
        run.process.kill()
        run.process.wait()
        results: list[Reconciliation] = []
        threads = [threading.Thread(target=lambda: results.append(reconcile(tmp_path))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(len(result.notes) for result in results) == 1
        assert all(result.findings == () for result in results)
        assert run.nothing_left()


def test_an_unusable_state_folder_is_a_warning_and_no_crash(tmp_path: Path) -> None:
    write_journal(tmp_path, "run-1", dead_identity())
    (tmp_path / ".ota/state/locks").write_text("a file in the way")
    result = reconcile(tmp_path)
    assert [(finding.code, finding.severity) for finding in result.findings] == [
        ("OTA_FILE_NOT_A_DIRECTORY", "warn")
    ]


def test_the_footprint_shows_what_is_there_and_afterwards_nothing(tmp_path: Path) -> None:
    with Drive(tmp_path, TWO, guardian=False) as run:
        run.wait_armed()
        leader = run.wait_started()
        eventually((tmp_path / "up").exists)
        identity = observe_identity(leader)
        assert identity is not None
        seen = observe_footprint(run.run_id)
        assert leader in {process.identity.pid for process in seen}
        assert "sleep 600" in {process.command for process in seen}
        run.process.kill()
        run.process.wait()
        reconcile(tmp_path)
        assert not is_alive(identity)
        assert observe_footprint(run.run_id) == ()
