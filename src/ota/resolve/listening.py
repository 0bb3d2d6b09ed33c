"""What a task listens on, what of it the host sees, and when it counts as ready.

Source: contract specification 15.9; runtime specification 10, 11.1, 11.2; decision D7.
"""

from collections.abc import Iterator, Mapping

from ota.contract.durations import parse_check_timeout, parse_duration_ms
from ota.contract.listeners import effective_listeners, effective_readiness, primary_listener, projected
from ota.contract.model.bodies import LaunchContainer
from ota.contract.model.readiness import Probe, RuntimeReadiness
from ota.contract.model.runtime import Listener, Runtime
from ota.contract.model.scalars import Plane
from ota.contract.planes import runtime_on
from ota.errors import Finding
from ota.resolve.plan import ListenerPlan, ProbePlan, ProjectionPlan, ReadinessPlan, RuntimePlan
from ota.resolve.scope import Scope, TaskScope

NAMED_PROBE_STATUSES = (200,)
"""What a named probe and a surface accept when they state nothing; an inline probe takes 200 to 399."""

_INTERVAL_MS = 500
_RETRIES = 120


def plan_runtime(ts: TaskScope) -> RuntimePlan | None:
    """The long-running workload of a task on its plane; None for a finite task."""
    runtime = runtime_on(ts.task, ts.choice.plane)
    if runtime is None:
        return None
    listeners = effective_listeners(runtime, ts.scope.contract.surfaces)
    primary = primary_listener(listeners)
    # a packaged image is run from this host, and its ports are translated by an engine all the same
    plane: Plane = "container" if isinstance(ts.task.launch, LaunchContainer) else ts.choice.plane
    override = None
    if ts.is_requested and not any(host_port_refusals(ts)):
        override = ts.scope.request.host_port
    return RuntimePlan(
        listeners=tuple(
            _listener(name, listener, plane, primary, override) for name, listener in listeners.items()
        ),
        primary=primary,
        readiness=_readiness(ts.scope, runtime, listeners),
    )


def _listener(
    name: str, listener: Listener, plane: Plane, primary: str | None, override: int | None
) -> ListenerPlan:
    bind_port = listener.bind.port.value if listener.bind.port.mode == "fixed" else None
    return ListenerPlan(
        name=name,
        protocol=listener.protocol,
        bind_address=listener.bind.address,
        bind_port=bind_port,
        projection=_projection(listener, plane, override if name == primary else None),
        is_primary=name == primary,
    )


def _projection(listener: Listener, plane: Plane, override: int | None) -> ProjectionPlan | None:
    host = listener.host
    if host is None:
        return None
    port: int | None = override
    if port is None and plane == "native":
        # Nothing translates ports natively: the host port is the bind port, or known only after start.
        port = listener.bind.port.value if listener.bind.port.mode == "fixed" else None
    elif port is None and host.port.mode == "fixed":
        port = host.port.value
    path = None if listener.protocol == "tcp" else host.path or "/"
    return ProjectionPlan(address=host.address, port_mode=host.port.mode, port=port, path=path)


# --- readiness -----------------------------------------------------------------------------------


def _readiness(scope: Scope, runtime: Runtime, listeners: Mapping[str, Listener]) -> ReadinessPlan | None:
    declared = effective_readiness(runtime, scope.contract.surfaces)
    if declared is None or not listeners:
        return None
    owner = declared.listener or _default_listener(listeners)
    probe = (
        _named_probe(scope, declared.probe, owner)
        if declared.probe is not None
        else _inline_probe(declared, owner, from_surface=runtime.readiness is None)
    )
    if probe is None:
        return None
    signals = tuple(_signal_probe(scope, name, owner) for name in declared.signal_probes or ())
    return ReadinessPlan(
        probe=probe,
        signal_probes=tuple(signal for signal in signals if signal is not None),
        interval_ms=parse_duration_ms(declared.interval) if declared.interval else _INTERVAL_MS,
        retries=declared.retries if declared.retries is not None else _RETRIES,
        start_period_ms=parse_duration_ms(declared.start_period) if declared.start_period else 0,
    )


def _default_listener(listeners: Mapping[str, Listener]) -> str:
    """The primary, else the first projected one, else the first."""
    primary = primary_listener(listeners)
    assert primary is not None
    return primary


