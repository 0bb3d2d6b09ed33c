"""The resolved boundary and the declared topology as text.

Source: commands specification 5, 6.
"""

from collections.abc import Iterator

from ota.cli.render.listing import Document, Report, listed, pairs
from ota.cli.render.service_text import service_item
from ota.cli.render.style import Style
from ota.cli.render.task_text import listener_line, readiness_line, task_item, workflow_line
from ota.contract.grammar import format_memory

RESOLVED_ROWS = {
    "backend": "Backend",
    "context": "Context",
    "lifecycle": "Lifecycle",
    "image": "Image",
    "engine_candidates": "Engine",
    "memory": "Memory",
    "platform": "Platform",
    "isolated_paths": "Isolated Paths",
    "networks": "Networks",
    "target": "Target",
    "provider": "Provider",
    "cwd": "Cwd",
    "shared_backend": "Shared",
    "target_strategy": "Strategy",
}
_SOURCES = {
    "override": "asked for on the command line",
    "task": "`tasks.<task>.context` or the task's own fields",
    "task default mode": "`tasks.<task>.execution.default_mode`",
    "task mode branch": "the task's branch under `execution.modes`",
    "contract default context": "`execution.default_context`",
    "contract preferred": "`execution.preferred`",
    "contract lifecycle": "`execution.lifecycle`",
    "context": "the context",
    "inherited parent backend": "the task that needs it",
    "default": "nothing is declared, so the host",
}


def plan_text(document: Document, style: Style, target: str) -> str:
    """`ota execution plan`."""
    report = Report(style)
    report.block(style.header("EXECUTION PLAN", document["path"]))
    report.block(style.good("RESOLVED"))
    if "workflow" in document:
        report.section("Workflow")
        report.line(f"  {workflow_line(document['workflow'])}")
    report.section("Resolved")
    resolved_rows(report, document["resolved"])
    report.row("Task", document.get("task", "any task without a context of its own"))
    report.section("Why")
    resolved = document["resolved"]
    for key, label in (("backend", "Backend"), ("lifecycle", "Lifecycle")):
        source = resolved.get(f"{key}_source")
        if source is not None:
            report.row(label, f"{resolved[key]}, from {source}: {_SOURCES.get(source, source)}")
    report.section("Contract")
    identity_rows(report, document["contract_identity"])
    declared = document.get("declared_execution", {})
    if set(declared) - {"env"}:
        report.section("Execution")
        declared_rows(report, declared)
    if "overrides" in document:
        report.section("Overrides")
        report.rows(document["overrides"], {"backend": "Backend", "lifecycle": "Lifecycle"})
    task = document.get("task")
    if task is not None:
        report.next(f"`ota run {task}{target} --dry-run`")
    return report.text()


def resolved_rows(report: Report, resolved: Document) -> None:
    """Where it would run, and what would listen there."""
    memory = resolved.get("container_memory_bytes")
    shown = {**resolved, "memory": format_memory(memory) if memory is not None else None}
    report.rows(shown, RESOLVED_ROWS)
    listeners = resolved.get("runtime", {}).get("listeners", {})
    report.bullets(_listeners(listeners), label="Listeners")


def _listeners(listeners: Document) -> Iterator[str]:
    for name, listener in listeners.items():
        url = listener.get("host_projection", {}).get("url")
        yield listener_line(name, listener) + (f" -> {url} (planned)" if url is not None else "")


def identity_rows(report: Report, identity: Document) -> None:
    """`Project`, `Metadata`, `Execution`, `Counts`."""
    project = identity["project"]
    kind = f" ({project['type']})" if "type" in project else ""
    report.row("Project", f"{project['name']}{kind}")
    report.row("Metadata", pairs(identity.get("metadata", {})))
    execution = identity.get("execution", {})
    report.row("Execution", pairs({key: _plain(value) for key, value in execution.items()}))
    report.row("Counts", pairs(identity["counts"]))


