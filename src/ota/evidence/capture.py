"""A readiness capture: what `ota doctor` found, as an artifact that can be kept and compared.

Nothing was started, so it claims no endpoint, no times and no outcome; its one step says whether the
repository is ready. What was diagnosed is `ota.diagnose`'s, and is not asked for again here.

Source: json-and-receipts specification 5.1, 5.2; commands specification 12.
"""

from pathlib import Path

from msgspec.structs import replace

from ota.contract.load import Loaded
from ota.contract.model.scalars import Lifecycle, Plane
from ota.diagnose.diagnosis import Diagnosis
from ota.diagnose.documents import scope_documents, summary_document, toolchain_documents
from ota.diagnose.report import Verdict
from ota.diagnose.scene import Scene
from ota.errors import errors_among
from ota.evidence.archive import Document, archive_context, pointed_at, retire, write_archive
from ota.evidence.next_steps import one_item
from ota.evidence.receipt import env_source_document, without_absent
from ota.execute.environment import shown_value
from ota.resolve.documents.execution_plan import context_of_task
from ota.resolve.documents.findings import finding_documents
from ota.resolve.documents.identity import contract_identity
from ota.resolve.scope import Scope
from ota.system.clock import SYSTEM_CLOCK, Clock

STEP = "readiness"


def capture_document(
    scene: Scene, diagnosis: Diagnosis, mode: Plane, lifecycle: Lifecycle | None = None
) -> Document:
    """`ota receipt --json`, secrets masked; not archived yet."""
    receipt = _receipt(scene, diagnosis, mode, lifecycle)
    document: Document = {
        "ok": diagnosis.verdict.is_ready,
        "path": scene.loaded.shown,
        # as `--member` tells it of every command: the archive is what is printed, byte for byte
        **({"member": scene.loaded.member} if scene.loaded.member is not None else {}),
        "mode": "receipt",
        "summary": _counts(diagnosis.verdict) | summary_document(diagnosis.verdict, diagnosis.findings),
        **{key: receipt[key] for key in ("workflow", "task") if key in receipt},
        "receipt": receipt,
        "findings": finding_documents(diagnosis.findings),
    }
    masked: Document = scene.masker.mask_json(document)
    return masked


def _counts(verdict: Verdict) -> Document:
    return {
        "error_count": verdict.errors,
        "warn_count": verdict.warnings,
        "info_count": verdict.infos,
        "step_count": 1,
    }


def _receipt(scene: Scene, diagnosis: Diagnosis, mode: Plane, lifecycle: Lifecycle | None) -> Document:
    is_ready = diagnosis.verdict.is_ready
    blockers = errors_among(diagnosis.findings)
    following = list(dict.fromkeys(one_item(each.next) for each in blockers if each.next))[:1]
    env = [shown_value(entry) for entry in scene.env.entries if entry.value is not None]
    return without_absent(
        {
            "ok": is_ready,
            "path": ".",
            "scope": "repo",
            "contract": scene.loaded.shown,
            "contract_identity": contract_identity(scene.loaded.contract),
            **scope_documents(scene),
            **_plane(scene, mode, lifecycle),
            "env": {each.name: each.value for each in env},
            "env_sources": [env_source_document(each) for each in env],
            "toolchains": toolchain_documents(scene),
            "steps": [
                {
                    "order": 1,
                    "label": STEP,
                    "stage_family": "receipt",
                    "status": "READY" if is_ready else "NOT READY",
                }
            ],
            "blocked": [each.summary for each in blockers],
            "summary": _counts(diagnosis.verdict),
            "next": "".join(following),
            "next_steps": following,
        },
        keep=("ok", "steps"),
    )


def _plane(scene: Scene, mode: Plane, lifecycle: Lifecycle | None) -> Document:
    """The plane that was looked at, as the task of the path would get it.

    No container was entered: only a remote target has a name before anything runs.
    """
    scope = Scope(scene.loaded, replace(scene.scope.request, mode=mode, lifecycle=lifecycle), scene.host)
    scope.selection = scene.selection
    context = context_of_task(scope, scene.task)
    container, remote = context.container, context.remote
    return {
        "backend": mode,
        "context": context.name,
        "lifecycle": context.lifecycle if mode != "native" else None,
        "image": container.image if container is not None else None,
        "container_memory_bytes": container.memory_bytes if container is not None else None,
        "target": remote.target if remote is not None else None,
        "provider": remote.provider if remote is not None else None,
        "cwd": remote.cwd if remote is not None else None,
    }


def archive_capture(
    document: Document, loaded: Loaded, *, promotes: bool = False, clock: Clock = SYSTEM_CLOCK
) -> Document:
    """Keep a capture, and the contract it is about; the document as it was written.

    Raises:
        HostError: it could not be kept or not be promoted; no archive is left, and the baseline is the one
            before.
    """
    from ota.evidence.baseline import promote, promotion
    from ota.evidence.snapshot import snapshot_bytes, with_snapshot
    from ota.system.files import remove_file

    receipt = dict(document["receipt"])  # type: ignore[call-overload]  # made above
    with_snapshot(receipt, loaded.root, snapshot_bytes(loaded.contract))

    def kept(archive_path: str, milliseconds: int) -> Document:
        promoted = {"promoted_baseline": promotion(archive_path, milliseconds)} if promotes else {}
        context = archive_context("readiness", document)
        return {
            **document,
            "receipt": receipt,
            "archive_path": archive_path,
            **promoted,
            "archive_context": context,
        }

    written = write_archive(loaded.root, kept, clock)
    if promotes:
        try:
            promote(loaded.root, written)
        except BaseException:
            path = loaded.root / Path(str(written["archive_path"]))
            if pointed_at(loaded.root) != path.name:  # an interrupt may come when it is done
                remove_file(path)
            raise
    retire(loaded.root, clock)
    return written
