"""The environment report as text, and the answer to why one variable has its value.

Source: commands specification 15.
"""

from collections.abc import Iterable

from ota.cli.render.listing import Document, Report
from ota.cli.render.style import Style
from ota.cli.render.task_text import workflow_line


def env_text(document: Document, style: Style, target: str) -> str:
    """The whole report."""
    summary = document["summary"]
    report = Report(style)
    report.block(style.header("ENV", document["path"]))
    is_ready = bool(document["ok"])
    answer = style.good("yes") if is_ready else style.other("no")
    report.block(f"{style.label('Ready')} {answer}")
    report.section("Overview")
    report.row("Task", document.get("task"))
    if "workflow" in document:
        report.row("Workflow", workflow_line(document["workflow"]))
    report.row("Profile", document.get("profile"))
    counts = {key.removesuffix("_count").replace("_", " "): value for key, value in summary.items()}
    report.row("Counts", ", ".join(f"{name}={value}" for name, value in counts.items()))
    report.section("Declared env sources")
    for source in document["sources"]:
        report.bullets([_source(source)])
    if not document["sources"]:
        report.line("  none")
    entries = list(document["env"])
    _entries(report, "Contract env", (each for each in entries if each["kind"] == "contract"))
    if "task" in document:
        _entries(report, "Execution env", (each for each in entries if each["kind"] == "task"))
    waiting = [each for each in entries if each["status"] in ("missing", "invalid")]
    task = f" --task {document['task']}" if "task" in document else ""
    asked = waiting[0]["name"] if waiting else entries[0]["name"] if entries else None
    if asked is not None:
        report.next(f"`ota env{target}{task} --why {asked}` explains one value")
    return report.text()


def _entries(report: Report, title: str, entries: Iterable[Document]) -> None:
    listed = list(entries)
    report.section(title)
    if not listed:
        report.line("  none")
    for entry in listed:
        report.bullets([_entry(entry)])
        report.row("Next", entry.get("next"), indent=6)


def _source(source: Document) -> str:
    facts = [
        f"{source['kind']} {source['path']}",
        f"label={source['label']}",
        f"must_exist={_yes(source['must_exist'])}",
        f"status={source['status']}",
    ]
    line = " ".join(facts)
    return f"{line} ({source['detail']})" if "detail" in source else line


def _entry(entry: Document) -> str:
    facts = [f"{entry['name']}", f"required={_yes(entry['required'])}"]
    if "value" in entry:
        facts.append(f"value={entry['value']}")
    facts.append(f"source={entry['source']}")
    facts += [f"{key}={entry[key]}" for key in ("source_kind", "source_path") if key in entry]
    facts.append(f"status={entry['status']}")
    if "allowed" in entry:
        facts.append(f"allowed=[{', '.join(entry['allowed'])}]")
    if "default" in entry:
        facts.append(f"default={entry['default']}")
    return " ".join(facts)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def why_text(why: Document, path: str, style: Style) -> str:
    """The winner, and what it shadows, strongest first."""
    report = Report(style)
    report.block(style.header("ENV WHY", path))
    report.item(why["name"], "secret" if why["secret"] else "")
    report.row("Status", why["status"])
    report.row("Required", why["required"])
    winner = why.get("winner")
    if winner is None:
        report.row("Value", "nothing sets it")
    else:
        report.row("Value", winner["value"])
        report.row("From", _origin(winner))
    shadows = [f"{each['value']} from {_origin(each)}" for each in why.get("shadows", [])]
    report.bullets(shadows, label="Shadows")
    if winner is not None and not shadows:
        report.row("Shadows", "nothing")
    report.row("Next", why.get("next"))
    return report.text()


def _origin(candidate: Document) -> str:
    place = candidate.get("file")
    if place is not None and "line" in candidate:
        place = f"{place}:{candidate['line']}"
    layer = candidate.get("layer")
    told = [str(candidate["source"])]
    if layer is not None and layer != candidate["source"]:
        told.append(f"layer {layer}")
    if candidate.get("field"):
        told.append(str(candidate["field"]))
    origin = ", ".join(told)
    return f"{origin} ({place})" if place is not None else origin
