"""`ota env`: the environment as execution would resolve it, and where each value comes from.

Source: commands specification 15; json-and-receipts specification 3.5.
"""

from collections.abc import Mapping
from typing import Any

from ota.cli.flags import Arguments
from ota.cli.render.style import Style
from ota.cli.session import Session
from ota.contract.load import Loaded
from ota.env.resolution import EnvEntry
from ota.errors import Finding, PlanError
from ota.resolve.documents.env import EnvReport, env_report, why_document
from ota.system.files import repository_reader
from ota.system.host import environ, observe_host


def run(arguments: Arguments, session: Session) -> int:
    """Resolve and show; 1 when a required value is missing, one is invalid, or a source is broken."""
    loaded = session.load_contract(arguments.path)
    report = env_report(
        loaded,
        observe_host(),
        environ(),
        repository_reader(loaded.root),
        task=arguments.value("--task"),
        workflow=arguments.value("--workflow"),
        target=session.target(arguments.path),
    )
    name = arguments.value("--why")
    if name is not None:
        return _why(name, report, loaded, session)

    def text(style: Style) -> str:
        from ota.cli.render.env_text import env_text

        return env_text(report.document, style, session.target(arguments.path))

    session.show(report.document, text)
    return 0 if report.document["ok"] else 1


def _why(name: str, report: EnvReport, loaded: Loaded, session: Session) -> int:
    entry = report.resolved.why(name)
    if entry is None:
        raise PlanError(_unknown(name, report.resolved.entries, session))
    why: Mapping[str, Any] = why_document(entry)
    is_ready = entry.status not in ("missing", "invalid")
    own = [each for each in report.document["env"] if each["name"] == name]

    def text(style: Style) -> str:
        from ota.cli.render.env_text import why_text

        return why_text(why, loaded.shown, style)

    session.show({**report.document, "ok": is_ready, "env": own, "why": why}, text)
    return 0 if is_ready else 1


def _unknown(name: str, entries: tuple[EnvEntry, ...], session: Session) -> Finding:
    from ota.contract.grammar import nearest

    close = nearest(name, tuple(entry.name for entry in entries))
    hint = f"did you mean `{close}`?" if close else "neither the contract nor the process sets it."
    scope = "" if session.arguments.has("--task") else " A variable of one task needs `--task <name>`."
    return Finding(
        code="OTA_ENV_UNKNOWN",
        summary=f"no variable `{name}` is known here",
        why=f"{hint}{scope}",
        next=f"`ota env{session.target(session.arguments.path)}` lists what is known",
        category="environment",
        title="Operation failed",
    )
