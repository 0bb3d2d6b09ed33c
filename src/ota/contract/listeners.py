"""What a task's runtime really listens on, once surfaces are attached. Pure contract facts.

Source: contract specification 15.9 (surfaces, readiness derivation, primary); runtime specification 10.1.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from ota.contract.model.readiness import RuntimeReadiness, Surface
from ota.contract.model.runtime import (
    AttachedHost,
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

SHORTHAND_ADDRESS = "127.0.0.1"


def effective_listeners(runtime: Runtime, surfaces: Mapping[str, Surface]) -> dict[str, Listener]:
    """Declared listeners plus one per attached known surface, in name order.

    A declared listener of the same name is the surface's own publication and wins.
    """
    listeners = dict(runtime.listeners)
    for attachment in runtime.surfaces:
        surface = surfaces.get(attachment.name)
        if surface is not None and attachment.name not in listeners:
            listeners[attachment.name] = listener_of_surface(surface, attachment)
    return {name: listeners[name] for name in sorted(listeners)}


def listener_of_surface(surface: Surface, attachment: SurfaceAttachment) -> Listener:
    """The surface's own listener: loopback, fixed, projected one to one, then the overrides."""
    port = Port(surface.port)
    path = None if surface.kind == "tcp" else surface.path or "/"
    host = HostProjection(
        address=SHORTHAND_ADDRESS, port=HostPort(mode="fixed", value=port), primary=False, path=path
    )
    bind = Bind(address=SHORTHAND_ADDRESS, port=BindPort(mode="fixed", value=port))
    if attachment.bind is not None:
        bind = Bind(address=attachment.bind.address or bind.address, port=attachment.bind.port or bind.port)
    if attachment.project is not None and attachment.project.host is not None:
        host = _overridden(host, attachment.project.host)
    return Listener(protocol=surface.kind, bind=bind, project=Projection(host=host))


def _overridden(host: HostProjection, override: AttachedHost) -> HostProjection:
    stated = {
        name: getattr(override, name)
        for name in override.__struct_fields__
        if getattr(override, name) is not None
    }
    return replace(host, **stated)


def projected(listeners: Mapping[str, Listener]) -> dict[str, HostProjection]:
    """The listeners that declare a host projection."""
    return {name: listener.host for name, listener in listeners.items() if listener.host is not None}


def primary_listener(listeners: Mapping[str, Listener]) -> str | None:
    """The marked primary; else the first projected one; else the first listener.

    Source: runtime specification 10.2, "Primary listener selection at run time".
    """
    hosts = projected(listeners)
    marked = [name for name, host in hosts.items() if host.primary]
    for names in (marked, hosts, listeners):
        if names:
            return next(iter(names))
    return None


def effective_readiness(runtime: Runtime, surfaces: Mapping[str, Surface]) -> RuntimeReadiness | None:
    """Declared readiness, else the one derived from attached surfaces; None means listener reachability."""
    if runtime.readiness is not None:
        return runtime.readiness
    ready = [
        attachment.name
        for attachment in runtime.surfaces
        if (surface := surfaces.get(attachment.name)) is not None and surface.readiness is not None
    ]
    listeners = effective_listeners(runtime, surfaces)
    if len(ready) > 1:
        ready = [name for name in ready if (host := listeners[name].host) is not None and host.primary]
    if len(ready) != 1:
        return None
    return readiness_of_surface(ready[0], surfaces[ready[0]])


def readiness_of_surface(name: str, surface: Surface) -> RuntimeReadiness:
    """A surface's readiness as the listener of that name states it; its path defaults to the surface's."""
    declared = surface.readiness
    assert declared is not None
    path = None if declared.kind == "tcp" else declared.path or surface.path or "/"
    return RuntimeReadiness(
        kind=declared.kind,
        listener=name,
        method=declared.method,
        path=path,
        headers=declared.headers,
        success=declared.success,
        body=declared.body,
        interval=declared.interval,
        timeout=declared.timeout,
        retries=declared.retries,
        start_period=declared.start_period,
    )
