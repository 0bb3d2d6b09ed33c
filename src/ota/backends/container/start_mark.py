"""Where an engine's own words end and the body's output begins, and what the body's shell tells ota.

The body's shell writes a mark to stderr before anything else. What arrives before it was said by the
engine's command line: nothing of the body ran, so another attempt is safe, and the user need not read it.
After the mark every byte passes unchanged, except further marks.

Source: runtime specification 6.2, 12.2, 25.4; doctor specification 6 (start marker).
"""

from ota.backends.container.body import Marks
from ota.system.spawn import Stream

_HELD_LIMIT = 64 * 1024


class StartMark:
    """Filters the output of one attached process."""

    def __init__(self, marks: Marks | None) -> None:
        self._marks = marks
        self._held = bytearray()
        self._said = bytearray()
        self.is_started = marks is None
        """Whether the body's shell has begun; true from the first when it writes no marks."""
        self.saw_oom_kill = False
        """Whether the body's shell saw the kernel kill a process for want of memory."""

    def filter(self, stream: Stream, data: bytes) -> bytes:
        """What of `data` is the body's."""
        # The engine's command line says nothing on standard output.
        if self._marks is None or stream == "stdout":
            return data
        self._held += data
        passed = bytearray()
        while (mark := self._next_mark(self._marks, passed)) is not None:
            self._heed(mark)
        if not self.is_started and len(self._said) > _HELD_LIMIT:
            # no engine talks that much
            self.is_started = True
            passed[:0], self._said = self._said, bytearray()
        return bytes(passed)

    def finish(self) -> bytes:
        """The output is over: what was held back because it might have become a mark."""
        held, self._held = bytes(self._held), bytearray()
        if self.is_started:
            return held
        self._said += held
        return b""

    def _next_mark(self, marks: Marks, passed: bytearray) -> bytes | None:
        """Move what comes before the next mark out of the way; its text, or None when none is complete."""
        before, found, after = self._held.partition(marks.prefix)
        if not found:
            kept = _partial(self._held, marks.prefix)
            self._emit(self._held[: len(self._held) - kept], passed)
            del self._held[: len(self._held) - kept]
            return None
        text, ended, rest = after.partition(marks.end)
        self._emit(before, passed)
        if not ended:
            self._held = found + after
            return None
        self._held = rest
        return bytes(text)

    def _emit(self, data: bytearray, passed: bytearray) -> None:
        if self.is_started:
            passed += data
        else:
            self._said += data

    def _heed(self, mark: bytes) -> None:
        if mark == b"start":
            self.is_started = True
        elif mark == b"oom":
            self.saw_oom_kill = True

    @property
    def said(self) -> str:
        """What the engine said before the body began, or without its ever beginning."""
        return self._said.decode("utf-8", "replace").strip()


def _partial(data: bytearray, prefix: bytes) -> int:
    """How many last bytes may be the beginning of a mark."""
    for length in range(min(len(prefix) - 1, len(data)), 0, -1):
        if data.endswith(prefix[:length]):
            return length
    return 0
