"""Rules of `execution.shared_backends`: legal families, the pinned context, and what bound tasks must share.

Whether a binding exists and fits its plane (V420, V421): `ota.contract.rules.runtime`. A task bound on
another plane is no member of the group here.

Source: contract specification 11.8, 11.9; runtime specification 16; appendix A, V065 to V083.
"""

from collections.abc import Callable, Iterator

from msgspec import Struct

from ota.contract.grammar import (
    GrammarError,
    is_empty,
    is_loopback_only,
    normalise_boundary_path,
    parse_memory,
)
from ota.contract.model.execution import Context, SharedBackend
from ota.contract.model.runtime import Listener
from ota.contract.rules.base import FieldPath, Rule, ServiceRuntime, Subject, Violation
from ota.contract.rules.phrases import empty_keys, listed
from ota.contract.rules.values import empty_text, unknown
from ota.contract.views import ANY_ADDRESS

_BACKENDS: FieldPath = ("execution", "shared_backends")
DEFAULT_ENGINES = ("docker",)


def _backends(subject: Subject) -> Iterator[tuple[str, SharedBackend, FieldPath]]:
    for name, backend in sorted(subject.planes.execution.shared_backends.items()):
        yield name, backend, (*_BACKENDS, name)


def names(subject: Subject) -> Iterator[Violation]:
    """V065."""
    yield from empty_keys("V065", _BACKENDS, "`execution`", subject.planes.execution.shared_backends)


def family(subject: Subject) -> Iterator[Violation]:
    """V066 to V069."""
    for name, backend, path in _backends(subject):
        owner = f"shared backend `{name}`"
        if backend.scope == "remote" and backend.backend != "remote":
            yield Violation(
                rule="V066",
                path=(*path, "scope"),
                summary=f"{owner}: `scope: remote` requires `backend: remote`",
                why=f"its backend is {backend.backend}, which is on this machine",
                next="write `scope: local`, or `backend: remote`",
            )
        elif backend.backend == "remote" and backend.scope != "remote":
            yield Violation(
                rule="V067",
                path=(*path, "backend"),
                summary=f"{owner}: `backend: remote` requires `scope: remote`",
                why=f"its scope is {backend.scope}",
                next="write `scope: remote`",
            )
        if backend.backend != "container" and backend.lifecycle != "persistent":
            yield Violation(
                rule="V068" if backend.backend == "native" else "V069",
                path=(*path, "lifecycle"),
                summary=f"{owner}: a {backend.backend} shared backend is persistent only",
                why=f"it declares `lifecycle: {backend.lifecycle}`; only a container can be thrown away",
                next="write `lifecycle: persistent`",
            )


def pinned_context(subject: Subject) -> Iterator[Violation]:
    """V070 to V073."""
    planes = subject.planes
    for name, backend, backend_path in _backends(subject):
        path = (*backend_path, "context")
        if backend.context is None:
            continue
        if is_empty(backend.context):
            yield from empty_text("V070", path, backend.context)
            continue
        yield from unknown(subject, "V071", path, "context", backend.context, planes.execution.contexts)
        context = planes.contexts.get(backend.context)
        if context is None or context.backend is None:
            continue
        if context.backend != backend.backend:
            yield Violation(
                rule="V072",
                path=path,
                summary=f"shared backend `{name}` pins a context of another plane",
                why=f"context `{backend.context}` is {context.backend}, this backend is {backend.backend}",
                next=f"name a {backend.backend} context, or write `backend: {context.backend}`",
            )
        elif context.lifecycle not in (None, backend.lifecycle):
            yield Violation(
                rule="V073",
                path=(*backend_path, "lifecycle"),
                summary=f"shared backend `{name}` has a lifecycle conflict with its context",
                why=f"context `{backend.context}` is {context.lifecycle}, this backend {backend.lifecycle}",
                next=f"write `lifecycle: {context.lifecycle}`, or change the context",
            )


def environment(subject: Subject) -> Iterator[Violation]:
    """V074 to V077."""
    for name, backend, backend_path in _backends(subject):
        declared = backend.environment
        if declared is None:
            continue
        owner, path = f"shared backend `{name}`", (*backend_path, "environment")
        if backend.backend != "container":
            yield Violation(
                rule="V074",
                path=path,
                summary=f"{owner} declares an `environment`",
                why=f"it is container only, and this backend is {backend.backend}",
                next="remove `environment`",
            )
            continue
        stated = [key for key in ("profile", "image_alias", "image") if getattr(declared, key) is not None]
        if len(stated) > 1:
            yield Violation(
                rule="V075",
                path=path,
                summary=f"{owner} states more than one environment intent",
                why=f"it declares {listed(stated)}; one intent only",
                next=f"keep one of {listed(stated)}",
            )
        for key in ("profile", "image_alias", "image", "source"):
            yield from empty_text("V076", (*path, key), getattr(declared, key))
        if declared.source is not None and declared.image is None:
            yield Violation(
                rule="V077",
                path=(*path, "source"),
                summary=f"{owner} states a `source` without an `image`",
                why="a source class is only for a literal image; a profile or alias brings its own",
                next="add `image`, or remove `source`",
            )


