"""The event stream of one run: every event in order, and a live display that sees it happen."""

from threading import RLock
from typing import Literal

from ota.execute.events import Display, Event


class EventStream:
    """Records and forwards; callable from any thread, one call at a time reaches the display."""

    def __init__(self, display: Display) -> None:
        self.events: list[Event] = []
        self._display = display
        self._lock = RLock()

    def emit(self, event: Event) -> None:
        """A fact was established."""
        with self._lock:
            self.events.append(event)
            self._display.event(event)

    def output(self, step: str, task: str, stream: Literal["stdout", "stderr"], data: bytes) -> None:
        """Child output on its way to the display."""
        with self._lock:
            self._display.output(step, task, stream, data)
