"""Declared services as plans: control, readiness with its address, and the order in which they start.

Pure. An address is the one that the contract declares for the context that asks; nothing falls back
to another context.

Source: contract specification 12; runtime specification 13, 14.1; decisions D7, D10.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec.structs import replace

from ota.contract.durations import parse_check_timeout, parse_duration_ms
from ota.contract.model.readiness import ServiceReadiness
from ota.contract.model.scalars import Plane
from ota.contract.model.services import Endpoint, Service
from ota.contract.model.tasks import Task
from ota.contract.planes import SHORTHAND_CONTEXT, Planes
from ota.resolve.boundary import DEFAULT_ENGINES
from ota.resolve.listening import accepted_statuses
from ota.resolve.plan import TaskPlan
from ota.resolve.scope import Scope, TaskScope
from ota.resolve.service_plan import (
    CommandReadiness,
    ComposeControl,
    ControlPlan,
    EndpointReadiness,
    HealthReadiness,
    HostControl,
    LegacyControl,
    NoControl,
    ProducerControl,
    ReadinessForm,
    ServicePlan,
    UnitControl,
    UnitReadiness,
)


def plan_services(scope: Scope, names: Iterable[str]) -> tuple[ServicePlan, ...]:
    """These services and all they depend on, each after what it depends on."""
    services = scope.contract.services
    ordered: dict[str, None] = {}
    waiting = list(reversed([*names]))
    entered: set[str] = set()
    while waiting:
        name = waiting[-1]
        open_ones = [each for each in services[name].depends_on if each not in ordered]
        if name in ordered or name in entered or not open_ones:
            waiting.pop()
            ordered.setdefault(name)
        else:
            entered.add(name)
            waiting.extend(reversed(open_ones))
    return tuple(_plan(scope, name, services[name]) for name in ordered)


def closure(plans: Sequence[ServicePlan], names: Iterable[str]) -> tuple[ServicePlan, ...]:
    """Of planned services, these and all they depend on, in starting order."""
    by_name = {plan.name: plan for plan in plans}
    wanted: set[str] = set()
    waiting = [*names]
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting.extend(by_name[name].depends_on)
    return tuple(plan for plan in plans if plan.name in wanted)


def _plan(scope: Scope, name: str, service: Service) -> ServicePlan:
    readiness = service.readiness
    plan = ServicePlan(
        name=name,
        control=control_of(service, scope.planes, _rendered_env_file(scope, name)),
        readiness=_form(scope, name, service),
        is_required=service.required,
        depends_on=service.depends_on,
        timeout_ms=_timeout_ms(scope, service),
    )
    if readiness is None:
        return plan
    return replace(
        plan,
        interval_ms=parse_duration_ms(readiness.interval) if readiness.interval else plan.interval_ms,
        retries=readiness.retries or plan.retries,
        has_own_retries=readiness.retries is not None,
        start_period_ms=parse_duration_ms(readiness.start_period) if readiness.start_period else 0,
    )


def control_of(service: Service, planes: Planes, rendered_env_files: tuple[str, ...] = ()) -> ControlPlan:
    """Who starts and stops a service; `rendered_env_files` are those that a workflow adds."""
    manager = service.manager
    if service.producer is not None:
        return ProducerControl(repo=service.producer.repo, task=service.producer.task)
    if manager is None:
        is_controlled = service.start is not None or service.stop is not None
        return LegacyControl(start=service.start, stop=service.stop) if is_controlled else NoControl()
    if manager.kind == "host":
        if manager.host is not None:
            return UnitControl(unit=manager.host.unit)
        return HostControl(start=manager.start, stop=manager.stop)
    return ComposeControl(
        project=manager.name or "",
        service=manager.service or "",
        engine=compose_engine(service, planes),
        candidates=_candidates(service, planes),
        files=(*((manager.file,) if manager.file else ()), *(manager.files or ())),
        env_files=(
            *rendered_env_files,
            *((manager.env_file,) if manager.env_file else ()),
            *(manager.env_files or ()),
        ),
        profiles=manager.profiles or (),
    )


def compose_engine(service: Service, planes: Planes) -> Literal["docker", "podman"]:
    """The engine of a compose service: the declared one, else that of the containers that reach it (D12).

    Those are of contexts that have an endpoint of it, or are attached to its project. On another engine
    they would wait for it in vain, so all of them have to be on Podman for it to be there.
    """
    manager = service.manager
    if manager is not None and manager.engine is not None:
        return manager.engine
    return engine_of_all(engines[0] for engines in _reaching_engines(service, planes))


def engine_of_all(engines: Iterable[str]) -> Literal["docker", "podman"]:
    """Where a service has to be, so that containers on these engines reach it."""
    return "podman" if {*engines} == {"podman"} else "docker"


def _candidates(service: Service, planes: Planes) -> tuple[tuple[str, ...], ...]:
    """The engines to choose from, where what is there decides."""
    if service.manager is not None and service.manager.engine is not None:
        return ()
    lists = _reaching_engines(service, planes)
    return lists if any(len(engines) > 1 for engines in lists) else ()


def _reaching_engines(service: Service, planes: Planes) -> tuple[tuple[str, ...], ...]:
    """What the containers that reach a service declare as their engines."""
    manager = service.manager
    contexts = {SHORTHAND_CONTEXT: planes.root_context("container"), **planes.contexts}
    reaching = {endpoint.context or name for name, endpoint in service.endpoints.items()}
    if manager is not None and manager.kind == "compose":
        reaching |= {
            name
            for name, context in contexts.items()
            if context.attachments is not None and manager.name in (context.attachments.compose or ())
        }
    return tuple(
        dict.fromkeys(
            context.container.engines or DEFAULT_ENGINES
            for name, context in contexts.items()
            if name in reaching and context.backend == "container" and context.container is not None
        )
    )


def _rendered_env_file(scope: Scope, name: str) -> tuple[str, ...]:
    """What the workflow's env profile renders, for the services it is meant for."""
    workflow, service = scope.selection.workflow, scope.contract.services[name]
    services = workflow.env.compose_env_file_services if workflow is not None and workflow.env else ()
    if name not in services or (service.manager is not None and service.manager.env_file):
        return ()  # a declared file is the rendered one (V522)
    from ota.resolve.env_layers import rendered_of  # paid only by workflows that render for services

    rendered = rendered_of(scope)
    return (rendered.path,) if rendered is not None else ()


