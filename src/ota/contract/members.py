"""Monorepo members: which contract is whose member, and the effective contract of one.

A member's contract is `<member>/ota.yaml` laid over the root's; it acts in the member's directory. How
trees are laid over each other is `ota.contract.merge`'s. Imported only where a file speaks of a monorepo.

Source: contract specification 3, V013 and V014; commands specification 1.2, 1.3; workspace
specification B.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec.structs import replace
from yaml.nodes import MappingNode, ScalarNode

from ota.contract.grammar import member_directory
from ota.contract.load import CONTRACT_NAME, Loaded, Written, load
from ota.contract.merge import ROOT_ONLY, merged
from ota.contract.model import Contract, MonorepoWorkspace
from ota.contract.neighbours import Neighbours
from ota.contract.parse import parse
from ota.contract.proof import check_minimum_version, prove_tree
from ota.errors import (
    ContractError,
    ContractUnreadableError,
    Finding,
    PlanError,
    errors_among,
    in_file_order,
)
from ota.source.reading import read_bytes
from ota.source.tree import LayeredTree, Tree, compose, plain_value

Show = Callable[[Path], str]
"""How a path is shown to the user."""


class Monorepo:
    """A root contract that was read, and its members. Nothing of a member is read before it is asked for."""

    def __init__(self, path: Path, tree: Tree, workspace: MonorepoWorkspace, show: Show) -> None:
        self.path = path
        self.tree = tree
        self.workspace = workspace
        self.show = show
        self.shown = show(path)
        self.members: Mapping[str, Path] = {
            name: path.parent / name / CONTRACT_NAME for name in workspace.directories
        }
        """The contract of each member by the member's directory, as declared."""

    def require(self, asked: str) -> str:
        """The declared member that is meant.

        Raises:
            PlanError: no declared member is meant.
        """
        name = self.workspace.named(asked)
        if name is not None:
            return name
        raise PlanError(_undeclared(asked, self))

    def load(self, name: str, shown: str | None = None, *, is_alone: bool = False) -> Loaded:
        """The effective contract of a member, proven. `shown`: it stands for itself, not for the root.

        Raises:
            ContractError: it is missing or wrong; the findings say of which member.
        """
        path = self.members[name]
        try:
            tree, known = self.layered(name)
            neighbours = None if is_alone else Neighbours(path, self)
            proven = prove_tree(tree, neighbours, known=known)
        except ContractError as error:
            if shown is not None:
                raise
            raise type(error)(*(replace(each, member=name) for each in error.findings)) from error
        shown_as = shown or self.shown
        loaded = Loaded(path, shown_as, Written(shown_as, b"", tree), proven)
        loaded.member = name if shown is None else None
        if neighbours is not None:
            loaded.neighbours = neighbours
        return loaded

    def contract_of(self, name: str) -> Contract:
        """What a member declares, for who names it. What is wrong in the root's file is told of the root.

        Raises:
            ContractError: something is missing or wrong in the member's own file.
        """
        try:
            return self.load(name, is_alone=True).contract
        except ContractError as error:
            blamed = {each.place.file if each.place else "" for each in errors_among(error.findings)}
            contract = parse(self.layered(name)[0], Contract)[0] if blamed == {self.shown} else None
            if contract is None:
                raise
            return contract

    def name_at(self, path: Path) -> str:
        """The member whose contract lies at a path."""
        return path.parent.relative_to(self.path.parent).as_posix()

    def layered(self, name: str) -> tuple[LayeredTree, list[Finding]]:
        """A member's tree over the root's, and what is wrong with it before it is parsed.

        Raises:
            ContractError: there is no such file, or it is no YAML.
        """
        path = self.members[name]
        shown = self.show(path)
        if not _is_inside(self.path.parent, name) or not _is_file(path):
            raise ContractError(self._missing(name, shown))
        own = compose(shown, read_bytes(path, shown), is_layer=True)
        return merged(self.tree, own), list(_nested(own))

    def _missing(self, name: str, shown: str) -> Finding:
        index = list(map(member_directory, self.workspace.members)).index(name)
        inside = _is_inside(self.path.parent, name)
        return Finding(
            code="OTA_V014",
            summary=f"member `{name}` has no contract",
            why=f"{shown} is not there" if inside else "a member lies below the root's directory",
            next=f"write {shown}, or remove `{name}` from `workspace.members`"
            if inside
            else f"name a directory below the root instead of `{name}`",
            place=self.tree.place((ROOT_ONLY, "members", index)),
            title="Invalid contract",
        )


