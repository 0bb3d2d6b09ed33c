"""The contracts that a contract names: members of its monorepo, repositories of its workspace.

Each is read when it is asked for, and once. That one cannot be had is an answer, not an exception. Only as
much of `ota.workspace.yaml` is read as says where a repository lies; other repositories may be broken.

Source: contract specification 15.7, 12; workspace specification A1, A2 (paths), C1.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from yaml.nodes import MappingNode, ScalarNode

from ota.contract.load import CONTRACT_NAME, load
from ota.contract.model import Contract
from ota.contract.planes import Planes
from ota.errors import ContractError, OtaError, errors_among
from ota.source.reading import read_bytes
from ota.source.tree import compose, plain_value

if TYPE_CHECKING:
    from ota.contract.members import Monorepo

WORKSPACE_NAME = "ota.workspace.yaml"


class Neighbour(Struct, frozen=True, kw_only=True):
    """Another contract, proven, and what it says of planes."""

    contract: Contract
    planes: Planes


class Unloadable(Struct, frozen=True, kw_only=True):
    """Why a contract that is named cannot be had from here."""

    reason: str
    next: str
    is_misnamed: bool = False
    """Whoever declares the others is there, and declares none of that name."""


class Neighbours:
    """What one contract may name beside itself."""

    def __init__(self, path: Path, monorepo: "Monorepo | None" = None) -> None:
        self._path = path
        self._monorepo = monorepo
        self._known: dict[tuple[str, str], Neighbour | Unloadable] = {}

    def member(self, name: str) -> Neighbour | Unloadable:
        """A member of the monorepo this contract is the root or a member of."""
        return self._once(("member", name), lambda: self._member(name))

    def repo(self, name: str) -> Neighbour | Unloadable:
        """A repository of the workspace this contract lies in."""
        return self._once(("repo", name), lambda: self._repo(name))

    def _once(
        self, key: tuple[str, str], read: Callable[[], Neighbour | Unloadable]
    ) -> Neighbour | Unloadable:
        if key not in self._known:
            try:
                self._known[key] = read()
            except OtaError as error:
                self._known[key] = _of_error(error)
            except OSError as error:  # a path nobody may look at, or longer than any can be
                self._known[key] = Unloadable(reason=error.strerror or str(error), next="mend its path")
        return self._known[key]

    # --- members -----------------------------------------------------------------------------

    def _member(self, name: str) -> Neighbour | Unloadable:
        if self._monorepo is None:
            from ota.contract.members import read_monorepo, root_declaring

            self._monorepo = root_declaring(self._path, self._shown) or read_monorepo(self._path, self._shown)
        if self._monorepo is None:
            return Unloadable(
                reason="this contract is neither the root of a monorepo nor a member of one",
                next="declare `workspace: {type: monorepo, members: [...]}` in the root's contract",
            )
        found = self._monorepo.workspace.named(name)
        if found is None:
            known = ", ".join(f"`{each}`" for each in self._monorepo.members)
            return Unloadable(
                reason=f"declared members: {known}", next="name a declared member", is_misnamed=True
            )
        contract = self._monorepo.contract_of(found)
        return Neighbour(contract=contract, planes=Planes(contract))

    # --- repositories ------------------------------------------------------------------------

    def _repo(self, name: str) -> Neighbour | Unloadable:
        workspace = next(
            (each for folder in self._path.parents if (each := folder / WORKSPACE_NAME).is_file()), None
        )
        if workspace is None:
            return Unloadable(
                reason=f"no {WORKSPACE_NAME} was found from {self._path.parent} upwards",
                next=f"declare both repositories in an {WORKSPACE_NAME} above them",
            )
        path = self._contract_of(name, workspace)
        if isinstance(path, Unloadable):
            return path
        loaded = load(path, self._shown(path), is_alone=True)
        return Neighbour(contract=loaded.contract, planes=Planes(loaded.contract))

    def _contract_of(self, name: str, workspace: Path) -> Path | Unloadable:
        shown = self._shown(workspace)
        tree = compose(shown, read_bytes(workspace, shown))
        node = tree.node(("repos",))
        repos = plain_value(node) if isinstance(node, MappingNode) else {}
        assert isinstance(repos, dict)
        if name not in repos:
            pairs = node.value if isinstance(node, MappingNode) else ()
            names = tuple(key.value for key, _ in pairs if isinstance(key, ScalarNode))
            from ota.contract.grammar import nearest

            near = nearest(name, names)
            known = ", ".join(f"`{each}`" for each in sorted(names)) or "none"
            return Unloadable(
                reason=f"{shown} declares the repositories {known}",
                next=f"write `{near}`" if near else f"declare `repos.{name}` there",
                is_misnamed=True,
            )
        declared = repos[name]
        folder = declared.get("path") if isinstance(declared, dict) else None
        contract = declared.get("contract") if isinstance(declared, dict) else None
        if not isinstance(folder, str) or not isinstance(contract, str | None):
            return Unloadable(
                reason=f"{shown} does not say where `repos.{name}` lies",
                next=f"write `repos.{name}.path` there",
            )
        root = workspace.parent / folder
        if not root.is_dir():
            return Unloadable(
                reason=f"{shown} has it in {self._shown(root)}, which is not there",
                next=f"check `{name}` out in {self._shown(root)}",
            )
        path = workspace.parent / contract if contract else root / CONTRACT_NAME
        return path.parent.resolve() / path.name

    def _shown(self, path: Path) -> str:
        return os.path.relpath(path, self._path.parent)


def _of_error(error: OtaError) -> Unloadable:
    first = (errors_among(error.findings) or error.findings)[0]
    place = first.place
    where = f" ({place.file}:{place.line})" if place is not None and place.line else ""
    is_wrong = isinstance(error, ContractError)
    return Unloadable(
        reason=f"{first.summary}{where}",
        next=first.next if is_wrong and first.next else "mend that contract first",
    )
