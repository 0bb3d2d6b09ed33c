"""Findings, verdicts and failure envelopes as documents.

Source: json-and-receipts specification 1.3, 2.1, 2.2.
"""

from collections.abc import Iterable, Sequence

from ota.errors import Finding
from ota.resolve.documents.shape import Document

_PROVENANCE = {"repo_contract": "repo contract", "org_policy": "org policy", "repo_signals": "repo signals"}
_SEVERITIES = {"error": 0, "warn": 1, "info": 2}


def finding_documents(findings: Iterable[Finding]) -> list[Document]:
    """Errors first, otherwise in the order in which they were found."""
    return [finding_document(each) for each in sorted(findings, key=lambda each: _SEVERITIES[each.severity])]


def finding_document(finding: Finding) -> Document:
    """One finding. `place` is an addition of ours to the common keys."""
    evidence = finding.evidence
    place = finding.place
    where = f"{place.file}:{place.line}:{place.column}" if place is not None and place.line else ""
    document: Document = {
        "code": finding.code,
        "category": finding.category,
        "owner": finding.owner,
        "severity": finding.severity,
        "summary": finding.summary,
        "why": finding.why,
        "next": finding.next,
        "evidence": {
            "observed": evidence.observed,
            "expected": evidence.expected,
            "source": evidence.source or (place.field if place is not None else ""),
            "checked_at": evidence.checked_at,
            "command": evidence.command,
            "path": evidence.path or where or (place.file if place is not None else ""),
        },
    }
    words = provenance(finding)
    if words is not None:
        document["provenance"], document["provenance_key"] = words, provenance_key(finding)
    if place is not None:
        document["place"] = {
            "file": place.file,
            "field": place.field,
            "line": place.line,
            "column": place.column,
        }
    return document


def provenance_key(finding: Finding) -> str:
    """Who asks for what is missing: its owner, or the contract that has the field; empty: nobody known."""
    if finding.owner in _PROVENANCE:
        return finding.owner
    is_declared = finding.place is not None and bool(finding.place.field)
    return "repo_contract" if is_declared and finding.owner != "workspace_acquisition" else ""


def provenance(finding: Finding) -> str | None:
    """The same in words."""
    return _PROVENANCE.get(provenance_key(finding))


def verdict_document(findings: Sequence[Finding], *, is_agent_safe: bool) -> Document:
    """Counts, the verdict for people, the verdict for agents, and the first blocker."""
    errors = [finding for finding in findings if finding.severity == "error"]
    warnings = sum(finding.severity == "warn" for finding in findings)
    verdict = "not_ready" if errors else "risky" if warnings else "ready"
    if errors and all(finding.owner == "agent_safety" for finding in errors):
        verdict = "agent_blocked"
    elif errors and all(finding.category == "policy" for finding in errors):
        verdict = "policy_blocked"
    document: Document = {
        "verdict": verdict,
        "agent_verdict": verdict if is_agent_safe else "agent_blocked",
        "error_count": len(errors),
        "warn_count": warnings,
        "info_count": len(findings) - len(errors) - warnings,
    }
    if errors:
        first = errors[0]
        document["primary_blocker"] = {
            "code": first.code,
            "severity": first.severity,
            "summary": first.summary,
            "why": first.why,
            "next": first.next,
        }
    return document
