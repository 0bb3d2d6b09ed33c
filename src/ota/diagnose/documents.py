"""Diagnoses as documents: `check`, `doctor`, `explain`.

Source: json-and-receipts specification 2.2, 3.6 to 3.8; decision D21.
"""

from collections.abc import Sequence

from ota.contract.model.agent import Extension
from ota.contract.model.scalars import Plane
from ota.diagnose.diagnosis import Diagnosis
from ota.diagnose.report import Group, Verdict, planned
from ota.diagnose.scene import Scene
from ota.errors import Finding
from ota.resolve.documents.findings import finding_document, finding_documents
from ota.resolve.documents.identity import declared_execution
from ota.resolve.documents.shape import Document, compact
from ota.resolve.documents.tasks import agent_document, in_effect

_VERDICTS = {"ready": "ready", "risky": "risky", "blocked": "not_ready"}


def check_document(scene: Scene, diagnosis: Diagnosis) -> Document:
    """`ota check --json`."""
    document: Document = {
        "ok": diagnosis.verdict.is_ready,
        "path": scene.loaded.shown,
        "summary": summary_document(diagnosis.verdict, diagnosis.findings),
        "findings": finding_documents(diagnosis.findings),
    }
    return document | compact(
        finding_groups=group_documents(diagnosis.groups), **scope_documents(scene), agent=_agent(scene)
    )


def doctor_document(scene: Scene, diagnosis: Diagnosis, mode: Plane) -> Document:
    """`ota doctor --json`."""
    document: Document = {
        "ok": diagnosis.verdict.is_ready,
        "path": scene.loaded.shown,
        "mode": mode,
        "summary": summary_document(diagnosis.verdict, diagnosis.findings),
        "findings": finding_documents(diagnosis.findings),
    }
    return document | compact(
        finding_groups=group_documents(diagnosis.groups),
        **scope_documents(scene),
        agent=_agent(scene),
        execution=declared_execution(scene.contract, scene.planes),
        publications=_publications(scene, mode),
        extensions={
            name: extension_document(extension)
            for name, extension in sorted(scene.contract.extensions.items())
        },
        toolchains=toolchain_documents(scene),
    )


def extension_document(extension: Extension) -> Document:
    """`extension`: declared, never run by a diagnosis."""
    return compact(
        kind=extension.kind,
        command=extension.command,
        api_version=extension.api_version,
        description=extension.description,
        config=extension.config,
    )


def _publications(scene: Scene, mode: Plane) -> list[Document]:
    """What tasks in containers publish, as far as it is known before anything starts."""
    from ota.diagnose.containers import publications

    return [
        compact(
            task=each.task,
            listener=each.listener.name,
            context=each.context.name,
            protocol=each.listener.protocol,
            bind=f"{each.listener.bind_address}:{each.listener.bind_port}",
            host=each.host,
        )
        for each in publications(scene, mode)
    ]


def toolchain_documents(scene: Scene) -> list[Document]:
    """The toolchains of the path, each once."""
    if not scene.contract.toolchains:
        return []
    from ota.resolve.documents import preview

    found: dict[str, Document] = {}
    for task in scene.path:
        for each in preview.toolchain_documents(scene.loaded, task, scene.host):
            found.setdefault(each["name"], each)
    return [found[name] for name in sorted(found)]


def explain_document(scene: Scene, diagnosis: Diagnosis) -> Document:
    """`ota explain --json`: one action per group, one step per finding, in one order."""
    plan = planned(diagnosis.groups)
    steps = [finding for group in plan for finding in group.findings]
    verdict = diagnosis.verdict
    document: Document = {"ok": verdict.is_ready, "path": scene.loaded.shown}
    document |= scope_documents(scene)
    execution = declared_execution(scene.contract, scene.planes)
    document |= compact(execution=execution)
    return document | {
        "summary": {
            "error_count": verdict.errors,
            "warn_count": verdict.warnings,
            "info_count": verdict.infos,
            "step_count": len(steps),
        },
        "actions": [_action(order, group) for order, group in enumerate(plan, 1)],
        "steps": [_step(order, finding) for order, finding in enumerate(steps, 1)],
    }


def _action(order: int, group: Group) -> Document:
    nexts = list(dict.fromkeys(finding.next for finding in group.findings if finding.next))
    whys = list(dict.fromkeys(finding.why for finding in group.findings if finding.why))
    provenances = {finding_document(finding).get("provenance") for finding in group.findings}
    document: Document = {
        "order": order,
        "action_key": group.key,
        "action_title": group.title,
        "severity": group.severity,
        "count": len(group.findings),
        "why": "; ".join(whys),
        "next": group.first.next,
    }
    return document | compact(
        commands=commands_in(nexts), provenance=provenances.pop() if len(provenances) == 1 else None
    )


def commands_in(texts: Sequence[str]) -> list[str]:
    """What stands in backticks and is a command line."""
    found = [part for text in texts for part in text.split("`")[1::2]]
    return list(dict.fromkeys(part for part in found if " " in part and "<" not in part and ":" not in part))


def _step(order: int, finding: Finding) -> Document:
    full = finding_document(finding)
    keys = ("code", "severity", "summary", "why", "next", "provenance", "provenance_key")
    return {"order": order, **{key: full[key] for key in keys if key in full}}


def summary_document(verdict: Verdict, findings: Sequence[Finding]) -> Document:
    """`verdictSummary`; the top finding stands in it with its own severity."""
    document: Document = {
        "verdict": _VERDICTS[verdict.repo],
        "agent_verdict": _VERDICTS[verdict.agent],
        "error_count": verdict.errors,
        "warn_count": verdict.warnings,
        "info_count": verdict.infos,
    }
    if findings:
        full = finding_document(findings[0])
        keys = ("severity", "summary", "why", "next", "code", "provenance", "provenance_key")
        document["primary_blocker"] = {key: full[key] for key in keys if key in full}
    return document


def group_documents(groups: Sequence[Group]) -> list[Document]:
    """`finding_groups`, errors first."""
    return [
        {
            "action_key": group.key,
            "action_title": group.title,
            "action_next": group.first.next,
            "count": len(group.findings),
            "severity": group.severity,
        }
        for group in groups
    ]


def scope_documents(scene: Scene) -> Document:
    """The workflow and task in effect."""
    workflow = in_effect(scene.loaded, scene.selection, scene.host)
    task = scene.task if workflow is not None else None
    return compact(workflow=workflow, task=task)


def _agent(scene: Scene) -> Document | None:
    agent = scene.contract.agent
    return agent_document(agent) if agent is not None else None
