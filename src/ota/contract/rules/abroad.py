"""Rules of producers in other contracts: `member` and `repo` of targets, `producer` of services.

They ask `ota.contract.neighbours`, so they are no part of what a contract alone can prove, and are never
remembered with it. That a contract which is named cannot be had is told apart from what is wrong with the
naming: it is nobody's mistake here, and stands in the way only of whoever needs that contract.

Source: contract specification 12, 15.7; workspace specification C1, C2; appendix A V219, V220,
V396 to V400, V412, V414.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal, NamedTuple

from ota.contract.model import Contract
from ota.contract.model.services import Producer
from ota.contract.model.tasks import TargetService
from ota.contract.neighbours import Neighbour, Neighbours, Unloadable
from ota.contract.planes import is_service
from ota.contract.rules.base import FieldPath, Subject, Violation
from ota.contract.rules.phrases import listed
from ota.contract.rules.targets import Declared, service_targets
from ota.contract.rules.values import unknown
from ota.contract.rules.wording import broken
from ota.contract.views import Unprovable, host_endpoint, listener_names, shared_backend

Kind = Literal["member", "repo"]


def violations_abroad(contract: Contract, neighbours: Neighbours) -> Iterator[Violation]:
    """What a contract says wrongly of others, in rule order."""
    subject = Subject(contract)
    for reference, found in _references(subject, neighbours):
        if not isinstance(found, Unloadable):
            yield from reference.judge(found)
        elif found.is_misnamed:
            yield _unloadable(reference, found)


def violations_of_reach(contract: Contract, neighbours: Neighbours) -> Iterator[Violation]:
    """V219, V397 of contracts that are not there, or cannot be read, or are wrong themselves."""
    for reference, found in _references(Subject(contract), neighbours):
        if isinstance(found, Unloadable) and not found.is_misnamed:
            yield _unloadable(reference, found)


class _Reference(NamedTuple):
    """One place that names another contract, and what there is to say once that is known."""

    rule: str
    path: FieldPath
    kind: Kind
    name: str
    judge: Callable[[Neighbour], Iterator[Violation]]


def _references(
    subject: Subject, neighbours: Neighbours
) -> Iterator[tuple[_Reference, Neighbour | Unloadable]]:
    for each in (*_producers(subject), *_targets(subject)):
        ask = neighbours.member if each.kind == "member" else neighbours.repo
        yield each, ask(each.name)


def _unloadable(reference: _Reference, found: Unloadable) -> Violation:
    rule, path, kind, name, _ = reference
    return broken(rule, (*path, kind), f"could not load `{kind}: {name}`", found.reason, found.next)


# --- services ------------------------------------------------------------------------------------


def _producers(subject: Subject) -> Iterator[_Reference]:
    """V219, V220. Empty values are V216."""
    for name, service in sorted(subject.contract.services.items()):
        producer = service.producer
        if producer is not None and producer.repo.strip() and producer.task.strip():
            path = ("services", name, "producer")
            yield _Reference(
                "V219", path, "repo", producer.repo, partial(_of_producer, subject, producer, path)
            )


def _of_producer(
    subject: Subject, producer: Producer, path: FieldPath, found: Neighbour
) -> Iterator[Violation]:
    yield from _named(subject, found, path, Asked(producer.task, producer.listener), _PRODUCER)
    listener = listener_of(found, producer.task, producer.listener)
    if listener is not None:
        yield from _fixed_host("V220", found, (*path, "task"), producer.task, listener)


# --- targets -------------------------------------------------------------------------------------


def _targets(subject: Subject) -> Iterator[_Reference]:
    """V396 to V400, V412, V414. Empty values are V394, two kinds V395."""
    for declared, path, service in service_targets(subject):
        kind: Kind = "member" if service.member is not None else "repo"
        name = service.member if service.repo is None else service.repo if service.member is None else None
        if name is None or not name.strip() or not service.task.strip():
            continue
        if kind == "repo" or not _is_undeclared(subject, name):  # V397 of the contract alone
            yield _Reference("V397", path, kind, name, partial(_of_target, subject, declared, path, service))


def _of_target(
    subject: Subject, declared: Declared, path: FieldPath, service: TargetService, found: Neighbour
) -> Iterator[Violation]:
    yield from _named(subject, found, path, Asked(service.task, service.listener), _TARGET)
    listener = listener_of(found, service.task, service.listener)
    if listener is None:
        return
    if service.repo is not None or service.address_view == "host":
        yield from _fixed_host("V412", found, (*path, "task"), service.task, listener)
    else:
        yield from _unshared(subject, found, declared, path)


def _is_undeclared(subject: Subject, name: str) -> bool:
    workspace = subject.contract.workspace
    return workspace is not None and workspace.named(name) is None


def _unshared(subject: Subject, found: Neighbour, declared: Declared, path: FieldPath) -> Iterator[Violation]:
    """V414, with the member's own contract. A caller without any binding is told of without it."""
    service = declared.target.service
    assert service is not None
    producer = found.contract.tasks[service.task]
    for plane in subject.planes.planes_of(declared.task):
        if plane != "remote" and subject.planes.binding_of(declared.task, plane) is None:
            return
        shared = shared_backend(subject.planes, declared.task, plane, producer, owner=found.planes)
        if shared is not None and plane != "container":
            continue
        reason = f"on {plane} the two tasks do not bind the same shared backend"
        if shared is not None:
            reason = f"`{shared}` is a container for each member: members mount different directories"
        yield broken(
            "V414",
            path,
            f"cannot prove the {service.address_view or 'topology'} address of member `{service.member}`",
            reason,
            "bind both tasks to one shared native or remote backend, or use `address_view: host`",
        )
        return


