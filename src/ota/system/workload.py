"""One running child and everything in its session, watched by one poll loop.

Bytes arrive as they were written, at once. The end of the leader is not the end of the
workload: pipes held by what it left behind are drained for a bounded time, then the rest of the
session is ended and named. A process that moved to a session of its own is not touched here; it
is found by the run's marker, and the caller decides.

Source: runtime specification 12.1, 20; lessons, "Nothing left behind".
"""

import os
import select
import signal
from _thread import allocate_lock
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, Self

from msgspec import Struct

from ota.system.clock import SYSTEM_CLOCK, Clock
from ota.system.interrupts import Interrupts
from ota.system.process_table import observe_command, observe_group
from ota.system.processes import (
    GRACE_S,
    KILL_LIMIT_S,
    By,
    Ended,
    EndRecord,
    Identity,
    identity_of,
    is_alive,
    observe_identity,
    open_handle,
    send_signal,
    session_members,
    signal_group,
    wake_if_stopped,
)
from ota.system.spawn import (
    Channel,
    Foreground,
    SpawnRequest,
    Stream,
    real_window_size,
    set_window_size,
    start_child,
)

DRAIN_LIMIT_S = 2.0
HURRIED_GRACE_S = 0.3
SETTLE_S = 0.1
_READ_BYTES = 65536
_SHORT_POLL_S = 0.01
_INTERACTIVE_POLL_S = 0.1
_LAST_READ_LIMIT_S = 0.2

Stage = Literal["running", "stopping", "lingering", "settling", "ending", "killing", "over"]
OnChunk = Callable[[Stream, bytes], None]


class WorkloadEnd(Struct, frozen=True, kw_only=True):
    """How a workload ended, as observed."""

    exit_code: int
    """The child's own code; 128 plus the signal when a signal ended it."""
    signal: int | None = None
    """The signal that ended the leader."""
    stopped_by: int | None = None
    """The signal ota forwarded because it was asked to stop."""
    was_killed: bool = False
    """Ota had to use KILL, on the leader or on the rest of its session."""
    left_behind: EndRecord = EndRecord()
    """What the leader left in its session and ota ended."""
    pipes_were_held: bool = False
    """Something outside the session still holds an output of the workload."""


