"""Proving one contract: bytes, tree, records, rules.

Stops at the first kind of trouble that would make the next a guess: unreadable, then wrong
shape, then rules. Within a kind every independent finding is told, in file order.

Source: contract specification 0.1; commands specification 1.2; decision D16.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from yaml.nodes import MappingNode, ScalarNode

import ota.contract.shorthand  # noqa: F401  registers the shorthand spellings with the parser
from ota import CONTRACT_LEVEL
from ota.contract.cache import Proven
from ota.contract.grammar import compare_semver, parse_semver
from ota.contract.model import LATER_LAYERS, LATER_TASK_LAYERS, LATER_WORKFLOW_LAYERS, Contract
from ota.contract.parse import parse
from ota.contract.rules import violations
from ota.contract.rules.base import Violation
from ota.errors import ContractError, ContractUnreadableError, Finding, Place, errors_among, in_file_order
from ota.source.reading import SHOWN_LIMIT, collector_paused, one_line
from ota.source.tree import Path_, Tree, compose, dotted, is_null

if TYPE_CHECKING:
    from ota.contract.neighbours import Neighbours


def prove_bytes(data: bytes, shown: str, neighbours: "Neighbours | None" = None) -> tuple[Proven, Tree]:
    """What a file's bytes declare, proven, and where it is written. `neighbours`: what it says of them too.

    Raises:
        ContractUnreadableError: no record exists (parse and compat errors).
        ContractError: semantic rules are broken; carries all of them and the advisories.
    """
    with collector_paused():
        tree = compose(shown, data)
        return prove_tree(tree, neighbours), tree


def prove_tree(
    tree: Tree, neighbours: "Neighbours | None" = None, *, known: Sequence[Finding] = ()
) -> Proven:
    """`prove_bytes` for what was composed already. `known`: what there was to say of it before."""
    with collector_paused():
        contract, findings = parse(tree, Contract)
        check_minimum_version(tree, findings)
        if contract is None:
            raise ContractUnreadableError(*in_file_order([*known, *findings]))
        own = [*prove(contract, tree), *_flat_fulfillments(contract, tree), *_later_layers(contract, tree)]
        others = _told_abroad(contract, neighbours, tree.place) if neighbours is not None else []
        told = in_file_order([*known, *own, *others])
    if errors_among(told):
        raise ContractError(*told)
    return Proven(contract=contract, warnings=told)


def require_abroad(contract: Contract, neighbours: "Neighbours", place: Callable[[Path_], Place]) -> None:
    """Ask only what a proven contract says of others.

    Raises:
        ContractError: something of it is wrong.
    """
    told = in_file_order(_told_abroad(contract, neighbours, place))
    if told:
        raise ContractError(*told)


def require_reach(
    contract: Contract,
    neighbours: "Neighbours",
    place: Callable[[Path_], Place],
    *,
    known: Sequence[Finding] = (),
) -> None:
    """That every contract which is named can be had. `known`: what else there is to say.

    Raises:
        ContractError: one cannot.
    """
    from ota.contract.rules.abroad import violations_of_reach

    found = [told_at(violation, place) for violation in violations_of_reach(contract, neighbours)]
    if found:
        raise ContractError(*in_file_order([*known, *found]))


def _told_abroad(
    contract: Contract, neighbours: "Neighbours", place: Callable[[Path_], Place]
) -> list[Finding]:
    from ota.contract.rules.abroad import violations_abroad  # paid only by contracts that name others

    return [told_at(violation, place) for violation in violations_abroad(contract, neighbours)]


def parsed(data: bytes, shown: str) -> Contract | None:
    """The records alone, for who has no use for findings; None when there are none.

    Raises:
        ContractUnreadableError: the bytes are not one YAML document.
    """
    with collector_paused():
        return parse(compose(shown, data), Contract)[0]


def prove(contract: Contract, tree: Tree) -> list[Finding]:
    """What the rules say of a parsed contract, with positions."""
    return [told_at(violation, tree.place) for violation in violations(contract)]


def told_at(violation: Violation, place: Callable[[Path_], Place]) -> Finding:
    """A broken rule as a finding, where `place` says that its field is written."""
    return Finding(
        code=f"OTA_{violation.rule}",
        severity=violation.severity,
        # Rules quote what the file says, and a file may say line breaks and terminal escapes.
        summary=one_line(violation.summary, SHOWN_LIMIT),
        why=one_line(violation.why, SHOWN_LIMIT),
        next=one_line(violation.next, SHOWN_LIMIT),
        place=place(violation.path),
        title="Invalid contract" if violation.severity == "error" else "",
    )


def check_minimum_version(tree: Tree, findings: tuple[Finding, ...]) -> None:
    """V004: an older build refuses before anything else is said, also about keys it does not know."""
    required = _scalar_at(tree, ("metadata", "ota", "minimum_version"))
    if required is None or not _is_newer(required):
        return
    unknown = next((finding for finding in findings if finding.code == "OTA_P01" and finding.place), None)
    feature = ""
    if unknown is not None and unknown.place is not None:
        feature = f"; it uses `{unknown.place.field}`, which this build does not know"
    raise ContractUnreadableError(
        Finding(
            code="OTA_V004",
            summary=f"{tree.file} needs a newer ota",
            why=f"it requires contract level {required}; this build speaks {CONTRACT_LEVEL}{feature}",
            next="upgrade ota (`ota self-update`, or install a newer release), then run this command again",
            place=tree.place(("metadata", "ota", "minimum_version")),
            title="Contract could not be loaded",
        )
    )


def _is_newer(required: str) -> bool:
    try:
        return compare_semver(parse_semver(required), parse_semver(CONTRACT_LEVEL)) > 0
    except ValueError:
        return False  # V003 says it


def _scalar_at(tree: Tree, path: tuple[str, ...]) -> str | None:
    node: object = tree.root
    for step in path:
        if not isinstance(node, MappingNode):
            return None
        node = next((value for key, value in node.value if getattr(key, "value", None) == step), None)
    return node.value if isinstance(node, ScalarNode) else None


def _flat_fulfillments(contract: Contract, tree: Tree) -> list[Finding]:
    """W14 for `fulfillment: run`: both spellings give one record, so only the tree can tell them apart."""
    found: list[Finding] = []
    for name in sorted(contract.toolchains):
        path = ("toolchains", name, "fulfillment")
        node = tree.node(path)
        if isinstance(node, ScalarNode) and not is_null(node):
            found.append(
                Finding(
                    code="OTA_W14",
                    severity="warn",
                    summary=f"toolchain `{name}` uses the flat `fulfillment`",
                    why=f"`fulfillment: {node.value}` is the old spelling of `mode`",
                    next=f"write `fulfillment: {{mode: {node.value}}}`",
                    place=tree.place(path),
                )
            )
    return found


def _later_layers(contract: Contract, tree: Tree) -> list[Finding]:
    """One note for all keys of later layers (D15)."""
    stated = list(_stated_later_layers(contract))
    if not stated:
        return []
    shown = [f"`{dotted(path)}`" for path in stated[:5]]
    if len(stated) > 5:
        shown.append(f"{len(stated) - 5} more")
    return [
        Finding(
            code="OTA_CONTRACT_LATER_LAYER",
            severity="info",
            summary="the contract declares layers this build accepts but does not act on",
            why=", ".join(shown),
            next="nothing to do: they are kept and ignored",
            place=tree.place(stated[0]),
        )
    ]


def _stated_later_layers(contract: Contract) -> Iterator[Path_]:
    yield from _stated(contract, (), LATER_LAYERS)
    if contract.execution is not None:
        yield from _stated(contract.execution, ("execution",), ("runtime_boundary",))
    for name, service in contract.services.items():
        yield from _stated(service, ("services", name), ("lifecycle",))
    for name, task in contract.tasks.items():
        yield from _stated(task, ("tasks", name), LATER_TASK_LAYERS)
        if task.effects is not None:
            yield from _stated(task.effects, ("tasks", name, "effects"), ("declared",))
    for name, workflow in contract.workflows.entries.items():
        yield from _stated(workflow, ("workflows", name), LATER_WORKFLOW_LAYERS)


def _stated(record: Struct, path: Path_, keys: tuple[str, ...]) -> Iterator[Path_]:
    for key in keys:
        if getattr(record, key) is not None:
            yield (*path, key)
