"""Rules of `runtime.readiness` and its signal probes.

Readiness derived from a surface is proven at the surface.

Source: contract specification 15.9 (readiness); appendix A V450 to V464.
"""

from collections.abc import Iterator

from msgspec import Struct

from ota.contract.listeners import primary_listener, projected
from ota.contract.model.readiness import RuntimeReadiness
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.runtimes_walk import DeclaredRuntime, bound_backend, declared_runtimes
from ota.contract.rules.values import HTTP_FIELDS, bad_timing, request_shape, unexpected, unknown
from ota.contract.rules.wording import broken


class Stated(Struct, frozen=True, kw_only=True):
    """One declared readiness and its runtime."""

    declared: DeclaredRuntime
    path: FieldPath
    readiness: RuntimeReadiness


def _stated(subject: Subject) -> Iterator[Stated]:
    for declared in declared_runtimes(subject):
        if declared.runtime.readiness is not None:
            yield Stated(
                declared=declared,
                path=(*declared.path, "readiness"),
                readiness=declared.runtime.readiness,
            )


def readiness_listener(subject: Subject, declared: DeclaredRuntime) -> str | None:
    """The listener a declared readiness asks: its own, else, with a probe, the primary one."""
    readiness = declared.runtime.readiness
    if readiness is None:
        return None
    if readiness.listener is not None or readiness.probe is None:
        return readiness.listener
    return primary_listener(declared.listeners)


def _probe_kind(subject: Subject, readiness: RuntimeReadiness) -> str | None:
    if readiness.probe is None:
        return readiness.kind
    probe = subject.contract.readiness.probes.get(readiness.probe)
    return probe.kind if probe is not None else None


def no_form(subject: Subject) -> Iterator[Violation]:
    """V450."""
    for stated in subject.collected(_stated):
        if stated.readiness.probe is None and stated.readiness.kind is None:
            yield broken(
                "V450",
                stated.path,
                "declares neither `probe` nor `kind`",
                "readiness asks a named probe, or is `kind: http` or `kind: tcp`",
                "declare `kind: tcp` with a `listener`, or name a probe",
            )


def unknown_probe(subject: Subject) -> Iterator[Violation]:
    """V451."""
    for stated in subject.collected(_stated):
        name = stated.readiness.probe
        if name is not None:
            known = subject.contract.readiness.probes
            yield from unknown(subject, "V451", (*stated.path, "probe"), "probe", name, known)


def inline_beside_probe(subject: Subject) -> Iterator[Violation]:
    """V452."""
    for stated in subject.collected(_stated):
        if stated.readiness.probe is not None:
            yield from unexpected(
                "V452",
                stated.path,
                stated.readiness,
                ("kind", *HTTP_FIELDS, "timeout"),
                f"probe `{stated.readiness.probe}` says it already",
            )


def signal_list(subject: Subject) -> Iterator[Violation]:
    """V453."""
    for stated in subject.collected(_stated):
        names = stated.readiness.signal_probes
        if names is None:
            continue
        path = (*stated.path, "signal_probes")
        if not names:
            yield broken("V453", path, "is an empty list", "it adds no gate", "name a probe, or remove it")
        seen: set[str] = set()
        for index, name in enumerate(names):
            if name == stated.readiness.probe:
                problem = f"names `{name}`, which is the readiness probe already"
            elif name in seen:
                problem = f"repeats `{name}`"
            elif not name.strip():
                problem = "is empty"
            else:
                seen.add(name)
                continue
            yield broken(
                "V453", (*path, index), problem, "each signal probe is a further gate", "remove the entry"
            )


def unknown_signal(subject: Subject) -> Iterator[Violation]:
    """V454. An empty entry is V453."""
    known = subject.contract.readiness.probes
    for stated in subject.collected(_stated):
        for index, name in enumerate(stated.readiness.signal_probes or ()):
            if name.strip():
                yield from unknown(
                    subject, "V454", (*stated.path, "signal_probes", index), "probe", name, known
                )


