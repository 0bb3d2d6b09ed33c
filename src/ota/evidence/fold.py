"""The events of one run, folded once into what summary and receipt both tell.

Source: json-and-receipts specification 1.4 (one value per URL), 4.
"""

from collections.abc import Iterable

from msgspec import Struct

from ota.execute.events import (
    AlreadyRunning,
    BodyStarted,
    ContainerEntered,
    Diagnosed,
    EndpointConfirmed,
    EndpointPlanned,
    EnvValue,
    Event,
    Footprint,
    LadderRung,
    LeftRunning,
    LogFailed,
    LogsOpened,
    PhaseEnded,
    PhaseStarted,
    Reachable,
    ReadinessExhausted,
    RequirementsProbed,
    RunEnded,
    RunNote,
    RunStarted,
    ServiceBegan,
    ServiceEnded,
    ServiceReady,
    ServiceStarted,
    ServiceTerminated,
    StepEnded,
    StepNote,
    StepStarted,
)
from ota.resolve.endpoints import Endpoint, InternalBind


class StepFacts(Struct, kw_only=True):
    """One step as it happened."""

    started: StepStarted
    ended: StepEnded | None = None
    notes: list[str] = []
    warnings: list[str] = []
    body: BodyStarted | None = None
    endpoints: tuple[Endpoint, ...] = ()
    internal: tuple[InternalBind, ...] = ()
    confirmed: set[str] = set()
    reachable: Reachable | None = None
    exhausted: ReadinessExhausted | None = None
    requirements: RequirementsProbed | None = None
    container: ContainerEntered | None = None
    termination: ServiceTerminated | None = None
    left_running: LeftRunning | None = None
    already_running: AlreadyRunning | None = None

    @property
    def primary(self) -> Endpoint | None:
        """The endpoint that decides the one URL."""
        return next((each for each in self.endpoints if each.is_primary), None)

    @property
    def env(self) -> tuple[EnvValue, ...]:
        """Resolved values of the body, masked."""
        return self.body.env if self.body is not None else ()

    @property
    def ladder(self) -> tuple[LadderRung, ...]:
        """The reachability ladder of a start that failed."""
        return self.exhausted.ladder if self.exhausted is not None else ()


class ServiceFacts(Struct, kw_only=True):
    """One service as it was brought up."""

    began: ServiceBegan
    started: ServiceStarted | None = None
    ready: ServiceReady | None = None
    ended: ServiceEnded | None = None
    warnings: list[str] = []

    @property
    def status(self) -> str:
        """Interrupted, when nobody lived to see its end."""
        return self.ended.status if self.ended is not None else "INTERRUPTED"

    @property
    def story(self) -> tuple[str, ...]:
        """What happened to it, in words."""
        told = []
        match self.started:
            case ServiceStarted(how="started", detail=detail):
                told.append(f"started with `{detail}`")
            case ServiceStarted(how="already_running", detail=detail):
                told.append("already running, not started" + (f" ({detail})" if detail else ""))
            case ServiceStarted():
                told.append("nothing declared that starts it")
            case None:
                pass
        if self.ready is not None:
            stop = self.started.stop if self.started is not None else ""
            ended = f"; `{stop}` stops it" if stop else ""
            told.append(f"ready after {self.ready.elapsed_ms} ms, keeps running{ended}")
        return (*told, *self.warnings)


class PhaseFacts(Struct, kw_only=True):
    """One phase of `ota up` as it happened."""

    started: PhaseStarted
    ended: PhaseEnded | None = None


class RunFacts(Struct, kw_only=True):
    """One run as it happened."""

    started: RunStarted
    ended: RunEnded
    steps: list[StepFacts]
    """In the order in which they began."""
    notes: list[str]
    warnings: list[str]
    logs: LogsOpened | None
    log_failure: str | None
    footprint: Footprint | None
    requirements: dict[str, RequirementsProbed]
    """By step, also of steps whose body never began."""
    services: list[ServiceFacts]
    """In the order in which they began; their steps are numbered together with those of tasks."""
    phases: list[PhaseFacts] = []
    """Of `ota up`, in the order in which they began."""
    diagnosed: list[Diagnosed] = []

    @property
    def left_running(self) -> tuple[LeftRunning, ...]:
        """What goes on without ota."""
        return tuple(step.left_running for step in self.steps if step.left_running is not None)

    def step(self, step_id: str) -> StepFacts | None:
        """The step of that id, when it began."""
        return next((each for each in self.steps if each.started.step == step_id), None)

    @property
    def duration_ms(self) -> int:
        """On the monotonic clock."""
        return round((self.ended.monotonic_s - self.started.monotonic_s) * 1000)

    @property
    def warning_count(self) -> int:
        """Everything told as a warning."""
        of_steps = sum(len(step.warnings) for step in self.steps)
        of_steps += sum(len(service.warnings) for service in self.services)
        return len(self.warnings) + of_steps + (1 if self.log_failure is not None else 0)


