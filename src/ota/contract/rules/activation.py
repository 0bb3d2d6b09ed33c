"""Rules of activation: what the contract must prove before a target may start its producer.

Which address a view gives is `ota.contract.views`.

Source: contract specification 15.7 (activation); runtime specification 15.2, 15.4;
appendix A V404 to V410.
"""

from collections.abc import Iterator
from itertools import pairwise

from msgspec import Struct

from ota.contract.graph import shown_route
from ota.contract.listeners import effective_listeners, effective_readiness, primary_listener
from ota.contract.model.scalars import AddressView, Plane
from ota.contract.model.tasks import TargetService, Task
from ota.contract.planes import runtime_on
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.targets import Declared, local_producers
from ota.contract.rules.wording import broken
from ota.contract.views import Unprovable, bind_endpoint, host_endpoint, listener_names, shared_backend


class Provided(Struct, frozen=True, kw_only=True):
    """A target whose producer is a service task of the same contract, with its listener."""

    declared: Declared
    service: TargetService
    producer: Task
    listener: str

    @property
    def where(self) -> FieldPath:
        """The path of the activation."""
        return (*self.declared.path, "activation", "mode")

    @property
    def view(self) -> AddressView:
        """The stated view, else the default of targets of the same contract."""
        return self.service.address_view or "topology"


def self_activation(subject: Subject) -> Iterator[Violation]:
    """V404."""
    for declared, _, service, _ in local_producers(subject):
        if service.task == declared.task_name and declared.target.activation.mode != "manual":
            yield broken(
                "V404",
                (*declared.path, "activation", "mode"),
                "would start the task itself",
                f"the target's producer is `{service.task}`",
                "set `activation.mode: manual`, or name another task",
            )


def activation_cycle(subject: Subject) -> Iterator[Violation]:
    """V405. A cycle without activation is V277, a task that targets itself V404."""
    graph = subject.graph
    for cycle in graph.activation_cycles():
        for before, after in pairwise(cycle):
            if after not in graph.successors(before):
                name = next(
                    name
                    for name, target in sorted(graph.tasks[before].targets.items())
                    if target.service is not None
                    and target.service.task == after
                    and target.activation.mode != "manual"
                )
                yield broken(
                    "V405",
                    ("tasks", before, "targets", name, "activation", "mode"),
                    f"closes an activation cycle: {shown_route(cycle)}",
                    "each task would wait for the next one to start",
                    "set `activation.mode: manual` on one of the targets",
                )
                break


def _activated(subject: Subject) -> Iterator[tuple[Provided, Plane]]:
    """Targets that would start their producer, once per plane of the caller."""
    for declared, _, service, producer in local_producers(subject):
        if declared.target.activation.mode == "manual" or service.task == declared.task_name:
            continue
        names = listener_names(producer, subject.contract.surfaces)
        listener = service.listener or (names[0] if len(names) == 1 else None)
        if listener not in names or listener is None:
            continue  # V398 to V400 come first
        provided = Provided(declared=declared, service=service, producer=producer, listener=listener)
        for plane in subject.planes.planes_of(declared.task):
            yield provided, plane


def _probed_listener(subject: Subject, provided: Provided, plane: Plane) -> str:
    """`runtime.readiness.listener` for the ready modes, else the target's own listener."""
    if provided.declared.target.activation.mode not in ("ensure_ready", "restart_ready"):
        return provided.listener
    runtime = runtime_on(provided.producer, plane)
    surfaces = subject.contract.surfaces
    readiness = effective_readiness(runtime, surfaces) if runtime is not None else None
    if runtime is None or readiness is None:
        return provided.listener
    listeners = effective_listeners(runtime, surfaces)
    chosen = readiness.listener or primary_listener(listeners)
    return chosen if chosen in listeners and chosen is not None else provided.listener


def _shared(subject: Subject, provided: Provided, plane: Plane) -> str | None:
    return shared_backend(subject.planes, provided.declared.task, plane, provided.producer)


