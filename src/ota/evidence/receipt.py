"""The receipt of a run: a fold of its events, never a computation of its own.

Source: json-and-receipts specification 4; decision D22.
"""

from collections.abc import Mapping, Sequence

from ota.contract.load import Loaded
from ota.evidence.fold import RunFacts, ServiceFacts, StepFacts
from ota.evidence.leftovers import leftover
from ota.evidence.next_steps import next_actions, one_item
from ota.execute.events import Diagnosed, EnvValue, LadderRung
from ota.resolve.documents.workflows import workflow_document
from ota.resolve.endpoints import Endpoint
from ota.resolve.plan import Plan, StepPlan, TargetPlan
from ota.resolve.up_plan import Phase
from ota.system.host import HostFacts

Document = dict[str, object]

_STAGES = {
    "requested": "verify",
    "aggregate_member": "verify",
    "depends_on": "setup",
    "after_success": "receipt",
    "after_failure": "receipt",
    "after_always": "receipt",
}


_PHASE_STAGES = {"prepare": "prepare", "setup": "setup", "run": "verify", "attach": "verify"}
_ASKED = ("preconditions", "confirmation", "admission")
"""Origins of failures that are findings, and counted as such."""

Phases = Mapping[str, Phase]
"""Of `ota up`: the phase of each step."""


def receipt_of(
    facts: RunFacts,
    plan: Plan,
    loaded: Loaded,
    identity: Document,
    host: HostFacts,
    *,
    task: str | None = None,
    phases: Phases = {},  # noqa: B006 - never changed
    following: Sequence[str] = (),
) -> Document:
    """The receipt document, keys in the specified order, absent where nothing is known.

    `task`: what the path is about, where nothing of it is the requested step of a run.
    `following`: what to do next, where the caller knows better than a run does.
    """
    ended = facts.ended
    is_requested = plan.requested in plan.steps
    document: Document = {
        "ok": ended.status in ("success", "skipped"),
        "path": ".",
        "scope": "repo",
        "contract": loaded.shown,
        "contract_identity": identity,
        "workflow": _workflow(plan, loaded, host),
        "task": task or (plan.requested_step.task.name if is_requested else None),
        **(_requested(facts, plan) if is_requested else {}),
        "logs": _logs(facts),
        "workloads": {
            step.started.task: runtime_document(step)
            for step in facts.steps
            if step.body is not None and step.body.is_service
        },
        "dependency_steps": [_planned(step) for step in plan.steps.values() if step.relation == "depends_on"],
        "steps": _steps(facts, plan, phases),
        "status": ended.status,
        "failed_task": ended.failure.task if ended.failure is not None else None,
        "failed_dependency": ended.failed_dependency,
        "failure_origin": ended.failure.origin if ended.failure is not None else None,
        "blocked": [each.summary for each in ended.failure.findings]
        if ended.failure is not None and ended.status == "blocked"
        else [],
        "summary": _summary(facts),
        **_next(facts, following or next_actions(facts, plan)),
        "footprint": _footprint(facts),
        "started_at": facts.started.at,
        "finished_at": ended.at,
        "duration_ms": facts.duration_ms,
    }
    if document["failure_origin"] is None and ended.status == "failed":
        document["failure_origin"] = "task"
    return without_absent(document, keep=("steps", "summary", "contract_identity", "path"))


def _workflow(plan: Plan, loaded: Loaded, host: HostFacts) -> Document | None:
    """The workflow in effect, without the URLs it declares: a receipt names only those of this execution."""
    if plan.workflow is None:
        return None
    declared = workflow_document(loaded, plan.workflow, host)
    return {key: value for key, value in declared.items() if key != "exposes"}


