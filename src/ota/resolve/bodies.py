"""The one body a task runs on its plane: the branch's, else the matching variant's, else the task's.

Source: contract specification 15.2, 15.3, 15.5; runtime specification 1.6.
"""

from collections.abc import Iterator

from msgspec import Struct

from ota.contract.listeners import effective_listeners
from ota.contract.model.bodies import (
    Command,
    LaunchCommand,
    LaunchCompose,
    LaunchContainer,
    RuntimeProjection,
)
from ota.contract.model.tasks import Branch, Task, Variant
from ota.contract.planes import (
    BODY_KEYS,
    BRANCH_BODY_KEYS,
    VARIANT_BODY_KEYS,
    runtime_on,
    stated_bodies,
)
from ota.errors import Finding
from ota.resolve.plan import (
    ActionBody,
    AggregateBody,
    ArgvBody,
    BodyPlan,
    ComposeLaunchBody,
    ComposeTaskBody,
    ContainerLaunchBody,
    PrepareBody,
    ShellBody,
)
from ota.resolve.scope import TaskScope

_BIND_FLAGS = {"uvicorn": ("--host", "--port"), "rails": ("-b", "-p"), "nextjs": ("-H", "-p")}


class Chosen(Struct, frozen=True, kw_only=True):
    """The record that states the body, and under which key."""

    owner: Branch | Variant | Task
    key: str


def chosen_body(ts: TaskScope) -> Chosen | None:
    """Who speaks for the body; None when nobody does."""
    owners: list[tuple[Branch | Variant | Task, tuple[str, ...]]] = []
    if ts.branch is not None:
        owners.append((ts.branch, BRANCH_BODY_KEYS))
    if ts.variant is not None:
        owners.append((ts.variant[1], VARIANT_BODY_KEYS))
    owners.append((ts.task, BODY_KEYS))
    for owner, keys in owners:
        stated = stated_bodies(owner, keys)
        if stated:
            return Chosen(owner=owner, key=stated[0])
    return None


def is_compose_body(ts: TaskScope) -> bool:
    """Whether Compose itself runs the task and reads env files of its own."""
    chosen = chosen_body(ts)
    if chosen is None:
        return False
    return chosen.key == "compose" or isinstance(getattr(chosen.owner, chosen.key), LaunchCompose)


def plan_body(ts: TaskScope) -> BodyPlan | None:
    """The body as the executor takes it; None beside a refusal."""
    chosen = chosen_body(ts)
    if chosen is None:
        return None
    body = getattr(chosen.owner, chosen.key)
    match chosen.key:
        case "run":
            return ShellBody(kind="run", text=body)
        case "script":
            return ShellBody(kind="script", text=body)
        case "command":
            return _argv(ts, body)
        case "compose":
            return ComposeTaskBody(compose=body)
        case "prepare":
            return PrepareBody(prepare=body)
        case "action":
            return ActionBody(action=body)
        case "aggregate":
            return AggregateBody(tasks=body.tasks)
        case _:
            return _launch(ts, body)


def _launch(ts: TaskScope, launch: LaunchCommand | LaunchCompose | LaunchContainer) -> BodyPlan:
    match launch:
        case LaunchCommand():
            return _argv(ts, launch)
        case LaunchCompose():
            return ComposeLaunchBody(launch=launch)
        case LaunchContainer():
            return ContainerLaunchBody(launch=launch)


def _argv(ts: TaskScope, command: Command | LaunchCommand) -> ArgvBody:
    projection = command.runtime_projection
    flags = _bind_flags(ts, projection) if projection is not None else ()
    return ArgvBody(
        exe=command.exe,
        args=(*command.args, *flags),
        cwd=command.cwd,
        interaction=command.interaction if isinstance(command, Command) else "auto",
        is_launch=isinstance(command, LaunchCommand),
    )


def _bind_flags(ts: TaskScope, projection: RuntimeProjection) -> tuple[str, ...]:
    """The flags that make the server listen where the contract says it does."""
    runtime = runtime_on(ts.task, ts.choice.plane)
    listeners = effective_listeners(runtime, ts.scope.contract.surfaces) if runtime is not None else {}
    listener = listeners.get(projection.listener)
    if listener is None or listener.bind.port.value is None:
        return ()
    address_flag, port_flag = _BIND_FLAGS[projection.adapter]
    return (address_flag, listener.bind.address, port_flag, str(listener.bind.port.value))


def body_refusals(ts: TaskScope) -> Iterator[Finding]:
    """A task without a body here, or one whose body belongs to another plane."""
    chosen = chosen_body(ts)
    if chosen is None:
        yield Finding(
            code="OTA_TASK_BODY_MISSING",
            summary=f"task `{ts.name}` has no default execution and no variant matches the current os",
            why=f"the body would run on {ts.target_os} ({ts.choice.plane} plane); variants exist for "
            + (", ".join(f"`{each.when.os}`" for each in ts.task.variants) or "no system"),
            next=f"add a body to `tasks.{ts.name}`, or a variant for `{ts.target_os}`",
            place=ts.scope.place(*ts.field),
            category="execution",
        )
        return
    native_only = chosen.key == "action" or (
        chosen.key == "launch" and isinstance(getattr(chosen.owner, "launch", None), LaunchContainer)
    )
    if native_only and ts.choice.plane != "native":
        yield Finding(
            code="OTA_BODY_NATIVE_ONLY",
            summary=f"the body of task `{ts.name}` runs only natively",
            why=f"execution resolves to {ts.choice.plane}; `{chosen.key}` works on the host itself",
            next=f"run `{ts.command} --native`, or give the task a native context",
            place=ts.scope.place(*ts.field, chosen.key),
            category="execution",
        )
    orchestrator = (ts.branch.orchestrator if ts.branch is not None else None) or (
        ts.task.execution.orchestrator if ts.task.execution is not None else None
    )
    if orchestrator is not None:
        yield Finding(
            code="OTA_ORCHESTRATOR_UNSUPPORTED",
            summary=f"task `{ts.name}` runs through orchestrator `{orchestrator.ref}`",
            why="this build does not run tasks through an orchestrator yet, and running the body without "
            "it would not be what the contract says",
            next=f"remove `tasks.{ts.name}.execution.orchestrator`, or run the manager's own command",
            place=ts.scope.place(*ts.field, "execution"),
            category="execution",
        )
