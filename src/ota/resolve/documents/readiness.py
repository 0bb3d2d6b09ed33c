"""Declared listening and readiness as documents: shorthand expanded, surfaces attached, nothing evaluated.

Source: json-and-receipts specification 2.6, 2.7.
"""

from collections.abc import Mapping

from ota.contract.durations import parse_check_timeout
from ota.contract.listeners import effective_listeners, effective_readiness
from ota.contract.model.readiness import Probe, RuntimeReadiness, ServiceReadiness, Surface, SurfaceReadiness
from ota.contract.model.runtime import BindPort, HostPort, Listener, Runtime, SurfaceAttachment
from ota.contract.model.tasks import Task
from ota.contract.planes import Planes
from ota.resolve.documents.shape import Document, by_key, compact


def readiness_document(readiness: RuntimeReadiness | SurfaceReadiness) -> Document:
    """`readiness`: timings stay as authored."""
    named = readiness.probe if isinstance(readiness, RuntimeReadiness) else None
    inline = readiness if isinstance(readiness, RuntimeReadiness) else None
    return compact(
        kind="probe" if named is not None else readiness.kind,
        listener=inline.listener if inline is not None else None,
        probe=named,
        signal_probes=inline.signal_probes if inline is not None else None,
        **_request(readiness),
    )


def service_readiness_document(readiness: ServiceReadiness) -> Document:
    """`serviceReadiness`: `from` and `endpoint` say where it is asked."""
    return compact(
        from_=readiness.from_,
        endpoint=readiness.endpoint,
        run=readiness.run,
        kind=readiness.kind or ("probe" if readiness.probe is not None else None),
        probe=readiness.probe,
        **_request(readiness),
    )


def _request(readiness: RuntimeReadiness | SurfaceReadiness | ServiceReadiness) -> Document:
    success, body = readiness.success, readiness.body
    return {
        "method": readiness.method,
        "path": readiness.path,
        "headers": by_key(readiness.headers),
        "success": {"status": list(success.status)} if success is not None and success.status else None,
        "body": {"contains": body.contains} if body is not None else None,
        "interval": readiness.interval,
        "timeout": readiness.timeout,
        "retries": readiness.retries,
        "start_period": readiness.start_period,
    }


def runtime_document(runtime: Runtime, surfaces: Mapping[str, Surface]) -> Document:
    """`runtimeDecl`."""
    readiness = effective_readiness(runtime, surfaces)
    listeners = effective_listeners(runtime, surfaces)
    return compact(
        kind=runtime.kind,
        backend_binding=runtime.backend_binding,
        readiness=readiness_document(readiness) if readiness is not None else None,
        attached_surfaces=[attachment.name for attachment in runtime.surfaces],
        surface_attachments=by_key(
            {attachment.name: _attachment(attachment) for attachment in runtime.surfaces}
        ),
        listeners={name: listener_document(listener) for name, listener in listeners.items()},
    )


def listener_document(listener: Listener) -> Document:
    """`listenerDecl`."""
    host = listener.host
    projection = None
    if host is not None:
        projection = compact(
            address=host.address,
            port_mode=host.port.mode,
            port_value=host.port.value if host.port.mode == "fixed" else None,
            primary=host.primary,
            path=host.path,
        )
    return compact(
        protocol=listener.protocol,
        bind_address=listener.bind.address,
        bind_port_mode=listener.bind.port.mode,
        bind_port_value=listener.bind.port.value if listener.bind.port.mode == "fixed" else None,
        host_projection=projection,
    )


def _attachment(attachment: SurfaceAttachment) -> Document:
    bind = attachment.bind
    host = attachment.project.host if attachment.project is not None else None
    return compact(
        uses_defaults=bind is None and host is None,
        bind=compact(address=bind.address, **_port(bind.port)) if bind is not None else None,
        project=compact(
            host=compact(address=host.address, **_port(host.port), primary=host.primary, path=host.path)
        )
        if host is not None
        else None,
    )


def _port(port: BindPort | HostPort | None) -> Document:
    return {} if port is None else {"port_mode": port.mode, "port_value": port.value}


def surface_document(surface: Surface) -> Document:
    """`surfaceDecl`."""
    return compact(
        kind=surface.kind,
        port=surface.port,
        label=surface.label,
        purpose=surface.purpose,
        visibility=surface.visibility,
        path=surface.path or ("/" if surface.kind != "tcp" else None),
        readiness=readiness_document(surface.readiness) if surface.readiness is not None else None,
    )


def probe_document(probe: Probe, planes: Planes, tasks: Mapping[str, Task]) -> Document:
    """`probeDecl`: who observes, and on which plane."""
    status = probe.success.status if probe.success is not None else None
    if probe.expect_status is not None:
        status = (probe.expect_status,)
    return compact(
        kind=probe.kind,
        url=probe.url,
        target=_target(probe, planes, tasks),
        method=probe.method,
        path=probe.path,
        headers=by_key(probe.headers),
        success={"status": list(status)} if status else None,
        body={"contains": probe.body.contains} if probe.body is not None else None,
        timeout_ms=parse_check_timeout(probe.timeout).ms if probe.timeout else None,
    )


def _target(probe: Probe, planes: Planes, tasks: Mapping[str, Task]) -> Document | None:
    target = probe.target
    if target is None:
        return None
    if target.kind == "service":
        return compact(kind=target.kind, name=target.name, endpoint=target.endpoint)
    observer = target.observer
    if observer is None or observer.task is None:
        seen_by, plane = {"kind": "command_host"}, "command_host"
    else:
        plane = planes.plane_of(tasks[observer.task])[0]
        seen_by = {"kind": "task", "task": observer.task, "backend": plane}
    return compact(
        kind=target.kind,
        name=target.name,
        listener=target.listener,
        address_view=target.address_view or "host",
        observer=seen_by,
        resolution_plane=plane,
    )
