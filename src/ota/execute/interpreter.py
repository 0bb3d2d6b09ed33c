"""The plan interpreter: carries out steps in the order the contract relies on.

For one step: condition, requirements, dependencies, environment, body, hooks. The first thing
that goes wrong is the run's failure; what comes later never hides it.

Source: runtime specification 1.7, 2, 12; contract specification 15.12; commands specification 2.4.
"""

import signal
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, cast

from msgspec import Struct
from msgspec.structs import replace

from ota.errors import Finding, OtaError
from ota.execute.body import run_body
from ota.execute.conditions import failed_condition
from ota.execute.context import RunContext
from ota.execute.events import (
    Failure,
    FailureOrigin,
    RequirementsProbed,
    StepEnded,
    StepNote,
    StepStarted,
    StepStatus,
)
from ota.execute.output import StepOutput
from ota.execute.process import BodyEnd
from ota.execute.requirements import failed_checks, probe_requirements
from ota.execute.schedule import Need, Scheduler, Visit, Work
from ota.resolve.plan import AggregateBody, StepPlan
from ota.system.clock import now_utc
from ota.system.interrupts import Interrupt

if TYPE_CHECKING:
    from ota.execute.services import ServiceKeeper


class StepResult(Struct, frozen=True, kw_only=True):
    """What a step came to, hooks included."""

    step: str
    status: StepStatus
    exit_code: int = 0
    failure: Failure | None = None
    interrupt: Interrupt | None = None
    failed_dependency: str | None = None
    end: BodyEnd | None = None

    @property
    def is_good(self) -> bool:
        """Whether a parent may go on."""
        return self.status in ("READY", "SKIPPED")


