"""The normalised contract: what a run took for granted, with a name of its own.

Shorthand expanded, contexts merged, maps sorted, empties and defaults dropped; two spellings of
one contract give the same bytes. Values of secret variables are never in a contract.

Source: json-and-receipts specification 4.12.
"""

import hashlib
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeGuard

import msgspec
from msgspec.structs import replace

from ota.contract.inherit import merged_contexts
from ota.contract.model import Contract
from ota.errors import Finding, HostError
from ota.system.files import private_directory, read_bytes, write_new
from ota.system.kept_files import names_in

FOLDER = ".ota/contracts"
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_FILE = re.compile(r"sha256-[0-9a-f]{64}\.json")


def snapshot_bytes(contract: Contract) -> bytes:
    """Pretty-printed with two spaces and a final newline."""
    plain = msgspec.to_builtins(_merged(contract), order="sorted")
    return msgspec.json.format(msgspec.json.encode(_without_empty(plain), order="sorted"), indent=2) + b"\n"


def snapshot_hash(snapshot: bytes) -> str:
    """SHA-256 over exactly these bytes."""
    return f"sha256:{hashlib.sha256(snapshot).hexdigest()}"


def is_hash(text: object) -> TypeGuard[str]:
    """Whether it is such a name at all."""
    return isinstance(text, str) and _HASH.fullmatch(text) is not None


def hash_of_file(name: str) -> str:
    """The hash in the name of a kept snapshot; empty for any other file."""
    return Path(name).stem.replace("-", ":", 1) if _FILE.fullmatch(name) else ""


def stored_hashes(root: Path, *, before_s: float) -> tuple[str, ...]:
    """The snapshots that were kept, or asked to be kept again, before a moment in seconds since 1970.

    Raises:
        HostError: nobody can say which there are.
    """
    found = []
    for name in names_in(root / FOLDER):
        with suppress(FileNotFoundError):  # somebody else retires them too
            if _FILE.fullmatch(name) and (root / FOLDER / name).lstat().st_mtime < before_s:
                found.append(hash_of_file(name))
    return tuple(found)


def parse_snapshot(content: bytes, shown: str) -> dict[str, Any]:
    """What a snapshot holds. `shown`: where it was read.

    Raises:
        HostError: it is no map, whatever its hash says.
    """
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise HostError(
            Finding(
                code="OTA_SNAPSHOT_NONE",
                summary=f"{shown} is no contract snapshot",
                why=str(error),
                next="`ota receipt --history` lists the archives",
                category="execution",
                owner="host",
                title="No snapshot to show",
            )
        ) from error


def assumption_hash(snapshot: bytes) -> str:
    """SHA-256 over the flat map *dotted path to scalar*: layout does not count, values do."""
    flat: dict[str, object] = {}
    _flatten(msgspec.json.decode(snapshot), "", flat)
    return f"sha256:{hashlib.sha256(msgspec.json.encode(flat, order='sorted')).hexdigest()}"


def store_snapshot(root: Path, snapshot: bytes) -> str:
    """Keep the snapshot under its hash; its path relative to the repository.

    Raises:
        HostError: it could not be written.
    """
    shown = snapshot_path(snapshot_hash(snapshot))
    private_directory(root / FOLDER)
    if not write_new(root / shown, snapshot):
        with suppress(OSError):
            (root / shown).touch()  # it is wanted again: nobody shall take it for forgotten
    return shown


def snapshot_path(hash_: str) -> str:
    """Where the snapshot of this hash is kept, relative to the repository."""
    return f"{FOLDER}/{hash_.replace(':', '-')}.json"


def read_snapshot(root: Path, hash_: str) -> bytes:
    """The kept snapshot of this hash.

    Raises:
        HostError: it cannot be read, or its bytes are not what its name says.
    """
    return verified(root / snapshot_path(hash_), hash_)


def verified(path: Path, hash_: str) -> bytes:
    """A snapshot file whose bytes have the hash of its name.

    Raises:
        HostError: it cannot be read, or its bytes are not what its name says.
    """
    content = read_bytes(path)
    if snapshot_hash(content) != hash_:
        raise HostError(
            Finding(
                code="OTA_SNAPSHOT_DAMAGED",
                summary=f"{path.name} is not the snapshot its name says",
                why=f"its bytes have the hash {snapshot_hash(content)}",
                next="`ota receipt --archive` keeps a new one; remove the damaged file",
                category="execution",
                owner="host",
                title="No snapshot to show",
            )
        )
    return content


def with_snapshot(receipt: dict[str, object], root: Path, snapshot: bytes) -> None:
    """Store the snapshot and name it in the receipt, behind the contract's identity.

    Raises:
        HostError: it could not be written; the receipt is unchanged.
    """
    named = {
        "contract_snapshot_hash": snapshot_hash(snapshot),
        "contract_snapshot_ref": store_snapshot(root, snapshot),
        "assumption_set_hash": assumption_hash(snapshot),
    }
    told = dict(receipt)
    receipt.clear()
    for key, value in told.items():
        receipt[key] = value
        if key == "contract_identity":
            receipt.update(named)


def _merged(contract: Contract) -> Contract:
    if contract.execution is None:
        return contract
    contexts = merged_contexts(contract.execution.contexts)
    return replace(contract, execution=replace(contract.execution, contexts=contexts))


def _without_empty(value: object) -> object:
    if isinstance(value, dict):
        kept = {key: _without_empty(each) for key, each in value.items()}
        return {key: each for key, each in kept.items() if each not in (None, False, "", [], {})}
    if isinstance(value, list | tuple):
        return [_without_empty(each) for each in value]
    return value


def _flatten(value: object, path: str, into: dict[str, object]) -> None:
    if isinstance(value, dict):
        for key, each in value.items():
            _flatten(each, f"{path}.{key}" if path else key, into)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            _flatten(each, f"{path}[{index}]", into)
    else:
        into[path] = value
