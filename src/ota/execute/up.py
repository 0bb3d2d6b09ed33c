"""One `ota up`: the phases of a path in order, each proven before the next begins.

Carries out a plan of phases with the machinery of a run: the same guardian, journal, steps, services
and events. It never ends a service, and of the run task only what it started itself.

Source: commands specification 3; runtime specification 14.3; json-and-receipts 3.14; decisions D7, D8.
"""

from collections.abc import Callable, Iterator
from threading import Event

from msgspec import Struct
from msgspec.structs import replace

from ota.diagnose.diagnosis import Diagnosis, confirmation, preconditions
from ota.diagnose.observing import observed_services
from ota.diagnose.scene import Scene
from ota.env.masking import Masker
from ota.errors import Finding, HostError
from ota.execute.admission import refusals, service_refusals
from ota.execute.context import RunContext
from ota.execute.events import (
    Diagnosed,
    Display,
    Failure,
    FailureOrigin,
    PhaseEnded,
    PhaseStarted,
    RunEnded,
    RunStarted,
    RunStatus,
    ServiceBegan,
    StepStarted,
    UpStatus,
)
from ota.execute.interpreter import Interpreter, StepResult
from ota.execute.kept import find_running
from ota.execute.run import (
    Ran,
    Surroundings,
    conclude,
    end_and_look,
    in_progress,
    outputs_of,
    render_files,
)
from ota.execute.stream import EventStream
from ota.execute.up_service import Fate, Keeps, RunService
from ota.readiness.timing import DEFAULT_TIMING
from ota.resolve.plan import StepPlan
from ota.resolve.services import closure
from ota.resolve.up_plan import Phase, UpPlan, may_be_let_go
from ota.system.clock import Clock, Deadline, now_utc
from ota.system.interrupts import Interrupt
from ota.system.journal import fault_point
from ota.system.run_id import make_run_id

_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 0.5
_INCURABLE = (
    "CONTEXT_HOST_PLATFORM_UNSUPPORTED",
    "CONTAINER_BACKEND_",
    "BACKEND_CLI_MISSING",
    "REMOTE_",
    "MODE_UNSUPPORTED",
)
"""Beginnings of codes that no setup task could do anything about."""


class Halt(Struct, frozen=True, kw_only=True):
    """Why a phase is not followed by the next one."""

    status: UpStatus
    exit_code: int = 1
    failure: Failure | None = None
    interrupt: Interrupt | None = None
    was_attempted: bool = True
    """Whether the task of the phase began at all."""


def bring_up_path(
    up: UpPlan, given: Surroundings, *, display: Display, masker: Masker, keeps: Keeps = "nothing"
) -> Ran:
    """Carry out the phases. Everything that goes wrong is in the result; nothing is raised for it."""
    stream = EventStream(display)
    clock = given.clock
    run_id = make_run_id(f"up {up.selection.name or ''}", clock)
    stream.emit(
        RunStarted(run_id=run_id, task=up.task or "", at=now_utc(clock), monotonic_s=clock.monotonic_s())
    )
    refused = up_refusals(up, keeps)
    if refused:
        return _refused(up, stream, refused, clock, masker)
    what = up.plan.request.again.removeprefix("ota ") or "up"
    with in_progress(up.plan, run_id, what, given, stream, masker) as context:
        course = _Course(up, context, keeps)
        halt = course.run()
        fault_point("body.after")
        end_and_look(context, is_good=halt is None)
        conclude(context)
        ended = _ended(context, halt)
        stream.emit(ended)
    output = course.interpreter.failed_output
    return Ran(
        events=tuple(stream.events),
        ended=ended,
        excerpt=output.output.excerpt if output is not None and output.output is not None else None,
        outputs=outputs_of(course.interpreter),
        masker=context.masker,
    )


def up_refusals(up: UpPlan, keeps: Keeps = "nothing") -> tuple[Finding, ...]:
    """Everything that keeps the path from starting, each once."""
    found: dict[tuple[str, str], Finding] = {}
    services = closure(up.plan.services, up.services)
    run = up.plan.steps[up.run] if up.run is not None else None
    for finding in (
        *up.refusals,
        *_missing_instances(up),
        *refusals(up.plan),
        *service_refusals(services, up.name),
        *(_detach_refusals(run) if run is not None and keeps == "detached" else ()),
    ):
        found.setdefault((finding.code, finding.summary), finding)
    return tuple(found.values())


