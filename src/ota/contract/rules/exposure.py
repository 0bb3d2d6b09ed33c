"""What each plane lets a listener do: bind, publish, discover.

Source: contract specification 15.9 (table of planes); runtime specification 10.2; decision D33;
appendix A V428, V436 to V442.
"""

from collections.abc import Iterator

from ota.contract.grammar import is_loopback_only
from ota.contract.model.bodies import LaunchCompose, LaunchContainer
from ota.contract.planes import branch_of
from ota.contract.rules.base import Rule, Subject, Violation
from ota.contract.rules.runtime import is_shorthand_like
from ota.contract.rules.runtime_readiness import readiness_listener
from ota.contract.rules.runtimes_walk import (
    DeclaredRuntime,
    bound_backend,
    declared_runtimes,
    listeners_on,
)
from ota.contract.rules.wording import broken


def discovered_bind(subject: Subject) -> Iterator[Violation]:
    """V428. On a container with a projection V436 speaks, on a remote plane V440."""
    for declared in declared_runtimes(subject):
        for name, listener in declared.runtime.listeners.items():
            if listener.bind.port.mode != "discover":
                continue
            path = declared.listener_path(name, "bind", "port", "mode")
            if "container" in declared.planes and listener.host is None:
                yield broken(
                    "V428",
                    path,
                    "is `discover`, but the task runs in a container",
                    "ota can watch only native processes open their port",
                    "set `bind.port.mode: fixed` with a `value`",
                )
            elif "native" in declared.planes and len(declared.listeners) > 1:
                yield broken(
                    "V428",
                    path,
                    "is `discover`, but the task has several listeners",
                    "a discovered port cannot be told from the port of another listener",
                    "set `bind.port.mode: fixed` with a `value`",
                )


def container_bind(subject: Subject) -> Iterator[Violation]:
    """V436. `auto` is V427, a missing value V425."""
    for declared, name, listener in listeners_on(subject, "container"):
        if listener.host is not None and listener.bind.port.mode == "discover":
            yield broken(
                "V436",
                declared.listener_path(name, "bind", "port", "mode"),
                f"is `{listener.bind.port.mode}`, but a container projection needs a fixed bind",
                f"the engine publishes a port it is told; found `bind.port.mode: {listener.bind.port.mode}`",
                "set `bind.port.mode: fixed` with a `value`; the host side may be `auto`",
            )


def container_loopback(subject: Subject) -> Iterator[Violation]:
    """V437."""
    for declared, name, listener in listeners_on(subject, "container"):
        if listener.host is None or not is_loopback_only(listener.bind.address):
            continue
        hint = "use `bind.address: 0.0.0.0`"
        if name not in declared.runtime.listeners:
            hint += f", as an override of surface `{name}`"
        elif is_shorthand_like(listener):
            hint += "; a shorthand listener always binds loopback, so write it in full form"
        yield Violation(
            rule="V437",
            path=declared.listener_path(name, "bind", "address"),
            summary=f"task `{declared.task_name}` listener `{name}` cannot project to the host from a "
            "loopback-only container bind address",
            why=f"`{listener.bind.address}` inside the container is not reachable through a published port",
            next=hint,
        )


def native_ports(subject: Subject) -> Iterator[Violation]:
    """V438. An engine that launches a container or Compose for the task does translate ports."""
    for declared, name, listener in listeners_on(subject, "native"):
        host, bind = listener.host, listener.bind.port
        if host is None or _is_translated(declared):
            continue
        is_fixed = bind.mode == host.port.mode == "fixed" and None not in (bind.value, host.port.value)
        if is_fixed and bind.value != host.port.value:
            yield broken(
                "V438",
                declared.listener_path(name, "project", "host", "port", "value"),
                f"is {host.port.value}, but the task binds {bind.value}",
                "natively nothing translates ports: both must match",
                f"write `value: {bind.value}`, or use `mode: auto`",
            )


def _is_translated(declared: DeclaredRuntime) -> bool:
    branch = branch_of(declared.task, "native")
    launch = branch.launch if branch is not None and branch.launch is not None else declared.task.launch
    return isinstance(launch, LaunchContainer | LaunchCompose)


def native_discovery(subject: Subject) -> Iterator[Violation]:
    """V439."""
    for declared, name, listener in listeners_on(subject, "native"):
        host = listener.host
        if host is not None and listener.bind.port.mode == "discover" and host.port.mode == "fixed":
            yield broken(
                "V439",
                declared.listener_path(name, "project", "host", "port", "mode"),
                "is `fixed`, but the bind port is `discover`",
                "natively the host port is the port the task is found on",
                "set `project.host.port.mode: auto`, or fix the bind port",
            )


def remote_bind(subject: Subject) -> Iterator[Violation]:
    """V440. `auto` is V427, a missing value V425, the probed listener of a shared backend V463."""
    for declared, name, listener in listeners_on(subject, "remote"):
        if listener.bind.port.mode != "discover":
            continue
        if bound_backend(subject, declared) is not None and readiness_listener(subject, declared) == name:
            continue
        yield broken(
            "V440",
            declared.listener_path(name, "bind", "port", "mode"),
            f"is `{listener.bind.port.mode}`, but the task runs remotely",
            "a remote port is known only when it is fixed",
            "set `bind.port.mode: fixed` with a `value`",
        )


def remote_host(subject: Subject) -> Iterator[Violation]:
    """V441."""
    for declared, name, listener in listeners_on(subject, "remote"):
        if listener.host is not None and listener.host.port.mode != "fixed":
            yield broken(
                "V441",
                declared.listener_path(name, "project", "host", "port", "mode"),
                f"is `{listener.host.port.mode}`, but the task runs remotely",
                "a remote endpoint is reached through one fixed host port",
                "set `project.host.port.mode: fixed` with a `value`",
            )


def conflicting_publication(subject: Subject) -> Iterator[Violation]:
    """V442, inside one task, one shared backend or one persistent container (D33)."""
    published: dict[tuple[object, ...], tuple[tuple[object, ...], str]] = {}
    for declared, name, listener in listeners_on(subject, "container"):
        host, port = listener.host, listener.bind.port
        if host is None or port.mode != "fixed" or port.value is None:
            continue
        projection = (listener.protocol, host.address, host.port.mode, host.port.value)
        key = (*_container_identity(subject, declared), port.value)
        first, owner = published.setdefault(key, (projection, f"{declared.task_name}.{name}"))
        if first != projection:
            yield broken(
                "V442",
                declared.listener_path(name, "project", "host"),
                f"publishes container port {port.value} differently from `{owner}`",
                "one container publishes a port once",
                f"use the same protocol, address and port as `{owner}`, or another bind port",
            )


def _container_identity(subject: Subject, declared: DeclaredRuntime) -> tuple[object, ...]:
    binding = declared.runtime.backend_binding
    if binding is not None:
        return ("shared", binding)
    choice = subject.planes.choose(declared.task, asked="container")
    if choice.lifecycle == "persistent":
        return ("persistent", choice.name)
    return ("task", declared.task_name)


RULES: tuple[Rule, ...] = (
    discovered_bind,
    container_bind,
    container_loopback,
    native_ports,
    native_discovery,
    remote_bind,
    remote_host,
    conflicting_publication,
)
