"""The watcher of one run: when the run dies without a goodbye, it ends what the run started.

A fork of ota made before anything else exists. It holds the read end of a pipe whose only
write end is the run's: end of file without a goodbye means that the run was killed. It lives as
long as the run plus its cleaning, holds no terminal and no pipe of anybody else, and says that it
is armed before the run makes its first resource. It is not a daemon and serves no second run.

Source: lessons, "Nothing left behind".
"""

import os
import select
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, Self

from msgspec import Struct

from ota.errors import Finding, HostError
from ota.system.clock import SYSTEM_CLOCK, Clock, Deadline, now_utc
from ota.system.interrupts import STOP_SIGNALS
from ota.system.journal import CleanedStep, JournalFacts, read_journal
from ota.system.json_bytes import json_bytes
from ota.system.process_table import HAS_PROC
from ota.system.processes import EndRecord, Identity, end_processes, open_handle, owned_processes

GRACE_S = 2.0
ARMED_LIMIT_S = 2.0
GOODBYE_LIMIT_S = 2.0
_NAME = b"ota-guardian"
_UNBORN_S = 0.15
_ARMED = b"A"
_GOODBYE = b"G"


class Released(Struct, frozen=True, kw_only=True):
    """What became of the containers a dead run had announced."""

    removed: tuple[str, ...] = ()
    """Containers that are gone, and bodies that were ended inside containers that stay."""
    left: tuple[Finding, ...] = ()
    """What could not be removed or ended, and why."""


Release = Callable[[JournalFacts], Released]
"""Removes what a run of this journal made in container engines, where labels prove that it did.

Given by whoever knows engines: this room knows processes only.
"""


class Guardian:
    """The run's side of its guardian. Use as a context manager: leaving says goodbye."""

    def __init__(self, pid: int, write_end: int, finding: Finding | None) -> None:
        self.pid = pid
        """0 when nobody watches."""
        self.finding = finding
        """Why nobody watches: a warning, to be shown."""
        self._write_end = write_end

    @property
    def is_armed(self) -> bool:
        """Whether it watched when the run began."""
        return self.finding is None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.dismiss()

    def dismiss(self, clock: Clock = SYSTEM_CLOCK) -> None:
        """Say goodbye and collect it; harmless when done twice.

        Call it only when nothing of the run is left.
        """
        if self._write_end >= 0:
            with suppress(OSError):  # it may have died: then there is nobody to tell
                os.write(self._write_end, _GOODBYE)
            os.close(self._write_end)
            self._write_end = -1
        if self.pid:
            _collect(self.pid, clock)
            self.pid = 0


def arm_guardian(
    journal: Path, *, run_id: str, release: Release | None = None, clock: Clock = SYSTEM_CLOCK
) -> Guardian:
    """Fork the guardian and wait until it says that it watches.

    Must be called while the process has one thread. Where it cannot be done the guardian
    returned is unarmed and says why; the run goes on, and the next command reconciles.
    """
    obstacle = _obstacle()
    if obstacle:
        return Guardian(0, -1, _unarmed(obstacle))
    try:
        watched_read, watched_write = os.pipe()
        armed_read, armed_write = os.pipe()
    except OSError as error:
        return Guardian(0, -1, _unarmed(f"no pipe: {error.strerror}"))
    # a stop signal between fork and the child's own settings must not reach our handlers there
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        pid = os.fork()
        if pid == 0:
            _be_guardian(watched_read, armed_write, journal.absolute(), run_id, release)
    except OSError as error:
        os.close(watched_write)
        os.close(armed_read)
        return Guardian(0, -1, _unarmed(f"no process could be forked: {error.strerror}"))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)
        os.close(watched_read)
        os.close(armed_write)
    return _await_armed(pid, watched_write, armed_read, clock)


def _await_armed(pid: int, watched_write: int, armed_read: int, clock: Clock) -> Guardian:
    try:
        poller = select.poll()
        poller.register(armed_read, select.POLLIN)
        is_armed = bool(poller.poll(int(ARMED_LIMIT_S * 1000))) and os.read(armed_read, 1) == _ARMED
    finally:
        os.close(armed_read)
    if is_armed:
        return Guardian(pid, watched_write, None)
    unarmed = Guardian(pid, watched_write, _unarmed(f"it did not answer within {ARMED_LIMIT_S:g} s"))
    unarmed.dismiss(clock)
    return unarmed


def _obstacle() -> str:
    if not hasattr(os, "fork"):
        return "this platform cannot fork"
    if "threading" in sys.modules and sys.modules["threading"].active_count() > 1:
        return "ota already has several threads"
    if HAS_PROC and len(list(Path("/proc/self/task").iterdir())) > 1:
        return "ota already has several threads"
    return ""


def _unarmed(why: str) -> Finding:
    return Finding(
        code="OTA_GUARDIAN_UNARMED",
        summary="nobody watches this run: if ota itself is killed, its processes stay until the next run",
        why=why,
        next="after a kill -9 of ota, run a task of this repository: `ota run` ends what was left",
        severity="warn",
        category="execution",
        owner="host",
    )