def _missing_instances(up: UpPlan) -> Iterator[Finding]:
    """Instances that this one builds on, and that are not up. They are not brought up here: each is a path
    of its own, with its own phases, receipt and end.
    """
    workflow, target = up.selection.name or "", up.plan.request.target
    for each in up.requires:
        try:
            running = find_running(up.plan.root, each.task, each.name, "")
        except HostError as error:
            yield from error.findings
            continue
        if running is not None:
            continue
        first = f"`ota up{target} --workflow {workflow}@{each.name}"
        ways = f"{first} --attach`"
        if may_be_let_go(each.task):
            ways = f"{first} --detach`, or {ways}"
        yield Finding(
            code="OTA_UP_INSTANCE_UNSUPPORTED",
            title="Another workflow instance has to be up first",
            summary=f"instance `{up.selection.instance_name}` of workflow `{workflow}` requires instance "
            f"`{each.name}`, which is not up",
            why=f"task `{each.task.name}` of instance `{each.name}` was not found running here, and this "
            "build brings up one instance at a time",
            next=f"bring it up with {ways} in another terminal; then `{up.plan.request.again or 'ota up'}`",
            category="execution",
        )


def _detach_refusals(run: StepPlan) -> tuple[Finding, ...]:
    if may_be_let_go(run.task):
        return ()
    plane = run.task.context.plane
    name = run.task.name
    return (
        Finding(
            code="OTA_UP_DETACH_UNSUPPORTED",
            title="Run task cannot be left running by this build",
            summary=f"run task `{name}` launches services through compose"
            if plane == "native"
            else f"run task `{name}` resolves to the {plane} plane",
            why="what compose started is compose's: once the command that is attached to it is gone, this "
            "build could neither tell whether it still runs nor end it"
            if plane == "native"
            else "this build lets go of processes and containers of this host only",
            next=f"use `--attach`, or run `ota run {name}` in a terminal of its own",
            category="execution",
        ),
    )


