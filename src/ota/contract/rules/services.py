"""Rules of `services`: who manages one, how it is reached, when it is ready.

Not here: V219 and V220 (`abroad`; a producer's contract is not known to one contract alone). Manager kinds
that are not supported yet are refused by the parser (P03), which lists the supported ones.

Source: contract specification 12; runtime specification 13; appendix A, V205 to V243; decision D10.
"""

from collections.abc import Iterator

from ota.contract.grammar import check_port, is_empty
from ota.contract.graph import find_cycles, shown_route
from ota.contract.model.readiness import ServiceReadiness
from ota.contract.model.services import Manager, Producer, Service
from ota.contract.planes import SHORTHAND_CONTEXT
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.phrases import empty_keys, listed
from ota.contract.rules.values import (
    HTTP_FIELDS,
    bad_check_timeout,
    bad_timing,
    empty_entries,
    empty_text,
    request_shape,
    said,
    unexpected,
    unknown,
)

LEGACY_FIELDS = ("provider", "start", "stop", "healthcheck", "timeout")
_LEGACY_TEXTS = LEGACY_FIELDS[:4]
_COMPOSE_KEYS = ("service", "file", "files", "env_file", "env_files", "profiles", "engine")
_COMPOSE_LISTS = ("files", "env_files", "profiles")
_TIMING = ("interval", "retries", "start_period")
_PROBE_FIELDS = ("from_", "endpoint", *HTTP_FIELDS, "timeout")
"""What asks an endpoint; managers are asked without one."""


def _services(subject: Subject) -> Iterator[tuple[str, Service, FieldPath]]:
    for name, service in sorted(subject.contract.services.items()):
        yield name, service, ("services", name)


def _managers(subject: Subject) -> Iterator[tuple[str, Manager, FieldPath]]:
    for name, service, path in _services(subject):
        if service.manager is not None:
            yield name, service.manager, (*path, "manager")


def _readiness(subject: Subject) -> Iterator[tuple[str, Service, ServiceReadiness, FieldPath]]:
    for name, service, path in _services(subject):
        if service.readiness is not None:
            yield name, service, service.readiness, (*path, "readiness")


def names(subject: Subject) -> Iterator[Violation]:
    """V205."""
    yield from empty_keys("V205", ("services",), "the contract", subject.contract.services)


# --- managers -----------------------------------------------------------------------------------------


def manager_beside_legacy(subject: Subject) -> Iterator[Violation]:
    """V206."""
    for _, service, path in _services(subject):
        if service.manager is not None:
            yield from unexpected(
                "V206", path, service, ("provider", "start", "stop"), "`manager` already owns the service"
            )


def compose_manager(subject: Subject) -> Iterator[Violation]:
    """V207, V208, V209."""
    for name, manager, path in _managers(subject):
        if manager.kind != "compose":
            continue
        for rule, field, meaning in (("V207", "name", "project"), ("V208", "service", "service")):
            if is_empty(getattr(manager, field) or ""):
                yield Violation(
                    rule=rule,
                    path=(*path, field),
                    summary=f"service `{name}`: a compose manager needs `{field}`",
                    why=f"it is the Compose {meaning}; nothing is derived from directory names",
                    next=f"add `{field}: <the Compose {meaning}>`",
                )
        for field in ("file", "env_file"):
            yield from empty_text("V209", (*path, field), getattr(manager, field))
        for field in _COMPOSE_LISTS:
            yield from empty_entries("V209", (*path, field), getattr(manager, field))


def host_manager(subject: Subject) -> Iterator[Violation]:
    """V210, V211."""
    for _, manager, path in _managers(subject):
        if manager.kind == "host":
            yield from unexpected(
                "V210", path, manager, _COMPOSE_KEYS, "it is for compose, not for host managers"
            )
            yield from empty_text("V211", (*path, "name"), manager.name)


