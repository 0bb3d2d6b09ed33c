"""One task of a plan, fully decided: where, what, with which values, and why it may not run.

Only the assembly: plane, body, listeners, env, targets and requirements are each a neighbour's. Which
tasks a run consists of, and in which order, is `planner`'s.

Source: contract specification 11.4, 15.12; runtime specification 1.3 to 1.7, 3.3; commands specification
2.1 to 2.4.
"""

from collections.abc import Iterator

from ota.contract.agent_safety import AgentSafety
from ota.env.layers import EnvLayers
from ota.errors import Finding
from ota.resolve.bodies import body_refusals, plan_body
from ota.resolve.boundary import boundary_refusals, plan_context
from ota.resolve.env_layers import task_layers
from ota.resolve.inputs import resolve_inputs, with_target_values
from ota.resolve.listening import host_port_refusals, plan_runtime
from ota.resolve.plan import TaskPlan
from ota.resolve.requirement_sets import requirement_set
from ota.resolve.scope import TaskScope
from ota.resolve.targets import input_values, plan_targets, target_refusals


def plan_task(ts: TaskScope, *, closure_is_scoped: bool = False) -> TaskPlan:
    """The task as one step of a run, or by itself, as if nothing else ran.

    `closure_is_scoped`: some task of the run says itself what it requires.
    """
    context = plan_context(ts)
    body = plan_body(ts)
    needs = requirement_set(ts, body, closure_is_scoped=closure_is_scoped)
    given = resolve_inputs(ts)
    targets = plan_targets(ts, given)
    inputs = with_target_values(ts, given, input_values(targets, given))
    env = task_layers(ts, needs.env, body)
    boundary = tuple(boundary_refusals(ts, context))
    # A mode the task does not have needs no second word on the body it does not have there either.
    mode_is_refused = any(finding.code == "OTA_MODE_UNSUPPORTED" for finding in boundary)
    task = ts.task
    return TaskPlan(
        name=ts.name,
        context=context,
        body=body,
        runtime=plan_runtime(ts),
        env=env,
        inputs=inputs.resolved,
        targets=targets,
        requires_services=task.requires_services,
        when_checks=task.when.checks if task.when is not None else (),
        requirements=needs.requirements,
        native_prerequisites=needs.native,
        required_checks=needs.checks,
        internal=task.internal,
        variant_os=ts.variant[1].when.os if ts.variant is not None else None,
        notes=tuple(_notes(ts)),
        refusals=(
            *boundary,
            *(() if mode_is_refused else body_refusals(ts)),
            *host_port_refusals(ts),
            *inputs.refusals,
            *target_refusals(ts, targets),
            *_remote_secret_refusals(ts, env),
            *_activation_refusals(ts, needs.native),
            *_skip_refusals(ts),
            *_agent_refusals(ts),
        ),
    )


def declared_dependencies(ts: TaskScope) -> tuple[str, ...]:
    """`depends_on` on this plane: a branch's list replaces the task's."""
    if ts.branch is not None and ts.branch.depends_on is not None:
        return ts.branch.depends_on
    return ts.task.depends_on


def _notes(ts: TaskScope) -> Iterator[str]:
    if ts.is_requested and ts.task.internal and ts.scope.request.phase is None:
        yield f"task `{ts.name}` is marked internal"
    if ts.is_requested and ts.choice.lifecycle_source == "override" and ts.choice.plane != "container":
        yield f"lifecycle `{ts.choice.lifecycle}` is advisory in {ts.choice.plane} mode"
    if ts.is_requested and ts.scope.request.skip_deps and declared_dependencies(ts):
        skipped = ", ".join(f"`{name}`" for name in declared_dependencies(ts))
        yield f"dependencies skipped by `--skip-deps`: {skipped}"


def _activation_refusals(ts: TaskScope, names: tuple[str, ...]) -> Iterator[Finding]:
    if names:
        from ota.resolve.native import activation_refusals  # paid only by tasks that select any

        yield from activation_refusals(ts, names)


def _remote_secret_refusals(ts: TaskScope, env: EnvLayers) -> Iterator[Finding]:
    """A remote command line would carry the value (runtime specification 3.3)."""
    if ts.choice.plane != "remote":
        return
    stated = {name for layer in env.overlay for name in layer.values} | set(env.required)
    needed = [
        name for name, each in env.variables.items() if each.secret and (each.required or name in stated)
    ]
    if needed:
        names = ", ".join(f"`{name}`" for name in needed)
        yield Finding(
            code="OTA_REMOTE_SECRET_REFUSED",
            summary=f"task `{ts.name}` needs secret environment variables on a remote plane: {names}",
            why="a remote command line would carry their values",
            next="provide them on the remote itself and drop them from the task, or run the task natively",
            place=ts.scope.place("env", "vars", needed[0]),
            category="remote",
        )


def _skip_refusals(ts: TaskScope) -> Iterator[Finding]:
    if not ts.is_requested or not ts.scope.request.skip_deps or declared_dependencies(ts):
        return
    yield Finding(
        code="OTA_SKIP_DEPS_REFUSED",
        summary=f"`--skip-deps` has nothing to skip for task `{ts.name}`",
        why="the task declares no `depends_on`",
        next=ts.command,
        place=ts.scope.place(*ts.field),
        category="execution",
    )


def _agent_refusals(ts: TaskScope) -> Iterator[Finding]:
    if not ts.is_requested or not ts.scope.request.agent:
        return
    reasons = AgentSafety(ts.scope.contract).reasons(ts.name)
    if not reasons:
        return
    yield Finding(
        code="OTA_AGENT_EXECUTION_REFUSED",
        summary=f"an agent may not run task `{ts.name}`",
        why="; ".join(reason.why for reason in reasons),
        next=reasons[0].next,
        place=ts.scope.place("tasks", reasons[0].task),
        category="policy",
        owner="agent_safety",
        title="AGENT EXECUTION REFUSED",
    )
