"""Rules of `tasks.*.targets`: what a target names.

What starting a producer needs is in `activation`. Producers in other contracts are resolved
in `abroad` (V396 to V400 and V412 for `member` and `repo`).

Source: contract specification 15.7; runtime specification 15.1; decision D26;
appendix A V390 to V403, V411 to V414.
"""

from collections.abc import Iterator

from msgspec import Struct

from ota.contract.grammar import env_suffix
from ota.contract.model.tasks import Target, TargetService, Task
from ota.contract.planes import is_service
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.phrases import empty_keys, listed
from ota.contract.rules.values import empty_text, owner_of, unknown
from ota.contract.rules.wording import broken
from ota.contract.views import listener_names


class Declared(Struct, frozen=True, kw_only=True):
    """One target and where it stands."""

    path: FieldPath
    name: str
    task_name: str
    task: Task
    target: Target


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


def service_targets(subject: Subject) -> Iterator[tuple[Declared, FieldPath, TargetService]]:
    """Targets that name a producer, wherever it lives."""
    for declared in subject.collected(_targets):
        if declared.target.service is not None:
            yield declared, (*declared.path, "service"), declared.target.service


def local_producers(subject: Subject) -> Iterator[tuple[Declared, FieldPath, TargetService, Task]]:
    """Targets whose producer is a task of this contract."""
    for declared, path, service in service_targets(subject):
        producer = subject.contract.tasks.get(service.task)
        if producer is not None and service.member is None and service.repo is None:
            yield declared, path, service, producer


def empty_target_name(subject: Subject) -> Iterator[Violation]:
    """V390."""
    for _, task, path in subject.tasks():
        if task.targets:
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
    for _, path, service in service_targets(subject):
        for key in ("task", "member", "repo", "listener"):
            yield from empty_text("V394", (*path, key), getattr(service, key))


def member_and_repo(subject: Subject) -> Iterator[Violation]:
    """V395."""
    for _, path, service in service_targets(subject):
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
    for _, path, service in service_targets(subject):
        if service.task.strip() and service.member is None and service.repo is None:
            yield from unknown(subject, "V396", (*path, "task"), "task", service.task, subject.contract.tasks)


def unknown_member(subject: Subject) -> Iterator[Violation]:
    """V397, for members a monorepo root declares. Repos are known to the workspace file only."""
    workspace = subject.contract.workspace
    if workspace is None:
        return
    endings = (name.rpartition("/")[2] for name in workspace.directories)
    known = {*workspace.directories, *filter(workspace.named, endings)}
    for _, path, service in service_targets(subject):
        member = service.member
        if member and member.strip() and service.repo is None and not workspace.named(member):
            yield from unknown(subject, "V397", (*path, "member"), "workspace member", member, known)


def not_a_service(subject: Subject) -> Iterator[Violation]:
    """V398."""
    for _, path, service, producer in local_producers(subject):
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
    for _, path, service, producer in local_producers(subject):
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
    for _, path, service, producer in local_producers(subject):
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


def repo_view(subject: Subject) -> Iterator[Violation]:
    """V411. Without a stated view, a repo target means `host`."""
    for _, path, service in service_targets(subject):
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
    for declared, _, service in service_targets(subject):
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
    for declared, path, service in service_targets(subject):
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
    repo_view,
    member_activation,
    unshared_member,
)
