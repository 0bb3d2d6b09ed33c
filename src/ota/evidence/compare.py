"""Two captures beside each other: what came, what went, what stayed, and whether the gate passes.

Findings are the same when severity, code, summary and why agree. Comparing writes nothing.

Source: json-and-receipts specification 2.1 (identity of findings), 5.4; commands specification 12.
"""

from collections.abc import Sequence
from pathlib import Path

from ota.env.masking import Masker
from ota.errors import HostError
from ota.evidence.archive import Document, scope_of, summary_counts
from ota.evidence.baseline import Baseline, identity_label
from ota.evidence.contract_changes import contract_changes, correlated
from ota.evidence.snapshot import is_hash, read_snapshot, snapshot_hash

RULE = "fail_on_new_blockers"


def compare_document(
    baseline: Baseline, current: Document, *, root: Path, snapshot: bytes, is_gated: bool, masker: Masker
) -> Document:
    """`ota receipt --baseline --json`. `snapshot` is that of the current contract.

    A contract may hold what became a secret later, so what changed in it is masked here.
    """
    before, now = _findings(baseline.document), _findings(current)
    old, new = {_key(each) for each in before}, {_key(each) for each in now}
    introduced = [each for each in now if _key(each) not in old]
    resolved = [each for each in before if _key(each) not in new]
    unchanged = [each for each in now if _key(each) in old]
    contract = _contract_part(baseline, snapshot, root, introduced, masker)
    document: Document = {
        "ok": current["ok"],
        "path": current["path"],
        "mode": "diff",
        "baseline": _chosen(baseline),
        "current": core(current),
        "summary": {
            "baseline_ok": baseline.document["ok"],
            "current_ok": current["ok"],
            "comparison": _comparison(baseline.document, current) | contract.pop("comparison"),  # type: ignore[operator]
            "introduced": _counted(introduced),
            "resolved": _counted(resolved),
            "unchanged": _counted(unchanged),
        },
        **{key: current[key] for key in ("workflow", "task") if key in current},
    }
    if is_gated:
        document["gate"] = _gate(introduced)
    document |= {"introduced": introduced, "resolved": resolved, "unchanged": unchanged} | contract
    masked: Document = masker.mask_json(document)
    return masked


def is_passed(document: Document) -> bool:
    """Whether the gate let it through, or there was none."""
    gate = document.get("gate")
    return not isinstance(gate, dict) or gate["passed"] is True


def core(document: Document) -> Document:
    """What both sides say about themselves."""
    receipt = document["receipt"]
    assert isinstance(receipt, dict)
    told: Document = {
        "ok": document["ok"],
        "contract": str(receipt["contract"]),
        "summary": summary_counts(document.get("summary")),
        "contract_identity": identity_label(document),
    }
    identity = receipt.get("contract_identity")
    if isinstance(identity, dict):
        told["contract_identity_details"] = identity
    return told | scope_of(receipt)


def _chosen(baseline: Baseline) -> Document:
    kept = baseline.document.get("archive_path")
    places = {
        "selection_path": baseline.selection_path,
        "archive_path": kept if isinstance(kept, str) else baseline.archived.archive_path,
        "archived_at": baseline.archived.archived_at,
        "promoted_at": baseline.promoted_at,
    }
    return (
        {"source": baseline.source}
        | core(baseline.document)
        | {key: value for key, value in places.items() if value}
    )


def _findings(document: Document) -> list[Document]:
    findings = document["findings"]
    assert isinstance(findings, list)
    return findings


def _key(finding: Document) -> tuple[object, ...]:
    return finding["severity"], finding["code"], finding["summary"], finding["why"]


def _counted(findings: Sequence[Document]) -> Document:
    def of(severity: str) -> int:
        return sum(each["severity"] == severity for each in findings)

    return {
        "count": len(findings),
        "error_count": of("error"),
        "warn_count": of("warn"),
        "info_count": of("info"),
    }


def _comparison(before: Document, now: Document) -> Document:
    theirs, ours = identity_label(before), identity_label(now)
    improved = "improved" if now["ok"] else "regressed"
    return {
        "baseline_identity_label": theirs,
        "current_identity_label": ours,
        "identity_changed": theirs != ours,
        "readiness_change": "unchanged" if before["ok"] == now["ok"] else improved,
    }


def _gate(introduced: Sequence[Document]) -> Document:
    blockers = [each for each in introduced if each["severity"] == "error"]
    gate: Document = {"rule": RULE, "passed": not blockers, "new_blocker_count": len(blockers)}
    if blockers:
        first = blockers[0]
        told = {
            "blocking_summary": first["summary"],
            "blocking_next": first["next"],
            "blocking_provenance": first.get("provenance"),
            "blocking_provenance_key": first.get("provenance_key"),
        }
        gate |= {key: value for key, value in told.items() if value}
    return gate


def _contract_part(
    baseline: Baseline, snapshot: bytes, root: Path, introduced: Sequence[Document], masker: Masker
) -> Document:
    """Whether the contract changed and how, and which of it may explain what is new."""
    receipt = baseline.document["receipt"]
    known = receipt.get("contract_snapshot_hash") if isinstance(receipt, dict) else None
    if not is_hash(known):
        return {"comparison": {"correlation": "no_clear_correlation"}}
    is_changed = known != snapshot_hash(snapshot)
    told: Document = {"contract_snapshot_changed": is_changed, "correlation": "no_clear_correlation"}
    if not is_changed:
        return {"comparison": told}
    try:
        changes = contract_changes(read_snapshot(root, known), snapshot, masker)
    except (HostError, RecursionError):
        return {"comparison": told}  # gone or damaged: that it differs is all that is known
    told["correlation"], related = correlated(changes, introduced)
    parts = {"contract_changes": changes, "likely_related_changes": related}
    return {"comparison": told} | {
        key: [each.document for each in given] for key, given in parts.items() if given
    }
