"""Rules of `tasks.*.execution`: mode branches, default mode, orchestrators, task lifecycle.

Source: contract specification 11.4, 15.5; appendix A V300 to V313.
"""

from collections.abc import Iterator

from ota.contract.model.bodies import DependencyHydration, LaunchCommand, PrepareSequence, ToolBootstrap
from ota.contract.model.scalars import Plane
from ota.contract.model.tasks import Branch, OrchestratorUse, Task, Variant
from ota.contract.planes import BODY_KEYS, BRANCH_BODY_KEYS, VARIANT_BODY_KEYS, has_base_body, stated_bodies
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.phrases import listed
from ota.contract.rules.values import unknown
from ota.contract.rules.wording import broken, unknown_all

_Holder = Task | Branch | Variant


def _branches(subject: Subject) -> Iterator[tuple[FieldPath, str, Task, Plane, Branch]]:
    for name, task, path in subject.tasks():
        if task.execution is not None:
            for plane, branch in sorted(task.execution.modes.items()):
                yield (*path, "execution", "modes", plane), name, task, plane, branch


def empty_execution(subject: Subject) -> Iterator[Violation]:
    """V300."""
    for _, task, path in subject.tasks():
        execution = task.execution
        if execution is None or execution.default_mode or execution.modes or execution.orchestrator:
            continue
        yield broken(
            "V300",
            (*path, "execution"),
            "says nothing",
            "it needs `default_mode`, `modes` or `orchestrator`",
            "declare one of them, or remove `execution`",
        )


def container_not_configured(subject: Subject) -> Iterator[Violation]:
    """V301, V302. What a named context lacks is told at the context (V050, V051)."""
    for task, path in _defaulting_to(subject, "container"):
        choice = subject.planes.choose(task, asked="container")
        if choice.name in subject.planes.execution.contexts:
            continue
        container = choice.context.container
        binding = subject.planes.binding_of(task, "container")
        shared = subject.planes.execution.shared_backends.get(binding or "")
        if (container is None or container.image is None) and (shared is None or shared.environment is None):
            yield broken(
                "V301",
                path,
                "is `container`, which is not configured",
                "no container context and no `execution.backends.container.image` gives an image",
                "declare a container context under `execution.contexts`, and name it with `context`",
            )
        elif choice.lifecycle is None:
            yield broken(
                "V302",
                path,
                "is `container`, whose lifecycle is not configured",
                "neither the branch, the task nor `execution.lifecycle` says persistent or ephemeral",
                "set `lifecycle: ephemeral` or `lifecycle: persistent`",
            )


def remote_not_configured(subject: Subject) -> Iterator[Violation]:
    """V303. What a named context lacks is told at the context (V053, V054)."""
    for task, path in _defaulting_to(subject, "remote"):
        choice = subject.planes.choose(task, asked="remote")
        if choice.name in subject.planes.execution.contexts:
            continue
        remote = choice.context.remote
        if remote is None or not remote.provider or not remote.target:
            yield broken(
                "V303",
                path,
                "is `remote`, which is not configured",
                "no remote context and no `execution.backends.remote` gives a provider and a target",
                "declare a remote context under `execution.contexts`, and name it with `context`",
            )


def _defaulting_to(subject: Subject, plane: Plane) -> Iterator[tuple[Task, FieldPath]]:
    for _, task, path in subject.tasks():
        execution = task.execution
        if execution is None or execution.default_mode != plane:
            continue
        branch = execution.modes.get(plane)
        if branch is not None and branch.context is not None:
            continue  # V305 and V306 speak of it
        yield task, (*path, "execution", "default_mode")


def nothing_by_default(subject: Subject) -> Iterator[Violation]:
    """V304."""
    for _, task, path in subject.tasks():
        execution = task.execution
        if execution is None or execution.default_mode is None or not execution.modes:
            continue
        if execution.default_mode not in execution.modes and not has_base_body(task):
            yield broken(
                "V304",
                (*path, "execution", "default_mode"),
                f"is `{execution.default_mode}`, but there is nothing to run there",
                f"declared modes: {listed(sorted(execution.modes))}; the task has no body of its own",
                f"declare `modes.{execution.default_mode}`, or choose a declared mode",
            )


def unknown_branch_context(subject: Subject) -> Iterator[Violation]:
    """V305."""
    contexts = subject.planes.execution.contexts
    for path, _, _, _, branch in _branches(subject):
        if branch.context is not None:
            yield from unknown(subject, "V305", (*path, "context"), "context", branch.context, contexts)


def branch_context_plane(subject: Subject) -> Iterator[Violation]:
    """V306."""
    for path, _, _, plane, branch in _branches(subject):
        context = subject.planes.contexts.get(branch.context or "")
        if context is not None and context.backend not in (None, plane):
            yield broken(
                "V306",
                (*path, "context"),
                f"is `{branch.context}`, a {context.backend} context",
                f"branch `{plane}` needs a {plane} context",
                f"name a {plane} context",
            )


def branch_lifecycle(subject: Subject) -> Iterator[Violation]:
    """V307."""
    for path, _, _, plane, branch in _branches(subject):
        if plane != "container" and branch.lifecycle is not None:
            yield broken(
                "V307",
                (*path, "lifecycle"),
                f"has no meaning on {plane}",
                "only the container branch has a lifecycle",
                "remove `lifecycle`, or move it to `modes.container`",
            )


