"""Rules of `tasks.*.targets`: what a target names, and what activation can prove.

Which address a view gives is `ota.contract.views`; producers in other contracts are resolved
where those contracts are loaded (V396 to V400 and V412 for `member` and `repo`).

Source: contract specification 15.7; runtime specification 15; decision D26; appendix A V390 to V414.
"""

from collections.abc import Iterator
from itertools import pairwise

from msgspec import Struct

from ota.contract.grammar import env_suffix
from ota.contract.graph import shown_route
from ota.contract.listeners import effective_listeners, effective_readiness, primary_listener
from ota.contract.model.scalars import AddressView, Plane
from ota.contract.model.tasks import Target, TargetService, Task
from ota.contract.planes import is_service, runtime_on
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.phrases import empty_keys, listed
from ota.contract.rules.values import empty_text, owner_of, unknown
from ota.contract.rules.wording import broken
from ota.contract.views import Unprovable, bind_endpoint, host_endpoint, listener_names, shared_backend


class Declared(Struct, frozen=True, kw_only=True):
    """One target and where it stands."""

    path: FieldPath
    name: str
    task_name: str
    task: Task
    target: Target


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


def _targets(subject: Subject) -> Iterator[Declared]:
    for name, task, path in subject.tasks():
        for target_name, target in sorted(task.targets.items()):
            yield Declared(
                path=(*path, "targets", target_name),
                name=target_name,
                task_name=name,
                task=task,
                target=target,
            )


def _services(subject: Subject) -> Iterator[tuple[Declared, FieldPath, TargetService]]:
    for declared in subject.collected(_targets):
        if declared.target.service is not None:
            yield declared, (*declared.path, "service"), declared.target.service


def _local_producers(subject: Subject) -> Iterator[tuple[Declared, FieldPath, TargetService, Task]]:
    """Targets whose producer is a task of this contract."""
    for declared, path, service in _services(subject):
        producer = subject.contract.tasks.get(service.task)
        if producer is not None and service.member is None and service.repo is None:
            yield declared, path, service, producer


def empty_target_name(subject: Subject) -> Iterator[Violation]:
    """V390."""
    for _, task, path in subject.tasks():
        yield from empty_keys("V390", (*path, "targets"), owner_of(path)[0], task.targets)


def one_kind(subject: Subject) -> Iterator[Violation]:
    """V391."""
    for declared in subject.collected(_targets):
        target = declared.target
        if (target.service is None) == (target.url is None):
            found = "none" if target.url is None else "both"
            yield broken(
                "V391",
                declared.path,
                "must declare exactly one of `service` and `url`",
                f"found {found}",
                "name a service task with `service`, or a literal `url`",
            )


def empty_url(subject: Subject) -> Iterator[Violation]:
    """V392."""
    for declared in subject.collected(_targets):
        yield from empty_text("V392", (*declared.path, "url"), declared.target.url)


def url_activation(subject: Subject) -> Iterator[Violation]:
    """V393."""
    for declared in subject.collected(_targets):
        target = declared.target
        if target.url is not None and target.service is None and target.activation.mode != "manual":
            yield broken(
                "V393",
                (*declared.path, "activation", "mode"),
                f"is `{target.activation.mode}`: url targets only support `manual`",
                "ota cannot start what it does not own",
                "set `activation.mode: manual`, or name a service task",
            )


def empty_service_value(subject: Subject) -> Iterator[Violation]:
    """V394."""
    for _, path, service in _services(subject):
        for key in ("task", "member", "repo", "listener"):
            yield from empty_text("V394", (*path, key), getattr(service, key))


def member_and_repo(subject: Subject) -> Iterator[Violation]:
    """V395."""
    for _, path, service in _services(subject):
        if service.member is not None and service.repo is not None:
            yield broken(
                "V395",
                (*path, "repo"),
                "stands beside `member`",
                "a producer lives in one place",
                "choose one of `member` and `repo`",
            )


def unknown_producer(subject: Subject) -> Iterator[Violation]:
    """V396, for this contract. An empty name is V394."""
    for _, path, service in _services(subject):
        if service.task.strip() and service.member is None and service.repo is None:
            yield from unknown(subject, "V396", (*path, "task"), "task", service.task, subject.contract.tasks)


def unknown_member(subject: Subject) -> Iterator[Violation]:
    """V397, for members a monorepo root declares. Repos are known to the workspace file only."""
    workspace = subject.contract.workspace
    if workspace is None:
        return
    known = {*workspace.members, *(member.rstrip("/").rpartition("/")[2] for member in workspace.members)}
    for _, path, service in _services(subject):
        if service.member is not None and service.member.strip() and service.repo is None:
            yield from unknown(subject, "V397", (*path, "member"), "workspace member", service.member, known)


def not_a_service(subject: Subject) -> Iterator[Violation]:
    """V398."""
    for _, path, service, producer in _local_producers(subject):
        if not is_service(producer):
            yield broken(
                "V398",
                (*path, "task"),
                f"names `{service.task}`, which is no service task",
                f"`tasks.{service.task}` declares no `runtime.kind: service`",
                f"declare a service runtime on `{service.task}`, or name a service task",
            )


