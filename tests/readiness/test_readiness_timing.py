"""Timing rules and the waiting loop on a clock that the test turns."""

import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ota.readiness.results import ProbeResult
from ota.readiness.timing import DEFAULT_TIMING, Pace, Timing
from ota.readiness.wait import (
    Attempt,
    Exhausted,
    Gate,
    ReadinessWatch,
    Ready,
    Stopped,
    StopReason,
    Waiting,
    not_ready_finding,
    wait_ready,
)
from ota.system.clock import FakeClock
from ota.system.sockets import AttemptDeadline

REFUSED = ProbeResult(
    ok=False, reached="nothing", cause="refused", detail="refused", elapsed_ms=0, is_local=True
)
BUSY = ProbeResult(
    ok=False, reached="answer", cause="status", detail="status 503 (expected 200)", elapsed_ms=1, status=503
)
GOOD = ProbeResult(ok=True, reached="content", cause="ok", detail="status 200", elapsed_ms=1, status=200)
INTERRUPTED = StopReason(kind="interrupted")


class ScriptedProbe:
    """Answers as its script says at the clock's time; an attempt may take time."""

    target = "http 127.0.0.1:8080/health"
    timeout_s = 2.0

    def __init__(self, clock: FakeClock, script: Callable[[float], ProbeResult], takes_s: float = 0) -> None:
        self._clock = clock
        self._script = script
        self._takes_s = takes_s
        self._began = clock.monotonic_s()
        self.times: list[float] = []

    def attempt(self, deadline: AttemptDeadline | None = None) -> ProbeResult:
        at = self._clock.monotonic_s() - self._began
        self.times.append(round(at, 3))
        self._clock.advance(self._takes_s)
        return self._script(at)


def ready_after(seconds: float, before: ProbeResult = BUSY) -> Callable[[float], ProbeResult]:
    return lambda at: GOOD if at >= seconds else before


def wait(probe: ScriptedProbe, clock: FakeClock, timing: Timing = DEFAULT_TIMING, **more: object):
    return wait_ready([Gate(name="http", probe=probe)], timing, clock=clock, **more)


def test_the_defaults_are_500_ms_120_retries_2_s_and_no_start_period() -> None:
    assert Timing(interval_s=0.5, retries=120, timeout_s=2.0, start_period_s=0.0) == DEFAULT_TIMING
    assert DEFAULT_TIMING.budget_s == 60


@pytest.mark.proves("S003-76")
def test_polling_is_fast_first_up_to_the_interval() -> None:
    clock = FakeClock()
    probe = ScriptedProbe(clock, ready_after(2.4))
    outcome = wait(probe, clock)
    assert isinstance(outcome, Ready)
    # 25, 50, 100, 200 ms, then a counted attempt every 500 ms.
    assert probe.times[:4] == [0, 0.025, 0.075, 0.175]
    gaps = [round(b - a, 3) for a, b in zip(probe.times, probe.times[1:], strict=False)]
    assert max(gaps) <= 0.5
    assert outcome.elapsed_s < 2.4 + 0.5


def test_a_local_refusal_is_polled_fast_all_the_time() -> None:
    clock = FakeClock()
    probe = ScriptedProbe(clock, ready_after(7.003, REFUSED))
    outcome = wait(probe, clock)
    assert isinstance(outcome, Ready)
    assert outcome.elapsed_s - 7.003 <= 0.025


def test_polling_is_fast_again_once_a_refusing_service_answers() -> None:
    clock = FakeClock()
    probe = ScriptedProbe(clock, lambda at: REFUSED if at < 5 else BUSY if at < 5.06 else GOOD)
    outcome = wait(probe, clock)
    assert isinstance(outcome, Ready)
    assert outcome.elapsed_s < 5.2


def test_extra_attempts_do_not_use_up_the_retries() -> None:
    clock = FakeClock()
    probe = ScriptedProbe(clock, ready_after(1e9))
    outcome = wait(probe, clock, Timing(interval_s=5, retries=3))
    assert isinstance(outcome, Exhausted)
    assert outcome.attempts == 3
    assert outcome.probes > 3
    assert outcome.elapsed_s == pytest.approx(15, abs=0.1)


def test_failures_inside_the_start_period_do_not_count() -> None:
    clock = FakeClock()
    outcome = wait(ScriptedProbe(clock, ready_after(1e9)), clock, Timing(retries=1, start_period_s=10))
    assert isinstance(outcome, Exhausted)
    assert outcome.elapsed_s == pytest.approx(10.5, abs=0.1)


