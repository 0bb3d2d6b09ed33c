"""The plan: what will happen, where, with which env, ports and URLs. Pure data.

`ota execution plan` and `run --dry-run` render it, `ota run` executes it; there is no second
resolver. A wrong combination cannot be written down here: one body, one context per task.

Source: contract specification 11.4, 15; runtime specification 1, 2, 10; json-and-receipts 2.8.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from ota.contract.model.bodies import Action, ComposeBody, LaunchCompose, LaunchContainer, Prepare
from ota.contract.model.requirements import Acquisition
from ota.contract.model.scalars import (
    ActivationMode,
    AddressView,
    Fulfillment,
    HttpMethod,
    Lifecycle,
    Plane,
    Protocol,
)
from ota.contract.planes import LifecycleSource, PlaneSource
from ota.env.layers import EnvLayers
from ota.errors import Finding
from ota.resolve.render_plan import RenderPlan
from ota.resolve.service_plan import ServicePlan

Relation = Literal[
    "requested", "depends_on", "aggregate_member", "after_success", "after_failure", "after_always"
]


PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:/")
"""Of a name without other characters the shell sees nothing special, and nobody needs `shlex` to know."""


class Request(Struct, frozen=True, kw_only=True):
    """What the operator asked for on this invocation."""

    task: str | None = None
    mode: Plane | None = None
    lifecycle: Lifecycle | None = None
    host_port: int | None = None
    memory_bytes: int | None = None
    workflow: str | None = None
    inputs: Mapping[str, str] = {}
    skip_deps: bool = False
    agent: bool = False
    phase: str | None = None
    """Of `ota up`: which phase the task is; None where the operator named it."""
    again: str = ""
    """This very command line, for follow-up advice; empty where nobody typed one."""
    target: str = ""
    """What follow-up commands append to name the same repository, with its leading blank."""

    def command_of(self, task: str) -> str:
        """What runs a task of the same repository."""
        if not PLAIN.issuperset(task):
            from shlex import quote

            task = quote(task)
        return f"ota run {task}{self.target}"


# --- where ---------------------------------------------------------------------------------------


def compose_network(project: str) -> str:
    """The network compose gives a project."""
    return f"{project}_default"


class ContainerPlan(Struct, frozen=True, kw_only=True):
    image: str
    engines: tuple[str, ...]
    memory_bytes: int | None = None
    platform: str | None = None
    user: str | None = None
    isolated_paths: tuple[str, ...] = ()
    compose_projects: tuple[str, ...] = ()
    """What the context attaches."""
    service_projects: tuple[str, ...] = ()
    """Further ones this task joins: of required services that the contract says are reachable here (D24)."""

    @property
    def networks(self) -> tuple[str, ...]:
        """Every compose network a task joins from here."""
        return tuple(dict.fromkeys(map(compose_network, (*self.compose_projects, *self.service_projects))))


class RemotePlan(Struct, frozen=True, kw_only=True):
    provider: str
    target: str
    cwd: str | None = None
    config_file: str | None = None
    identity_file: str | None = None


class ContextPlan(Struct, frozen=True, kw_only=True):
    """The one plane and context of one task."""

    plane: Plane
    plane_source: PlaneSource
    name: str | None
    lifecycle: Lifecycle | None = None
    lifecycle_source: LifecycleSource | None = None
    container: ContainerPlan | None = None
    remote: RemotePlan | None = None
    shared_backend: str | None = None
    shared_listeners: tuple["ListenerPlan", ...] = ()
    """Of the other tasks bound to that backend: its one container publishes them too."""
    fulfillment: Fulfillment | None = None
    """What the context declares; None means `none` (D32)."""


# --- what ----------------------------------------------------------------------------------------


class ShellBody(Struct, frozen=True, kw_only=True, tag="shell"):
    """`run` or `script`: a text for the plane's shell."""

    kind: Literal["run", "script"]
    text: str


class ArgvBody(Struct, frozen=True, kw_only=True, tag="argv"):
    """`command` or `launch.kind: command`: argv, no shell."""

    exe: str
    args: tuple[str, ...] = ()
    cwd: str | None = None
    interaction: Literal["auto", "forbidden", "required"] = "auto"
    is_launch: bool = False


class ActionBody(Struct, frozen=True, kw_only=True, tag="action"):
    action: Action


class PrepareBody(Struct, frozen=True, kw_only=True, tag="prepare"):
    prepare: Prepare


class AggregateBody(Struct, frozen=True, kw_only=True, tag="aggregate"):
    tasks: tuple[str, ...]


class ComposeTaskBody(Struct, frozen=True, kw_only=True, tag="compose"):
    compose: ComposeBody


class ComposeLaunchBody(Struct, frozen=True, kw_only=True, tag="compose_launch"):
    launch: LaunchCompose


class ContainerLaunchBody(Struct, frozen=True, kw_only=True, tag="container_launch"):
    launch: LaunchContainer


BodyPlan = (
    ShellBody
    | ArgvBody
    | ActionBody
    | PrepareBody
    | AggregateBody
    | ComposeTaskBody
    | ComposeLaunchBody
    | ContainerLaunchBody
)


# --- listening -----------------------------------------------------------------------------------


class ProjectionPlan(Struct, frozen=True, kw_only=True):
    """The host side. `port` is None while it can only be observed after start."""

    address: str
    port_mode: Literal["fixed", "auto"]
    port: int | None
    path: str | None


class ListenerPlan(Struct, frozen=True, kw_only=True):
    name: str
    protocol: Protocol
    bind_address: str
    bind_port: int | None
    """None: discovered after a native start."""
    projection: ProjectionPlan | None = None
    is_primary: bool = False


