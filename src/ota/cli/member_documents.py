"""The one document of a command that was given several members of a monorepo.

Pure: what the command printed for each goes in, one document comes out. Nothing is asked again.

Source: json-and-receipts specification 3.1 to 3.8, 3.12 to 3.15 (`members`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from ota.errors import Finding

Document = dict[str, Any]

_COUNTS = ("error_count", "warn_count", "info_count", "step_count")
_VERDICTS = ("not_ready", "risky", "ready")
_SEVERITIES = ("error", "warn", "info")


class Part(Struct, frozen=True, kw_only=True):
    """What the command came to for the root, or for one member."""

    member: str | None
    code: int
    document: Document | None
    """None: it was interrupted before it had one, or the caller wants text."""
    findings: tuple[Finding, ...] = ()
    """Why there is no report of this part."""

    @property
    def told(self) -> Document:
        """The document of a part that has one."""
        assert self.document is not None
        return self.document


def composed(command: str, shown: str, parts: Sequence[Part], *, is_one: bool) -> Document:
    """One document of all parts. `is_one`: only one member was asked for, and its own document says so."""
    if command == "clean":
        return _cleaned(shown, parts)
    if command == "validate":
        return _validated(parts)
    if is_one:
        return _with_member(parts[0])
    if command == "run":
        return _ran(shown, parts)
    if command == "up" and parts[-1].told.get("mode") == "stop":
        return _stopped(shown, parts)
    if command == "up":
        return _brought_up(shown, parts)
    if command in ("doctor", "check", "explain"):
        return _diagnosed(command, shown, parts)
    return _listed(command, shown, parts)


def _split(parts: Sequence[Part]) -> tuple[Part | None, Sequence[Part]]:
    """The root, when it is told of, and the members."""
    return (parts[0], parts[1:]) if parts[0].member is None else (None, parts)


def _with_member(part: Part) -> Document:
    document: Document = {}
    for key, value in part.told.items():
        document[key] = value
        if key == "path":
            document["member"] = part.member
    return document


def _entry(part: Part, *left_out: str) -> Document:
    rest = {key: value for key, value in part.told.items() if key not in left_out and key != "member"}
    return {"member": part.member, **rest}


def _is_ok(parts: Sequence[Part]) -> bool:
    return all(part.code == 0 for part in parts)


# --- what is declared ----------------------------------------------------------------------------


def _listed(command: str, shown: str, parts: Sequence[Part]) -> Document:
    root, members = _split(parts)
    base: Document = {"ok": True, "path": shown, command: []} if root is None else root.told
    return {**base, "members": [_entry(each, "ok", "path") for each in members]}


def _validated(parts: Sequence[Part]) -> Document:
    """No list of members: what is said of one begins with its name. Inherited warnings are told once."""
    told: list[str] = []
    for part in parts:
        for line in part.told.get("warnings", ()):
            if line not in told:
                told.append(line if part.member is None else f"monorepo member {part.member}: {line}")
    base = parts[0].told if parts[0].member is None else _with_member(parts[0])
    document = {key: value for key, value in base.items() if key not in ("summary", "warnings")}
    document["summary"] = {"error_count": 0, "warn_count": len(told)}
    return document | ({"warnings": told} if told else {})


# --- diagnoses -----------------------------------------------------------------------------------


def _diagnosed(command: str, shown: str, parts: Sequence[Part]) -> Document:
    root, members = _split(parts)
    entries = [_diagnosis(each) for each in members]
    base: Document = {"path": shown, "findings": []} if root is None else _diagnosis(root)
    if root is None and command == "explain":
        base = {"path": shown, "actions": [], "steps": []}
    if root is None and command == "doctor":
        base["mode"] = entries[0].get("mode", "native")
    document = {"ok": _is_ok(parts), "path": shown, **base, "summary": _summary([base, *entries])}
    document.pop("member", None)
    return document | {"ok": _is_ok(parts), "members": entries}


def _diagnosis(part: Part) -> Document:
    """A member whose request was refused is not ready, and the refusal is its finding."""
    if not part.findings:
        return _entry(part, "path")
    from ota.resolve.documents.findings import finding_documents

    found = finding_documents(part.findings)
    summary = {"verdict": "not_ready", "agent_verdict": "not_ready", "error_count": len(found)}
    summary |= {"warn_count": 0, "info_count": 0, "primary_blocker": _blocker(found[0])}
    return {"member": part.member, "ok": False, "summary": summary, "findings": found}


def _blocker(finding: Mapping[str, Any]) -> Document:
    keys = ("severity", "summary", "why", "next", "code", "provenance", "provenance_key")
    return {key: finding[key] for key in keys if key in finding}


def _summary(documents: Sequence[Document]) -> Document:
    """Counts of all, the worst verdict, and the blocker of the first that has the most severe one."""
    told: list[Document] = [each["summary"] for each in documents if "summary" in each]
    summary: Document = {}
    for key in ("verdict", "agent_verdict"):
        words = [each[key] for each in told if key in each]
        if words:
            summary[key] = min(words, key=_VERDICTS.index)
    for key in _COUNTS:
        counts = [each[key] for each in told if key in each]
        if counts:
            summary[key] = sum(counts)
    blockers = [each["primary_blocker"] for each in told if "primary_blocker" in each]
    if blockers:
        summary["primary_blocker"] = min(blockers, key=lambda each: _SEVERITIES.index(each["severity"]))
    return summary


# --- what was done -------------------------------------------------------------------------------


def _ran(shown: str, parts: Sequence[Part]) -> Document:
    first = parts[0].told
    is_dry = "dry_run" in next((each.told for each in parts if "dry_run" in each.told), {})
    task = next((each.told["task"] for each in parts if "task" in each.told), None)
    document: Document = {"ok": _is_ok(parts), "path": shown}
    if is_dry:
        document |= {"task": task, "dry_run": True}
    else:
        document |= {"mode": first.get("mode", "run"), "task": task, "exit_code": parts[-1].code}
    return document | {"members": [_with_member(each) for each in parts]}


def _brought_up(shown: str, parts: Sequence[Part]) -> Document:
    root, members = _split(parts)
    failed = next((each for each in parts if each.code), None)
    entries = [_brought(each) for each in members]
    status = (_brought(failed) if failed is not None else entries[-1])["status"]
    document: Document = {"ok": failed is None, "path": shown}
    if any("dry_run" in each.told for each in parts):
        document["dry_run"] = True
    document |= {"status": status, "phase": "aggregate", "findings": []}
    if root is not None:
        told = _brought(root)
        document["root"] = {key: value for key, value in told.items() if key != "member"}
    return document | {"members": entries}


def _brought(part: Part) -> Document:
    """A refusal before the first phase is told as one at the first."""
    from ota.resolve.documents.findings import finding_documents

    if part.findings:
        return {
            "member": part.member,
            "ok": False,
            "status": "NOT READY",
            "phase": "preconditions",
            "findings": finding_documents(part.findings),
        }
    entry = _entry(part, "path")
    return entry if "findings" in entry else {**entry, "findings": entry.get("blockers", [])}


def _stopped(shown: str, parts: Sequence[Part]) -> Document:
    root, members = _split(parts)
    told = [each.told["summary"] for each in parts if "summary" in each.told]
    return {
        "ok": _is_ok(parts),
        "path": shown,
        "mode": "stop",
        "summary": {key: sum(each[key] for each in told) for key in told[-1]},
        "tasks": root.told["tasks"] if root is not None else [],
        **({"findings": root.told["findings"]} if root is not None and "findings" in root.told else {}),
        "members": [_entry(each, "path", "mode") for each in members],
    }


def _cleaned(shown: str, parts: Sequence[Part]) -> Document:
    """Where one failed, its failure is the document, and what became of the others stands in it."""
    root, members = _split(parts)
    done = [each for each in members if each.code == 0]
    reports = [{"member": each.member, "report": _report(each)} for each in done]
    if root is None:
        told: Document = {"members": reports}
    elif root.code == 0:
        told = {"workspace": {"root": _report(root), "members": reports}}
    else:
        told = {"workspace": {"members": reports}}
    failed = next((each for each in parts if each.code), None)
    if failed is None:
        return {"ok": True, "path": shown, **told}
    own = failed.told if failed.member is None else _with_member(failed)
    return {**own, **told}


def _report(part: Part) -> Document:
    return {key: value for key, value in part.told.items() if key != "ok"}
