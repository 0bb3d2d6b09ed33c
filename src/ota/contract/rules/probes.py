"""Rules of `readiness.probes`: transport, request, and whether a target has an address.

Which address a view gives an observer is answered by `ota.contract.views`, as for target bindings.

Source: contract specification 13, 15.7; runtime specification 11.2; appendix A, V165 to V192.
"""

from collections.abc import Iterator

from ota.contract.model.readiness import Observer, Probe, ProbeTarget
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.phrases import empty_keys, listed
from ota.contract.rules.values import (
    bad_body,
    bad_check_timeout,
    bad_headers,
    bad_status,
    bad_statuses,
    unexpected,
    unknown,
)
from ota.contract.views import Endpoint, listener_names, listeners_named, observed_endpoint

_PROBES: FieldPath = ("readiness", "probes")
_HTTP_ONLY = ("method", "headers", "success", "body", "expect_status")


def _probes(subject: Subject) -> Iterator[tuple[str, Probe, FieldPath]]:
    for name, probe in sorted(subject.contract.readiness.probes.items()):
        yield name, probe, (*_PROBES, name)


def names(subject: Subject) -> Iterator[Violation]:
    """V165."""
    yield from empty_keys("V165", _PROBES, "`readiness`", subject.contract.readiness.probes)


def source(subject: Subject) -> Iterator[Violation]:
    """V166."""
    for name, probe, path in _probes(subject):
        if (probe.url is None) == (probe.target is None):
            found = "neither" if probe.url is None else "both"
            yield Violation(
                rule="V166",
                path=path,
                summary=f"probe `{name}` must declare exactly one of `url` and `target`",
                why=f"it declares {found}",
                next="name a `target` of this contract, or write a `url` of something outside it",
            )


def timeout(subject: Subject) -> Iterator[Violation]:
    """V167, V168."""
    for name, probe, probe_path in _probes(subject):
        path = (*probe_path, "timeout")
        if probe.timeout is None:
            yield Violation(
                rule="V167",
                path=path,
                summary=f"probe `{name}` declares no timeout",
                why="a probe's timeout is required: no wait is without a limit",
                next="write `timeout: 2s`",
            )
        yield from bad_check_timeout("V168", path, probe.timeout)


def url(subject: Subject) -> Iterator[Violation]:
    """V169, V170, V172."""
    for name, probe, path in _probes(subject):
        if probe.url is None:
            continue
        if probe.kind == "tcp":
            yield Violation(
                rule="V170",
                path=(*path, "url"),
                summary=f"probe `{name}` is tcp and declares a url",
                why="a url is for `kind: http` only",
                next="write `kind: http`, or a `target` with a listener or endpoint",
            )
        elif not _is_web_url(probe.url):
            yield Violation(
                rule="V169",
                path=(*path, "url"),
                summary=f"probe `{name}` has an unsupported url: `{probe.url}`",
                why="only absolute `http://` and `https://` urls with a host are probed",
                next="write `http://host:port/path` or `https://host:port/path`",
            )
        if probe.path is not None:
            yield Violation(
                rule="V172",
                path=(*path, "path"),
                summary=f"probe `{name}` declares both `url` and `path`",
                why="`path` is for target probes only; a url has its own",
                next="move the path into `url`",
            )


def _is_web_url(text: str) -> bool:
    if not text.startswith(("http://", "https://")):
        return False
    from urllib.parse import urlsplit  # 2.5 ms, which only contracts with such probes pay

    try:
        parts = urlsplit(text)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def request(subject: Subject) -> Iterator[Violation]:
    """V171, V173 to V176."""
    for name, probe, path in _probes(subject):
        if probe.kind == "tcp":
            yield from unexpected("V171", path, probe, _HTTP_ONLY, "`kind: tcp` connects; this is http only")
            continue
        if probe.expect_status is not None and probe.success is not None:
            yield Violation(
                rule="V173",
                path=(*path, "expect_status"),
                summary=f"probe `{name}` declares both `expect_status` and `success`",
                why="`expect_status` is the short form of `success.status`; choose one",
                next="keep `success.status`, or keep `expect_status`",
            )
        yield from bad_status("V174", (*path, "expect_status"), probe.expect_status)
        yield from bad_statuses("V174", path, probe.success)
        yield from bad_headers("V175", path, probe.headers)
        yield from bad_body("V176", path, probe.method, probe.body)


def target_path(subject: Subject) -> Iterator[Violation]:
    """V188."""
    for name, probe, probe_path in _probes(subject):
        if probe.target is None or probe.url is not None:
            continue
        path = (*probe_path, "path")
        if probe.kind == "tcp" and probe.path is not None:
            yield Violation(
                rule="V188",
                path=path,
                summary=f"probe `{name}` is tcp and declares a path",
                why="a path is not valid for tcp",
                next="remove `path`, or write `kind: http`",
            )
        if probe.kind == "http" and not (probe.path or "").startswith("/"):
            yield Violation(
                rule="V188",
                path=path,
                summary=f"probe `{name}` needs a path that starts with `/`",
                why=f"found `{probe.path}`" if probe.path is not None else "a path is required",
                next="write `path: /health`, or the path that answers",
            )


# --- targets ------------------------------------------------------------------------------------------


def _targets(subject: Subject, kind: str) -> Iterator[tuple[str, Probe, ProbeTarget, FieldPath]]:
    for name, probe, path in _probes(subject):
        if probe.target is not None and probe.target.kind == kind:
            yield name, probe, probe.target, (*path, "target")