def _requested(facts: RunFacts, plan: Plan) -> Document:
    """Where the requested task ran, and what it was given."""
    requested = plan.requested_step
    context = requested.task.context
    ran = facts.step(requested.id)
    return {
        "backend": context.plane,
        "context": context.name,
        "lifecycle": context.lifecycle,
        "image": context.container.image if context.container is not None else None,
        "container_memory_bytes": context.container.memory_bytes if context.container is not None else None,
        "target": _target_name(ran, plan),
        "provider": context.remote.provider if context.remote is not None else None,
        "cwd": context.remote.cwd if context.remote is not None else None,
        "env": {each.name: each.value for each in ran.env} if ran is not None else {},
        "env_sources": [env_source_document(each) for each in ran.env] if ran is not None else [],
        "runtime": runtime_document(ran) if ran is not None else None,
        "service_termination": _termination(ran),
        "backend_fulfillment": _fulfillment(facts, requested.id, ran),
    }


def without_absent(document: Document, keep: tuple[str, ...] = ()) -> Document:
    """Optional values, empty lists and empty maps are left out (json-and-receipts 1.1)."""
    return {
        key: value for key, value in document.items() if key in keep or value not in (None, "", [], {}, ())
    }


def runtime_document(step: StepFacts) -> Document | None:
    """The resolved runtime of a service step; None when nothing was resolved."""
    if not step.endpoints and not step.internal:
        return None
    listeners: dict[str, object] = {}
    for endpoint in step.endpoints:
        listeners[endpoint.listener] = {
            "protocol": endpoint.protocol,
            "bind": {"address": endpoint.bind_address, "port": endpoint.bind_port},
            "resolved": {"host": _host(endpoint)},
        }
    for internal in step.internal:
        listeners[internal.listener] = {
            "protocol": internal.protocol,
            "bind": {"address": internal.bind_address, "port": internal.bind_port},
        }
    exposed = [_endpoint(each, step) for each in step.endpoints]
    primary = step.primary
    return without_absent(
        {
            "kind": "service",
            "listeners": dict(sorted(listeners.items())),
            "primary_listener": primary.listener if primary is not None else None,
            "primary_endpoint": _endpoint(primary, step) if primary is not None else None,
            "exposed_endpoints": exposed,
        }
    )


def _endpoint(endpoint: Endpoint, step: StepFacts) -> Document:
    return {
        "listener": endpoint.listener,
        "protocol": endpoint.protocol,
        "bind": {"address": endpoint.bind_address, "port": endpoint.bind_port},
        "host": _host(endpoint),
        "primary": endpoint.is_primary,
        "confirmed": endpoint.listener in step.confirmed,
    }


def _host(endpoint: Endpoint) -> Document:
    host: Document = {"address": endpoint.host_address, "port": endpoint.host_port}
    if endpoint.url is not None:
        host["url"] = endpoint.url
    return host


def _steps(facts: RunFacts, plan: Plan, phases: Phases) -> list[Document]:
    """Steps of tasks, services and diagnoses, as they began."""
    found = [
        (step.started.order, _step(step, plan.steps[step.started.step], facts, phases))
        for step in facts.steps
    ]
    found += [(service.began.order, _service(service)) for service in facts.services]
    found += [(each.order, _diagnosis(each)) for each in facts.diagnosed]
    return [document for _, document in sorted(found, key=lambda each: each[0])]


def _diagnosis(diagnosed: Diagnosed) -> Document:
    errors = [each for each in diagnosed.findings if each.severity == "error"]
    others = [each for each in diagnosed.findings if each.severity == "warn"]
    told = [one_item(each.summary) for each in (*errors, *others)]
    return without_absent(
        {
            "order": diagnosed.order,
            "label": diagnosed.phase,
            "stage_family": "proof" if diagnosed.phase == "post-up diagnosis" else "prepare",
            "status": "NOT READY" if errors else "WARN" if others else "READY",
            "detail": "; ".join(told),
            "finished_at": diagnosed.at,
        }
    )


