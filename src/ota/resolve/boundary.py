"""The plane of one task as a plan record, and every reason why the task may not go there.

`ota.contract.planes` chose plane, context and lifecycle; here their details are filled in, the
overrides of this run are admitted or refused, and the host is held against the context. It never
chooses another plane.

Source: runtime specification 1.4 to 1.6, 9; contract specification 11.2, 11.5, 11.6, 11.8;
commands specification 1.5, 2.5; decisions D1, D11.
"""

from collections.abc import Iterator

from ota.contract.grammar import allows_arch, format_memory, parse_memory
from ota.contract.model.execution import ContainerSettings, RemoteSettings, SharedBackend
from ota.contract.planes import has_base_body
from ota.errors import Finding
from ota.resolve.peers import reached_projects, shared_listeners
from ota.resolve.plan import ContainerPlan, ContextPlan, RemotePlan
from ota.resolve.scope import TaskScope

DEFAULT_ENGINES = ("docker",)


def plan_context(ts: TaskScope) -> ContextPlan:
    """Everything the contract and this run say about the task's plane."""
    choice = ts.choice
    shared_name = ts.scope.planes.binding_of(ts.task, choice.plane)
    shared = ts.scope.planes.execution.shared_backends.get(shared_name or "")
    return ContextPlan(
        plane=choice.plane,
        plane_source=choice.plane_source,
        name=choice.name,
        lifecycle=choice.lifecycle,
        lifecycle_source=choice.lifecycle_source,
        container=_container(ts, shared) if choice.plane == "container" else None,
        remote=_remote(choice.context.remote) if choice.plane == "remote" else None,
        shared_backend=shared_name if shared is not None else None,
        shared_listeners=shared_listeners(ts, shared_name or "")
        if shared is not None and choice.plane == "container"
        else (),
        fulfillment=choice.context.fulfillment,
    )


def _container(ts: TaskScope, shared: SharedBackend | None) -> ContainerPlan | None:
    settings = ts.choice.context.container or ContainerSettings()
    image = settings.image
    if shared is not None and shared.environment is not None and shared.environment.image is not None:
        image = shared.environment.image
    if image is None:
        return None
    attachments = ts.choice.context.attachments
    declared = (attachments.compose or ()) if attachments is not None else ()
    return ContainerPlan(
        image=image,
        engines=settings.engines or DEFAULT_ENGINES,
        memory_bytes=_memory_bytes(ts),
        platform=settings.platform,
        user=settings.user,
        isolated_paths=(attachments.isolated_paths or ()) if attachments is not None else (),
        compose_projects=declared,
        service_projects=tuple(each for each in reached_projects(ts) if each not in declared),
    )


def _memory_bytes(ts: TaskScope) -> int | None:
    """`--memory`, else the declared default, else the declared minimum."""
    asked = ts.scope.request.memory_bytes if ts.is_requested else None
    if asked is not None:
        return asked
    _, minimum = _declared_memory(ts, "minimum")
    _, default = _declared_memory(ts, "default")
    return default if default is not None else minimum


def _declared_memory(ts: TaskScope, which: str) -> tuple[str | None, int | None]:
    settings = ts.choice.context.container
    memory = settings.resources.memory if settings is not None and settings.resources is not None else None
    text = getattr(memory, which) if memory is not None else None
    return text, parse_memory(text) if text is not None else None


def _remote(settings: RemoteSettings | None) -> RemotePlan | None:
    if settings is None or not settings.provider or not settings.target:
        return None
    ssh = settings.ssh
    return RemotePlan(
        provider=settings.provider,
        target=settings.target,
        cwd=settings.cwd,
        config_file=ssh.config_file if ssh is not None else None,
        identity_file=ssh.identity_file if ssh is not None else None,
    )


def boundary_refusals(ts: TaskScope, plan: ContextPlan) -> Iterator[Finding]:
    """Why the task may not run on its plane, cheapest fact first."""
    yield from _mode_refusals(ts)
    yield from _host_refusals(ts)
    if ts.task.aggregate is not None:
        return  # an aggregate runs nothing itself; its members answer for their own planes
    yield from _configuration_refusals(ts, plan)
    yield from _lifecycle_refusals(ts, plan)
    if ts.is_requested:
        yield from _memory_refusals(ts)


