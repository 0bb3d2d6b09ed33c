"""Records of `tasks`. A task may hold zero or several bodies until rules V271 and V272 have spoken.

Source: contract specification 15.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from ota.contract.model.bodies import Action, Aggregate, Command, ComposeBody, Launch, Prepare
from ota.contract.model.requirements import TaskRequirements
from ota.contract.model.runtime import Runtime
from ota.contract.model.scalars import ActivationMode, AddressView, AnyText, Lifecycle, OpenValue, Plane


class Input(Struct, frozen=True, kw_only=True):
    """A value the operator may give; always text."""

    description: str | None = None
    notes: str | None = None
    required: bool = False
    default: AnyText | None = None
    allowed: tuple[AnyText, ...] | None = None


class TargetService(Struct, frozen=True, kw_only=True):
    task: str
    member: str | None = None
    repo: str | None = None
    listener: str | None = None
    address_view: AddressView | None = None


class Activation(Struct, frozen=True, kw_only=True):
    mode: ActivationMode = "manual"


class Target(Struct, frozen=True, kw_only=True):
    """Exactly one of `service` and `url`."""

    service: TargetService | None = None
    url: str | None = None
    override_input: str | None = None
    activation: Activation = Activation()


class FromService(Struct, frozen=True, kw_only=True):
    service: str
    view: str | None = None
    endpoint: str | None = None
    format: Literal["url", "host", "port", "host_port"] = "url"
    scheme: str | None = None
    username: str | None = None
    password: str | None = None
    password_env: str | None = None
    database: str | None = None


class EnvBinding(Struct, frozen=True, kw_only=True):
    from_service: FromService


class AdapterOverlay(Struct, frozen=True, kw_only=True):
    """Keys of every family; which key belongs to which family is rule V382."""

    cwd: str | None = None
    env_files: tuple[str, ...] | None = None
    files: tuple[str, ...] | None = None
    profiles: tuple[str, ...] | None = None
    project_name: str | None = None
    values_files: tuple[str, ...] | None = None
    chart: str | None = None
    release_name: str | None = None
    namespace: str | None = None


class AdapterInputs(Struct, frozen=True, kw_only=True):
    """`compose`, `bake`, `helm` are the legacy aliases of `overlays.<family>`."""

    overlays: Mapping[str, AdapterOverlay] = {}
    compose: AdapterOverlay | None = None
    bake: AdapterOverlay | None = None
    helm: AdapterOverlay | None = None


class When(Struct, frozen=True, kw_only=True):
    checks: tuple[str, ...] = ()
    os: str | None = None


class Effects(Struct, frozen=True, kw_only=True):
    writes: tuple[str, ...] = ()
    workspace_writes: tuple[str, ...] = ()
    network: bool = False
    network_kind: (
        Literal[
            "broad",
            "dependency_hydration",
            "container_image_hydration",
            "service_readiness",
            "integration_test",
            "tool_bootstrap",
        ]
        | None
    ) = None
    external_state: tuple[str, ...] = ()
    adapter_state: tuple[str, ...] = ()
    declared: OpenValue = None


class OrchestratorUse(Struct, frozen=True, kw_only=True):
    ref: str
    mode: Literal["task", "exec", "subcommand"]


class Branch(Struct, frozen=True, kw_only=True):
    """One entry of `execution.modes`. What it does not state comes from the task."""

    context: str | None = None
    lifecycle: Lifecycle | None = None
    depends_on: tuple[str, ...] | None = None
    env: Mapping[str, str] = {}
    env_files: tuple[str, ...] = ()
    env_bindings: Mapping[str, EnvBinding] = {}
    adapter_inputs: AdapterInputs | None = None
    orchestrator: OrchestratorUse | None = None
    run: str | None = None
    script: str | None = None
    command: Command | None = None
    compose: ComposeBody | None = None
    prepare: Prepare | None = None
    launch: Launch | None = None
    runtime: Runtime | None = None


class TaskExecution(Struct, frozen=True, kw_only=True):
    default_mode: Plane | None = None
    modes: Mapping[Plane, Branch] = {}
    orchestrator: OrchestratorUse | None = None


class VariantWhen(Struct, frozen=True, kw_only=True):
    os: str | None = None


class Variant(Struct, frozen=True, kw_only=True):
    when: VariantWhen = VariantWhen()
    run: str | None = None
    script: str | None = None
    command: Command | None = None
    compose: ComposeBody | None = None
    env: Mapping[str, str] = {}
    env_files: tuple[str, ...] = ()
    env_bindings: Mapping[str, EnvBinding] = {}
    inputs: Mapping[str, Input] = {}
    requirements: TaskRequirements | None = None
    adapter_inputs: AdapterInputs | None = None


class Task(Struct, frozen=True, kw_only=True):
    description: str | None = None
    notes: str | None = None
    category: str | None = None
    run: str | None = None
    script: str | None = None
    command: Command | None = None
    compose: ComposeBody | None = None
    prepare: Prepare | None = None
    launch: Launch | None = None
    action: Action | None = None
    aggregate: Aggregate | None = None
    context: str | None = None
    lifecycle: Lifecycle | None = None
    execution: TaskExecution | None = None
    runtime: Runtime | None = None
    depends_on: tuple[str, ...] = ()
    requires_services: tuple[str, ...] = ()
    after_success: tuple[str, ...] = ()
    after_failure: tuple[str, ...] = ()
    after_always: tuple[str, ...] = ()
    env: Mapping[str, str] = {}
    env_files: tuple[str, ...] = ()
    env_bindings: Mapping[str, EnvBinding] = {}
    adapter_inputs: AdapterInputs | None = None
    inputs: Mapping[str, Input] = {}
    targets: Mapping[str, Target] = {}
    variants: tuple[Variant, ...] = ()
    when: When | None = None
    only_on: tuple[str, ...] | None = None
    internal: bool = False
    safe_for_agent: bool = False
    effects: Effects | None = None
    requirements: TaskRequirements | None = None
    runtime_boundary: OpenValue = None
    requires_artifacts: OpenValue = None
    replay_inputs: OpenValue = None
    witnessed_observations: OpenValue = None