# --- bound tasks --------------------------------------------------------------------------------------


class Bound(Struct, frozen=True, kw_only=True):
    """One task in a group, with the context its own selection gives it."""

    service: ServiceRuntime
    context: str | None

    @property
    def path(self) -> FieldPath:
        """Where it binds."""
        return (*self.service.path, "backend_binding")


def _groups(subject: Subject) -> Iterator[tuple[str, SharedBackend, list[Bound]]]:
    """Every shared backend with the tasks that bind it on its own plane, in key order."""
    members: dict[str, list[Bound]] = {}
    backends = subject.planes.execution.shared_backends
    if not backends:
        return
    for service in subject.service_runtimes:
        name = service.runtime.backend_binding or ""
        if name in backends and backends[name].backend == service.plane:
            context = subject.planes.context_name(service.task, service.plane)
            members.setdefault(name, []).append(Bound(service=service, context=context))
    for name, backend, _ in _backends(subject):
        yield name, backend, members.get(name, [])


def bound_context(subject: Subject) -> Iterator[Violation]:
    """V078."""
    for name, backend, group in _groups(subject):
        pinned = subject.planes.contexts.get(backend.context or "")
        if pinned is None or pinned.backend != backend.backend:
            continue
        for bound in group:
            if bound.context != backend.context:
                yield Violation(
                    rule="V078",
                    path=bound.path,
                    summary=f"task `{bound.service.task_name}` does not resolve the context of `{name}`",
                    why=f"expected context `{backend.context}`, got {_context(bound.context)}",
                    next=f"write `context: {backend.context}` on the task, or remove the binding",
                )


def bound_lifecycle(subject: Subject) -> Iterator[Violation]:
    """V079; a conflict of the pinned context itself is V073's."""
    for name, backend, group in _groups(subject):
        for bound in group:
            service = bound.service
            lifecycle, source = subject.planes.lifecycle_of(service.task, service.plane, bound.context)
            told = source in ("context", "contract lifecycle") and bound.context == backend.context
            if lifecycle in (None, backend.lifecycle) or told:
                continue
            yield Violation(
                rule="V079",
                path=bound.path,
                summary=f"task `{service.task_name}` has a lifecycle mismatch with shared backend `{name}`",
                why=f"the {source} says {lifecycle}, the shared backend {backend.lifecycle}",
                next=f"write `lifecycle: {backend.lifecycle}` there, or remove the binding",
            )


def one_shape(subject: Subject) -> Iterator[Violation]:
    """V080 and V081: bound tasks meet in one context, or at least in one container shape.

    Contexts that differ in nothing that makes a container are V080; where the shape itself
    differs, V081 names what differs instead, because setting `context` alone would hide it.
    """
    for name, backend, group in _groups(subject):
        contexts = list(dict.fromkeys(bound.context for bound in group))
        if backend.context is not None or len(contexts) < 2:
            continue
        differing = _differing(subject, backend, group) if backend.backend == "container" else None
        if differing is not None:
            yield differing
            continue
        yield Violation(
            rule="V080",
            path=(*_BACKENDS, name, "context"),
            summary=f"tasks bound to shared backend `{name}` span several contexts",
            why=f"they resolve {', '.join(_context(context) for context in contexts)}",
            next=f"set `context` in `execution.shared_backends.{name}`, and use it in every bound task",
        )


def _context(name: str | None) -> str:
    return f"`{name}`" if name is not None else "no context"


def _differing(subject: Subject, backend: SharedBackend, group: list[Bound]) -> Violation | None:
    first = group[0]
    reference = _shape(subject, backend, first)
    for bound in group[1:]:
        shape = _shape(subject, backend, bound)
        parts = [part for part in shape if shape[part] != reference[part]]
        if parts:
            part = parts[0]
            names = f"`{first.service.task_name}` and `{bound.service.task_name}`"
            return Violation(
                rule="V081",
                path=bound.path,
                summary=f"tasks {names} bind one container but disagree on {', '.join(parts)}",
                why=(
                    f"a shared container has one deterministic shape; {part}: "
                    f"{_shown(reference[part])} and {_shown(shape[part])}"
                ),
                next="let them resolve one context, and set it as `context` of the shared backend",
            )
    return None


def _shape(subject: Subject, backend: SharedBackend, bound: Bound) -> dict[str, object]:
    context = subject.planes.context_of(bound.context, bound.service.plane)
    container, attachments = context.container, context.attachments
    isolated = (attachments.isolated_paths if attachments is not None else None) or ()
    return {
        "image": _image(backend, context),
        "engines": container.engines if container is not None and container.engines else DEFAULT_ENGINES,
        "isolated paths": tuple(sorted({_normalised(path) for path in isolated})),
        "memory": _memory_request(context),
        "platform": container.platform if container is not None else None,
        "user": container.user if container is not None else None,
    }


