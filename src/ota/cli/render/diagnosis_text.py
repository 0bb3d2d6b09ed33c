"""Diagnoses as text: `check`, `doctor` and `explain` share verdict, blocker and finding groups.

Source: commands specification 1.7, 4.4, 9, 11; doctor specification 2, 11.
"""

from collections.abc import Iterator, Sequence

from ota.cli.render.listing import Document, Report
from ota.cli.render.style import Tone
from ota.cli.render.task_text import workflow_line
from ota.contract.model.scalars import Plane
from ota.diagnose.containers import publications
from ota.diagnose.report import Group, Verdict
from ota.diagnose.scene import Scene
from ota.resolve.documents.findings import provenance
from ota.resolve.documents.identity import declared_execution
from ota.resolve.plan import compose_network

_MARKS: dict[str, tuple[str, Tone]] = {
    "error": ("ERROR", "error"),
    "warn": ("WARN", "warn"),
    "info": ("INFO", "key"),
}
_PRIMARY = {"error": "Primary Blocker", "warn": "Primary Warning", "info": "Note"}


def banner(report: Report, verdict: Verdict) -> None:
    """`READY`, `READY WITH WARNINGS` or `BLOCKED`."""
    style = report.style
    match verdict.repo:
        case "ready":
            report.block(style.good("READY"))
        case "risky":
            report.block(style.good("READY WITH WARNINGS"))
        case "blocked":
            report.block(style.other("BLOCKED"))


def verdict_block(report: Report, verdict: Verdict) -> None:
    """What people and agents may rely on."""
    report.section("Verdict")
    report.bullets([f"Repo: {verdict.repo}", f"Agent: {verdict.agent}"])


def primary_block(report: Report, groups: Sequence[Group]) -> None:
    """The first group: what to mend before anything else."""
    if not groups or groups[0].severity == "info":
        return
    group = groups[0]
    style = report.style
    mark = "➤" if style.is_rich else "->"
    title = f"{mark} {_PRIMARY[group.severity]} {_title(group)}"
    report.block(style.paint(title, _MARKS[group.severity][1]))
    group_rows(report, group)


def other_groups(report: Report, groups: Sequence[Group]) -> None:
    """Every group the primary block has not told, errors first."""
    told = 1 if groups and groups[0].severity != "info" else 0
    for group in groups[told:]:
        word, tone = _MARKS[group.severity]
        mark = report.style.paint(f"◉ {word}" if report.style.is_rich else word, tone)
        report.block(f"{mark}  {_title(group)}")
        group_rows(report, group)


def _title(group: Group) -> str:
    title = group.first.summary if len(group.findings) == 1 else group.title
    return f"{title} ({len(group.findings)})"


def group_rows(report: Report, group: Group) -> None:
    """Field, why, provenance and next of a group; each member by name when there are several."""
    first = group.first
    if len(group.findings) == 1:
        place = first.place
        if place is not None and place.line:
            report.row("Where", f"{place.file}:{place.line}:{place.column}")
        if place is not None and place.field:
            report.row("Field", place.field)
        _why(report, first.why)
    else:
        _members(report, group)
    provenances = {provenance(finding) for finding in group.findings}
    if len(provenances) == 1:
        report.row("Provenance", provenances.pop())
    if group.has_one_next:
        report.row("Next", first.next)
    elif report.style.is_concise:
        report.bullets(
            list(dict.fromkeys(finding.next for finding in group.findings if finding.next)), label="Next"
        )


def _why(report: Report, why: str) -> None:
    if not report.style.is_concise:
        report.row("Why", why)


def _members(report: Report, group: Group) -> None:
    worst = group.severity
    for finding in group.findings:
        mark = "" if finding.severity == worst else f"{finding.severity}: "
        report.bullets([f"{mark}{finding.summary}"])
        if report.style.is_concise:
            continue
        report.row("Why", finding.why, indent=6)
        if not group.has_one_next:
            report.row("Next", finding.next, indent=6)


def workflow_block(report: Report, document: Document) -> None:
    """The workflow in effect."""
    if "workflow" not in document:
        return
    report.section("Workflow")
    report.line(f"  {workflow_line(document['workflow'])}")


def plan_section(report: Report, groups: Sequence[Group]) -> None:
    """Numbered actions, each with its findings."""
    report.section("Plan")
    if not groups:
        report.line("  none")
    for number, group in enumerate(groups, 1):
        report.block(f"{number}. {_title(group)}")
        group_rows(report, group)


def extension_section(report: Report, extensions: Document) -> None:
    """Declared extensions; a diagnosis runs none of them."""
    if not extensions:
        return
    report.section("Extensions")
    report.bullets(
        f"{name}: {each['kind']} `{each['command']}` (declared, not run)" for name, each in extensions.items()
    )


def fix_section(report: Report, fix: Document) -> None:
    """What `--fix` added, or would add."""
    report.section("Fixes")
    for action in fix.get("actions", []):
        report.bullets([f"{action['path']}: {action['change'].replace('_', ' ')} ({action['status']})"])
        for line in action["preview"].splitlines():
            report.line(f"      + {line}")
    report.row("Note", fix.get("note"))
    report.bullets(fix.get("errors", []), label="Errors")


