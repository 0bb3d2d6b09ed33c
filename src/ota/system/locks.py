"""One lock per resource, across processes and threads, released by a crash.

`flock` on a file that is never removed (removing it would let two holders in). The file says
who holds it. There is no lock for a whole run: two runs in one repository are normal.

Source: architecture (state on disk); json-and-receipts specification 6.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct

from ota.errors import Finding, HostError
from ota.system.clock import SYSTEM_CLOCK, Clock, Deadline
from ota.system.files import PRIVATE_FILE, private_directory, refused

_POLL_START_S = 0.005
_POLL_MAX_S = 0.1
_HOLDER_LIMIT_BYTES = 4096


class Holder(Struct, frozen=True, kw_only=True):
    """Who has a lock, in its own words."""

    pid: int = 0
    what: str = ""
    """What it is doing: `run dev`."""


class ResourceLock:
    """Exclusive use of one resource while the `with` block lasts."""

    def __init__(self, path: Path, *, what: str, limit_s: float = 10.0, clock: Clock = SYSTEM_CLOCK) -> None:
        self.path = path
        self._what = what
        self._limit_s = limit_s
        self._clock = clock
        self._descriptor = -1

    def __enter__(self) -> Self:
        """Wait at most `limit_s` seconds.

        Raises:
            HostError: `OTA_LOCK_HELD` naming the holder, or the lock file cannot be opened.
        """
        private_directory(self.path.parent)
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
        except OSError as error:
            raise refused(error, action="open the lock", path=self.path) from error
        try:
            self._wait()
        except BaseException:
            self._close()
            raise
        self._sign()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
        self._close()

    def _wait(self) -> None:
        deadline = Deadline.after(self._clock, self._limit_s)
        pause_s = _POLL_START_S
        while not try_lock(self._descriptor, self.path):
            if deadline.is_over(self._clock):
                raise HostError(_held(self.path, read_holder(self.path), self._limit_s))
            self._clock.sleep(min(pause_s, deadline.remaining_s(self._clock)))
            pause_s = min(pause_s * 2, _POLL_MAX_S)

    def _sign(self) -> None:
        """Best effort: a full disk costs the name of the holder, not the lock."""
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, msgspec.json.encode(Holder(pid=os.getpid(), what=self._what)), 0)

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class SharedUse:
    """That somebody is using a resource: any number at once, and nobody takes it away meanwhile.

    Released by a crash. Who wants to take the resource away asks `try_alone` first.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def begin(cls, path: Path) -> "SharedUse | None":
        """None while somebody is taking the resource away.

        Raises:
            HostError: the lock file cannot be opened.
        """
        return cls._take(path, is_shared=True)

    @classmethod
    def try_alone(cls, path: Path) -> "SharedUse | None":
        """The only use there is, until released; None while somebody uses the resource.

        Raises:
            HostError: the lock file cannot be opened.
        """
        return cls._take(path, is_shared=False)

    @classmethod
    def _take(cls, path: Path, *, is_shared: bool) -> "SharedUse | None":
        private_directory(path.parent)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
        except OSError as error:
            raise refused(error, action="open the lock", path=path) from error
        try:
            if try_lock(descriptor, path, is_shared=is_shared):
                return cls(path, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def release(self) -> None:
        """The use is over; harmless when done twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def try_lock(descriptor: int, path: Path, *, is_shared: bool = False) -> bool:
    """Take the file's lock if nobody has it; it is held until every copy of the descriptor is closed.

    Shared locks go together, and with no exclusive one.

    Raises:
        HostError: this file system or platform has no such locks.
    """
    try:
        import fcntl
    except ImportError as error:
        raise refused(OSError("no file locks on this platform"), action="lock", path=path) from error
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise refused(error, action="lock", path=path) from error
    return True


def read_holder(path: Path) -> Holder:
    """Who signed the lock file last; an unreadable signature is an unknown holder."""
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(_HOLDER_LIMIT_BYTES), type=Holder)
    except (OSError, msgspec.MsgspecError):
        return Holder()


def _held(path: Path, holder: Holder, limit_s: float) -> Finding:
    from ota.system.processes import look_at  # paid only by who waits in vain

    who = f"process {holder.pid} ({holder.what})" if holder.pid else "another process"
    look = f"wait for it to finish, or look at it: `{look_at([holder.pid])}`" if holder.pid else "try again"
    return Finding(
        code="OTA_LOCK_HELD",
        summary=f"{path.stem} is in use by {who}",
        why=f"it was not free within {limit_s:g} s",
        next=look,
        category="execution",
        owner="host",
    )
