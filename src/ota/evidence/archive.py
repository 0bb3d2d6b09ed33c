"""Archived receipts: written whole or not at all, the newest kept, read back with care.

An archive is an execution (`run --archive`) or a readiness capture (`receipt --archive`);
`archive_context` says which. Which capture is the baseline is `ota.evidence.baseline`'s.

Source: json-and-receipts specification 5.2, 5.5, 6.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from ota.errors import HostError
from ota.system.clock import SYSTEM_CLOCK, Clock
from ota.system.files import private_directory, read_bytes, remove_file, write_new

FOLDER = ".ota/receipts"
POINTER = "repo-baseline.json"
KEPT = 50
_NAME = re.compile(r"repo-receipt-(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)-(\d{3})Z\.json")

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
    retire(root)
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
        content = msgspec.json.format(msgspec.json.encode(document), indent=2)
        if write_new(path, content + b"\n"):
            return document
        milliseconds += 1  # the name is taken: the next free millisecond


def archive_context(kind: Literal["execution", "readiness"], document: Mapping[str, object]) -> Document:
    """What an archive is about, and the workflow it belongs to when one was in effect."""
    workflow = document.get("workflow")
    lane = {"lane_kind": "workflow", "lane_name": workflow["name"]} if isinstance(workflow, dict) else {}
    return {"schema_version": 1, "kind": kind} | lane


def history(root: Path) -> tuple[Archived, ...]:
    """Every archive, newest first; a damaged one says why."""
    folder = root / FOLDER
    try:
        names = sorted((each.name for each in folder.iterdir() if _NAME.fullmatch(each.name)), reverse=True)
    except OSError:
        return ()
    return tuple(_read(folder, name) for name in names)


def read_archive(path: Path, shown: str) -> Archived:
    """One archive by its file."""
    return _load(path, shown, _time_of(path.name))


def named_archive(root: Path, name: str) -> Archived:
    """An archive by path, or by its file name alone."""
    given = Path(name)
    if not given.exists() and given.name == name and (root / FOLDER / name).exists():
        return read_archive(root / FOLDER / name, f"{FOLDER}/{name}")
    return read_archive(given.absolute(), name)


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


def retire(root: Path) -> None:
    """Keep the newest; the one a baseline points at is never retired."""
    folder = root / FOLDER
    names = sorted(each.name for each in folder.iterdir() if _NAME.fullmatch(each.name))
    kept = _baseline(folder)
    for name in names[:-KEPT]:
        if name != kept:
            remove_file(folder / name)


def _baseline(folder: Path) -> str:
    try:
        pointer = msgspec.json.decode(read_bytes(folder / POINTER))
    except (HostError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return ""
    return str(pointer.get("archive_file", "")) if isinstance(pointer, dict) else ""