def foreign_signal(subject: Subject) -> Iterator[Violation]:
    """V455, V456."""
    for stated in subject.collected(_stated):
        declared = stated.declared
        for index, name in enumerate(stated.readiness.signal_probes or ()):
            probe = subject.contract.readiness.probes.get(name)
            if probe is None or name == stated.readiness.probe:
                continue
            path = (*stated.path, "signal_probes", index)
            target = probe.target
            view = target.address_view or "host" if target is not None else None
            if target is None or target.kind != "task" or target.name != declared.task_name:
                yield broken(
                    "V455",
                    path,
                    f"names `{name}`, which does not target this task",
                    "a signal probe asks the same task it gates",
                    f"set `target: {{kind: task, name: {declared.task_name}}}` on probe `{name}`",
                )
            elif view == "topology":
                yield broken(
                    "V455",
                    path,
                    f"names `{name}`, whose view is `topology`",
                    "a signal probe sees its task with view `host` or `internal`",
                    f"set `address_view: host` on probe `{name}`",
                )
            elif view == "internal" and (set(declared.planes) - {"native"} or target.listener is None):
                yield broken(
                    "V456",
                    path,
                    f"names `{name}`, whose view `internal` cannot be observed here",
                    "view `internal` needs a native task and an explicit listener",
                    f"set `address_view: host` on probe `{name}`",
                )


def unknown_listener(subject: Subject) -> Iterator[Violation]:
    """V457."""
    for stated in subject.collected(_stated):
        readiness = stated.readiness
        if readiness.listener is not None:
            known = stated.declared.listeners
            path = (*stated.path, "listener")
            yield from unknown(subject, "V457", path, "listener", readiness.listener, known)
        elif readiness.kind is not None and readiness.probe is None:
            yield broken(
                "V457",
                (*stated.path, "listener"),
                "is missing",
                f"`kind: {readiness.kind}` asks one listener",
                "name a listener of this runtime",
            )


def protocol_mismatch(subject: Subject) -> Iterator[Violation]:
    """V458."""
    for stated in subject.collected(_stated):
        name = readiness_listener(subject, stated.declared)
        listener = stated.declared.listeners.get(name or "")
        kind = _probe_kind(subject, stated.readiness)
        if listener is not None and listener.protocol == "tcp" and kind == "http":
            yield broken(
                "V458",
                (*stated.path, "listener"),
                f"asks tcp listener `{name}` over http",
                "an http readiness needs an http or https listener",
                "use `kind: tcp`, or name an http listener",
            )


def _inline(subject: Subject, kind: str) -> Iterator[Stated]:
    for stated in subject.collected(_stated):
        if stated.readiness.probe is None and stated.readiness.kind == kind:
            yield stated


def http_path(subject: Subject) -> Iterator[Violation]:
    """V459."""
    for stated in _inline(subject, "http"):
        if stated.readiness.path is None or not stated.readiness.path.startswith("/"):
            found = f"found `{stated.readiness.path}`" if stated.readiness.path else "none is declared"
            yield broken(
                "V459",
                (*stated.path, "path"),
                "is required and starts with `/`",
                f"an http readiness asks one path; {found}",
                "write a path such as `/health`",
            )


def http_request(subject: Subject) -> Iterator[Violation]:
    """V460."""
    for stated in _inline(subject, "http"):
        yield from request_shape("V460", stated.path, stated.readiness)


def tcp_fields(subject: Subject) -> Iterator[Violation]:
    """V461."""
    for stated in _inline(subject, "tcp"):
        yield from unexpected("V461", stated.path, stated.readiness, HTTP_FIELDS, "`kind: tcp` only connects")


def probed_listener(subject: Subject) -> Iterator[Violation]:
    """V462, V463."""
    for stated in subject.collected(_stated):
        declared = stated.declared
        name = readiness_listener(subject, declared)
        listener = declared.listeners.get(name or "")
        if listener is None:
            continue
        backend = bound_backend(subject, declared)
        for plane in declared.planes:
            if plane == "remote" and backend is not None and backend.backend == "remote":
                if listener.bind.port.mode == "discover":
                    yield broken(
                        "V463",
                        declared.listener_path(name or "", "bind", "port", "mode"),
                        f"is `{listener.bind.port.mode}`, but readiness asks it remotely",
                        "inside a shared remote backend the fixed bind port is probed",
                        "set `bind.port.mode: fixed` with a `value`",
                    )
            elif listener.host is None:
                has_other = bool(projected(declared.listeners))
                yield broken(
                    "V462",
                    (*stated.path, "listener"),
                    f"asks listener `{name}`, which declares no `project.host`",
                    "readiness is observed from the host",
                    "name a projected listener" if has_other else f"declare `project.host` on `{name}`",
                )
                break


def timing(subject: Subject) -> Iterator[Violation]:
    """V464."""
    for stated in subject.collected(_stated):
        yield from bad_timing("V464", stated.path, stated.readiness)


RULES: tuple[Rule, ...] = (
    no_form,
    unknown_probe,
    inline_beside_probe,
    signal_list,
    unknown_signal,
    foreign_signal,
    unknown_listener,
    protocol_mismatch,
    http_path,
    http_request,
    tcp_fields,
    probed_listener,
    timing,
)
