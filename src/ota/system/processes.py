"""Who a process is, which processes belong to a run, and how they are ended.

A process is known by pid **and** start time, checked again immediately before every signal, so
that a reused pid is never hit. It never signals process 1, ota itself, or anything ota runs
inside. It does not start anything: see `workload`.

Source: runtime specification 7.4, 20.3, 23; lessons, "Nothing left behind".
"""

import os
import select
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Literal

from msgspec import Struct

from ota.system.clock import SYSTEM_CLOCK, Clock, Deadline
from ota.system.process_table import (
    ProcessFacts,
    carries_marker,
    observe_boot_id,
    observe_command,
    observe_process,
    observe_processes,
    observe_session,
)

GRACE_S = 5.0
KILL_LIMIT_S = 2.0
_LOOK_AGAIN_S = 0.03
_STOPPED_STATES = "Tt"

Sent = Literal["sent", "gone", "refused"]
By = Literal["itself", "term", "kill"]


class Identity(Struct, frozen=True, kw_only=True):
    """One process for good: a pid alone is soon somebody else's."""

    pid: int
    start_ticks: int
    boot_id: str = ""
    """The boot the start time counts from; empty where there is no such name."""


class Ended(Struct, frozen=True, kw_only=True):
    """One process that was there and should not be."""

    identity: Identity
    command: str
    """Its command line; may hold secrets, mask it before showing it."""
    by: By
    """The last signal it needed; `itself` when it followed another one before its own came."""


class EndRecord(Struct, frozen=True, kw_only=True):
    """What ending a set of processes came to."""

    ended: tuple[Ended, ...] = ()
    survived: tuple[Ended, ...] = ()
    """Still there after KILL: stuck in the kernel, or not ours to signal."""


def identity_of(facts: ProcessFacts) -> Identity:
    """The identity of an observed process."""
    return Identity(pid=facts.pid, start_ticks=facts.start_ticks, boot_id=boot_id())


_boot_ids: list[str] = []


def boot_id() -> str:
    """This boot, read once."""
    if not _boot_ids:
        _boot_ids.append(observe_boot_id())
    return _boot_ids[0]


def observe_identity(pid: int) -> Identity | None:
    """Who has this pid now; None when nobody has."""
    facts = observe_process(pid)
    return None if facts is None else identity_of(facts)


def look_at(pids: Iterable[int]) -> str:
    """The command line that shows processes, with whatever `ps` there is: small ones know no `-p`."""
    return f"ps ax | grep -wE '^ *({'|'.join(map(str, pids))})'"


def is_alive(identity: Identity) -> bool:
    """Whether that very process still runs; one that ended and was not collected yet does not."""
    facts = observe_process(identity.pid)
    return facts is not None and not facts.is_dead and is_same(identity, facts)


def is_same(identity: Identity, facts: ProcessFacts) -> bool:
    """Whether the observed process is the one that is meant."""
    if identity.boot_id and identity.boot_id != boot_id():
        return False
    return (identity.pid, identity.start_ticks) == (facts.pid, facts.start_ticks)


def session_members(session: int) -> tuple[Identity, ...]:
    """The living processes of a session."""
    return tuple(identity_of(facts) for facts in observe_session(session))


def processes_with_marker(run_id: str, *, since_ticks: int = 0) -> tuple[Identity, ...]:
    """The living processes started by a run, wherever they moved."""
    table = observe_processes()
    return _identities(table, _marked(table, run_id, since_ticks))


def _marked(table: dict[int, ProcessFacts], run_id: str, since_ticks: int) -> set[int]:
    if not run_id:
        return set()  # the id of no run: an empty marker, somebody else's, would be it
    return {
        pid
        for pid, facts in table.items()
        if facts.start_ticks >= since_ticks and not facts.is_dead and carries_marker(pid, run_id)
    }


def descendants(pid: int) -> tuple[Identity, ...]:
    """The living children of a process, their children, and so on."""
    table = observe_processes()
    return _identities(table, _with_descendants(table, {pid}) - {pid})


def owned_processes(
    run_id: str, leaders: Iterable[Identity] = (), *, since_ticks: int = 0
) -> tuple[Identity, ...]:
    """Every living process that provably belongs to a run.

    Proof is the run's marker, or being a leader the run wrote down; both extend to the session
    such a process leads or shares with that leader, and to descendants. A process that only has
    the pid of a leader proves nothing. `since_ticks`, the start of the run's ota process, saves
    looking into processes that are older than the run.
    """
    table = {pid: facts for pid, facts in observe_processes().items() if not facts.is_dead}
    known = tuple(leaders)
    proven = _marked(table, run_id, since_ticks)
    proven |= {leader.pid for leader in known if leader.pid in table and is_same(leader, table[leader.pid])}
    led = proven | {leader.pid for leader in known}
    sessions = {table[pid].session for pid in proven} & led
    owned = proven | {pid for pid, facts in table.items() if facts.session in sessions}
    return _identities(table, _with_descendants(table, owned) - untouchable())


def _identities(table: dict[int, ProcessFacts], pids: Iterable[int]) -> tuple[Identity, ...]:
    """Newest first, so that children come before their parents."""
    living = [table[pid] for pid in pids if pid in table and not table[pid].is_dead]
    living.sort(key=lambda facts: (facts.start_ticks, facts.pid), reverse=True)
    return tuple(identity_of(facts) for facts in living)


