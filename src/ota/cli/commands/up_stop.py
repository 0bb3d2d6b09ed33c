"""`ota up --stop`: end what `ota up --detach` left running, and nothing else.

The records say what that is, so a contract that does not load any more keeps nobody from ending it; it is
read only where `--workflow` names a part of it.

Source: commands specification 3, 1.4; json-and-receipts specification 6.
"""

from pathlib import Path
from typing import Any

from ota.cli.flags import Arguments
from ota.cli.render.listing import Report
from ota.cli.session import Session, locate, shown_path
from ota.errors import ContractError
from ota.execute.kept import key_of
from ota.execute.stopping import Stopped, stop_kept
from ota.resolve.documents.findings import finding_documents
from ota.resolve.documents.shape import compact

Document = dict[str, Any]


def stop(arguments: Arguments, session: Session) -> int:
    """End it; 1 when something of it goes on, or cannot be proven."""
    root, keys = _asked(arguments, session)
    stopped = stop_kept(root, keys)
    document = _document(stopped, arguments, session)
    if arguments.is_json:
        from ota.cli.render.json import print_document

        print_document(document, session.out)
    else:
        print(_text(document, stopped, session), file=session.out)
    return 0 if document["ok"] else 1


def _asked(arguments: Arguments, session: Session) -> tuple[Path, tuple[str, ...] | None]:
    """The repository, and which of its tasks; None: whatever is on the record, whatever the contract says."""
    try:
        loaded = session.load_contract(arguments.path)
    except ContractError:
        if arguments.has("--workflow"):
            raise
        contract = locate(arguments.path, arguments.value("--file"))
        session.shown = shown_path(contract)
        return contract.parent, None
    if not arguments.has("--workflow"):
        return loaded.root, None
    from ota.resolve.plan import Request
    from ota.resolve.up import plan_up
    from ota.system.host import observe_host

    up = plan_up(loaded, Request(workflow=arguments.value("--workflow")), observe_host())
    if up.run is None:
        return loaded.root, ()
    return loaded.root, (key_of(up.plan.steps[up.run].task.name, up.selection.instance_name or ""),)


def _document(stopped: tuple[Stopped, ...], arguments: Arguments, session: Session) -> Document:
    def count(status: str) -> int:
        return sum(each.status == status for each in stopped)

    findings = [each.finding for each in stopped if each.finding is not None]
    document: Document = {
        "ok": not count("failed"),
        "path": session.shown,
        "mode": "stop",
        "summary": {
            "stopped_count": count("stopped"),
            "not_running_count": count("not_running"),
            "failed_count": count("failed"),
        },
        "tasks": [_task(each) for each in stopped],
    }
    return document | compact(findings=finding_documents(findings))


def _task(stopped: Stopped) -> Document:
    kept = stopped.kept
    task, _, instance = stopped.key.partition("@")
    return compact(
        task=kept.task if kept is not None else task,
        instance=kept.instance if kept is not None else instance,
        status=stopped.status,
        pid=kept.leader.pid if kept is not None else None,
        started_at=kept.started_at if kept is not None else None,
        process_count=stopped.ended or None,
        log=kept.log if kept is not None else None,
    )


def _text(document: Document, stopped: tuple[Stopped, ...], session: Session) -> str:
    style = session.style_of(session.out)
    report = Report(style)
    report.block(style.header("UP", session.shown))
    report.block(style.good("STOPPED") if document["ok"] else style.other("NOT STOPPED", "error"))
    report.block()
    if not stopped:
        report.line("Nothing was left running.")
    report.bullets(map(_line, stopped))
    following = [each.finding.next for each in stopped if each.finding is not None]
    if following:
        report.next(*following)
    return report.text()


def _line(stopped: Stopped) -> str:
    kept, finding = stopped.kept, stopped.finding
    if finding is not None:
        return f"{stopped.key}: {finding.summary}: {finding.why}"
    if kept is None:
        return f"{stopped.key}: was over already"
    others = f" and {stopped.ended - 1} more" if stopped.ended > 1 else ""
    return f"{stopped.key}: ended pid {kept.leader.pid}{others}, running since {kept.started_at}; {kept.log}"