class Workload:
    """A started child. Use as a context manager: leaving the block early ends the whole session."""

    def __init__(
        self,
        request: SpawnRequest,
        *,
        interrupts: Interrupts | None = None,
        grace_s: float = GRACE_S,
        ends_session: bool = True,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Start it.

        `interrupts` wakes the loop when it runs in the main thread. `grace_s` is what the rest
        of the session gets between TERM and KILL. Without `ends_session` a leader that ended by
        itself may leave others behind, as commands do that start a service; a workload that is
        told to stop is ended with its whole session all the same.

        Raises:
            SpawnError: nothing was started.
        """
        self._request = request
        self._interrupts = interrupts
        self._grace_s = grace_s
        self._ends_session = ends_session
        self._clock = clock
        self._stage: Stage = "running"
        self._stage_deadline_s = 0.0
        self._end_deadline_s = 0.0
        self._status: tuple[int, int | None] | None = None
        self._stopped_by: int | None = None
        self._was_killed = False
        self._pipes_were_held = False
        self._ended: dict[Identity, Ended] = {}
        self._window = real_window_size() if request.output == "terminal" else None
        self._wake_lock = allocate_lock()
        self._foreground = Foreground() if request.output == "inherit" else None
        self._wake_read, self._wake_write = _wake_pipe()
        try:
            self._child, self._channels = start_child(request)
        except BaseException:
            os.close(self._wake_read)
            os.close(self._wake_write)
            raise
        self._handle = open_handle(self._child.pid)
        if self._foreground is not None:
            self._foreground.give_to(self._child.pid)
        # the leader is collected only at the very end: until then its pid, and with it the
        # number of its session and group, cannot be reused
        self.leader = observe_identity(self._child.pid) or Identity(pid=self._child.pid, start_ticks=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stage != "over":
            self.request_stop(signal.SIGTERM, grace_s=HURRIED_GRACE_S)
            self.supervise(_ignore)
        self._release()

    @property
    def is_over(self) -> bool:
        """Whether leader and session have ended."""
        return self._stage == "over"

    def wake(self) -> None:
        """Make the loop look up; from any thread, or a signal handler, at any time."""
        # a signal handler may interrupt the very thread that holds the lock, so never wait for it:
        # whoever holds it is waking the loop already, or closing it
        if not self._wake_lock.acquire(blocking=False):
            return
        try:
            if self._wake_write >= 0:
                with suppress(BlockingIOError):
                    os.write(self._wake_write, b"\0")
        finally:
            self._wake_lock.release()

    def request_stop(self, number: int, *, grace_s: float = GRACE_S, is_forwarded: bool = True) -> None:
        """Forward `number` to the whole session now, and KILL what is left after `grace_s`.

        Returns at once; `supervise` sees it through. A second call shortens the grace to 0.3 s.
        Without `is_forwarded` nothing is signalled yet: who ends the real work is somebody else, and
        the session, which only watches it, gets the grace to end by itself. Call it from the thread
        that supervises.
        """
        if self._stage in ("killing", "over"):
            return
        if self._stopped_by is not None:
            grace_s = HURRIED_GRACE_S
        deadline_s = self._clock.monotonic_s() + grace_s
        if self._stopped_by is not None or self._stage in ("settling", "ending"):
            self._end_deadline_s = min(self._end_deadline_s, deadline_s)
            self._stage_deadline_s = min(self._stage_deadline_s, deadline_s)
        else:
            self._enter("stopping", deadline_s)
        self._stopped_by = self._stopped_by or number
        if is_forwarded:
            self._signal_groups(number)

    def let_go(self) -> None:
        """Stop watching: leader and session go on, and nobody ends them here. `supervise` returns next.

        Only for a child whose output is a file; a pipe would break when ota ends.
        """
        assert not self._channels, "nobody would read the output any more"
        if not self._leader_ended():
            self._status = (0, None)
        self._enter("over", self._clock.monotonic_s())

    def supervise(
        self,
        on_chunk: OnChunk,
        *,
        on_wake: Callable[[], None] | None = None,
        limit_s: float | None = None,
    ) -> WorkloadEnd | None:
        """Pass output on until leader and session have ended; None when `limit_s` passed first.

        `on_wake` is called in this thread after `wake`, and after every signal when the
        workload was given `interrupts`. After None, call again to go on.
        """
        deadline_s = None if limit_s is None else self._clock.monotonic_s() + limit_s
        while self._advance() != "over":
            now_s = self._clock.monotonic_s()
            if deadline_s is not None and now_s >= deadline_s:
                return None
            self._wait(self._pause_s(now_s, deadline_s), on_chunk, on_wake)
        self._read_what_is_left(on_chunk)
        return self._finish()

    def stop(self, number: int = signal.SIGTERM, *, grace_s: float = GRACE_S) -> WorkloadEnd:
        """Stop and wait until the session is empty; remaining output is dropped."""
        self.request_stop(number, grace_s=grace_s)
        end = self.supervise(_ignore)
        assert end is not None, "without a limit, supervise returns the end"
        return end

    # -- stages --------------------------------------------------------------------------------

    def _advance(self) -> Stage:
        """Move on as far as what is known allows."""
        before: Stage | None = None
        while self._stage != before:
            before = self._stage
            self._step(self._clock.monotonic_s())
        return self._stage

    def _step(self, now_s: float) -> None:
        match self._stage:
            case "running":
                if self._leader_ended():
                    self._enter("lingering", now_s + DRAIN_LIMIT_S)
            case "stopping":
                if self._leader_ended():
                    self._let_settle(now_s, self._stage_deadline_s)
                elif now_s >= self._stage_deadline_s:
                    self._enter("killing", now_s + KILL_LIMIT_S)
            case "lingering":
                if not self._open_channels() or now_s >= self._stage_deadline_s:
                    self._let_settle(now_s, now_s + self._grace_s)
            case "settling":
                self._step_settling(now_s)
            case "ending" | "killing":
                self._step_ending(now_s)
            case "over":
                pass

    def _enter(self, stage: Stage, deadline_s: float) -> None:
        self._stage, self._stage_deadline_s = stage, deadline_s

    def _let_settle(self, now_s: float, end_deadline_s: float) -> None:
        """A member that is just ending has closed its outputs before it is gone: it was not left behind."""
        if not self._ends_session and self._stopped_by is None:
            self._enter("over", now_s)
            return
        self._end_deadline_s = end_deadline_s
        self._enter("settling", min(end_deadline_s, now_s + SETTLE_S))

    def _step_settling(self, now_s: float) -> None:
        members = self._members()
        if not members:
            self._enter("over", now_s)
        elif now_s >= self._stage_deadline_s:
            self._enter("ending", self._end_deadline_s)
            if self._stopped_by != signal.SIGTERM:
                # also after an INT: a shell lets its background jobs ignore INT
                self._signal_members(members, signal.SIGTERM, "term")

    def _step_ending(self, now_s: float) -> None:
        members = self._members()
        if not members and self._leader_ended():
            self._enter("over", now_s)
        elif self._stage == "killing":
            self._was_killed = True
            self._kill(members)
            if now_s >= self._stage_deadline_s:
                self._enter("over", now_s)
        elif now_s >= self._stage_deadline_s:
            self._enter("killing", now_s + KILL_LIMIT_S)

    def _kill(self, members: tuple[Identity, ...]) -> None:
        if not self._leader_ended():
            send_signal(self.leader, signal.SIGKILL)
        self._signal_members(members, signal.SIGKILL, "kill")

    def _members(self) -> tuple[Identity, ...]:
        """The session without its leader; with the real terminal, the process group without it."""
        if self._request.output == "inherit":
            found = tuple(identity_of(facts) for facts in observe_group(self._child.pid))
        else:
            found = session_members(self._child.pid)
        return tuple(member for member in found if member.pid != self._child.pid)

    def _signal_groups(self, number: int) -> None:
        """Once per process group, as a terminal does: what a trap starts afterwards is not hit."""
        groups = {self._child.pid} if not self._leader_ended() else set()
        for member in self._members():
            with suppress(ProcessLookupError):
                groups.add(os.getpgid(member.pid))
            wake_if_stopped(member)
        for group in groups:
            signal_group(group, number)
        wake_if_stopped(self.leader)

    def _signal_members(self, members: tuple[Identity, ...], number: int, by: By) -> None:
        for member in members:
            known = self._ended.get(member)
            if known is not None and known.by == by:
                continue
            command = observe_command(member.pid) if known is None else known.command
            if send_signal(member, number) != "gone":
                self._ended[member] = Ended(identity=member, command=command, by=by)
                wake_if_stopped(member)

    def _leader_ended(self) -> bool:
        """Whether it ended, without collecting it where the platform allows that."""
        if self._status is None:
            self._status = _observe_status(self._child.pid) if hasattr(os, "waitid") else self._collect()
            if self._status is not None and self._handle is not None:
                os.close(self._handle)
                self._handle = None
        return self._status is not None

    def _collect(self) -> tuple[int, int | None] | None:
        code = self._child.collect()
        if code is None:
            return None
        return (code, None) if code >= 0 else (128 - code, -code)

    # -- the loop ------------------------------------------------------------------------------

    def _open_channels(self) -> tuple[Channel, ...]:
        return tuple(channel for channel in self._channels if channel.read_end >= 0)

    def _pause_s(self, now_s: float, deadline_s: float | None) -> float | None:
        """How long the loop may sleep when nothing happens; None for as long as it takes."""
        limits = [] if deadline_s is None else [deadline_s - now_s]
        if self._stage != "running":
            limits.append(self._stage_deadline_s - now_s)
        if self._stage in ("settling", "ending", "killing") or (
            self._handle is None and self._status is None
        ):
            limits.append(_SHORT_POLL_S)
        if self._request.output == "inherit":
            limits.append(_INTERACTIVE_POLL_S)
        return max(0.0, min(limits)) if limits else None

    def _wait(self, pause_s: float | None, on_chunk: OnChunk, on_wake: Callable[[], None] | None) -> None:
        poller = select.poll()
        channels = {channel.read_end: channel for channel in self._open_channels()}
        wakers = [self._wake_read]
        if self._interrupts is not None and self._interrupts.is_installed:
            wakers.append(self._interrupts.fileno())
        for descriptor in (*channels, *wakers, *(() if self._handle is None else (self._handle,))):
            poller.register(descriptor, select.POLLIN)
        ready = {descriptor for descriptor, _ in poller.poll(_milliseconds(pause_s))}
        for descriptor in ready & channels.keys():
            self._read(channels[descriptor], on_chunk)
        if ready.intersection(wakers):
            self._woken(on_wake)
        if self._foreground is not None:
            self._follow_job_control()

    def _read(self, channel: Channel, on_chunk: OnChunk) -> bool:
        """Pass one piece on; False at the end of the stream."""
        try:
            data = os.read(channel.read_end, _READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""  # a pseudo-terminal that nobody has open any more answers with an error
        if not data:
            channel.close()
            return False
        on_chunk(channel.stream, data)
        return True

    def _woken(self, on_wake: Callable[[], None] | None) -> None:
        with suppress(BlockingIOError):
            while os.read(self._wake_read, 4096):
                pass
        if self._interrupts is not None:
            self._interrupts.drain()
        if self._window is not None:
            self._follow_window()
        if on_wake is not None:
            on_wake()

    def _follow_window(self) -> None:
        """Pass a new window size on. The pseudo-terminals control no session, so tell the child too."""
        size = real_window_size()
        if size is None or size == self._window:
            return
        self._window = size
        for channel in self._open_channels():
            if channel.is_terminal:
                set_window_size(channel.read_end, size)
        if not self._leader_ended():
            signal_group(self._child.pid, signal.SIGWINCH)

    def _follow_job_control(self) -> None:
        """Ctrl+Z stops the child's group: stop with it, and bring it back when the shell continues ota.

        As the terminal would have done it: everybody in ota's group, `make` or a wrapper script
        included, or they would wait and keep the terminal; and with no shell to come back to,
        the kernel lets nobody stop.
        """
        assert self._foreground is not None
        if self._leader_ended() or not _was_stopped(self._child.pid):
            return
        self._foreground.take_back()
        os.killpg(os.getpgrp(), signal.SIGTSTP)
        self._foreground.give_to(self._child.pid)
        signal_group(self._child.pid, signal.SIGCONT)

    # -- the end -------------------------------------------------------------------------------

    def _read_what_is_left(self, on_chunk: OnChunk) -> None:
        """What is in the pipes already; whoever still holds them does not keep ota waiting."""
        deadline_s = self._clock.monotonic_s() + _LAST_READ_LIMIT_S
        for channel in self._open_channels():
            os.set_blocking(channel.read_end, False)
            while self._clock.monotonic_s() < deadline_s and self._read(channel, on_chunk):
                pass
        self._pipes_were_held = self._pipes_were_held or bool(self._open_channels())

    def _finish(self) -> WorkloadEnd:
        self._release()
        code, number = self._status if self._status is not None else (128 + signal.SIGKILL, signal.SIGKILL)
        entries = tuple(self._ended.values())
        survived = tuple(entry for entry in entries if is_alive(entry.identity))
        return WorkloadEnd(
            exit_code=code,
            signal=number,
            stopped_by=self._stopped_by,
            was_killed=self._was_killed,
            left_behind=EndRecord(
                ended=tuple(entry for entry in entries if entry not in survived), survived=survived
            ),
            pipes_were_held=self._pipes_were_held,
        )

    def _release(self) -> None:
        """Collect the leader, give the terminal back, close everything; harmless when done twice."""
        for channel in self._channels:
            channel.close()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        self._child.collect()
        if self._foreground is not None:
            self._foreground.take_back()
            self._foreground = None
        with self._wake_lock:
            if self._wake_write >= 0:
                os.close(self._wake_write)
                os.close(self._wake_read)
                self._wake_write = self._wake_read = -1


def _wake_pipe() -> tuple[int, int]:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.set_blocking(write_end, False)
    return read_end, write_end


def _observe_status(pid: int) -> tuple[int, int | None] | None:
    """Exit code and signal of a child that ended, which stays uncollected; None while it runs."""
    try:
        status = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return 1, None  # somebody else in this process collected it: its code is lost
    if status is None:
        return None
    if status.si_code == os.CLD_EXITED:
        return status.si_status, None
    return 128 + status.si_status, status.si_status


def _was_stopped(pid: int) -> bool:
    if not hasattr(os, "waitid"):
        return False
    try:
        return os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG) is not None
    except ChildProcessError:
        return False


def _milliseconds(pause_s: float | None) -> int | None:
    """Rounded up: a pause cut to 0 ms would spin."""
    return None if pause_s is None else int(pause_s * 1000 + 0.999)


def _ignore(_stream: Stream, _data: bytes) -> None:
    """Drop output."""
