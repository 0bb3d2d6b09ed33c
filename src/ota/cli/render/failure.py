"""The failure block, the usage error and the JSON failure envelope: the three forms of "no result".

Source: commands specification 1.8, 1.9; json-and-receipts specification 1.3; decision D5.
"""

from collections.abc import Sequence

from ota.cli.render.style import Style
from ota.errors import Finding, errors_among


def usage_text(finding: Finding) -> str:
    """`error: unexpected argument '--x' found`, a hint, the usage line, where to read more."""
    lines = [f"error: {finding.summary}"]
    if finding.why:
        lines.append(f"  {finding.why}")
    lines += ["", f"Usage: {finding.evidence.expected}", "", f"For more: {finding.next}"]
    return "\n".join(lines)


def findings_block(findings: Sequence[Finding], style: Style, title: str = "Operation failed") -> str:
    """Every finding of a failure with place, field, why and next."""
    blocks = []
    for finding in findings:
        blocks.append(finding_text(finding, style, title=finding.title or title))
    return ("\n" if style.is_concise else "\n\n").join(blocks)


def finding_text(finding: Finding, style: Style, *, title: str = "") -> str:
    """One finding, hanging under its severity."""
    word = {"error": "ERROR", "warn": "WARN", "info": "INFO"}[finding.severity]
    tone = {"error": "error", "warn": "warn", "info": "key"}[finding.severity]
    mark = style.paint(f"◉ {word}" if style.is_rich else word, tone)  # type: ignore[arg-type]  # tones
    lines = [f"{mark}  {title}" if title else f"{mark}  {finding.summary}"]
    if title:
        lines.append(finding.summary)
    place = finding.place
    if place is not None and place.line:
        lines.append(f"  {place.file}:{place.line}:{place.column}")
    if place is not None and place.field:
        lines.append(f"  {style.label('Field')} {place.field}")
    if finding.why and not style.is_concise:
        lines.append(f"  {style.label('Why')}   {finding.why}")
    if finding.next:
        lines.append(f"  {style.label('Next')}  {finding.next}")
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
    warnings = [finding for finding in findings if finding.severity == "warn"]
    document["summary"] = {"error_count": len(blocking), "warn_count": len(warnings)}
    if warnings:
        document["warnings"] = [error_line(finding) for finding in warnings]
    following = next((finding.next for finding in blocking if finding.next), "")
    if following:
        document["next"] = following
    return document


def error_line(finding: Finding) -> str:
    """`tasks.dev.depends_on[0]: what is wrong: why (ota.yaml:14:7) [OTA_V276]`, field path first."""
    place = finding.place
    field = f"{place.field}: " if place is not None and place.field else ""
    why = f": {finding.why}" if finding.why else ""
    where = f" ({place.file}:{place.line}:{place.column})" if place is not None and place.line else ""
    return f"{field}{finding.summary}{why}{where} [{finding.code}]"
