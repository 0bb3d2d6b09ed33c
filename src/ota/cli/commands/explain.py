"""`ota explain`: the diagnosis as an ordered plan of repairs.

Source: commands specification 11; doctor specification 15; json-and-receipts specification 3.8; D9.
"""

from functools import partial

from ota.cli.diagnosing import Interrupted, diagnosed
from ota.cli.flags import Arguments
from ota.cli.session import Session
from ota.diagnose.diagnosis import Diagnosis, doctor
from ota.diagnose.observing import observed_services
from ota.diagnose.scene import Scene


def run(arguments: Arguments, session: Session) -> int:
    """Diagnose as `ota doctor` does, natively; 1 when a step is an error."""
    try:
        scene, diagnosis = diagnosed(session, arguments, partial(doctor, observe_services=observed_services))
    except Interrupted as interrupted:
        return interrupted.exit_code
    if arguments.is_json:
        from ota.cli.render.json import print_document
        from ota.diagnose.documents import explain_document

        print_document(explain_document(scene, diagnosis), session.out)
    else:
        print(_text(scene, diagnosis, session), file=session.out)
    return 0 if diagnosis.verdict.is_ready else 1


def _text(scene: Scene, diagnosis: Diagnosis, session: Session) -> str:
    from ota.cli.render import diagnosis_text as text
    from ota.cli.render.listing import Report
    from ota.diagnose.report import planned

    style = session.style_of(session.out)
    report = Report(style)
    report.block(style.header("EXPLAIN", scene.loaded.shown))
    is_actionable = diagnosis.verdict.errors or diagnosis.verdict.warnings
    report.block(style.other("BLOCKED") if is_actionable else style.good("READY"))
    text.isolated_block(report, scene)
    text.plan_section(report, planned(diagnosis.groups))
    verdict = diagnosis.verdict
    report.section("Overview")
    report.row("Findings", str(len(diagnosis.findings)))
    report.row("Actions", str(len(diagnosis.groups)))
    report.row("Errors", str(verdict.errors))
    report.row("Warnings", str(verdict.warnings))
    report.row("Info", str(verdict.infos))
    return report.text()
