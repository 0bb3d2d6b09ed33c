"""`ota workflows`: what the declared workflows are made of.

Source: commands specification 8; json-and-receipts specification 3.3.
"""

from typing import Any

from ota.cli.flags import Arguments
from ota.cli.render.style import Style
from ota.cli.session import Session
from ota.resolve.documents.workflows import workflows_document
from ota.system.host import observe_host


def run(arguments: Arguments, session: Session) -> int:
    """List workflows; execute nothing."""
    document = workflows_document(session.load_contract(arguments.path), observe_host())
    target = session.target(arguments.path)
    session.show(document, lambda style: _text(document, style, target))
    return 0


def _text(document: dict[str, Any], style: Style, target: str) -> str:
    from ota.cli.render.listing import Report
    from ota.cli.render.task_text import WORKFLOW_ROWS, launch_line

    report = Report(style)
    report.block(style.header("WORKFLOWS", document["path"]))
    if not document["workflows"]:
        report.block("The contract declares no workflows.")
        report.next(f"`ota tasks --use{target}`")
        return report.text()
    report.section("Overview")
    report.row("Count", len(document["workflows"]))
    report.row("Default", document.get("default", "-"))
    for workflow in document["workflows"]:
        report.item(workflow["name"], "default" if workflow["default"] else "")
        report.rows(workflow, WORKFLOW_ROWS)
        if "run_task_launch" in workflow:
            report.row("Launch", launch_line(workflow["run_task_launch"]))
        report.row("Use", f"`ota up --workflow {workflow['name']}{target}`")
    return report.text()
