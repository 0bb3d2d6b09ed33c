"""Records to the plain documents of the JSON forms.

Source: json-and-receipts specification 2.1.
"""

from collections.abc import Iterable

from ota.errors import Finding

_ORDER = {"error": 0, "warn": 1, "info": 2}


def finding_documents(findings: Iterable[Finding]) -> list[dict[str, object]]:
    """Findings as documents, errors first, otherwise in the order they were found."""
    return [finding_document(each) for each in sorted(findings, key=lambda each: _ORDER[each.severity])]


def finding_document(finding: Finding) -> dict[str, object]:
    """One finding; `place` is an addition to the common keys."""
    evidence = finding.evidence
    document: dict[str, object] = {
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
            "source": evidence.source,
            "checked_at": "",
            "command": evidence.command,
            "path": evidence.path,
        },
    }
    place = finding.place
    if place is not None:
        document["place"] = {
            "file": place.file,
            "field": place.field,
            "line": place.line,
            "column": place.column,
        }
    return document