class Interpreter:
    """Carries out one plan in one context."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._order = 0
        self._lock = Lock()
        self._stopped_by: StepResult | None = None
        self._due_hooks: set[str] = set()
        """Steps that still run after a failure: hooks of what was attempted, and what those need."""
        self._services: ServiceKeeper | None = None
        self._results: dict[str, StepResult] = {}
        """Of every step that is done: none is carried out twice."""
        self.first_failure: StepResult | None = None
        """The earliest step that failed or was interrupted."""
        self.failed_output: BodyEnd | None = None
        """What the step printed that the run's failure names."""
        self._all_bad: list[StepResult] = []
        """Every step that failed or was interrupted, as they ended: side by side there can be several."""
        self.outputs: list[tuple[str, StepOutput]] = []
        """What each task printed, in the order in which they ended."""

    def run(self) -> StepResult:
        """Run the requested step and everything it needs."""
        return self.run_step(self._context.plan.requested)

    def run_step(self, step: str) -> StepResult:
        """Run a step and everything it needs, apart from what has been run before."""
        scheduler = Scheduler(self._visit, jobs=self._context.options.jobs, stop_all=self._stop_all)
        return self._told_whole(cast(StepResult, scheduler.run(step)))

    @property
    def services(self) -> "ServiceKeeper":
        """Whoever brings up the services of this run."""
        with self._lock:
            if self._services is None:
                from ota.execute.services import ServiceKeeper  # paid only by runs that need services

                self._services = ServiceKeeper(self._context, self.next_order)
            return self._services

    def refuse(self, failure: Failure) -> StepResult:
        """The requested step does not begin, because of something that concerns the whole run."""
        return self._refused(self._context.plan.requested_step, failure)

    def _stop_all(self) -> None:
        self._context.interrupts.request(signal.SIGTERM)

    # -- one step ----------------------------------------------------------------------------------

    def _visit(self, step_id: str) -> Visit:
        if step_id not in self._results:
            self._results[step_id] = cast(StepResult, (yield from self._carry_out(step_id)))
        return self._results[step_id]

    def _carry_out(self, step_id: str) -> Visit:
        step = self._context.plan.steps[step_id]
        if self._is_stopped(step):
            return StepResult(step=step_id, status="BLOCKED")
        try:
            condition = yield Work(lambda: failed_condition(self._context, step))
            if condition is not None:
                return self._skipped(step, cast(str, condition))
            if step.task.requires_services:
                unready = cast("StepResult | None", (yield Work(lambda: self._ensure_services(step))))
                if unready is not None:
                    return unready
            missing = cast("Failure | None", (yield Work(lambda: self._probe(step))))
        except OtaError as error:
            missing = _could_not_begin(step, error)
        if missing is not None:
            return self._refused(step, missing)
        blocked = yield from self._dependencies(step)
        if blocked is not None:
            return blocked
        unmet = cast("Failure | None", (yield Work(lambda: self._ask_checks(step))))
        if unmet is not None:
            return self._refused(step, unmet)
        result = cast(StepResult, (yield Work(lambda: self._body(step))))
        return (yield from self._hooks(step, result))

    def _dependencies(self, step: StepPlan) -> Visit:
        """None when all are good; else the blocked result of this step."""
        # the members of an aggregate are an ordered list by definition, whatever `--jobs` says
        is_ordered = self._context.options.jobs == 1 or isinstance(step.task.body, AggregateBody)
        groups = [(each,) for each in step.depends_on] if is_ordered else [step.depends_on]
        for group in groups:
            results = cast("tuple[StepResult, ...]", (yield Need(group)))
            bad = [each for each in results if not each.is_good]
            if bad:
                return self._blocked(step, next((each for each in bad if each.status != "BLOCKED"), bad[0]))
        return None

    def _hooks(self, step: StepPlan, result: StepResult) -> Visit:
        """Hooks run only when the body was attempted; a hook's failure fails a good parent."""
        if result.end is None or not result.end.was_started or self._is_interrupted():
            return result
        if result.end.goes_on:
            return result  # nothing has ended that a hook could come after
        due = (*(step.after_success if result.is_good else step.after_failure), *step.after_always)
        self._admit(due)
        for hook in due:
            (outcome,) = cast("tuple[StepResult]", (yield Need((hook,))))
            if not outcome.is_good and not result.is_good:
                text = f"hook `{outcome.step}` ended with exit code {outcome.exit_code} as well"
                self._context.stream.emit(StepNote(step=step.id, text=text, is_warning=True))
            if not outcome.is_good and result.is_good:
                failure = outcome.failure
                result = StepResult(
                    step=step.id,
                    status="INTERRUPTED" if outcome.interrupt else "FAILED",
                    exit_code=outcome.exit_code,
                    failure=failure,
                    interrupt=outcome.interrupt,
                    end=result.end,
                )
        return result

    def _admit(self, hooks: tuple[str, ...]) -> None:
        """Hooks and everything they need may run although the run has stopped."""
        pending = list(hooks)
        while pending:
            name = pending.pop()
            if name not in self._due_hooks:
                self._due_hooks.add(name)
                each = self._context.plan.steps[name]
                pending += (*each.depends_on, *each.after_success, *each.after_failure, *each.after_always)

    # -- outcomes without a body ---------------------------------------------------------------

    def _skipped(self, step: StepPlan, why: str) -> StepResult:
        with self.told(step) as finish:
            self._note(step, f"condition not met: {why}")
            finish("SKIPPED", None, was_attempted=False)
        return StepResult(step=step.id, status="SKIPPED")

    def _refused(self, step: StepPlan, failure: Failure) -> StepResult:
        with self.told(step) as finish:
            self._note(step, failure.detail)
            finish("FAILED", None, was_attempted=False)
        result = StepResult(step=step.id, status="FAILED", exit_code=failure.exit_code, failure=failure)
        return self._bad(result)

    def _blocked(self, step: StepPlan, cause: StepResult) -> StepResult:
        return StepResult(
            step=step.id,
            status="BLOCKED",
            exit_code=cause.exit_code,
            failure=cause.failure,
            interrupt=cause.interrupt,
            failed_dependency=cause.failed_dependency or cause.step,
        )

    # -- the body ----------------------------------------------------------------------------------

    def _body(self, step: StepPlan) -> StepResult:
        if self._is_stopped(step):
            return StepResult(step=step.id, status="BLOCKED")
        with self.told(step) as finish:
            end = self._run_body(step)
            status: StepStatus = "READY" if end.is_success else "INTERRUPTED" if end.interrupt else "FAILED"
            if end.interrupt is not None and status == "INTERRUPTED":
                who = "user" if end.interrupt.count else signal.Signals(end.interrupt.number).name
                self._note(step, f"task interrupted by {who}")
            finish(status, end.exit_code if end.was_started else None, was_attempted=end.was_started)
        if end.output is not None and not end.output.excerpt.is_empty:
            with self._lock:
                self.outputs.append((step.task.name, end.output))
        result = StepResult(
            step=step.id,
            status=status,
            exit_code=_exit_code(end),
            failure=end.failure or (None if status != "FAILED" else _task_failed(self._context, step, end)),
            interrupt=end.interrupt,
            end=end,
        )
        return result if result.is_good else self._bad(result)

    def _run_body(self, step: StepPlan) -> BodyEnd:
        try:
            return run_body(self._context, step)
        except OtaError as error:
            return BodyEnd(exit_code=1, failure=_could_not_begin(step, error), was_started=False)

    def _ensure_services(self, step: StepPlan) -> StepResult | None:
        """None when the services of a task are ready; else the result of the step, which does not begin."""
        if self._is_stopped(step):
            return StepResult(step=step.id, status="BLOCKED")
        trouble = self.services.ensure(step)
        if trouble is None:
            return None
        cause = self._bad(
            StepResult(
                step=trouble.step,
                status="INTERRUPTED" if trouble.interrupt is not None else "FAILED",
                exit_code=trouble.exit_code,
                failure=trouble.failure,
                interrupt=trouble.interrupt,
                end=trouble.as_end(),
            )
        )
        return replace(cause, step=step.id, status="BLOCKED", end=None)

    def _probe(self, step: StepPlan) -> Failure | None:
        probed = probe_requirements(self._context, step)
        if probed is None:
            return None
        event, findings = probed
        self._context.stream.emit(event)
        return _missing(step, event, findings) if findings else None

    def _ask_checks(self, step: StepPlan) -> Failure | None:
        if not step.task.required_checks or self._is_stopped(step):
            return None
        try:
            findings = failed_checks(self._context, step)
        except OtaError as error:
            return _could_not_begin(step, error)
        return _unmet(step, findings) if findings else None

    def _told_whole(self, result: StepResult) -> StepResult:
        """With the output of the step that the result names, and a word for each that failed beside it."""
        failure = result.failure
        if failure is None:
            return result
        named = next((each for each in self._all_bad if each.failure is failure), None)
        if named is not None:
            self.failed_output = named.end
        beside = (each for each in self._all_bad if each.status == "FAILED" and each is not named)
        others = {
            id(each.failure): f"{each.failure.detail} as well"
            for each in beside
            if each.failure is not None and each.failure is not failure and each.failure.origin != "hook"
        }
        if not others:
            return result
        return replace(result, failure=replace(failure, why=(*failure.why, *others.values())))

    def _bad(self, result: StepResult) -> StepResult:
        with self._lock:
            self._all_bad.append(result)
            self._stopped_by = self._stopped_by or result
            if self.first_failure is None:
                self.first_failure = result
                self.failed_output = result.end
        return result

    def _is_stopped(self, step: StepPlan) -> bool:
        has_failed = self._stopped_by is not None and step.id not in self._due_hooks
        return has_failed or self._is_interrupted()

    def _is_interrupted(self) -> bool:
        return self._context.interrupts.since(self._context.epoch) is not None

    def _note(self, step: StepPlan, text: str) -> None:
        self._context.stream.emit(StepNote(step=step.id, text=text))

    def next_order(self) -> int:
        """The number of the next step, of tasks and of whatever else is told as one."""
        with self._lock:
            self._order += 1
            return self._order

    def told(self, step: StepPlan) -> "StepBlock":
        """A step whose beginning and end are told: entering gives the function that says how it ended."""
        return StepBlock(self._context, step, self.next_order())


