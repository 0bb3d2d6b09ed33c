"""`ota workflows`: what the declared workflows are made of.

Source: commands specification 8; json-and-receipts specification 3.3.
"""

from typing import Any

from ota.cli.flags import Arguments
from ota.cli.session import Session
from ota.resolve.documents.workflows import workflows_document
from ota.system.host import observe_host

_ROWS = {
    "intent": "Intent",
    "description": "Description",
    "notes": "Notes",
    "prepare_task": "Prepare",
    "setup_task": "Setup",
    "run_task": "Run",
    "attach_task": "Attach",
    "required_services": "Services",
    "readiness_checks": "Readiness Checks",
    "readiness_probes": "Readiness Probes",
    "readiness_surfaces": "Readiness Surfaces",
    "signal_readiness_checks": "Signal Checks",
    "signal_readiness_probes": "Signal Probes",
    "signal_readiness_surfaces": "Signal Surfaces",
    "exposes": "Exposes",
    "expose_surfaces": "Exposed Surfaces",
}


def run(arguments: Arguments, session: Session) -> int:
    """List workflows; execute nothing."""
    loaded = session.load_contract(arguments.path)
    document = workflows_document(loaded, observe_host())
    if arguments.is_json:
        from ota.cli.render.json import print_document

        print_document(document, session.out)
    else:
        print(_text(document, session), file=session.out)
    return 0


def _text(document: dict[str, Any], session: Session) -> str:
    from ota.cli.render.listing import Report
    from ota.cli.render.task_text import launch_line

    report = Report(session.style_of(session.out))
    report.block(report.style.header("WORKFLOWS", document["path"]))
    target = session.target(session.arguments.path)
    if not document["workflows"]:
        report.block("The contract declares no workflows.")
        report.next(f"`ota tasks --use{target}`")
        return report.text()
    report.section("Overview")
    report.row("Count", len(document["workflows"]))
    report.row("Default", document.get("default", "-"))
    for workflow in document["workflows"]:
        report.item(workflow["name"], "default" if workflow["default"] else "")
        report.rows(workflow, _ROWS)
        if "run_task_launch" in workflow:
            report.row("Launch", launch_line(workflow["run_task_launch"]))
        report.row("Use", f"`ota tasks --workflow {workflow['name']}{target}`")
    return report.text()
