"""`ota up --dry-run`: the plan of the real thing, rendered instead of carried out.

Source: json-and-receipts specification 3.14; commands specification 3.3.
"""

from collections.abc import Iterator

from ota.contract.load import Loaded
from ota.resolve.documents.execution_plan import overrides_document
from ota.resolve.documents.identity import contract_identity
from ota.resolve.documents.preview import dependency_document, service_action, step_action
from ota.resolve.documents.shape import Document, compact
from ota.resolve.documents.tasks import in_effect
from ota.resolve.plan import StepPlan
from ota.resolve.services import closure
from ota.resolve.up_plan import Phase, UpPlan
from ota.system.host import HostFacts

Action = tuple[str, str]
"""What would happen, and its stage family."""


def up_preview_document(
    loaded: Loaded,
    up: UpPlan,
    host: HostFacts,
    *,
    status: str,
    summary: Document,
    blockers: list[Document],
    keeps: str,
) -> Document:
    """The whole document. `status` is the preview status, in the words of `ota run --dry-run`."""
    words = {"RUNNABLE": "READY", "RUNNABLE WITH WARNINGS": "READY WITH WARNINGS"}
    document: Document = {
        "ok": status != "BLOCKED",
        "path": loaded.shown,
        "dry_run": True,
        "status": words.get(status, status),
        "preview_status": status,
        "phase": "preview",
        "summary": summary,
        "contract_identity": contract_identity(loaded.contract),
    }
    document |= compact(workflow=in_effect(loaded, up.selection, host))
    document["execution"] = _execution(up)
    document["plan"] = _plan(up, keeps)
    document |= compact(overrides=overrides_document(up.plan.request), blockers=blockers)
    document["execution_started"] = False
    return document


def _execution(up: UpPlan) -> Document:
    """The boundary of the task the path is about."""
    task = up.plan.steps[up.plan.requested].task if up.plan.requested in up.plan.steps else None
    context = task.context if task is not None else None
    container = context.container if context is not None else None
    remote = context.remote if context is not None else None
    document: Document = {"backend": context.plane if context is not None else "native"}
    return document | compact(
        context=context.name if context is not None else None,
        lifecycle=context.lifecycle if context is not None else None,
        image=container.image if container is not None else None,
        container_memory_bytes=container.memory_bytes if container is not None else None,
        target=remote.target if remote is not None else None,
        task=up.task,
    )


def _plan(up: UpPlan, keeps: str) -> Document:
    actions = list(_actions(up, keeps))
    before = [step for step in up.plan.steps.values() if step.relation in ("depends_on", "aggregate_member")]
    document: Document = {"actions": [action for action, _ in actions]}
    return document | compact(
        skipped=up.skipped,
        staged_actions=[{"action": action, "stage_family": family} for action, family in actions],
        dependency_chain=[step.id for step in before],
        dependency_steps=[dependency_document(step) for step in before],
    )


def _actions(up: UpPlan, keeps: str) -> Iterator[Action]:
    """In the order of the real thing."""
    yield from _of_phase(up, "prepare", "prepare")
    yield "check preconditions", "prepare"
    told = {each.name for each in closure(up.plan.services, up.services)}
    for service in closure(up.plan.services, up.services):
        yield service_action(service), "setup"
    yield from _of_phase(up, "setup", "setup")
    if up.run is not None:
        for service in up.plan.services:  # those that only the run task asks for
            if service.name not in told:
                yield service_action(service), "setup"
        yield from _of_phase(up, "run", "verify")
    yield "check readiness of " + up.name, "proof"
    if up.run is not None:
        yield from _ending(up, keeps)


def _ending(up: UpPlan, keeps: str) -> Iterator[Action]:
    task = up.plan.steps[up.run or ""].task.name
    if keeps == "detached":
        yield f"leave {task} running", "verify"
    elif up.attach is not None:
        yield from _of_phase(up, "attach", "verify")
        yield f"end {task}", "verify"
    elif keeps == "attached":
        yield f"stay with {task} until it ends", "verify"
    else:
        yield f"end {task}", "verify"


def _of_phase(up: UpPlan, phase: Phase, family: str) -> Iterator[Action]:
    for step in up.plan.steps.values():
        if up.phase_of.get(step.id) == phase:
            yield _action(up, step), "receipt" if step.relation.startswith("after_") else family


def _action(up: UpPlan, step: StepPlan) -> str:
    text = step_action(step)
    if step.id == up.run:
        verb = "start" + text.removeprefix("run")
        return f"{verb} and wait until it is ready, unless it runs already"
    return text
