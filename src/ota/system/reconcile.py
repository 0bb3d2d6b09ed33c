"""Putting right what a dead run left: the first thing a command does that runs things.

For each journal whose run is provably dead, end what provably belongs to that run, and remove
the journal. What cannot be proven is reported and not touched.

Source: lessons, "Nothing left behind"; json-and-receipts specification 6.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Literal

from msgspec import Struct

from ota.errors import Finding, HostError
from ota.system.clock import SYSTEM_CLOCK, Clock
from ota.system.files import refused
from ota.system.guardian import Release, Released, close_journal, end_what_a_dead_run_left, release_containers
from ota.system.host import observe_hostname
from ota.system.journal import JournalFacts, RunStep, active_directory, journal_path, read_journal
from ota.system.locks import ResourceLock, try_lock
from ota.system.process_table import observe_pid_namespace
from ota.system.processes import EndRecord, Identity, boot_id, is_alive, look_at

_LOCK_LIMIT_S = 20.0

Life = Literal["alive", "dead", "unproven"]


class Reconciled(Struct, frozen=True, kw_only=True):
    """One journal that was looked into."""

    run_id: str
    task: str
    record: EndRecord
    note: str
    """One line for the user: `ended 2 processes left by run X of task dev`."""
    released: Released = Released()
    """What was done about containers it had announced."""


class Reconciliation(Struct, frozen=True, kw_only=True):
    """What a reconciliation found and did."""

    runs: tuple[Reconciled, ...] = ()
    findings: tuple[Finding, ...] = ()
    """Warnings about what could not be proven or ended."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What to tell the user, a line per dead run that had left something."""
        return tuple(run.note for run in self.runs if run.note)


def reconcile(repo: Path, clock: Clock = SYSTEM_CLOCK, *, release: Release | None = None) -> Reconciliation:
    """End what dead runs of this repository left. Costs one directory listing when there is nothing.

    Safe beside living runs and beside other reconcilers: one at a time works, the next finds
    nothing to do.
    """
    active = active_directory(repo)
    if not _journals(active):
        return Reconciliation()
    try:
        with ResourceLock(
            active.parent / "locks" / "reconcile.lock", what="reconcile", limit_s=_LOCK_LIMIT_S, clock=clock
        ):
            return _reconcile_all(active, clock, release)
    except HostError as error:
        return Reconciliation(findings=tuple(_as_warning(finding) for finding in error.findings))


def living_runs(repo: Path) -> tuple[RunStep, ...]:
    """Runs of this repository that are going on; one directory listing when there are none."""
    found: list[RunStep] = []
    for path in _journals(active_directory(repo)):
        if path.suffix == ".tmp":
            continue
        with suppress(HostError, FileNotFoundError):  # it ended meanwhile, or proves nothing
            is_held = _is_locked(path)
            run = read_journal(path).run
            if run is not None and (is_held or _life(run) == "alive"):
                found.append(run)
    return tuple(found)


def living_run_in(repo: Path, container: str, *, but: str = "") -> RunStep | None:
    """The run that goes on in a container, or owns it; never the one whose id is `but`."""
    for run in living_runs(repo):
        with suppress(HostError, OSError):  # it ended meanwhile
            announced = read_journal(journal_path(repo, run.run_id)).containers
            if run.run_id != but and any(step.name == container for step in announced):
                return run
    return None


def _journals(active: Path) -> list[Path]:
    try:
        return sorted(path for path in active.iterdir() if path.suffix in (".jsonl", ".tmp"))
    except OSError:
        return []


def _reconcile_all(active: Path, clock: Clock, release: Release | None) -> Reconciliation:
    runs: list[Reconciled] = []
    findings: list[Finding] = []
    for path in _journals(active):
        if path.suffix == ".tmp":
            _remove_abandoned(path)
            continue
        try:
            run = _reconcile_one(path, clock, release)
        except FileNotFoundError:
            continue  # its run finished, or its guardian was faster
        except HostError as error:
            findings.extend(_as_warning(finding) for finding in error.findings if _is_there(path))
            continue
        if run is not None:
            runs.append(run)
            findings.extend(_as_warning(finding) for finding in run.released.left)
    return Reconciliation(runs=tuple(runs), findings=tuple(findings))


