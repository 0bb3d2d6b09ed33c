"""`ota up --stop`: end what `ota up --detach` left running, and nothing else.

The records say what that is, so a contract that does not load any more keeps nobody from ending it: of a
monorepo's root only the members' directories are read, and all of it only where `--workflow` names a part.

Source: commands specification 3, 1.4; json-and-receipts specification 6.
"""

from pathlib import Path
from typing import Any

from msgspec import Struct

from ota.cli.flags import Arguments
from ota.cli.member_documents import Part, composed
from ota.cli.render.listing import Report
from ota.cli.session import Session, locate, shown_path
from ota.errors import Finding, HostError
from ota.execute.kept import key_of
from ota.execute.stopping import Stopped, stop_kept
from ota.resolve.documents.findings import finding_documents
from ota.resolve.documents.shape import compact

Document = dict[str, Any]


class _Asked(Struct, frozen=True, kw_only=True):
    """One directory with records, and which of them are meant."""

    root: Path
    member: str | None = None
    keys: tuple[str, ...] | None = None
    """None: whatever is on the record."""
    findings: tuple[Finding, ...] = ()
    """Why there may be more than can be found."""


class _Done(Struct, frozen=True, kw_only=True):
    """What became of what one directory has on record."""

    stopped: tuple[Stopped, ...]
    unproven: tuple[Finding, ...]
    """Why there may be more: of no task that is known."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All there is to tell, what is least known first."""
        return (*self.unproven, *(each.finding for each in self.stopped if each.finding is not None))


def stop(arguments: Arguments, session: Session) -> int:
    """End it; 1 when something of it goes on, or cannot be proven."""
    asked = (
        [_of_workflow(arguments, session)] if arguments.has("--workflow") else _on_record(arguments, session)
    )
    parts: list[Part] = []
    for each in asked:
        own = Session(arguments, out=session.out, err=session.err)
        own.member, own.shown = each.member, session.shown
        done = _stop(each)
        document = _document(done, own.shown)
        if not arguments.is_json:
            print("\n" * bool(parts) + _text(done, own, is_good=document["ok"]), file=session.out)
        parts.append(Part(member=each.member, code=0 if document["ok"] else 1, document=document))
    if arguments.is_json:
        from ota.cli.render.json import print_document

        is_plain = len(parts) == 1 and (parts[0].member is None or arguments.has("--workflow"))
        told = composed("up", session.shown, parts, is_one=len(parts) == 1)
        print_document(parts[0].told if is_plain else told, session.out)
    return max(part.code for part in parts)


def _on_record(arguments: Arguments, session: Session) -> list[_Asked]:
    """The repository, and of a monorepo every member that its file names or that was asked for."""
    from ota.cli.members import names_asked
    from ota.contract.members import require_written_monorepo, written_monorepo

    located = locate(arguments.path, arguments.value("--file"))
    session.shown = shown_path(located)
    asked = arguments.all("--member")
    if asked:
        monorepo = require_written_monorepo(located, shown_path, asked[0])
        session.shown = monorepo.shown
        names = names_asked(arguments, monorepo)
        return [_Asked(root=monorepo.members[name].parent, member=name) for name in names]
    whole, findings = written_monorepo(located, shown_path)
    members = whole.members if whole is not None else {}
    unproven = tuple(_unproven_members(session.shown, each) for each in findings)
    return [
        _Asked(root=located.parent, findings=unproven),
        *(_Asked(root=path.parent, member=name) for name, path in members.items()),
    ]


def _of_workflow(arguments: Arguments, session: Session) -> _Asked:
    """The run task of one workflow, which only the contract tells."""
    loaded = session.load_contract(arguments.path)
    from ota.resolve.plan import Request
    from ota.resolve.up import plan_up
    from ota.system.host import observe_host

    up = plan_up(loaded, Request(workflow=arguments.value("--workflow")), observe_host())
    keys: tuple[str, ...] = ()
    if up.run is not None:
        keys = (key_of(up.plan.steps[up.run].task.name, up.selection.instance_name or ""),)
    return _Asked(root=loaded.root, member=session.member, keys=keys)


def _stop(asked: _Asked) -> _Done:
    try:
        return _Done(stopped=stop_kept(asked.root, asked.keys), unproven=asked.findings)
    except HostError as error:
        return _Done(stopped=(), unproven=(*asked.findings, *error.findings))


def _unproven_members(shown: str, cause: Finding) -> Finding:
    return Finding(
        code="OTA_KEPT_SERVICE_UNPROVEN",
        title="Cannot tell whether a service still runs",
        summary=f"cannot tell which members {shown} has, so tasks of theirs may still run",
        why=f"{cause.summary}: {cause.why}",
        next="mend it, or end those of each member alone: `ota up <member directory> --stop`",
        category="execution",
        owner="host",
    )


def _document(done: _Done, shown: str) -> Document:
    def count(status: str) -> int:
        return sum(each.status == status for each in done.stopped)

    failed = count("failed") + len(done.unproven)
    document: Document = {
        "ok": not failed,
        "path": shown,
        "mode": "stop",
        "summary": {
            "stopped_count": count("stopped"),
            "not_running_count": count("not_running"),
            "failed_count": failed,
        },
        "tasks": [_task(each) for each in done.stopped],
    }
    return document | compact(findings=finding_documents(done.findings))


def _task(stopped: Stopped) -> Document:
    kept = stopped.kept
    task, _, instance = stopped.key.partition("@")
    return compact(
        task=kept.task if kept is not None else task,
        instance=kept.instance if kept is not None else instance,
        status=stopped.status,
        pid=stopped.pid,
        container=kept.container.name if kept is not None and kept.container is not None else None,
        started_at=kept.started_at if kept is not None else None,
        process_count=len(stopped.ended) or None,
        log=kept.log if kept is not None else None,
    )


def _text(done: _Done, session: Session, *, is_good: bool) -> str:
    style = session.style_of(session.out)
    report = Report(style)
    report.block(style.header("UP", session.shown))
    report.block(style.good("STOPPED") if is_good else style.other("NOT STOPPED", "error"))
    report.block()
    if not (done.stopped or done.unproven):
        report.line("Nothing was left running.")
    report.bullets((*(f"{each.summary}: {each.why}" for each in done.unproven), *map(_line, done.stopped)))
    if done.findings:
        report.next(*(each.next for each in done.findings))
    return report.text()


def _line(stopped: Stopped) -> str:
    kept, finding = stopped.kept, stopped.finding
    if finding is not None:
        return f"{stopped.key}: {finding.summary}: {finding.why}"
    if kept is None:
        return f"{stopped.key}: was over already"
    if kept.container is not None:
        who = "what was left of it in" if stopped.pid is None else "it in"
        return (
            f"{stopped.key}: ended {who} {kept.container.text}, running since {kept.started_at}; {kept.log}"
        )
    if stopped.pid is None:
        pids = ", ".join(map(str, stopped.ended))
        return f"{stopped.key}: was over already; ended what it had left behind: pid {pids}; {kept.log}"
    others = f" and {len(stopped.ended) - 1} more" if len(stopped.ended) > 1 else ""
    return f"{stopped.key}: ended pid {stopped.pid}{others}, running since {kept.started_at}; {kept.log}"