def _is_inside(root: Path, name: str) -> bool:
    """By its name, and by where links lead."""
    root = root.resolve()
    return ".." not in name.split("/") and (root / name).resolve().is_relative_to(root)


def _nested(own: Tree) -> list[Finding]:
    """V013."""
    if own.node((ROOT_ONLY,)) is None:
        return []
    return [
        Finding(
            code="OTA_V013",
            summary=f"a member must not declare `{ROOT_ONLY}`",
            why="only the root of a monorepo has members, and this contract is one of them",
            next=f"remove `{ROOT_ONLY}` here",
            place=own.place((ROOT_ONLY,)),
            title="Invalid contract",
        )
    ]


# --- finding the root ----------------------------------------------------------------------------


def load_located(located: Path, show: Show) -> Loaded:
    """The contract at a path: the effective one, where a root above declares it a member.

    Raises:
        ContractError: the contract, or the root's, is wrong.
    """
    above = root_declaring(located, show)
    if above is None:
        return load(located, show(located))
    return above.load(above.name_at(located), show(located))


def read_effective(located: Path, show: Show, member: str | None) -> Contract | None:
    """The records of `load_located`, or of a named member, not judged; None when there are none.

    Raises:
        OtaError: there is no such member, or one of the files is no YAML.
    """
    above = root_declaring(located, show)
    if member is not None:
        monorepo = above or require_monorepo(located, show, member)
        tree: Tree = monorepo.layered(monorepo.require(member))[0]
    elif above is not None:
        tree = above.layered(above.name_at(located))[0]
    else:
        tree = compose(show(located), read_bytes(located, show(located)))
    return parse(tree, Contract)[0]


def require_monorepo(located: Path, show: Show, asked: str) -> Monorepo:
    """The monorepo that a contract is the root or a member of. `asked`: the member somebody wants of it.

    Raises:
        PlanError: there is none.
        ContractUnreadableError: there is no record of the root.
    """
    monorepo = root_declaring(located, show) or read_monorepo(located, show)
    if monorepo is None:
        raise PlanError(_no_root(located, show, asked))
    return monorepo


def read_monorepo(path: Path, show: Show) -> Monorepo | None:
    """The monorepo that a contract is the root of; its rules are not asked.

    Raises:
        ContractUnreadableError: there is no record of it.
    """
    shown = show(path)
    return _monorepo(path, compose(shown, read_bytes(path, shown), is_layer=True), show)


def _monorepo(path: Path, tree: Tree, show: Show) -> Monorepo | None:
    contract, findings = parse(tree, Contract)
    check_minimum_version(tree, findings)
    if contract is None:
        raise ContractUnreadableError(*in_file_order(findings))
    return Monorepo(path, tree, contract.workspace, show) if contract.workspace is not None else None


def root_declaring(path: Path, show: Show) -> Monorepo | None:
    """The nearest root above a contract that declares it a member.

    Raises:
        ContractUnreadableError: that root cannot be read, or there is no record of it.
    """
    found = _root_above(path, show)
    return None if found is None else _monorepo(*found, show)


def _root_above(path: Path, show: Show) -> tuple[Path, Tree] | None:
    if path.name != CONTRACT_NAME:
        return None
    for folder in path.parent.parents:
        candidate = folder / CONTRACT_NAME
        name = path.parent.relative_to(folder).as_posix()
        if not _is_trusted(candidate, path):
            continue
        data = read_bytes(candidate, show(candidate))
        if path.parent.name.encode() not in data:
            continue
        tree = compose(show(candidate), data, is_layer=True)
        if name in _written_members(tree):
            return candidate, tree
    return None