def _is_there(path: Path) -> bool:
    return path.exists()


def _reconcile_one(path: Path, clock: Clock, release: Release | None) -> Reconciled | None:
    """None when the run lives.

    Raises:
        HostError: nothing about this journal is proven, or not everything could be ended.
        FileNotFoundError: it went away meanwhile.
    """
    if _is_locked(path):
        return None
    facts = read_journal(path)
    match _life(facts.run):
        case "alive":
            return None
        case "unproven":
            raise HostError(_unproven(facts))
        case "dead":
            return _clean(facts, clock, release)


def _is_locked(path: Path) -> bool:
    """Whether the run holds its journal, which no dead process does.

    Opened without blocking: a named pipe in the way is an answer and not a hang.

    Raises:
        HostError: it is there and cannot be opened.
        FileNotFoundError: it went away meanwhile.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise refused(error, action="read", path=path) from error
    try:
        return not try_lock(descriptor, path)
    except HostError:
        return False  # no locks on this file system: the identity decides
    finally:
        os.close(descriptor)


def _life(run: RunStep | None) -> Life:
    """Whether the run's ota process lives, as far as this machine can tell."""
    if run is None:
        return "unproven"
    if run.ota.boot_id and run.ota.boot_id != boot_id():
        # after a reboot nothing is left; on another machine that shares the folder, who knows
        return "dead" if run.hostname == observe_hostname() else "unproven"
    if run.pid_namespace != observe_pid_namespace():
        return "unproven"
    return "alive" if is_alive(run.ota) else "dead"


def _clean(facts: JournalFacts, clock: Clock, release: Release | None) -> Reconciled:
    assert facts.run is not None
    is_this_boot = facts.run.ota.boot_id == boot_id()
    record = end_what_a_dead_run_left(
        facts.run_id,
        facts.leaders,
        since_ticks=facts.run.ota.start_ticks if is_this_boot else 0,
        clock=clock,
    )
    released = release_containers(facts, release)
    close_journal(facts.path, by="reconcile", record=record, released=released)
    if record.survived:
        raise HostError(_survivors(facts, record))
    return Reconciled(
        run_id=facts.run_id,
        task=facts.run.task,
        record=record,
        note=_note(facts.run, len(record.ended), len(released.removed)),
        released=released,
    )


def _note(run: RunStep, ended: int, removed: int) -> str:
    done = []
    if ended:
        done.append(f"ended {ended} process{'' if ended == 1 else 'es'}")
    if removed:
        done.append(f"removed {removed} container{'' if removed == 1 else 's'}")
    return f"{' and '.join(done)} left by run {run.run_id} of task {run.task}" if done else ""


def _remove_abandoned(path: Path) -> None:
    """The first draft of a journal whose run died before it had a name: `.<run>.<pid>.<start>.tmp`."""
    parts = path.name.rsplit(".", 3)
    if len(parts) != 4 or not (parts[1].isdigit() and parts[2].isdigit()):
        return
    if not is_alive(Identity(pid=int(parts[1]), start_ticks=int(parts[2]))):
        with suppress(OSError):
            path.unlink()


def _unproven(facts: JournalFacts) -> Finding:
    if facts.run is None:
        why = "its first line is damaged, or a later version of ota wrote it"
    else:
        why = f"it was written by process {facts.run.ota.pid} on {facts.run.hostname or 'another machine'}"
    return Finding(
        code="OTA_JOURNAL_UNPROVEN",
        summary=f"cannot tell whether run {facts.run_id} is still alive: left alone",
        why=why,
        next=f"when you know that it is over, remove {facts.path}",
        severity="warn",
        category="execution",
        owner="host",
    )


def _survivors(facts: JournalFacts, record: EndRecord) -> Finding:
    survived = [entry.identity.pid for entry in record.survived]
    pids = ", ".join(map(str, survived))
    return Finding(
        code="OTA_PROCESS_SURVIVED",
        summary=f"processes left by run {facts.run_id} could not be ended: {pids}",
        why="they are still there after KILL, or belong to another user",
        next=f"look at them: `{look_at(survived)}`",
        severity="warn",
        category="execution",
        owner="host",
    )


def _as_warning(finding: Finding) -> Finding:
    from msgspec.structs import replace

    return replace(finding, severity="warn")
