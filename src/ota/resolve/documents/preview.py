"""`ota run --dry-run`: the plan of the real run, rendered instead of executed.

Source: json-and-receipts specification 3.12; commands specification 2.12.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from ota.contract.agent_safety import AgentSafety
from ota.contract.load import Loaded
from ota.contract.model.requirements import NativePrerequisite, Toolchain
from ota.env.resolution import ResolvedEnv
from ota.env.sources import ReadFile
from ota.errors import Finding
from ota.resolve.documents.bodies import prepare_document
from ota.resolve.documents.env import entry_document, resolve_step_env, source_document, summary_document
from ota.resolve.documents.execution_plan import overrides_document, resolved_document
from ota.resolve.documents.findings import finding_document, verdict_document
from ota.resolve.documents.identity import contract_identity, declared_execution, versions
from ota.resolve.documents.shape import Document, compact
from ota.resolve.documents.tasks import TaskDocuments
from ota.resolve.env_layers import layers_at_start
from ota.resolve.plan import ActionBody, Plan, PrepareBody, StepPlan, TaskPlan
from ota.resolve.requirement_sets import CANONICAL_SOURCES, OWNED_TOOLS
from ota.resolve.service_plan import ServicePlan
from ota.system.host import HostFacts


def preview_document(
    loaded: Loaded,
    plan: Plan,
    host: HostFacts,
    environ: Mapping[str, str],
    read: ReadFile,
    *,
    findings: Sequence[Finding] = (),
    member: str | None = None,
) -> Document:
    """The whole document. `findings` are what the caller observed beside: requirements, admission."""
    task = plan.requested_step.task
    resolved = resolve_step_env(plan, loaded, host, environ, read)
    first = next(iter(plan.steps.values()))
    own = resolve_step_env(plan, loaded, host, environ, read, step=first.id)
    told = preview_findings(plan, resolved, findings, stuck=own.findings)
    errors = [finding for finding in told if finding.severity == "error"]
    is_safe = task.name in AgentSafety(loaded.contract).effective
    document: Document = {
        "ok": not errors,
        "path": loaded.shown,
        "contract": loaded.shown,
    }
    document |= compact(member=member)
    document |= {
        "task": task.name,
        "dry_run": True,
        "preview_status": _status(told),
        "summary": verdict_document(told, is_agent_safe=is_safe),
        "contract_identity": contract_identity(loaded.contract),
    }
    document |= compact(
        declared_execution=declared_execution(loaded.contract),
        resolved=resolved_document(task.context, task.runtime),
        overrides=overrides_document(plan.request),
        requested_context=loaded.contract.tasks[task.name].context,
        selected_context=task.context.name,
    )
    document["requested_task"] = TaskDocuments(loaded.contract, host).entry(task.name)
    document["env_summary"] = summary_document(loaded, resolved)
    document |= compact(
        sources=[source_document(source) for source in resolved.sources],
        env=[entry_document(entry) for entry in resolved.entries],
        toolchains=toolchain_documents(loaded, task, host),
        native_prerequisites=native_documents(loaded, task, host),
    )
    document["plan"] = plan_document(plan)
    document |= compact(blockers=[finding_document(finding) for finding in told])
    document["execution_started"] = False
    return document


def preview_findings(
    plan: Plan, resolved: ResolvedEnv, others: Sequence[Finding] = (), *, stuck: Sequence[Finding] = ()
) -> tuple[Finding, ...]:
    """Why a run would not start, and what it would warn of; each once, errors first.

    `stuck` is what the very first step lacks itself: no step comes before it that could provide it.
    """
    found: dict[tuple[str, str], Finding] = {}
    seen = _as_seen_before_the_run(plan, resolved.findings, {(each.code, each.summary) for each in stuck})
    for finding in (*plan.refusals(), *seen, *others):
        found.setdefault((finding.code, finding.summary), finding)
    ranks = {"error": 0, "warn": 1, "info": 2}
    return tuple(sorted(found.values(), key=lambda finding: ranks[finding.severity]))


def _as_seen_before_the_run(
    plan: Plan, findings: Sequence[Finding], stuck: set[tuple[str, str]]
) -> Iterator[Finding]:
    """What is missing now may be made by an earlier step, or by files that a step writes before its commands.

    A preview cannot know: told, not refused.
    """
    earlier = [
        step.task.name
        for step in plan.steps.values()
        if step.relation == "depends_on" or layers_at_start(step.task) != step.task.env
    ]
    for finding in findings:
        is_stuck = (finding.code, finding.summary) in stuck
        if earlier and not is_stuck and finding.severity == "error" and finding.code in _MAY_BE_MADE:
            names = ", ".join(f"`{name}`" for name in earlier[:3]) + (" ..." if len(earlier) > 3 else "")
            come = "runs" if len(earlier) == 1 else "run"
            why = f"{finding.why}; now, that is: {names} {come} first and may provide it".removeprefix("; ")
            finding = replace(finding, severity="warn", why=why)
        yield finding


def _status(findings: Sequence[Finding]) -> str:
    severities = {finding.severity for finding in findings}
    if "error" in severities:
        return "BLOCKED"
    return "RUNNABLE WITH WARNINGS" if "warn" in severities else "RUNNABLE"


_MAY_BE_MADE = ("OTA_ENV_FILE_MISSING", "OTA_ENV_MISSING", "OTA_ENV_SOURCE_MISSING_REQUIRED")


# --- the ordered steps ---------------------------------------------------------------------------


def plan_document(plan: Plan) -> Document:
    """What would happen, in order."""
    before = [step for step in plan.steps.values() if step.relation in ("depends_on", "aggregate_member")]
    services = [(service_action(each), "setup") for each in plan.services]
    actions = [*services, *((step_action(step), stage_family(step)) for step in plan.steps.values())]
    return compact(
        dependency_chain=[step.id for step in before],
        dependency_steps=[dependency_document(step) for step in before],
        requirement_lines=[line for step in plan.steps.values() for line in requirement_lines(step.task)],
        actions=[action for action, _ in actions],
        staged_actions=[{"action": action, "stage_family": family} for action, family in actions],
        notes=[note for step in plan.steps.values() for note in step.task.notes],
    )


def service_action(service: ServicePlan) -> str:
    """`start unless ready, and wait for service db`."""
    return f"{'start unless ready, and ' if service.can_start else ''}wait for service {service.name}"


def step_action(step: StepPlan) -> str:
    """`run build in app`."""
    where = f"in {step.task.context.name}" if step.task.context.name else f"on the {_host_word(step)}"
    word = {
        "requested": "run",
        "depends_on": "run dependency",
        "aggregate_member": "run member",
        "after_success": "on success run",
        "after_failure": "on failure run",
        "after_always": "afterwards run",
    }[step.relation]
    return f"{word} {step.task.name} {where}"


def _host_word(step: StepPlan) -> str:
    return "host" if step.task.context.plane == "native" else f"{step.task.context.plane} plane"


def stage_family(step: StepPlan) -> str:
    """Preparation, what comes before the requested task, or the task itself and its hooks."""
    if isinstance(step.task.body, (PrepareBody, ActionBody)) and step.relation != "requested":
        return "prepare"
    return "setup" if step.relation == "depends_on" else "verify"


def dependency_document(step: StepPlan) -> Document:
    """`dependencyStep`."""
    body = step.task.body
    return compact(
        task=step.task.name,
        parent=step.parent,
        backend=step.task.context.plane,
        context=step.task.context.name,
        backend_selection_source=step.task.context.plane_source,
        prepare=prepare_document(body.prepare) if isinstance(body, PrepareBody) else None,
    )


def requirement_lines(task: TaskPlan) -> list[str]:
    """One line per requirement, service and check of a task."""
    lines = [
        f"{task.name}: {each.kind} {each.name} {each.version}" + ("" if each.required else " (optional)")
        for each in task.requirements
    ]
    lines += [f"{task.name}: native prerequisite {name}" for name in task.native_prerequisites]
    lines += [f"{task.name}: service {name}" for name in task.requires_services]
    lines += [f"{task.name}: check {name}" for name in task.required_checks]
    lines += [f"{task.name}: environment {name}" for name in task.env.required]
    return lines


# --- toolchains and native prerequisites ---------------------------------------------------------


def toolchain_documents(loaded: Loaded, task: TaskPlan, host: HostFacts) -> list[Document]:
    """`toolchain` for each one the requested task needs."""
    system = host.os if task.context.plane == "native" else "linux"
    return [
        _toolchain(each.name, loaded.contract.toolchains[each.name], str(each.version), task, system)
        for each in task.requirements
        if each.kind == "toolchain"
    ]


def _toolchain(name: str, toolchain: Toolchain, version: str, task: TaskPlan, system: str) -> Document:
    platform = toolchain.platforms.get(system)
    components = platform.components if platform is not None and platform.components is not None else None
    targets = platform.targets if platform is not None and platform.targets is not None else None
    return compact(
        name=name,
        provider=toolchain.fulfillment.source or toolchain.provider or CANONICAL_SOURCES[name],
        backend=task.context.plane,
        target_os=system,
        version=version,
        fulfillment=toolchain.fulfillment.mode,
        required=toolchain.required,
        owns_runtime=name,
        owns_tools=sorted({*OWNED_TOOLS.get(name, ()), *toolchain.package_managers}),
        components=components if components is not None else toolchain.components,
        targets=targets if targets is not None else toolchain.targets,
    )


def native_documents(loaded: Loaded, task: TaskPlan, host: HostFacts) -> list[Document]:
    """`nativePrerequisite` for each one the requested task selects."""
    declared = loaded.contract.native_prerequisites
    return [_native(name, declared[name], host.os) for name in task.native_prerequisites if name in declared]


def _native(name: str, prerequisite: NativePrerequisite, system: str) -> Document:
    platform = prerequisite.platforms.get(system)
    activation = platform.activation if platform is not None else None
    requires = platform.requires if platform is not None else None
    return compact(
        name=name,
        required=prerequisite.required,
        platform=system,
        check=(platform.check if platform is not None else None) or prerequisite.check,
        activation=compact(
            kind=activation.kind,
            applied=False,
            arch=activation.arch,
            shell=activation.shell,
            run=activation.run,
        )
        if activation is not None
        else None,
        requires=compact(
            source=f"native_prerequisites.{name}.platforms.{system}.requires",
            runtimes=_with_versions(requires.runtimes),
            tools=_with_versions(requires.tools),
            toolchains=requires.toolchains,
            env=requires.env,
            checks=requires.checks,
        )
        if requires is not None
        else None,
        note=platform.note if platform is not None else None,
    )


def _with_versions(stated: Mapping[str, str] | tuple[str, ...]) -> Document:
    return versions(stated if isinstance(stated, Mapping) else dict.fromkeys(stated, "*"))