def unknown_listener(subject: Subject) -> Iterator[Violation]:
    """V399. A worker has no listener at all, so a target cannot point at it (D26)."""
    for _, path, service, producer in _local_producers(subject):
        if not is_service(producer):
            continue
        names = listener_names(producer, subject.contract.surfaces)
        if not names:
            yield broken(
                "V399",
                (*path, "task"),
                f"names `{service.task}`, which does not declare any service listeners",
                "a target is the address of a listener",
                f"declare a listener under `tasks.{service.task}.runtime.listeners`",
            )
        elif service.listener is not None and service.listener.strip():
            yield from unknown(subject, "V399", (*path, "listener"), "listener", service.listener, names)


def ambiguous_listener(subject: Subject) -> Iterator[Violation]:
    """V400."""
    for _, path, service, producer in _local_producers(subject):
        names = listener_names(producer, subject.contract.surfaces)
        if service.listener is None and len(names) > 1:
            yield broken(
                "V400",
                path,
                f"must choose among multiple listeners of `{service.task}`",
                f"it declares {listed(names)}",
                f"declare `service.listener`, one of {listed(names)}",
            )


def undeclared_input(subject: Subject) -> Iterator[Violation]:
    """V401."""
    for declared in subject.collected(_targets):
        name = declared.target.override_input
        if name is not None:
            inputs = {*declared.task.inputs, *(n for each in declared.task.variants for n in each.inputs)}
            yield from unknown(subject, "V401", (*declared.path, "override_input"), "input", name, inputs)


def shared_input(subject: Subject) -> Iterator[Violation]:
    """V402."""
    seen: dict[tuple[str, str], str] = {}
    for declared in subject.collected(_targets):
        name = declared.target.override_input
        if name is None:
            continue
        first = seen.setdefault((declared.task_name, name), declared.name)
        if first != declared.name:
            yield broken(
                "V402",
                (*declared.path, "override_input"),
                f"is `{name}`, which target `{first}` uses as well",
                "an input overrides one target",
                "give each target an input of its own",
            )


def colliding_variable(subject: Subject) -> Iterator[Violation]:
    """V403. A target with `override_input` writes no variable of its own."""
    seen: dict[tuple[str, str], str] = {}
    for declared in subject.collected(_targets):
        if declared.target.override_input is not None:
            continue
        key = f"OTA_TARGET_{env_suffix(declared.name)}"
        first = seen.setdefault((declared.task_name, key), declared.name)
        if first != declared.name:
            yield broken(
                "V403",
                declared.path,
                f"would write `{key}`, as target `{first}` does",
                "both names give the same variable",
                "rename one of the two targets",
            )


def self_activation(subject: Subject) -> Iterator[Violation]:
    """V404."""
    for declared, _, service, _ in _local_producers(subject):
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
    for declared, _, service, producer in _local_producers(subject):
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


def repo_view(subject: Subject) -> Iterator[Violation]:
    """V411. Without a stated view, a repo target means `host`."""
    for _, path, service in _services(subject):
        if service.repo is not None and service.address_view not in (None, "host"):
            yield broken(
                "V411",
                (*path, "address_view"),
                f"is `{service.address_view}`",
                "`service.repo` supports only `address_view: host`",
                "set `address_view: host`",
            )


def member_activation(subject: Subject) -> Iterator[Violation]:
    """V413."""
    for declared, _, service in _services(subject):
        mode = declared.target.activation.mode
        if service.member is not None and service.address_view == "host" and mode != "manual":
            yield broken(
                "V413",
                (*declared.path, "activation", "mode"),
                f"is `{mode}`",
                "the host view of a member supports only `manual`",
                "set `activation.mode: manual`, or share a backend and use `topology`",
            )


def unshared_member(subject: Subject) -> Iterator[Violation]:
    """V414, as far as this contract tells: without a binding of its own the caller shares nothing.

    A remote caller may share through its context, which only the member's contract can prove.
    """
    for declared, path, service in _services(subject):
        if service.member is None or service.repo is not None or service.address_view == "host":
            continue
        for plane in subject.planes.planes_of(declared.task):
            if plane != "remote" and subject.planes.binding_of(declared.task, plane) is None:
                yield broken(
                    "V414",
                    path,
                    f"cannot prove the {service.address_view or 'topology'} address of member "
                    f"`{service.member}`",
                    f"`{declared.task_name}` binds no shared backend on {plane}",
                    "bind both tasks to one shared backend, or use `address_view: host`",
                )
                break


RULES: tuple[Rule, ...] = (
    empty_target_name,
    one_kind,
    empty_url,
    url_activation,
    empty_service_value,
    member_and_repo,
    unknown_producer,
    unknown_member,
    not_a_service,
    unknown_listener,
    ambiguous_listener,
    undeclared_input,
    shared_input,
    colliding_variable,
    self_activation,
    activation_cycle,
    unfixed_host,
    unfixed_bind,
    unshared_internal,
    unshared_remote,
    provider_without_cleanup,
    repo_view,
    member_activation,
    unshared_member,
)