def test_an_attempt_that_began_inside_the_start_period_does_not_count_when_it_fails_after_it() -> None:
    clock = FakeClock()
    probe = ScriptedProbe(clock, ready_after(1e9), takes_s=2)
    outcome = wait(probe, clock, Timing(interval_s=0.5, retries=1, start_period_s=1))
    assert isinstance(outcome, Exhausted)
    assert outcome.elapsed_s == pytest.approx(4)


def test_a_success_inside_the_start_period_ends_the_waiting() -> None:
    clock = FakeClock()
    outcome = wait(ScriptedProbe(clock, ready_after(1)), clock, Timing(start_period_s=60))
    assert isinstance(outcome, Ready)
    assert outcome.attempts == 0
    assert outcome.elapsed_s < 1.6


def test_probing_starts_at_once_also_with_a_start_period() -> None:
    clock = FakeClock()
    probe = ScriptedProbe(clock, ready_after(0))
    outcome = wait(probe, clock, Timing(start_period_s=60))
    assert isinstance(outcome, Ready)
    assert outcome.elapsed_s == 0


def test_slow_attempts_follow_one_another_and_each_counts_once() -> None:
    clock = FakeClock()
    probe = ScriptedProbe(clock, ready_after(1e9), takes_s=2)
    outcome = wait(probe, clock, Timing(interval_s=0.5, retries=3))
    assert isinstance(outcome, Exhausted)
    assert outcome.elapsed_s == pytest.approx(6)


@given(
    interval_s=st.floats(0.01, 30),
    retries=st.integers(1, 30),
    start_s=st.floats(0, 60),
    takes_s=st.floats(0, 3),
    refuses=st.booleans(),
)
def test_every_waiting_ends_within_its_budget_and_the_time_its_attempts_took(
    interval_s: float, retries: int, start_s: float, takes_s: float, refuses: bool
) -> None:
    timing = Timing(interval_s=interval_s, retries=retries, start_period_s=start_s)
    pace = Pace(timing, 0.0)
    now = 0.0
    while not pace.is_exhausted:
        now = max(now, pace.next_at)
        began = now
        now += takes_s
        pace.record_failure(began_at=began, now=now, refused_locally=refuses)
        assert pace.next_at - began <= max(interval_s, takes_s) + 1e-9
        assert pace.probed < 100_000
    assert now >= timing.budget_s - 1e-6
    assert now <= start_s + retries * max(interval_s, takes_s) + 2 * takes_s + 1e-6
    assert pace.counted == retries


def test_the_last_three_results_are_kept() -> None:
    clock = FakeClock()
    seen: list[Attempt] = []
    outcome = wait(ScriptedProbe(clock, ready_after(1e9)), clock, Timing(retries=2), on_attempt=seen.append)
    assert isinstance(outcome, Exhausted)
    assert list(outcome.last) == seen[-3:]
    assert [attempt.number for attempt in seen] == list(range(1, outcome.probes + 1))


def test_every_gate_must_pass_in_one_round() -> None:
    clock = FakeClock()
    first = ScriptedProbe(clock, ready_after(0))
    signal = ScriptedProbe(clock, ready_after(1))
    outcome = wait_ready([Gate(name="http", probe=first), Gate(name="migrated", probe=signal)], clock=clock)
    assert isinstance(outcome, Ready)
    assert outcome.elapsed_s >= 1
    assert {attempt.gate.name for attempt in outcome.last} == {"http", "migrated"}


def test_the_waiting_says_what_it_waits_for() -> None:
    clock = FakeClock()
    gate = Gate(name="http", probe=ScriptedProbe(clock, ready_after(9)))
    waiting = Waiting([gate], DEFAULT_TIMING, 0.0)
    assert waiting.text("api", 0.0) == "api waits for http (http 127.0.0.1:8080/health, 0 ms of 60 s)"
    waiting.failed(gate, BUSY, 0.0, 0.1)
    assert waiting.text("api", 4.0) == (
        "api waits for http (http 127.0.0.1:8080/health, status 503 (expected 200), 4 s of 60 s)"
    )


def test_a_process_that_ends_stops_the_waiting_at_once() -> None:
    clock = FakeClock()
    began = clock.monotonic_s()
    reason = StopReason(kind="process_exited", exit_code=3)
    outcome = wait(
        ScriptedProbe(clock, ready_after(1e9)),
        clock,
        stop=lambda: reason if clock.monotonic_s() - began > 2 else None,
    )
    assert isinstance(outcome, Stopped)
    assert outcome.reason.exit_code == 3
    assert outcome.elapsed_s < 2.1