def _image(backend: SharedBackend, context: Context) -> str | None:
    """An unresolved profile or alias stands for itself."""
    declared = backend.environment
    if declared is not None and declared.image is not None:
        return declared.image
    if declared is not None and declared.profile is not None:
        return f"profile:{declared.profile}"
    if declared is not None and declared.image_alias is not None:
        return f"alias:{declared.image_alias}"
    return context.container.image if context.container is not None else None


def _memory_request(context: Context) -> tuple[int | str | None, int | str | None]:
    resources = context.container.resources if context.container is not None else None
    if resources is None:
        return None, None
    return _bytes(resources.memory.minimum), _bytes(resources.memory.default)


def _bytes(text: str | None) -> int | str | None:
    """`1GiB` and `1024MiB` are equal; what is no size is V037's."""
    try:
        return parse_memory(text) if text is not None else None
    except GrammarError:
        return text


def _normalised(path: str) -> str:
    try:
        return normalise_boundary_path(path)
    except GrammarError:
        return path


def _shown(value: object) -> str:
    if value is None or value == () or value == (None, None):
        return "none"
    return listed(value) if isinstance(value, tuple) else f"`{value}`"


# --- endpoints ----------------------------------------------------------------------------------------


class Claim(Struct, frozen=True, kw_only=True):
    """One listener's claim of an address and port."""

    task: str
    listener: str
    address: str
    port: int
    path: FieldPath


class _Claims:
    """Claims of one group by port: an any-address claim meets every other, all loopbacks are one."""

    def __init__(self) -> None:
        self._by_port: dict[int, dict[str, Claim]] = {}

    def add(self, claim: Claim) -> Claim | None:
        """The earlier claim this one meets, if any."""
        claimed = self._by_port.setdefault(claim.port, {})
        address = _canonical(claim.address)
        earlier = claimed.get(address) or claimed.get("*")
        if address == "*":
            earlier = next(iter(claimed.values()), None)
        claimed.setdefault(address, claim)
        return earlier


def _canonical(address: str) -> str:
    bare = address.strip().lower()
    if bare in ANY_ADDRESS:
        return "*"
    return "loopback" if is_loopback_only(bare) else bare


def in_backend_endpoints(subject: Subject) -> Iterator[Violation]:
    """V082."""
    for name, _, group in _groups(subject):
        claims = _Claims()
        for claim in _each(group, _bind_claim):
            earlier = claims.add(claim)
            if earlier is not None:
                yield _conflict(
                    "V082", f"conflicting listener endpoints in shared backend `{name}`", claim, earlier
                )


def host_endpoints(subject: Subject) -> Iterator[Violation]:
    """V083. Natively host and bind are one endpoint, which V082 already told."""
    for name, backend, group in _groups(subject):
        if backend.backend != "container":
            continue
        claims = _Claims()
        for claim in _each(group, _host_claim):
            earlier = claims.add(claim)
            if earlier is not None:
                yield _conflict(
                    "V083", f"conflicting host publications of shared backend `{name}`", claim, earlier
                )


def _each(group: list[Bound], claim: Callable[[Bound, str, Listener], Claim | None]) -> Iterator[Claim]:
    for bound in group:
        for name, listener in bound.service.listeners.items():
            made = claim(bound, name, listener)
            if made is not None:
                yield made


def _bind_claim(bound: Bound, name: str, listener: Listener) -> Claim | None:
    port = listener.bind.port
    if port.mode != "fixed" or port.value is None:
        return None
    return Claim(
        task=bound.service.task_name,
        listener=name,
        address=listener.bind.address,
        port=port.value,
        path=(*bound.service.path, "listeners", name, "bind", "port"),
    )


def _host_claim(bound: Bound, name: str, listener: Listener) -> Claim | None:
    host = listener.host
    if host is None or host.port.mode != "fixed" or host.port.value is None:
        return None
    return Claim(
        task=bound.service.task_name,
        listener=name,
        address=host.address,
        port=host.port.value,
        path=(*bound.service.path, "listeners", name, "project", "host", "port"),
    )


def _conflict(rule: str, summary: str, claim: Claim, earlier: Claim) -> Violation:
    return Violation(
        rule=rule,
        path=claim.path,
        summary=summary,
        why=(
            f"`{claim.listener}` of task `{claim.task}` claims {claim.address}:{claim.port}; "
            f"`{earlier.listener}` of task `{earlier.task}` has {earlier.address}:{earlier.port}"
        ),
        next=f"give `{claim.listener}` of task `{claim.task}` another port",
    )


RULES: tuple[Rule, ...] = (
    names,
    family,
    pinned_context,
    environment,
    bound_context,
    bound_lifecycle,
    one_shape,
    in_backend_endpoints,
    host_endpoints,
)