def _with_descendants(table: dict[int, ProcessFacts], roots: set[int]) -> set[int]:
    children: dict[int, list[int]] = {}
    for facts in table.values():
        children.setdefault(facts.parent, []).append(facts.pid)
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting.extend(children.get(pid, ()))
    return found


def untouchable() -> set[int]:
    """Process 1, ota itself, and everything ota runs inside: never signalled."""
    found = {0, 1}
    pid = os.getpid()
    while pid not in found:
        found.add(pid)
        facts = observe_process(pid)
        pid = facts.parent if facts is not None else 0
    return found


def send_signal(identity: Identity, number: int) -> Sent:
    """Signal that very process, or nobody.

    The handle is opened before the identity is checked: whatever takes over the pid afterwards,
    the signal goes to the process that was checked or nowhere.
    """
    if identity.pid in untouchable():
        return "refused"
    handle = open_handle(identity.pid)
    try:
        facts = observe_process(identity.pid)
        if facts is None or facts.is_dead or not is_same(identity, facts):
            return "gone"
        if handle is None:
            os.kill(identity.pid, number)
        else:
            signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return "gone"
    except PermissionError:
        return "refused"
    finally:
        if handle is not None:
            os.close(handle)
    return "sent"


def open_handle(pid: int) -> int | None:
    """A descriptor that becomes readable when the process ends; None where there is no such thing."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None  # gone, an old kernel, or out of descriptors: the caller looks again by itself


def wait_for_exit(identities: Iterable[Identity], limit_s: float, clock: Clock = SYSTEM_CLOCK) -> None:
    """Return as soon as one of them ended, or after `limit_s` seconds."""
    if limit_s <= 0:
        return
    handles = [handle for identity in identities if (handle := open_handle(identity.pid)) is not None]
    try:
        if not handles or not hasattr(select, "poll"):
            clock.sleep(min(limit_s, _LOOK_AGAIN_S))
            return
        poller = select.poll()
        for handle in handles:
            poller.register(handle, select.POLLIN)
        poller.poll(max(1, int(limit_s * 1000)))
    finally:
        for handle in handles:
            os.close(handle)


def end_processes(
    members: Iterable[Identity],
    *,
    grace_s: float = GRACE_S,
    clock: Clock = SYSTEM_CLOCK,
    again: Callable[[], Iterable[Identity]] | None = None,
) -> EndRecord:
    """TERM, wait until all are gone or `grace_s` passed, KILL, and look whether they are gone.

    `again` finds the members anew, so that what they start while they are being ended is ended
    too; without it the set is fixed. Returns who needed which signal and who survived.
    """
    fixed = tuple(members)
    ending = _Ending(again if again is not None else lambda: fixed, clock)
    ending.round(signal.SIGTERM, "term", grace_s)
    ending.round(getattr(signal, "SIGKILL", signal.SIGTERM), "kill", KILL_LIMIT_S)
    return ending.record()


class _Ending:
    """The state of one `end_processes`."""

    def __init__(self, gather: Callable[[], Iterable[Identity]], clock: Clock) -> None:
        self._gather = gather
        self._clock = clock
        self._seen: dict[Identity, Ended] = {}

    def round(self, number: int, by: By, limit_s: float) -> None:
        """One signal to everybody, also to those that turn up meanwhile, until nobody is left."""
        deadline = Deadline.after(self._clock, limit_s)
        signalled: set[Identity] = set()
        while living := self._living():
            for identity in living:
                if identity not in signalled:
                    signalled.add(identity)
                    self._signal(identity, number, by)
            if deadline.is_over(self._clock):
                return
            wait_for_exit(living, min(_LOOK_AGAIN_S, deadline.remaining_s(self._clock)), self._clock)

    def _living(self) -> tuple[Identity, ...]:
        return tuple(identity for identity in self._gather() if is_alive(identity))

    def _signal(self, identity: Identity, number: int, by: By) -> None:
        command = self._seen[identity].command if identity in self._seen else observe_command(identity.pid)
        if send_signal(identity, number) == "gone":
            self._seen.setdefault(identity, Ended(identity=identity, command=command, by="itself"))
            return
        self._seen[identity] = Ended(identity=identity, command=command, by=by)
        wake_if_stopped(identity)

    def record(self) -> EndRecord:
        survived = tuple(entry for entry in self._seen.values() if is_alive(entry.identity))
        ended = tuple(entry for entry in self._seen.values() if entry not in survived)
        return EndRecord(ended=ended, survived=survived)


def wake_if_stopped(identity: Identity) -> None:
    """A stopped process acts on TERM only once it continues."""
    facts = observe_process(identity.pid)
    if facts is not None and facts.state in _STOPPED_STATES:
        send_signal(identity, signal.SIGCONT)


def signal_group(group: int, number: int) -> bool:
    """Signal a whole process group at once, as a terminal does; False when nobody is in it.

    The caller has just seen a member of its own in that group. Ota's own group is never hit.
    """
    if group <= 1 or group == os.getpgrp():
        return False
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        return True
    return False
