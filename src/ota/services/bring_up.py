"""One service, from whatever it is now to ready: look, start what is missing, wait.

Nothing is started that already answers, two runs never start the same service at once, and what was
started is never stopped here.

Source: runtime specification 13, 14.1; commands specification 2.4 (5); decisions D7, D12.
"""

from contextlib import ExitStack

from msgspec import Struct

from ota.contract.durations import render_elapsed
from ota.errors import Finding, HostError
from ota.readiness.asker import UNEXECUTABLE
from ota.readiness.timing import Timing
from ota.readiness.wait import (
    Attempt,
    Exhausted,
    Gate,
    Ready,
    Stopped,
    StopReason,
    render_attempt,
    wait_ready,
)
from ota.resolve.service_plan import EndpointReadiness, ServicePlan
from ota.services.compose import ComposeChoices
from ota.services.managers import Command, ComposeManager, Manager, manager_of, readiness_gates
from ota.services.scene import How, ServiceScene, Watcher
from ota.services.starting import LOCKS_FOLDER, LOGS_FOLDER, StartEnd, file_name, run_start
from ota.system.addresses import address_text
from ota.system.clock import Deadline
from ota.system.locks import ResourceLock
from ota.system.ports import find_port_holder, render_holder
from ota.system.sockets import AttemptDeadline

_LOCK_TURN_S = 0.25
_WAITING_EVERY_S = 1.0
_RUNNING_TIMING = Timing(interval_s=0.25, retries=20, timeout_s=5.0)
"""For a manager that says `started` before the engine says `running`."""


class ServiceEnd(Struct, frozen=True, kw_only=True):
    """What bringing a service up came to: ready, a failure, or interrupted."""

    failure: Finding | None = None
    exit_code: int = 0
    """Of the start command when that failed, else 1 for a failure."""
    is_start_failure: bool = False
    was_interrupted: bool = False
    attempts: int = 0
    elapsed_ms: int = 0
    last_results: tuple[str, ...] = ()
    is_verified: bool = False
    """Whether a declared readiness was seen to hold."""

    @property
    def is_ready(self) -> bool:
        """Whether whatever needs the service may go on."""
        return self.failure is None and not self.was_interrupted


_INTERRUPTED = ServiceEnd(was_interrupted=True)


def bring_up(
    service: ServicePlan, scene: ServiceScene, choices: ComposeChoices, watcher: Watcher
) -> ServiceEnd:
    """Start a service unless it runs, and wait until it is ready. Never raises for what the host says."""
    try:
        with ExitStack() as stack:
            if service.can_start and not _lock(service, scene, watcher, stack):
                return _INTERRUPTED
            return _bring_up(service, scene, manager_of(service, scene, choices), watcher)
    except HostError as error:
        finding = error.findings[0]
        return ServiceEnd(failure=finding, exit_code=1, is_start_failure=finding.code != UNEXECUTABLE)


def _lock(service: ServicePlan, scene: ServiceScene, watcher: Watcher, stack: ExitStack) -> bool:
    """Wait for whoever is bringing the same service up; False when interrupted.

    Raises:
        HostError: it took longer than a start and its readiness may take.
    """
    path = scene.root / LOCKS_FOLDER / f"service-{file_name(service.name)}.lock"
    began_at = scene.clock.monotonic_s()
    deadline = Deadline.after(scene.clock, scene.start_limit_s + timing_of(service).longest_s)
    while True:
        try:
            stack.enter_context(ResourceLock(path, what=scene.what, limit_s=_LOCK_TURN_S, clock=scene.clock))
            return True
        except HostError as error:
            finding = error.findings[0]
            if scene.should_stop():
                return False
            if finding.code != "OTA_LOCK_HELD" or deadline.is_over(scene.clock):
                raise
            elapsed = render_elapsed(scene.clock.monotonic_s() - began_at)
            watcher.waiting(
                f"service {service.name} is being brought up elsewhere: {finding.summary}, {elapsed}"
            )


def _bring_up(service: ServicePlan, scene: ServiceScene, manager: Manager, watcher: Watcher) -> ServiceEnd:
    gates = readiness_gates(service, manager, scene)
    start = manager.start()
    how: How = "not_managed"
    if start is not None:
        how = "already_running" if gates and _passes_now(gates) else "started"
    if scene.should_stop():
        return _INTERRUPTED
    if how == "already_running":
        watcher.started(how, _who_answers(service, manager))
    elif start is None:
        watcher.started(how, "")
    else:
        log = scene.root / LOGS_FOLDER / f"{file_name(service.name)}.log"
        end = run_start(start.argv, start.cwd, scene, log, watcher.output)
        if end.was_interrupted:
            return _INTERRUPTED
        if end.exit_code != 0 or end.is_timed_out:
            return _start_failed(service, scene, manager, start, end)
        stop = manager.stop()
        watcher.started(how, start.text, stop.text if stop is not None else "")
    return _wait(service, scene, gates, manager, watcher)


def _passes_now(gates: tuple[Gate, ...]) -> bool:
    return all(gate.probe.attempt(AttemptDeadline(gate.probe.timeout_s)).ok for gate in gates)