def execution_block(report: Report, scene: Scene, *, mode: Plane | None = None) -> None:
    """Where the repository runs; with a `mode`, the plane that was diagnosed and its details."""
    declared = declared_execution(scene.contract, scene.planes) or {}
    rows: list[tuple[str, object]] = [("Mode", mode)] if mode is not None else []
    rows += [("Preferred", declared.get("preferred")), ("Supported", declared.get("supported"))]
    name = _default_context(scene)
    contexts: list[Document] = declared.get("contexts", [])
    context: Document = next((each for each in contexts if each["name"] == name), {})
    root = declared.get("backends", {}).get("container", {})
    if mode is not None and context:
        rows.append(("Context", f"{name} ({context['backend']})"))
    rows.append(("Lifecycle", context.get("lifecycle") or declared.get("lifecycle")))
    rows.append(("Image", context.get("container", {}).get("image") or root.get("image")))
    if mode is not None:
        rows.append(("Memory", _memory(context)))
        required = [each["name"] for each in declared.get("env", []) if each["required"]]
        rows.append(("Env", f"requires {', '.join(required)}" if required else None))
    isolated = list(_isolated(declared)) if mode is not None else []
    if not isolated and not any(value for _, value in rows):
        return
    report.section("Execution")
    for label, value in rows:
        report.row(label, value)
    report.bullets(isolated, label="Isolated Paths")
    if mode is not None:
        report.bullets(_attached(declared), label="Attachments")
        report.bullets(_published(scene, mode), label="Publications")


def isolated_block(report: Report, scene: Scene) -> None:
    """The `Execution` block where a context keeps dependency paths in volumes; else nothing."""
    declared = declared_execution(scene.contract, scene.planes) or {}
    if any(True for _ in _isolated(declared)):
        execution_block(report, scene, mode="native")


def _default_context(scene: Scene) -> str | None:
    if scene.path:
        return scene.path[-1].context.name
    return scene.planes.execution.default_context


def _isolated(declared: Document) -> Iterator[str]:
    for context in declared.get("contexts", []):
        paths = context.get("attachments", {}).get("isolated_effective_paths", [])
        if paths:
            yield f"{context['name']}: {', '.join(paths)} (in volumes that ota manages)"


def _memory(context: Document) -> str:
    """What runs in a context get: its default, else its minimum, below which nobody may ask."""
    memory = context.get("container", {}).get("resources", {}).get("memory", {})
    default, minimum = memory.get("default"), memory.get("minimum")
    least = f"at least {minimum}" if minimum is not None else ""
    return f"{default} ({least})" if default is not None and least else str(default or least)


def _attached(declared: Document) -> Iterator[str]:
    for context in declared.get("contexts", []):
        projects = context.get("attachments", {}).get("compose", [])
        if projects:
            networks = ", ".join(compose_network(project) for project in projects)
            yield f"{context['name']}: {networks} (compose {', '.join(projects)})"


def _published(scene: Scene, mode: Plane) -> Iterator[str]:
    for each in publications(scene, mode):
        context = f" in {each.context.name}" if each.context.name is not None else ""
        yield f"{each.task} {each.listener.name}: {each.host} -> port {each.listener.bind_port}{context}"


def agent_section(report: Report, agent: Document) -> None:
    """What agents may do: where they begin, what is safe, what they may write."""
    report.section("AGENT")
    overview = (("Entrypoint", "entrypoint"), ("Default task", "default_task"), ("Posture", "posture"))
    _labelled(report, "Overview", [f"{label}: {agent[key]}" for label, key in overview if key in agent])
    execution = (("Safe tasks", "safe_tasks"), ("Verify after changes", "verify_after_changes"))
    _labelled(report, "Execution", list(_counted(agent, execution)))
    boundary = (("Writable paths", "writable_paths"), ("Protected paths", "protected_paths"))
    _labelled(report, "Boundary", list(_counted(agent, boundary)))


def _labelled(report: Report, label: str, lines: list[str]) -> None:
    if lines:
        report.line(f"  {label}")
        report.bullets(lines, indent=4)


def _counted(agent: Document, rows: tuple[tuple[str, str], ...]) -> Iterator[str]:
    for label, key in rows:
        if key in agent:
            yield f"{label} ({len(agent[key])}): {', '.join(agent[key])}"


def ready_next(report: Report, scene: Scene, target: str, *fallback: str) -> None:
    """What to type when nothing blocks."""
    from ota.cli.catalogue import COMMANDS

    known = {command.name for command in COMMANDS}
    workflow = scene.selection.name
    selected = f" --workflow {workflow}" if workflow not in (None, scene.contract.workflows.default) else ""
    actions = [f"`ota up{target}{selected}`"] if "up" in known else []
    if scene.task is not None:
        from shlex import quote

        actions.append(f"`ota run {quote(scene.task)}{target}`")
    actions += [*fallback, f"`ota tasks --use{target}`"] if not actions or fallback else []
    report.next(*actions)
