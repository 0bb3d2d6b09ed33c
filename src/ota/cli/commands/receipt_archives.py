"""`ota receipt --history`, `--show`, `--snapshot`: what is archived, whatever the contract says now.

A missing or broken contract hides no evidence: archives lie beside it and are found without it.

Source: commands specification 12 (history, snapshot); json-and-receipts specification 5.5, 5.6.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ota.cli.flags import Arguments
from ota.cli.render.style import Style
from ota.cli.session import Session, absolute, is_directory, locate, shown_path
from ota.contract.load import CONTRACT_NAME
from ota.errors import ContractUnreadableError, Finding, HostError, OtaError
from ota.evidence.archive import FOLDER, Archived, history, named_archive, scope_of, summary_counts
from ota.source.reading import read_bytes
from ota.system.files import is_there
from ota.system.host import environ

if TYPE_CHECKING:
    from ota.env.masking import Masker

Document = dict[str, Any]


def look_back(arguments: Arguments, session: Session) -> int:
    """Show the list, one archive, or the contract of one."""
    contract = _contract(arguments)
    root, session.shown = contract.parent, shown_path(contract)
    if arguments.has("--history"):
        return _history(root, session)
    if arguments.has("--snapshot"):
        return _snapshot(root, session, arguments.value("--snapshot") or "")
    return _archive(root, session, arguments.value("--show") or "")


def _contract(arguments: Arguments) -> Path:
    """The contract beside whose folder `.ota` lies, whatever it says; where it is gone, archives will do.

    Raises:
        ContractUnreadableError: nothing is there, neither the contract that was named nor archives beside it.
    """
    file = arguments.value("--file") or environ().get("OTA_FILE")
    named = Path(file or arguments.path or ".")
    contract = absolute(named / CONTRACT_NAME if file is None and is_directory(named) else named)
    try:
        contract = locate(arguments.path, file)
        if not is_there(contract) or contract.is_dir():
            read_bytes(contract, shown_path(contract))
    except ContractUnreadableError:
        if is_directory(contract) or not is_directory(contract.parent / FOLDER):
            raise
    return contract


# --- one archive ---------------------------------------------------------------------------------


def _archive(root: Path, session: Session, name: str) -> int:
    archived = _latest(root, session) if name == "latest" else named_archive(root, name)
    if archived.document is None:
        raise HostError(_unreadable(archived))

    def text(style: Style) -> str:
        from ota.cli.render.receipt_text import archive_text

        return archive_text(archived, style)

    session.show(archived.document, text)
    return 0 if archived.document.get("ok") is True else 1


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
                why=f"nothing is archived under {FOLDER}/; runs and captures are kept there when asked to be",
                next=f"`ota run <task>{target} --archive` or `ota receipt{target} --archive`, "
                f"then `ota receipt{target} --show latest`",
                category="execution",
                title="No receipt to show",
            )
        )
    return readable


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


# --- the contract of one -------------------------------------------------------------------------


def _snapshot(root: Path, session: Session, name: str) -> int:
    from ota.evidence.shown_snapshot import snapshot_document

    again = f"ota receipt{session.target(session.arguments.path)}"
    document = snapshot_document(root, session.shown, name, again=again)
    document = _masker(document["snapshot"], session).mask_json(document)

    def text(style: Style) -> str:
        from ota.cli.render.receipt_text import snapshot_text

        return snapshot_text(document, style)

    session.show(document, text)
    return 0


def _masker(snapshot: object, session: Session) -> "Masker":
    """Knows the secrets of the contract as it is now, and those of the environment that it named then."""
    from ota.cli.diagnosing import make_scene
    from ota.env.masking import Masker

    known = environ()
    env = snapshot.get("env") if isinstance(snapshot, dict) else None
    declared = env.get("vars") if isinstance(env, dict) else None
    names = declared if isinstance(declared, dict) else {}
    masker = Masker(
        known[name]
        for name, var in names.items()
        if name in known and isinstance(var, dict) and var.get("secret")
    )
    arguments, shown = session.arguments, session.shown
    try:
        scene = make_scene(arguments, session, session.load_contract(arguments.path), "")
        return masker.with_more(scene.masker.values)
    except OtaError:
        return masker  # a contract that does not load hides no evidence
    finally:
        session.shown = shown


# --- all of them ---------------------------------------------------------------------------------


def _history(root: Path, session: Session) -> int:
    archives = history(root)
    readable = [_row(each) for each in archives if each.document is not None]
    damaged = [
        {"archive_path": each.archive_path, "error": each.error} for each in archives if each.document is None
    ]
    document: Document = {
        "ok": True,
        "path": session.shown,
        "mode": "history",
        "summary": {"archive_count": len(readable), "invalid_archive_count": len(damaged)},
        "archives": readable,
    }
    if damaged:
        document["invalid_archives"] = damaged

    def text(style: Style) -> str:
        from ota.cli.render.receipt_text import history_text

        return history_text(document, style, session.target(session.arguments.path))

    session.show(document, text)
    return 0


def _row(archived: Archived) -> Document:
    document = archived.document or {}
    receipt = document.get("receipt")
    assert isinstance(receipt, dict)
    row: Document = {
        "archive_path": archived.archive_path,
        "archived_at": archived.archived_at,
        "ok": document.get("ok") is True,
        "contract": str(receipt.get("contract", "")),
        "summary": summary_counts(document.get("summary")),
    }
    return row | scope_of(receipt)
