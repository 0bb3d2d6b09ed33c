"""INT, TERM, HUP and QUIT as facts to look at, not as things that happen to ota.

While installed, ota never dies on them. Handlers only count and wake; whoever runs a step
compares the epoch before and after it. What an interrupt means for a run is decided elsewhere.

Source: runtime specification 12.3, 20.3, 26.
"""

import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Self

from msgspec import Struct

STOP_SIGNALS: tuple[int, ...] = tuple(
    int(getattr(signal, name)) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)
)
_installed: "list[Interrupts]" = []
_RESIZE = getattr(signal, "SIGWINCH", None)


class Interrupt(Struct, frozen=True, kw_only=True):
    """That the user, or a supervisor, asked ota to stop."""

    number: int
    """The latest signal."""
    count: int
    """How many since the epoch asked about: a second one means hurry. With 0, none reached ota itself."""

    @property
    def exit_code(self) -> int:
        """128 plus the signal."""
        return 128 + self.number


class Interrupts:
    """Counts stop signals while its `with` block lasts; handlers go in only from the main thread.

    In another thread nothing is installed and the epoch stays where it is: the main thread of
    the process owns signals.
    """

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._wakers: list[Callable[[], None]] = []
        self._previous: dict[int, object] = {}
        self._previous_wakeup = -1
        self._read_end = -1
        self._write_end = -1

    def __enter__(self) -> Self:
        read_end, write_end = os.pipe()
        os.set_blocking(read_end, False)
        os.set_blocking(write_end, False)
        try:
            # Python's handlers run in the main thread only, while the kernel may deliver to any:
            # this descriptor is what interrupts a poll of the main thread in every case.
            self._previous_wakeup = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        except ValueError:  # not the main thread
            os.close(read_end)
            os.close(write_end)
            return self
        self._read_end, self._write_end = read_end, write_end
        _installed.append(self)
        for number in STOP_SIGNALS:
            # who started ota deaf to a signal (`nohup`, a background job of a script) meant it
            if signal.getsignal(number) != signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._note)
        if _RESIZE is not None:
            self._previous[_RESIZE] = signal.signal(_RESIZE, self._wake_all)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            # None: somebody in C installed it; Python cannot put that back
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)  # type: ignore[arg-type]
        if self._read_end >= 0:
            _installed.remove(self)
            signal.set_wakeup_fd(self._previous_wakeup)
            os.close(self._read_end)
            os.close(self._write_end)
        self._previous.clear()
        self._read_end = self._write_end = -1

    @property
    def is_installed(self) -> bool:
        """Whether signals are being counted."""
        return self._read_end >= 0

    def fileno(self) -> int:
        """Readable after a signal; -1 when not installed. `drain` empties it."""
        return self._read_end

    def epoch(self) -> int:
        """How many stop signals came so far."""
        return len(self._numbers)

    def since(self, epoch: int) -> Interrupt | None:
        """What came after `epoch`; None when nothing did."""
        count = len(self._numbers) - epoch
        return Interrupt(number=self._numbers[-1], count=count) if count > 0 else None

    def request(self, number: int) -> None:
        """Count a stop that no signal asked for: everything that runs is to end. From any thread."""
        self._note(number, None)

    def drain(self) -> None:
        """Forget that the descriptor was readable."""
        if self._read_end < 0:
            return
        with suppress(BlockingIOError):
            while os.read(self._read_end, 4096):
                pass

    def wait(self, limit_s: float) -> bool:
        """Wait for any signal; whether one came. For a main thread that has nothing else to watch."""
        if self._read_end < 0:
            return False
        poller = select.poll()
        poller.register(self._read_end, select.POLLIN)
        came = bool(poller.poll(max(0, int(limit_s * 1000))))
        self.drain()
        return came

    @contextmanager
    def waking(self, waker: Callable[[], None]) -> Iterator[None]:
        """Call `waker` on every signal: for a loop that runs in another thread. It must not block."""
        self._wakers.append(waker)
        try:
            yield
        finally:
            self._wakers.remove(waker)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._numbers.append(number)
        self._wake_all(number, frame)

    def _wake_all(self, _number: int, _frame: FrameType | None) -> None:
        for waker in tuple(self._wakers):
            waker()


def is_stop_requested() -> bool:
    """Whether this process was asked to stop and is about to: nothing is worth a long wait any more."""
    return any(each.epoch() > 0 for each in _installed)
