"""The rows of `RUN SUMMARY`, folded from the same facts as the receipt.

Source: commands specification 2.10.
"""

from ota.contract.grammar import format_memory
from ota.contract.load import Loaded
from ota.evidence.fold import RunFacts, ServiceFacts, StepFacts
from ota.evidence.leftovers import leftover_warning
from ota.resolve.plan import Plan

Row = tuple[str, str]


def summary_rows(facts: RunFacts, plan: Plan, loaded: Loaded) -> list[Row]:
    """Labels and values in the specified order; a row is there only when its value is known."""
    rows: list[Row] = [
        ("Status", facts.ended.status),
        ("Scope", "repo"),
        ("Path", str(loaded.root)),
        ("Contract", loaded.shown),
    ]
    if plan.requested in plan.steps:
        rows += _requested_rows(facts, plan)
    rows += [("Service", _service_row(service)) for service in facts.services]
    if facts.logs is not None:
        rows.append(("Logs", facts.logs.dir))
    rows += [("Note", note) for note in _notes(facts, plan)]
    rows += [("Warning", warning) for warning in _warnings(facts)]
    return rows


def _requested_rows(facts: RunFacts, plan: Plan) -> list[Row]:
    task = plan.requested_step.task
    context = task.context
    step = facts.step(plan.requested)
    rows: list[Row] = [("Mode", context.plane), ("Task", task.name)]
    if context.name is not None:
        rows.append(("Context", context.name))
    if context.lifecycle is not None:
        rows.append(("Lifecycle", context.lifecycle))
    if context.container is not None:
        rows.append(("Image", context.container.image))
        if context.container.memory_bytes is not None:
            rows.append(("Memory", format_memory(context.container.memory_bytes)))
        rows += _container_rows(step)
    if context.remote is not None:
        rows += [("Target", context.remote.target), ("Provider", context.remote.provider)]
        if context.remote.cwd is not None:
            rows.append(("Cwd", context.remote.cwd))
    if step is not None:
        rows += _endpoint_rows(facts, step)
    rows += _target_rows(plan)
    rows += _fulfillment_rows(facts, plan)
    return rows


def _container_rows(step: StepFacts | None) -> list[Row]:
    entered = step.container if step is not None else None
    if entered is None:
        return []
    rows: list[Row] = [("Container", f"{entered.container} ({entered.engine})")]
    rows += [("Isolated", path) for path in entered.isolated_paths]
    rows += [("Network", name) for name in entered.networks]
    return rows


def _endpoint_rows(facts: RunFacts, step: StepFacts) -> list[Row]:
    """Shown on success, after a stop that followed readiness, and on interruption."""
    primary = step.primary
    is_due = facts.ended.status in ("success", "interrupted") or step.reachable is not None
    if primary is None or not is_due:
        return []
    state = "" if primary.listener in step.confirmed else " (planned, not confirmed)"
    rows = [("External", primary.text + state)]
    if primary.internal is not None:
        rows.append(("Internal", primary.internal))
    others = [each.listener for each in step.endpoints if each.listener != primary.listener]
    if others:
        planned = ", ".join(name for name in others if name not in step.confirmed)
        state = f" (planned, not confirmed: {planned})" if planned else ""
        rows.append(("Secondary", f"{len(others)} additional endpoint{'s' if others[1:] else ''}{state}"))
    return rows


def _target_rows(plan: Plan) -> list[Row]:
    rows: list[Row] = []
    for target in plan.requested_step.task.targets:
        if target.source is None:
            continue
        owner = target.member or target.repo
        task = f"{owner}:{target.task}" if owner is not None else target.task
        name = f"{task}.{target.listener}" if target.task is not None else target.url or ""
        rows.append((f"Target {target.name}", name))
        rows.append(("Resolved", target.effective_url or ""))
        if target.source == "explicit_override":
            rows.append(("Activation", "skipped because an explicit override was provided"))
    return rows


def _fulfillment_rows(facts: RunFacts, plan: Plan) -> list[Row]:
    probed = facts.requirements.get(plan.requested)
    if probed is None:
        return []
    rows: list[Row] = [("Fulfillment", probed.result)]
    if probed.missing:
        rows.append(("Missing", ", ".join(probed.missing)))
    return rows


def _service_row(service: ServiceFacts) -> str:
    words = {"READY": "ready", "WARN": "started, not verified"}.get(service.status, service.status.lower())
    return "; ".join((f"{service.began.service}: {words}", *_without_warnings(service)))


def _without_warnings(service: ServiceFacts) -> tuple[str, ...]:
    """Warnings have rows of their own."""
    return service.story[: len(service.story) - len(service.warnings)]


def _notes(facts: RunFacts, plan: Plan) -> list[str]:
    requested = plan.steps.get(plan.requested)
    is_native = requested is not None and requested.task.context.plane == "native"
    notes = ["host environment"] if is_native else []
    notes += facts.notes
    for step in facts.steps:
        prefix = "" if step.started.step == plan.requested else f"{step.started.task}: "
        notes += [prefix + note for note in step.notes]
    if facts.ended.failed_dependency is not None:
        verb = "interrupted" if facts.ended.status == "interrupted" else "failed"
        name = plan.requested_step.task.name
        notes.append(f"dependency `{facts.ended.failed_dependency}` {verb} for requested task `{name}`")
    if plan.skipped_dependencies:
        notes.append(f"--skip-deps used; skipped: {', '.join(plan.skipped_dependencies)}")
    if facts.footprint is not None and not facts.footprint.left_behind:
        notes.append("left behind: nothing" + (" else" if facts.left_running else ""))
    return notes


def _warnings(facts: RunFacts) -> list[str]:
    warnings = list(facts.warnings)
    for step in facts.steps:
        warnings += step.warnings
    for service in facts.services:
        warnings += service.warnings
    if facts.log_failure is not None:
        warnings.append(f"log capture failed: {facts.log_failure}")
    if facts.footprint is not None:
        warnings += map(leftover_warning, facts.footprint.left_behind)
    return list(dict.fromkeys(warnings))  # what several steps lack alike is said once
