"""What a run is about to make, on disk before it exists, so that whatever happens to the run the
next command knows what may be left.

One file per run, `.ota/state/active/<run id>.jsonl`: one JSON object per line, one write per
line. The run holds a lock on the file while it lives. A journal never stops a run: when it
cannot be written, the run goes on with a warning, and the guardian works from the run's marker.

Source: lessons, "Nothing left behind"; json-and-receipts specification 6.
"""

import os
import signal
from _thread import allocate_lock
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from ota.errors import Finding, HostError
from ota.system.clock import SYSTEM_CLOCK, Clock, now_utc
from ota.system.files import (
    PRIVATE_FILE,
    private_directory,
    read_bytes,
    refused,
    write_all,
    write_atomic,
)
from ota.system.host import environ, observe_hostname
from ota.system.json_bytes import json_bytes
from ota.system.locks import try_lock
from ota.system.process_table import observe_pid_namespace
from ota.system.processes import Identity, observe_identity

JOURNAL_VERSION = 1
_SUFFIX = ".jsonl"
_LIMIT_BYTES = 16 * 1024 * 1024


class RunStep(Struct, frozen=True, kw_only=True, tag_field="step", tag="run"):
    """The first line: which run, by which process."""

    version: int = JOURNAL_VERSION
    run_id: str
    repo: str
    task: str
    started_at: str
    ota: Identity
    """The ota process that runs it."""
    pid_namespace: str = ""
    """Where pids of this journal are counted."""
    hostname: str = ""
    stop: str = ""
    """The command that ends it, where a signal to `ota` does not: it was left running on purpose."""


class IntentStep(Struct, frozen=True, kw_only=True, tag_field="step", tag="intent"):
    """Something is about to be made."""

    id: int
    kind: str
    """`process`, `file`, ... : what is made."""
    label: str
    """How it can be recognised or described."""
    at: str


class StartedStep(Struct, frozen=True, kw_only=True, tag_field="step", tag="started"):
    """The process of an intent exists."""

    id: int
    identity: Identity
    at: str


class ContainerStep(Struct, frozen=True, kw_only=True, tag_field="step", tag="container"):
    """A container is about to be made for this run only, or a body to be started in one that stays."""

    id: int
    engine: str
    """The engine's command line program."""
    name: str
    labels: Mapping[str, str] = {}
    """What the container must carry to be the one that is meant: a name alone proves nothing."""
    body: str = ""
    """The mark of the body that runs inside a container that stays; empty: the container is the run's."""
    task: str = ""
    """Whose body it is, with the workflow instance it was brought up for; empty: a helper of ota's own."""
    stays: bool = False
    """The container is stopped when the run is over, and kept."""
    at: str


class HandedOverStep(Struct, frozen=True, kw_only=True, tag_field="step", tag="handed_over"):
    """The process of an intent is to outlive the run: from here on it is not the run's to end."""

    id: int
    at: str


class EndedStep(Struct, frozen=True, kw_only=True, tag_field="step", tag="ended"):
    """What an intent announced has ended, or never came to be."""

    id: int
    exit_code: int
    at: str


class CleanedStep(Struct, frozen=True, kw_only=True, tag_field="step", tag="cleaned"):
    """Everything the run may have left was ended."""

    by: str
    """`run`, `guardian` or `reconcile`."""
    ended: int
    at: str


class ClosedStep(Struct, frozen=True, kw_only=True, tag_field="step", tag="closed"):
    """The run is over; the file is removed next."""

    at: str


Step = (
    RunStep | IntentStep | StartedStep | ContainerStep | HandedOverStep | EndedStep | CleanedStep | ClosedStep
)

FAULT_STEPS = ("run", "intent", "started", "ended", "cleaned", "closed")
FAULT_POINTS = tuple(f"{step}.{moment}" for step in FAULT_STEPS for moment in ("before", "after"))
CONTAINER_FAULT_STEPS = ("container", "create", "attach", "release")
"""Further steps of runs that make containers: announced, made, started, taken away."""
CONTAINER_FAULT_POINTS = tuple(
    f"{step}.{moment}" for step in CONTAINER_FAULT_STEPS for moment in ("before", "after")
)


