"""Where output goes, when its reader may have left, be slow, be stuck, or be a full disk.

Writing never fails and never keeps an interrupted run: what cannot be delivered is dropped, and
everything after it too, so that a reader never sees a text with a hole in it. It masks and
formats nothing.

Source: runtime specification 20.1; commands specification 1.10.
"""

import errno
import os
import select

from ota.system.clock import SYSTEM_CLOCK, Clock
from ota.system.interrupts import is_stop_requested

STUCK_LIMIT_S = 1.0
_TURN_S = 0.1
_NO_ROOM = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
_PIECE_BYTES = 4096
"""A pipe that poll calls writable takes this much without blocking."""


class OutputSink:
    """One output of ota, written at once and unbuffered."""

    def __init__(self, descriptor: int, *, is_hurried: bool = False, clock: Clock = SYSTEM_CLOCK) -> None:
        """`is_hurried`: the user has asked to stop already, so a stuck reader is not waited for."""
        self._descriptor = descriptor
        self._is_hurried = is_hurried
        self._poller = select.poll()
        self._poller.register(descriptor, select.POLLOUT)
        self._clock = clock
        self._is_lost = not _is_writable(descriptor)
        self.no_room: OSError | None = None
        """Why a file did not take all of it: unlike a reader who left, its owner wants to know."""

    @property
    def is_lost(self) -> bool:
        """Whether nobody can be reached there any more."""
        return self._is_lost

    def write(self, data: bytes) -> None:
        """Deliver all of it, waiting for a slow reader; once a stop was requested, not for long."""
        view = memoryview(data)
        try:
            while view and not self._is_lost:
                if self._wait():
                    view = view[self._write_piece(view) :]
        except OSError as error:
            self._is_lost = True
            if error.errno in _NO_ROOM:
                self.no_room = error

    def _write_piece(self, view: memoryview) -> int:
        try:
            return os.write(self._descriptor, view[:_PIECE_BYTES])
        except BlockingIOError:
            # not ours to block: a child or another program shares the open file and set it so
            return 0

    def _wait(self) -> bool:
        """Until there is room; False when the reader is given up."""
        stuck_since: float | None = None
        while not self._poller.poll(int(_TURN_S * 1000)):
            if not (self._is_hurried or is_stop_requested()):
                continue
            now_s = self._clock.monotonic_s()
            stuck_since = now_s if stuck_since is None else stuck_since
            if now_s - stuck_since >= STUCK_LIMIT_S:
                self._is_lost = True
                return False
        return True


def _is_writable(descriptor: int) -> bool:
    """A descriptor that is only for reading would never become ready, and never fail."""
    import fcntl

    try:
        return fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
    except OSError:
        return False


class TextSink:
    """The same for text; a character that the encoding lacks is spelled out."""

    def __init__(self, sink: OutputSink, *, encoding: str = "utf-8") -> None:
        self._sink = sink
        self._encoding = encoding

    def write(self, text: str) -> int:
        """Deliver the text."""
        self._sink.write(text.encode(self._encoding, "backslashreplace"))
        return len(text)
