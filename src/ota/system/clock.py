"""The only reader of clocks: durations from the monotonic clock, stamps from the wall clock.

Every wait in ota takes a `Clock`, so that a test can turn time and a jumping wall clock never
changes a duration. It does not decide how long to wait: limits belong to whoever waits.

Source: runtime specification 23 (numbers), 27 (injectable time).
"""

import time
from typing import Protocol

from msgspec import Struct


class Waitable(Protocol):
    """What `threading.Event` offers, without importing `threading`."""

    def is_set(self) -> bool:
        """Whether it happened."""
        ...

    def wait(self, timeout: float | None = None, /) -> bool:
        """Block until it happened or the time is up; whether it happened."""
        ...


class Clock(Protocol):
    """Time as ota sees it."""

    def monotonic_s(self) -> float:
        """Seconds since some fixed moment; never jumps."""
        ...

    def wall_s(self) -> float:
        """Seconds since 1970, UTC; may jump."""
        ...

    def sleep(self, duration_s: float) -> None:
        """Let `duration_s` seconds pass."""
        ...

    def wait(self, event: Waitable, limit_s: float) -> bool:
        """Wait at most `limit_s` seconds for `event`; whether it happened."""
        ...


class SystemClock:
    """The clock of the machine."""

    def monotonic_s(self) -> float:
        return time.monotonic()

    def wall_s(self) -> float:
        return time.time()

    def sleep(self, duration_s: float) -> None:
        if duration_s > 0:
            time.sleep(duration_s)

    def wait(self, event: Waitable, limit_s: float) -> bool:
        return event.wait(max(0.0, limit_s))


SYSTEM_CLOCK = SystemClock()


class FakeClock:
    """A clock that moves only when it is told to, or when someone sleeps on it."""

    def __init__(self, monotonic_s: float = 1000.0, wall_s: float = 1_750_000_000.0) -> None:
        self._monotonic_s = monotonic_s
        self._wall_s = wall_s
        self.sleeps: list[float] = []

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def wall_s(self) -> float:
        return self._wall_s

    def advance(self, duration_s: float) -> None:
        """Both clocks move on."""
        self._monotonic_s += duration_s
        self._wall_s += duration_s

    def jump_wall(self, offset_s: float) -> None:
        """Someone sets the wall clock; the monotonic one does not notice."""
        self._wall_s += offset_s

    def sleep(self, duration_s: float) -> None:
        self.sleeps.append(duration_s)
        self.advance(max(0.0, duration_s))

    def wait(self, event: Waitable, limit_s: float) -> bool:
        if not event.is_set():
            self.sleep(limit_s)
        return event.is_set()


class Deadline(Struct, frozen=True, kw_only=True):
    """A moment on the monotonic clock after which nobody waits any more."""

    at_s: float

    @staticmethod
    def after(clock: Clock, limit_s: float) -> "Deadline":
        """The deadline `limit_s` seconds from now."""
        return Deadline(at_s=clock.monotonic_s() + limit_s)

    def remaining_s(self, clock: Clock) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at_s - clock.monotonic_s())

    def is_over(self, clock: Clock) -> bool:
        """Whether the time is up."""
        return clock.monotonic_s() >= self.at_s


def now_utc(clock: Clock = SYSTEM_CLOCK) -> str:
    """The wall clock as RFC 3339 in UTC with milliseconds: `2025-06-15T15:06:40.000Z`."""
    return utc_stamp(int(clock.wall_s() * 1000))


def utc_stamp(milliseconds: int) -> str:
    """Milliseconds since the epoch as `now_utc` writes them."""
    return f"{utc_text(milliseconds, '%Y-%m-%dT%H:%M:%S')}.{milliseconds % 1000:03d}Z"


def seconds_since(stamp: str, clock: Clock = SYSTEM_CLOCK) -> float | None:
    """How long ago a stamp of `now_utc`, or one without milliseconds, was made; None: it is no stamp.

    By the wall clock, so it may be wrong by as much as somebody set that clock meanwhile.
    """
    from calendar import timegm

    moment, _, fraction = stamp.removesuffix("Z").partition(".")
    try:
        seconds = timegm(time.strptime(moment, "%Y-%m-%dT%H:%M:%S")) + float(f"0.{fraction or 0}")
    except ValueError:
        return None
    return clock.wall_s() - seconds


def compact_utc(clock: Clock = SYSTEM_CLOCK) -> str:
    """The wall clock as it opens a run id: `20250615T150640Z`."""
    return utc_text(int(clock.wall_s() * 1000), "%Y%m%dT%H%M%SZ")


def utc_text(milliseconds: int, form: str) -> str:
    return time.strftime(form, time.gmtime(milliseconds // 1000))
