"""What happened, as facts in order: the one stream that every surface folds.

Terminal text, JSON, receipt, summary and exit code come from these events and from nothing
else. Planned, started, reachable, ready and confirmed are five different events; nothing
upgrades one into another. Child output does not travel here (see `ota.execute.output`).

Source: json-and-receipts specification 1.4, 4; runtime specification 10.7, 12, 20.
"""

from collections.abc import Mapping
from typing import Literal, Protocol

from msgspec import Struct

from ota.contract.model.scalars import Lifecycle, Plane
from ota.errors import Finding
from ota.resolve.endpoints import Endpoint, InternalBind
from ota.resolve.plan import Relation
from ota.resolve.up_plan import Phase

RunStatus = Literal["success", "failed", "interrupted", "blocked", "skipped"]
StepStatus = Literal["READY", "FAILED", "INTERRUPTED", "SKIPPED", "BLOCKED"]
ServiceStatus = Literal["READY", "WARN", "SERVICE START FAILED", "NOT READY", "INTERRUPTED", "BLOCKED"]
ServiceHow = Literal["started", "already_running", "not_managed"]
FailureOrigin = Literal[
    "task",
    "dependency",
    "hook",
    "spawn",
    "readiness",
    "discovery",
    "fulfillment",
    "environment",
    "admission",
    "host_publication",
    "cleanup",
    "service_start",
    "service_readiness",
    "preconditions",
    "confirmation",
    "service_stopped",
    "container",
]
TerminationCause = Literal["oom_killed", "interrupted", "exited_non_zero", "exited", "unknown"]


UpStatus = Literal[
    "READY",
    "NOT READY",
    "PREPARE FAILED",
    "PROVISIONING FAILED",
    "ACTIVATION FAILED",
    "SERVICE START FAILED",
    "SETUP FAILED",
    "RUN FAILED",
    "INTERRUPTED",
]


class EnvValue(Struct, frozen=True, kw_only=True):
    """A resolved variable as it may be shown: secrets are masked already."""

    name: str
    value: str
    source: str
    source_kind: str = ""
    source_path: str = ""
    source_status: str = ""
    source_label: str = ""


class LadderRung(Struct, frozen=True, kw_only=True):
    """One rung of the reachability ladder, as `ota.readiness.ladder` found it, in words."""

    name: str
    standing: str
    detail: str = ""
    elapsed_ms: int | None = None


class Failure(Struct, frozen=True, kw_only=True):
    """Why a run did not succeed, told once, with everything the failure block shows."""

    origin: FailureOrigin
    title: str
    task: str
    detail: str = ""
    field: str = ""
    context: str = ""
    why: tuple[str, ...] = ()
    next: tuple[str, ...] = ()
    ladder: tuple[LadderRung, ...] = ()
    findings: tuple[Finding, ...] = ()
    show_output: bool = False
    """Whether the last output of the step belongs into the failure block."""
    exit_code: int = 1
    """Of a step that never began."""


# --- the stream ----------------------------------------------------------------------------------


class RunStarted(Struct, frozen=True, kw_only=True):
    run_id: str
    task: str
    at: str
    monotonic_s: float


class RunNote(Struct, frozen=True, kw_only=True):
    """Something worth telling about the run as a whole."""

    text: str
    is_warning: bool = False


class LogsOpened(Struct, frozen=True, kw_only=True):
    """Repository-relative paths of the artifacts; both files exist."""

    dir: str
    stdout: str
    stderr: str


class LogFailed(Struct, frozen=True, kw_only=True):
    """Keeping the logs failed; the run goes on."""

    why: str


class StepStarted(Struct, frozen=True, kw_only=True):
    step: str
    order: int
    task: str
    relation: Relation
    parent: str | None
    generation: int
    plane: Plane
    context: str | None
    lifecycle: Lifecycle | None
    at: str
    monotonic_s: float


class StepNote(Struct, frozen=True, kw_only=True):
    step: str
    text: str
    is_warning: bool = False


class BodyStarted(Struct, frozen=True, kw_only=True):
    """The body is running: started, and nothing more is known."""

    step: str
    pid: int | None
    env: tuple[EnvValue, ...] = ()
    is_service: bool = False


