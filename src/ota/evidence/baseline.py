"""The capture that others are compared with: which one was promoted, and which one is meant.

A capture belongs to a contract and a workflow, told by a label that a moved checkout keeps
(`ota.yaml#workflow:app`). Executions are evidence of another kind, and never a baseline.

Source: json-and-receipts specification 2.3 (label), 5.3.
"""

from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Literal

import msgspec
from msgspec import Struct

from ota.errors import Finding, HostError
from ota.evidence.archive import FOLDER, POINTER, Archived, Document, history, named_archive, read_archive
from ota.system.clock import utc_stamp
from ota.system.files import write_atomic
from ota.system.kept_files import read_if_there

Source = Literal["promoted", "latest", "file"]


class Baseline(Struct, frozen=True, kw_only=True):
    """One chosen capture."""

    source: Source
    archived: Archived
    selection_path: str = ""
    """The pointer, or the file that was named."""
    promoted_at: str = ""

    @property
    def document(self) -> Document:
        assert self.archived.document is not None
        return self.archived.document


class _Pointer(Struct, frozen=True, kw_only=True):
    kind: Literal["repo_receipt_baseline"]
    archive_file: str
    contract_identity: str
    promoted_at: str


class _ArchivedFinding(Struct, frozen=True, kw_only=True):
    """What the finding of a capture must have to be compared and shown again."""

    code: str
    category: str
    owner: str
    severity: Literal["error", "warn", "info"]
    summary: str
    why: str
    next: str
    evidence: dict[str, object]


class _Context(Struct, frozen=True, kw_only=True):
    kind: str = "readiness"


class _Receipt(Struct, frozen=True, kw_only=True):
    contract: str
    status: str | None = None


class _Capture(Struct, frozen=True, kw_only=True):
    """The shape test of a capture; what else it holds is its own business."""

    ok: bool
    mode: Literal["receipt"]
    receipt: _Receipt
    findings: tuple[_ArchivedFinding, ...]
    archive_context: _Context = _Context()


def identity_label(document: Document) -> str:
    """The contract's path in its repository, and the workflow in effect."""
    receipt, workflow = document.get("receipt"), document.get("workflow")
    contract = receipt.get("contract") if isinstance(receipt, dict) else None
    file = PurePath(str(contract or "ota.yaml")).name  # archives lie beside the contract
    name = workflow.get("name") if isinstance(workflow, dict) else None
    return f"{file}#workflow:{name}" if name else file


def promotion(archive_path: str, milliseconds: int) -> Document:
    """`promoted_baseline`, as the archive itself says it."""
    return {
        "path": f"{FOLDER}/{POINTER}",
        "archive_path": archive_path,
        "promoted_at": utc_stamp(milliseconds),
    }


def promote(root: Path, document: Document) -> None:
    """Point the repository's one baseline at an archived capture.

    Raises:
        HostError: the pointer could not be written; the one before stands.
    """
    promoted = document["promoted_baseline"]
    assert isinstance(promoted, dict)
    pointer = _Pointer(
        kind="repo_receipt_baseline",
        archive_file=PurePath(str(promoted["archive_path"])).name,
        contract_identity=identity_label(document),
        promoted_at=str(promoted["promoted_at"]),
    )
    content = msgspec.json.format(msgspec.json.encode(pointer), indent=2) + b"\n"
    write_atomic(root / FOLDER / POINTER, content)


def select_baseline(root: Path, chosen: str, current: Document, *, again: str) -> Baseline:
    """The capture that `--baseline` means. `again`: the command that makes one.

    Raises:
        HostError: there is none, it cannot be read, or it is about something else.
    """
    if chosen == "latest":
        return _latest(root, identity_label(current), again)
    if chosen == "promoted":
        baseline = _promoted(root, again)
        label, theirs = identity_label(current), identity_label(baseline.document)
        if theirs != label:
            raise HostError(_other_identity(theirs, label, again))
        return baseline
    archived = named_archive(root, chosen)
    return Baseline(source="file", archived=_capture(archived), selection_path=chosen)


