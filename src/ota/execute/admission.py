"""What this build can execute, and what it refuses by name before anything starts.

A plan is complete for every plane; carrying it out is another matter. Nothing is executed
somewhere else instead.

Source: contract specification 0.1 (runtime refusals); runtime specification 1.6, 24.
"""

from collections.abc import Iterator

from ota.contract.model.bodies import Action, Prepare
from ota.errors import Finding
from ota.resolve.plan import (
    ActionBody,
    ComposeLaunchBody,
    ComposeTaskBody,
    ContainerLaunchBody,
    Plan,
    PrepareBody,
    TaskPlan,
)


def refusals(plan: Plan) -> tuple[Finding, ...]:
    """Everything that keeps this plan from starting, in execution order, each once."""
    found: dict[tuple[str, str], Finding] = {}
    for step in plan.steps.values():
        for finding in (*step.task.refusals, *_not_executable(step.task)):
            found.setdefault((finding.code, finding.summary), finding)
    return tuple(found.values())


def _not_executable(task: TaskPlan) -> Iterator[Finding]:
    plane = task.context.plane
    if plane != "native":
        where = f" in context `{task.context.name}`" if task.context.name else ""
        yield _refused(
            "OTA_PLANE_NOT_EXECUTABLE",
            f"task `{task.name}` resolves to the {plane} plane{where}",
            f"this build executes native tasks only; it plans {plane} tasks but does not start them",
            f"see what would run with `ota execution plan --mode {plane}`, or declare a native branch "
            f"under `tasks.{task.name}.execution.modes` and use `--native`",
        )
        return
    if task.requires_services:
        names = ", ".join(f"`{name}`" for name in task.requires_services)
        yield _refused(
            "OTA_SERVICES_NOT_EXECUTABLE",
            f"task `{task.name}` requires {names}",
            "this build does not start services yet, and a task must not run without what it requires",
            f"start the service yourself and remove it from `tasks.{task.name}.requires_services`",
        )
    match task.body:
        case ComposeTaskBody() | ComposeLaunchBody() | ContainerLaunchBody():
            yield _refused(
                "OTA_BODY_NOT_EXECUTABLE",
                f"task `{task.name}` has a body that needs a container engine",
                "this build does not drive container engines yet",
                "run the engine command in a `run` body",
            )
        case ActionBody(action=action):
            yield from _action_refusal(task, action)
        case PrepareBody(prepare=prepare):
            yield from _action_refusal(task, prepare)
        case _:
            pass
    for target in task.targets:
        if target.activation != "manual" and target.source == "target_binding":
            yield _refused(
                "OTA_ACTIVATION_NOT_EXECUTABLE",
                f"task `{task.name}` asks to activate the producer of target `{target.name}`",
                f"activation `{target.activation}` is not carried out by this build",
                f"start the producer with `ota run {target.task}` in another terminal and set "
                f"`targets.{target.name}.activation.mode: manual`",
            )
        elif target.source is None:
            yield _refused(
                "OTA_TARGET_UNRESOLVED",
                f"target `{target.name}` of task `{task.name}` could not be resolved",
                target.problem or "it has no address on this plane",
                "declare a fixed `project.host` endpoint on the producer, or give the override input",
            )


def _action_refusal(task: TaskPlan, action: Action | Prepare) -> Iterator[Finding]:
    from ota.execute.actions import unsupported_action  # paid only by contracts that have such bodies

    unsupported = unsupported_action(action)
    if unsupported is not None:
        yield _refused(
            "OTA_ACTION_NOT_EXECUTABLE",
            f"task `{task.name}` uses `{unsupported.what}`",
            unsupported.why,
            unsupported.next,
        )


def _refused(code: str, summary: str, why: str, next_: str) -> Finding:
    return Finding(
        code=code,
        summary=summary,
        why=why,
        next=next_,
        category="execution",
        owner="repo_contract",
        title="Task cannot be executed by this build",
    )
