"""`ota doctor`: is this repository ready here, and what is the one next step?

Without a contract it still tells what files and host say. It writes nothing, except the ignore rules
that `--fix` was asked for.

Source: commands specification 4; doctor specification, whole; json-and-receipts specification 3.6.
"""

from pathlib import Path
from typing import Any

from ota.cli.diagnosing import Interrupted, diagnosed
from ota.cli.flags import Arguments
from ota.cli.render import diagnosis_text as text
from ota.cli.render.listing import Report
from ota.cli.session import Session, absolute, is_directory, shown_path
from ota.contract.model.scalars import Lifecycle, Plane
from ota.diagnose.diagnosis import Diagnosis, doctor
from ota.diagnose.documents import doctor_document, group_documents, summary_document
from ota.diagnose.hygiene import FILE, added_block, observe_ignored, with_rules
from ota.diagnose.observing import observed_services
from ota.diagnose.scene import Scene
from ota.errors import ContractUnreadableError, HostError
from ota.resolve.documents.findings import finding_documents
from ota.system.host import environ

Document = dict[str, Any]


def run(arguments: Arguments, session: Session) -> int:
    """Diagnose and show; 1 with any error finding."""
    mode: Plane = arguments.value("--mode") or "native"  # type: ignore[assignment]  # the flag's choices
    asked: Lifecycle | None = arguments.value("--lifecycle")  # type: ignore[assignment]  # likewise
    fix: Document | None = None

    def ask(scene: Scene) -> Diagnosis:
        nonlocal fix
        if arguments.has("--fix"):  # first, so that what it mends is no finding any more
            fix = _fix(scene, is_dry=arguments.has("--dry-run"))
        return doctor(scene, mode, lifecycle=asked, observe_services=observed_services)

    try:
        scene, diagnosis = diagnosed(session, arguments, ask)
    except Interrupted as interrupted:
        return interrupted.exit_code
    except ContractUnreadableError as error:
        if error.findings[0].code != "OTA_CONTRACT_MISSING" or not _may_lack_contract(arguments):
            raise
        return _contractless(arguments, session, mode, error.findings[0].summary)
    document = doctor_document(scene, diagnosis, mode)
    if fix is not None:
        document["fix"] = fix
        document["ok"] = document["ok"] and "errors" not in fix
    if arguments.is_json:
        from ota.cli.render.json import print_document

        print_document(document, session.out)
    else:
        print(_text(scene, diagnosis, document, session, arguments), file=session.out)
    return 0 if document["ok"] else 1


def _text(
    scene: Scene, diagnosis: Diagnosis, document: Document, session: Session, arguments: Arguments
) -> str:
    report = Report(session.style_of(session.out))
    report.block(report.style.header("DOCTOR", scene.loaded.shown))
    text.banner(report, diagnosis.verdict)
    text.verdict_block(report, diagnosis.verdict)
    text.primary_block(report, diagnosis.groups)
    text.workflow_block(report, document)
    text.execution_block(report, scene, mode=document["mode"])
    if "agent" in document:
        text.agent_section(report, document["agent"])
    text.extension_section(report, document.get("extensions", {}))
    text.other_groups(report, diagnosis.groups)
    if "fix" in document:
        text.fix_section(report, document["fix"])
    if diagnosis.verdict.is_ready:
        text.ready_next(report, scene, session.target(arguments.path))
    return report.text()


# --- no contract ---------------------------------------------------------------------------------


def _may_lack_contract(arguments: Arguments) -> bool:
    """A named file that is not there is a mistake; a folder without a contract is a repository to look at."""
    if arguments.has("--file") or environ().get("OTA_FILE"):
        return False
    return arguments.path is None or is_directory(Path(arguments.path))


def _contractless(arguments: Arguments, session: Session, mode: Plane, searched: str) -> int:
    from ota.diagnose.contractless import inspect

    root = absolute(Path(arguments.path or "."))
    found = inspect(root, searched, environ())
    shown = shown_path(root)
    if arguments.is_json:
        from ota.cli.render.json import print_document

        document: Document = {
            "ok": False,
            "path": shown,
            "mode": mode,
            "summary": summary_document(found.verdict, found.findings),
            "findings": finding_documents(found.findings),
            "finding_groups": group_documents(found.groups),
        }
        print_document(document, session.out)
        return 1
    report = Report(session.style_of(session.out))
    report.block(report.style.header("DOCTOR", shown))
    report.block(report.style.other("BLOCKED"), "Contract missing")
    text.verdict_block(report, found.verdict)
    text.primary_block(report, found.groups)
    report.section("Repo Signals")
    report.bullets(
        finding.summary
        for finding in found.findings
        if finding.owner == "repo_signals" and finding.severity != "error"
    )
    text.other_groups(report, [group for group in found.groups if group.severity != "info"])
    print(report.text(), file=session.out)
    return 1


# --- --fix ---------------------------------------------------------------------------------------


def _fix(scene: Scene, *, is_dry: bool) -> Document:
    """Add the ignore rules, or show them."""
    root = scene.loaded.root
    ignored = observe_ignored(root)
    count = 1 if ignored.missing else 0
    document: Document = {
        "requested": True,
        "dry_run": is_dry,
        "fixable_count": count,
        "planned_count": count,
        "applied_count": 0,
    }
    if ignored.trouble:
        document["errors"] = [f"{FILE}: {ignored.trouble}"]
        return document
    if not ignored.missing:
        document["note"] = (
            "nothing to add: local state is ignored already"
            if ignored.is_repository
            else "nothing to add: this is no git repository"
        )
        return document
    action = {
        "key": "gitignore-ota-state",
        "path": FILE,
        "change": "append_block" if ignored.exists else "create_file",
        "status": "planned",
        "preview": added_block(ignored).decode(),
    }
    document["actions"] = [action]
    if is_dry:
        document["note"] = "no files were modified"
        return document
    from ota.system.files import write_of_user

    try:
        write_of_user(root / FILE, with_rules(ignored))
    except HostError as error:
        action["status"] = "failed"
        document["errors"] = [f"{FILE}: {error.findings[0].why or error.findings[0].summary}"]
        return document
    action["status"] = "applied"
    document["applied_count"] = 1
    return document