def promoted_archive(root: Path, again: str) -> tuple[Archived, str]:
    """The archive the pointer names, whatever it is, and when it was promoted.

    Raises:
        HostError: nothing was promoted, or the pointer or its archive cannot be read.
    """
    path = root / FOLDER / POINTER
    content = read_if_there(path)
    if content is None:
        raise HostError(_none("no baseline was promoted", f"there is no {FOLDER}/{POINTER}", again))
    try:
        pointer = msgspec.json.decode(content, type=_Pointer)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise HostError(_unreadable(f"{FOLDER}/{POINTER}", f"not a baseline pointer: {error}")) from error
    name = PurePath(pointer.archive_file).name
    if read_if_there(root / FOLDER / name) is None:
        raise HostError(_none("the promoted baseline is gone", f"there is no {FOLDER}/{name}", again))
    return read_archive(root / FOLDER / name, f"{FOLDER}/{name}"), pointer.promoted_at


def _promoted(root: Path, again: str) -> Baseline:
    archived, at = promoted_archive(root, again)
    return Baseline(
        source="promoted",
        archived=_capture(archived),
        selection_path=f"{FOLDER}/{POINTER}",
        promoted_at=at,
    )


def _latest(root: Path, label: str, again: str) -> Baseline:
    """The newest of this contract and workflow, else the newest of this contract."""
    captures = tuple(_captures(root))
    file = label.partition("#")[0]
    same = [each for each in captures if identity_label(each.document or {}) == label]
    akin = [each for each in captures if identity_label(each.document or {}).partition("#")[0] == file]
    if not (same or akin):
        found = "executions are no baseline" if history(root) else f"nothing is archived under {FOLDER}/"
        raise HostError(_none("no readiness capture to compare with", found, again))
    return Baseline(source="latest", archived=(same or akin)[0])


def _captures(root: Path) -> Iterator[Archived]:
    """Readable captures, newest first."""
    for archived in history(root):
        try:
            yield _capture(archived)
        except HostError:
            continue  # damaged, or an execution: `--history` tells


def _capture(archived: Archived) -> Archived:
    """The archive, when it is a readiness capture.

    Raises:
        HostError: it is something else, or cannot be read.
    """
    if archived.document is None:
        raise HostError(_unreadable(archived.archive_path, archived.error))
    try:
        shape = msgspec.convert(archived.document, _Capture)
    except msgspec.ValidationError as error:
        raise HostError(_unreadable(archived.archive_path, f"not a readiness capture: {error}")) from error
    if shape.archive_context.kind != "readiness" or shape.receipt.status is not None:
        why = "it tells of an execution, and only readiness captures are compared"
        raise HostError(_unreadable(archived.archive_path, why))
    return archived


def _none(summary: str, why: str, again: str) -> Finding:
    return Finding(
        code="OTA_BASELINE_NONE",
        summary=summary,
        why=why,
        next=f"`{again} --archive` keeps a capture; `--promote-baseline` with it makes it the baseline",
        category="execution",
        title="No baseline to compare with",
    )


def _other_identity(theirs: str, ours: str, again: str) -> Finding:
    return Finding(
        code="OTA_BASELINE_MISMATCH",
        summary="the promoted baseline is about something else",
        why=f"it is of `{theirs}`, this is `{ours}`",
        next=f"`{again} --archive --promote-baseline` promotes a capture of this one; `--baseline latest` "
        "compares with the newest",
        category="execution",
        title="No baseline to compare with",
    )


def _unreadable(shown: str, why: str) -> Finding:
    return Finding(
        code="OTA_RECEIPT_UNREADABLE",
        summary=f"{shown} cannot be compared with",
        why=why,
        next="`ota receipt --history` lists the archives",
        category="execution",
        owner="host",
        title="No baseline to compare with",
    )
