"""Archived receipts: written whole or not at all, the newest kept, read back with care.

An archive is an execution (`run --archive`) or a readiness capture (`receipt --archive`);
`archive_context` says which. Which capture is the baseline is `ota.evidence.baseline`'s.

Source: json-and-receipts specification 5.2, 5.5, 6.
"""

import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from ota.errors import HostError
from ota.evidence.snapshot import is_hash, snapshot_path, stored_hashes
from ota.system.clock import SYSTEM_CLOCK, Clock
from ota.system.files import private_directory, read_bytes, remove_file, write_new
from ota.system.json_bytes import json_bytes
from ota.system.kept_files import names_in

FOLDER = ".ota/receipts"
POINTER = "repo-baseline.json"
KEPT = 50
_NAME = re.compile(r"repo-receipt-(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)-(\d{3})Z\.json")

_SCOPE = ("status", "backend", "context", "lifecycle", "target", "provider", "cwd")
SPARED_S = 3600.0
"""So long a snapshot is safe: whoever stored it may not have written the archive that names it yet."""

Document = dict[str, object]


class Archived(Struct, frozen=True, kw_only=True):
    """One archive file."""

    archive_path: str
    """Relative to the repository."""
    archived_at: str
    document: Document | None = None
    error: str = ""
    """Why it could not be read; empty when it could."""


def archive_receipt(root: Path, receipt: Document, clock: Clock = SYSTEM_CLOCK) -> str:
    """Keep the receipt of an execution; the archive's path, relative to the repository.

    Raises:
        HostError: it could not be written; nothing is left.
    """
    document = {
        "ok": receipt["ok"],
        "path": receipt["contract"],
        "mode": "receipt",
        "summary": receipt["summary"],
        "receipt": receipt,
        "findings": [],
        "archive_context": archive_context("execution", receipt),
    }
    document |= {key: receipt[key] for key in ("workflow", "task") if key in receipt}
    kept = write_archive(root, lambda archive_path, _: {**document, "archive_path": archive_path}, clock)
    retire(root, clock)
    return str(kept["archive_path"])


def write_archive(
    root: Path, document_of: Callable[[str, int], Document], clock: Clock = SYSTEM_CLOCK
) -> Document:
    """Write an archive under the next free name; the document exactly as it was written.

    `document_of` gets the archive's path, relative to the repository, and its time in milliseconds.

    Raises:
        HostError: it could not be written; nothing is left.
    """
    folder = private_directory(root / FOLDER)
    milliseconds = int(clock.wall_s() * 1000)
    while True:
        path = folder / _name_of(milliseconds)
        document = document_of(f"{FOLDER}/{path.name}", milliseconds)
        content = msgspec.json.format(json_bytes(document), indent=2)
        if write_new(path, content + b"\n"):
            return document
        milliseconds += 1  # the name is taken: the next free millisecond


def archive_context(kind: Literal["execution", "readiness"], document: Mapping[str, object]) -> Document:
    """What an archive is about, and the workflow it belongs to when one was in effect."""
    workflow = document.get("workflow")
    lane = {"lane_kind": "workflow", "lane_name": workflow["name"]} if isinstance(workflow, dict) else {}
    return {"schema_version": 1, "kind": kind} | lane


def history(root: Path) -> tuple[Archived, ...]:
    """Every archive, newest first; a damaged one says why.

    Raises:
        HostError: nobody can say what is archived.
    """
    folder = root / FOLDER
    return tuple(_read(folder, name) for name in reversed(_names(folder)))


def _names(folder: Path) -> list[str]:
    return [each for each in names_in(folder) if _NAME.fullmatch(each)]


def read_archive(path: Path, shown: str) -> Archived:
    """One archive by its file."""
    return _load(path, shown, _time_of(path.name))


def named_archive(root: Path, name: str) -> Archived:
    """An archive by path, or by its file name alone."""
    given = Path(name)
    if given.name != name or os.path.lexists(given):
        return read_archive(given, name)
    return read_archive(root / FOLDER / name, f"{FOLDER}/{name}")


def scope_of(receipt: Mapping[str, object]) -> Document:
    """What a receipt says in one word each of where it looked or ran."""
    return {key: receipt[key] for key in _SCOPE if isinstance(receipt.get(key), str)}


def summary_counts(summary: object) -> dict[str, int]:
    """The counts of a `receiptSummary` from disk; what is not there is none."""
    given = summary if isinstance(summary, dict) else {}
    names = ("error_count", "warn_count", "info_count", "step_count")
    return {name: given[name] if isinstance(given.get(name), int) else 0 for name in names}


def _read(folder: Path, name: str) -> Archived:
    return _load(folder / name, f"{FOLDER}/{name}", _time_of(name))


def _load(path: Path, shown: str, archived_at: str) -> Archived:
    try:
        document = msgspec.json.decode(read_bytes(path))
    except HostError as error:
        return Archived(archive_path=shown, archived_at=archived_at, error=error.findings[0].why)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        return Archived(archive_path=shown, archived_at=archived_at, error=f"not JSON: {error}")
    if not isinstance(document, dict) or not isinstance(document.get("receipt"), dict):
        return Archived(archive_path=shown, archived_at=archived_at, error="not a receipt archive")
    return Archived(archive_path=shown, archived_at=archived_at, document=document)


def _name_of(milliseconds: int) -> str:
    from ota.system.clock import utc_text

    return f"repo-receipt-{utc_text(milliseconds, '%Y%m%d-%H%M%S')}-{milliseconds % 1000:03d}Z.json"


def _time_of(name: str) -> str:
    match = _NAME.fullmatch(name)
    if match is None:
        return ""
    year, month, day, hour, minute, second, milli = match.groups()
    return f"{year}-{month}-{day}T{hour}:{minute}:{second}.{milli}Z"


def retire(root: Path, clock: Clock = SYSTEM_CLOCK) -> None:
    """Keep the newest; the one a baseline points at is never retired.

    The contracts that only retired ones were about go with them. What cannot be removed now is tried again
    with the next archive: what was just archived stands.
    """
    folder = root / FOLDER
    with suppress(HostError):
        old = _names(folder)[:-KEPT]
        kept = pointed_at(root)
        for name in old:
            if name != kept:
                remove_file(folder / name)
        if old:
            _retire_snapshots(root, clock)


def _retire_snapshots(root: Path, clock: Clock) -> None:
    """Those no archive refers to. An archive that cannot be read may refer to any of them."""
    archives = history(root)
    if any(each.document is None for each in archives):
        return
    named = {snapshot_of(each) for each in archives}
    for hash_ in stored_hashes(root, before_s=clock.wall_s() - SPARED_S):
        if hash_ not in named:
            remove_file(root / snapshot_path(hash_))


def snapshot_of(archived: Archived) -> str:
    """The hash of the contract an archive is about; empty when it names none."""
    receipt = (archived.document or {}).get("receipt")
    told = receipt.get("contract_snapshot_hash") if isinstance(receipt, dict) else None
    return told if is_hash(told) else ""


def pointed_at(root: Path) -> str:
    """The name of the archive that is the baseline; empty when there is none, or it cannot be told."""
    try:
        pointer = msgspec.json.decode(read_bytes(root / FOLDER / POINTER))
    except (HostError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return ""
    return str(pointer.get("archive_file", "")) if isinstance(pointer, dict) else ""
