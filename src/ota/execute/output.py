"""Child output on its way: masked first, then to the logs, the excerpt and the display.

Bytes pass unaltered apart from secrets, and at once.

Source: runtime specification 20.1; decision D14; json-and-receipts 3.13 (bounded tail).
"""

from collections import deque
from typing import Literal, Protocol

from ota.env.masking import Masker
from ota.execute.logs import LogFiles
from ota.execute.stream import EventStream

Stream = Literal["stdout", "stderr"]
KEPT_BYTES = 256 * 1024


class Excerpt:
    """The last output of one step, bounded, with the count of what there was in all."""

    def __init__(self) -> None:
        self._chunks: deque[tuple[Stream, bytes]] = deque()
        self._kept_bytes = 0
        self._newlines = 0
        self._ends_open = False

    def add(self, stream: Stream, data: bytes) -> None:
        """Keep the newest; drop the oldest beyond the limit."""
        self._newlines += data.count(b"\n")
        self._ends_open = not data.endswith(b"\n")
        if len(data) > KEPT_BYTES:
            data = data[-KEPT_BYTES:]
        self._chunks.append((stream, data))
        self._kept_bytes += len(data)
        while self._kept_bytes > KEPT_BYTES and len(self._chunks) > 1:
            self._kept_bytes -= len(self._chunks.popleft()[1])

    @property
    def line_count(self) -> int:
        """How many lines were printed in all."""
        return self._newlines + (1 if self._ends_open else 0)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was printed."""
        return not self._chunks

    def lines(self, limit: int) -> list[str]:
        """The last lines of both streams in the order they came."""
        return self._text(None).splitlines()[-limit:]

    def tail(self, stream: Stream) -> str:
        """What is kept of one stream."""
        return self._text(stream)

    def _text(self, wanted: Stream | None) -> str:
        data = b"".join(data for stream, data in self._chunks if wanted in (None, stream))
        return data.decode("utf-8", "replace")


class Gate(Protocol):
    """Tells the body's output from that of whoever starts it."""

    def filter(self, stream: Stream, data: bytes) -> bytes:
        """What of `data` is the body's."""
        ...

    def finish(self) -> bytes:
        """What was held back on standard error."""
        ...


class StepOutput:
    """The output of one step, from the child's bytes to everyone who keeps or shows them."""

    def __init__(
        self, step: str, task: str, *, masker: Masker, stream: EventStream, logs: LogFiles | None
    ) -> None:
        self.excerpt = Excerpt()
        self.has_printed = False
        """Ever."""
        self.is_fresh = False
        """Since somebody last looked, and set it back."""
        self.gate: Gate | None = None
        """What of the child's bytes the body printed, where somebody else speaks as well."""
        self._step = step
        self._task = task
        self._stream = stream
        self._logs = logs
        self._filters = {"stdout": masker.stream(), "stderr": masker.stream()} if masker else None

    def learn(self, masker: Masker) -> None:
        """From here on these secrets are masked too, also in what was held back until now."""
        if self._filters is None:
            self._filters = {"stdout": masker.stream(), "stderr": masker.stream()} if masker else None
        for held in (self._filters or {}).values():
            held.learn(masker)

    @property
    def is_filtered(self) -> bool:
        """Whether bytes may be held back, so that `idle` must be called in quiet moments."""
        return self._filters is not None

    def chunk(self, stream: Stream, data: bytes) -> None:
        """Bytes the child wrote."""
        if self.gate is not None:
            data = self.gate.filter(stream, data)
            if not data:
                return
        self._take(stream, data)

    def _take(self, stream: Stream, data: bytes) -> None:
        self.has_printed = self.is_fresh = True
        self._deliver(stream, self._filters[stream].feed(data) if self._filters else data)

    def idle(self) -> None:
        """Nothing came for a while: show the tail of a prompt."""
        for stream, held in (self._filters or {}).items():
            self._deliver(stream, held.idle())  # type: ignore[arg-type]  # the keys are streams

    def finish(self) -> None:
        """No more will come."""
        if self.gate is not None:
            gate, self.gate = self.gate, None
            if rest := gate.finish():
                self._take("stderr", rest)
        self._flush()

    def _flush(self) -> None:
        for stream, held in (self._filters or {}).items():
            self._deliver(stream, held.flush())  # type: ignore[arg-type]  # the keys are streams

    def _deliver(self, stream: Stream, data: bytes) -> None:
        if not data:
            return
        if self._logs is not None:
            self._logs.write(stream, data)
        self.excerpt.add(stream, data)
        self._stream.output(self._step, self._task, stream, data)
