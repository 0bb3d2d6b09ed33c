"""The timing rules of waiting for readiness, without a clock.

Owns the defaults, how a contract's timing texts become numbers, which failed attempts count and when
the next attempt is due. Does not wait: `wait` turns the clock.

The rules (decisions D7, D28; runtime specification 11.1, 23):

* probing starts at once; failures inside `start_period` do not count, a success ends the waiting;
* after it, one failed attempt per `interval` counts, and `retries` counted failures exhaust the budget,
  so `retries: 3, interval: 5s` gives a service 15 s whatever else is tried in between;
* between counted attempts extra ones are free: 25, 50, 100, 200 ms … up to the interval. While a
  local port refuses, an attempt costs microseconds and disturbs nobody, so it is repeated faster.
"""

from msgspec import Struct

from ota.contract.durations import render_duration

FIRST_PAUSE_S = 0.025
REFUSED_PAUSE_S = 0.020
"""Pause after a local `refused`: nobody is there who could be disturbed."""
LAST_ATTEMPT_S = 0.100
"""For an attempt that begins at the deadline: one that gets no time at all tells nothing."""


class Timing(Struct, frozen=True, kw_only=True):
    """When to probe, how long one attempt may take, and how many failures are too many."""

    interval_s: float = 0.5
    retries: int = 120
    timeout_s: float = 2.0
    start_period_s: float = 0.0
    limit_s: float | None = None
    """A deadline for the whole wait, however long attempts take; None: `retries` alone decide."""

    def __post_init__(self) -> None:
        if self.interval_s <= 0 or self.timeout_s <= 0 or self.start_period_s < 0 or self.retries < 1:
            raise ValueError(f"a timing must be positive: {self}")

    @property
    def budget_s(self) -> float:
        """How long a service may take when attempts fail at once."""
        return self.start_period_s + self.retries * self.interval_s

    @property
    def longest_s(self) -> float:
        """How long it may take when every attempt lasts as long as it may."""
        longest_s = self.start_period_s + self.retries * max(self.interval_s, self.timeout_s)
        return longest_s if self.limit_s is None else min(longest_s, self.limit_s + LAST_ATTEMPT_S)

    @property
    def text(self) -> str:
        """`120 attempts, interval 500ms, timeout 2s, start period 0ms`."""
        return (
            f"{self.retries} attempt{'' if self.retries == 1 else 's'}, interval {_text(self.interval_s)}, "
            f"timeout {_text(self.timeout_s)}, start period {_text(self.start_period_s)}"
            + (f", {_text(self.limit_s)} in all" if self.limit_s is not None else "")
        )


DEFAULT_TIMING = Timing()


class Pace:
    """Counts attempts and says when the next one is due. Times are seconds of any one clock."""

    def __init__(self, timing: Timing, started_at: float) -> None:
        self.timing = timing
        self.started_at = started_at
        self.probed = 0
        """Every attempt."""
        self.counted = 0
        """Failed attempts that count against `retries`."""
        self.next_at = started_at
        self._next_count_at = started_at + timing.start_period_s + timing.interval_s
        self._pause_s = FIRST_PAUSE_S
        self._ends_at = float("inf") if timing.limit_s is None else started_at + timing.limit_s
        self._is_late = False

    @property
    def is_exhausted(self) -> bool:
        return self._is_late or self.counted >= self.timing.retries

    def attempt_limit_s(self, now: float, timeout_s: float) -> float:
        """How long an attempt that begins now may take: the deadline of the wait is one for each of them."""
        return min(timeout_s, max(LAST_ATTEMPT_S, self._ends_at - now))

    def record_failure(
        self, *, began_at: float, now: float, refused_locally: bool = False, got_farther: bool = False
    ) -> bool:
        """Book a failed attempt; whether it counted.

        `got_farther`: the attempt reached a rung no earlier one had, so the service is changing and
        the fast polling starts again.
        """
        self.probed += 1
        # An attempt counts for the end of the interval that it lasted to, so that a slow extra one
        # takes the place of the counted one it delayed.
        counts = now >= self._next_count_at and began_at >= self.started_at + self.timing.start_period_s
        if counts:
            self.counted += 1
            self._next_count_at = max(self._next_count_at, began_at) + self.timing.interval_s
        pause_s = self._next_pause_s(refused_locally, got_farther)
        self.next_at = max(now, min(began_at + pause_s, self._grid(now), self._ends_at))
        self._is_late = now >= self._ends_at
        return counts

    def record_success(self) -> None:
        self.probed += 1

    def limit_s(self, now: float) -> float:
        """The whole wait as it looks now: longer than the budget when attempts outlast the interval."""
        rest_s = max(0, self.timing.retries - self.counted) * self.timing.interval_s
        whole_s = max(self.timing.budget_s, now - self.started_at + rest_s if self.counted else 0.0)
        return whole_s if self.timing.limit_s is None else min(whole_s, self.timing.limit_s)

    def _grid(self, now: float) -> float:
        # A counted attempt is never later than its place in the grid, or the budget would stretch.
        return max(now, self._next_count_at)

    def _next_pause_s(self, refused_locally: bool, got_farther: bool) -> float:
        if refused_locally:
            return min(REFUSED_PAUSE_S, self.timing.interval_s)
        if got_farther:
            self._pause_s = FIRST_PAUSE_S
        pause_s = min(self._pause_s, self.timing.interval_s)
        self._pause_s *= 2
        return pause_s


def _text(seconds: float) -> str:
    return render_duration(round(seconds * 1000))