class ProbePlan(Struct, frozen=True, kw_only=True):
    """One readiness request, its address still to be taken from the listener it names."""

    kind: Literal["http", "tcp"]
    listener: str
    method: HttpMethod = "GET"
    path: str | None = None
    headers: Mapping[str, str] = {}
    statuses: tuple[int, ...] | None = None
    """None: any 200 to 399."""
    body_contains: str | None = None
    timeout_ms: int | None = None
    name: str | None = None
    """The reusable probe it came from."""


class ReadinessPlan(Struct, frozen=True, kw_only=True):
    """A gate: the start fails when it is not reached within its budget (D7)."""

    probe: ProbePlan
    signal_probes: tuple[ProbePlan, ...] = ()
    interval_ms: int = 500
    retries: int = 120
    start_period_ms: int = 0
    limit_ms: int | None = None
    """Asked for on the command line: over then, whatever an attempt would still take."""


class RuntimePlan(Struct, frozen=True, kw_only=True):
    """A long-running workload."""

    listeners: tuple[ListenerPlan, ...]
    """In name order."""
    primary: str | None = None
    readiness: ReadinessPlan | None = None
    """None: an open listener counts, and nothing is gated."""

    def listener(self, name: str) -> ListenerPlan:
        """The listener of that name."""
        return next(listener for listener in self.listeners if listener.name == name)


# --- with what -----------------------------------------------------------------------------------


class RequirementPlan(Struct, frozen=True, kw_only=True):
    """One runtime, tool or toolchain this task needs on its plane, active for the target system."""

    kind: Literal["runtime", "tool", "toolchain"]
    name: str
    version: str
    required: bool = True
    field: tuple[str | int, ...] = ()
    provider: str | None = None
    distribution: str | None = None
    acquisition: Acquisition | None = None

    @property
    def is_component(self) -> bool:
        """A part of a toolchain that only its provider knows: its name is no program to look for."""
        return self.field[:1] == ("toolchains",) and self.field[-1] == "components"

    @property
    def is_program(self) -> bool:
        """The program of the body itself, which nobody had to declare."""
        return self.field[-1:] == ("exe",)

    @property
    def text(self) -> str:
        """`node >=20`; without a version where any will do."""
        return self.name if self.version == "*" else f"{self.name} {self.version}"


class InputPlan(Struct, frozen=True, kw_only=True):
    """A resolved input: exported as `OTA_INPUT_<NAME>`."""

    name: str
    value: str
    source: Literal["operator", "default", "target_binding"]


class TargetPlan(Struct, frozen=True, kw_only=True):
    """A resolved target, or the reason why it has no address."""

    name: str
    source: Literal["explicit_override", "target_binding", "compatibility_literal_default"] | None
    effective_url: str | None = None
    problem: str | None = None
    override_input: str | None = None
    activation: ActivationMode = "manual"
    task: str | None = None
    member: str | None = None
    repo: str | None = None
    listener: str | None = None
    address_view: AddressView | None = None
    url: str | None = None


class TaskPlan(Struct, frozen=True, kw_only=True):
    """One task on one plane, fully decided. What cannot run says so in `refusals`."""

    name: str
    context: ContextPlan
    body: BodyPlan | None
    """None only beside a refusal."""
    runtime: RuntimePlan | None = None
    env: EnvLayers = EnvLayers()
    inputs: tuple[InputPlan, ...] = ()
    targets: tuple[TargetPlan, ...] = ()
    requires_services: tuple[str, ...] = ()
    when_checks: tuple[str, ...] = ()
    requirements: tuple[RequirementPlan, ...] = ()
    native_prerequisites: tuple[str, ...] = ()
    required_checks: tuple[str, ...] = ()
    internal: bool = False
    variant_os: str | None = None
    """The OS variant in effect, when one matched."""
    notes: tuple[str, ...] = ()
    refusals: tuple[Finding, ...] = ()


class StepPlan(Struct, frozen=True, kw_only=True):
    """One node of the execution: a task in one relation to its parent."""

    id: str
    """The task name; a hook that must run again in a later generation gets `<task>@<n>`."""
    task: TaskPlan
    relation: Relation
    parent: str | None
    """Task name of the parent."""
    generation: int = 0
    depends_on: tuple[str, ...] = ()
    """Step ids, in declared order; aggregate members too."""
    after_success: tuple[str, ...] = ()
    after_failure: tuple[str, ...] = ()
    after_always: tuple[str, ...] = ()


class Plan(Struct, frozen=True, kw_only=True):
    """Everything one `ota run <task>` will do. Refusals are data, so that a preview can show them."""

    request: Request
    root: Path
    contract_shown: str
    steps: Mapping[str, StepPlan]
    requested: str
    """Step id of the requested task."""
    services: tuple[ServicePlan, ...] = ()
    """What the tasks require, with all they depend on, in starting order."""
    workflow: str | None = None
    render: RenderPlan | None = None
    """Files that the workflow's env profile makes before anything runs."""
    skipped_dependencies: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    """Names of secret variables."""
    warnings: tuple[Finding, ...] = ()

    @property
    def requested_step(self) -> StepPlan:
        """The step of the requested task."""
        return self.steps[self.requested]

    @property
    def again(self) -> str:
        """The command that would do this once more."""
        return self.request.again or self.request.command_of(self.requested_step.task.name)

    def refusals(self) -> tuple[Finding, ...]:
        """Why this plan may not start, in execution order."""
        return tuple(finding for step in self.steps.values() for finding in step.task.refusals)
