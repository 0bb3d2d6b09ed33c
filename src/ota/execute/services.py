"""The services of a run: brought up before the tasks that require them, each at most once.

Independent services come up side by side, dependent ones after what they depend on. How one comes up
is `ota.services`'s; this module tells it as events and decides what it means for the task.

Source: runtime specification 13, 14.1; contract specification 15.12; decision D3.
"""

from collections.abc import Callable, Iterable
from functools import partial
from threading import Event, Lock

from msgspec import Struct

from ota.errors import Finding
from ota.execute.admission import closure_of
from ota.execute.context import RunContext
from ota.execute.environment import learn_secrets_of
from ota.execute.events import (
    Failure,
    FailureOrigin,
    ServiceBegan,
    ServiceEnded,
    ServiceReady,
    ServiceStarted,
    ServiceStatus,
    StepNote,
    Waiting,
)
from ota.execute.output import StepOutput
from ota.execute.process import BodyEnd
from ota.resolve.plan import StepPlan
from ota.resolve.service_plan import ServicePlan
from ota.resolve.services import closure
from ota.services.bring_up import ServiceEnd, bring_up
from ota.services.compose import ComposeChoices
from ota.services.scene import How, ServiceScene
from ota.system.clock import now_utc
from ota.system.interrupts import Interrupt
from ota.system.side_by_side import side_by_side

_LOOK_UP_S = 0.1


class Asker(Struct, frozen=True, kw_only=True):
    """Who requires services: a task, or the path that is brought up."""

    task: str = ""
    path: str = ""
    """In words, where no task asks."""
    context: str = ""

    @property
    def text(self) -> str:
        """In words."""
        return f"task `{self.task}`" if self.task else self.path


class ServiceTrouble(Struct, frozen=True, kw_only=True):
    """Why a task cannot begin: a service of its closure."""

    step: str
    exit_code: int
    service: str = ""
    """The one to blame."""
    failure: Failure | None = None
    interrupt: Interrupt | None = None
    output: StepOutput | None = None

    def as_end(self) -> BodyEnd:
        """As the end of something that never became a body."""
        return BodyEnd(exit_code=self.exit_code, was_started=False, output=self.output)


class _Kept(Struct, frozen=True, kw_only=True):
    """How a service ended up, for everybody in this run that requires it."""

    service: ServicePlan
    end: ServiceEnd | None = None
    """None: not attempted, because something it depends on is not ready."""
    output: StepOutput | None = None


class _Entry:
    """A service somebody in this run takes care of."""

    def __init__(self) -> None:
        self.done = Event()
        self.kept: _Kept | None = None


