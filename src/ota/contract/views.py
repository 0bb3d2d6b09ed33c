"""Which address a view of a producer gives a caller. The one answer, for rules and for plans.

Pure contract facts: fixed endpoints and shared bindings only. What an engine does to a loopback
address seen from a container (its host alias) is decided where the engine is known.

Source: contract specification 15.7; runtime specification 15.2.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from ota.contract.listeners import effective_listeners
from ota.contract.model.readiness import ProbeTarget, Surface
from ota.contract.model.runtime import HostProjection, Listener
from ota.contract.model.scalars import AddressView, Plane, Protocol
from ota.contract.model.tasks import Task
from ota.contract.planes import Planes, runtime_on, runtimes_of
from ota.system.addresses import address_text

ANY_ADDRESS = frozenset(("0.0.0.0", "::", "[::]"))
LOOPBACK = "127.0.0.1"

EndpointSource = Literal["host projection", "bind"]
UnprovableKind = Literal["unknown listener", "conflict", "no host endpoint", "not shared", "bind not fixed"]


class Endpoint(Struct, frozen=True, kw_only=True):
    """A fixed address a caller can use as it stands."""

    protocol: Protocol
    address: str
    port: int
    path: str | None = None
    """Only a host projection has one."""
    source: EndpointSource
    shared_backend: str | None = None
    """The shared backend that makes a bind endpoint reachable."""

    @property
    def authority(self) -> str:
        """`127.0.0.1:3000`, `[::1]:3000`."""
        return address_text(self.address, self.port)

    @property
    def url(self) -> str:
        """The value a target delivers: a URL whose path is shown unless it is `/`; for tcp the authority."""
        if self.protocol == "tcp":
            return self.authority
        path = self.path if self.path not in (None, "/") else ""
        return f"{self.protocol}://{self.authority}{path}"


class Unprovable(Struct, frozen=True, kw_only=True):
    """The contract does not prove an address for this view."""

    kind: UnprovableKind
    reason: str
    next: str


def address_of(
    planes: Planes,
    view: AddressView,
    listener: str,
    *,
    caller: tuple[str, Task, Plane],
    producer: tuple[str, Task],
    owner: Planes | None = None,
) -> Endpoint | Unprovable:
    """The endpoint `view` gives a caller on its plane, or why there is none.

    `owner`: of a producer in another contract, that contract's planes.
    """
    caller_name, caller_task, plane = caller
    producer_name, producer_task = producer
    own = owner or planes
    if view == "host":
        return host_endpoint(producer_name, producer_task, listener, own.contract.surfaces)
    shared = shared_backend(planes, caller_task, plane, producer_task, owner=owner)
    if shared is not None:
        return bind_endpoint(own, producer_name, producer_task, listener, plane, shared=shared)
    if view == "topology" and plane == "native" and owner is None:
        return host_endpoint(producer_name, producer_task, listener, planes.contract.surfaces)
    return Unprovable(
        kind="not shared",
        reason=(
            f"address_view `{view}` requires a shared backend binding between `{caller_name}` and "
            f"`{producer_name}`; the caller's backend is {plane}"
        ),
        next=(
            "bind both tasks to one `execution.shared_backends` entry with `runtime.backend_binding`, "
            "or use `address_view: host`"
        ),
    )


def observed_endpoint(planes: Planes, target: ProbeTarget) -> Endpoint | Unprovable | None:
    """The endpoint a probe's task target has for its observer; None when producer or observer is unknown.

    Without an observer the command looks from this host; `internal` then is the task looking at itself.
    """
    tasks, view = planes.contract.tasks, target.address_view or "host"
    producer = tasks.get(target.name)
    if producer is None or target.listener is None:
        return None
    if view == "host":
        return host_endpoint(target.name, producer, target.listener, planes.contract.surfaces)
    if target.observer is None:
        plane, _ = planes.plane_of(producer)
        if plane == "native":
            return bind_endpoint(planes, target.name, producer, target.listener, plane)
        return Unprovable(
            kind="not shared",
            reason=f"without an observer task `{target.name}` observes itself, and its backend is {plane}",
            next="use `address_view: host`, or name an observer task that shares its backend",
        )
    observing = tasks.get(target.observer.task or "")
    if observing is None:
        return None
    plane, _ = planes.plane_of(observing)
    if observing is producer:
        return bind_endpoint(planes, target.name, producer, target.listener, plane)
    caller = (target.observer.task or "", observing, plane)
    return address_of(planes, view, target.listener, caller=caller, producer=(target.name, producer))


def host_endpoint(
    name: str, producer: Task, listener: str, surfaces: Mapping[str, Surface]
) -> Endpoint | Unprovable:
    """The fixed `project.host` endpoint on which all runtimes of the producer agree."""
    declared = listeners_named(producer, listener, surfaces)
    if not declared:
        return _unknown(name, listener)
    if len({(each.protocol, _published(each.host)) for each in declared.values()}) > 1:
        origins = ", ".join(f"`tasks.{name}.{origin}`" for origin in declared)
        return Unprovable(
            kind="conflict",
            reason=f"conflicting host-view declarations of listener `{listener}`: {origins}",
            next=f"give `{listener}` the same protocol and `project.host` in each of them",
        )
    only = next(iter(declared.values()))
    host = only.host
    if host is None or host.port.mode != "fixed" or host.port.value is None:
        found = "declares no `project.host`" if host is None else "publishes no fixed port"
        return Unprovable(
            kind="no host endpoint",
            reason=f"listener `{listener}` of task `{name}` {found}",
            next="declare `project.host.port` with `mode: fixed` and a `value` on that listener",
        )
    return Endpoint(
        protocol=only.protocol,
        address=host.address,
        port=host.port.value,
        path=host.path,
        source="host projection",
    )


def bind_endpoint(
    planes: Planes, name: str, producer: Task, listener: str, plane: Plane, *, shared: str | None = None
) -> Endpoint | Unprovable:
    """The fixed bind endpoint of the runtime on a plane, as seen inside that plane."""
    runtime = runtime_on(producer, plane)
    listeners = effective_listeners(runtime, planes.contract.surfaces) if runtime is not None else {}
    if listener not in listeners:
        return _unknown(name, listener)
    declared = listeners[listener]
    port = declared.bind.port
    if port.mode != "fixed" or port.value is None:
        return Unprovable(
            kind="bind not fixed",
            reason=f"listener `{listener}` of task `{name}` binds `{port.mode}`; the view needs a known port",
            next="declare `bind.port` with `mode: fixed` and a `value` on that listener",
        )
    address = LOOPBACK if declared.bind.address in ANY_ADDRESS else declared.bind.address
    return Endpoint(
        protocol=declared.protocol, address=address, port=port.value, source="bind", shared_backend=shared
    )


def shared_backend(
    planes: Planes, caller: Task, plane: Plane, producer: Task, *, owner: Planes | None = None
) -> str | None:
    """The shared backend in which caller and producer meet on the caller's plane, if any.

    `owner`: of a producer in another contract, that contract's planes.
    """
    binding = (owner or planes).binding_of(producer, plane)
    backend = planes.execution.shared_backends.get(binding or "")
    if backend is None or backend.backend != plane or (plane == "remote") != (backend.scope == "remote"):
        return None
    runtime = runtime_on(caller, plane)
    if runtime is not None:
        return binding if runtime.backend_binding == binding else None
    # A finite task has no runtime to bind with; on the remote plane the pinned context already is the
    # provider, target and directory.
    if plane == "remote" and backend.context is not None:
        return binding if planes.context_name(caller, plane) == backend.context else None
    return None


def listeners_named(task: Task, listener: str, surfaces: Mapping[str, Surface]) -> dict[str, Listener]:
    """Every declaration of a listener name over a task's runtimes, by the runtime's field path."""
    found: dict[str, Listener] = {}
    for path, runtime in runtimes_of(task).items():
        listeners = effective_listeners(runtime, surfaces)
        if listener in listeners:
            found[path] = listeners[listener]
    return found


def listener_names(task: Task, surfaces: Mapping[str, Surface]) -> tuple[str, ...]:
    """The listener names of a task over all its runtimes, sorted."""
    names: set[str] = set()
    for runtime in runtimes_of(task).values():
        names.update(effective_listeners(runtime, surfaces))
    return tuple(sorted(names))


def _published(host: HostProjection | None) -> tuple[object, ...] | None:
    """What must agree between runtimes; which of them is primary is no part of the endpoint."""
    return None if host is None else (host.address, host.port, host.path)


def _unknown(name: str, listener: str) -> Unprovable:
    return Unprovable(
        kind="unknown listener",
        reason=f"task `{name}` declares no listener `{listener}`",
        next=f"name a declared listener, or declare `{listener}` under `tasks.{name}.runtime.listeners`",
    )