def unfixed_host(subject: Subject) -> Iterator[Violation]:
    """V406, for the host view and for topology without a shared backend."""
    told: set[FieldPath] = set()
    for provided, plane in subject.collected(_activated):
        if provided.view == "internal" or provided.where in told:
            continue
        if provided.view == "topology" and _shared(subject, provided, plane) is not None:
            continue
        own_plane = subject.planes.plane_of(provided.producer)[0]
        listener = _probed_listener(subject, provided, own_plane)
        found = host_endpoint(provided.service.task, provided.producer, listener, subject.contract.surfaces)
        if isinstance(found, Unprovable):
            told.add(provided.where)
            yield _unproven("V406", provided, "needs a fixed `project.host.port.value`", found)


def unfixed_bind(subject: Subject) -> Iterator[Violation]:
    """V407."""
    told: set[FieldPath] = set()
    for provided, plane in subject.collected(_activated):
        if provided.view == "host" or provided.where in told:
            continue
        if _shared(subject, provided, plane) is None:
            continue
        listener = _probed_listener(subject, provided, plane)
        found = bind_endpoint(subject.planes, provided.service.task, provided.producer, listener, plane)
        if isinstance(found, Unprovable):
            told.add(provided.where)
            yield _unproven("V407", provided, "requires `bind.port.mode: fixed`", found)


def _unproven(rule: str, provided: Provided, problem: str, found: Unprovable) -> Violation:
    mode = provided.declared.target.activation.mode
    return broken(rule, provided.where, f"is `{mode}`, which {problem}", found.reason, found.next)


def unshared_internal(subject: Subject) -> Iterator[Violation]:
    """V408."""
    told: set[FieldPath] = set()
    for provided, plane in subject.collected(_activated):
        if provided.view != "internal" or provided.where in told:
            continue
        if _shared(subject, provided, plane) is None:
            told.add(provided.where)
            yield broken(
                "V408",
                provided.where,
                "requires a shared backend binding",
                f"view `internal` reaches `{provided.service.task}` only where "
                f"`{provided.declared.task_name}` and it share a backend; the caller's plane is {plane}",
                "bind both to one `execution.shared_backends` entry with `runtime.backend_binding`, "
                "or use `address_view: host`",
            )


def unshared_remote(subject: Subject) -> Iterator[Violation]:
    """V409."""
    for provided, plane in subject.collected(_activated):
        if plane == "remote" and provided.view == "host" and _shared(subject, provided, plane) is None:
            yield broken(
                "V409",
                provided.where,
                "requires a shared remote backend",
                f"a remote caller can start `{provided.service.task}` only on the backend they share",
                "bind both to one remote `execution.shared_backends` entry",
            )


def provider_without_cleanup(subject: Subject) -> Iterator[Violation]:
    """V410."""
    told: set[FieldPath] = set()
    for provided, plane in subject.collected(_activated):
        own_plane = subject.planes.plane_of(provided.producer)[0]
        starts_remotely = own_plane == "remote" or (
            plane == "remote" and _shared(subject, provided, plane) is not None
        )
        if not starts_remotely or provided.where in told:
            continue
        context = subject.planes.choose(provided.producer, asked="remote").context
        provider = context.remote.provider if context.remote is not None else None
        extension = subject.contract.extensions.get(provider or "")
        if extension is None or extension.kind != "backend_provider":
            continue
        if extension.activation is None or not extension.activation.provider_managed_cleanup:
            told.add(provided.where)
            yield broken(
                "V410",
                provided.where,
                f"would start `{provided.service.task}` through provider `{provider}`",
                "the provider does not promise to clean up what it starts",
                f"declare `extensions.{provider}.activation.provider_managed_cleanup: true`",
            )


RULES: tuple[Rule, ...] = (
    self_activation,
    activation_cycle,
    unfixed_host,
    unfixed_bind,
    unshared_internal,
    unshared_remote,
    provider_without_cleanup,
)