def _collect(pid: int, clock: Clock) -> None:
    """Wait for the guardian, which is our child; end it when it does not go."""
    handle = open_handle(pid)
    try:
        if not _wait_bounded(pid, handle, clock):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
    finally:
        if handle is not None:
            os.close(handle)


def _wait_bounded(pid: int, handle: int | None, clock: Clock) -> bool:
    deadline = Deadline.after(clock, GOODBYE_LIMIT_S)
    poller = select.poll()
    if handle is not None:
        poller.register(handle, select.POLLIN)
    while True:
        try:
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                return True
        except ChildProcessError:
            return True  # collected by somebody else
        if deadline.is_over(clock):
            return False
        poller.poll(100 if handle is not None else 5)


# -- in the guardian ---------------------------------------------------------------------------


def _be_guardian(
    watched_read: int, armed_write: int, journal: Path, run_id: str, release: Release | None
) -> NoReturn:
    """The whole life of the forked process; never returns."""
    try:
        watched, armed = _detach(watched_read, armed_write)
        os.write(armed, _ARMED)
        os.close(armed)
        if os.read(watched, 1) != _GOODBYE:
            _clean(journal, run_id, release)
    finally:
        # no exit handlers, no flushing of buffers that belong to the run, no traceback
        os._exit(0)


def _detach(watched_read: int, armed_write: int) -> tuple[int, int]:
    """Own session, deaf to stop signals, nothing open but the two pipes; they become 3 and 4."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    os.chdir("/")
    lowest = 5  # out of the way first: either pipe may already be number 3 or 4
    import fcntl

    watched = fcntl.fcntl(watched_read, fcntl.F_DUPFD_CLOEXEC, lowest)
    armed = fcntl.fcntl(armed_write, fcntl.F_DUPFD_CLOEXEC, lowest)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.dup2(watched, 3, inheritable=False)
    os.dup2(armed, 4, inheritable=False)
    os.closerange(5, max(4096, os.sysconf("SC_OPEN_MAX")))
    with suppress(OSError):
        descriptor = os.open("/proc/self/comm", os.O_WRONLY)
        os.write(descriptor, _NAME)
        os.close(descriptor)
    return 3, 4


def _clean(journal: Path, run_id: str, release: Release | None) -> None:
    """End what the dead run started, write that down, remove its journal."""
    facts = JournalFacts(path=journal, run_id=run_id)
    with suppress(HostError):  # unreadable, or never written: the marker has to do
        facts = read_journal(journal)
    # the engine's clients first: a container that one of them was still asking for comes to be, or not
    record = end_what_a_dead_run_left(run_id, facts.leaders, grace_s=GRACE_S)
    released = release_containers(facts, release)
    close_journal(journal, by="guardian", record=record, released=released)


def release_containers(facts: JournalFacts, release: Release | None) -> Released:
    """Nothing is asked of any engine when the journal announces no container."""
    if not facts.containers or release is None:
        return Released()
    try:
        return release(facts)
    except HostError as error:
        return Released(left=error.findings)


def end_what_is_owned(
    run_id: str,
    leaders: Iterable[Identity],
    *,
    since_ticks: int = 0,
    grace_s: float = GRACE_S,
    clock: Clock = SYSTEM_CLOCK,
) -> EndRecord:
    """End every process that provably belongs to a run, until none can be found."""
    known = tuple(leaders)
    return end_processes(
        (),
        grace_s=grace_s,
        clock=clock,
        again=lambda: owned_processes(run_id, known, since_ticks=since_ticks),
    )


def end_what_a_dead_run_left(
    run_id: str,
    leaders: Iterable[Identity],
    *,
    since_ticks: int = 0,
    grace_s: float = GRACE_S,
    clock: Clock = SYSTEM_CLOCK,
) -> EndRecord:
    """The same for a run that was killed, and once more for a child that was only being made when it died.

    Between its fork and its exec a child carries no mark of the run and is in no journal.
    """
    known = tuple(leaders)
    first = end_what_is_owned(run_id, known, since_ticks=since_ticks, grace_s=grace_s, clock=clock)
    if first.survived:
        return first
    clock.sleep(_UNBORN_S)
    second = end_what_is_owned(run_id, known, since_ticks=since_ticks, grace_s=grace_s, clock=clock)
    return EndRecord(ended=(*first.ended, *second.ended), survived=second.survived)


def close_journal(journal: Path, *, by: str, record: EndRecord, released: Released) -> None:
    """Write the last line and remove the journal; while something is left it stays, for the next command."""
    step = CleanedStep(by=by, ended=len(record.ended) + len(released.removed), at=now_utc())
    with suppress(OSError):
        descriptor = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            os.write(descriptor, json_bytes(step) + b"\n")
        finally:
            os.close(descriptor)
        if not record.survived and not released.left:
            journal.unlink()
