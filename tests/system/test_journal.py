"""The journal: on disk before the thing, readable whatever happened to it, never in a run's way."""

import os
import resource
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ota.system import journal as journals
from ota.system.journal import (
    FAULT_POINTS,
    Journal,
    RunStep,
    journal_path,
    open_journal,
    read_journal,
)
from ota.system.locks import try_lock
from ota.system.processes import Identity, observe_identity

pytestmark = pytest.mark.edge

ME = observe_identity(os.getpid()) or Identity(pid=0, start_ticks=0)
LEADER = Identity(pid=4_000_000, start_ticks=7)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = open_journal(tmp_path, run_id="run-1", task="dev")
    yield opened
    opened.close()


def steps(journal: Journal) -> list[str]:
    return [msgspec.json.decode(line)["step"] for line in journal.path.read_bytes().splitlines()]


def test_the_file_is_private_complete_and_under_its_name_at_once(journal: Journal, tmp_path: Path) -> None:
    assert journal.path == tmp_path / ".ota/state/active/run-1.jsonl"
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(journal.path.parent.stat().st_mode) == 0o700
    facts = read_journal(journal.path)
    assert facts.run is not None
    assert (facts.run.run_id, facts.run.task, facts.run.ota) == ("run-1", "dev", ME)
    assert os.listdir(journal.path.parent) == ["run-1.jsonl"]


def test_every_step_is_on_disk_when_its_call_returns(journal: Journal) -> None:
    intent = journal.intent("process", "dev")
    assert steps(journal) == ["run", "intent"]
    journal.started(intent, LEADER)
    assert read_journal(journal.path).leaders == (LEADER,)
    journal.ended(intent, 0)
    journal.cleaned(0)
    assert steps(journal) == ["run", "intent", "started", "ended", "cleaned"]
    assert journal.is_written


def test_a_finished_run_leaves_no_journal(journal: Journal) -> None:
    journal.close()
    journal.close()
    assert not journal.path.exists()


def test_a_living_run_holds_its_journal(journal: Journal) -> None:
    descriptor = os.open(journal.path, os.O_RDONLY)
    try:
        assert not try_lock(descriptor, journal.path)
    finally:
        os.close(descriptor)


def test_a_truncated_last_line_is_counted_and_the_rest_believed(journal: Journal) -> None:
    journal.started(journal.intent("process", "dev"), LEADER)
    whole = journal.path.read_bytes()
    for cut in range(1, len(whole.splitlines()[-1]) + 1):
        journal.path.write_bytes(whole[:-cut])
        facts = read_journal(journal.path)
        assert (facts.leaders, facts.unread_lines, facts.run is None) == ((), 1, False)


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"\n",
        b"garbage\n",
        b'{"step":"run"}\n',
        b'{"step":"tomorrow","version":2}\n',
        b"[" * 100_000 + b"\n",
    ],
)
def test_without_a_readable_first_line_nothing_is_proof(tmp_path: Path, first: bytes) -> None:
    path = tmp_path / "run-1.jsonl"
    started = b'{"step":"started","id":1,"identity":{"pid":1,"start_ticks":2},"at":""}\n'
    path.write_bytes(first + started)
    facts = read_journal(path)
    assert (facts.run, facts.leaders, facts.run_id) == (None, (), "run-1")


def test_a_later_version_and_another_runs_file_are_no_proof(tmp_path: Path) -> None:
    run = RunStep(run_id="run-1", repo="", task="", started_at="", ota=ME, version=2)
    path = tmp_path / "run-1.jsonl"
    path.write_bytes(msgspec.json.encode(run) + b"\n")
    assert read_journal(path).run is None
    path = path.rename(tmp_path / "run-2.jsonl")
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(run, version=1)) + b"\n")
    assert read_journal(path).run is None


@given(st.binary(max_size=400))
def test_no_content_breaks_the_reader(content: bytes) -> None:
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"journal-{os.getpid()}.jsonl"
    path.write_bytes(content)
    try:
        assert read_journal(path).run is None
    finally:
        path.unlink()


def test_a_read_only_state_folder_costs_the_journal_and_not_the_run(tmp_path: Path) -> None:
    (tmp_path / ".ota").write_text("a file where the folder should be")
    journal = open_journal(tmp_path, run_id="run-1", task="dev")
    journal.started(journal.intent("process", "dev"), LEADER)
    journal.close()
    assert not journal.is_written
    assert [(finding.code, finding.severity) for finding in journal.findings] == [
        ("OTA_JOURNAL_UNWRITTEN", "warn")
    ]
    assert str(journal_path(tmp_path, "run-1").parent) in journal.findings[0].why


def test_a_read_only_mount_costs_the_journal_and_not_the_run(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro,size=16k", "tmpfs", str(tmp_path)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        journal = open_journal(tmp_path, run_id="run-1", task="dev")
        assert "read-only" in journal.findings[0].why
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_disk_that_fills_up_costs_the_rest_of_the_journal_and_is_told_once(journal: Journal) -> None:
    size = journal.path.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, hard))
    try:
        journal.started(journal.intent("process", "dev"), LEADER)
        journal.ended(1, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [finding.code for finding in journal.findings] == ["OTA_JOURNAL_UNWRITTEN"]
    assert read_journal(journal.path).run is not None


def test_faults_are_read_from_their_variable() -> None:
    for text in ("", "x", "x:NOSUCH", "x:KILL:often", "a:b:c:d"):
        assert journals._parse_fault(text) is None
    for text in ("intent.after:KILL:2", "intent.after:SIGKILL:2", "intent.after:9:2"):
        fault = journals._parse_fault(text)
        assert fault is not None
        assert (fault.point, fault.number, fault.remaining) == ("intent.after", 9, 2)
    assert len(FAULT_POINTS) == 12
