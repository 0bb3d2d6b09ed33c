"""Rules of `runtime` itself: binding, listeners, host projections, attached surfaces.

What a plane allows is in `exposure`, readiness in `runtime_readiness`.

Source: contract specification 15.9; runtime specification 10.1, 10.2; decision D26;
appendix A V420 to V435, V443 to V447.
"""

from collections.abc import Iterator

from ota.contract.grammar import env_suffix, is_empty
from ota.contract.listeners import projected
from ota.contract.model.runtime import BindPort, HostProjection, Listener
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.phrases import empty_keys, listed
from ota.contract.rules.runtimes_walk import DeclaredRuntime, bound_backend, declared_runtimes
from ota.contract.rules.values import empty_text, owner_of, unknown
from ota.contract.rules.wording import advice, broken


def unknown_binding(subject: Subject) -> Iterator[Violation]:
    """V420."""
    known = subject.planes.execution.shared_backends
    for declared in declared_runtimes(subject):
        name = declared.runtime.backend_binding
        if name is not None:
            yield from unknown(
                subject, "V420", (*declared.path, "backend_binding"), "shared backend", name, known
            )


def binding_plane(subject: Subject) -> Iterator[Violation]:
    """V421."""
    for declared in declared_runtimes(subject):
        backend = bound_backend(subject, declared)
        if backend is None:
            continue
        other = [plane for plane in declared.planes if plane != backend.backend]
        if other:
            yield broken(
                "V421",
                (*declared.path, "backend_binding"),
                f"binds a {backend.backend} backend, but the task runs on {', '.join(other)}",
                f"shared backend `{declared.runtime.backend_binding}` is {backend.backend}",
                f"run the task on {backend.backend}, or bind a {other[0]} backend",
            )


def no_listeners(subject: Subject) -> Iterator[Violation]:
    """V422. A worker is allowed: its readiness is that its process started (D26)."""
    for declared in declared_runtimes(subject):
        if not declared.listeners and not declared.runtime.surfaces:
            yield advice(
                "V422",
                declared.path,
                "declares no listeners",
                "a worker counts as ready once its process started, and nothing can target it",
                "declare a listener if something connects to it",
            )


def empty_listener_name(subject: Subject) -> Iterator[Violation]:
    """V423."""
    for declared in declared_runtimes(subject):
        yield from empty_keys(
            "V423", (*declared.path, "listeners"), owner_of(declared.path)[0], declared.runtime.listeners
        )


def _listeners(subject: Subject) -> Iterator[tuple[DeclaredRuntime, str, Listener]]:
    for declared in declared_runtimes(subject):
        for name, listener in declared.listeners.items():
            yield declared, name, listener


def empty_bind_address(subject: Subject) -> Iterator[Violation]:
    """V424."""
    for declared, name, listener in _listeners(subject):
        yield from empty_text("V424", declared.listener_path(name, "bind", "address"), listener.bind.address)


def _bind_ports(subject: Subject) -> Iterator[tuple[FieldPath, BindPort]]:
    """Bind ports as written; those of attached surfaces are V445."""
    for declared in declared_runtimes(subject):
        for name, listener in sorted(declared.runtime.listeners.items()):
            yield (*declared.path, "listeners", name, "bind", "port"), listener.bind.port


def fixed_bind_value(subject: Subject) -> Iterator[Violation]:
    """V425."""
    for path, port in _bind_ports(subject):
        if port.mode == "fixed" and port.value is None:
            yield broken(
                "V425",
                (*path, "value"),
                "is missing",
                "`bind.port.mode: fixed` names the port the workload listens on",
                "add `value: <port>`, or use `mode: discover` for a native task",
            )


def discovered_bind_value(subject: Subject) -> Iterator[Violation]:
    """V426."""
    for path, port in _bind_ports(subject):
        if port.mode == "discover" and port.value is not None:
            yield broken(
                "V426",
                (*path, "value"),
                "has no place under `discover`",
                "a discovered port is observed, not declared",
                "remove `value`, or use `mode: fixed`",
            )


