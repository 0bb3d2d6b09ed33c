"""What a diagnosis comes to: findings once each and in order, groups with one remedy, verdicts.

Source: doctor specification 2, 3, 4, 11; json-and-receipts specification 2.2; decision D21.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

from ota.errors import Finding, Severity

Word = Literal["ready", "risky", "blocked"]

_RANKS: dict[Severity, int] = {"error": 0, "warn": 1, "info": 2}

_KINDS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "tooling-versions",
        "Tooling versions",
        ("RUNTIME_", "TOOL_", "TOOLCHAIN_", "NATIVE_PREREQUISITE_"),
    ),
    ("environment-values", "Environment values", ("ENV_",)),
    (
        "execution-backend",
        "Execution backend",
        ("BACKEND_", "CONTAINER_BACKEND_", "REMOTE_BACKEND_"),
    ),
    ("service-health", "Service health", ("SERVICE_",)),
    ("check-failures", "Check failures", ("CHECK_", "FILE_CHECK_", "WORKFLOW_")),
    ("policy-surface", "Policy surface", ("POLICY_",)),
    ("adapter-bootstrap", "Adapter bootstrap", ("ADAPTER_BOOTSTRAP_",)),
    ("contract-drift", "Contract drift", ("CONTRACT_DRIFT",)),
)


class Group(Struct, frozen=True, kw_only=True):
    """Findings that one person mends in one go."""

    key: str
    title: str
    findings: tuple[Finding, ...]

    @property
    def first(self) -> Finding:
        """The most severe member, which stands for the group."""
        return self.findings[0]

    @property
    def severity(self) -> Severity:
        """Of the most severe member."""
        return self.first.severity

    @property
    def has_one_next(self) -> bool:
        """Whether one action mends all of it."""
        return len({finding.next for finding in self.findings}) == 1


class Verdict(Struct, frozen=True, kw_only=True):
    """Counts, and the word for people and for agents."""

    errors: int
    warnings: int
    infos: int
    repo: Word
    agent: Word

    @property
    def is_ready(self) -> bool:
        """No error: warnings and notes never block."""
        return self.errors == 0


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Exact duplicates once, errors first, otherwise as they were found."""
    once = dict.fromkeys(findings)
    return tuple(sorted(once, key=lambda finding: _RANKS[finding.severity]))


def grouped(findings: Sequence[Finding]) -> tuple[Group, ...]:
    """Groups in the order of their most severe member; `findings` are in order already."""
    members: dict[tuple[str, str], list[Finding]] = {}
    titles: dict[tuple[str, str], str] = {}
    for finding in findings:
        key, title = _kind(finding)
        shared = "" if title else finding.next
        members.setdefault((key, shared), []).append(finding)
        titles.setdefault((key, shared), title or finding.summary)
    return tuple(
        Group(key=key, title=titles[key, shared], findings=tuple(found))
        for (key, shared), found in members.items()
    )


def _kind(finding: Finding) -> tuple[str, str]:
    """The kind's key and title; without a title, findings share a group by their remedy."""
    condition = finding.code.removeprefix("OTA_")
    for key, title, beginnings in _KINDS:
        if condition.startswith(beginnings):
            return key, title
    return condition.lower().replace("_", "-"), ""


def planned(groups: Sequence[Group]) -> tuple[Group, ...]:
    """The groups as a plan of repairs: blockers first, and among equals the edits of the contract first."""

    def key(group: Group) -> tuple[int, bool]:
        return _RANKS[group.severity], group.first.category != "contract"

    return tuple(sorted(groups, key=key))


def verdict_of(findings: Sequence[Finding], *, is_agent_ready: bool = True) -> Verdict:
    """What the findings come to; `is_agent_ready`: whether an agent may do what people would."""
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = sum(finding.severity == "warn" for finding in findings)
    repo: Word = "blocked" if errors else "risky" if warnings else "ready"
    agent: Word = "risky" if repo == "ready" and not is_agent_ready else repo
    return Verdict(
        errors=errors, warnings=warnings, infos=len(findings) - errors - warnings, repo=repo, agent=agent
    )