class JournalFacts(Struct, frozen=True, kw_only=True):
    """What one journal file says."""

    path: Path
    run_id: str
    """From the file's name: it holds even where the content does not."""
    run: RunStep | None = None
    """None: not a journal this ota can read, so nothing in it is proof."""
    leaders: tuple[Identity, ...] = ()
    """Every leader that was started and not handed over; one that ended may have left a session behind."""
    containers: tuple[ContainerStep, ...] = ()
    """What may still exist in an engine: announced, and not said to be over."""
    unread_lines: int = 0
    """Lines that are truncated, garbage, or of a later version."""


class Journal:
    """The journal of this run. Every method first writes, and only then may the thing be made."""

    def __init__(
        self,
        path: Path,
        descriptor: int,
        clock: Clock,
        trouble: tuple[Finding, ...] = (),
        *,
        since_ticks: int = 0,
    ) -> None:
        self.path = path
        self.since_ticks = since_ticks
        """When the run's ota process started: nothing older is the run's."""
        self.findings: list[Finding] = list(trouble)
        """What went wrong with the journal itself: warnings, at most one per journal."""
        self._descriptor = descriptor
        self._clock = clock
        self._last_id = 0
        self._numbering = allocate_lock()

    @property
    def is_written(self) -> bool:
        """Whether the journal is on disk; otherwise the marker alone tells what belongs to the run."""
        return self._descriptor >= 0 and not self.findings

    def intent(self, kind: str, label: str) -> int:
        """Announce something; the number names it in later steps."""
        number = self._next_id()
        self._write("intent", IntentStep(id=number, kind=kind, label=label, at=self._now()))
        return number

    def container(
        self, engine: str, name: str, labels: Mapping[str, str], *, body: str = "", task: str = ""
    ) -> int:
        """Announce a container of this run, or with `body` a task's body in one that stays."""
        number = self._next_id()
        step = ContainerStep(
            id=number, engine=engine, name=name, labels=labels, body=body, task=task, at=self._now()
        )
        self._write("container", step)
        return number

    def started(self, intent: int, identity: Identity) -> None:
        """The announced process exists."""
        self._write("started", StartedStep(id=intent, identity=identity, at=self._now()))

    def handed_over(self, intent: int) -> None:
        """The process is to go on without the run. Whoever is to know of it has been told before."""
        self._write("handed_over", HandedOverStep(id=intent, at=self._now()))

    def ended(self, intent: int, exit_code: int) -> None:
        """What was announced is over."""
        self._write("ended", EndedStep(id=intent, exit_code=exit_code, at=self._now()))

    def cleaned(self, ended: int) -> None:
        """The run has looked, and ended this many processes that were left."""
        self._write("cleaned", CleanedStep(by="run", ended=ended, at=self._now()))

    def close(self) -> None:
        """The run is over: the journal goes. A file that cannot be removed is left to the next command."""
        if self._descriptor < 0:
            return
        self._write("closed", ClosedStep(at=self._now()))
        with suppress(OSError):
            self.path.unlink()
        os.close(self._descriptor)
        self._descriptor = -1

    def _next_id(self) -> int:
        with self._numbering:  # several jobs announce at once
            self._last_id += 1
            return self._last_id

    def _now(self) -> str:
        return now_utc(self._clock)

    def _write(self, name: str, step: Step) -> None:
        fault_point(f"{name}.before")
        if self._descriptor >= 0 and not self.findings:
            try:
                write_all(self._descriptor, _line(step))
            except OSError as error:
                self.findings.append(_unwritten(refused(error, action="write", path=self.path)))
        fault_point(f"{name}.after")


def active_directory(repo: Path) -> Path:
    """Where the journals of living runs are."""
    return repo / ".ota" / "state" / "active"


def journal_path(repo: Path, run_id: str) -> Path:
    """The journal of one run."""
    return active_directory(repo) / f"{run_id}{_SUFFIX}"


def open_journal(repo: Path, *, run_id: str, task: str, clock: Clock = SYSTEM_CLOCK) -> Journal:
    """Begin the journal of a run; it appears under its name complete with its first line, or not at all.

    On a read-only or full disk the journal is memory only, and `findings` says why.
    """
    path = journal_path(repo, run_id)
    ota = observe_identity(os.getpid()) or Identity(pid=os.getpid(), start_ticks=0)
    run = RunStep(
        run_id=run_id,
        repo=str(repo),
        task=task,
        started_at=now_utc(clock),
        ota=ota,
        pid_namespace=observe_pid_namespace(),
        hostname=observe_hostname(),
    )
    fault_point("run.before")
    try:
        journal = Journal(path, _create(path, run), clock, since_ticks=ota.start_ticks)
    except HostError as error:
        journal = Journal(path, -1, clock, (_unwritten(error),), since_ticks=ota.start_ticks)
    fault_point("run.after")
    return journal


