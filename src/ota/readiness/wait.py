"""Waiting until something is ready: the one loop behind run, up, services, checks and workflows.

Owns repetition, stopping, and the words for what is being waited for. Does not own a single attempt
(`probes`), the counting rules (`timing`) or the diagnosis of a failure (`ladder`).

`wait_ready` blocks; `ReadinessWatch` is the same loop in a thread of its own for callers that poll.

Source: runtime specification 11.3, 20.3, 23; decisions D7, D28.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Literal, Self, TypedDict

from msgspec import Struct

from ota.contract.durations import render_elapsed
from ota.errors import Finding, Place
from ota.readiness.probes import Probe
from ota.readiness.results import ProbeResult
from ota.readiness.timing import DEFAULT_TIMING, Pace, Timing
from ota.system.clock import SYSTEM_CLOCK, Clock
from ota.system.sockets import AttemptDeadline

GRACE_S = 0.300
"""After an interruption: a service that became ready just before it is still seen as ready."""
GRACE_PAUSE_S = 0.030
_KEPT_RESULTS = 3
_STOP_POLL_S = 0.030


class Gate(Struct, frozen=True, kw_only=True):
    """One probe that must pass, under the name people know it by (a listener, a service, a signal)."""

    name: str
    probe: Probe

    @property
    def text(self) -> str:
        return f"{self.name} ({self.probe.target})"


class StopReason(Struct, frozen=True, kw_only=True):
    """Why waiting makes no sense any more."""

    kind: Literal["interrupted", "process_exited", "deadline"]
    detail: str = ""
    exit_code: int | None = None


class Attempt(Struct, frozen=True, kw_only=True):
    """One attempt, as it is reported while waiting and kept for a failure."""

    number: int
    at_s: float
    """Seconds after the waiting began at which the attempt was over."""
    gate: Gate
    result: ProbeResult
    counted: bool
    """Whether its failure counts against `retries`."""


class Waited(Struct, frozen=True, kw_only=True):
    """What every end of a waiting tells."""

    attempts: int
    """Failed attempts that counted against `retries`."""
    probes: int
    """All attempts, also those inside the start period and between the counted ones."""
    elapsed_s: float
    last: tuple[Attempt, ...]
    """The last three attempts, oldest first."""
    timing: Timing


class Ready(Waited, frozen=True, kw_only=True, tag="ready"):
    """Every gate passed in one round."""


class Exhausted(Waited, frozen=True, kw_only=True, tag="exhausted"):
    """As many counted failures as `retries` allows."""


class Stopped(Waited, frozen=True, kw_only=True, tag="stopped"):
    """Waiting was ended from outside before there was an answer."""

    reason: StopReason


WaitOutcome = Ready | Exhausted | Stopped
Stop = Callable[[], StopReason | None]


class _Facts(TypedDict):
    attempts: int
    probes: int
    elapsed_s: float
    last: tuple[Attempt, ...]
    timing: Timing


class Waiting:
    """The state of one waiting: attempts in, an outcome out. Neither waits nor probes by itself."""

    def __init__(self, gates: Sequence[Gate], timing: Timing, started_at: float) -> None:
        if not gates:
            raise ValueError("waiting needs a gate")
        self.gates = tuple(gates)
        self.pace = Pace(timing, started_at)
        # Replaced, never changed: other threads read it while the loop goes on.
        self.last: tuple[Attempt, ...] = ()
        self._farthest: dict[str, int] = {}

    @property
    def next_at(self) -> float:
        return self.pace.next_at

    def ready(self, results: Sequence[tuple[Gate, ProbeResult]], now: float) -> Ready:
        """Every gate passed."""
        self.pace.record_success()
        for gate, result in results:
            self._keep(gate, result, now, counted=False)
        return Ready(**self._facts(now))

    def failed(self, gate: Gate, result: ProbeResult, began_at: float, now: float) -> Exhausted | None:
        """A gate failed; the outcome when that was the last allowed failure."""
        farther = self._farthest.get(gate.name, 0) < result.depth
        if farther:
            self._farthest[gate.name] = result.depth
        counted = self.pace.record_failure(
            began_at=began_at, now=now, refused_locally=result.refused_locally, got_farther=farther
        )
        self._keep(gate, result, now, counted=counted)
        return Exhausted(**self._facts(now)) if self.pace.is_exhausted else None

    def stopped(self, reason: StopReason, now: float) -> Stopped:
        return Stopped(reason=reason, **self._facts(now))

    def text(self, subject: str, now: float) -> str:
        """`api waits for http (http 127.0.0.1:8080/health, status 503, 4 s of 60 s)`."""
        gate = self.last[-1].gate if self.last else self.gates[0]
        facts = [gate.probe.target]
        if self.last:
            facts.append(self.last[-1].result.detail)
        elapsed = render_elapsed(now - self.pace.started_at)
        facts.append(f"{elapsed} of {render_elapsed(self.pace.limit_s(now))}")
        return f"{subject} waits for {gate.name} ({', '.join(facts)})"

    def _keep(self, gate: Gate, result: ProbeResult, now: float, *, counted: bool) -> None:
        attempt = Attempt(
            number=self.pace.probed,
            at_s=now - self.pace.started_at,
            gate=gate,
            result=result,
            counted=counted,
        )
        self.last = (*self.last, attempt)[-_KEPT_RESULTS:]

    def _facts(self, now: float) -> _Facts:
        return {
            "attempts": self.pace.counted,
            "probes": self.pace.probed,
            "elapsed_s": now - self.pace.started_at,
            "last": self.last,
            "timing": self.pace.timing,
        }


OnAttempt = Callable[[Attempt], None]


def _nobody(_attempt: Attempt) -> None:
    pass


def _never() -> StopReason | None:
    return None


def wait_ready(
    gates: Sequence[Gate],
    timing: Timing = DEFAULT_TIMING,
    *,
    clock: Clock = SYSTEM_CLOCK,
    stop: Stop = _never,
    on_attempt: OnAttempt = _nobody,
    news: threading.Event | None = None,
) -> WaitOutcome:
    """Wait until every gate passes in one round, the budget is used up, or `stop` gives a reason.

    `stop` is asked at least every 30 ms; setting `news` has it asked at once.
    """
    return _Loop(Waiting(gates, timing, clock.monotonic_s()), clock, stop, on_attempt, news).run()


class _Loop:
    """A waiting, turned by a clock."""

    def __init__(
        self, waiting: Waiting, clock: Clock, stop: Stop, on_attempt: OnAttempt, news: threading.Event | None
    ) -> None:
        self._waiting = waiting
        self._clock = clock
        self._stop = stop
        self._on_attempt = on_attempt
        self._news = news or threading.Event()

    def run(self) -> WaitOutcome:
        while True:
            reason = self._pause_until(self._waiting.next_at)
            if reason is not None:
                return self._after_stop(reason)
            began_at = self._clock.monotonic_s()
            results = self._round(self._cut)
            reason = self._stop()
            gate, result = results[-1]
            # Whoever answered after the process ended was not the process.
            if result.ok and (reason is None or reason.kind == "interrupted"):
                return self._ready(results)
            if reason is not None:
                return self._after_stop(reason)
            exhausted = self._waiting.failed(gate, result, began_at, self._clock.monotonic_s())
            self._on_attempt(self._waiting.last[-1])
            if exhausted is not None:
                return exhausted

    def _ready(self, results: Sequence[tuple[Gate, ProbeResult]]) -> Ready:
        ready = self._waiting.ready(results, self._clock.monotonic_s())
        self._on_attempt(ready.last[-1])
        return ready

    def _round(self, cut: Callable[[], float | None]) -> list[tuple[Gate, ProbeResult]]:
        """Ask the gates in order, up to the first that does not pass."""
        results = []
        for gate in self._waiting.gates:
            limit_s = self._waiting.pace.attempt_limit_s(self._clock.monotonic_s(), gate.probe.timeout_s)
            result = gate.probe.attempt(AttemptDeadline(limit_s, cut))
            results.append((gate, result))
            if not result.ok:
                break
        return results

    def _cut(self) -> float | None:
        reason = self._stop()
        if reason is None:
            return None
        return GRACE_S if reason.kind == "interrupted" else 0.0

    def _pause_until(self, at_s: float) -> StopReason | None:
        while True:
            reason = self._stop()
            rest_s = at_s - self._clock.monotonic_s()
            if reason is not None or rest_s <= 0:
                return reason
            self._clock.wait(self._news, min(rest_s, _STOP_POLL_S))

    def _after_stop(self, reason: StopReason) -> WaitOutcome:
        if reason.kind == "interrupted" and (ready := self._grace()) is not None:
            return ready
        return self._waiting.stopped(reason, self._clock.monotonic_s())

    def _grace(self) -> Ready | None:
        ends_at = self._clock.monotonic_s() + GRACE_S
        never = threading.Event()  # the news that ended the wait is already known
        while (rest_s := ends_at - self._clock.monotonic_s()) > 0:
            results = self._round(lambda rest_s=rest_s: rest_s)  # type: ignore[misc]
            if results[-1][1].ok:
                return self._ready(results)
            rest_s = ends_at - self._clock.monotonic_s()
            self._clock.wait(never, max(0.0, min(GRACE_PAUSE_S, rest_s)))
        return None


class ReadinessWatch:
    """A waiting that goes on beside its caller, who polls it and may stop it.

    Attempts run in one thread of its own. `on_attempt` and `on_done` are called in that thread and
    must be quick; `on_done` is the place to wake a poll loop. Leaving the `with` block stops the waiting.
    """

    JOIN_LIMIT_S = 5.0
    _POLL_S = 0.050

    def __init__(
        self,
        gates: Sequence[Gate],
        timing: Timing = DEFAULT_TIMING,
        *,
        subject: str,
        clock: Clock = SYSTEM_CLOCK,
        on_attempt: OnAttempt = _nobody,
        on_done: Callable[[], None] | None = None,
    ) -> None:
        self.subject = subject
        self._clock = clock
        self._on_done = on_done
        self._news = threading.Event()
        self._reason: StopReason | None = None
        self._outcome: WaitOutcome | None = None
        self._defect: BaseException | None = None
        self._waiting = Waiting(gates, timing, clock.monotonic_s())
        self._loop = _Loop(self._waiting, clock, lambda: self._reason, on_attempt, self._news)
        self._thread = threading.Thread(target=self._run, name=f"readiness of {subject}", daemon=True)

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._outcome is None:
            self.request_stop(StopReason(kind="deadline", detail="no longer awaited"))
        self._thread.join(self.JOIN_LIMIT_S)

    @property
    def outcome(self) -> WaitOutcome | None:
        """The end of the waiting, None while it goes on."""
        if self._defect is not None:
            raise self._defect
        return self._outcome

    def step(self, now: float) -> float | None:
        """Start, or go on: when to ask again, or None when `outcome` is there."""
        self._start()
        return None if self.outcome is not None else now + self._POLL_S

    def request_stop(self, reason: StopReason) -> None:
        """End the waiting soon: after the grace when interrupted, at once otherwise.

        The first reason stands. Safe from any thread and more than once; `join` gives the outcome.
        """
        if self._reason is None:
            self._reason = reason
        self._news.set()

    def join(self, limit_s: float = JOIN_LIMIT_S) -> WaitOutcome | None:
        """Wait for the end of the waiting; None when it did not end within `limit_s`."""
        if self._thread.ident is None:
            return None
        self._thread.join(limit_s)
        return self.outcome

    def text(self) -> str:
        """What is being waited for, right now."""
        return self._waiting.text(self.subject, self._clock.monotonic_s())

    @property
    def last(self) -> tuple[Attempt, ...]:
        """The last three attempts so far."""
        return self._waiting.last

    def _start(self) -> None:
        if self._thread.ident is None:
            self._thread.start()

    def _run(self) -> None:
        try:
            self._outcome = self._loop.run()
        except BaseException as defect:  # noqa: BLE001 - raised again where the outcome is asked for
            self._defect = defect
        if self._on_done is not None:
            self._on_done()


def render_attempt(attempt: Attempt) -> str:
    """`after 4 s http (http 127.0.0.1:8080/health): status 503 (expected 200-399)`."""
    return f"after {render_elapsed(attempt.at_s)} {attempt.gate.text}: {attempt.result.detail}"


def not_ready_finding(
    outcome: Exhausted, *, subject: str, fix: str = "", place: Place | None = None
) -> Finding:
    """The startup failure of a workload whose budget is used up. `fix` comes from the ladder."""
    last = "; ".join(render_attempt(attempt) for attempt in outcome.last)
    return Finding(
        code="OTA_STARTUP_READINESS_EXHAUSTED",
        title="Service failed to start",
        summary=f"{subject} was not ready after {render_elapsed(outcome.elapsed_s)}",
        why=f"{outcome.attempts} attempts failed ({outcome.timing.text}); last results: {last}",
        next=fix or "read its output above, or allow more time with `retries` and `start_period`",
        place=place,
        category="execution",
        owner="service",
    )
