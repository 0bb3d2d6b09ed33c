"""Ending service tasks that were let go: the counterpart of `ota up --detach`.

Only what the record proves is ended: its leader, known by pid, start time and boot, and everything that
carries the marker it was started with. Ending twice is ending once. Services are nobody's here.

Source: commands specification 3 (`--detach`); json-and-receipts specification 6; lessons, "Nothing left
behind".
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from msgspec import Struct

from ota.errors import Finding, HostError
from ota.execute.kept import (
    KeptService,
    forget_record,
    is_over,
    kept_keys,
    lock_of,
    read_record,
    stray_records,
)
from ota.system.clock import SYSTEM_CLOCK, Clock
from ota.system.guardian import end_what_is_owned
from ota.system.locks import ResourceLock
from ota.system.processes import EndRecord, look_at

LOCK_LIMIT_S = 10.0
"""Whoever brings the same task up at this moment is waited for, and then told about."""

StopStatus = Literal["stopped", "not_running", "failed"]


class Stopped(Struct, frozen=True, kw_only=True):
    """What became of one task that was left running."""

    key: str
    status: StopStatus
    kept: KeptService | None = None
    """Who it was; None where nothing ran any more, or nothing could be proven."""
    pid: int | None = None
    """Its leader; None when that had ended already."""
    ended: tuple[int, ...] = ()
    """The processes that were ended."""
    finding: Finding | None = None
    """Why it could not be ended."""


def stop_kept(
    root: Path, keys: tuple[str, ...] | None = None, clock: Clock = SYSTEM_CLOCK
) -> tuple[Stopped, ...]:
    """End what was left running in a repository: these tasks, or all of them.

    Raises:
        HostError: nobody can say what that is.
    """
    known = kept_keys(root)
    asked = known if keys is None else tuple(key for key in keys if key in known)
    strays = stray_records(root) if keys is None else {}
    return (
        *(_stop(root, key, clock) for key in asked),
        *(Stopped(key=name, status="failed", finding=finding) for name, finding in strays.items()),
    )


def _stop(root: Path, key: str, clock: Clock) -> Stopped:
    try:
        with ExitStack() as stack:
            _enter(
                stack, ResourceLock(root / lock_of(key), what="up --stop", limit_s=LOCK_LIMIT_S, clock=clock)
            )
            kept = read_record(root, key)
            if kept is None:
                return Stopped(key=key, status="not_running")
            was_over = is_over(root, kept)
            if kept.container is not None:
                return _stop_in_container(root, kept, was_over=was_over, clock=clock)
            # also when it has ended itself: what it moved away carries its marker still
            record = end_what_is_owned(kept.run_id, () if was_over else (kept.leader,), clock=clock)
            pid = None if was_over else kept.leader.pid
            if record.survived:
                return Stopped(key=key, status="failed", kept=kept, pid=pid, finding=_survivors(key, record))
            forget_record(root, key)
            if was_over and not record.ended:
                return Stopped(key=key, status="not_running")
            ended = tuple(entry.identity.pid for entry in record.ended)
            return Stopped(key=key, status="stopped", kept=kept, pid=pid, ended=ended)
    except HostError as error:
        return Stopped(key=key, status="failed", finding=error.findings[0])


def _stop_in_container(root: Path, kept: KeptService, *, was_over: bool, clock: Clock) -> Stopped:
    """Also when its keeper was killed: then what that one owned is still there."""
    from ota.execute.container_kept import end_kept  # paid only by what runs in a container

    ending = end_kept(root, kept, clock)
    pid = None if was_over else kept.leader.pid
    if ending.finding is not None:
        return Stopped(key=kept.key, status="failed", kept=kept, pid=pid, finding=ending.finding)
    forget_record(root, kept.key)
    if was_over and not ending.was_there:
        return Stopped(key=kept.key, status="not_running")
    return Stopped(key=kept.key, status="stopped", kept=kept, pid=pid, ended=ending.ended)


def _enter(stack: ExitStack, lock: ResourceLock) -> None:
    """Raises: HostError: somebody holds it. A disk that cannot be written keeps nobody from ending a task."""
    try:
        stack.enter_context(lock)
    except HostError as error:
        if error.findings[0].code == "OTA_LOCK_HELD":
            raise


def _survivors(key: str, record: EndRecord) -> Finding:
    survived = [entry.identity.pid for entry in record.survived]
    pids = ", ".join(map(str, survived))
    return Finding(
        code="OTA_PROCESS_SURVIVED",
        title="Task could not be ended",
        summary=f"processes of task `{key}`, which was left running, could not be ended: {pids}",
        why="they are still there after KILL, or belong to another user",
        next=f"look at them: `{look_at(survived)}`",
        category="execution",
        owner="host",
    )
