"""One line that lives while something is going on, on a terminal that can move its cursor.

It appears only after a moment of silence, and whoever writes a line clears it first.

Source: commands specification 1.11; runtime specification 20.1.
"""

import threading
from collections.abc import Callable

SILENCE_S = 0.120
FRAME_S = 0.160
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_CLEAR = "\r\x1b[K"


class Spinner:
    """Draws through `write` from a thread of its own, between `start` and `stop`."""

    def __init__(self, write: Callable[[str], object], label: str, *, width: int) -> None:
        self._write = write
        self._label = label
        self._width = width
        self._doing = ""
        self._is_drawn = False
        self._frame = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; harmless when it has begun."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="spinner", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End and leave no trace; harmless when done twice."""
        self._stopped.set()
        self.clear()

    def doing(self, text: str) -> None:
        """What is going on right now."""
        with self._lock:
            self._doing = text

    def clear(self) -> None:
        """Make room for a line; it comes back after the next silence."""
        with self._lock:
            if self._is_drawn:
                self._write(_CLEAR)
                self._is_drawn = False

    def _run(self) -> None:
        if self._stopped.wait(SILENCE_S):
            return
        while True:
            self._draw()
            if self._stopped.wait(FRAME_S):
                return

    def _draw(self) -> None:
        with self._lock:
            if self._stopped.is_set():
                return
            self._frame = (self._frame + 1) % len(_FRAMES)
            text = f"{_FRAMES[self._frame]} {self._label}"
            if self._doing:
                text += f" {self._doing}"
            self._write(_CLEAR + text[: max(20, self._width - 1)])
            self._is_drawn = True
