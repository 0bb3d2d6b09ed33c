"""Records of `workflows` and their instances. Source: contract specification 16."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from ota.contract.model.bodies import Action
from ota.contract.model.readiness import RuntimeReadiness
from ota.contract.model.scalars import OpenValue, Port
from ota.contract.model.tasks import AdapterInputs


class TaskRef(Struct, frozen=True, kw_only=True):
    task: str


class WorkflowPrepare(Struct, frozen=True, kw_only=True):
    """Exactly one of `task` and `action`."""

    task: str | None = None
    action: Action | None = None


class WorkflowServices(Struct, frozen=True, kw_only=True):
    required: tuple[str, ...] | None = None


class SignalReadiness(Struct, frozen=True, kw_only=True):
    checks: tuple[str, ...] = ()
    probes: tuple[str, ...] = ()
    surfaces: tuple[str, ...] = ()


class WorkflowReadiness(Struct, frozen=True, kw_only=True):
    checks: tuple[str, ...] = ()
    probes: tuple[str, ...] = ()
    surfaces: tuple[str, ...] = ()
    signal: SignalReadiness = SignalReadiness()


class Expose(Struct, frozen=True, kw_only=True):
    """A URL written as a string, or a surface of the run task."""

    url: str | None = None
    surface: str | None = None


class WorkflowEnv(Struct, frozen=True, kw_only=True):
    profile: str | None = None
    compose_env_file_services: tuple[str, ...] = ()
    adapter_inputs: AdapterInputs | None = None
    compose_files: tuple[str, ...] | None = None
    compose_project_name: str | None = None


class InstancePort(Struct, frozen=True, kw_only=True):
    mode: Literal["fixed", "discover", "auto"] | None = None
    value: Port | None = None
    stride: int | None = None


class InstanceBind(Struct, frozen=True, kw_only=True):
    address: str | None = None
    port: InstancePort | None = None


class InstanceHost(Struct, frozen=True, kw_only=True):
    address: str | None = None
    port: InstancePort | None = None
    primary: bool | None = None
    path: str | None = None


class InstanceProjection(Struct, frozen=True, kw_only=True):
    host: InstanceHost | None = None


class InstanceListener(Struct, frozen=True, kw_only=True):
    bind: InstanceBind | None = None
    project: InstanceProjection | None = None


class InstanceRuntime(Struct, frozen=True, kw_only=True):
    listeners: Mapping[str, InstanceListener] = {}
    readiness: RuntimeReadiness | None = None
    backend_binding: str | None = None


class InstanceTask(Struct, frozen=True, kw_only=True):
    env: Mapping[str, str] = {}
    adapter_inputs: AdapterInputs | None = None
    runtime: InstanceRuntime | None = None


class InstanceSurface(Struct, frozen=True, kw_only=True):
    port: int | None = None
    port_stride: int | None = None
    path: str | None = None


class InstanceTopology(Struct, frozen=True, kw_only=True):
    requires_instances: tuple[str, ...] = ()


class Instance(Struct, frozen=True, kw_only=True):
    description: str | None = None
    notes: str | None = None
    topology: InstanceTopology | None = None
    env: Mapping[str, str] = {}
    tasks: Mapping[str, InstanceTask] = {}
    surfaces: Mapping[str, InstanceSurface] = {}


class GeneratedInstances(Struct, frozen=True, kw_only=True):
    prefix: str
    start: int
    end: int
    template: Instance = Instance()


class Instances(Struct, frozen=True, kw_only=True):
    """Every key beside `default` and `generated` is a named instance."""

    default: str
    generated: Mapping[str, GeneratedInstances] = {}
    named: Mapping[str, Instance] = {}


class Workflow(Struct, frozen=True, kw_only=True):
    intent: str | None = None
    description: str | None = None
    notes: str | None = None
    prepare: WorkflowPrepare | None = None
    setup: TaskRef | None = None
    run: TaskRef | None = None
    attach: TaskRef | None = None
    services: WorkflowServices | None = None
    readiness: WorkflowReadiness | None = None
    exposes: tuple[Expose, ...] = ()
    env: WorkflowEnv | None = None
    adapter_inputs: AdapterInputs | None = None
    instances: Instances | None = None
    runtime_boundary: OpenValue = None
    proof: OpenValue = None


class Workflows(Struct, frozen=True, kw_only=True):
    """`default` names one entry; every other key is an entry."""

    default: str | None = None
    entries: Mapping[str, Workflow] = {}