def host_unit(subject: Subject) -> Iterator[Violation]:
    """V212, V213."""
    for name, manager, manager_path in _managers(subject):
        if manager.host is None:
            continue
        path = (*manager_path, "host")
        if manager.kind == "compose":
            yield Violation(
                rule="V213",
                path=path,
                summary=f"service `{name}`: a compose manager has no host owner",
                why="`host` names a unit of the machine's own service manager",
                next="remove `host`, or write `kind: host`",
            )
            continue
        yield from empty_text("V213", (*path, "unit"), manager.host.unit)
        if manager.start is not None or manager.stop is not None:
            yield Violation(
                rule="V212",
                path=path,
                summary=f"service `{name}` declares both `manager.host` and its own start or stop",
                why="start and stop derive from the unit",
                next="remove `start` and `stop`, or remove `host`",
            )


def manager_commands(subject: Subject) -> Iterator[Violation]:
    """V214."""
    for name, manager, path in _managers(subject):
        for field in ("start", "stop"):
            command = getattr(manager, field)
            if command is None:
                continue
            if manager.kind == "compose":
                yield Violation(
                    rule="V214",
                    path=(*path, field),
                    summary=f"service `{name}`: a compose manager has no `{field}` command",
                    why="start and stop derive from the Compose project and service",
                    next=f"remove `{field}`, or write `kind: host`",
                )
            else:
                yield from empty_text("V214", (*path, field, "exe"), command.exe)


def legacy_texts(subject: Subject) -> Iterator[Violation]:
    """V215."""
    for _, service, path in _services(subject):
        for field in _LEGACY_TEXTS:
            yield from empty_text("V215", (*path, field), getattr(service, field))


# --- producers ----------------------------------------------------------------------------------------


def producer(subject: Subject) -> Iterator[Violation]:
    """V216, V217, V218."""
    for name, service, service_path in _services(subject):
        if service.producer is None:
            continue
        path = (*service_path, "producer")
        yield from _producer_fields(name, service.producer, path)
        local = ("manager", "endpoints", "readiness", *LEGACY_FIELDS)
        stated = [field for field in local if getattr(service, field) not in (None, {})]
        if stated:
            yield Violation(
                rule="V218",
                path=path,
                summary=f"service `{name}` is produced elsewhere and declares {listed(stated)} as well",
                why="the producing repository owns start, endpoint and readiness",
                next=f"remove {listed(stated)}: it is local truth about somebody else's service",
            )


def _producer_fields(name: str, declared: Producer, path: FieldPath) -> Iterator[Violation]:
    for field in ("repo", "task", "listener"):
        yield from empty_text("V216", (*path, field), getattr(declared, field))
    if declared.address_view not in (None, "host"):
        yield Violation(
            rule="V217",
            path=(*path, "address_view"),
            summary=f"service `{name}`: a producer supports only `address_view: host`",
            why=f"found `{declared.address_view}`; another repository shares no backend with this one",
            next="write `address_view: host`, or remove it",
        )


# --- readiness ----------------------------------------------------------------------------------------


def readiness_form(subject: Subject) -> Iterator[Violation]:
    """V221, V222."""
    for name, _, readiness, path in _readiness(subject):
        forms = [form for form in ("probe", "kind", "run") if getattr(readiness, form) is not None]
        if not forms:
            yield Violation(
                rule="V221",
                path=path,
                summary=f"service `{name}` declares readiness without a form",
                why="nothing says what to ask",
                next="declare `probe: <name>`, or `kind: http`, `tcp`, `compose_health` or `systemd_active`",
            )
        elif len(forms) > 1:
            yield Violation(
                rule="V222",
                path=path,
                summary=f"service `{name}` declares {' and '.join(f'`{form}`' for form in forms)} readiness",
                why="readiness has one form",
                next="choose one and remove the others",
            )


def _form(readiness: ServiceReadiness) -> str:
    """`probe`, `run` or the kind; empty when V221 or V222 has to be mended first."""
    stated = [form for form in ("probe", "kind", "run") if getattr(readiness, form) is not None]
    if len(stated) != 1:
        return ""
    return readiness.kind or stated[0]