Finish = Callable[..., None]


class StepBlock:
    """Emits the beginning and, exactly once, the end of a step."""

    def __init__(self, context: RunContext, step: StepPlan, order: int) -> None:
        self._context = context
        self._step = step
        self._order = order
        self._is_open = True

    def __enter__(self) -> Finish:
        context, step = self._context, self._step
        context.stream.emit(
            StepStarted(
                step=step.id,
                order=self._order,
                task=step.task.name,
                relation=step.relation,
                parent=step.parent,
                generation=step.generation,
                plane=step.task.context.plane,
                context=step.task.context.name,
                lifecycle=step.task.context.lifecycle,
                at=now_utc(context.clock),
                monotonic_s=context.clock.monotonic_s(),
            )
        )
        for note in step.task.notes:
            context.stream.emit(StepNote(step=step.id, text=note))
        return self._finish

    def _finish(self, status: StepStatus, exit_code: int | None, *, was_attempted: bool) -> None:
        self._is_open = False
        self._context.stream.emit(
            StepEnded(
                step=self._step.id,
                status=status,
                exit_code=exit_code,
                at=now_utc(self._context.clock),
                monotonic_s=self._context.clock.monotonic_s(),
                was_attempted=was_attempted,
            )
        )

    def __exit__(self, *_: object) -> None:
        if self._is_open:
            self._finish("FAILED", None, was_attempted=True)


