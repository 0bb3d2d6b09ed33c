"""`ota services`: what is declared about services; no liveness.

Source: json-and-receipts specification 2.6, 3.4.
"""

from ota.contract.durations import parse_check_timeout
from ota.contract.load import Loaded
from ota.contract.model.services import Service
from ota.contract.planes import Planes
from ota.resolve.documents.readiness import service_readiness_document
from ota.resolve.documents.shape import Document, compact
from ota.resolve.service_plan import ComposeControl, HostControl
from ota.resolve.services import control_of


def services_document(loaded: Loaded) -> Document:
    """The whole document."""
    services, planes = loaded.contract.services, Planes(loaded.contract)
    return {
        "ok": True,
        "path": loaded.shown,
        "services": [service_document(name, services[name], planes) for name in sorted(services)],
    }


def service_document(name: str, service: Service, planes: Planes) -> Document:
    """`service`."""
    producer, manager = service.producer, service.manager
    document: Document = {"name": name, "required": service.required, "depends_on": list(service.depends_on)}
    document |= compact(
        producer=compact(
            repo=producer.repo,
            task=producer.task,
            address_view=producer.address_view or "host",
            listener=producer.listener,
        )
        if producer is not None
        else None,
        manager=compact(
            kind=manager.kind,
            name=manager.name,
            file=manager.file or (manager.files[0] if manager.files else None),
            service=manager.service,
            env_file=manager.env_file or (manager.env_files[0] if manager.env_files else None),
            profiles=manager.profiles,
            files=manager.files,
            env_files=manager.env_files,
            engine=manager.engine,
            **_commands(service, planes),
            host=compact(kind=manager.host.kind, unit=manager.host.unit, scope=manager.host.scope)
            if manager.host is not None
            else None,
        )
        if manager is not None
        else None,
        provider=service.provider,
        start=service.start,
        stop=service.stop,
        healthcheck=service.healthcheck,
        readiness=service_readiness_document(service.readiness) if service.readiness is not None else None,
        endpoints={
            key: compact(address=endpoint.address, port=endpoint.port, context=endpoint.context)
            for key, endpoint in sorted(service.endpoints.items())
        },
        timeout=_seconds(service.timeout),
    )
    return document


def _commands(service: Service, planes: Planes) -> Document:
    """What a manager runs to start and to stop the service, as one would type it.

    The compose command is the one of the engine it belongs to; which one a run finds is known only then.
    """
    from shlex import join

    match control_of(service, planes):
        case ComposeControl() as control:
            compose = (control.engine, "compose")
            return {"start": join(control.start_argv(compose)), "stop": join(control.stop_argv(compose))}
        case HostControl(start=start, stop=stop):
            return compact(
                start=join((start.exe, *start.args)) if start is not None else None,
                stop=join((stop.exe, *stop.args)) if stop is not None else None,
            )
        case _:
            return {}


def _seconds(timeout: str | None) -> int | None:
    """Whole seconds, rounded up: a shorter wait than declared would be untrue."""
    return None if timeout is None else -(-parse_check_timeout(timeout).ms // 1000)
