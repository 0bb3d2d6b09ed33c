"""A comparison of receipts as text: what drifted, whether the gate passes, what is new and what is gone.

Source: commands specification 12 (compare).
"""

from collections.abc import Sequence
from typing import Any

from ota.cli.render.listing import Document, Report
from ota.cli.render.style import Style

_WORDS = {"error": "ERROR", "warn": "WARN", "info": "INFO"}


def diff_text(document: Document, style: Style) -> str:
    """`RECEIPT DIFF`."""
    report = Report(style)
    report.block(style.header("RECEIPT DIFF", str(document["path"])))
    report.block(style.good("READY") if document["ok"] else style.other("NOT READY"))
    _compared(report, document)
    _gate(report, document)
    for title, key in (("Introduced Findings", "introduced"), ("Resolved Findings", "resolved")):
        _findings(report, title, document[key])
    if not (document["introduced"] or document["resolved"]):
        _findings(report, "Unchanged Findings", document["unchanged"])
    _changes(report, document)
    return report.text()


def _compared(report: Report, document: Document) -> None:
    baseline, comparison = document["baseline"], document["summary"]["comparison"]
    source = baseline["source"]
    place = baseline.get("archive_path") or baseline.get("selection_path") or ""
    report.block()
    report.row("Compare", f"{source} baseline {place}".rstrip(), indent=0)
    identity = "changed" if comparison["identity_changed"] else "unchanged"
    drift = f"identity {identity}; readiness {comparison['readiness_change']}"
    if "contract_snapshot_changed" in comparison:
        drift += f"; contract {'changed' if comparison['contract_snapshot_changed'] else 'unchanged'}"
    report.row("Drift", drift, indent=0)
    for label, side in (("Baseline", baseline), ("Current", document["current"])):
        report.row(label, _side(side), indent=0)
    counts = document["summary"]
    told = [f"{counts[key]['count']} {key}" for key in ("introduced", "resolved", "unchanged")]
    report.row("Findings", ", ".join(told), indent=0)


def _side(side: Document) -> str:
    """`ota.yaml#workflow:app, ready, native, archived 2026-...`."""
    facts = [side["contract_identity"], "ready" if side["ok"] else "not ready"]
    facts += [str(side[key]) for key in ("backend", "context", "lifecycle") if key in side]
    facts += [f"{word} {side[key]}" for word, key in _TIMES if key in side]
    return ", ".join(facts)


_TIMES = (("archived", "archived_at"), ("promoted", "promoted_at"))


def _gate(report: Report, document: Document) -> None:
    gate = document.get("gate")
    if gate is None:
        return
    count = gate["new_blocker_count"]
    word = f"blocked ({count} new blocker{'' if count == 1 else 's'})"
    report.row("Gate", f"fail on new blockers -> {'passed' if gate['passed'] else word}", indent=0)
    report.row("Blocker", gate.get("blocking_summary"), indent=0)
    report.row("Next", gate.get("blocking_next"), indent=2)


def _findings(report: Report, title: str, findings: Sequence[dict[str, Any]]) -> None:
    if not findings:
        return
    report.section(title)
    for each in findings:
        report.bullets([f"{_WORDS.get(each['severity'], '')}  {each['summary']}"])
        if not report.style.is_concise:
            report.row("Why", each["why"], indent=6)
        report.row("Next", each["next"], indent=6)


def _changes(report: Report, document: Document) -> None:
    """How the contract differs; what may explain new findings first, and worded as no more than that."""
    related = document.get("likely_related_changes", [])
    others = [each for each in document.get("contract_changes", []) if each not in related]
    if related:
        report.section("Contract Changes That May Explain This")
        report.bullets(map(_change, related))
    if others:
        report.section("Other Contract Changes" if related else "Contract Changes")
        report.bullets(map(_change, others))


def _change(change: dict[str, Any]) -> str:
    path, base, target = change["path"], change.get("base"), change.get("target")
    if base is None:
        return f"added `{path}`: {target}"
    if target is None:
        return f"removed `{path}`: {base}"
    return f"changed `{path}`: {base} -> {target}"
