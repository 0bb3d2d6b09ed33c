"""Targets of a task: which address they stand for from this plane, or why none can be proven.

No bridge, alias or mapped port is guessed. Starting producers is not decided here.

Source: contract specification 15.7; runtime specification 15.2, 15.3; decision D25.
"""

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from ota.contract.grammar import is_loopback_only
from ota.contract.model.scalars import AddressView
from ota.contract.model.tasks import Target, TargetService
from ota.contract.planes import Planes
from ota.contract.views import ANY_ADDRESS, Endpoint, Unprovable, address_of, listener_names
from ota.errors import Finding
from ota.resolve.boundary import DEFAULT_ENGINES
from ota.resolve.inputs import Inputs, declared_inputs, flag_of
from ota.resolve.plan import TargetPlan
from ota.resolve.scope import TaskScope

_HOST_ALIASES = {"docker": "host.docker.internal", "podman": "host.containers.internal"}


class Resolved(Struct, frozen=True, kw_only=True):
    """One binding's answer."""

    url: str | None = None
    problem: str | None = None
    next: str = ""
    listener: str | None = None


def plan_targets(ts: TaskScope, inputs: Inputs) -> tuple[TargetPlan, ...]:
    """Every target of a task, by name."""
    return tuple(_plan(ts, name, target, inputs) for name, target in sorted(ts.task.targets.items()))


def _plan(ts: TaskScope, name: str, target: Target, inputs: Inputs) -> TargetPlan:
    resolved = _resolve(ts, target)
    override = target.override_input
    values = {each.name: each for each in inputs.resolved}
    source: str | None = "target_binding" if resolved.problem is None else None
    url, problem = resolved.url, resolved.problem
    if override is not None and override in inputs.given:
        source, url, problem = "explicit_override", values[override].value, None
    elif problem is not None and override is not None and override in values:
        source, url = "compatibility_literal_default", values[override].value
        if target.activation.mode == "manual":
            problem = None
    service = target.service
    return TargetPlan(
        name=name,
        source=source,  # type: ignore[arg-type]  # a str variable narrowed above to the three words
        effective_url=url,
        problem=problem,
        override_input=override,
        activation=target.activation.mode,
        task=service.task if service is not None else None,
        member=service.member if service is not None else None,
        repo=service.repo if service is not None else None,
        listener=resolved.listener or (service.listener if service is not None else None),
        address_view=view_of(service) if service is not None else None,
        url=target.url,
    )


def view_of(service: TargetService) -> AddressView:
    """`topology` inside one contract and between members, `host` for another repository."""
    return service.address_view or ("host" if service.repo is not None else "topology")


def _resolve(ts: TaskScope, target: Target) -> Resolved:
    if target.url is not None:
        return Resolved(url=target.url)
    service = target.service
    assert service is not None
    owner = _owner(ts, service)
    if isinstance(owner, Resolved):
        return owner
    contract = owner.contract if owner is not None else ts.scope.contract
    producer = contract.tasks.get(service.task)
    names = listener_names(producer, contract.surfaces) if producer is not None else ()
    listener = service.listener or (names[0] if len(names) == 1 else None)
    if producer is None or listener is None:
        return Resolved(
            problem=f"task `{service.task}` declares {len(names)} listeners",
            next="name one of them in `service.listener`",
        )
    view = view_of(service)
    found = address_of(
        ts.scope.planes,
        view,
        listener,
        caller=(ts.name, ts.task, ts.choice.plane),
        producer=(service.task, producer),
        owner=owner,
    )
    if isinstance(found, Unprovable):
        return Resolved(problem=found.reason, next=found.next, listener=listener)
    if view == "host" and ts.choice.plane == "container":
        found = through_host_alias(ts, found)
        if isinstance(found, Unprovable):
            return Resolved(problem=found.reason, next=found.next, listener=listener)
    return Resolved(url=found.url, listener=listener)


def _owner(ts: TaskScope, service: TargetService) -> Planes | Resolved | None:
    """Where a producer of another contract lives, or why nobody knows; None for one of this contract."""
    if service.member is None and service.repo is None:
        return None
    from ota.contract.neighbours import Unloadable  # paid only by targets in other contracts

    neighbours = ts.scope.loaded.neighbours
    if service.member is not None:
        kind, name, found = "member", service.member, neighbours.member(service.member)
    else:
        kind, name, found = "repo", service.repo or "", neighbours.repo(service.repo or "")
    if not isinstance(found, Unloadable):
        return found.planes
    return Resolved(
        problem=f"could not load `{kind}: {name}`: {found.reason}", next=found.next, listener=service.listener
    )


def through_host_alias(ts: TaskScope, found: Endpoint) -> Endpoint | Unprovable:
    """From a container the host is an engine's alias, where it can be reached at all (D25)."""
    loopback = is_loopback_only(found.address)
    if not loopback and found.address not in ANY_ADDRESS:
        return found
    if loopback and ts.scope.host.os == "linux":
        return Unprovable(
            kind="no host endpoint",
            reason=f"a container on a Linux engine cannot reach `{found.authority}`, which listens on "
            "loopback only",
            next="publish it on a non-loopback address, bind both tasks to one shared backend with "
            "`address_view: topology`, or run this task natively",
        )
    settings = ts.choice.context.container
    engine = ((settings.engines if settings is not None else None) or DEFAULT_ENGINES)[0]
    alias = _HOST_ALIASES.get(engine)
    if alias is None:
        return Unprovable(
            kind="no host endpoint",
            reason=f"container engine `{engine}` has no known alias for the host",
            next="use `docker` or `podman`, or pass the address through the override input",
        )
    return replace(found, address=alias)


def target_refusals(ts: TaskScope, targets: tuple[TargetPlan, ...]) -> Iterator[Finding]:
    """A target without an address; a literal default that cannot be activated."""
    for target in targets:
        if target.problem is None:
            continue
        advice = _resolve(ts, ts.task.targets[target.name]).next
        if target.source == "compatibility_literal_default":
            why = (
                f"{target.problem}; the literal default of `{target.override_input}` cannot be combined "
                f"with activation `{target.activation}`"
            )
        else:
            why = target.problem
        if target.override_input is not None and target.override_input in declared_inputs(ts):
            advice += f", or pass `{flag_of(target.override_input)} <url>`" if advice else ""
        yield Finding(
            code="OTA_TARGET_UNRESOLVED",
            summary=f"target `{target.name}` could not be resolved: {target.problem}",
            why=why,
            next=advice,
            place=ts.scope.place(*ts.field, "targets", target.name),
            category="execution",
        )


def input_values(targets: tuple[TargetPlan, ...], inputs: Inputs) -> dict[str, str]:
    """Values that resolved bindings deliver into override inputs."""
    return {
        target.override_input: target.effective_url
        for target in targets
        if target.override_input is not None
        and target.source == "target_binding"
        and target.effective_url is not None
        and target.override_input not in inputs.given
    }