def _mode_refusals(ts: TaskScope) -> Iterator[Finding]:
    """D1: a mode without a branch runs the task-level body, or nothing at all; never another plane."""
    execution = ts.task.execution
    if ts.choice.plane_source != "override" or execution is None or not execution.modes:
        return
    plane = ts.choice.plane
    if plane in execution.modes or plane == execution.default_mode:
        return
    if has_base_body(ts.task) and is_configured(ts):
        return
    declared = ", ".join(f"`{mode}`" for mode in sorted(execution.modes))
    yield Finding(
        code="OTA_MODE_UNSUPPORTED",
        summary=f"task `{ts.name}` has no mode branch `{plane}`",
        why=f"`--mode {plane}` was asked for; task `{ts.name}` declares {declared}",
        next=f"run `{ts.command} --mode {sorted(execution.modes)[0]}`, or declare "
        f"`tasks.{ts.name}.execution.modes.{plane}`",
        place=ts.scope.place(*ts.field, "execution", "modes"),
        category="execution",
    )


def is_configured(ts: TaskScope) -> bool:
    """Whether a context or the root shorthand configures the task's plane."""
    if ts.choice.plane == "native":
        return True
    return ts.choice.name in ts.scope.planes.contexts or ts.scope.planes.has_shorthand(ts.choice.plane)


def _host_refusals(ts: TaskScope) -> Iterator[Finding]:
    """`only_on` and `only_arch` of the task and of its context, held against this machine."""
    host = ts.scope.host
    task_systems = ts.task.only_on
    if task_systems is None and ts.task.when is not None and ts.task.when.os is not None:
        task_systems = (ts.task.when.os,)
    if task_systems is not None and host.os not in task_systems:
        yield Finding(
            code="OTA_TASK_HOST_PLATFORM_UNSUPPORTED",
            summary=f"task `{ts.name}` does not support this host",
            why=f"this host is {host.os}; the task is declared only for {_listed(task_systems)}",
            next=f"run it on {_listed(task_systems)}, or extend `tasks.{ts.name}.only_on`",
            place=ts.scope.place(*ts.field, "only_on"),
            category="execution",
            owner="host",
        )
    context = ts.choice.context
    for key, allowed, is_allowed in (
        ("only_on", context.only_on, host.os in (context.only_on or ())),
        ("only_arch", context.only_arch, allows_arch(context.only_arch or (), host.arch)),
    ):
        if allowed is not None and not is_allowed:
            yield Finding(
                code="OTA_CONTEXT_HOST_PLATFORM_UNSUPPORTED",
                summary=f"context `{ts.choice.name}` does not support this host",
                why=f"task `{ts.name}` runs in it; this host is {host.os}/{host.arch}, and "
                f"`{key}` allows {_listed(allowed)}",
                next=f"run it on a supported host, or give task `{ts.name}` another context",
                place=ts.scope.place("execution", "contexts", ts.choice.name or "", key),
                category="execution",
                owner="host",
            )


def _configuration_refusals(ts: TaskScope, plan: ContextPlan) -> Iterator[Finding]:
    shared = ts.scope.planes.execution.shared_backends.get(plan.shared_backend or "")
    intent = shared.environment if shared is not None else None
    if plan.plane == "container" and intent is not None and (intent.profile or intent.image_alias):
        yield Finding(
            code="OTA_POLICY_BACKEND_ENVIRONMENT_UNRESOLVED",
            summary=f"shared backend `{plan.shared_backend}` takes its image from an org policy",
            why="no active org policy resolves its profile or image alias",
            next=f"set `execution.shared_backends.{plan.shared_backend}.environment.image`, or add a policy",
            place=ts.scope.place("execution", "shared_backends", plan.shared_backend or "", "environment"),
            category="policy",
            owner="org_policy",
        )
    elif plan.plane == "container" and plan.container is None:
        yield _not_configured(
            ts,
            code="OTA_CONTAINER_MODE_NOT_CONFIGURED",
            title="Container run is not configured",
            why=f"task `{ts.name}` resolves to container execution, which needs container image",
            missing=("container", "image"),
        )
    if plan.plane == "remote" and plan.remote is None:
        settings = ts.choice.context.remote
        lacking = "target" if settings is not None and settings.provider else "provider"
        yield _not_configured(
            ts,
            code="OTA_REMOTE_NOT_CONFIGURED",
            title="Remote execution is not configured",
            why=f"task `{ts.name}` resolves to remote execution, which needs a remote {lacking}",
            missing=("remote", lacking),
        )


