"""The one error record and the one exception tree of ota.

A validation error, a refusal at plan time and a doctor finding are the same record,
`Finding`, made whole where the fact is known. Rendering lives in `ota.cli.render`.

Source: commands specification 1.8; json-and-receipts specification 1.3 and 2.1.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

Severity = Literal["error", "warn", "info"]

Category = Literal[
    "contract", "execution", "policy", "service", "environment", "remote", "workspace", "provisioning"
]
Owner = Literal[
    "repo_contract",
    "host",
    "service",
    "container_target",
    "remote_target",
    "remote_backend",
    "org_policy",
    "agent_safety",
    "workspace_acquisition",
    "repo_signals",
]


class Place(Struct, frozen=True, kw_only=True):
    """Where in which file a finding points."""

    file: str
    """The file as it is shown to the user."""
    field: str = ""
    """Dotted field path, `tasks.dev.runtime.listeners.http.bind.port`; empty when no field is to blame."""
    line: int = 0
    """1-based line; 0 when unknown."""
    column: int = 0
    """1-based column; 0 when unknown."""


class Evidence(Struct, frozen=True, kw_only=True):
    """What a finding rests on. Every string may be empty: not observed."""

    observed: str = ""
    expected: str = ""
    source: str = ""
    checked_at: str = ""
    command: str = ""
    path: str = ""


class Finding(Struct, frozen=True, kw_only=True):
    """One true statement about what is wrong, why, and the one action most likely to fix it."""

    code: str
    """`OTA_...`: names the condition. Wording may change, the code may not."""
    summary: str
    """What is wrong, in one line."""
    why: str = ""
    """The fact that makes it wrong."""
    next: str = ""
    """A command or an edit that can be done now."""
    severity: Severity = "error"
    place: Place | None = None
    category: Category = "contract"
    owner: Owner = "repo_contract"
    evidence: Evidence = Evidence()
    title: str = ""
    """Heading of the failure block; empty: the command's own default (commands 1.8)."""
    member: str = ""
    """The monorepo member it is told of; empty: the contract at hand."""


class OtaError(Exception):
    """Expected trouble. Carries findings; never a bug in ota."""

    def __init__(self, *findings: Finding) -> None:
        super().__init__("; ".join(finding.summary for finding in findings))
        self.findings: tuple[Finding, ...] = findings


class ContractError(OtaError):
    """A contract, workspace or policy file is wrong."""


class ContractUnreadableError(ContractError):
    """The file is missing, unreadable, not YAML, of the wrong shape, or needs a newer ota."""


class PlanError(OtaError):
    """The files are fine; this request is refused before anything starts."""


class HostError(OtaError):
    """Engine, process, port, file or network said no."""


class UsageError(OtaError):
    """The command line itself is wrong: exit code 2."""


def errors_among(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings that block."""
    return tuple(finding for finding in findings if finding.severity == "error")


def in_file_order(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Findings by file, line and column; those without a place keep their order, last."""

    def key(finding: Finding) -> tuple[int, str, int, int]:
        place = finding.place
        if place is None or place.line == 0:
            return (1, "", 0, 0)
        return (0, place.file, place.line, place.column)

    return tuple(sorted(findings, key=key))
