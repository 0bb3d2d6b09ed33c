"""The failure block, the usage error and the JSON failure envelope: the three forms of "no result".

Source: commands specification 1.8, 1.9; json-and-receipts specification 1.3; decision D5.
"""

from collections.abc import Sequence

from ota.cli.render.style import Style, Tone
from ota.errors import Finding, errors_among

SHOWN_FINDINGS = 100
"""Of one failure, in text: nobody reads more at once. JSON keeps all."""

_MARKS: dict[str, tuple[str, Tone]] = {
    "error": ("ERROR", "error"),
    "warn": ("WARN", "warn"),
    "info": ("INFO", "key"),
}


def usage_text(finding: Finding) -> str:
    """`error: unexpected argument '--x' found`, a hint, the usage line, where to read more."""
    lines = [f"error: {finding.summary}"]
    if finding.why:
        lines.append(f"  {finding.why}")
    lines += ["", f"Usage: {finding.evidence.expected}", "", f"For more: {finding.next}"]
    return "\n".join(lines)


def failure_text(findings: Sequence[Finding], style: Style, *, follow: Sequence[str], command: str) -> str:
    """Every finding, how many there are, and what to type once they are mended."""
    text = findings_block(findings[:SHOWN_FINDINGS], style, command=command)
    rest = len(findings) - SHOWN_FINDINGS
    if rest > 0:
        text += f"\n\n... and {rest} more: mend these first; `--json` lists all"
    lines = [f"{count_line(findings)}"] if len(findings) > 1 else []
    if follow:
        lines.append(style.label("Next"))
        lines += [f"{style.bullet} {line}" for line in follow]
    return "\n".join([text, *([""] if lines and not style.is_concise else []), *lines])


def count_line(findings: Sequence[Finding]) -> str:
    """`2 errors, 1 warning`."""
    told = []
    for severity, word in (("error", "error"), ("warn", "warning"), ("info", "note")):
        count = sum(each.severity == severity for each in findings)
        if count:
            told.append(f"{count} {word}{'' if count == 1 else 's'}")
    return ", ".join(told)


def findings_block(
    findings: Sequence[Finding], style: Style, title: str = "Operation failed", command: str = ""
) -> str:
    """Every finding of a failure with place, field, why and next."""
    blocks = []
    for finding in findings:
        own = finding.title if finding.severity == "error" else ""
        if command == "run" and _is_about_listeners(finding):
            own = "Task runtime projection is invalid"
        blocks.append(
            finding_text(finding, style, title=own or (title if finding.severity == "error" else ""))
        )
    return ("\n" if style.is_concise else "\n\n").join(blocks)


def _is_about_listeners(finding: Finding) -> bool:
    place = finding.place
    if place is None or finding.severity != "error" or not place.field.startswith("tasks."):
        return False
    return ".runtime.listeners" in place.field


def finding_text(finding: Finding, style: Style, *, title: str = "") -> str:
    """One finding, hanging under its severity."""
    word, tone = _MARKS[finding.severity]
    mark = style.paint(f"◉ {word}" if style.is_rich else word, tone)
    summary = f"{_of_member(finding)}{finding.summary}"
    if title:
        lines = [f"{mark}  {title}", *style.fold(summary)]
    else:
        lines = style.fold(summary, first=f"{mark}  ")
    place = finding.place
    if place is not None and place.line:
        lines.append(f"  {place.file}:{place.line}:{place.column}")
    if place is not None and place.field:
        lines += style.fold(place.field, first=f"  {style.label('Field')} ")
    if finding.why and not style.is_concise:
        lines += style.fold(finding.why, first=f"  {style.label('Why')}   ")
    if finding.next:
        lines += style.fold(finding.next, first=f"  {style.label('Next')}  ")
    if finding.code and not style.is_concise:
        lines.append(f"  {style.label('Code')}  {finding.code}")
    return "\n".join(lines)


def failure_document(path: str, findings: Sequence[Finding], *, is_semantic: bool) -> dict[str, object]:
    """`ContractFailure`: `errors` when the file parsed, `error` when it did not."""
    blocking = errors_among(findings) or tuple(findings)
    document: dict[str, object] = {"ok": False, "path": path}
    if is_semantic:
        document["errors"] = [error_line(finding) for finding in blocking]
    else:
        document["error"] = "; ".join(error_line(finding) for finding in blocking)
    warnings = warning_lines(findings)
    document["summary"] = {"error_count": len(blocking), "warn_count": len(warnings)}
    if warnings:
        document["warnings"] = warnings
    following = next((finding.next for finding in blocking if finding.next), "")
    if following:
        document["next"] = following
    return document


def warning_lines(findings: Sequence[Finding]) -> list[str]:
    """The warnings of a document, in file order."""
    return [error_line(finding) for finding in findings if finding.severity == "warn"]


def error_line(finding: Finding) -> str:
    """`tasks.dev.depends_on[0]: what is wrong: why (ota.yaml:14:7) [OTA_V276]`, field path first."""
    place = finding.place
    field = f"{place.field}: " if place is not None and place.field else ""
    why = f": {finding.why}" if finding.why else ""
    where = f" ({place.file}:{place.line}:{place.column})" if place is not None and place.line else ""
    return f"{_of_member(finding)}{field}{finding.summary}{why}{where} [{finding.code}]"


def _of_member(finding: Finding) -> str:
    return f"monorepo member {finding.member}: " if finding.member else ""