def readiness_from(subject: Subject) -> Iterator[Violation]:
    """V223, V224, V225, V226."""
    contexts = _context_names(subject)
    for name, service, readiness, readiness_path in _readiness(subject):
        path = (*readiness_path, "from")
        if _form(readiness) not in ("probe", "http", "tcp", "run"):
            continue
        if readiness.from_ is None:
            yield Violation(
                rule="V223",
                path=path,
                summary=f"service `{name}`: readiness needs `from`",
                why="it names the context from which the service is asked",
                next="add `from: <context>`",
            )
        elif readiness.from_ not in contexts:
            yield from unknown(subject, "V224", path, "context", readiness.from_, contexts)
        else:
            yield from _endpoint(name, service, readiness, readiness_path)


def _endpoint(
    name: str, service: Service, readiness: ServiceReadiness, path: FieldPath
) -> Iterator[Violation]:
    """V225, V226."""
    matching = [
        key for key, each in sorted(service.endpoints.items()) if (each.context or key) == readiness.from_
    ]
    if not matching:
        yield Violation(
            rule="V225",
            path=(*path, "from"),
            summary=f"service `{name}` has no endpoint for context `{readiness.from_}`",
            why=f"declared endpoints: {listed(sorted(service.endpoints)) or 'none'}",
            next=f"declare `endpoints.{readiness.from_}` with an address and a port",
        )
    elif readiness.endpoint is None and len(matching) > 1 and readiness.run is None:
        yield Violation(
            rule="V226",
            path=(*path, "endpoint"),
            summary=f"service `{name}` has several endpoints for context `{readiness.from_}`",
            why=f"{listed(matching)} all belong to it; readiness asks one",
            next="select one with `endpoint`",
        )
    elif readiness.endpoint is not None and readiness.endpoint not in matching and readiness.run is None:
        yield Violation(
            rule="V226",
            path=(*path, "endpoint"),
            summary=f"service `{name}`: `{readiness.endpoint}` is no endpoint for `{readiness.from_}`",
            why=f"endpoints of that context: {listed(matching)}",
            next=f"select endpoint {listed(matching)}",
        )


def _context_names(subject: Subject) -> frozenset[str]:
    """Declared contexts; the root shorthand is known by its own name."""
    execution = subject.planes.execution
    implicit = {SHORTHAND_CONTEXT} if execution.preferred is not None else set()
    return frozenset(execution.contexts) | implicit


def readiness_fields(subject: Subject) -> Iterator[Violation]:
    """V227, V228, V229, V232: fields that a form does not take."""
    for _, _, readiness, path in _readiness(subject):
        match _form(readiness):
            case "run":
                structured = ("endpoint", *HTTP_FIELDS, "timeout", *_TIMING)
                yield from unexpected("V227", path, readiness, structured, "a legacy `run` takes only `from`")
            case "probe":
                probes = subject.contract.readiness.probes
                yield from unknown(subject, "V228", (*path, "probe"), "probe", readiness.probe or "", probes)
                yield from unexpected(
                    "V229",
                    path,
                    readiness,
                    (*HTTP_FIELDS, "timeout"),
                    "the named probe already says it, and the truth stays in one place",
                )
            case "tcp":
                yield from unexpected(
                    "V232", path, readiness, HTTP_FIELDS, "`kind: tcp` connects; this is http only"
                )


def readiness_request(subject: Subject) -> Iterator[Violation]:
    """V230, V231."""
    for name, _, readiness, path in _readiness(subject):
        if _form(readiness) != "http":
            continue
        if not (readiness.path or "").startswith("/"):
            yield Violation(
                rule="V230",
                path=(*path, "path"),
                summary=f"service `{name}`: http readiness needs a path that starts with `/`",
                why=f"found `{readiness.path}`" if readiness.path is not None else "a path is required",
                next="write `path: /health`, or the path that answers",
            )
        yield from request_shape("V231", path, readiness)


def readiness_of_manager(subject: Subject) -> Iterator[Violation]:
    """V233, V234."""
    for name, service, readiness, path in _readiness(subject):
        form, manager = _form(readiness), service.manager
        if form == "compose_health":
            fits, rule = manager is not None and manager.kind == "compose", "V233"
            need, mend = "a compose manager", "write `manager.kind: compose`, or use `kind: tcp` or `http`"
        elif form == "systemd_active":
            fits, rule = manager is not None and manager.kind == "host" and manager.host is not None, "V234"
            need, mend = (
                "a host manager with `host.kind: systemd`",
                "declare `manager.host`, or use another kind",
            )
        else:
            continue
        if not fits:
            yield Violation(
                rule=rule,
                path=(*path, "kind"),
                summary=f"service `{name}`: `{form}` readiness needs {need}",
                why="it asks the manager, and there is none of that kind",
                next=mend,
            )
        yield from unexpected(
            rule, path, readiness, _PROBE_FIELDS, f"`{form}` asks the manager; this is for endpoint probes"
        )


