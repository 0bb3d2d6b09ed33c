"""Loading one contract file: what is already known of it, else bytes, tree, records, rules.

Proving is `ota.contract.proof`'s and costs YAML and the rules, so it is imported only for a file
that `ota.contract.cache` does not know.

Source: contract specification 0.1; commands specification 1.2; decision D16.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from ota.contract.cache import Memory, Proven, Recalled
from ota.errors import Finding, Place
from ota.source.reading import read_bytes

if TYPE_CHECKING:
    from ota.contract.model import Contract
    from ota.source.tree import Path_, Tree


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
        self._known = known

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

    def remember(self) -> None:
        """Keep what was proven for the next command; for commands that write below `.ota/` anyway."""
        if self.memory is not None:
            proven = Proven(contract=self.contract, warnings=self.warnings)
            self.memory.keep(self.written.data, proven)

    def place(self, field: "Path_") -> Place:
        """Where a field of the contract stands in its file."""
        return self.written.place(field)


def load(path: Path, shown: str) -> Loaded:
    """Read and prove a contract file, or recall that it was proven.

    Raises:
        ContractUnreadableError: no record exists (read, parse and compat errors).
        ContractError: semantic rules are broken; carries all of them and the advisories.
    """
    data = read_bytes(path, shown)
    memory = Memory(path)
    known = memory.recall(data, shown)
    if known is not None:
        return Loaded(path, shown, Written(shown, data), known)
    loaded = load_bytes(data, path, shown)
    loaded.memory = memory
    return loaded


def load_bytes(data: bytes, path: Path, shown: str) -> Loaded:
    """`load` for bytes already read: always proven anew."""
    proven, tree = _prove(data, shown)
    return Loaded(path, shown, Written(shown, data, tree), proven)


def _prove(data: bytes, shown: str) -> "tuple[Proven, Tree]":
    from ota.contract.proof import prove_bytes

    return prove_bytes(data, shown)