def automatic_bind(subject: Subject) -> Iterator[Violation]:
    """V427."""
    for path, port in _bind_ports(subject):
        if port.mode == "auto":
            yield broken(
                "V427",
                (*path, "mode"),
                "is `auto`, which is not a bind mode",
                "`bind.port.mode` is `fixed` or `discover`; `auto` belongs to `project.host.port.mode`",
                "set `bind.port.mode: fixed` with a `value`, and `project.host.port.mode: auto`",
            )


def _hosts(subject: Subject) -> Iterator[tuple[DeclaredRuntime, str, Listener, HostProjection]]:
    for declared, name, listener in _listeners(subject):
        if listener.host is not None:
            yield declared, name, listener, listener.host


def empty_host_address(subject: Subject) -> Iterator[Violation]:
    """V429."""
    for declared, name, _, host in _hosts(subject):
        path = declared.listener_path(name, "project", "host", "address")
        yield from empty_text("V429", path, host.address)


def fixed_host_value(subject: Subject) -> Iterator[Violation]:
    """V430."""
    for declared, name, _, host in _hosts(subject):
        if host.port.mode == "fixed" and host.port.value is None:
            yield broken(
                "V430",
                declared.listener_path(name, "project", "host", "port", "value"),
                "is missing",
                "`project.host.port.mode: fixed` names the published port",
                "add `value: <port>`, or use `mode: auto`",
            )


def automatic_host_value(subject: Subject) -> Iterator[Violation]:
    """V431."""
    for declared, name, _, host in _hosts(subject):
        if host.port.mode == "auto" and host.port.value is not None:
            yield broken(
                "V431",
                declared.listener_path(name, "project", "host", "port", "value"),
                "has no place under `auto`",
                "ota picks the port, or reads the one that was published",
                "remove `value`, or use `mode: fixed`",
            )


def host_path(subject: Subject) -> Iterator[Violation]:
    """V432."""
    for declared, name, listener, host in _hosts(subject):
        if listener.protocol != "tcp" and host.path is not None and not host.path.startswith("/"):
            yield broken(
                "V432",
                declared.listener_path(name, "project", "host", "path"),
                f"must start with `/`: `{host.path}`",
                "it is the path of a URL",
                f"write `/{host.path.strip()}`",
            )


def no_primary(subject: Subject) -> Iterator[Violation]:
    """V433."""
    for declared in declared_runtimes(subject):
        hosts = projected(declared.listeners)
        if len(hosts) > 1 and not any(host.primary for host in hosts.values()):
            yield Violation(
                rule="V433",
                path=(*declared.path, "listeners"),
                summary=f"task `{declared.task_name}` declares multiple projected listeners, "
                "but none sets project.host.primary: true",
                why=f"{listed(hosts)} ask for a host port; `OTA_PUBLIC_URL` can name only one",
                next="set `project.host.primary: true` on exactly one of them",
            )


def several_primaries(subject: Subject) -> Iterator[Violation]:
    """V434."""
    for declared in declared_runtimes(subject):
        marked = [name for name, host in projected(declared.listeners).items() if host.primary]
        if len(marked) > 1:
            yield Violation(
                rule="V434",
                path=(*declared.path, "listeners"),
                summary=f"task `{declared.task_name}` declares multiple listeners with "
                "project.host.primary: true",
                why=f"{listed(marked)} are all marked; `OTA_PUBLIC_URL` can name only one",
                next="keep one primary listener and remove `primary` from the rest",
            )


def colliding_names(subject: Subject) -> Iterator[Violation]:
    """V435."""
    for declared in declared_runtimes(subject):
        seen: dict[str, str] = {}
        for name in projected(declared.listeners):
            key = f"OTA_PUBLIC_URL_{env_suffix(name)}"
            first = seen.setdefault(key, name)
            if first != name:
                yield broken(
                    "V435",
                    declared.listener_path(name),
                    f"would write `{key}`, as listener `{first}` does",
                    "both names give the same variable",
                    "rename one of the two listeners",
                )


# --- surfaces --------------------------------------------------------------------------------------


def unknown_surface(subject: Subject) -> Iterator[Violation]:
    """V443."""
    for declared in declared_runtimes(subject):
        for attachment in declared.runtime.surfaces:
            yield from unknown(
                subject,
                "V443",
                (*declared.path, "surfaces", attachment.name),
                "surface",
                attachment.name,
                subject.contract.surfaces,
            )


