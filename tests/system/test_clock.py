"""Clocks: durations never jump, stamps are RFC 3339; the real and the fake one behave alike."""

import threading

import pytest

from ota.system.clock import (
    Clock,
    Deadline,
    FakeClock,
    SystemClock,
    compact_utc,
    now_utc,
    seconds_since,
)


@pytest.fixture(params=[SystemClock, FakeClock])
def clock(request: pytest.FixtureRequest) -> Clock:
    made: Clock = request.param()
    return made


def test_sleeping_moves_the_monotonic_clock(clock: Clock) -> None:
    before = clock.monotonic_s()
    clock.sleep(0.002)
    clock.sleep(0.003)
    clock.sleep(-1)
    assert clock.monotonic_s() - before >= 0.004


def test_waiting_ends_with_the_event_or_the_limit(clock: Clock) -> None:
    event = threading.Event()
    assert not clock.wait(event, 0.001)
    event.set()
    assert clock.wait(event, 1000)


def test_a_deadline_is_over_when_its_time_has_passed(clock: Clock) -> None:
    deadline = Deadline.after(clock, 0.002)
    assert not deadline.is_over(clock)
    clock.sleep(deadline.remaining_s(clock) + 0.001)
    assert deadline.is_over(clock)
    assert deadline.remaining_s(clock) == 0.0


def test_a_jumping_wall_clock_changes_no_duration() -> None:
    clock = FakeClock()
    deadline = Deadline.after(clock, 10)
    clock.jump_wall(-86400)
    clock.advance(4)
    assert deadline.remaining_s(clock) == 6


def test_stamps_are_utc_with_milliseconds() -> None:
    clock = FakeClock(wall_s=1_750_000_000.25)
    assert now_utc(clock) == "2025-06-15T15:06:40.250Z"
    assert compact_utc(clock) == "20250615T150640Z"


def test_a_stamp_tells_how_long_ago_it_was_made() -> None:
    clock = FakeClock()
    stamp = now_utc(clock)
    clock.advance(12.5)
    assert seconds_since(stamp, clock) == pytest.approx(12.5)
    assert seconds_since("2025-06-15T15:06:40Z", clock) == pytest.approx(12.5)
    assert seconds_since("yesterday", clock) is None
