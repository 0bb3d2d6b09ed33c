"""What an earlier run proved of a contract, so that the next command need not prove it again.

One entry per contract file, `.ota/state/cache/<file name>.msgpack`, written by commands that run
things and read by every command that loads a contract. An entry is believed only when

* it holds exactly the bytes that the contract has now, and the ota that wrote it is this one;
* it and its folder are this user's and nobody else's to read or write; and
* it names the inodes of its folder and of the contract: a clone or an archive can carry an entry
  with any content, but not those numbers.

Everything else, damage included, means that the contract is proven as if there were no cache. The
records are made when somebody asks for them: most of what a contract holds is not needed to say that
it is valid.

Source: json-and-receipts specification 6 (rules for files under `.ota/`).
"""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import MsgspecError, Raw, Struct, msgpack
from msgspec.structs import replace

import ota.contract
import ota.source
from ota import CONTRACT_LEVEL, VERSION
from ota.contract.plain import Flattening, Unflattening
from ota.errors import Finding, HostError
from ota.source.reading import collector_paused
from ota.system.files import private_directory, write_atomic

if TYPE_CHECKING:
    from ota.contract.model import Contract

KEPT_ENTRIES = 4
LIMIT_BYTES = 64 * 1024 * 1024
_SUFFIX = ".msgpack"
_DAMAGE = (MsgspecError, ValueError, RecursionError, ImportError, AttributeError, TypeError, LookupError)


class Proven(Struct, frozen=True, kw_only=True):
    """A contract without errors, and what else there is to say of it."""

    contract: "Contract"
    warnings: tuple[Finding, ...]


class _Entry(Struct, frozen=True, array_like=True):
    """The outside of an entry: read first, so that a stale one costs little."""

    build: str
    origin: tuple[int, ...]
    data: bytes
    records: list[str]
    warnings: Raw
    contract: Raw


class Recalled:
    """What an entry holds: the warnings at once, the contract when it is asked for."""

    def __init__(self, entry: _Entry, shown: str) -> None:
        self._entry = entry
        found = self._value(entry.warnings)
        self.warnings: tuple[Finding, ...] = tuple(_shown_as(finding, shown) for finding in found)

    def contract(self) -> "Contract | None":
        """The records; None when the entry turns out to be damaged."""
        try:
            contract: Contract = self._value(self._entry.contract)
        except _DAMAGE:
            return None
        return contract

    def _value(self, packed: Raw) -> Any:
        with collector_paused():
            return Unflattening(self._entry.records).value(msgpack.decode(packed))


class Memory:
    """What is known of one contract file; made before anything that proves is imported, because an edit
    of ota's own sources while a command runs must never be taken for the code that ran."""

    def __init__(self, path: Path) -> None:
        self._entry_path = path.parent / ".ota" / "state" / "cache" / f"{path.name}{_SUFFIX}"
        self._contract_path = path
        self._build = build_identity()

    def recall(self, data: bytes, shown: str) -> Recalled | None:
        """What was proven of these bytes; None when nothing that can be believed."""
        try:
            content = _read_private(self._entry_path)
            if content is None:
                return None
            entry = msgpack.decode(content, type=_Entry)
            if entry.data != data or entry.build != self._build or entry.origin != self._origin():
                return None
            return Recalled(entry, shown)
        except (OSError, *_DAMAGE):
            return None

    def keep(self, data: bytes, proven: Proven) -> None:
        """Write what was proven down. That it cannot be written is no trouble worth telling."""
        with suppress(OSError, HostError, OverflowError, *_DAMAGE):
            private_directory(self._entry_path.parent)
            flat = Flattening()
            warnings = Raw(msgpack.encode(flat.plain(proven.warnings)))
            contract = Raw(msgpack.encode(flat.plain(proven.contract)))
            entry = _Entry(self._build, self._origin(), data, flat.records, warnings, contract)
            content = msgpack.encode(entry)
            if len(content) <= LIMIT_BYTES:
                write_atomic(self._entry_path, content)
                _forget_oldest(self._entry_path)

    def _origin(self) -> tuple[int, ...]:
        """What only this place on this disk has."""
        contract, folder = self._contract_path.stat(), self._entry_path.parent.stat()
        return (contract.st_ino, contract.st_mtime_ns, folder.st_ino)


def build_identity() -> str:
    """Which ota, down to the edit, reads contracts here: versions and the times of its own sources."""
    sources = sorted(
        f"{entry.name}:{facts.st_size}:{facts.st_mtime_ns}"
        for folder in _source_folders()
        for entry in os.scandir(folder)
        if entry.name.endswith(".py") and (facts := entry.stat())
    )
    core = os.stat(sys.modules["msgspec._core"].__file__ or "")  # noqa: PTH116 - as above
    versions = (VERSION, CONTRACT_LEVEL, sys.version, ota.__path__[0], f"{core.st_size}:{core.st_mtime_ns}")
    return "\n".join((*versions, *sources))


def _source_folders() -> Iterator[str]:
    """The rooms that decide what a contract means: parser, records and rules, and the YAML below them."""
    for room in (*ota.contract.__path__, *ota.source.__path__):
        yield room
        for inner in ("model", "rules"):
            folder = f"{room}/{inner}"
            if os.path.isdir(folder):  # noqa: PTH112 - names, not paths: this is paid by every command
                yield folder


def _read_private(path: Path) -> bytes | None:
    """The content of a file that only this user could have written; None for any other."""
    folder = path.parent.lstat()
    if not (stat.S_ISDIR(folder.st_mode) and _is_private(folder)):
        return None
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not (stat.S_ISREG(facts.st_mode) and _is_private(facts) and facts.st_size <= LIMIT_BYTES):
            return None
        return file.read(facts.st_size)


def _is_private(facts: os.stat_result) -> bool:
    return facts.st_uid == os.geteuid() and not facts.st_mode & 0o077


def _shown_as(finding: Finding, shown: str) -> Finding:
    """The same finding where the contract is seen from another directory."""
    if finding.place is None or finding.place.file == shown:
        return finding
    return replace(finding, place=replace(finding.place, file=shown))


def _forget_oldest(newest: Path) -> None:
    others = [each for each in newest.parent.iterdir() if each.suffix == _SUFFIX and each != newest]
    if len(others) >= KEPT_ENTRIES:
        others.sort(key=lambda each: each.stat().st_mtime_ns, reverse=True)
        for each in others[KEPT_ENTRIES - 1 :]:
            each.unlink(missing_ok=True)