def _is_trusted(candidate: Path, path: Path) -> bool:
    """A root that a stranger put above this contract, say in a shared folder, says nothing of it."""
    return _is_file(candidate) and candidate.stat().st_uid in (path.stat().st_uid, os.geteuid(), 0)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # nobody may look there, or no name may be that long
        return False


def written_monorepo(path: Path, show: Show) -> tuple[Monorepo | None, tuple[Finding, ...]]:
    """The members below a root as its file names them, whatever else is wrong there or with them.

    Enough to find what they left behind. The findings say why not every member can be told.
    """
    shown = show(path)
    try:
        data = read_bytes(path, shown)
        if ROOT_ONLY.encode() not in data:
            return None, ()
        tree = compose(shown, data, is_layer=True)
    except ContractUnreadableError as error:
        return None, error.findings
    node = tree.node((ROOT_ONLY,))
    if node is None:
        return None, ()
    declared = plain_value(node)
    written = declared.get("members") if isinstance(declared, dict) else None
    entries = written if isinstance(written, list) else []
    texts = [each for each in entries if isinstance(each, str)]
    names = tuple(each for each in texts if _is_inside(path.parent, member_directory(each)))
    workspace = MonorepoWorkspace(type="monorepo", members=names)
    unclear = not isinstance(written, list) or not all(isinstance(each, str) for each in entries)
    return Monorepo(path, tree, workspace, show), (_unclear_members(tree),) if unclear else ()


def require_written_monorepo(located: Path, show: Show, asked: str) -> Monorepo:
    """`require_monorepo`, from what `written_monorepo` tells.

    Raises:
        PlanError: there is none.
        ContractUnreadableError: nobody can tell which members there are.
    """
    above = _root_above(located, show)
    monorepo, findings = written_monorepo(above[0] if above is not None else located, show)
    if monorepo is not None:
        return monorepo
    if findings:
        raise ContractUnreadableError(*findings)
    raise PlanError(_no_root(located, show, asked))


def _written_members(tree: Tree) -> frozenset[str]:
    """The members a file names, whatever else it says."""
    node = tree.node((ROOT_ONLY,))
    kind = tree.node((ROOT_ONLY, "type"))
    if not isinstance(node, MappingNode) or not isinstance(kind, ScalarNode) or kind.value != "monorepo":
        return frozenset()
    members = plain_value(node).get("members")  # type: ignore[attr-defined]  # a mapping's value is a dict
    if not isinstance(members, list):
        return frozenset()
    return frozenset(member_directory(each) for each in members if isinstance(each, str))


# --- refusals ------------------------------------------------------------------------------------


def _no_root(located: Path, show: Show, member: str) -> Finding:
    return Finding(
        code="OTA_MONOREPO_REQUIRED",
        summary=f"`--member {member}` needs a monorepo root contract",
        why=f"{show(located)} declares no `workspace`, and no contract above declares it a member",
        next="name the root, or declare `workspace: {type: monorepo, members: [...]}` there",
        title="Operation failed",
    )


def _unclear_members(tree: Tree) -> Finding:
    return Finding(
        code="OTA_V014",
        summary="not every member can be told",
        why=f"`{ROOT_ONLY}.members` is no list of directories",
        next=f"write `{ROOT_ONLY}: {{type: monorepo, members: [<directory>]}}`",
        place=tree.place((ROOT_ONLY,)),
        title="Invalid contract",
    )


def _undeclared(asked: str, monorepo: Monorepo) -> Finding:
    from ota.contract.grammar import nearest

    names = tuple(monorepo.members)
    known = ", ".join(f"`{name}`" for name in names)
    meant = [name for name in names if name.rpartition("/")[2] == member_directory(asked)]
    near = nearest(asked, (*names, *(name.rpartition("/")[2] for name in names)))
    hint = f"did you mean `{near}`? " if near else ""
    return Finding(
        code="OTA_MEMBER_UNKNOWN",
        summary=f"member `{asked}` is not declared",
        why=f"{monorepo.shown} declares {known}",
        next=f"name one of {', '.join(f'`{name}`' for name in meant)}"
        if meant
        else f"{hint}add it to `workspace.members`, or name a declared member",
        place=monorepo.tree.place((ROOT_ONLY, "members")),
        title="Operation failed",
    )
