"""Receipts as text: the one a run just made, and archived ones.

An archive is a file from disk: every key may be missing or of another shape, and is then left out.

Source: commands specification 2.10, 12; json-and-receipts specification 4, 5.5.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ota.cli.render.listing import Document, Report, pairs
from ota.cli.render.style import Style
from ota.cli.render.task_text import workflow_line
from ota.contract.grammar import format_memory
from ota.evidence.archive import Archived
from ota.system.addresses import address_text
from ota.system.json_bytes import json_bytes

_FACTS = {
    "backend": "Mode",
    "context": "Context",
    "lifecycle": "Lifecycle",
    "image": "Image",
    "container_memory_bytes": "Memory",
    "target": "Target",
    "provider": "Provider",
    "cwd": "Cwd",
}
_LOGS = {"stdout": "Stdout", "stderr": "Stderr"}


def archive_text(archived: Archived, style: Style) -> str:
    """One archived receipt."""
    document = archived.document or {}
    report = _begun(_map(document, "receipt"), document.get("ok") is True, style)
    report.section("Archive")
    report.row("File", archived.archive_path)
    report.row("Archived", archived.archived_at)
    return _told(report, document)


def capture_text(document: Document, style: Style, again: str) -> str:
    """A readiness capture of now. `again`: the command that made it."""
    is_ready = document["ok"] is True
    report = _begun(_map(document, "receipt"), is_ready, style)
    keep: tuple[str, ...] = ()
    if "archive_path" in document:
        report.section("Archive")
        report.row("File", document["archive_path"])
        promoted = _map(document, "promoted_baseline")
        report.row("Baseline", promoted.get("path"))
        report.row("Promoted", promoted.get("promoted_at"))
    elif is_ready:
        keep = (f"`{again} --archive` keeps this receipt",)
    return _told(report, document, *keep)


def _told(report: Report, document: Document, *following: str) -> str:
    """What archives and captures tell alike."""
    receipt = _map(document, "receipt")
    _facts(report, receipt, _map(document, "summary"))
    for title, key in (("Policy", "policy"), ("Blocked", "blocked")):
        lines = receipt.get(key)
        if isinstance(lines, list) and lines:
            report.section(title)
            report.bullets(map(str, lines))
    steps = receipt.get("next_steps")
    actions = [*map(str, steps), *following] if isinstance(steps, list) else list(following)
    if actions:
        report.next(*actions)
    return report.text()


def receipt_text(receipt: Document, style: Style) -> str:
    """The receipt of a run that tells failures and next steps itself."""
    report = _begun(receipt, receipt.get("ok") is True, style)
    _facts(report, receipt, _map(receipt, "summary"))
    return report.text()


def _begun(receipt: Document, is_good: bool, style: Style) -> Report:
    report = Report(style)
    report.block(style.header("RECEIPT", _word(receipt.get("contract"))))
    status = _word(receipt.get("status")) or ("READY" if is_good else "NOT READY")
    report.block(style.good(status) if is_good else style.other(status, "error"))
    return report


def _facts(report: Report, receipt: Document, summary: Document) -> None:
    identity = _map(receipt, "contract_identity")
    report.section("Contract")
    project = _map(identity, "project")
    kind = f" ({project['type']})" if "type" in project else ""
    report.row("Project", f"{_word(project.get('name'))}{kind}")
    report.row("Metadata", pairs(_map(identity, "metadata")))
    report.row("Execution", _declared(_map(identity, "execution")))
    report.row("Counts", pairs(_map(identity, "counts")))
    report.section("Execution")
    workflow = _map(receipt, "workflow")
    report.row("Workflow", workflow_line(workflow) if "name" in workflow else None)
    report.row("Task", _word(receipt.get("task")))
    facts = {key: _word(receipt.get(key)) for key in _FACTS}
    memory = receipt.get("container_memory_bytes")
    if isinstance(memory, int):
        facts["container_memory_bytes"] = format_memory(memory)
    report.rows(facts, _FACTS)
    for key, label in (("isolated_paths", "Isolated"), ("networks", "Network")):
        report.row(label, ", ".join(_words_of_task(receipt, key)) or None)
    report.row("Started", _word(receipt.get("started_at")))
    report.row("Duration", f"{receipt['duration_ms']} ms" if "duration_ms" in receipt else None)
    report.section("Steps")
    for step in _maps(receipt, "steps"):
        report.line(f"  {_step(step)}")
    env = [
        f"{_word(each.get('name'))}={_word(each.get('value'))} ({_word(each.get('source'))})"
        for each in _maps(receipt, "env_sources")
    ]
    if env:
        report.section("Env")
        report.bullets(env)
    _listeners(report, receipt)
    logs = _map(receipt, "logs")
    if logs:
        report.block()
        report.row("Logs", _word(logs.get("dir")), indent=0)
        report.rows({key: _word(logs.get(key)) for key in _LOGS}, _LOGS)
    left = _map(receipt, "footprint").get("left_behind")
    if isinstance(left, list):
        report.block()
        report.row("Left behind", "; ".join(map(str, left)) or "nothing", indent=0)
    report.section("Summary")
    report.row("Counts", _counts(summary))


def _words_of_task(receipt: Document, key: str) -> list[str]:
    """What the step of the task that was asked for lists under this key."""
    ran = [each for each in _maps(receipt, "steps") if each.get("task") == receipt.get("task")]
    words = ran[-1].get(key) if ran else None
    return [_word(each) for each in words] if isinstance(words, list) else []


def _declared(execution: Document) -> str:
    """`preferred=container, supported=container+native`."""
    return pairs(
        {
            key: "+".join(map(str, value)) if isinstance(value, list) else value
            for key, value in execution.items()
        }
    )


def _step(step: Document) -> str:
    """`2. READY  web (requested task, native, exit 0, 42 ms); what was worth telling`."""
    role, *notes = _word(step.get("detail")).split("; ")
    facts = [role] if role else []
    facts += [_word(step[key]) for key in ("backend", "context") if key in step]
    if "exit_code" in step:
        facts.append(f"exit {step['exit_code']}")
    if "duration_ms" in step:
        facts.append(f"{step['duration_ms']} ms")
    order, status, label = (_word(step.get(key)) for key in ("order", "status", "label"))
    told = f" ({', '.join(facts)})" if facts else ""
    return "; ".join((f"{order}. {status}  {label}{told}", *notes))


def _listeners(report: Report, receipt: Document) -> None:
    for task, runtime in _runtimes(receipt):
        endpoints = list(_maps(runtime, "exposed_endpoints"))
        if not endpoints:
            continue
        report.section(f"Listeners of {task}" if task else "Listeners")
        for endpoint in endpoints:
            role = "primary" if endpoint.get("primary") else "secondary"
            state = "confirmed" if endpoint.get("confirmed") else "planned, not confirmed"
            host, bind = _map(endpoint, "host"), _map(endpoint, "bind")
            outside = host.get("url") or _address(host)
            report.bullets([f"{_word(endpoint.get('listener'))} ({role}, {state})"])
            report.row("External", outside, indent=6)
            scheme = "" if endpoint.get("protocol") == "tcp" else f"{_word(endpoint.get('protocol'))}://"
            report.row("Internal", f"{scheme}{_address(bind)}", indent=6)


def _runtimes(receipt: Document) -> Iterator[tuple[str, Document]]:
    """Every service of the run by its task; of an older archive the requested one alone."""
    workloads = _map(receipt, "workloads")
    if not workloads:
        yield "", _map(receipt, "runtime")
    for task in workloads:
        yield task, _map(workloads, task)


def _address(host: Document) -> str:
    address, port = host.get("address"), host.get("port")
    if isinstance(address, str) and isinstance(port, int):
        return address_text(address, port)
    return f"{_word(address)}:{_word(port)}"


def _counts(summary: Document) -> str:
    counts = {name: count for name, count in summary.items() if name.endswith("_count")}
    return pairs({name.removesuffix("_count"): count for name, count in counts.items()})


def history_text(document: Document, style: Style, target: str) -> str:
    """The archives, newest first, and the damaged ones."""
    report = Report(style)
    report.block(style.header("RECEIPT HISTORY", document["path"]))
    if not document["archives"]:
        report.block("No receipts yet.")
    for archive in document["archives"]:
        status = archive.get("status") or ("ready" if archive["ok"] else "not ready")
        facts = [str(archive[key]) for key in ("backend", "context", "lifecycle") if key in archive]
        report.item(str(archive["archived_at"]), ", ".join([status, *facts]))
        report.row("File", archive["archive_path"])
        report.row("Counts", _counts(_map(archive, "summary")))
    if "invalid_archives" in document:
        report.section("Skipped Archives")
        report.bullets(f"{each['archive_path']}: {each['error']}" for each in document["invalid_archives"])
    if document["archives"]:
        report.next(f"`ota receipt{target} --show latest` shows the newest, `--show <file>` another")
    else:
        report.next(
            f"`ota receipt{target} --archive` keeps one, and so does `ota run <task>{target} --archive`"
        )
    return report.text()


def snapshot_text(document: Document, style: Style) -> str:
    """The contract of an archive, normalised."""
    report = Report(style)
    report.block(style.header("RECEIPT SNAPSHOT", _word(document["path"])))
    report.section("Snapshot")
    report.row("File", document["snapshot_path"])
    report.row("Hash", document["snapshot_hash"])
    report.row("Archive", document.get("archive_path"))
    report.row("Archived", document.get("archived_at"))
    report.row("Promoted", document.get("promoted_at"))
    report.section("Contract")
    for line in msgspec.json.format(json_bytes(document["snapshot"]), indent=2).decode().split("\n"):
        report.line(line)
    return report.text()


def _map(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _maps(document: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    value = document.get(key)
    return (each for each in value if isinstance(each, dict)) if isinstance(value, list) else iter(())


def _word(value: object) -> str:
    return "" if value is None else str(value)
