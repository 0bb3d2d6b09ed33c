"""What this build can execute, and what it refuses by name before anything starts.

A plan is complete for every plane; carrying it out is another matter. Nothing is executed
somewhere else instead.

Source: contract specification 0.1 (runtime refusals); runtime specification 1.6, 24.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ota.contract.model.bodies import Action, Prepare
from ota.errors import Finding
from ota.resolve.plan import (
    ActionBody,
    AggregateBody,
    ArgvBody,
    Plan,
    PrepareBody,
    ShellBody,
    TargetPlan,
    TaskPlan,
)
from ota.resolve.service_plan import (
    CommandReadiness,
    EndpointReadiness,
    ProducerControl,
    ServicePlan,
    UnitControl,
)

if TYPE_CHECKING:
    from ota.execute.actions.failure import Unsupported


def refusals(plan: Plan) -> tuple[Finding, ...]:
    """Everything that keeps this plan from starting, in execution order, each once."""
    found: dict[tuple[str, str], Finding] = {}
    for step in plan.steps.values():
        services = closure_of(plan, step.task)
        for finding in (
            *step.task.refusals,
            *_not_executable(step.task),
            *service_refusals(services, f"task `{step.task.name}`"),
        ):
            found.setdefault((finding.code, finding.summary), finding)
    return tuple(found.values())


def closure_of(plan: Plan, task: TaskPlan) -> tuple[ServicePlan, ...]:
    """The services a task requires and all they depend on, in starting order."""
    if not task.requires_services:
        return ()
    from ota.resolve.services import closure  # paid only by tasks that require services

    return closure(plan.services, task.requires_services)


def service_refusals(services: tuple[ServicePlan, ...], asker: str) -> Iterator[Finding]:
    """Services that this build cannot bring up, or cannot ask from where the contract says."""
    for service in services:
        needed = f"service `{service.name}`, required by {asker},"
        match service.control:
            case UnitControl(unit=unit):
                yield _service_refused(
                    "OTA_SERVICE_MANAGER_UNSUPPORTED",
                    f"{needed} is the systemd unit `{unit}`",
                    "this build starts services through `compose` and through `start` commands of the host",
                    f"declare `services.{service.name}.manager.start` with the command that starts the unit",
                )
            case ProducerControl(repo=repo, task=producer):
                yield _service_refused(
                    "OTA_SERVICE_PRODUCER_NOT_EXECUTABLE",
                    f"{needed} is produced by task `{producer}` of repository `{repo}`",
                    "this build does not start tasks of other repositories",
                    f"start it there with `ota run {producer}`, and declare an endpoint and readiness here",
                )
            case _:
                yield from _not_askable(needed, service)


def _not_askable(needed: str, service: ServicePlan) -> Iterator[Finding]:
    readiness = service.readiness
    if isinstance(readiness, EndpointReadiness | CommandReadiness) and readiness.plane == "remote":
        yield _service_refused(
            "OTA_SERVICE_READINESS_CONTEXT_UNEXECUTABLE",
            f"{needed} is asked for readiness from context `{readiness.context}`, "
            f"where this build cannot execute",
            f"context `{readiness.context}` is a {readiness.plane} context, and asking from anywhere else "
            "would prove something else; the service itself was not looked at",
            f"repair execution context `{readiness.context}`, or move "
            f"`services.{service.name}.readiness.from` to a native context that has an endpoint",
        )


def _not_executable(task: TaskPlan) -> Iterator[Finding]:
    match task.context.plane:
        case "native":
            yield from _native_body_refusals(task)
        case "container":
            yield from _container_body_refusals(task)
        case "remote":
            where = f" in context `{task.context.name}`" if task.context.name else ""
            yield _refused(
                "OTA_PLANE_NOT_EXECUTABLE",
                f"task `{task.name}` resolves to the remote plane{where}",
                "this build plans remote tasks, and starts native and container tasks only",
                "see what would run with `ota execution plan --mode remote`, or declare a native branch "
                f"under `tasks.{task.name}.execution.modes` and use `--native`",
            )
            return
    yield from _target_refusals(task)


def _native_body_refusals(task: TaskPlan) -> Iterator[Finding]:
    match task.body:
        case ActionBody(action=action):
            yield from _action_refusal(task, action)
        case PrepareBody(prepare=prepare):
            yield from _action_refusal(task, prepare)
        case _:
            pass


def _container_body_refusals(task: TaskPlan) -> Iterator[Finding]:
    """In a container there is a shell, and nothing of ota."""
    match task.body:
        case ShellBody() | ArgvBody() | AggregateBody() | None:
            pass
        case PrepareBody(prepare=prepare):
            from ota.execute.actions import unsupported_in_container

            yield from _unsupported(task, unsupported_in_container(prepare, task))
        case body:
            kind = "action" if isinstance(body, ActionBody) else "compose"
            native = f"set `tasks.{task.name}.context` to a context with `backend: native`"
            yield _refused(
                "OTA_BODY_NOT_EXECUTABLE",
                f"task `{task.name}` has a body `{kind}` and resolves to the container plane",
                "it changes the checkout on the host"
                if kind == "action"
                else "compose is asked on the host, which has the engine; a container has none",
                f"{native}, or declare the body under `execution.modes.native` and use `--native`",
            )


def _target_refusals(task: TaskPlan) -> Iterator[Finding]:
    for target in task.targets:
        if target.activation != "manual" and target.source == "target_binding":
            yield _refused(
                "OTA_ACTIVATION_NOT_EXECUTABLE",
                f"task `{task.name}` asks to activate the producer of target `{target.name}`",
                f"activation `{target.activation}` is not carried out by this build",
                f"start the producer with {_start_of(target)} in another terminal and set "
                f"`targets.{target.name}.activation.mode: manual`",
            )
        elif target.source is None:
            yield _refused(
                "OTA_TARGET_UNRESOLVED",
                f"target `{target.name}` of task `{task.name}` could not be resolved",
                target.problem or "it has no address on this plane",
                "declare a fixed `project.host` endpoint on the producer, or give the override input",
            )


def _start_of(target: TargetPlan) -> str:
    """The command line that starts a producer, where it lives."""
    command = f"`ota run {target.task}"
    if target.member is not None:
        return f"{command} --member {target.member}`"
    return f"{command}` in repository `{target.repo}`" if target.repo is not None else f"{command}`"


def _action_refusal(task: TaskPlan, action: Action | Prepare) -> Iterator[Finding]:
    from ota.execute.actions import unsupported_action  # paid only by contracts that have such bodies

    yield from _unsupported(task, unsupported_action(action))


def _unsupported(task: TaskPlan, unsupported: "Unsupported | None") -> Iterator[Finding]:
    if unsupported is not None:
        yield _refused(
            "OTA_ACTION_NOT_EXECUTABLE",
            f"task `{task.name}` uses `{unsupported.what}`",
            unsupported.why,
            unsupported.next,
        )


def _service_refused(code: str, summary: str, why: str, next_: str) -> Finding:
    return Finding(
        code=code,
        summary=summary,
        why=why,
        next=next_,
        category="service",
        owner="repo_contract",
        title="Service cannot be brought up by this build",
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
