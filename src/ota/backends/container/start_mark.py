"""Where an engine's own words end and the body's output begins, and what the body's shell tells ota.

The body's shell writes a mark to both its streams before anything else. What arrives before it was said by
the engine (Docker says on standard output why an `exec` failed): nothing of the body ran, so another attempt
is safe, and the user need not read it. After the mark every byte passes unchanged, except further marks.

Source: runtime specification 6.2, 12.2, 25.4; doctor specification 6 (start marker).
"""

from typing import Literal, Protocol

# Nothing of ota's is imported: the small process that keeps what is left running looks for marks too.
Stream = Literal["stdout", "stderr"]
_HELD_LIMIT = 64 * 1024


class Spelling(Protocol):
    """How the marks of one body are written."""

    @property
    def prefix(self) -> bytes:
        """How every mark begins."""
        ...

    @property
    def end(self) -> bytes:
        """How every mark ends."""
        ...


class StartMark:
    """Filters the output of one attached process."""

    def __init__(self, marks: Spelling | None) -> None:
        self._marks = marks
        self._said: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._held: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._passing: set[Stream] = {"stdout", "stderr"} if marks is None else set()
        self.saw_oom_kill = False
        """Whether the body's shell saw the kernel kill a process for want of memory."""
        self.is_proven = False
        """Whether the body's shell saw that the container is the one that is meant."""
        self.left: tuple[int, ...] = ()
        """Pids inside the container of what the body started and its shell saw running after it."""

    @property
    def is_started(self) -> bool:
        """Whether the body's shell has begun; true from the first when it writes no marks."""
        return bool(self._passing)

    @property
    def said(self) -> str:
        """What the engine said before the body began, or without its ever beginning."""
        parts = (bytes(self._said[stream] + self._held[stream]) for stream in ("stderr", "stdout"))
        texts = (part.decode("utf-8", "replace").strip() for part in parts if self._marks is not None)
        return "\n".join(filter(None, texts))

    def filter(self, stream: Stream, data: bytes) -> bytes:
        """What of `data` is the body's."""
        marks = self._marks
        if marks is None or (stream == "stdout" and stream in self._passing):
            return data
        passed = bytearray()
        self._held[stream] += data
        while self._take_mark(stream, marks, passed):
            pass
        if stream not in self._passing and len(self._said[stream]) > _HELD_LIMIT:
            self._passing.add(stream)  # no engine talks that much
            passed[:0], self._said[stream] = self._said[stream], bytearray()
        return bytes(passed)

    def finish(self) -> bytes:
        """Standard error is over: what was held back because it might have become a mark."""
        if "stderr" not in self._passing:
            return b""
        held, self._held["stderr"] = bytes(self._held["stderr"]), bytearray()
        return held

    def _take_mark(self, stream: Stream, marks: Spelling, passed: bytearray) -> bool:
        """Heed the next mark, with what comes before it out of the way; False when none is complete."""
        held = self._held[stream]
        before, found, after = held.partition(marks.prefix)
        if not found:
            ready = len(held) - _partial(held, marks.prefix)
            self._emit(stream, held[:ready], passed)
            del held[:ready]
            return False
        self._emit(stream, before, passed)
        text, ended, rest = after.partition(marks.end)
        if not ended:
            self._held[stream] = found + after
            return False
        self._heed(stream, bytes(text))
        if stream == "stdout":  # the only mark there: from now on it is looked at no more
            self._emit(stream, rest, passed)
            rest = bytearray()
        self._held[stream] = rest
        return bool(rest)

    def _heed(self, stream: Stream, mark: bytes) -> None:
        if mark == b"start":
            self._passing.add(stream)
        elif mark == b"proven":
            self.is_proven = True
        elif mark == b"oom":
            self.saw_oom_kill = True
        elif mark.startswith(b"left "):
            self.left = tuple(int(word) for word in mark.split()[1:] if word.isdigit())

    def _emit(self, stream: Stream, data: bytearray, passed: bytearray) -> None:
        if stream in self._passing:
            passed += data
        else:
            self._said[stream] += data


def _partial(data: bytearray, prefix: bytes) -> int:
    """How many last bytes may be the beginning of a mark."""
    for length in range(min(len(prefix) - 1, len(data)), 0, -1):
        if data.endswith(prefix[:length]):
            return length
    return 0