def write_journal_of_owner(
    repo: Path, *, run: RunStep, container: ContainerStep, leader: Identity, clock: Clock = SYSTEM_CLOCK
) -> Path:
    """The journal of something that goes on without a command: `run.ota` is the process that owns it.

    Nobody holds a lock on it; that process lives as long as what it owns.

    Raises:
        HostError: nothing is on disk.
    """
    path = journal_path(repo, run.run_id)
    private_directory(path.parent)
    started = StartedStep(id=container.id, identity=leader, at=now_utc(clock))
    write_atomic(path, _line(run) + _line(container) + _line(started))
    return path


def _create(path: Path, run: RunStep) -> int:
    """The open, locked journal.

    Raises:
        HostError: nothing is left on disk.
    """
    private_directory(path.parent)
    temporary = path.with_name(f".{path.stem}.{run.ota.pid}.{run.ota.start_ticks}.tmp")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, PRIVATE_FILE)
        try:
            with suppress(HostError):  # without locks on this file system the identity has to do
                try_lock(descriptor, temporary)
            write_all(descriptor, _line(run))
            temporary.rename(path)
        except BaseException:
            os.close(descriptor)
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise refused(error, action="write", path=path) from error
    return descriptor


def _line(step: Step) -> bytes:
    return json_bytes(step) + b"\n"


def _unwritten(error: HostError) -> Finding:
    cause = error.findings[0]
    return Finding(
        code="OTA_JOURNAL_UNWRITTEN",
        summary="the journal of this run cannot be written",
        why=f"{cause.summary}: {cause.why}",
        next=cause.next,
        severity="warn",
        category="execution",
        owner="host",
    )


def read_journal(path: Path) -> JournalFacts:
    """What a journal says, whatever state it is in.

    A last line without its end was being written when the run died; it and anything else that
    cannot be understood is counted and proves nothing.

    Raises:
        HostError: the file cannot be read at all.
    """
    lines = read_bytes(path, limit_bytes=_LIMIT_BYTES).split(b"\n")
    truncated = 1 if lines.pop() else 0
    steps = [_parse(line) for line in lines]
    run = steps[0] if steps and isinstance(steps[0], RunStep) else None
    if run is not None and (run.version != JOURNAL_VERSION or run.run_id != path.stem):
        run = None
    return JournalFacts(
        path=path,
        run_id=path.stem,
        run=run,
        leaders=_leaders(steps) if run is not None else (),
        containers=_containers(steps) if run is not None else (),
        unread_lines=truncated + steps.count(None),
    )


def _leaders(steps: list[Step | None]) -> tuple[Identity, ...]:
    gone = {step.id for step in steps if isinstance(step, HandedOverStep)}
    return tuple(step.identity for step in steps if isinstance(step, StartedStep) and step.id not in gone)


def _containers(steps: list[Step | None]) -> tuple[ContainerStep, ...]:
    over = {step.id for step in steps if isinstance(step, EndedStep)}
    return tuple(step for step in steps if isinstance(step, ContainerStep) and step.id not in over)


def _parse(line: bytes) -> Step | None:
    try:
        step: Step = msgspec.json.decode(line, type=Step)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return step


# -- faults on demand --------------------------------------------------------------------------


class _Fault(Struct, kw_only=True):
    """A signal to send to ourselves at the nth passing of a point."""

    point: str
    number: int
    remaining: int


def _parse_fault(text: str) -> _Fault | None:
    """`<point>:<signal>[:<nth>]`, with the signal by name or number; anything else is no fault."""
    parts = text.split(":")
    if len(parts) not in (2, 3):
        return None
    named = getattr(signal, f"SIG{parts[1].upper().removeprefix('SIG')}", None)
    try:
        number = int(parts[1]) if named is None else int(named)
        nth = int(parts[2]) if len(parts) == 3 else 1
    except ValueError:
        return None
    return _Fault(point=parts[0], number=number, remaining=nth)


_fault = _parse_fault(environ().get("OTA_FAULT", ""))


def fault_point(name: str) -> None:
    """Where a drill may make ota signal itself (`OTA_FAULT=intent.after:KILL`); otherwise nothing."""
    if _fault is None or _fault.point != name:
        return
    _fault.remaining -= 1
    if _fault.remaining == 0:
        os.kill(os.getpid(), _fault.number)
