"""The report of `ota up`, and of its preview, as text.

Source: commands specification 3.2, 3.3, 1.7, 1.8.
"""

from ota.cli.render import diagnosis_text, run_text
from ota.cli.render.execution_text import identity_rows, resolved_rows
from ota.cli.render.listing import Document, Report
from ota.cli.render.receipt_text import receipt_text
from ota.cli.render.style import Style
from ota.contract.load import Loaded
from ota.diagnose.report import Group, grouped
from ota.evidence.fold import RunFacts
from ota.evidence.summary import summary_rows
from ota.evidence.up import up_findings, up_next, up_phase, up_status
from ota.execute.run import Ran
from ota.resolve.up_plan import UpPlan

_DIAGNOSES = ("preconditions", "confirmation", "admission")


def up_text(
    facts: RunFacts, ran: Ran, up: UpPlan, loaded: Loaded, style: Style, *, receipt: Document, was_live: bool
) -> str:
    """Status, phase, findings, what failed and what it printed, summary, what to do next."""
    report = Report(style)
    report.block(style.header("UP", loaded.shown))
    _status(report, facts)
    report.block()
    report.row("Phase", _phase(facts), indent=0)
    report.row("Backend", _backend(up), indent=0)
    blocks = [report.text()]
    blocks += _findings(facts, ran, up, loaded, style, was_live=was_live)
    if receipt:
        blocks.append(receipt_text(receipt, style))
    rows = summary_rows(facts, up.plan, loaded)
    blocks.append("\n".join(run_text.summary_block(rows, style, title="UP SUMMARY")))
    lane = [style.label("Next"), *(f"{style.bullet} {action}" for action in up_next(facts, up))]
    blocks.append("\n".join(lane))
    return ("\n" if style.is_concise else "\n\n").join(blocks)


def _status(report: Report, facts: RunFacts) -> None:
    style, status = report.style, up_status(facts)
    if status == "READY":
        report.block(style.good("READY"))
    elif status == "INTERRUPTED":
        report.block(style.other("INTERRUPTED", "interrupted"))
    else:
        report.block(style.other("NOT READY"))


def _phase(facts: RunFacts) -> str:
    status, phase = up_status(facts), up_phase(facts)
    return phase if status in ("READY", "NOT READY", "INTERRUPTED") else f"{phase} ({status})"


def _backend(up: UpPlan) -> str:
    step = up.plan.steps.get(up.plan.requested)
    return step.task.context.plane if step is not None else "native"


def _findings(
    facts: RunFacts, ran: Ran, up: UpPlan, loaded: Loaded, style: Style, *, was_live: bool
) -> list[str]:
    failure, findings = facts.ended.failure, up_findings(facts)
    blocks = []
    if failure is not None and failure.origin not in _DIAGNOSES:
        block = run_text.failure_block(failure, facts, up.plan, loaded.shown, style)
        if ran.excerpt is not None and not ran.excerpt.is_empty and failure.show_output:
            limit = run_text.EXCERPT_LINES if was_live else run_text.FAILED_EXCERPT_LINES
            block += run_text.output_block(ran.excerpt, style, limit=limit, was_live=was_live)
        blocks.append("\n".join(block))
        findings = tuple(each for each in findings if each.severity != "error")
    groups = grouped(findings)
    if groups:
        report = Report(style)
        diagnosis_text.primary_block(report, groups)
        diagnosis_text.other_groups(report, groups)
        blocks.append(report.text())
    return blocks


def up_preview_text(document: Document, groups: tuple[Group, ...], style: Style, command: str) -> str:
    """The whole preview; `command` is what would carry it out."""
    report = Report(style)
    report.block(style.header("UP PREVIEW", document["path"]))
    status = document["preview_status"]
    mode = "❖ Mode: dry-run (no write)" if style.is_rich else "Mode: dry-run (no write)"
    report.block(style.good(status) if status == "RUNNABLE" else style.other(status), mode)
    diagnosis_text.workflow_block(report, document)
    report.section("Execution")
    resolved_rows(report, document["execution"])
    report.row("Task", document["execution"].get("task"))
    report.section("Plan")
    for order, action in enumerate(document["plan"]["actions"], 1):
        report.line(f"  {order}. {action}")
    report.bullets(document["plan"].get("skipped", []), label="Skipped")
    report.section("Contract")
    identity_rows(report, document["contract_identity"])
    diagnosis_text.primary_block(report, groups)
    diagnosis_text.other_groups(report, groups)
    report.section("Dry run only")
    report.bullets(("nothing was provisioned", "no service was started", "no file was changed"))
    report.next(f"`{command}`" if document["ok"] else f"mend that, then `{command}`")
    return report.text()