def repeated_surface(subject: Subject) -> Iterator[Violation]:
    """V444. Only the list form can repeat; the map form has keys (P08)."""
    for declared in declared_runtimes(subject):
        seen: set[str] = set()
        for index, attachment in enumerate(declared.runtime.surfaces):
            if attachment.name in seen:
                yield broken(
                    "V444",
                    (*declared.path, "surfaces", index),
                    f"attaches `{attachment.name}` a second time",
                    "a surface is attached once",
                    "remove the repeated entry",
                )
            seen.add(attachment.name)


def surface_port(subject: Subject) -> Iterator[Violation]:
    """V445."""
    for declared in declared_runtimes(subject):
        for attachment in declared.runtime.surfaces:
            surface = subject.contract.surfaces.get(attachment.name)
            port = attachment.bind.port if attachment.bind is not None else None
            if surface is None or port is None:
                continue
            if port.mode != "fixed" or port.value != surface.port:
                found = f"{port.mode} {port.value}" if port.value is not None else port.mode
                yield broken(
                    "V445",
                    (*declared.path, "surfaces", attachment.name, "bind", "port"),
                    "must keep the surface's port",
                    f"surface `{attachment.name}` is port {surface.port}; found {found}",
                    f"remove `bind.port`, or write `{{mode: fixed, value: {surface.port}}}`",
                )


def surface_publication(subject: Subject) -> Iterator[Violation]:
    """V446."""
    for declared in declared_runtimes(subject):
        for attachment in declared.runtime.surfaces:
            surface = subject.contract.surfaces.get(attachment.name)
            listener = declared.runtime.listeners.get(attachment.name)
            if surface is None or listener is None:
                continue
            path = (*declared.path, "listeners", attachment.name)
            port = listener.bind.port
            if listener.protocol != surface.kind:
                yield _not_one_to_one((*path, "protocol"), attachment.name, f"is {surface.kind}")
            elif port.mode == "discover" or (port.mode == "fixed" and port.value not in (None, surface.port)):
                yield _not_one_to_one((*path, "bind", "port"), attachment.name, f"has port {surface.port}")


def _not_one_to_one(path: FieldPath, name: str, fact: str) -> Violation:
    return broken(
        "V446",
        path,
        f"differs from surface `{name}`",
        f"the surface {fact}; a listener of its name is its publication and must map 1:1",
        "use the surface's protocol and port, or rename the listener",
    )


def ephemeral_fulfillment(subject: Subject) -> Iterator[Violation]:
    """V447. A shared backend fulfills for itself; this is about a direct context."""
    for declared in declared_runtimes(subject):
        if "container" not in declared.planes or declared.runtime.backend_binding is not None:
            continue
        choice = subject.planes.choose(declared.task, asked="container")
        if choice.lifecycle == "ephemeral" and choice.context.fulfillment == "run":
            yield broken(
                "V447",
                declared.path,
                f"runs in context `{choice.name}`, which is ephemeral and fulfills by running",
                "a service cannot wait for provisioning inside a container that only it uses once",
                "use `lifecycle: persistent`, or `fulfillment: none` with a complete image",
            )


def is_shorthand_like(listener: Listener) -> bool:
    """Whether the shorthand would give this listener: one loopback port, published as it is."""
    host = listener.host
    return (
        host is not None
        and not host.primary
        and listener.protocol != "https"
        and listener.bind.address == host.address == "127.0.0.1"
        and listener.bind.port.mode == host.port.mode == "fixed"
        and listener.bind.port.value == host.port.value
        and not is_empty(host.path or "/")
    )


RULES: tuple[Rule, ...] = (
    unknown_binding,
    binding_plane,
    no_listeners,
    empty_listener_name,
    empty_bind_address,
    fixed_bind_value,
    discovered_bind_value,
    automatic_bind,
    empty_host_address,
    fixed_host_value,
    automatic_host_value,
    host_path,
    no_primary,
    several_primaries,
    colliding_names,
    unknown_surface,
    repeated_surface,
    surface_port,
    surface_publication,
    ephemeral_fulfillment,
)
