"""What a selected workflow instance changes of the contract: surfaces, listeners, readiness, bindings.

Pure. The overlay is put into the records before anything is planned, so that listeners, targets, probes
and surfaces all see one address. Env and adapter inputs of an instance are layers of their own.

Source: contract specification 16 (`instances`); appendix B.3.
"""

from collections.abc import Mapping
from typing import TypeVar, cast

from msgspec import Struct
from msgspec.structs import replace

from ota.contract.listeners import effective_listeners
from ota.contract.model import Contract
from ota.contract.model.readiness import Surface
from ota.contract.model.runtime import (
    AttachedBind,
    Bind,
    BindPort,
    HostPort,
    HostProjection,
    Listener,
    Projection,
    Runtime,
    SurfaceAttachment,
)
from ota.contract.model.scalars import Port
from ota.contract.model.tasks import Task
from ota.contract.model.workflows import (
    Instance,
    InstanceHost,
    InstanceListener,
    InstancePort,
    InstanceRuntime,
    InstanceSurface,
)

AnyPort = TypeVar("AnyPort", BindPort, HostPort)


class SelectedInstance(Struct, frozen=True, kw_only=True):
    """One instance with its own names written out, and its number when it was generated."""

    name: str
    instance: Instance
    index: int | None = None

    @property
    def number(self) -> int:
        """What strides are multiplied with."""
        return self.index or 0


def selected_instance(name: str, declared: Instance, index: int | None) -> SelectedInstance:
    """The instance as it is in effect."""
    names = {"OTA_WORKFLOW_INSTANCE": name}
    if index is not None:
        names["OTA_WORKFLOW_INSTANCE_INDEX"] = str(index)
    return SelectedInstance(name=name, instance=cast(Instance, _written_out(declared, names)), index=index)


def _written_out(value: object, names: Mapping[str, str]) -> object:
    """The same value with the instance's variables replaced in every string."""
    if isinstance(value, str):
        if "${OTA_WORKFLOW_INSTANCE" not in value:
            return value
        text = str(value)
        for name, replacement in names.items():
            text = text.replace(f"${{{name}}}", replacement)
        return text
    if isinstance(value, Struct):
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        changed = {name: _written_out(each, names) for name, each in fields.items()}
        return replace(value, **{name: each for name, each in changed.items() if each is not fields[name]})
    if isinstance(value, Mapping):
        return {key: _written_out(each, names) for key, each in value.items()}
    if isinstance(value, tuple):
        return tuple(_written_out(each, names) for each in value)
    return value


def overlaid(contract: Contract, selected: SelectedInstance) -> Contract:
    """The contract as this instance sees it; the same object when nothing changes."""
    stated = selected.instance
    if not stated.surfaces and not any(each.runtime for each in stated.tasks.values()):
        return contract
    surfaces = dict(contract.surfaces)
    for name, overlay in stated.surfaces.items():
        surfaces[name] = _surface(surfaces[name], overlay, selected)
    tasks = dict(contract.tasks)
    if stated.surfaces:
        tasks = {name: _reattached(task, contract.surfaces, surfaces) for name, task in tasks.items()}
    for name, own in stated.tasks.items():
        runtime = tasks[name].runtime
        if own.runtime is not None and runtime is not None:
            tasks[name] = replace(tasks[name], runtime=_runtime(runtime, own.runtime, surfaces, selected))
    return replace(contract, surfaces=surfaces, tasks=tasks)


# --- surfaces ------------------------------------------------------------------------------------


def _surface(base: Surface, overlay: InstanceSurface, selected: SelectedInstance) -> Surface:
    port = overlay.port if overlay.port is not None else base.port
    return replace(
        base,
        port=port + selected.number * (overlay.port_stride or 0),
        path=overlay.path if overlay.path is not None else base.path,
    )


def _reattached(task: Task, before: Mapping[str, Surface], after: Mapping[str, Surface]) -> Task:
    """An attachment that writes its surface's port down follows it: the two have to be equal."""
    runtime = task.runtime
    if runtime is not None and runtime.surfaces:
        task = replace(task, runtime=_following(runtime, before, after))
    execution = task.execution
    if execution is None:
        return task
    modes = {
        name: replace(mode, runtime=_following(mode.runtime, before, after))
        if mode.runtime is not None and mode.runtime.surfaces
        else mode
        for name, mode in execution.modes.items()
    }
    return replace(task, execution=replace(execution, modes=modes))


def _following(runtime: Runtime, before: Mapping[str, Surface], after: Mapping[str, Surface]) -> Runtime:
    def follow(attachment: SurfaceAttachment) -> SurfaceAttachment:
        bind, name = attachment.bind, attachment.name
        if bind is None or bind.port is None or name not in before or bind.port.value != before[name].port:
            return attachment
        port = replace(bind.port, value=Port(after[name].port))
        return replace(attachment, bind=AttachedBind(address=bind.address, port=port))

    return replace(runtime, surfaces=tuple(map(follow, runtime.surfaces)))


# --- runtimes ------------------------------------------------------------------------------------


def _runtime(
    base: Runtime, overlay: InstanceRuntime, surfaces: Mapping[str, Surface], selected: SelectedInstance
) -> Runtime:
    known = effective_listeners(base, surfaces)
    listeners = dict(base.listeners)
    for name, stated in overlay.listeners.items():
        listeners[name] = _listener(known[name], stated, selected)
    return replace(
        base,
        listeners=listeners,
        readiness=overlay.readiness if overlay.readiness is not None else base.readiness,
        backend_binding=overlay.backend_binding or base.backend_binding,
    )


def _listener(base: Listener, overlay: InstanceListener, selected: SelectedInstance) -> Listener:
    bind = base.bind
    if overlay.bind is not None:
        bind = Bind(
            address=overlay.bind.address or bind.address, port=_port(bind.port, overlay.bind.port, selected)
        )
    host = base.host
    if overlay.project is not None and overlay.project.host is not None and host is not None:
        host = _host(host, overlay.project.host, selected)
    publication = base.project.publication if base.project is not None else None
    return replace(base, bind=bind, project=Projection(host=host, publication=publication))


def _host(base: HostProjection, overlay: InstanceHost, selected: SelectedInstance) -> HostProjection:
    return HostProjection(
        address=overlay.address or base.address,
        port=_port(base.port, overlay.port, selected),
        primary=base.primary if overlay.primary is None else overlay.primary,
        path=overlay.path if overlay.path is not None else base.path,
    )


def _port(base: AnyPort, overlay: InstancePort | None, selected: SelectedInstance) -> AnyPort:
    """Declared value plus number times stride; a port that is not fixed has no value."""
    if overlay is None:
        return base
    mode = overlay.mode or base.mode
    value = overlay.value if overlay.value is not None else base.value
    if mode != "fixed" or value is None:
        return replace(base, mode=mode, value=None)
    return replace(base, mode=mode, value=Port(value + selected.number * (overlay.stride or 0)))
