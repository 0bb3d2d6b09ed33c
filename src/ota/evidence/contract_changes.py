"""What changed in the contract between two snapshots, and which of it may explain new findings.

A change is told by its dotted path; whole things that came or went are one change. That a change
belongs to a finding is a hint and never more: rules go by path, by name, and last by family.

Source: json-and-receipts specification 2.11 (`diffChange`), 5.4 (correlation).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ota.env.masking import Masker
from ota.evidence.archive import Document
from ota.evidence.snapshot import parse_snapshot
from ota.system.cutting import cut

Correlation = Literal["likely_related", "possibly_related", "no_clear_correlation"]
NO_SECRETS = Masker(())
LONGEST_VALUE = 203
"""Characters of a value that are shown, with the mark where it was cut."""

_CATEGORIES = {
    "env": "env",
    "services": "service",
    "tasks": "task",
    "workflows": "workflow",
    "execution": "execution",
    "agent": "agent",
    "policies": "policy",
    "tools": "toolchain",
    "runtimes": "toolchain",
    "toolchains": "toolchain",
    "metadata": "metadata",
    "project": "metadata",
}
_OWNERS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("TOOL_",), ("tools",)),
    (("RUNTIME_",), ("runtimes",)),
    (("TOOLCHAIN_",), ("toolchains",)),
    (("ENV_SOURCE_",), ("env", "sources")),
    (("ENV_",), ("env", "vars")),
    (("SERVICE_",), ("services",)),
    (("CHECK_", "FILE_CHECK_"), ("checks",)),
    (("WORKFLOW_",), ("workflows",)),
    (("BACKEND_", "CONTAINER_", "CONTEXT_", "REMOTE_", "LIFECYCLE_"), ("execution",)),
    (("TASK",), ("tasks",)),
)
"""Where findings are declared, by how their codes begin after `OTA_`."""
_DEEP = ("env", "execution", "readiness")
"""Sections whose things are one step deeper: `env.vars.TOKEN`, `execution.contexts.app`."""


class Change(Struct, frozen=True, kw_only=True):
    """One difference; `base` or `target` is missing where there was nothing."""

    path: tuple[str, ...]
    base: str | None = None
    target: str | None = None

    @property
    def document(self) -> Document:
        """`diffChange`."""
        status = "add" if self.base is None else "remove" if self.target is None else "change"
        document: Document = {"path": ".".join(self.path), "status": status}
        if self.base is not None:
            document["base"] = self.base
        if self.target is not None:
            document["target"] = self.target
        return document | {"category": _CATEGORIES.get(self.path[0], "contract")}


def contract_changes(base: bytes, target: bytes, masker: Masker = NO_SECRETS) -> tuple[Change, ...]:
    """Every difference between two snapshots, by path; values without secrets.

    Raises:
        HostError: one of them holds no contract.
    """
    return tuple(_differences(_as_written(base), _as_written(target), (), masker))


def _as_written(snapshot: bytes) -> dict[str, Any]:
    """With workflows where a contract has them."""
    contract = parse_snapshot(snapshot, "what was kept")
    workflows = contract.get("workflows")
    if isinstance(workflows, dict) and isinstance(entries := workflows.pop("entries", None), dict):
        workflows |= entries
    return contract


def _differences(base: Any, target: Any, path: tuple[str, ...], masker: Masker) -> Iterator[Change]:
    """`None` on a side: nothing stands there. Things in a section that came or went are told one by one."""
    if base == target:
        return
    is_section = not path or len(path) <= _depth(path)
    old, new = (_by_name({} if each is None and is_section else each) for each in (base, target))
    if old is None or new is None:
        yield Change(path=path, base=_shown(base, masker), target=_shown(target, masker))
        return
    for key in sorted({*old, *new}):
        yield from _differences(old.get(key), new.get(key), (*path, key), masker)


def _depth(path: tuple[str, ...]) -> int:
    """How many steps lead to the things of a section: `tasks.dev`, but `env.vars.TOKEN`."""
    return 2 if path[0] in _DEEP else 1


def _by_name(value: Any) -> Mapping[str, Any] | None:
    """A map, or a list of things that name themselves; None of anything else."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        names = [each.get("name") for each in value]
        if all(isinstance(name, str) for name in names) and len(set(names)) == len(names):
            return dict(zip(names, value, strict=True))
    return None


def _shown(value: Any, masker: Masker) -> str | None:
    """A scalar as it is written; of a required version the version alone, as the shorthand has it."""
    if value is None:
        return None
    if isinstance(value, dict) and "version" in value and value == {"required": True} | value:
        value = value["version"] if value.keys() <= {"required", "version"} else value
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return cut(masker.mask(text), LONGEST_VALUE)  # masked first: half a secret is not found any more


# --- which of it may explain a finding -----------------------------------------------------------


def correlated(
    changes: Sequence[Change], introduced: Sequence[Document]
) -> tuple[Correlation, tuple[Change, ...]]:
    """How well the changes explain the findings, and those that do, best first."""
    ranked = [
        (min(ranks), index)
        for index, change in enumerate(changes)
        if (ranks := [rank for each in introduced if (rank := _rank(change, each)) is not None])
    ]
    if not ranked:
        return "no_clear_correlation", ()
    best: Correlation = "likely_related" if min(ranked)[0] == 0 else "possibly_related"
    return best, tuple(changes[index] for _, index in sorted(ranked))


def _rank(change: Change, finding: Document) -> int | None:
    """0: the place that owns the finding; 1: named by it; 2: of the same family; None: unrelated."""
    owners, family = _owners(finding)
    if any(_starts(change.path, owner) or _starts(owner, change.path) for owner in owners):
        return 0
    name = change.path[min(_depth(change.path), len(change.path) - 1)]
    told = f"{finding.get('summary', '')} {finding.get('why', '')}"
    if len(change.path) > 1 and re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", told):
        return 1
    return 2 if family and _starts(change.path, family) else None


def _owners(finding: Document) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """The places that may declare what the finding is about, and the family they are in."""
    code, summary = str(finding.get("code", "")).removeprefix("OTA_"), str(finding.get("summary", ""))
    family = next((where for begins, where in _OWNERS if code.startswith(begins)), ())
    owners = []
    place = finding.get("place")
    field = place.get("field") if isinstance(place, dict) else None
    if isinstance(field, str) and field:
        owners.append(tuple(field.split(".")))
    _, colon, subject = summary.rpartition(": ")
    if family and colon:
        owners.append((*family, subject.strip("`")))
    return tuple(owners), family


def _starts(path: tuple[str, ...], begin: tuple[str, ...]) -> bool:
    return path[: len(begin)] == begin
