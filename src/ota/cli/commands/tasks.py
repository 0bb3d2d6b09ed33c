"""`ota tasks`: what can be run.

Source: commands specification 7; json-and-receipts specification 3.2.
"""

from typing import TYPE_CHECKING, Any

from ota.cli.flags import Arguments
from ota.cli.session import Session
from ota.contract.load import Loaded
from ota.resolve.documents.tasks import TaskFilter, tasks_document
from ota.system.host import HostFacts, observe_host

if TYPE_CHECKING:
    from ota.cli.render.listing import Report
    from ota.execute.observed import Observed


def run(arguments: Arguments, session: Session) -> int:
    """List tasks; execute nothing."""
    loaded = session.load_contract(arguments.path)
    host = observe_host()
    wanted = TaskFilter(
        show_internal=arguments.has("--all"),
        safety="safe" if arguments.has("--safe") else "unsafe" if arguments.has("--unsafe") else "any",
        via=arguments.value("--via"),  # type: ignore[arg-type]  # the flag's choices are the planes
        workflow=arguments.value("--workflow"),
        with_use=arguments.has("--use"),
        target=session.target(arguments.path),
    )
    document = tasks_document(loaded, host, wanted)
    observed = _observed(loaded, host, wanted, session.target(arguments.path))
    if observed:
        document["observed"] = [_observed_document(each) for each in observed]
    if arguments.is_json:
        from ota.cli.render.json import print_document

        print_document(document, session.out)
    else:
        print(_text(document, wanted, loaded, host, session, observed), file=session.out)
    return 0


def _observed(loaded: Loaded, host: HostFacts, wanted: TaskFilter, target: str) -> "tuple[Observed, ...]":
    """What of the workflow that was asked for can be seen running."""
    if wanted.workflow is None:
        return ()
    from ota.execute.observed import observe_workflow  # paid only where a workflow is asked for
    from ota.resolve.scope import select_workflow

    return observe_workflow(loaded, select_workflow(loaded, wanted.workflow), host, target)


def _observed_document(observed: "Observed") -> dict[str, Any]:
    """Without processes: on an unchanged host the document stays the same, byte for byte."""
    document = {"kind": observed.kind, "name": observed.name, "state": observed.state}
    return {**document, "at": observed.at} if observed.at else document


def _text(
    document: dict[str, Any],
    wanted: TaskFilter,
    loaded: Loaded,
    host: HostFacts,
    session: Session,
    observed: "tuple[Observed, ...]",
) -> str:
    from ota.cli.render.listing import Report
    from ota.cli.render.task_text import WORKFLOW_ROWS, agent_block, workflow_line

    report = Report(session.style_of(session.out))
    report.block(report.style.header("TASKS", loaded.shown))
    if wanted.workflow is not None:
        report.block()
        report.row("Workflow", workflow_line(document["workflow"]), indent=0)
        report.rows(document["workflow"], WORKFLOW_ROWS)
        _seen(report, observed)
    if "agent" in document and not wanted.with_use:
        agent_block(report, document["agent"])
    target = session.target(session.arguments.path)
    if not document["tasks"]:
        report.block(_why_empty(loaded, wanted))
        report.next(*_when_empty(loaded, target))
        return report.text()
    if wanted.with_use:
        _uses(report, document)
    else:
        _items(report, document, wanted, loaded, host)
        report.next(f"`ota tasks --use{target}`", f"`ota run <task>{target} --dry-run`")
    return report.text()


_STATES = {
    "running": "running",
    "listening": "somebody listens",
    "not_seen": "not seen",
    "unknown": "unknown",
}


def _seen(report: "Report", observed: "tuple[Observed, ...]") -> None:
    if not observed:
        return
    report.section("Seen on this host")
    for each in observed:
        what = f"run task {each.name}" if each.kind == "run_task" else f"service {each.name}"
        at = f" on {each.at}" if each.at else ""
        detail = f": {each.detail}" if each.detail else ""
        report.bullets([f"{what}: {_STATES[each.state]}{at}{detail}"])
        if each.stop:
            report.row("Ends with", f"`{each.stop}`", indent=6)


def _uses(report: "Report", document: dict[str, Any]) -> None:
    from ota.cli.render.task_text import input_lines

    for task in document["tasks"]:
        report.item(task["name"])
        if task.get("internal"):
            report.row("Visibility", "internal")
        report.row("Command", f"`{task['use']}`")
        report.row("Description", task.get("description"))
        report.row("Notes", task.get("notes"))
        report.bullets(input_lines(task.get("inputs", {})), label="Inputs")


def _items(
    report: "Report", document: dict[str, Any], wanted: TaskFilter, loaded: Loaded, host: HostFacts
) -> None:
    from ota.cli.render.task_text import task_item
    from ota.resolve.documents.tasks import TaskDocuments

    # the same entries, with listeners and targets, which the JSON listing leaves to the topology
    entries = TaskDocuments(loaded.contract, host, show_internal=wanted.show_internal, topology=True)
    for task in document["tasks"]:
        choice = entries.planes.choose(loaded.contract.tasks[task["name"]])
        where = f" in {choice.name}" if choice.name else ""
        task_item(report, entries.entry(task["name"]), f"{choice.plane}{where} ({choice.plane_source})")


def _why_empty(loaded: Loaded, wanted: TaskFilter) -> str:
    if not loaded.contract.tasks:
        return "The contract declares no tasks."
    hidden = sum(task.internal for task in loaded.contract.tasks.values())
    if hidden == len(loaded.contract.tasks) and not wanted.show_internal:
        return f"All {hidden} tasks are internal."
    return "No task matches."


def _when_empty(loaded: Loaded, target: str) -> tuple[str, ...]:
    if not loaded.contract.tasks:
        return ("declare one: `tasks: {hello: {run: echo hello}}`",)
    return (f"`ota tasks --all{target}`",)