class ServiceKeeper:
    """All services of one run."""

    def __init__(self, context: RunContext, next_order: Callable[[], int]) -> None:
        """`next_order` numbers steps of tasks and services alike."""
        self._context = context
        self._next_order = next_order
        self._choices = ComposeChoices()
        self._entries: dict[str, _Entry] = {}
        self._lock = Lock()
        self._scene = ServiceScene(
            root=context.root,
            environ=context.environ,
            run_id=context.run_id,
            what=context.what,
            should_stop=lambda: self._interrupt() is not None,
            masker=lambda: context.masker,
            clock=context.clock,
            journal=context.journal,
        )

    def ensure(self, step: StepPlan) -> ServiceTrouble | None:
        """Bring up what a task requires; the first trouble in starting order, None when all are ready."""
        learn_secrets_of(self._context, step)
        asker = Asker(task=step.task.name, context=step.task.context.name or "")
        return self._ensure(closure_of(self._context.plan, step.task), asker)

    def ensure_named(self, names: tuple[str, ...], path: str) -> ServiceTrouble | None:
        """Bring up services that a path requires without a task that does; `path` is its name in words."""
        for step in self._context.plan.steps.values():
            learn_secrets_of(self._context, step)
        return self._ensure(closure(self._context.plan.services, names), Asker(path=path))

    def _ensure(self, services: tuple[ServicePlan, ...], asker: Asker) -> ServiceTrouble | None:
        mine = self._claim(services)
        try:
            # in starting order: whoever waits for a dependency waits for a job that has begun
            jobs = [partial(self._keep, each, asker, is_mine=each.name in mine) for each in services]
            kept = side_by_side(jobs)
        finally:
            for name in mine:  # also those that a defect kept from being begun: nobody waits for them
                self._entries[name].done.set()
        bad = [each for each in kept if each.end is None or not each.end.is_ready]
        if not bad:
            return None
        first = next((each for each in bad if each.end is not None), None)
        if first is None:  # a defect of ota ended what took care of it, and is on its way up
            return ServiceTrouble(step=_step_name(bad[0].service), exit_code=1)
        return self._trouble(first, asker)

    def _claim(self, services: Iterable[ServicePlan]) -> frozenset[str]:
        """Those that nobody in this run takes care of yet; from now on the caller does."""
        with self._lock:
            mine = frozenset(each.name for each in services if each.name not in self._entries)
            self._entries.update({name: _Entry() for name in mine})
            return mine

    def _keep(self, service: ServicePlan, asker: Asker, *, is_mine: bool) -> _Kept:
        entry = self._entries[service.name]
        if not is_mine:
            return self._awaited(service)
        try:
            entry.kept = self._brought_up(service, asker)
        finally:
            entry.done.set()
        return entry.kept

    def _awaited(self, service: ServicePlan) -> _Kept:
        """What came of a service. Whoever has it looks at interrupts itself, so that this wait ends too."""
        entry = self._entries[service.name]
        while not self._context.clock.wait(entry.done, _LOOK_UP_S):
            pass
        return entry.kept or _Kept(service=service)

    def _brought_up(self, service: ServicePlan, asker: Asker) -> _Kept:
        for below in closure(self._context.plan.services, service.depends_on):
            end = self._awaited(below).end
            if end is None or not end.is_ready:
                return _Kept(service=service)
        if self._interrupt() is not None:
            return _Kept(service=service, end=ServiceEnd(was_interrupted=True))
        return self._attended(service, asker)

    def _attended(self, service: ServicePlan, asker: Asker) -> _Kept:
        context = self._context
        name = _step_name(service)
        context.stream.emit(
            ServiceBegan(
                step=name,
                order=self._next_order(),
                service=service.name,
                required_by=asker.task,
                required_for=asker.path,
                at=now_utc(context.clock),
                monotonic_s=context.clock.monotonic_s(),
            )
        )
        output = StepOutput(name, name, masker=context.masker, stream=context.stream, logs=context.logs)
        intent = context.journal.intent("service", service.name)
        end = bring_up(service, self._scene, self._choices, _Telling(context, name, output))
        context.journal.ended(intent, end.exit_code)
        output.finish()
        self._tell_end(service, end)
        return _Kept(service=service, end=end, output=output)

    def _tell_end(self, service: ServicePlan, end: ServiceEnd) -> None:
        context, name = self._context, _step_name(service)
        status = _status(service, end)
        if end.is_verified:
            context.stream.emit(ServiceReady(step=name, attempts=end.attempts, elapsed_ms=end.elapsed_ms))
        if status == "WARN":
            text = f"service `{service.name}` declares no readiness: that it works could not be verified"
            context.stream.emit(StepNote(step=name, text=text, is_warning=True))
        context.stream.emit(
            ServiceEnded(
                step=name,
                status=status,
                exit_code=end.exit_code if end.is_start_failure else None,
                at=now_utc(context.clock),
                monotonic_s=context.clock.monotonic_s(),
                last_results=tuple(context.masker.mask(text) for text in end.last_results),
            )
        )

    def _trouble(self, kept: _Kept, asker: Asker) -> ServiceTrouble:
        assert kept.end is not None
        name = _step_name(kept.service)
        if kept.end.failure is None:
            interrupt = self._interrupt()
            assert interrupt is not None, "only an interrupt ends a wait without an answer"
            return ServiceTrouble(step=name, exit_code=interrupt.exit_code, interrupt=interrupt)
        return ServiceTrouble(
            step=name,
            exit_code=kept.end.exit_code or 1,
            service=kept.service.name,
            failure=self._failure(kept.service, kept.end, kept.end.failure, asker),
            output=kept.output,
        )

    def _failure(self, service: ServicePlan, end: ServiceEnd, finding: Finding, asker: Asker) -> Failure:
        mask = self._context.masker.mask
        origin: FailureOrigin = "service_start" if end.is_start_failure else "service_readiness"
        why = (f"{finding.summary}: {finding.why}", *end.last_results)
        return Failure(
            origin=origin,
            title=finding.title,
            task=asker.task,
            detail=f"service `{service.name}` required by {asker.text} is not ready",
            field=f"services.{service.name}",
            context=asker.context,
            why=tuple(mask(text) for text in why),
            next=(mask(finding.next),),
            findings=(finding,),
            show_output=True,
        )

    def _interrupt(self) -> Interrupt | None:
        return self._context.interrupts.since(self._context.epoch)


class _Telling:
    """What `bring_up` reports, as events of the run."""

    def __init__(self, context: RunContext, step: str, output: StepOutput) -> None:
        self._context = context
        self._step = step
        self._output = output

    def started(self, how: How, detail: str, stop: str = "") -> None:
        mask = self._context.masker.mask
        event = ServiceStarted(step=self._step, how=how, detail=mask(detail), stop=mask(stop))
        self._context.stream.emit(event)

    def output(self, data: bytes) -> None:
        # not the task's own output, so not what a reader of the task's standard output wants
        self._output.chunk("stderr", data)

    def waiting(self, text: str) -> None:
        self._context.stream.emit(Waiting(step=self._step, text=self._context.masker.mask(text)))


def _step_name(service: ServicePlan) -> str:
    return f"service {service.name}"


def _status(service: ServicePlan, end: ServiceEnd) -> ServiceStatus:
    if end.was_interrupted:
        return "INTERRUPTED"
    if end.failure is not None:
        return "SERVICE START FAILED" if end.is_start_failure else "NOT READY"
    return "WARN" if service.is_required and not end.is_verified else "READY"
