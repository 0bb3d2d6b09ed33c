"""`ota env`: the environment exactly as execution would resolve it, secrets hidden.

Source: json-and-receipts specification 2.9, 3.5; commands specification 15.
"""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from ota.contract.load import Loaded
from ota.env.resolution import Candidate, EnvEntry, ResolvedEnv, resolve_env
from ota.env.sources import LoadedSource, ReadFile
from ota.resolve.documents.shape import Document, compact
from ota.resolve.documents.tasks import in_effect
from ota.resolve.env_layers import contract_layers, layers_at_start
from ota.resolve.injection import injection
from ota.resolve.plan import Plan, Request
from ota.resolve.planner import plan_run
from ota.resolve.scope import Scope, select_workflow
from ota.system.host import HostFacts


class EnvReport(Struct, frozen=True, kw_only=True):
    """The document, and the resolution it was made from."""

    document: Document
    resolved: ResolvedEnv


def env_report(
    loaded: Loaded,
    host: HostFacts,
    environ: Mapping[str, str],
    read: ReadFile,
    *,
    task: str | None = None,
    workflow: str | None = None,
    member: str | None = None,
    target: str = "",
) -> EnvReport:
    """The environment of the contract, or of one task. `target` is what advice repeats, with its blank.

    Raises:
        PlanError: unknown task or workflow.
    """
    selection = select_workflow(loaded, workflow)
    if task is not None:
        plan = plan_run(loaded, Request(task=task, workflow=workflow, target=target), host)
        resolved = resolve_step_env(plan, loaded, host, environ, read)
        if plan.workflow is None:
            selection = type(selection)(None, None, None)
    else:
        scope = Scope(loaded, Request(workflow=workflow, target=target), host)
        scope.selection = selection
        resolved = resolve_env(contract_layers(scope), environ, read, locate=loaded.place)
    document: Document = {"ok": resolved.is_ready, "path": loaded.shown}
    document |= compact(
        task=task,
        workflow=in_effect(loaded, selection, host),
        profile=selection.profile_name,
        member=member,
    )
    document |= {
        "summary": summary_document(loaded, resolved),
        "sources": [source_document(source) for source in resolved.sources],
        "env": [entry_document(entry) for entry in resolved.entries],
    }
    return EnvReport(document=document, resolved=resolved)


def resolve_step_env(
    plan: Plan,
    loaded: Loaded,
    host: HostFacts,
    environ: Mapping[str, str],
    read: ReadFile,
    *,
    step: str | None = None,
) -> ResolvedEnv:
    """What one step begins with; without one, what the requested task has, with what its closure requires."""
    chosen = plan.steps[step] if step is not None else plan.requested_step
    layers = layers_at_start(chosen.task) if step is not None else chosen.task.env
    if step is None:
        names = (name for each in plan.steps.values() for name in each.task.env.required)
        layers = replace(layers, required=tuple(dict.fromkeys([*layers.required, *names])))
    own = injection(chosen.task, plan.root, host)
    return resolve_env(
        layers,
        environ,
        read,
        injected=own.values,
        fallbacks=own.fallbacks,
        locate=loaded.place,
        inherits=chosen.task.context.plane == "native",
    )


def summary_document(loaded: Loaded, resolved: ResolvedEnv) -> Document:
    """`envSummary`."""
    entries = resolved.entries
    own = [entry for entry in entries if entry.kind == "task" and entry.source != "execution"]
    return {
        "contract_count": len(loaded.contract.env.vars),
        "source_count": len(resolved.sources),
        "source_issue_count": sum(source.is_blocking for source in resolved.sources),
        "task_count": len(own),
        "resolved_count": sum(
            entry.status in ("resolved", "task") and entry.source != "execution" for entry in entries
        ),
        "missing_count": sum(entry.status == "missing" for entry in entries),
        "invalid_count": sum(entry.status == "invalid" for entry in entries),
    }


def source_document(source: LoadedSource) -> Document:
    """`envSource`."""
    return compact(
        kind=source.kind,
        path=source.path,
        label=source.label,
        must_exist=source.must_exist,
        status=source.status,
        detail=source.detail,
        next=source.next,
    )


def entry_document(entry: EnvEntry) -> Document:
    """`envEntry`."""
    loaded = entry.winner.loaded if entry.winner is not None else entry.blocked_by
    document = compact(
        name=entry.name,
        kind=entry.kind,
        required=entry.required,
        source=entry.source,
        status=entry.status,
    )
    return document | compact(
        value=entry.shown,
        default=entry.default,
        allowed=entry.allowed,
        source_kind=loaded.kind if loaded is not None else None,
        source_path=loaded.path if loaded is not None else None,
        source_status=loaded.status if loaded is not None else None,
        source_label=loaded.label if loaded is not None else None,
        next=entry.next,
    )


def why_document(entry: EnvEntry) -> Document:
    """Who gives one variable its value, and what that shadows, with file and line."""
    winner = _candidate(entry, entry.winner) if entry.winner is not None else None
    return compact(
        name=entry.name,
        status=entry.status,
        required=entry.required,
        secret=entry.secret,
        winner=winner,
        shadows=[_candidate(entry, each) for each in entry.shadows],
        next=entry.next,
    )


def _candidate(entry: EnvEntry, candidate: Candidate) -> Document:
    place = candidate.place
    document: Document = {
        "source": candidate.source,
        "value": "***" if entry.secret else candidate.value,
    }
    return document | compact(
        layer=candidate.layer,
        file=place.file if place is not None else None,
        line=place.line or None if place is not None else None,
        field=place.field if place is not None else None,
    )
