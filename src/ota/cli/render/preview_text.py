"""The preview of a run as text.

Source: commands specification 2.12.
"""

from ota.cli.render.execution_text import resolved_rows
from ota.cli.render.listing import Document, Report, code
from ota.cli.render.style import Style
from ota.cli.render.task_text import body_rows
from ota.resolve.plan import ArgvBody, BodyPlan, ShellBody


def preview_text(document: Document, body: BodyPlan | None, style: Style, command: str) -> str:
    """The whole preview; `body` is the one that would run, `command` what starts the run."""
    report = Report(style)
    report.block(style.header("RUN PREVIEW", f"{document['task']} ({document['path']})"))
    status = document["preview_status"]
    mode = "❖ Mode: dry-run (no write)" if style.is_rich else "Mode: dry-run (no write)"
    report.block(style.good(status) if status == "RUNNABLE" else style.other(status), mode)
    report.section("Execution")
    resolved_rows(report, document["resolved"])
    report.row("Chosen By", document["resolved"]["backend_source"])
    _body(report, document, body)
    plan = document["plan"]
    if "requirement_lines" in plan:
        report.section("Requirements")
        report.bullets(plan["requirement_lines"])
    _env(report, document)
    report.section("Plan")
    for order, action in enumerate(plan.get("actions", []), 1):
        report.line(f"  {order}. {action}")
    for note in plan.get("notes", []):
        report.row("Note", note)
    for finding in document.get("blockers", []):
        _finding(report, finding)
    if document["ok"]:
        report.next(f"`{command}`")
    else:
        report.next(f"mend that, then `{command}`")
    return report.text()


def _body(report: Report, document: Document, body: BodyPlan | None) -> None:
    match body:
        case ShellBody():
            report.row(body.kind.capitalize(), code(body.text))
        case ArgvBody():
            from shlex import join

            report.row("Launch" if body.is_launch else "Command", code(join([body.exe, *body.args])))
        case _:
            for label, text in body_rows(document["requested_task"]):
                report.row(label, text)


def _env(report: Report, document: Document) -> None:
    counts = document["env_summary"]
    told = ", ".join(
        f"{key.removesuffix('_count')}={counts[key]}"
        for key in ("resolved_count", "missing_count", "invalid_count")
    )
    if not any(counts.values()):
        return
    report.section("Environment")
    report.row("Counts", told)
    trouble = [each for each in document.get("env", []) if each["status"] in ("missing", "invalid")]
    report.bullets(f"{each['name']}: {each['status']}" for each in trouble)


def _finding(report: Report, finding: Document) -> None:
    style = report.style
    word, tone = {
        "error": ("ERROR", "error"),
        "warn": ("WARN", "warn"),
        "info": ("INFO", "key"),
    }[finding["severity"]]
    mark = style.paint(f"◉ {word}" if style.is_rich else word, tone)  # type: ignore[arg-type]  # tones
    report.block()
    report.line(f"{mark}  {finding['summary']}")
    if not style.is_concise:
        report.row("Why", finding["why"])
    report.row("Next", finding["next"])