# --- producers -----------------------------------------------------------------------------------


class Asked(NamedTuple):
    """A task of another contract, and which of its listeners."""

    task: str
    listener: str | None


class _Rules(NamedTuple):
    """The number of each thing that can be wrong with a producer, by whose field it is."""

    task: str
    service: str
    listener: str
    ambiguous: str


_TARGET = _Rules("V396", "V398", "V399", "V400")
_PRODUCER = _Rules("V219", "V219", "V219", "V219")


def listener_of(found: Neighbour, task: str, listener: str | None) -> str | None:
    """The listener that is meant, when the other contract has it."""
    producer = found.contract.tasks.get(task)
    names = listener_names(producer, found.contract.surfaces) if producer is not None else ()
    chosen = listener or (names[0] if len(names) == 1 else None)
    return chosen if chosen in names else None


def _named(
    subject: Subject, found: Neighbour, path: FieldPath, asked: Asked, rules: _Rules
) -> Iterator[Violation]:
    """A task that is there, is a service, and has the listener."""
    tasks = found.contract.tasks
    where = f"the contract of `{found.contract.project.name}`"
    producer = tasks.get(asked.task)
    if producer is None:
        yield from unknown(subject, rules.task, (*path, "task"), "task", asked.task, tasks)
        return
    if not is_service(producer):
        yield broken(
            rules.service,
            (*path, "task"),
            f"names `{asked.task}`, which is no service task",
            f"in {where} it declares no `runtime.kind: service`",
            f"declare a service runtime on `{asked.task}` there, or name a service task",
        )
        return
    names = listener_names(producer, found.contract.surfaces)
    if not names:
        yield broken(
            rules.listener,
            (*path, "task"),
            f"names `{asked.task}`, which does not declare any service listeners",
            f"in {where} it has none, and an address is a listener's",
            f"declare a listener under `tasks.{asked.task}.runtime.listeners` there",
        )
    elif asked.listener is not None and asked.listener.strip():
        yield from unknown(subject, rules.listener, (*path, "listener"), "listener", asked.listener, names)
    elif asked.listener is None and len(names) > 1:
        yield broken(
            rules.ambiguous,
            path,
            f"must choose among multiple listeners of `{asked.task}`",
            f"{where} declares {listed(names)}",
            f"declare `listener`, one of {listed(names)}",
        )


def _fixed_host(
    rule: str, found: Neighbour, path: FieldPath, task: str, listener: str
) -> Iterator[Violation]:
    endpoint = host_endpoint(task, found.contract.tasks[task], listener, found.contract.surfaces)
    if isinstance(endpoint, Unprovable):
        yield broken(
            rule,
            path,
            f"names `{task}`, which has no single fixed `project.host` endpoint",
            endpoint.reason,
            f"in the contract of `{found.contract.project.name}`, {endpoint.next}",
        )
