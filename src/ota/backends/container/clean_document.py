"""The JSON documents of `ota clean`, from its reports.

Source: json-and-receipts specification 3.15.
"""

from collections.abc import Sequence
from typing import Any

from ota.backends.container.clean_report import Cleaned, CleanFailure, Counts, Skipped, StaleCleaned

Document = dict[str, Any]


def clean_document(path: str, cleaned: Cleaned) -> Document:
    """The report of one repository, or what stood in the way with everything that was done."""
    report: Document = {
        "summary": _summary(cleaned.counts),
        "queried_engines": list(cleaned.queried),
        "skipped": [_skipped(each) for each in cleaned.skipped],
        "kept_engines": list(cleaned.kept_engines),
    }
    if not cleaned.failures:
        return {"ok": True, "path": path, **report}
    failure = _failure(path, cleaned.failures)
    return {**failure, **{key: value for key, value in report.items() if key != "summary"}} | {
        "removed": report["summary"]
    }


def stale_document(path: str, cleaned: StaleCleaned, *, is_dry_run: bool) -> Document:
    """The report of `--stale`."""
    listed = [
        {"engine": each.engine, "name": each.name, "ownership": each.ownership} for each in cleaned.matched
    ]
    report: Document = {
        "scope": "stale",
        "dry_run": is_dry_run,
        "engines": list(cleaned.engines),
        "containers": listed,
    }
    summary = {
        "matched_count": len(listed),
        "removed_count": cleaned.removed,
        "would_remove_count": len(listed) if is_dry_run else 0,
    }
    if cleaned.failures:
        return {**_failure(path, cleaned.failures), **report, "removed": summary}
    return {"ok": True, **report, "summary": summary}


def _summary(counts: Counts) -> Document:
    document = {
        "removed_current_persistent_containers": counts.current_containers,
        "removed_drift_persistent_containers": counts.drift_containers,
        "removed_drift_attached_containers": counts.attached_containers,
        "removed_current_dependency_isolation_volumes": counts.current_volumes,
        "removed_drift_dependency_isolation_volumes": counts.drift_volumes,
    }
    return {
        **document,
        "skipped_ambiguous_persistent_containers": counts.ambiguous_containers,
        "skipped_ambiguous_dependency_isolation_volumes": counts.ambiguous_volumes,
        "total_removed": sum(document.values()),
        "total_skipped_ambiguous": counts.skipped,
        # beside the five kinds the total is about
        "removed_orphaned_ephemeral_containers": counts.orphaned_containers,
        "removed_networks": counts.networks,
    }


def _skipped(each: Skipped) -> Document:
    return {"engine": each.engine, "resource_kind": each.kind, "resource_name": each.name, "why": each.why}


def _failure(path: str, failures: Sequence[CleanFailure]) -> Document:
    first = failures[0]
    return {
        "ok": False,
        "path": path,
        "summary": first.finding.summary,
        "error": f"{first.finding.summary}: {first.finding.why} [{first.finding.code}]",
        "why": first.finding.why,
        "next": list(dict.fromkeys(each.finding.next for each in failures)),
        **_classified(first),
        "details": first.finding.why,
        "failures": [
            {**_classified(each), "code": each.finding.code, "why": each.finding.why} for each in failures
        ],
    }


def _classified(failure: CleanFailure) -> Document:
    return {
        "reason": failure.reason,
        "engine": failure.engine,
        "action": failure.action,
        "resource_kind": failure.kind,
        "resource_name": failure.name,
    }
