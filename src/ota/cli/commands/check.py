"""`ota check`: the cheapest readiness gate. Configured checks only; no tool, task or service.

Source: commands specification 9; json-and-receipts specification 3.7; doctor specification 16.
"""

from ota.cli.diagnosing import Interrupted, diagnosed
from ota.cli.flags import Arguments
from ota.cli.session import Session
from ota.diagnose.diagnosis import Diagnosis, check
from ota.diagnose.readiness import select_items, starts_commands
from ota.diagnose.scene import Scene


def run(arguments: Arguments, session: Session) -> int:
    """Ask and show; 1 when a check of severity error, or a gate of the workflow, does not hold."""
    try:
        scene, diagnosis = diagnosed(session, arguments, check, may_start=_may_start)
    except Interrupted as interrupted:
        return interrupted.exit_code
    if arguments.is_json:
        from ota.cli.render.json import print_document
        from ota.diagnose.documents import check_document

        print_document(check_document(scene, diagnosis), session.out)
    else:
        print(_text(scene, diagnosis, session, arguments), file=session.out)
    return 0 if diagnosis.verdict.is_ready else 1


def _may_start(scene: Scene) -> bool:
    return starts_commands(select_items(scene))


def _text(scene: Scene, diagnosis: Diagnosis, session: Session, arguments: Arguments) -> str:
    from ota.cli.render import diagnosis_text as text
    from ota.cli.render.listing import Report
    from ota.diagnose.documents import check_document

    document = check_document(scene, diagnosis)
    report = Report(session.style_of(session.out))
    report.block(report.style.header("CHECK", scene.loaded.shown))
    text.banner(report, diagnosis.verdict)
    text.verdict_block(report, diagnosis.verdict)
    text.primary_block(report, diagnosis.groups)
    text.workflow_block(report, document)
    text.execution_block(report, scene)
    text.other_groups(report, diagnosis.groups)
    if diagnosis.verdict.is_ready:
        text.ready_next(report, scene, session.target(arguments.path))
    return report.text()
