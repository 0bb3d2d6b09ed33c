"""The normalised contract an archive was made with, shown only when its bytes are what its name says.

Source: json-and-receipts specification 4.12, 5.6; commands specification 12.
"""

import re
from pathlib import Path

import msgspec

from ota.errors import Finding, HostError
from ota.evidence.archive import FOLDER, POINTER, Archived, Document, history, named_archive
from ota.evidence.baseline import promoted_archive
from ota.evidence.snapshot import read_snapshot, snapshot_path, verified

_FILE = re.compile(r"sha256-[0-9a-f]{64}\.json")
_HASH = re.compile(r"sha256:[0-9a-f]{64}")


def snapshot_document(root: Path, shown: str, chosen: str, *, again: str) -> Document:
    """`ota receipt --snapshot --json`. `again`: the command that keeps one.

    Raises:
        HostError: there is none, it cannot be read, or its bytes are not what its name says.
    """
    if chosen == "latest":
        newest = next((each for each in history(root) if _hash_of(each)), None)
        if newest is None:
            raise HostError(_none("no archive has a contract snapshot", f"looked under {FOLDER}/", again))
        return _of_archive(newest, root, shown, "latest", {})
    if chosen == "promoted":
        archived, at = promoted_archive(root, again)
        places: Document = {"selection_path": f"{FOLDER}/{POINTER}", "promoted_at": at}
        return _of_archive(archived, root, shown, "promoted", places)
    if _FILE.fullmatch(Path(chosen).name):
        hash_ = Path(chosen).stem.replace("-", ":", 1)
        content = verified(Path(chosen).absolute(), hash_)
        document = _document(shown, "file", "snapshot_archive", hash_, chosen, content)
        return document | {"selection_path": chosen}
    return _of_archive(named_archive(root, chosen), root, shown, "file", {"selection_path": chosen})


def _of_archive(archived: Archived, root: Path, shown: str, source: str, places: Document) -> Document:
    if archived.document is None:
        raise HostError(_none(f"{archived.archive_path} cannot be shown", archived.error, ""))
    hash_ = _hash_of(archived)
    if not hash_:
        why = "it was kept without one, or by an older ota"
        raise HostError(_none(f"{archived.archive_path} names no contract snapshot", why, ""))
    content = read_snapshot(root, hash_)
    document = _document(shown, source, "receipt_archive", hash_, snapshot_path(hash_), content)
    receipt = archived.document["receipt"]
    assert isinstance(receipt, dict)
    document["contract"] = {key: receipt[key] for key in ("contract", "contract_identity") if key in receipt}
    times = {"archive_path": archived.archive_path, "archived_at": archived.archived_at}
    return document | {key: value for key, value in (places | times).items() if value}


def _document(shown: str, source: str, kind: str, hash_: str, path: str, content: bytes) -> Document:
    try:
        snapshot = msgspec.json.decode(content, type=dict[str, object])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise HostError(_none(f"{path} is no contract snapshot", str(error), "")) from error
    return {
        "ok": True,
        "path": shown,
        "mode": "snapshot",
        "summary": {"input_count": len(snapshot)},
        "source": source,
        "selection_kind": kind,
        "snapshot_hash": hash_,
        "snapshot_path": path,
        "contract": {},
        "snapshot": snapshot,
    }


def _hash_of(archived: Archived) -> str:
    receipt = (archived.document or {}).get("receipt")
    told = receipt.get("contract_snapshot_hash") if isinstance(receipt, dict) else None
    return told if isinstance(told, str) and _HASH.fullmatch(told) else ""


def _none(summary: str, why: str, again: str) -> Finding:
    lists = "`ota receipt --history` lists the archives"
    return Finding(
        code="OTA_SNAPSHOT_NONE",
        summary=summary,
        why=why,
        next=f"`{again} --archive` keeps one" if again else lists,
        category="execution",
        owner="host",
        title="No snapshot to show",
    )