def test_an_answer_after_the_process_ended_is_not_readiness() -> None:
    clock = FakeClock()
    ended = threading.Event()

    def stranger(_at: float) -> ProbeResult:
        ended.set()
        return GOOD

    outcome = wait(
        ScriptedProbe(clock, stranger),
        clock,
        stop=lambda: StopReason(kind="process_exited", exit_code=1) if ended.is_set() else None,
    )
    assert isinstance(outcome, Stopped)


def test_ready_just_before_an_interruption_is_not_lost() -> None:
    clock = FakeClock()
    began = clock.monotonic_s()
    probe = ScriptedProbe(clock, ready_after(3.1, BUSY))
    outcome = wait(probe, clock, stop=lambda: INTERRUPTED if clock.monotonic_s() - began >= 3 else None)
    assert isinstance(outcome, Ready)


def test_the_grace_after_an_interruption_is_300_ms_of_probing_every_30_ms() -> None:
    clock = FakeClock()
    began = clock.monotonic_s()
    probe = ScriptedProbe(clock, ready_after(1e9))
    outcome = wait(probe, clock, stop=lambda: INTERRUPTED if clock.monotonic_s() - began >= 3 else None)
    assert isinstance(outcome, Stopped)
    assert outcome.elapsed_s == pytest.approx(3.3, abs=0.04)
    assert len([at for at in probe.times if at >= 3]) in (10, 11)


def test_a_used_up_budget_becomes_a_finding_with_its_timing_and_last_results() -> None:
    clock = FakeClock()
    outcome = wait(ScriptedProbe(clock, ready_after(1e9)), clock, Timing(retries=2))
    assert isinstance(outcome, Exhausted)
    finding = not_ready_finding(outcome, subject="task `api`", fix="do this")
    assert finding.title == "Service failed to start"
    assert "2 attempts failed (2 attempts, interval 500ms, timeout 2s, start period 0ms)" in finding.why
    assert finding.why.count("status 503") == 3
    assert finding.next == "do this"


class EventProbe:
    """Ready once its event is set; real time."""

    target = "tcp 127.0.0.1:1"
    timeout_s = 1.0

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.asked = threading.Event()

    def attempt(self, deadline: AttemptDeadline | None = None) -> ProbeResult:
        self.asked.set()
        return GOOD if self.ready.is_set() else REFUSED


def test_a_watch_runs_beside_its_caller_and_wakes_it() -> None:
    probe = EventProbe()
    woken = threading.Event()
    with ReadinessWatch([Gate(name="tcp", probe=probe)], subject="api", on_done=woken.set) as watch:
        assert watch.step(10.0) == pytest.approx(10.05)
        assert probe.asked.wait(5)
        assert watch.outcome is None
        assert watch.text().startswith("api waits for tcp (tcp 127.0.0.1:1")
        probe.ready.set()
        assert woken.wait(5)
        assert watch.step(11.0) is None
        assert isinstance(watch.join(), Ready)


def test_leaving_a_watch_ends_its_thread() -> None:
    with ReadinessWatch([Gate(name="tcp", probe=EventProbe())], subject="api") as watch:
        pass
    assert isinstance(watch.outcome, Stopped)
    assert not any(thread.name == "readiness of api" for thread in threading.enumerate())


def test_a_watch_takes_the_first_reason_to_stop() -> None:
    with ReadinessWatch([Gate(name="tcp", probe=EventProbe())], subject="api") as watch:
        watch.request_stop(StopReason(kind="process_exited", exit_code=7))
        watch.request_stop(StopReason(kind="interrupted"))
        outcome = watch.join()
    assert isinstance(outcome, Stopped)
    assert outcome.reason.exit_code == 7


def test_a_defect_in_a_probe_is_raised_where_the_outcome_is_asked_for() -> None:
    class Broken(EventProbe):
        def attempt(self, deadline: AttemptDeadline | None = None) -> ProbeResult:
            raise ZeroDivisionError("a bug")

    woken = threading.Event()
    with ReadinessWatch([Gate(name="tcp", probe=Broken())], subject="api", on_done=woken.set) as watch:
        assert woken.wait(5)
        with pytest.raises(ZeroDivisionError):
            _ = watch.outcome