def _service(service: ServiceFacts) -> Document:
    began, ended, ready = service.began, service.ended, service.ready
    attempts: Document = (
        {"is_gate": True, "attempts": ready.attempts, "elapsed_ms": ready.elapsed_ms}
        if ready is not None
        else {}
    )
    last = list(ended.last_results) if ended is not None else []
    return without_absent(
        {
            "order": began.order,
            "label": f"service {began.service}",
            "stage_family": "setup",
            "status": service.status,
            "execution_parent": began.required_by,
            "detail": "; ".join((began.reason, *service.story)),
            "exit_code": ended.exit_code if ended is not None else None,
            "readiness": attempts or ({"is_gate": True, "last_results": last} if last else {}),
            "started_at": began.at,
            "finished_at": ended.at if ended is not None else None,
            "duration_ms": round((ended.monotonic_s - began.monotonic_s) * 1000)
            if ended is not None
            else None,
        }
    )


def _step(step: StepFacts, planned: StepPlan, facts: RunFacts, phases: Phases) -> Document:
    started, ended = step.started, step.ended
    stage, role = _STAGES[started.relation], "requested"
    if started.step in phases and stage == "verify":
        role = phases[started.step]
        stage = _PHASE_STAGES[role]
    opening = (
        f"{role} task" if started.relation == "requested" else f"{started.relation} for `{started.parent}`"
    )
    return without_absent(
        {
            "order": started.order,
            "label": started.task,
            "stage_family": stage,
            "status": ended.status if ended is not None else "INTERRUPTED",
            "task": started.task,
            "execution_relation": started.relation,
            "execution_parent": started.parent,
            "generation": started.generation,
            "detail": "; ".join((opening, *step.notes, *step.warnings)),
            "exit_code": ended.exit_code if ended is not None else None,
            "backend": started.plane if step.body is not None else None,
            "context": started.context if step.body is not None else None,
            "lifecycle": started.lifecycle if step.body is not None else None,
            **_surroundings(step),
            "target_resolutions": [_target(each) for each in planned.task.targets if each.source is not None],
            "backend_fulfillment": _fulfillment(facts, started.step, step),
            "shared_local_backend": _shared(step, planned),
            "container_reconciliation": _reconciliation(step),
            "readiness": _readiness(step),
            "started_at": started.at,
            "finished_at": ended.at if ended is not None else None,
            "duration_ms": round((ended.monotonic_s - started.monotonic_s) * 1000)
            if ended is not None
            else None,
        },
        keep=("exit_code", "generation", "duration_ms") if ended is not None and ended.exit_code == 0 else (),
    )


def _target_name(ran: StepFacts | None, plan: Plan) -> str | None:
    """A real named target: the container the requested task was in, or the remote."""
    if ran is not None and ran.container is not None:
        return ran.container.container
    remote = plan.requested_step.task.context.remote
    return remote.target if remote is not None else None


def _termination(step: StepFacts | None) -> Document | None:
    if step is None or step.termination is None:
        return None
    ended = step.termination
    return without_absent(
        {
            "kind": "service_stopped",
            "cause": ended.cause,
            "after_readiness": ended.after_readiness,
            "target": ended.target,
            "container": ended.container,
            "exit_code": ended.exit_code,
        },
        keep=() if ended.exit_code is None else ("exit_code", "after_readiness"),
    )


def _surroundings(step: StepFacts) -> Document:
    """What the container of this step was on, joined, and kept apart from the checkout."""
    entered = step.container
    if entered is None:
        return {}
    return {
        "engine": entered.engine,
        "networks": list(entered.networks),
        "isolated_paths": list(entered.isolated_paths),
    }


def _reconciliation(step: StepFacts) -> Document | None:
    """How a container that stays came to be the one of this step."""
    entered = step.container
    if entered is None or entered.lifecycle != "persistent":
        return None
    return without_absent(
        {
            "action": entered.action,
            "container": entered.container,
            "engine": entered.engine,
            "reason": entered.reason,
        }
    )


def _shared(step: StepFacts, planned: StepPlan) -> Document | None:
    context, entered = planned.task.context, step.container
    if context.shared_backend is None or context.container is None or entered is None:
        return None
    return without_absent(
        {
            "name": context.shared_backend,
            "backend": "container",
            "lifecycle": entered.lifecycle,
            "context": context.name,
            "effective_identity": entered.container,
            "reuse": entered.action,
        }
    )