class _Course:
    """One path on its way."""

    def __init__(self, up: UpPlan, context: RunContext, keeps: Keeps) -> None:
        self._up = up
        self._context = context
        self._keeps: Keeps = keeps
        self.interpreter = Interpreter(context)
        self._run_service: RunService | None = None

    def run(self) -> Halt | None:
        """Phase by phase; None when everything is ready, and was when it was left."""
        up = self._up
        halt = self._before_services()
        if halt is None and up.services:
            halt = self._phase("services", ", ".join(up.services), self._services)
        if halt is None and up.setup is not None:
            halt = self._phase("setup", up.setup, lambda: self._task(up.setup, "SETUP FAILED"))
        if halt is not None:
            return halt
        if up.run is None:
            return self._phase("post-up diagnosis", "", self._confirm)
        step = up.plan.steps[up.run]
        instance = up.selection.instance_name or ""
        with RunService(self._context, self.interpreter, step, instance, self._keeps) as service:
            self._run_service = service
            return self._with_run_task(service, step)

    def _before_services(self) -> Halt | None:
        up = self._up
        halt = None
        if up.prepare is not None:
            halt = self._phase("prepare", up.prepare, lambda: self._task(up.prepare, "PREPARE FAILED"))
        if halt is not None:
            return halt
        unmet = self._phase("preconditions", "", lambda: self._preconditions("preconditions"))
        if unmet is None or up.setup is None or not _may_be_cured(unmet):
            return unmet
        return self._phase("provisioning", up.setup, lambda: self._provide(unmet))

    def _provide(self, unmet: Halt) -> Halt | None:
        """Setup runs early, because it may mend what was found; then that is asked once more."""
        early = self._task(self._up.setup, "PROVISIONING FAILED")
        if early is None:
            return self._preconditions("provisioning")
        # a setup that could not even begin is no news beside what it was to mend
        return early if early.interrupt is not None or early.was_attempted else unmet

    def _with_run_task(self, service: RunService, step: StepPlan) -> Halt | None:
        name = step.task.name
        halt = self._phase("run", name, lambda: self._halt_of_fate(service.make_ready()))
        if halt is None:
            halt = self._phase("post-up diagnosis", "", self._confirm)
        if halt is not None:
            return halt
        if self._keeps != "attached":
            fate = service.finish()
            return self._late(fate) if fate is not None else None
        if self._up.attach is not None:
            return self._phase("attach", self._up.attach, self._attach_task)
        return self._phase("attach", name, lambda: self._halt_of_fate(service.follow()))

    def _late(self, fate: Fate) -> Halt | None:
        """It was ready, and its end was not what it should be."""
        halt = self._halt_of_fate(fate)
        if halt is not None:
            self._end_phase("run", halt.status)
        return halt

    # -- one phase -------------------------------------------------------------------------------

    def _phase(self, phase: Phase, subject: str, work: Callable[[], Halt | None]) -> Halt | None:
        context = self._context
        context.stream.emit(
            PhaseStarted(
                phase=phase,
                subject=subject,
                at=now_utc(context.clock),
                monotonic_s=context.clock.monotonic_s(),
            )
        )
        fault_point(f"up.{phase}")
        halt = self._interrupted() or work()
        if halt is None or halt.interrupt is None:
            # an interrupt beats whatever it made of the work, but not a failure that came before it
            late = self._interrupted()
            halt = late if late is not None and (halt is None or halt.failure is None) else halt
        self._end_phase(phase, halt.status if halt is not None else "READY")
        return halt

    def _end_phase(self, phase: Phase, status: UpStatus) -> None:
        context = self._context
        context.stream.emit(
            PhaseEnded(
                phase=phase, status=status, at=now_utc(context.clock), monotonic_s=context.clock.monotonic_s()
            )
        )

    def _interrupted(self) -> Halt | None:
        interrupt = self._context.interrupts.since(self._context.epoch)
        if interrupt is None:
            return None
        return Halt(status="INTERRUPTED", exit_code=interrupt.exit_code, interrupt=interrupt)

    # -- diagnoses -------------------------------------------------------------------------------

    def _preconditions(self, phase: Phase) -> Halt | None:
        unrendered = render_files(self._context)
        if unrendered is not None:
            return Halt(status="NOT READY", failure=replace(unrendered, origin="preconditions"))
        return self._diagnose(phase, lambda: preconditions(self._scene()))

    def _confirm(self) -> Halt | None:
        halt = self._diagnose("post-up diagnosis", self._patiently)
        if self._run_service is not None:
            fate = self._run_service.lost()
            if fate is not None:
                return self._halt_of_fate(fate)
        return halt

    def _patiently(self) -> Diagnosis:
        """A run task that does not say when it is ready leaves that to the path, which then is waited for."""
        context = self._context
        deadline = Deadline.after(context.clock, self._patience_s())
        pause_s, never = _PAUSE_S, Event()
        while True:
            diagnosis = confirmation(self._scene(), observed_services)
            is_over = self._interrupted() is not None or deadline.is_over(context.clock)
            if diagnosis.verdict.is_ready or is_over or self._is_lost():
                return diagnosis
            context.clock.wait(never, pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _patience_s(self) -> float:
        if self._up.run is None or self._up.has_own_readiness:
            return 0.0
        runtime = self._up.plan.steps[self._up.run].task.runtime
        readiness = runtime.readiness if runtime is not None else None
        if readiness is None:
            return DEFAULT_TIMING.budget_s
        return (readiness.start_period_ms + readiness.retries * readiness.interval_ms) / 1000

    def _is_lost(self) -> bool:
        return self._run_service is not None and self._run_service.is_lost

    def _diagnose(self, phase: Phase, ask: Callable[[], Diagnosis]) -> Halt | None:
        context = self._context
        diagnosis = ask()
        interrupted = self._interrupted()
        if interrupted is not None:
            return interrupted  # what was cut short says nothing
        context.stream.emit(
            Diagnosed(
                phase=phase,
                order=self.interpreter.next_order(),
                findings=diagnosis.findings,
                at=now_utc(context.clock),
                monotonic_s=context.clock.monotonic_s(),
            )
        )
        if diagnosis.verdict.is_ready:
            return None
        errors = tuple(each for each in diagnosis.findings if each.severity == "error")
        origin: FailureOrigin = "confirmation" if phase == "post-up diagnosis" else "preconditions"
        return Halt(
            status="NOT READY",
            failure=_not_ready(self._up, errors, origin),
        )

    def _scene(self) -> Scene:
        """A new one each time: what an earlier phase wrote counts."""
        context, up = self._context, self._up
        return Scene(
            context.loaded,
            context.host,
            context.environ,
            context.read_file,
            workflow=up.plan.request.workflow,
            path=up.path,
            rerun=up.plan.request.again or "ota up",
            target=up.plan.request.target,
            run_id=context.run_id,
            should_stop=lambda: self._interrupted() is not None,
            clock=context.clock,
        )

    # -- services and tasks ----------------------------------------------------------------------

    def _services(self) -> Halt | None:
        trouble = self.interpreter.services.ensure_named(self._up.services, self._up.name)
        if trouble is None:
            return None
        if trouble.interrupt is not None:
            return Halt(status="INTERRUPTED", exit_code=trouble.exit_code, interrupt=trouble.interrupt)
        self.interpreter.failed_output = self.interpreter.failed_output or trouble.as_end()
        return _halt_of_failure(trouble.failure, trouble.exit_code, "NOT READY")

    def _task(self, step: str | None, failed: UpStatus) -> Halt | None:
        assert step is not None
        return _halt_of(self.interpreter.run_step(step), failed)

    def _attach_task(self) -> Halt | None:
        halt = self._task(self._up.attach, "RUN FAILED")
        if halt is None and self._run_service is not None:
            return self._halt_of_fate(self._run_service.finish())
        return halt

    def _halt_of_fate(self, fate: Fate | None) -> Halt | None:
        if fate is None:
            return None
        if fate.interrupt is not None:
            return Halt(status="INTERRUPTED", exit_code=fate.exit_code, interrupt=fate.interrupt)
        return _halt_of_failure(fate.failure, fate.exit_code, "RUN FAILED")


def _halt_of(result: StepResult, failed: UpStatus) -> Halt | None:
    """What the end of a step means for its phase."""
    if result.is_good:
        return None
    if result.interrupt is not None:
        return Halt(status="INTERRUPTED", exit_code=result.exit_code, interrupt=result.interrupt)
    halt = _halt_of_failure(result.failure, result.exit_code or 1, failed)
    return replace(halt, was_attempted=result.end is not None and result.end.was_started)


def _halt_of_failure(failure: Failure | None, exit_code: int, failed: UpStatus) -> Halt:
    """A service that does not come up is the service's failure, whichever phase asked for it."""
    status = failed
    if failure is not None and failure.origin == "service_start":
        status = "SERVICE START FAILED"
    elif failure is not None and failure.origin == "service_readiness":
        status, exit_code = "NOT READY", 1
    return Halt(status=status, exit_code=exit_code, failure=failure)


def _may_be_cured(halt: Halt) -> bool:
    """Whether a setup task could make these preconditions hold."""
    if halt.failure is None:
        return False
    return all(is_curable(finding) for finding in halt.failure.findings)


def is_curable(finding: Finding) -> bool:
    """Whether a setup task could do anything about it."""
    return not finding.code.removeprefix("OTA_").startswith(_INCURABLE)


def _not_ready(up: UpPlan, errors: tuple[Finding, ...], origin: FailureOrigin) -> Failure:
    first = errors[0]
    return Failure(
        origin=origin,
        title=first.title or "Not ready",
        task=up.task or "",
        detail=first.summary,
        field=first.place.field if first.place is not None else "",
        why=tuple(dict.fromkeys(each.why for each in errors if each.why)),
        next=tuple(dict.fromkeys(each.next for each in errors if each.next)),
        findings=errors,
    )


def _refused(
    up: UpPlan, stream: EventStream, refused: tuple[Finding, ...], clock: Clock, masker: Masker
) -> Ran:
    """Nothing begins: what this build cannot carry out is the first precondition."""
    at, monotonic_s = now_utc(clock), clock.monotonic_s()
    stream.emit(PhaseStarted(phase="preconditions", subject="", at=at, monotonic_s=monotonic_s))
    stream.emit(Diagnosed(phase="preconditions", order=1, findings=refused, at=at, monotonic_s=monotonic_s))
    stream.emit(PhaseEnded(phase="preconditions", status="NOT READY", at=at, monotonic_s=monotonic_s))
    failure = _not_ready(up, refused, "admission")
    ended = RunEnded(status="blocked", exit_code=1, at=at, monotonic_s=monotonic_s, failure=failure)
    stream.emit(ended)
    return Ran(events=tuple(stream.events), ended=ended, excerpt=None, masker=masker)


def _ended(context: RunContext, halt: Halt | None) -> RunEnded:
    status: RunStatus = "success"
    if halt is not None:
        has_run = any(isinstance(event, StepStarted | ServiceBegan) for event in context.stream.events)
        status = "interrupted" if halt.interrupt is not None else "failed" if has_run else "blocked"
    return RunEnded(
        status=status,
        exit_code=halt.exit_code if halt is not None else 0,
        at=now_utc(context.clock),
        monotonic_s=context.clock.monotonic_s(),
        failure=halt.failure if halt is not None else None,
    )