def task_target(subject: Subject) -> Iterator[Violation]:
    """V178 to V181."""
    tasks = subject.contract.tasks
    for name, _, target, path in _targets(subject, "task"):
        yield from unknown(subject, "V178", (*path, "name"), "task", target.name, tasks)
        yield from unexpected(
            "V180", path, target, ("endpoint",), "a task has listeners, a service endpoints"
        )
        where = (*path, "listener")
        task = tasks.get(target.name)
        known = listener_names(task, subject.contract.surfaces) if task is not None else ()
        if target.listener is None:
            yield Violation(
                rule="V179",
                path=where,
                summary=f"probe `{name}` names no listener of task `{target.name}`",
                why="`target.listener` is required for a task",
                next=f"name one of {listed(known)}" if known else "add `listener`",
            )
        elif task is not None and not known:
            yield Violation(
                rule="V181",
                path=where,
                summary=f"probe `{name}` refers to unknown listener `{target.listener}`",
                why=f"task `{target.name}` declares no listeners",
                next=f"declare it under `tasks.{target.name}.runtime.listeners`, or target a service task",
            )
        elif task is not None:
            yield from unknown(subject, "V181", where, "listener", target.listener, known)


def observer(subject: Subject) -> Iterator[Violation]:
    """V182, V183."""
    tasks = subject.contract.tasks
    for name, _, target, target_path_ in _targets(subject, "task"):
        declared, path = target.observer, (*target_path_, "observer", "task")
        if declared is None:
            continue
        if declared.kind == "command_host":
            if declared.task is not None:
                yield Violation(
                    rule="V183",
                    path=path,
                    summary=f"probe `{name}` names an observer task but observes from the command",
                    why="`task` is only for `observer.kind: task`",
                    next="write `kind: task`, or remove `task`",
                )
        elif declared.task is None:
            yield Violation(
                rule="V182",
                path=path,
                summary=f"probe `{name}` does not say which task observes",
                why="`observer.task` is required with `kind: task`",
                next="name the observing task",
            )
        else:
            yield from unknown(subject, "V182", path, "task", declared.task, tasks)


def view_has_observer(subject: Subject) -> Iterator[Violation]:
    """V184."""
    for name, _, target, path in _targets(subject, "task"):
        view, declared = target.address_view or "host", target.observer
        if _lacks_observer(view, declared):
            yield Violation(
                rule="V184",
                path=(*path, "address_view"),
                summary=f"probe `{name}`: `address_view: {view}` needs a task observer",
                why="seen from the command itself only `host` is an address",
                next="add `observer: {kind: task, task: <observing task>}`, or use `address_view: host`",
            )


def _lacks_observer(view: str, declared: Observer | None) -> bool:
    """`internal` without any observer is the target task observing itself."""
    if declared is None:
        return view == "topology"
    return view != "host" and declared.kind == "command_host"


def service_target(subject: Subject) -> Iterator[Violation]:
    """V185, V186, V187."""
    services = subject.contract.services
    for name, _, target, path in _targets(subject, "service"):
        yield from unknown(subject, "V185", (*path, "name"), "service", target.name, services)
        yield from unexpected(
            "V186",
            path,
            target,
            ("listener", "observer"),
            "it is not valid for a service, which has endpoints",
        )
        if target.address_view not in (None, "host"):
            yield Violation(
                rule="V186",
                path=(*path, "address_view"),
                summary=f"probe `{name}`: `address_view: {target.address_view}` is not valid for a service",
                why="a service is reached at its endpoints",
                next="remove `address_view`, and name the `endpoint`",
            )
        service = services.get(target.name)
        if service is None:
            continue
        where = (*path, "endpoint")
        if target.endpoint is not None:
            yield from unknown(subject, "V187", where, "endpoint", target.endpoint, service.endpoints)
        elif len(service.endpoints) != 1:
            known = listed(sorted(service.endpoints)) or "none"
            yield Violation(
                rule="V187",
                path=where,
                summary=f"probe `{name}` names no endpoint of service `{target.name}`",
                why=f"`target.endpoint` is required unless there is exactly one; declared: {known}",
                next="name the endpoint to probe"
                if service.endpoints
                else "declare an endpoint on the service",
            )


def protocol(subject: Subject) -> Iterator[Violation]:
    """V189."""
    for name, probe, target, path in _targets(subject, "task"):
        task = subject.contract.tasks.get(target.name)
        if probe.kind != "http" or task is None or target.listener is None:
            continue
        found = listeners_named(task, target.listener, subject.contract.surfaces)
        if any(listener.protocol == "tcp" for listener in found.values()):
            yield Violation(
                rule="V189",
                path=(*path, "listener"),
                summary=f"probe `{name}` speaks http to tcp listener `{target.listener}`",
                why="protocol mismatch: an http probe needs an http or https listener",
                next="write `kind: tcp`, or declare the listener's protocol as http",
            )


def address(subject: Subject) -> Iterator[Violation]:
    """V190, V191, V192."""
    for name, _, target, path in _targets(subject, "task"):
        task = subject.contract.tasks.get(target.name)
        if (
            task is None
            or target.listener is None
            or _lacks_observer(target.address_view or "host", target.observer)
        ):
            continue
        found = observed_endpoint(subject.planes, target)
        # What is no listener at all is V181's.
        if found is None or isinstance(found, Endpoint) or found.kind == "unknown listener":
            continue
        view = target.address_view or "host"
        rule = {"conflict": "V191", "no host endpoint": "V190"}.get(found.kind, "V192")
        if view != "host":
            rule = "V192"
        yield Violation(
            rule=rule,
            path=(*path, "listener" if rule != "V192" else "address_view"),
            summary=f"probe `{name}` has no provable address for view `{view}`",
            why=found.reason,
            next=found.next,
        )


RULES: tuple[Rule, ...] = (
    names,
    source,
    timeout,
    url,
    request,
    target_path,
    task_target,
    observer,
    view_has_observer,
    service_target,
    protocol,
    address,
)