def readiness_timing(subject: Subject) -> Iterator[Violation]:
    """V235."""
    for _, _, readiness, path in _readiness(subject):
        yield from bad_timing("V235", path, readiness)


def readiness_beside_legacy(subject: Subject) -> Iterator[Violation]:
    """V236, V237, V238."""
    for name, service, path in _services(subject):
        if service.readiness is not None and service.healthcheck is not None:
            yield Violation(
                rule="V236",
                path=(*path, "healthcheck"),
                summary=f"service `{name}` declares both `healthcheck` and `readiness`",
                why="both say when it is ready; keep one",
                next="remove `healthcheck`",
            )
        if service.readiness is not None and service.timeout is not None:
            yield Violation(
                rule="V237",
                path=(*path, "timeout"),
                summary=f"service `{name}` declares `timeout` beside `readiness`",
                why="the budget belongs to the readiness",
                next="move it into `readiness` as `timeout`, `interval` and `retries`",
            )
        else:
            yield from bad_check_timeout("V238", (*path, "timeout"), service.timeout)


# --- endpoints and order ------------------------------------------------------------------------------


def endpoints(subject: Subject) -> Iterator[Violation]:
    """V239, V240."""
    contexts = _context_names(subject)
    for name, service, service_path in _services(subject):
        path = (*service_path, "endpoints")
        yield from empty_keys("V239", path, f"service `{name}`", service.endpoints)
        for key, endpoint in sorted(service.endpoints.items()):
            context = endpoint.context if endpoint.context is not None else key
            where = (*path, key) if endpoint.context is None else (*path, key, "context")
            if not is_empty(key):
                yield from unknown(subject, "V239", where, "context", context, contexts)
            yield from empty_text("V240", (*path, key, "address"), endpoint.address)
            if (reason := check_port(endpoint.port)) is not None:
                yield Violation(
                    rule="V240",
                    path=(*path, key, "port"),
                    summary=said((*path, key, "port"), f"is not a port: {endpoint.port}"),
                    why=reason,
                    next="write a port from 1 to 65535",
                )


def actionable(subject: Subject) -> Iterator[Violation]:
    """V241."""
    for name, service, path in _services(subject):
        fields = ("producer", "manager", "endpoints", "readiness", *LEGACY_FIELDS)
        if all(getattr(service, field) in (None, {}) for field in fields):
            yield Violation(
                rule="V241",
                path=path,
                summary=f"service `{name}` declares nothing actionable",
                why="it has no producer, manager, endpoints, readiness or legacy command",
                next="say who manages it with `manager`, or remove the service",
            )


def dependencies(subject: Subject) -> Iterator[Violation]:
    """V242, V243."""
    services = subject.contract.services
    for _, service, path in _services(subject):
        for index, name in enumerate(service.depends_on):
            yield from unknown(subject, "V242", (*path, "depends_on", index), "service", name, services)
    for cycle in find_cycles({name: service.depends_on for name, service, _ in _services(subject)}):
        yield Violation(
            rule="V243",
            path=("services", cycle[0], "depends_on"),
            summary=f"service `{cycle[0]}` depends on itself",
            why=f"dependency cycle {shown_route(cycle)}",
            next="remove one of these dependencies",
        )


RULES: tuple[Rule, ...] = (
    names,
    manager_beside_legacy,
    compose_manager,
    host_manager,
    host_unit,
    manager_commands,
    legacy_texts,
    producer,
    readiness_form,
    readiness_from,
    readiness_fields,
    readiness_request,
    readiness_of_manager,
    readiness_timing,
    readiness_beside_legacy,
    endpoints,
    actionable,
    dependencies,
)
