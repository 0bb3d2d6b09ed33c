"""`ota receipt`: what archived runs left behind.

Of a repository with a contract the contract is read first, and a broken one is the answer, as in
every command that reads it. An archive asked for by name, and the history, need none.

Source: commands specification 1.8, 12 (history); doctor specification 4; json-and-receipts
specification 5.5.
"""

from pathlib import Path
from typing import Any

from ota.cli.flags import Arguments
from ota.cli.session import CONTRACT_NAME, Session, locate, shown_path
from ota.errors import ContractUnreadableError, Finding, HostError
from ota.evidence.archive import FOLDER, Archived, history, read_archive


def run(arguments: Arguments, session: Session) -> int:
    """Show the newest archive, a named one, or the list."""
    contract = _contract(arguments)
    root, session.shown = contract.parent, shown_path(contract)
    if arguments.has("--history"):
        return _history(root, session.shown, session)
    if not arguments.has("--show") and contract.exists():
        session.load_contract(arguments.path)
    name = arguments.value("--show") or "latest"
    archived = _latest(root, session) if name == "latest" else _named(root, name)
    if archived.document is None:
        raise HostError(_unreadable(archived))
    if arguments.is_json:
        from ota.cli.render.json import print_document

        print_document(archived.document, session.out)
    else:
        from ota.cli.render.receipt_text import archive_text

        print(archive_text(archived, session.style_of(session.out)), file=session.out)
    return 0 if archived.document.get("ok") is True else 1


def _contract(arguments: Arguments) -> Path:
    """The contract beside whose folder `.ota` lies.

    A folder with archives but without a contract will do: a missing contract hides no evidence.
    """
    try:
        return locate(arguments.path, arguments.value("--file"))
    except ContractUnreadableError:
        root = Path(arguments.path or ".").absolute()
        if not (root / FOLDER).is_dir():
            raise
        return root / CONTRACT_NAME


def _latest(root: Path, session: Session) -> Archived:
    archives = history(root)
    readable = next((each for each in archives if each.document is not None), None)
    if readable is None and archives:
        return archives[0]
    if readable is None:
        target = session.target(session.arguments.path)
        raise HostError(
            Finding(
                code="OTA_RECEIPT_NONE",
                summary="no receipts yet",
                why=f"nothing is archived under {FOLDER}/; a run keeps its receipt there when asked to",
                next=f"`ota run <task>{target} --archive`, then `ota receipt{target}`",
                category="execution",
                title="No receipt to show",
            )
        )
    return readable


def _named(root: Path, name: str) -> Archived:
    """An archive by path, or by its file name alone."""
    given = Path(name)
    if not given.exists() and given.name == name and (root / FOLDER / name).exists():
        given = root / FOLDER / name
    return read_archive(given.absolute(), name)


def _unreadable(archived: Archived) -> Finding:
    return Finding(
        code="OTA_RECEIPT_UNREADABLE",
        summary=f"{archived.archive_path} cannot be shown",
        why=archived.error,
        next="`ota receipt --history` lists the archives",
        category="execution",
        owner="host",
        title="No receipt to show",
    )


def _history(root: Path, shown: str, session: Session) -> int:
    archives = history(root)
    readable = [_row(each) for each in archives if each.document is not None]
    damaged = [
        {"archive_path": each.archive_path, "error": each.error} for each in archives if each.document is None
    ]
    document: dict[str, Any] = {
        "ok": True,
        "path": shown,
        "mode": "history",
        "summary": {"archive_count": len(readable), "invalid_archive_count": len(damaged)},
        "archives": readable,
    }
    if damaged:
        document["invalid_archives"] = damaged
    if session.arguments.is_json:
        from ota.cli.render.json import print_document

        print_document(document, session.out)
    else:
        from ota.cli.render.receipt_text import history_text

        style = session.style_of(session.out)
        print(history_text(document, style, session.target(session.arguments.path)), file=session.out)
    return 0


_COPIED = ("status", "backend", "context", "lifecycle", "target", "provider", "cwd")


def _row(archived: Archived) -> dict[str, Any]:
    document = archived.document or {}
    receipt = document.get("receipt")
    assert isinstance(receipt, dict)
    row: dict[str, Any] = {
        "archive_path": archived.archive_path,
        "archived_at": archived.archived_at,
        "ok": document.get("ok") is True,
        "contract": str(receipt.get("contract", "")),
        "summary": _counts(document.get("summary")),
    }
    return row | {key: receipt[key] for key in _COPIED if isinstance(receipt.get(key), str)}


def _counts(summary: object) -> dict[str, int]:
    given = summary if isinstance(summary, dict) else {}
    names = ("error_count", "warn_count", "info_count", "step_count")
    return {name: given[name] if isinstance(given.get(name), int) else 0 for name in names}
