"""`ota up --dry-run`: what would happen, from the plan of the real thing and the same preconditions.

It starts no task, service or container, runs no check that is a command, and writes nothing; versions
are asked for as doctor does.

Source: commands specification 3.3; json-and-receipts specification 3.14.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from ota.cli.diagnosing import Interrupted, diagnosed
from ota.cli.flags import Arguments
from ota.cli.session import Session
from ota.diagnose.diagnosis import preconditions
from ota.diagnose.documents import summary_document
from ota.diagnose.environment import missing_variable
from ota.diagnose.report import grouped, in_order, verdict_of
from ota.diagnose.scene import Scene
from ota.errors import Finding
from ota.execute.up import is_curable, up_refusals
from ota.execute.up_service import Keeps
from ota.resolve.documents.findings import finding_documents
from ota.resolve.documents.up import up_preview_document
from ota.resolve.up_plan import UpPlan


def preview(arguments: Arguments, session: Session, up: UpPlan, keeps: Keeps) -> int:
    """Show the preview; 1 when it would be refused."""

    def ask(scene: Scene) -> tuple[Finding, ...]:
        own = Scene(
            scene.loaded,
            scene.host,
            scene.environ,
            scene.read_file,
            workflow=up.plan.request.workflow,
            path=up.path,
            rerun=up.plan.request.again,
            target=up.plan.request.target,
            run_id=scene.run_id,
            should_stop=lambda: scene.should_stop(),
        )
        return preconditions(own, runs_commands=False).findings

    try:
        scene, found = diagnosed(session, arguments, ask)
    except Interrupted as interrupted:
        return interrupted.exit_code
    findings = in_order([*up_refusals(up, keeps), *_as_seen_before(up, scene, found)])
    verdict = verdict_of(findings)
    status = "BLOCKED" if verdict.errors else "RUNNABLE WITH WARNINGS" if verdict.warnings else "RUNNABLE"
    document = up_preview_document(
        scene.loaded,
        up,
        scene.host,
        status=status,
        summary=summary_document(verdict, findings),
        blockers=finding_documents(findings),
        keeps=keeps,
    )
    if arguments.is_json:
        from ota.cli.render.json import print_document

        print_document(document, session.out)
    else:
        from ota.cli.render.up_text import up_preview_text

        style = session.style_of(session.out)
        text = up_preview_text(document, grouped(findings), style, up.plan.request.again)
        print(style.tamed(text), file=session.out)
    return 0 if document["ok"] else 1


def _as_seen_before(up: UpPlan, scene: Scene, findings: Iterable[Finding]) -> Iterable[Finding]:
    """What is missing now may be made by prepare or setup, which a preview cannot know.

    What the very first step lacks itself nobody makes.
    """
    makers = [name for name in (up.prepare, up.setup) if name is not None]
    first = next(iter(up.plan.steps.values()), None)
    lacking = scene.env_of(first.task, at_start=True).entries if first is not None else ()
    stuck = {missing_variable(each.name) for each in lacking if each.status == "missing"}
    for finding in findings:
        if makers and finding.summary not in stuck and finding.severity == "error" and is_curable(finding):
            names = " and ".join(f"`{name}`" for name in makers)
            come = "comes" if len(makers) == 1 else "come"
            why = f"{finding.why}; now, that is: {names} {come} first and may mend it".removeprefix("; ")
            finding = replace(finding, severity="warn", why=why)
        yield finding