class ContainerEntered(Struct, frozen=True, kw_only=True):
    """The container of a step: made for it, or found and taken as it was."""

    step: str
    engine: str
    container: str
    lifecycle: Lifecycle
    action: Literal["created", "reused", "recreated"]
    reason: str = ""
    """Why it was recreated, or how it was reused."""
    networks: tuple[str, ...] = ()
    isolated_paths: tuple[str, ...] = ()
    """Inside the container."""


class ContainerLeft(Struct, frozen=True, kw_only=True):
    """Ota is done with the container of a step."""

    step: str
    container: str
    is_gone: bool
    """Whether the engine says that it no longer exists."""
    left_inside: tuple[int, ...] = ()
    """Pids inside it of what the body started and was seen running after it."""
    is_unsure: bool = False
    """It stays, and whether something of the body is still in it could not be seen."""
    goes_on: bool = False
    """It was left running on purpose, and has another owner now."""


class ServiceTerminated(Struct, frozen=True, kw_only=True):
    """A service in a container ended, classified from what the engine said before it was removed."""

    step: str
    cause: TerminationCause
    after_readiness: bool
    target: Literal["container", "service workload in persistent container"]
    container: str
    exit_code: int | None = None

    @property
    def text(self) -> str:
        """For notes: `service stopped after readiness; container was OOM-killed`."""
        if self.cause == "interrupted":  # what the user did is not what the service did
            when = "after" if self.after_readiness else "before"
            return f"service interrupted {when} readiness; {self.target} was interrupted"
        opening = "service stopped after readiness" if self.after_readiness else "service failed to start"
        if self.cause == "unknown":
            return f"{opening}; stop cause of {self.target} is unknown"
        return f"{opening}; {self.target} {_CAUSES[self.cause]}"


_CAUSES: Mapping[TerminationCause, str] = {
    "oom_killed": "was OOM-killed",
    "exited_non_zero": "exited non-zero",
    "exited": "exited",
}


class EndpointPlanned(Struct, frozen=True, kw_only=True):
    """Resolved from the contract or found by discovery; not reached yet."""

    step: str
    endpoints: tuple[Endpoint, ...]
    was_discovered: bool = False
    """Some port was found after the start: nothing of it was known before."""
    internal: tuple[InternalBind, ...] = ()


class Waiting(Struct, frozen=True, kw_only=True):
    """What a step waits for, in words, with the last result and the time spent."""

    step: str
    text: str


class Reachable(Struct, frozen=True, kw_only=True):
    """The readiness gate or, without one, the open listener was observed."""

    step: str
    is_gate: bool
    attempts: int
    elapsed_ms: int


class EndpointConfirmed(Struct, frozen=True, kw_only=True):
    """Ota itself reached this endpoint from its own host."""

    step: str
    endpoint: Endpoint
    elapsed_ms: int


class ReadinessExhausted(Struct, frozen=True, kw_only=True):
    step: str
    attempts: int
    last_results: tuple[str, ...]
    ladder: tuple[LadderRung, ...]


class RequirementsProbed(Struct, frozen=True, kw_only=True):
    """The outcome of looking for what a step needs on its plane."""

    step: str
    unit: str
    plane: Plane
    runtimes: Mapping[str, str]
    tools: Mapping[str, str]
    missing: tuple[str, ...]
    result: Literal["requirements_satisfied", "missing_requirements"]
    mode: Literal["none", "run"] = "none"


class StepEnded(Struct, frozen=True, kw_only=True):
    step: str
    status: StepStatus
    exit_code: int | None
    at: str
    monotonic_s: float
    was_attempted: bool
    """Whether the body started."""


class ServiceBegan(Struct, frozen=True, kw_only=True):
    """A required service is being looked at: neither started nor reached yet."""

    step: str
    """`service <name>`: a step of its own, not one of a task."""
    order: int
    service: str
    required_by: str
    """The task that asked first; empty when the path itself did."""
    required_for: str = ""
    """That path, in words."""
    at: str
    monotonic_s: float

    @property
    def reason(self) -> str:
        """Why it is looked at."""
        return f"required by `{self.required_by}`" if self.required_by else f"required by {self.required_for}"