def _inline_probe(declared: RuntimeReadiness, listener: str, *, from_surface: bool) -> ProbePlan:
    kind = declared.kind or "tcp"
    statuses = declared.success.status if declared.success is not None else None
    if statuses is None and from_surface and kind == "http":
        statuses = NAMED_PROBE_STATUSES
    return ProbePlan(
        kind=kind,
        listener=listener,
        method=declared.method or "GET",
        path=(declared.path or "/") if kind == "http" else None,
        headers=declared.headers,
        statuses=statuses if kind == "http" else None,
        body_contains=declared.body.contains if declared.body is not None else None,
        timeout_ms=parse_duration_ms(declared.timeout) if declared.timeout else None,
    )


def _named_probe(scope: Scope, name: str, listener: str) -> ProbePlan | None:
    probe = scope.contract.readiness.probes.get(name)
    if probe is None:
        return None
    return ProbePlan(
        kind=probe.kind,
        listener=listener,
        method=probe.method or "GET",
        path=(probe.path or "/") if probe.kind == "http" else None,
        headers=probe.headers,
        statuses=accepted_statuses(probe) if probe.kind == "http" else None,
        body_contains=probe.body.contains if probe.body is not None else None,
        timeout_ms=parse_check_timeout(probe.timeout).ms if probe.timeout else None,
        name=name,
    )


def accepted_statuses(probe: Probe) -> tuple[int, ...]:
    """What a named HTTP probe takes for an answer."""
    if probe.expect_status is not None:
        return (probe.expect_status,)
    if probe.success is not None and probe.success.status:
        return probe.success.status
    return NAMED_PROBE_STATUSES


def _signal_probe(scope: Scope, name: str, listener: str) -> ProbePlan | None:
    """A further gate looks at the listener its own target names."""
    probe = scope.contract.readiness.probes.get(name)
    target = probe.target if probe is not None else None
    return _named_probe(scope, name, target.listener if target and target.listener else listener)


# --- overrides -----------------------------------------------------------------------------------


def host_port_refusals(ts: TaskScope) -> Iterator[Finding]:
    """Whether `--host-port` can be honoured for the requested task (runtime specification 10.5)."""
    if ts.scope.request.host_port is None or not ts.is_requested:
        return
    if ts.choice.plane != "container":
        yield _refused(
            ts,
            title="Host port override requires container execution",
            why=f"cannot apply `--host-port` when execution resolves to {ts.choice.plane}",
            next_=f"run `{ts.command}` without `--host-port`, or declare the port on the listener",
        )
        return
    runtime = runtime_on(ts.task, ts.choice.plane)
    listeners = effective_listeners(runtime, ts.scope.contract.surfaces) if runtime is not None else {}
    hosts = projected(listeners)
    marked = [name for name, host in hosts.items() if host.primary]
    if not hosts:
        yield _refused(
            ts,
            why=f"task `{ts.name}` declares no projected host listener",
            next_=f"declare `project.host` on a listener of `tasks.{ts.name}.runtime`",
        )
    elif len(hosts) > 1 and len(marked) != 1:
        names = ", ".join(f"`{name}`" for name in hosts)
        yield _refused(
            ts,
            why=f"projected listeners are ambiguous: {names}",
            next_="set `project.host.primary: true` on exactly one of them",
        )
    else:
        chosen = marked[0] if marked else next(iter(hosts))
        if hosts[chosen].port.mode == "auto":
            yield _refused(
                ts,
                why=f"listener `{chosen}`: `project.host.port.mode` is `auto`",
                next_="keep the automatic reservation and leave `--host-port` out, or declare "
                "`project.host.port.mode: fixed`",
                field=("runtime", "listeners", chosen, "project", "host", "port", "mode"),
            )


def _refused(
    ts: TaskScope,
    *,
    why: str,
    next_: str,
    title: str = "Host port override cannot be applied",
    field: tuple[str, ...] = ("runtime",),
) -> Finding:
    return Finding(
        code="OTA_HOST_PORT_OVERRIDE_REFUSED",
        summary=f"`--host-port {ts.scope.request.host_port}` cannot be applied to task `{ts.name}`",
        why=why,
        next=next_,
        place=ts.scope.place(*ts.field, *field),
        category="execution",
        title=title,
    )