def _who_answers(service: ServicePlan, manager: Manager) -> str:
    readiness = service.readiness
    facts = [f"seen through `{manager.command.text}`"] if isinstance(manager, ComposeManager) else []
    if isinstance(readiness, EndpointReadiness):
        at = address_text(readiness.address, readiness.port)
        holder = find_port_holder(readiness.address, readiness.port)
        facts.append(f"{at} answers" + (f": {render_holder(holder)}" if holder is not None else ""))
    return ", ".join(facts)


def _start_failed(
    service: ServicePlan, scene: ServiceScene, manager: Manager, start: Command, end: StartEnd
) -> ServiceEnd:
    if end.is_timed_out:
        why = (
            f"`{start.text}` did not end within {scene.start_limit_s:g} s; it and what it started were ended"
        )
        code, next_ = 1, "have the command return once the service runs in the background"
    elif end.finding is not None:
        why = f"{end.finding.summary}: {end.finding.why}"
        code, next_ = end.exit_code, end.finding.next
    else:
        trouble = manager.trouble()
        if trouble is not None:
            return ServiceEnd(failure=trouble, exit_code=end.exit_code, is_start_failure=True)
        why = f"`{start.text}` returned {end.exit_code}"
        code, next_ = end.exit_code, f"fix what the output says, then `ota {scene.what}`"
    finding = Finding(
        code="OTA_SERVICE_START_FAILED",
        title="Service failed to start",
        summary=f"service `{service.name}` could not be started",
        why=why,
        next=next_,
        category="service",
        owner="service",
    )
    return ServiceEnd(failure=finding, exit_code=code, is_start_failure=True)


# --- readiness -----------------------------------------------------------------------------------


def _wait(
    service: ServicePlan,
    scene: ServiceScene,
    gates: tuple[Gate, ...],
    manager: Manager,
    watcher: Watcher,
) -> ServiceEnd:
    if not gates:
        return ServiceEnd()
    told_at = scene.clock.monotonic_s()

    def attempted(attempt: Attempt) -> None:
        nonlocal told_at
        now = scene.clock.monotonic_s()
        if not attempt.result.ok and now - told_at >= _WAITING_EVERY_S:
            told_at = now
            limit_s = timing.budget_s if attempt.at_s <= timing.budget_s else timing.longest_s
            at = render_elapsed(attempt.at_s)
            watcher.waiting(
                f"waiting for service {service.name} ({attempt.gate.probe.target}, {attempt.result.detail}, "
                f"{at} of {render_elapsed(limit_s)})"
            )

    timing = timing_of(service) if service.readiness is not None else _RUNNING_TIMING
    outcome = wait_ready(
        gates,
        timing,
        clock=scene.clock,
        stop=lambda: StopReason(kind="interrupted") if scene.should_stop() else None,
        on_attempt=attempted,
    )
    match outcome:
        case Ready():
            return ServiceEnd(
                attempts=outcome.probes,
                elapsed_ms=round(outcome.elapsed_s * 1000),
                is_verified=service.readiness is not None,
            )
        case Exhausted():
            return ServiceEnd(
                # an engine that died meanwhile is the reason, and nothing the service could mend
                failure=manager.trouble() or _not_ready(service, outcome, manager.start()),
                exit_code=1,
                attempts=outcome.probes,
                elapsed_ms=round(outcome.elapsed_s * 1000),
                last_results=tuple(render_attempt(each) for each in outcome.last),
            )
        case Stopped():
            return _INTERRUPTED
        case _:
            raise AssertionError(f"an end of waiting: {outcome}")


def timing_of(service: ServicePlan) -> Timing:
    """How often its readiness is asked, and for how long."""
    return Timing(
        interval_s=service.interval_ms / 1000,
        retries=service.retries,
        timeout_s=service.timeout_ms / 1000,
        start_period_s=service.start_period_ms / 1000,
    )


def _not_ready(service: ServicePlan, outcome: Exhausted, start: Command | None) -> Finding:
    readiness = service.readiness
    where = ""
    holder = ""
    if isinstance(readiness, EndpointReadiness):
        at = address_text(readiness.address, readiness.port)
        where = f" from context `{readiness.context}` at {at}"
        found = find_port_holder(readiness.address, readiness.port)
        holder = f"; {at} is held by {render_holder(found)}" if found is not None else ""
    elif readiness is not None and getattr(readiness, "context", None):
        where = f" from context `{readiness.context}`"  # type: ignore[union-attr]  # looked at just before
    last = outcome.last[-1].result.detail if outcome.last else "nothing was asked"
    if start is None:
        next_ = (
            f"start service `{service.name}` yourself, or declare how under `services.{service.name}.manager`"
        )
    else:
        log = f"{LOGS_FOLDER}/{file_name(service.name)}.log"
        next_ = f"look at what it printed since it was started ({log}), or allow more `retries`"
    return Finding(
        code="OTA_SERVICE_READINESS_FAILED",
        title="Service is not ready",
        summary=f"service `{service.name}` was not ready{where} after {render_elapsed(outcome.elapsed_s)}",
        why=f"{outcome.attempts} attempts failed ({outcome.timing.text}); the last said: {last}{holder}",
        next=next_,
        category="service",
        owner="service",
    )
