"""`ota receipt`: the readiness of this repository as an artifact, and what was kept of others.

Capture and comparison diagnose exactly as `ota doctor` does. What is archived is looked into by
`ota.cli.commands.receipt_archives`, without a contract where possible.

Source: commands specification 1.8, 12, 27; json-and-receipts specification 5.
"""

from ota.cli.diagnosing import Interrupted, diagnosed
from ota.cli.flags import Arguments
from ota.cli.render.style import Style
from ota.cli.session import Session
from ota.contract.model.scalars import Lifecycle, Plane
from ota.diagnose.diagnosis import Diagnosis, doctor
from ota.diagnose.observing import observed_services
from ota.diagnose.scene import Scene
from ota.evidence.archive import Document
from ota.evidence.capture import archive_capture, capture_document

_LOOKS_BACK = ("--history", "--show", "--snapshot")


def run(arguments: Arguments, session: Session) -> int:
    """Capture, compare, or look at what is archived."""
    if any(arguments.has(each) for each in _LOOKS_BACK):
        from ota.cli.commands.receipt_archives import look_back

        return look_back(arguments, session)
    mode: Plane = arguments.value("--mode") or "native"  # type: ignore[assignment]  # the flag's choices
    lifecycle: Lifecycle | None = arguments.value("--lifecycle")  # type: ignore[assignment]  # likewise

    def ask(scene: Scene) -> Diagnosis:
        return doctor(scene, mode, lifecycle=lifecycle, observe_services=observed_services)

    try:
        scene, diagnosis = diagnosed(session, arguments, ask)
    except Interrupted as interrupted:
        return interrupted.exit_code
    document = capture_document(scene, diagnosis, mode, lifecycle)
    if arguments.has("--baseline"):
        return _compare(arguments, session, scene, document)
    if arguments.has("--archive"):
        document = archive_capture(document, scene.loaded, promotes=arguments.has("--promote-baseline"))
    _show(arguments, session, document)
    return 0 if diagnosis.verdict.is_ready else 1


def again(arguments: Arguments, session: Session) -> str:
    """The command that captures what this one is about."""
    return f"ota receipt{session.target(arguments.path)}{session.selection()}"


def _compare(arguments: Arguments, session: Session, scene: Scene, current: Document) -> int:
    from ota.evidence.baseline import select_baseline
    from ota.evidence.compare import compare_document, is_passed
    from ota.evidence.snapshot import snapshot_bytes

    root = scene.loaded.root
    chosen = arguments.value("--baseline") or ""
    document = compare_document(
        select_baseline(root, chosen, current, again=again(arguments, session)),
        current,
        root=root,
        snapshot=snapshot_bytes(scene.loaded.contract),
        is_gated=arguments.has("--fail-on-new-blockers"),
        masker=scene.masker,
    )

    def text(style: Style) -> str:
        from ota.cli.render.receipt_diff_text import diff_text

        return diff_text(document, style)

    session.show(document, text)
    return 0 if is_passed(document) else 1


def _show(arguments: Arguments, session: Session, document: Document) -> None:
    def text(style: Style) -> str:
        from ota.cli.render.receipt_text import capture_text

        return capture_text(document, style, again(arguments, session))

    session.show(document, text)