class ServiceStarted(Struct, frozen=True, kw_only=True):
    """Its start command ended well, or there was nothing to start. Whether it is ready is not known."""

    step: str
    how: ServiceHow
    detail: str
    """The start command, or who answers already."""
    stop: str = ""
    """What stops it again, where the contract says so; ota ends no service by itself."""


class ServiceReady(Struct, frozen=True, kw_only=True):
    """Its declared readiness was seen to hold."""

    step: str
    attempts: int
    elapsed_ms: int


class ServiceEnded(Struct, frozen=True, kw_only=True):
    """Ota is done with it. It runs on: ota never stops a service by itself."""

    step: str
    status: ServiceStatus
    exit_code: int | None
    at: str
    monotonic_s: float
    last_results: tuple[str, ...] = ()


class PhaseStarted(Struct, frozen=True, kw_only=True):
    """`ota up` is at this phase now."""

    phase: Phase
    subject: str
    """What it is about: a task, services; empty where the phase says it all."""
    at: str
    monotonic_s: float


class Diagnosed(Struct, frozen=True, kw_only=True):
    """A phase of `ota up` asked questions; these are all the findings, in order."""

    phase: Phase
    order: int
    findings: tuple[Finding, ...]
    at: str
    monotonic_s: float


class PhaseEnded(Struct, frozen=True, kw_only=True):
    """A phase is over; READY lets the next one begin."""

    phase: Phase
    status: UpStatus
    at: str
    monotonic_s: float


class AlreadyRunning(Struct, frozen=True, kw_only=True):
    """The service of a step was running before: ota found it and did not start it."""

    step: str
    pid: int
    detail: str
    """Who started it, and since when."""
    stop: str
    """The command that ends it."""


class LeftRunning(Struct, frozen=True, kw_only=True):
    """A service that goes on without ota, as was asked for."""

    step: str
    pid: int
    stop: str
    """The command that ends it."""
    log: str
    """Where it goes on printing; repository-relative."""
    container: str = ""
    """Where it runs, in words, when the process only stands for it."""

    @property
    def who(self) -> str:
        """What goes on, for people."""
        return self.container or f"pid {self.pid}"


class LeftProcess(Struct, frozen=True, kw_only=True):
    """A process that still carries the run's marker."""

    pid: int
    command: str
    """Masked."""


class LeftContainer(Struct, frozen=True, kw_only=True):
    """A container that was made for the run alone, and that no engine said is gone."""

    container: str
    engine: str


class LeftInside(Struct, frozen=True, kw_only=True):
    """What a body left running in a container that stays."""

    container: str
    pids: tuple[int, ...]
    """Empty: whatever of it could not be ended."""


LeftBehind = LeftProcess | LeftContainer | LeftInside


class Footprint(Struct, frozen=True, kw_only=True):
    """What is still there after the run: checked, not assumed."""

    left_behind: tuple[LeftBehind, ...]
    was_checked: bool = True


class RunEnded(Struct, frozen=True, kw_only=True):
    status: RunStatus
    exit_code: int
    at: str
    monotonic_s: float
    failure: Failure | None = None
    failed_dependency: str | None = None


Event = (
    RunStarted
    | RunNote
    | LogsOpened
    | LogFailed
    | StepStarted
    | StepNote
    | ContainerEntered
    | ContainerLeft
    | BodyStarted
    | EndpointPlanned
    | Waiting
    | Reachable
    | EndpointConfirmed
    | ReadinessExhausted
    | RequirementsProbed
    | ServiceTerminated
    | StepEnded
    | ServiceBegan
    | ServiceStarted
    | ServiceReady
    | ServiceEnded
    | PhaseStarted
    | Diagnosed
    | PhaseEnded
    | AlreadyRunning
    | LeftRunning
    | Footprint
    | RunEnded
)


class Display(Protocol):
    """Who watches a run while it happens. Called from several threads, one call at a time."""

    def event(self, event: Event) -> None:
        """A fact was established."""
        ...

    def output(self, step: str, task: str, stream: Literal["stdout", "stderr"], data: bytes) -> None:
        """Child output, secrets masked, otherwise unaltered."""
        ...