def fold(events: Iterable[Event]) -> RunFacts:
    """Every event in its place. The stream holds one run, complete."""
    steps: dict[str, StepFacts] = {}
    services: dict[str, ServiceFacts] = {}
    requirements: dict[str, RequirementsProbed] = {}
    facts: dict[str, object] = {}
    notes: list[str] = []
    warnings: list[str] = []
    early: list[StepNote] = []
    phases: list[PhaseFacts] = []
    diagnosed: list[Diagnosed] = []
    for event in events:
        match event:
            case RunStarted():
                facts["started"] = event
            case RunEnded():
                facts["ended"] = event
            case RunNote(text=text, is_warning=is_warning):
                (warnings if is_warning else notes).append(text)
            case LogsOpened():
                facts["logs"] = event
            case LogFailed(why=why):
                facts["log_failure"] = why
            case Footprint():
                facts["footprint"] = event
            case RequirementsProbed():
                requirements[event.step] = event
            case StepStarted():
                steps[event.step] = StepFacts(started=event)
            case ServiceBegan():
                services[event.step] = ServiceFacts(began=event)
            case PhaseStarted():
                phases.append(PhaseFacts(started=event))
            case PhaseEnded():
                _fold_phase(phases, event)
            case Diagnosed():
                diagnosed.append(event)
            case _ if getattr(event, "step", "") in services:
                _fold_service(services[getattr(event, "step", "")], event)
            case StepNote() if event.step not in steps:
                early.append(event)
            case _:
                _fold_step(steps, event)
    for name, probed in requirements.items():
        if name in steps:
            steps[name].requirements = probed
    for note in early:  # told before the step began, and worth telling also when it never did
        if note.step in steps:
            _fold_step(steps, note)
        else:
            (warnings if note.is_warning else notes).append(note.text)
    return RunFacts(
        started=facts["started"],  # type: ignore[arg-type]  # a stream begins with it
        ended=facts["ended"],  # type: ignore[arg-type]  # and ends with it
        steps=list(steps.values()),
        notes=notes,
        warnings=warnings,
        logs=facts.get("logs"),  # type: ignore[arg-type]
        log_failure=facts.get("log_failure"),  # type: ignore[arg-type]
        footprint=facts.get("footprint"),  # type: ignore[arg-type]
        requirements=requirements,
        services=list(services.values()),
        phases=phases,
        diagnosed=diagnosed,
    )


def _fold_phase(phases: list[PhaseFacts], event: PhaseEnded) -> None:
    for phase in reversed(phases):
        if phase.started.phase == event.phase:
            phase.ended = event
            return


def _fold_service(service: ServiceFacts, event: Event) -> None:
    match event:
        case ServiceStarted():
            service.started = event
        case ServiceReady():
            service.ready = event
        case ServiceEnded():
            service.ended = event
        case StepNote(text=text):
            service.warnings.append(text)
        case _:
            pass


def _fold_step(steps: dict[str, StepFacts], event: Event) -> None:
    step = steps.get(getattr(event, "step", ""))
    if step is None:
        return
    match event:
        case StepEnded():
            step.ended = event
        case StepNote(text=text, is_warning=is_warning):
            told = step.warnings if is_warning else step.notes
            if text not in told:  # each attempt at a container tells its own
                told.append(text)
        case BodyStarted():
            step.body = event
        case EndpointPlanned():
            step.endpoints, step.internal = event.endpoints, event.internal
        case EndpointConfirmed():
            step.confirmed.add(event.endpoint.listener)
        case Reachable(is_gate=is_gate):
            step.reachable = event
            if not is_gate and step.primary is not None:
                named = f"listener `{step.primary.listener}`"
                step.notes.append(f"it declares no readiness: that {named} is reachable is all that was seen")
        case ReadinessExhausted():
            step.exhausted = event
        case ContainerEntered():
            step.container = event
        case ServiceTerminated():
            step.termination = event
        case AlreadyRunning(detail=detail, stop=stop):
            step.already_running = event
            step.notes.append(f"already running, not started ({detail}); end it with `{stop}`")
        case LeftRunning(who=who, stop=stop, log=log):
            step.left_running = event
            step.notes.append(f"left running: {who}, prints to {log}; end it with `{stop}`")
        case _:
            pass
