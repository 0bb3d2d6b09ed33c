"""The normalised contract an archive was made with, shown only when its bytes are what its name says.

Source: json-and-receipts specification 4.12, 5.6; commands specification 12.
"""

from pathlib import Path

from ota.errors import Finding, HostError
from ota.evidence.archive import FOLDER, POINTER, Archived, Document, history, named_archive, snapshot_of
from ota.evidence.baseline import promoted_archive
from ota.evidence.snapshot import hash_of_file, parse_snapshot, read_snapshot, snapshot_path, verified


def snapshot_document(root: Path, shown: str, chosen: str, *, again: str) -> Document:
    """`ota receipt --snapshot --json`. `again`: the command that keeps one.

    Raises:
        HostError: there is none, it cannot be read, or its bytes are not what its name says.
    """
    if chosen == "latest":
        newest = next((each for each in history(root) if snapshot_of(each)), None)
        if newest is None:
            raise HostError(_none("no archive has a contract snapshot", f"looked under {FOLDER}/", again))
        return _of_archive(newest, root, shown, "latest", {})
    if chosen == "promoted":
        archived, at = promoted_archive(root, again)
        places: Document = {"selection_path": f"{FOLDER}/{POINTER}", "promoted_at": at}
        return _of_archive(archived, root, shown, "promoted", places)
    hash_ = hash_of_file(Path(chosen).name)
    if hash_:
        content = verified(Path(chosen).absolute(), hash_)
        document = _document(shown, "file", "snapshot_archive", hash_, chosen, content)
        return document | {"selection_path": chosen}
    return _of_archive(named_archive(root, chosen), root, shown, "file", {"selection_path": chosen})


def _of_archive(archived: Archived, root: Path, shown: str, source: str, places: Document) -> Document:
    if archived.document is None:
        raise HostError(_none(f"{archived.archive_path} cannot be shown", archived.error, ""))
    hash_ = snapshot_of(archived)
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
    snapshot = parse_snapshot(content, path)
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
