"""Named probes and workflow surfaces as concrete requests: which address, from which plane, with what.

Pure: who asks, and what an answer means, is decided elsewhere. An address that the contract does not
prove is a `ProbeProblem`; nothing falls back to another view or context.

Source: contract specification 10, 13, 16; runtime specification 11.1, 11.2; decision D4.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from ota.contract.durations import parse_check_timeout, parse_duration_ms
from ota.contract.listeners import readiness_of_surface
from ota.contract.model.readiness import Probe, ProbeKind, RuntimeReadiness
from ota.contract.model.scalars import HttpMethod, Plane
from ota.contract.planes import runtime_on
from ota.contract.views import Endpoint, Unprovable, observed_endpoint
from ota.resolve.endpoints import endpoints_of
from ota.resolve.listening import NAMED_PROBE_STATUSES, accepted_statuses, plan_runtime
from ota.resolve.plan import TaskPlan
from ota.resolve.scope import Scope, TaskScope
from ota.system.addresses import address_text

DEFAULT_TIMEOUT_MS = 2_000
LONGEST_SURFACE_TIMEOUT_MS = 2_000


class ResolvedProbe(Struct, frozen=True, kw_only=True):
    """One request that can be made as it stands."""

    name: str
    """Of the probe or surface."""
    kind: ProbeKind
    host: str
    port: int
    scheme: Literal["http", "https"] = "http"
    method: HttpMethod = "GET"
    path: str = "/"
    headers: Mapping[str, str] = {}
    statuses: tuple[int, ...] = ()
    """Accepted ones; empty: 200 to 399."""
    body_contains: str | None = None
    timeout_ms: int = DEFAULT_TIMEOUT_MS
    plane: Plane = "native"
    """Where the request is made; native is ota itself on this host."""
    context: str | None = None
    """The context of that plane, when a service endpoint or an observer names one."""
    where: TaskPlan | None = None
    """How a task of that context would run, where that is in a container: the request is made there."""
    resolution_plane: str = "command_host"
    """Whose view the address is: `command_host`, or the plane of the observing task."""
    is_published: bool = False
    """Whether something beside the workload may accept connections for it, as engines do."""
    is_verified: bool = False
    """Whether the certificate has to be trusted here: of literal URLs, not of listeners of the contract."""
    owner: str = ""
    """Who has to run for an answer: `task web`, `service postgres`; empty for a literal URL."""

    @property
    def target(self) -> str:
        """`http://127.0.0.1:8080/health`, `tcp 127.0.0.1:5432`."""
        authority = address_text(self.host, self.port)
        return f"tcp {authority}" if self.kind == "tcp" else f"{self.scheme}://{authority}{self.path}"


class ProbeProblem(Struct, frozen=True, kw_only=True):
    """Why there is no request to make."""

    name: str
    why: str
    next: str
    owner: str = ""


class ResolvedSurface(Struct, frozen=True, kw_only=True):
    """A surface of a workflow's run task, with the surface's own timing."""

    probe: ResolvedProbe
    task: str
    interval_ms: int | None = None
    retries: int | None = None
    start_period_ms: int = 0


# --- reusable probes -----------------------------------------------------------------------------


def resolve_probe(scope: Scope, name: str) -> ResolvedProbe | ProbeProblem:
    """A `readiness.probes` entry of a valid contract as a request."""
    probe = scope.contract.readiness.probes.get(name)
    if probe is None:
        return ProbeProblem(name=name, why=f"no probe `{name}` is declared", next="ota validate")
    if probe.url is not None:
        return _literal(name, probe, probe.url)
    assert probe.target is not None, "a valid probe has a url or a target"
    if probe.target.kind == "task":
        return _of_task(scope, name, probe)
    return _of_service(scope, name, probe)


def _literal(name: str, probe: Probe, url: str) -> ResolvedProbe | ProbeProblem:
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        return ProbeProblem(
            name=name,
            why="its url carries credentials",
            next=f"move them into `readiness.probes.{name}.headers`",
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    is_secure = parts.scheme == "https"
    return _request(
        name,
        probe,
        host=parts.hostname or "",
        port=parts.port or (443 if is_secure else 80),
        scheme="https" if is_secure else "http",
        path=path,
        is_verified=is_secure,
    )


def _of_task(scope: Scope, name: str, probe: Probe) -> ResolvedProbe | ProbeProblem:
    target = probe.target
    assert target is not None
    owner = f"task {target.name}"
    found = observed_endpoint(scope.planes, target)
    if not isinstance(found, Endpoint):
        why = found.reason if found is not None else f"task `{target.name}` or its observer is not declared"
        return ProbeProblem(name=name, why=why, next=found.next if found else "ota validate", owner=owner)
    observer = (target.observer.task if target.observer else None) or ""
    plane: Plane = "native"
    context = None
    resolution_plane = "command_host"
    where = None
    if observer in scope.contract.tasks:
        observing = TaskScope(
            scope, observer, scope.planes.choose(scope.contract.tasks[observer]), "depends_on"
        )
        choice = observing.choice
        plane, context, resolution_plane = choice.plane, choice.name, choice.plane
        if plane == "container":
            seen = _seen_inside(observing, found)
            if isinstance(seen, Unprovable):
                return ProbeProblem(name=name, why=seen.reason, next=seen.next, owner=owner)
            found, where = seen
    producer_plane = scope.planes.plane_of(scope.contract.tasks[target.name])[0]
    return _request(
        name,
        probe,
        host=found.address,
        port=found.port,
        scheme="https" if found.protocol == "https" else "http",
        path=joined_path(found.path, probe.path),
        plane=plane,
        context=context,
        where=where,
        resolution_plane=resolution_plane,
        is_published=found.source == "host projection" and producer_plane != "native",
        owner=owner,
    )


def _seen_inside(observing: TaskScope, found: Endpoint) -> tuple[Endpoint, TaskPlan] | Unprovable:
    """The address as the observer's container has it, and how that container is come by."""
    # paid only by probes that a container task observes
    from ota.resolve.targets import through_host_alias
    from ota.resolve.task_plan import plan_task

    seen = through_host_alias(observing, found) if found.source == "host projection" else found
    return seen if isinstance(seen, Unprovable) else (seen, plan_task(observing))


