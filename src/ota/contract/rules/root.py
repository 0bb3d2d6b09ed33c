"""Rules of the contract's root: version, project, metadata, workspace, repo policies.

Not here: V004 (`ota.contract.load` decides it before rules run), V005 (detection says it when it
writes ownership), V013 and V014 (`ota.contract.members`: they need the member's own file).

Source: contract specification 2, 3, 19; appendix A, V001 to V012.
"""

from collections.abc import Iterator, Sequence
from types import MappingProxyType

from ota.contract.grammar import member_directory, parse_semver
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.values import empty_entries, empty_text

SUPPORTED_VERSION = 1

_ORG_POLICY_KEYS = MappingProxyType(
    {"env": "V006", "version_policy": "V007", "provisioning": "V008", "adapter_bootstrap": "V009"}
)


def version(subject: Subject) -> Iterator[Violation]:
    """V001."""
    found = subject.contract.version
    if found != SUPPORTED_VERSION:
        yield Violation(
            rule="V001",
            path=("version",),
            summary=f"unsupported contract version {found}",
            why=f"expected {SUPPORTED_VERSION}, the only version there is",
            next=f"write `version: {SUPPORTED_VERSION}`",
        )


def project_name(subject: Subject) -> Iterator[Violation]:
    """V002."""
    yield from empty_text("V002", ("project", "name"), subject.contract.project.name)


def minimum_version(subject: Subject) -> Iterator[Violation]:
    """V003."""
    ota = subject.contract.metadata.get("ota")
    if not isinstance(ota, dict) or ota.get("minimum_version") is None:
        return
    required = ota["minimum_version"]
    try:
        if isinstance(required, str):
            parse_semver(required)
            return
        reason = "it must be a string"
    except ValueError as error:
        reason = str(error)
    yield Violation(
        rule="V003",
        path=("metadata", "ota", "minimum_version"),
        summary=f"`metadata.ota.minimum_version` is not a semantic version: `{required}`",
        why=reason,
        next="give a semantic version like `1.6.16`",
    )


def workspace_members(subject: Subject) -> Iterator[Violation]:
    """V010, V011, V012."""
    workspace = subject.contract.workspace
    if workspace is None:
        return
    path = ("workspace", "members")
    if not workspace.members:
        yield Violation(
            rule="V010",
            path=path,
            summary="`workspace.members` is empty",
            why="a monorepo root needs at least one member",
            next="list the member directories, or remove `workspace`",
        )
    yield from empty_entries("V011", path, workspace.members)
    yield from _not_below(path, workspace.members)
    seen: set[str] = set()
    for index, member in enumerate(workspace.members):
        directory = member_directory(member)
        if directory and directory in seen:
            yield Violation(
                rule="V012",
                path=(*path, index),
                summary=f"`workspace.members` repeats `{member}`",
                why="a member is declared once",
                next=f"remove the duplicate member `{member}`",
            )
        seen.add(directory)


def _not_below(path: FieldPath, members: Sequence[str]) -> Iterator[Violation]:
    """V011, for what a directory below the root is not. Links are `ota.contract.members`' to see."""
    for index, member in enumerate(members):
        directory = member_directory(member)
        is_absolute = member.strip().startswith(("/", "\\"))
        if not member.strip() or (directory and not is_absolute and ".." not in directory.split("/")):
            continue
        yield Violation(
            rule="V011",
            path=(*path, index),
            summary=f"member `{member}` is no directory below the root",
            why="it is the root itself" if not directory else "a member lies below the root's directory",
            next="name a directory relative to the root, such as `apps/web`",
        )


def org_policy_keys(subject: Subject) -> Iterator[Violation]:
    """V006 to V009."""
    for key, rule in _ORG_POLICY_KEYS.items():
        if key in subject.contract.policies:
            yield Violation(
                rule=rule,
                path=("policies", key),
                summary=f"`policies.{key}` does not belong in a repository's contract",
                why="it is a decision of the organisation, not of one repository",
                next=f"move `{key}` to `policies.{key}` of `.ota/org-policy.yaml`",
            )


RULES: tuple[Rule, ...] = (version, project_name, minimum_version, workspace_members, org_policy_keys)