def declared_rows(report: Report, declared: Document) -> None:
    """The declared execution."""
    report.rows(
        declared,
        {
            "default_context": "Default Context",
            "preferred": "Preferred",
            "supported": "Supported",
            "lifecycle": "Lifecycle",
        },
    )
    for name, settings in declared.get("backends", {}).items():
        report.row(f"Backend {name}", pairs({key: _plain(value) for key, value in settings.items()}))
    report.bullets((_context(each) for each in declared.get("contexts", [])), label="Contexts")


def _context(context: Document) -> str:
    facts = [str(context["backend"])]
    if "lifecycle" in context:
        facts.append(str(context["lifecycle"]))
    for key in ("container", "remote"):
        facts += [f"{name}={_plain(value)}" for name, value in context.get(key, {}).items()]
    for name, value in context.get("attachments", {}).items():
        facts.append(f"{name}={_plain(value)}")
    facts += [f"{key}={_plain(context[key])}" for key in ("only_on", "only_arch") if key in context]
    for kind, needed in context.get("requirements", {}).items():
        facts.append(f"{kind}={_plain(needed)}")
    if "fulfillment" in context:
        facts.append(f"Fulfillment: {context['fulfillment']}")
    return f"{context['name']} ({', '.join(facts)})"


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return "+".join(f"{name}:{_plain(each)}" for name, each in value.items())
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)


def topology_text(document: Document, style: Style) -> str:
    """`ota execution topology`."""
    report = Report(style)
    report.block(style.header("EXECUTION TOPOLOGY", document["path"]))
    report.section("Overview")
    project = document["contract_identity"]["project"]
    report.row("Project", project["name"])
    counts = {
        "contexts": len(document.get("declared_execution", {}).get("contexts", [])),
        "shared_backends": len(document.get("shared_backends", [])),
        "probes": len(document.get("readiness_probes", {})),
        "surfaces": len(document.get("surfaces", {})),
        "services": len(document.get("services", [])),
        "tasks": len(document.get("tasks", [])),
    }
    report.row("Counts", pairs(counts))
    declared = document.get("declared_execution", {})
    if set(declared) - {"env"}:
        report.section("Execution")
        declared_rows(report, declared)
    _shared_backends(report, document.get("shared_backends", []))
    _probes(report, document.get("readiness_probes", {}))
    _surfaces(report, document.get("surfaces", {}))
    if "services" in document:
        report.section("Services")
        for service in document["services"]:
            service_item(report, service)
    if "tasks" in document:
        report.section("Tasks")
        for task in document["tasks"]:
            task_item(report, task)
    return report.text()


def _shared_backends(report: Report, backends: list[Document]) -> None:
    if not backends:
        return
    report.section("Shared Backends")
    for backend in backends:
        report.bullets(
            [f"{backend['name']} ({pairs({k: _plain(v) for k, v in backend.items() if k != 'name'})})"]
        )


def _probes(report: Report, probes: Document) -> None:
    if not probes:
        return
    report.section("Readiness Probes")
    for name, probe in probes.items():
        where = probe.get("url")
        target = probe.get("target")
        if target is not None:
            listener = f".{target['listener']}" if "listener" in target else ""
            plane = f", from {target['resolution_plane']}" if "resolution_plane" in target else ""
            where = f"{target['kind']} {target['name']}{listener}{plane}"
        request = readiness_line({key: value for key, value in probe.items() if key not in ("url", "target")})
        report.bullets([f"{name}: {request} at {where}"])


def _surfaces(report: Report, surfaces: Document) -> None:
    if not surfaces:
        return
    report.section("Surfaces")
    for name, surface in surfaces.items():
        facts = [f"{key}={surface[key]}" for key in ("port", "path", "label", "visibility") if key in surface]
        if "readiness" in surface:
            facts.append(f"Readiness: {readiness_line(surface['readiness'])}")
        report.bullets([f"{name} ({listed([surface['kind'], *facts])})"])
