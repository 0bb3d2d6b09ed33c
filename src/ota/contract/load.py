"""Loading one contract file: what is already known of it, else bytes, tree, records, rules.

Proving is `ota.contract.proof`'s and costs YAML and the rules, so it is imported only for a file
that `ota.contract.cache` does not know. Contracts that a contract names are `ota.contract.neighbours`',
members of a monorepo `ota.contract.members`'; both are imported only for bytes that hold their words.

Source: contract specification 0.1; commands specification 1.2; decision D16.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from ota.contract.cache import Memory, Proven, Recalled
from ota.errors import Finding, Place
from ota.source.reading import read_bytes

if TYPE_CHECKING:
    from ota.contract.model import Contract
    from ota.contract.neighbours import Neighbours
    from ota.source.tree import Path_, Tree

CONTRACT_NAME = "ota.yaml"
_ROOT_WORD = b"monorepo"
_ABROAD = rb"""member|\brepo["']?\s*:|[?&][^\n]*\brepo\b|\\[xuU]"""
"""It is in every contract that names a contract beside it, as a key in any spelling; the others need not be
searched."""


class Written:
    """A contract as it is written; composed again only when somebody asks where something stands."""

    def __init__(self, shown: str, data: bytes, tree: "Tree | None" = None) -> None:
        self.data = data
        self._shown = shown
        self._tree = tree

    def place(self, field: "Path_") -> Place:
        """Where a field is written, else its nearest written ancestor."""
        if self._tree is None:
            from ota.source.tree import compose

            self._tree = compose(self._shown, self.data)
        return self._tree.place(field)


class Loaded:
    """A valid contract and where it came from."""

    def __init__(self, path: Path, shown: str, written: Written, known: Proven | Recalled) -> None:
        self.path = path
        """Absolute path of the file."""
        self.shown = shown
        """The path as the user sees it."""
        self.warnings: tuple[Finding, ...] = known.warnings
        """Advisories and notes; never errors."""
        self.written = written
        self.memory: Memory | None = None
        """Where it is worth keeping; None for what was recalled."""
        self.member: str | None = None
        """The monorepo member whose effective contract it is, when it was asked for by name."""
        self._known = known
        self._neighbours: Neighbours | None = None

    @property
    def contract(self) -> "Contract":
        """The records. Of a recalled contract they are made here, on first use."""
        if isinstance(self._known, Recalled):
            contract = self._known.contract()
            # an entry that turns out to be damaged was never proven
            self._known = (
                Proven(contract=contract, warnings=self.warnings)
                if contract is not None
                else _prove(self.written.data, self.shown)[0]
            )
        return self._known.contract

    @property
    def root(self) -> Path:
        """The contract's directory: where native bodies run."""
        return self.path.parent

    @property
    def neighbours(self) -> "Neighbours":
        """The other contracts that this one may name; each is read when it is asked for."""
        if self._neighbours is None:
            from ota.contract.neighbours import Neighbours

            self._neighbours = Neighbours(self.path)
        return self._neighbours

    @neighbours.setter
    def neighbours(self, neighbours: "Neighbours") -> None:
        self._neighbours = neighbours

    @property
    def members(self) -> tuple[str, ...]:
        """The members of a monorepo root, as declared; none for every other contract."""
        if _ROOT_WORD not in self.written.data or self.contract.workspace is None:
            return ()
        return self.contract.workspace.directories

    def require_reach(self) -> None:
        """That every other contract this one names can be had, for who proves all of it.

        To everybody else it is a matter of the task or service that needs the other one.

        Raises:
            ContractError: one is not there, or is no contract now; carries the advisories too.
        """
        if self._neighbours is not None:
            from ota.contract.proof import require_reach

            require_reach(self.contract, self._neighbours, self.place, known=self.warnings)

    def remember(self) -> None:
        """Keep what was proven for the next command; for commands that write below `.ota/` anyway."""
        if self.memory is not None:
            proven = Proven(contract=self.contract, warnings=self.warnings)
            self.memory.keep(self.written.data, proven)

    def place(self, field: "Path_") -> Place:
        """Where a field of the contract stands in its file."""
        return self.written.place(field)


def load(path: Path, shown: str, *, is_alone: bool = False) -> Loaded:
    """Read and prove a contract file, or recall that it was proven. `is_alone`: whatever others say.

    Raises:
        ContractUnreadableError: no record exists (read, parse and compat errors).
        ContractError: semantic rules are broken; carries all of them and the advisories.
    """
    data = read_bytes(path, shown)
    memory = Memory(path)
    known = memory.recall(data, shown)
    neighbours = None if is_alone else _neighbours(data, path)
    if known is None:
        proven, tree = _prove(data, shown, neighbours)
        loaded = Loaded(path, shown, Written(shown, data, tree), proven)
        loaded.memory, loaded._neighbours = memory, neighbours
        return loaded
    loaded = Loaded(path, shown, Written(shown, data), known)
    if neighbours is not None:  # they may have changed since
        from ota.contract.proof import require_abroad

        loaded.neighbours = neighbours
        require_abroad(loaded.contract, neighbours, loaded.place)
    return loaded


def _neighbours(data: bytes, path: Path) -> "Neighbours | None":
    if re.search(_ABROAD, data) is None:
        return None
    from ota.contract.neighbours import Neighbours

    return Neighbours(path)


def load_bytes(data: bytes, path: Path, shown: str) -> Loaded:
    """`load` for bytes already read: always proven anew, and alone."""
    proven, tree = _prove(data, shown)
    return Loaded(path, shown, Written(shown, data, tree), proven)


def _prove(data: bytes, shown: str, neighbours: "Neighbours | None" = None) -> "tuple[Proven, Tree]":
    from ota.contract.proof import prove_bytes

    return prove_bytes(data, shown, neighbours)


def may_be_member(path: Path) -> bool:
    """Whether a contract above this one could declare it a member: cheap, and mostly no."""
    if path.name != CONTRACT_NAME:
        return False
    for folder in path.parent.parents:
        candidate = folder / CONTRACT_NAME
        try:
            if candidate.is_file() and _ROOT_WORD in candidate.read_bytes():
                return True
        except OSError:
            continue  # what nobody can read declares nothing
    return False