def _of_service(scope: Scope, name: str, probe: Probe) -> ResolvedProbe | ProbeProblem:
    target = probe.target
    assert target is not None
    owner = f"service {target.name}"
    service = scope.contract.services.get(target.name)
    endpoints = service.endpoints if service is not None else {}
    chosen = target.endpoint or (next(iter(endpoints)) if len(endpoints) == 1 else "")
    if chosen not in endpoints:
        return ProbeProblem(
            name=name,
            why=f"service `{target.name}` has {len(endpoints)} endpoints and the probe names none of them",
            next=f"set `readiness.probes.{name}.target.endpoint`",
            owner=owner,
        )
    from ota.resolve.services import place_in_context, plane_of_context  # paid only by such probes

    endpoint = endpoints[chosen]
    context = endpoint.context or chosen
    plane = plane_of_context(scope, context)
    return _request(
        name,
        probe,
        host=endpoint.address,
        port=endpoint.port,
        path=probe.path or "/",
        plane=plane,
        context=context,
        where=place_in_context(scope, target.name, context) if plane == "container" else None,
        is_published=True,
        owner=owner,
    )


def _request(
    name: str,
    probe: Probe,
    *,
    host: str,
    port: int,
    path: str,
    scheme: Literal["http", "https"] = "http",
    plane: Plane = "native",
    context: str | None = None,
    where: TaskPlan | None = None,
    resolution_plane: str = "command_host",
    is_published: bool = False,
    is_verified: bool = False,
    owner: str = "",
) -> ResolvedProbe:
    return ResolvedProbe(
        name=name,
        kind=probe.kind,
        host=host,
        port=port,
        scheme=scheme,
        method=probe.method or "GET",
        path=path,
        headers=probe.headers,
        statuses=accepted_statuses(probe) if probe.kind == "http" else (),
        body_contains=probe.body.contains if probe.body is not None else None,
        timeout_ms=parse_check_timeout(probe.timeout).ms if probe.timeout else DEFAULT_TIMEOUT_MS,
        plane=plane,
        context=context,
        where=where,
        resolution_plane=resolution_plane,
        is_published=is_published,
        is_verified=is_verified,
        owner=owner,
    )


def joined_path(base: str | None, path: str | None) -> str:
    """The path of a probe below the path at which its listener is published."""
    return (base or "/").rstrip("/") + (path or "/")


# --- surfaces of a workflow ----------------------------------------------------------------------


def resolve_surface(scope: Scope, name: str, run_task: str) -> ResolvedSurface | ProbeProblem:
    """A surface as the run task of a workflow publishes it to this host."""
    owner = f"task {run_task}"
    task, surface = scope.contract.tasks[run_task], scope.contract.surfaces.get(name)
    choice = scope.planes.choose(task)
    runtime = runtime_on(task, choice.plane)
    attached = {each.name for each in runtime.surfaces} if runtime is not None else set()
    if surface is None or name not in attached:
        return ProbeProblem(
            name=name,
            why=f"task `{run_task}` does not attach surface `{name}` on the {choice.plane} plane",
            next=f"attach it under `tasks.{run_task}.runtime.surfaces`",
            owner=owner,
        )
    planned = plan_runtime(TaskScope(scope, run_task, choice, "depends_on"))
    assert planned is not None
    endpoint = endpoints_of(planned).of(name)
    if endpoint is None:
        return ProbeProblem(
            name=name,
            why=f"task `{run_task}` publishes surface `{name}` on no host port that is known beforehand",
            next="declare `project.host.port` with `mode: fixed` for it, "
            "or let the run prove it while it starts",
            owner=owner,
        )
    declared = readiness_of_surface(name, surface) if surface.readiness is not None else None
    kind = (declared.kind if declared is not None else None) or "tcp"
    timeout_ms = parse_duration_ms(declared.timeout) if declared is not None and declared.timeout else None
    path = declared.path if declared is not None and kind == "http" else None
    return ResolvedSurface(
        probe=ResolvedProbe(
            name=name,
            kind=kind,
            host=endpoint.host_address,
            port=endpoint.host_port,
            scheme="https" if endpoint.protocol == "https" else "http",
            method=(declared.method if declared is not None else None) or "GET",
            path=path or "/",
            headers=declared.headers if declared is not None else {},
            statuses=_surface_statuses(declared) if kind == "http" else (),
            body_contains=declared.body.contains if declared is not None and declared.body else None,
            timeout_ms=min(timeout_ms or DEFAULT_TIMEOUT_MS, LONGEST_SURFACE_TIMEOUT_MS),
            is_published=choice.plane != "native",
            owner=owner,
        ),
        task=run_task,
        interval_ms=parse_duration_ms(declared.interval) if declared and declared.interval else None,
        retries=declared.retries if declared is not None else None,
        start_period_ms=parse_duration_ms(declared.start_period) if declared and declared.start_period else 0,
    )


def _surface_statuses(declared: RuntimeReadiness | None) -> tuple[int, ...]:
    stated = declared.success.status if declared is not None and declared.success is not None else None
    return stated or NAMED_PROBE_STATUSES
