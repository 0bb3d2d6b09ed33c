"""The attendant of a leased service: watches it as always, and serves whoever holds the lease.

Source: runtime specification 14.3 (run), 15.4; decision D26.
"""

import signal
from collections.abc import Callable
from typing import Literal, Protocol

from ota.execute.context import RunContext
from ota.execute.events import Failure
from ota.execute.lease import Lease
from ota.execute.output import StepOutput
from ota.execute.process import Attendant
from ota.resolve.plan import RuntimePlan
from ota.system.clock import Clock
from ota.system.processes import is_alive
from ota.system.workload import Workload, WorkloadEnd

SETTLE_S = 0.3
"""How long a service that nobody can ask must have lived to count as started."""
_TURN_S = 0.05


class Watched(Attendant, Protocol):
    """What a lease needs of the attendant of a service."""

    @property
    def is_ready(self) -> bool:
        """Whether the declared readiness was seen to hold."""
        ...

    @property
    def was_ready(self) -> bool:
        """Whether it was seen to work at all."""
        ...

    def confirm(self) -> None:
        """Tell what was reached now."""
        ...


class Sieve(Protocol):
    """Tells what the service printed from what others put between."""

    def filter(self, stream: Literal["stdout", "stderr"], data: bytes) -> bytes:
        """What of it the service printed."""
        ...

    def finish(self) -> bytes:
        """What was held back, as it might have become something else."""
        ...


def leased(
    context: RunContext,
    step: str,
    inner: Watched,
    runtime: RuntimePlan,
    output: StepOutput,
    stop: Callable[[Workload, int], None],
) -> Watched:
    """The attendant of a service, serving the lease that somebody holds on it, if anybody does.

    `stop` asks the workload to end, in the way of its plane.
    """
    lease = context.leases.get(step)
    return inner if lease is None else LeasedAttendant(inner, lease, runtime, output, context.clock, stop)


class LeasedAttendant:
    """Beside the attendant of the service: tells how it stands, and ends it or lets it go when asked."""

    def __init__(
        self,
        inner: Watched,
        lease: Lease,
        runtime: RuntimePlan,
        output: StepOutput,
        clock: Clock,
        stop: Callable[[Workload, int], None],
        sieve: Sieve | None = None,
    ) -> None:
        """`sieve` is for output that is kept: both streams are one there."""
        self._sieve = sieve
        self._inner = inner
        self._lease = lease
        self._clock = clock
        self._stop = stop
        self._output = output
        self._is_gated = has_gate(runtime)
        self._workload: Workload | None = None
        self._started_at = 0.0

    @property
    def is_ready(self) -> bool:
        """Whether whoever holds the lease may go on."""
        return self._lease.standing == "ready"

    @property
    def was_ready(self) -> bool:
        """Whether it was seen to work at all."""
        return self._inner.was_ready

    def confirm(self) -> None:
        self._inner.confirm()

    def started(self, workload: Workload) -> None:
        self._workload = workload
        self._started_at = self._clock.monotonic_s()
        self._lease.began(workload)
        self._inner.started(workload)

    def spawned(self, workload: Workload) -> None:
        """The child exists; whether what it stands for has begun shows in what it prints."""
        self._lease.began(workload)

    @property
    def is_deaf(self) -> bool:
        """Whether nobody will ever see it begin."""
        return self._lease.is_deaf

    def read(self, *, is_last: bool = False) -> None:
        """Pass on what was printed, when that goes to its log."""
        self._pass_on(self._lease.printed_last() if is_last else self._lease.printed())
        if is_last and self._sieve is not None and (rest := self._sieve.finish()):
            self._output.chunk("stdout", rest)

    def turn(self) -> float | None:
        due = self._inner.turn()
        self.read()
        if self._lease.standing == "starting" and self._is_ready():
            self._inner.confirm()
            self._lease.stands("ready")
        self._fulfil()
        return min(due, _TURN_S) if due is not None else _TURN_S  # a wish is seen on a turn

    def interrupted(self) -> None:
        self._inner.interrupted()

    def ended(self, end: WorkloadEnd) -> Failure | None:
        self.read(is_last=True)
        self._output.finish()
        failure = self._inner.ended(end)
        return None if self._lease.was_released else failure

    def _pass_on(self, data: bytes) -> None:
        if self._sieve is not None and data:
            data = self._sieve.filter("stderr", data)
        if data:
            self._output.chunk("stdout", data)

    def _is_ready(self) -> bool:
        if self._is_gated:
            return self._inner.is_ready
        lived_s = self._clock.monotonic_s() - self._started_at
        return lived_s >= SETTLE_S and self._is_alive()

    def _is_alive(self) -> bool:
        assert self._workload is not None
        return is_alive(self._workload.leader)

    def _fulfil(self) -> None:
        """Do what the holder wishes, once."""
        lease, workload = self._lease, self._workload
        if lease.wish is None or lease.was_released or workload is None or not self._is_alive():
            return
        lease.was_released = True
        if lease.wish == "let go" and lease.hand_over():
            workload.let_go()
        else:
            self._stop(workload, signal.SIGTERM)


def has_gate(runtime: RuntimePlan) -> bool:
    """Whether readiness can be asked: it is declared, and its listener is published."""
    readiness = runtime.readiness
    return readiness is not None and runtime.listener(readiness.probe.listener).projection is not None
