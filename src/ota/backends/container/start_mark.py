"""Where an engine's own words end and the body's output begins.

The body's shell writes a mark to stderr before anything else. What arrives before it was said by the
engine's command line: nothing of the body ran, so another attempt is safe, and the user need not read it.
After the mark every byte passes unchanged.

Source: runtime specification 6.2, 25.4; doctor specification 6 (start marker).
"""

from ota.system.spawn import Stream

_HELD_LIMIT = 64 * 1024


class StartMark:
    """Filters the output of one attached process."""

    def __init__(self, mark: bytes) -> None:
        self._mark = mark
        self._held = bytearray()
        self.is_started = not mark
        """Whether the body's shell has begun."""

    def filter(self, stream: Stream, data: bytes) -> bytes:
        """What of `data` is the body's."""
        if self.is_started or not data:
            return data
        # Standard output before the mark can be the body's, when the two streams overtake each other; the
        # engine says nothing there.
        if stream == "stdout":
            return data
        self._held += data
        before, found, after = self._held.partition(self._mark)
        if found:
            self.is_started = True
            self._held = before
            return bytes(after)
        if len(self._held) > _HELD_LIMIT:  # no engine talks that much: a shell without the mark does
            self.is_started = True
            held, self._held = bytes(self._held), bytearray()
            return held
        return b""

    @property
    def said(self) -> str:
        """What the engine said before the mark, or without one."""
        return self._held.decode("utf-8", "replace").strip()