def _form(scope: Scope, name: str, service: Service) -> ReadinessForm | None:
    readiness = service.readiness
    if readiness is None:
        return _healthcheck(name, service)
    if readiness.kind == "compose_health":
        return HealthReadiness()
    if readiness.kind == "systemd_active":
        return UnitReadiness()
    context = readiness.from_ or ""
    plane = plane_of_context(scope, context)
    where = place_in_context(scope, name, context) if plane == "container" else None
    if readiness.run is not None:
        return CommandReadiness(run=readiness.run, context=context, plane=plane, where=where)
    asked = _request(scope, readiness, _endpoint(service, readiness, context), context, plane)
    return asked if where is None else replace(asked, where=where)


def place_in_context(scope: Scope, service: str, context: str) -> TaskPlan:
    """A task of that context that requires the service, so that it joins the network the service is on."""
    from ota.resolve.task_plan import plan_task  # paid only by services that are asked in a container

    named = context if context in scope.planes.contexts else None
    task = Task(context=named, requires_services=(service,))
    choice = scope.planes.choose(task, asked="container")
    return plan_task(TaskScope(scope, f"service {service}", choice, "depends_on", task))


def _healthcheck(name: str, service: Service) -> CommandReadiness | None:
    if service.healthcheck is None:
        return None
    if service.manager is not None and service.manager.kind == "compose":
        return CommandReadiness(run=service.healthcheck, is_in_service=True)
    if service.provider == "docker-compose":
        from shlex import quote

        inside = f"docker compose exec -T {quote(name)} sh -lc {quote(service.healthcheck)}"
        return CommandReadiness(run=inside)
    return CommandReadiness(run=service.healthcheck)


def _request(
    scope: Scope, readiness: ServiceReadiness, endpoint: Endpoint, context: str, plane: Plane
) -> EndpointReadiness:
    named = scope.contract.readiness.probes.get(readiness.probe or "")
    if named is not None:
        return EndpointReadiness(
            kind=named.kind,
            address=endpoint.address,
            port=endpoint.port,
            context=context,
            plane=plane,
            method=named.method or "GET",
            path=named.path or "/",
            headers=named.headers,
            statuses=accepted_statuses(named) if named.kind == "http" else (),
            body_contains=named.body.contains if named.body is not None else None,
        )
    return EndpointReadiness(
        kind="http" if readiness.kind == "http" else "tcp",
        address=endpoint.address,
        port=endpoint.port,
        context=context,
        plane=plane,
        method=readiness.method or "GET",
        path=readiness.path or "/",
        headers=readiness.headers,
        statuses=(readiness.success.status or ()) if readiness.success is not None else (),
        body_contains=readiness.body.contains if readiness.body is not None else None,
    )


def _endpoint(service: Service, readiness: ServiceReadiness, context: str) -> Endpoint:
    """The endpoint of the context that asks; a valid contract has exactly one, or names it."""
    matching = {key: each for key, each in service.endpoints.items() if (each.context or key) == context}
    return matching[readiness.endpoint] if readiness.endpoint is not None else next(iter(matching.values()))


def plane_of_context(scope: Scope, context: str) -> Plane:
    """The plane of the context an endpoint or a readiness names."""
    declared = scope.planes.contexts.get(context)
    if declared is not None and declared.backend is not None:
        return declared.backend
    preferred = scope.planes.execution.preferred
    return preferred if context == SHORTHAND_CONTEXT and preferred is not None else "native"


def _timeout_ms(scope: Scope, service: Service) -> int:
    """Of one attempt."""
    readiness = service.readiness
    named = scope.contract.readiness.probes.get((readiness.probe or "") if readiness is not None else "")
    if named is not None and named.timeout is not None:
        return parse_check_timeout(named.timeout).ms
    if readiness is not None and readiness.timeout is not None:
        return parse_duration_ms(readiness.timeout)
    if service.timeout is not None:
        return parse_check_timeout(service.timeout).ms
    return 2000