def several_branch_bodies(subject: Subject) -> Iterator[Violation]:
    """V308. An empty `run` or `script` is V273."""
    for path, _, _, _, branch in _branches(subject):
        bodies = stated_bodies(branch, BRANCH_BODY_KEYS)
        if len(bodies) > 1:
            yield broken(
                "V308",
                (*path, bodies[1]),
                "is a second body",
                f"found {listed(bodies)}; a branch has at most one body",
                f"keep one of {listed(bodies)}",
            )


def nothing_to_inherit(subject: Subject) -> Iterator[Violation]:
    """V309."""
    for path, _, task, _, branch in _branches(subject):
        if not stated_bodies(branch, BRANCH_BODY_KEYS) and not has_base_body(task):
            yield broken(
                "V309",
                path,
                "has no body",
                "the task has no body of its own that the branch could inherit",
                f"declare one of {listed(BRANCH_BODY_KEYS)} on the branch, or a body on the task",
            )


def _orchestrated(subject: Subject) -> Iterator[tuple[FieldPath, OrchestratorUse, tuple[_Holder, ...]]]:
    """Each use of an orchestrator, with the records whose bodies it mediates."""
    for path, _, task, _, branch in _branches(subject):
        if branch.orchestrator is not None:
            own = stated_bodies(branch, BRANCH_BODY_KEYS)
            yield (
                (*path, "orchestrator"),
                branch.orchestrator,
                (branch,) if own else (task, *task.variants),
            )
    for _, task, path in subject.tasks():
        execution = task.execution
        if execution is not None and execution.orchestrator is not None:
            branches = tuple(each for _, each in sorted(execution.modes.items()) if not each.orchestrator)
            yield (
                (*path, "execution", "orchestrator"),
                execution.orchestrator,
                (task, *task.variants, *branches),
            )


def unknown_orchestrator(subject: Subject) -> Iterator[Violation]:
    """V310."""
    for path, use, _ in _orchestrated(subject):
        yield from unknown(
            subject, "V310", (*path, "ref"), "orchestrator", use.ref, subject.contract.orchestrators
        )


def unmediated_body(subject: Subject) -> Iterator[Violation]:
    """V311. A task without any body is V271, V304 or V309."""
    for path, use, holders in _orchestrated(subject):
        refused = next((why for holder in holders if (why := _not_mediated(use.mode, holder))), None)
        if refused is not None:
            yield broken(
                "V311",
                (*path, "mode"),
                f"is `{use.mode}`, which cannot mediate this body",
                refused,
                "use `task` for run and script, `exec` for finite commands, "
                "`subcommand` for command and launch, or remove `orchestrator`",
            )


def _not_mediated(mode: str, holder: _Holder) -> str | None:
    keys = {Task: BODY_KEYS, Branch: BRANCH_BODY_KEYS, Variant: VARIANT_BODY_KEYS}[type(holder)]
    for key in stated_bodies(holder, keys):
        body = getattr(holder, key)
        if mode == "task" and key not in ("run", "script"):
            return f"`task` reads the body as the manager's task name; it cannot read `{key}`"
        if mode == "exec":
            if key in ("action", "aggregate"):
                return f"`exec` runs a command inside the environment; `{key}` is no command"
            if isinstance(body, PrepareSequence) and not all(
                isinstance(step, DependencyHydration | ToolBootstrap) for step in body.steps
            ):
                return "`exec` cannot mediate a sequence that mixes commands with file or git steps"
        if mode == "subcommand" and not (
            key == "command" or (key == "launch" and isinstance(body, LaunchCommand))
        ):
            return f"`subcommand` needs `command` or `launch.kind: command`; found `{key}`"
    return None


def unknown_branch_dependency(subject: Subject) -> Iterator[Violation]:
    """V312."""
    for path, _, _, _, branch in _branches(subject):
        if branch.depends_on:
            yield from unknown_all(
                subject,
                "V312",
                (*path, "depends_on"),
                "task",
                branch.depends_on,
                subject.contract.tasks,
            )


def lifecycle_without_container(subject: Subject) -> Iterator[Violation]:
    """V313."""
    for _, task, path in subject.tasks():
        if task.lifecycle is None or task.aggregate is not None:
            continue
        if task.context is not None and task.context not in subject.planes.contexts:
            continue  # V274, or the context's own fault, comes first
        planes = subject.planes.planes_of(task)
        if "container" not in planes:
            yield broken(
                "V313",
                (*path, "lifecycle"),
                "has no meaning: the task never runs in a container",
                f"it runs on {', '.join(planes)}",
                "remove `lifecycle`, or give the task a container context",
            )


RULES: tuple[Rule, ...] = (
    empty_execution,
    container_not_configured,
    remote_not_configured,
    nothing_by_default,
    unknown_branch_context,
    branch_context_plane,
    branch_lifecycle,
    several_branch_bodies,
    nothing_to_inherit,
    unknown_orchestrator,
    unmediated_body,
    unknown_branch_dependency,
    lifecycle_without_container,
)