def _not_configured(ts: TaskScope, *, code: str, title: str, why: str, missing: tuple[str, str]) -> Finding:
    named = ts.choice.name if ts.choice.name in ts.scope.planes.contexts else None
    base = ("execution", "contexts", named) if named else ("execution", "backends")
    field = (*base, *missing)
    again = f", or run `{ts.command}` without `--mode`" if ts.choice.plane_source == "override" else ""
    return Finding(
        code=code,
        summary=f"{title[0].lower()}{title[1:]}",
        why=why,
        next=f"declare `{'.'.join(field)}`{again}",
        place=ts.scope.place(*field),
        category="execution",
        title=title,
    )


def _lifecycle_refusals(ts: TaskScope, plan: ContextPlan) -> Iterator[Finding]:
    asked = ts.scope.request.lifecycle
    shared = ts.scope.planes.execution.shared_backends.get(plan.shared_backend or "")
    if shared is not None and plan.lifecycle_source == "override" and asked != shared.lifecycle:
        yield Finding(
            code="OTA_LIFECYCLE_CONFLICT",
            summary=f"requested lifecycle `{asked}` conflicts with declared shared backend lifecycle "
            f"`{shared.lifecycle}`",
            why=f"task `{ts.name}` is bound to shared backend `{plan.shared_backend}`",
            next=f"run `{ts.command}` without a lifecycle flag",
            place=ts.scope.place("execution", "shared_backends", plan.shared_backend or "", "lifecycle"),
            category="execution",
        )
    if plan.plane == "container" and plan.container is not None and plan.lifecycle is None:
        yield Finding(
            code="OTA_LIFECYCLE_UNDECLARED",
            summary=f"container execution of task `{ts.name}` requires an explicit lifecycle",
            why="neither the task, its context nor `execution.lifecycle` states one",
            next=f"declare `execution.contexts.{plan.name}.lifecycle`, or pass `--lifecycle ephemeral`",
            place=ts.scope.place("execution"),
            category="execution",
        )


def _memory_refusals(ts: TaskScope) -> Iterator[Finding]:
    asked = ts.scope.request.memory_bytes
    if asked is None:
        return
    if ts.choice.plane != "container":
        yield Finding(
            code="OTA_MEMORY_OVERRIDE_REFUSED",
            summary=f"cannot apply `--memory` when execution resolves to {ts.choice.plane}",
            why=f"task `{ts.name}` runs on the {ts.choice.plane} plane, where ota sets no memory limit",
            next=f"run `{ts.command}` without `--memory`",
            category="execution",
            title="Memory override requires container execution",
        )
        return
    text, minimum = _declared_memory(ts, "minimum")
    if minimum is not None and asked < minimum:
        named = ts.choice.name if ts.choice.name in ts.scope.planes.contexts else None
        base = ("execution", "contexts", named) if named else ("execution", "backends")
        field = (*base, "container", "resources", "memory", "minimum")
        yield Finding(
            code="OTA_MEMORY_OVERRIDE_REFUSED",
            summary=f"`--memory {format_memory(asked)}` is below the declared minimum",
            why=f"`--memory {format_memory(asked)}` is below `{'.'.join(field)}` `{text}`",
            next=f"pass `--memory {text}` or more, or leave the flag out",
            place=ts.scope.place(*field),
            category="execution",
            title="Memory override is below the declared minimum",
        )


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names) if names else "no host at all"