_OF_THE_CHILD = ("task", "host_publication", "service_stopped")
"""Failures that keep the child's own code."""


def _exit_code(end: BodyEnd) -> int:
    """What the run exits with because of this body: ota's own failures and interrupts have their codes."""
    if end.interrupt is not None:
        return end.interrupt.exit_code
    if end.failure is not None and end.was_started:
        return end.exit_code or 1 if end.failure.origin in _OF_THE_CHILD else 1
    return end.exit_code


def _task_failed(context: RunContext, step: StepPlan, end: BodyEnd) -> Failure:
    requested = context.plan.requested_step.task.name
    task = step.task.name
    origin: FailureOrigin = {
        "depends_on": "dependency",
        "requested": "task",
        "aggregate_member": "task",
    }.get(step.relation, "hook")  # type: ignore[assignment]  # the values are origins
    if step.relation == "requested":
        why = f"task `{task}` returned {end.exit_code}"
    elif step.relation == "depends_on":
        why = f"`{task}`, a dependency of `{requested}`, returned {end.exit_code}"
    else:
        why = f"`{task}` ({step.relation} of `{step.parent}`) returned {end.exit_code}"
    return Failure(
        origin=origin,
        title="Task Failed",
        task=task,
        detail=f"task `{task}` exited with code {end.exit_code}",
        context=step.task.context.name or "",
        why=(why,),
        next=(f"fix what the output says, then `{context.plan.again}`",),
        show_output=True,
    )


def _could_not_begin(step: StepPlan, error: OtaError) -> Failure:
    """Something on the way to the body was refused: a file that cannot be read, a folder that has gone."""
    return Failure(
        origin="environment",
        title=error.findings[0].title or "Task could not start",
        task=step.task.name,
        detail=error.findings[0].summary,
        field=f"tasks.{step.task.name}",
        context=step.task.context.name or "",
        why=tuple(dict.fromkeys(finding.why for finding in error.findings if finding.why)),
        next=tuple(dict.fromkeys(finding.next for finding in error.findings if finding.next)),
        findings=error.findings,
    )


def _missing(step: StepPlan, event: RequirementsProbed, findings: tuple[Finding, ...]) -> Failure:
    needed = f"task `{step.task.name}` needs {', '.join(event.missing)}"
    failure = _unfulfilled(step, "Missing requirements", needed, findings)
    program = next((each.text for each in step.task.requirements if each.is_program), None)
    # as a shell has it: the program of the body is not there, and nothing else is wrong
    return replace(failure, exit_code=127) if event.missing == (program,) else failure


def _unmet(step: StepPlan, findings: tuple[Finding, ...]) -> Failure:
    names = ", ".join(finding.summary for finding in findings)
    return _unfulfilled(
        step, "Required check failed", f"task `{step.task.name}` may not start: {names}", findings
    )


def _unfulfilled(step: StepPlan, title: str, detail: str, findings: tuple[Finding, ...]) -> Failure:
    return Failure(
        origin="fulfillment",
        title=title,
        task=step.task.name,
        detail=detail,
        context=step.task.context.name or "",
        why=tuple(f"{finding.summary}: {finding.why}" for finding in findings),
        next=tuple(dict.fromkeys(finding.next for finding in findings)),
        findings=findings,
    )