def _readiness(step: StepFacts) -> Document:
    """What was observed of a service on its way to ready: attempts, time, and the ladder when it failed."""
    if step.reachable is not None:
        return {
            "is_gate": step.reachable.is_gate,
            "attempts": step.reachable.attempts,
            "elapsed_ms": step.reachable.elapsed_ms,
        }
    if step.exhausted is None:
        return {}
    return {
        "is_gate": True,
        "attempts": step.exhausted.attempts,
        "last_results": list(step.exhausted.last_results),
        "ladder": [_rung(rung) for rung in step.exhausted.ladder],
    }


def _rung(rung: LadderRung) -> Document:
    return without_absent(
        {"rung": rung.name, "standing": rung.standing, "detail": rung.detail, "elapsed_ms": rung.elapsed_ms}
    )


def _target(target: TargetPlan) -> Document:
    service = without_absent(
        {
            "member": target.member,
            "repo": target.repo,
            "task": target.task,
            "listener": target.listener,
            "address_view": target.address_view,
        }
    )
    status = "skipped_explicit_override" if target.source == "explicit_override" else "manual"
    return without_absent(
        {
            "target": target.name,
            "override_input": target.override_input,
            "source": target.source,
            "activation": {"mode": target.activation, "status": status},
            "service_ref": service if target.task is not None else None,
            "url_ref": {"url": target.url} if target.url is not None else None,
            "effective_url": target.effective_url,
        }
    )


def _fulfillment(facts: RunFacts, step_id: str, step: StepFacts | None) -> Document | None:
    probed = facts.requirements.get(step_id)
    if probed is None:
        return None
    return without_absent(
        {
            "backend_unit": probed.unit,
            "backend": probed.plane,
            "mode": probed.mode,
            "declared_runtimes": dict(probed.runtimes),
            "declared_tools": dict(probed.tools),
            "missing": list(probed.missing),
            "result": probed.result,
            "task_executed": step is not None and step.body is not None,
        }
    )


def _planned(step: StepPlan) -> Document:
    return without_absent(
        {
            "task": step.task.name,
            "parent": step.parent,
            "backend": step.task.context.plane,
            "context": step.task.context.name,
            "backend_selection_source": step.task.context.plane_source,
        }
    )


def env_source_document(value: EnvValue) -> Document:
    """`envProvenance`."""
    return without_absent(
        {
            "name": value.name,
            "value": value.value,
            "source": value.source,
            "source_kind": value.source_kind,
            "source_path": value.source_path,
            "source_status": value.source_status,
            "source_label": value.source_label,
        },
        keep=("value",),
    )


def _logs(facts: RunFacts) -> Document | None:
    if facts.logs is None:
        return None
    return {"dir": facts.logs.dir, "stdout": facts.logs.stdout, "stderr": facts.logs.stderr}


def _footprint(facts: RunFacts) -> Document | None:
    if facts.footprint is None:
        return None
    return {
        "checked": facts.footprint.was_checked,
        "left_behind": [*map(leftover, facts.footprint.left_behind)],
    }


def _summary(facts: RunFacts) -> Document:
    ended = facts.ended
    failures = 0 if ended.status in ("success", "skipped", "interrupted") else 1
    if ended.failure is not None and (ended.status == "blocked" or ended.failure.origin in _ASKED):
        failures = max(1, len(ended.failure.findings))
    return {
        "error_count": failures,
        "warn_count": facts.warning_count,
        "info_count": 0,
        "step_count": len(facts.steps) + len(facts.services) + len(facts.diagnosed),
    }


def _next(facts: RunFacts, actions: Sequence[str]) -> Document:
    steps = list(actions)
    lost = [f"log capture failed: {facts.log_failure}"] if facts.log_failure is not None else []
    return {"next": "; ".join((*steps, *lost)), "next_steps": steps}
