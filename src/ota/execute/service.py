"""A running service: its ports found, its readiness awaited, its endpoints confirmed.

Started, reachable, ready and confirmed are told apart: each is an event of its own, emitted
when it was observed. A declared readiness is a gate; without one, reachability is looked for
as long as the service runs, and nothing depends on it.

Source: runtime specification 10.4, 10.7, 11; decisions D7, D26, D28; lessons, "Ready means ready".
"""

from collections.abc import Collection

from ota.errors import Finding, HostError
from ota.execute.context import RunContext
from ota.execute.events import (
    EndpointConfirmed,
    EndpointPlanned,
    Failure,
    LadderRung,
    Reachable,
    ReadinessExhausted,
    Waiting,
)
from ota.execute.output import StepOutput
from ota.execute.service_plane import LeaderProbe, ServicePlane
from ota.execute.service_probes import declared_probe, reaching_probe, readiness_timing
from ota.readiness.ladder import Expected, Ladder, observe_ladder
from ota.readiness.probes import Probe
from ota.readiness.timing import Timing
from ota.readiness.wait import (
    Attempt,
    Exhausted,
    Gate,
    ReadinessWatch,
    Ready,
    StopReason,
    not_ready_finding,
    render_attempt,
)
from ota.resolve.endpoints import Endpoint, Endpoints, endpoints_of, with_bind_ports
from ota.resolve.plan import ProbePlan, ReadinessPlan, RuntimePlan, StepPlan
from ota.system.discovery import PortDiscovery
from ota.system.workload import Workload, WorkloadEnd

QUIET_S = 0.3
QUIET_LIMIT_S = 2.0
_TURN_S = 0.1
_WAITING_EVERY_S = 1.0
_INTERRUPT_GRACE_S = 0.35
_PATIENT = Timing(interval_s=0.5, retries=1_000_000_000)
"""Without declared readiness nobody is kept waiting, so there is no budget."""


class ServiceAttendant:
    """Watches one service from spawn to end. All its work happens on the turns of the supervising loop."""

    def __init__(
        self,
        context: RunContext,
        step: StepPlan,
        runtime: RuntimePlan,
        output: StepOutput,
        plane: ServicePlane,
    ) -> None:
        self._context = context
        self._step = step
        self._runtime = runtime
        self._plane = plane
        self._output = output
        self._workload: Workload | None = None
        self._started_at = 0.0
        self._discovery: PortDiscovery | None = None
        self._resolved: Endpoints | None = None
        self._gate: ReadinessWatch | None = None
        self._watches: dict[str, ReadinessWatch] = {}
        self._is_ready = False
        self._was_confirmed = False
        self._was_interrupted = False
        self._failure: Failure | None = None
        self._unconfirmed: dict[str, float] = {}
        self._told_waiting_at = 0.0
        self._last_output_at = 0.0

    @property
    def was_ready(self) -> bool:
        """Whether it was seen to work: its readiness held, ota reached it, or there is nothing to reach."""
        if self._is_ready or self._was_confirmed:
            return True
        has_endpoints = self._resolved is not None and bool(self._resolved.projected)
        return self._workload is not None and not has_endpoints and self._runtime.readiness is None

    @property
    def unconfirmed(self) -> Endpoint | None:
        """The primary endpoint, when ota never reached it."""
        if self._was_confirmed or self._resolved is None:
            return None
        return next((each for each in self._resolved.projected if each.is_primary), None)

    # -- the attendant's four moments ------------------------------------------------------------

    def started(self, workload: Workload) -> None:
        self._workload = workload
        self._started_at = self._told_waiting_at = self._now()
        if all(each.bind_port is not None for each in self._runtime.listeners):
            self._listen(self._runtime)
            return
        self._discovery = self._plane.discovery(workload, self._started_at)

    def turn(self) -> float | None:
        if self._workload is None or self._failure is not None:
            return None
        due = self._discover() if self._discovery is not None else None
        if self._gate is not None and not self._is_ready:
            self._look_at_gate()
        self._look_at_watches()
        self._confirm_when_quiet()
        if due is not None:
            return max(0.005, due - self._now())
        return _TURN_S if self._gate is not None or self._watches or self._unconfirmed else None

    def interrupted(self) -> None:
        """A service that became ready just before it is still seen as ready."""
        self._was_interrupted = True
        reason = StopReason(kind="interrupted")
        for watch in self._open_watches():
            watch.request_stop(reason)
        for watch in self._open_watches():
            watch.join(_INTERRUPT_GRACE_S)
        if self._gate is not None and not self._is_ready:
            self._look_at_gate()
        self._look_at_watches()

    def ended(self, end: WorkloadEnd) -> Failure | None:
        reason = StopReason(kind="process_exited", exit_code=end.exit_code)
        for watch in self._open_watches():
            watch.request_stop(reason)
        for watch in self._open_watches():
            watch.join()
        self._look_at_watches()
        self._confirm_all()
        if self._failure is None and not self._was_interrupted:
            self._failure = self._ended_too_early(end) or self._lost_port(end)
        return self._failure

    @property
    def is_ready(self) -> bool:
        """Whether the declared readiness was seen to hold."""
        return self._is_ready

    # -- ports -----------------------------------------------------------------------------------

    def _discover(self) -> float | None:
        assert self._discovery is not None
        try:
            due = self._discovery.step(self._now())
        except HostError as error:
            self._discovery = None
            self._fail(error.findings[0], "discovery")
            return None
        if due is not None:
            return due
        found, self._discovery = self._discovery.found, None
        assert found is not None
        observed = {each.name: found.port for each in self._runtime.listeners if each.bind_port is None}
        self._listen(with_bind_ports(self._runtime, observed), was_discovered=True)
        return None

    def _listen(self, runtime: RuntimePlan, *, was_discovered: bool = False) -> None:
        self._resolved = resolved = endpoints_of(runtime)
        if resolved.projected or resolved.internal:
            self._emit(
                EndpointPlanned(
                    step=self._step.id,
                    endpoints=resolved.projected,
                    internal=resolved.internal,
                    was_discovered=was_discovered,
                )
            )
        readiness = self._runtime.readiness
        gated = resolved.of(readiness.probe.listener) if readiness is not None else None
        if readiness is not None and gated is not None:
            timing = readiness_timing(readiness)
            self._gate = self._open(self._gates(readiness, gated), timing, gated.listener)
        else:
            self._watch_endpoints(resolved.projected)

    def _watch_endpoints(self, endpoints: Collection[Endpoint]) -> None:
        for endpoint in endpoints:
            gate = Gate(name=endpoint.listener, probe=reaching_probe(endpoint, self._plane.closed_at_once))
            own = self._own(endpoint)
            gates = (*own, gate) if self._plane.is_translated else (gate, *own)
            self._watches[endpoint.listener] = self._open(gates, _PATIENT, endpoint.listener)

    def _open(self, gates: tuple[Gate, ...], timing: Timing, name: str) -> ReadinessWatch:
        assert self._workload is not None
        watch = ReadinessWatch(
            gates,
            timing,
            subject=self._step.task.name,
            clock=self._context.clock,
            on_attempt=self._attempted,
            on_done=self._workload.wake,
        )
        watch.step(self._now())
        return watch

    def _gates(self, readiness: ReadinessPlan, gated: Endpoint) -> tuple[Gate, ...]:
        gates = [Gate(name=gated.listener, probe=self._declared(readiness.probe, gated, readiness))]
        for probe in readiness.signal_probes:
            endpoint = self._resolved.of(probe.listener) if self._resolved is not None else None
            if endpoint is not None:
                name = probe.name or probe.listener
                gates.append(Gate(name=name, probe=self._declared(probe, endpoint, readiness)))
        own = self._own(gated)
        # behind an engine's proxy a connection is no sign of life, so look inside before asking
        asked = (*own, *gates) if self._plane.is_translated else (*gates, *own)
        return (*asked, self._alive())

    def _alive(self) -> Gate:
        """Who forks and exits is not a service, whatever the fork answers."""
        assert self._workload is not None
        return Gate(name="process", probe=LeaderProbe(leader=self._workload.leader))

    def _own(self, endpoint: Endpoint) -> tuple[Gate, ...]:
        assert self._workload is not None
        return self._plane.gates(endpoint, self._workload)

    def _declared(self, probe: ProbePlan, endpoint: Endpoint, readiness: ReadinessPlan) -> Probe:
        return declared_probe(probe, endpoint, readiness, self._plane.closed_at_once)

    # -- readiness -------------------------------------------------------------------------------

    def _attempted(self, attempt: Attempt) -> None:
        """Called in a watch's thread after each attempt."""
        now = self._now()
        if attempt.result.ok or now - self._told_waiting_at < _WAITING_EVERY_S:
            return
        self._told_waiting_at = now
        watch = self._gate
        if watch is not None:
            self._emit(Waiting(step=self._step.id, text=watch.text()))

    def _look_at_gate(self) -> None:
        assert self._gate is not None
        outcome = self._gate.outcome
        if isinstance(outcome, Ready):
            self._is_ready = True
            self._emit(
                Reachable(
                    step=self._step.id,
                    is_gate=True,
                    attempts=outcome.probes,
                    elapsed_ms=round(outcome.elapsed_s * 1000),
                )
            )
            gated = self._gated_listener()
            self._unconfirmed[gated] = self._now()
            assert self._resolved is not None
            self._watch_endpoints([each for each in self._resolved.projected if each.listener != gated])
        elif isinstance(outcome, Exhausted):
            self._exhausted(outcome)

    def _gated_listener(self) -> str:
        assert self._runtime.readiness is not None
        return self._runtime.readiness.probe.listener

    def _look_at_watches(self) -> None:
        for listener, watch in list(self._watches.items()):
            outcome = watch.outcome
            if outcome is None:
                continue
            del self._watches[listener]
            if isinstance(outcome, Ready):
                if self._runtime.readiness is None and listener == self._runtime.primary:
                    elapsed_ms = round(outcome.elapsed_s * 1000)
                    self._emit(
                        Reachable(
                            step=self._step.id,
                            is_gate=False,
                            attempts=outcome.probes,
                            elapsed_ms=elapsed_ms,
                        )
                    )
                self._unconfirmed[listener] = self._now()

    def _confirm_when_quiet(self) -> None:
        """A confirmation waits for quiet output, so that it is not torn apart on the terminal."""
        now = self._now()
        if self._output.is_fresh:
            self._output.is_fresh = False
            self._last_output_at = now
        for listener, reached_at in list(self._unconfirmed.items()):
            if now - self._last_output_at >= QUIET_S or now - reached_at >= QUIET_LIMIT_S:
                self._confirm(listener)

    def confirm(self) -> None:
        """Tell what was reached now, whether the output is quiet or not."""
        self._confirm_all()

    def _confirm_all(self) -> None:
        for listener in list(self._unconfirmed):
            self._confirm(listener)

    def _confirm(self, listener: str) -> None:
        reached_at = self._unconfirmed.pop(listener)
        endpoint = self._resolved.of(listener) if self._resolved is not None else None
        if endpoint is not None:
            self._was_confirmed = True
            elapsed_ms = round((reached_at - self._started_at) * 1000)
            self._emit(EndpointConfirmed(step=self._step.id, endpoint=endpoint, elapsed_ms=elapsed_ms))

    # -- failures --------------------------------------------------------------------------------

    def _exhausted(self, outcome: Exhausted) -> None:
        ladder = self._ladder(outcome)
        rungs = tuple(
            LadderRung(name=rung.rung, standing=rung.standing, detail=rung.detail, elapsed_ms=rung.elapsed_ms)
            for rung in ladder.rungs
        )
        last = tuple(render_attempt(attempt) for attempt in outcome.last)
        self._emit(
            ReadinessExhausted(step=self._step.id, attempts=outcome.attempts, last_results=last, ladder=rungs)
        )
        finding = not_ready_finding(outcome, subject=f"task `{self._step.task.name}`", fix=ladder.fix)
        budget = f"{outcome.attempts} attempts failed ({outcome.timing.text})"
        self._fail(finding, "readiness", rungs=rungs, why=(budget, *last))

    def _ladder(self, outcome: Exhausted) -> Ladder:
        assert self._resolved is not None and self._workload is not None
        endpoint = self._resolved.of(self._gated_listener())
        assert endpoint is not None
        expected = Expected(
            subject=f"task `{self._step.task.name}`",
            listener=endpoint.listener,
            bind_address=endpoint.bind_address,
            bind_port=endpoint.bind_port,
            host_address=endpoint.host_address,
            host_port=endpoint.host_port,
            is_translated=self._plane.is_translated,
        )
        view = self._plane.view(self._workload, lambda: self._output.has_printed)
        last = outcome.last[-1]
        return observe_ladder(expected, view, last.gate.probe, last=last.result)

    def _fail(
        self,
        finding: Finding,
        origin: str,
        *,
        rungs: tuple[LadderRung, ...] = (),
        why: tuple[str, ...] = (),
    ) -> None:
        assert self._workload is not None
        self._failure = Failure(
            origin="discovery" if origin == "discovery" else "readiness",
            title=finding.title or "Service failed to start",
            task=self._step.task.name,
            detail=finding.summary,
            why=why or (finding.why,),
            next=(finding.next,),
            ladder=rungs,
            findings=(finding,),
            show_output=True,
        )
        self._plane.stop(self._workload)

    def _ended_too_early(self, end: WorkloadEnd) -> Failure | None:
        """A gate that was never reached is a failed start, also when the process ended 0."""
        if self._runtime.readiness is None or self._is_ready or end.exit_code != 0:
            return None
        task = self._step.task.name
        finding = Finding(
            code="OTA_SERVICE_EXITED_EARLY",
            title="Service failed to start",
            summary=f"task `{task}` ended with exit code 0 before it was ready",
            why="a service must stay in the foreground; one that forks and exits cannot be supervised",
            next="start it in the foreground (most servers have a flag for it)",
            category="execution",
        )
        return Failure(
            origin="readiness",
            title=finding.title,
            task=task,
            detail=finding.summary,
            why=(finding.why,),
            next=(finding.next,),
            findings=(finding,),
            show_output=True,
        )

    def _lost_port(self, end: WorkloadEnd) -> Failure | None:
        """A port that was free before the start, and taken by somebody faster: say by whom."""
        if end.exit_code == 0 or self._is_ready or self._was_confirmed:
            return None
        return self._plane.lost_port()

    def _open_watches(self) -> list[ReadinessWatch]:
        watches = [*self._watches.values(), *((self._gate,) if self._gate is not None else ())]
        return [watch for watch in watches if watch.outcome is None]

    def _now(self) -> float:
        return self._context.clock.monotonic_s()

    def _emit(
        self, event: Waiting | Reachable | EndpointPlanned | EndpointConfirmed | ReadinessExhausted
    ) -> None:
        self._context.stream.emit(event)
