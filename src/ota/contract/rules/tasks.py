"""Rules of tasks: which body, what it refers to, aggregates.

Variants and inputs are in `variants`, mode branches in `branches`, bodies in `bodies`, `prepare`
and `actions`.

Source: contract specification 15.1, 15.2, 15.4; appendix A V270 to V281, V286, V287, V292 to V296.
"""

from collections.abc import Iterator, Mapping

from ota.contract.grammar import check_repo_path
from ota.contract.graph import HOOKS, shown_route
from ota.contract.model.tasks import Task
from ota.contract.planes import BODY_KEYS, has_base_body, stated_bodies
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.phrases import empty_keys, listed
from ota.contract.rules.values import empty_text, owner_of, refused_text, system_tokens, unknown
from ota.contract.rules.wording import broken, unknown_all

PLAIN_BODY_KEYS = tuple(key for key in BODY_KEYS if key != "aggregate")
NOT_BESIDE_AGGREGATE = (
    *PLAIN_BODY_KEYS,
    "context",
    "lifecycle",
    "env",
    "inputs",
    "targets",
    "requires_services",
    "runtime",
    "effects",
    "requirements",
    "variants",
    "execution",
)


def empty_name(subject: Subject) -> Iterator[Violation]:
    """V270."""
    yield from empty_keys("V270", ("tasks",), "`tasks`", subject.contract.tasks)
    for name in sorted(each for each in subject.contract.tasks if each.startswith("-")):
        yield Violation(
            rule="V270",
            path=("tasks", name),
            summary=f"task `{name}` has a name that begins with `-`",
            why="behind `ota run` it would be read as an option, so nobody could run it",
            next=f"call it `{name.lstrip('-') or 'task'}`",
        )


def no_body(subject: Subject) -> Iterator[Violation]:
    """V271. With mode branches, V304 and V309 say which plane lacks a body."""
    for _, task, path in subject.tasks():
        if has_base_body(task) or (task.execution is not None and task.execution.modes):
            continue
        yield broken(
            "V271",
            path,
            "declares no body",
            f"a task needs exactly one of {listed(BODY_KEYS)}",
            "declare one body, such as `run: <command>`",
        )


def several_bodies(subject: Subject) -> Iterator[Violation]:
    """V272. A body beside `aggregate` is V295."""
    for _, task, path in subject.tasks():
        bodies = stated_bodies(task, PLAIN_BODY_KEYS)
        if len(bodies) > 1 and task.aggregate is None:
            yield broken(
                "V272",
                (*path, bodies[1]),
                "is a second body",
                f"found {listed(bodies)}; a task has exactly one body",
                f"keep one of {listed(bodies)}",
            )


def empty_shell(subject: Subject) -> Iterator[Violation]:
    """V273, for tasks and their mode branches."""
    for _, task, path in subject.tasks():
        branches = task.execution.modes if task.execution is not None else {}
        places: list[tuple[FieldPath, str | None, str | None]] = [(path, task.run, task.script)]
        for plane, branch in sorted(branches.items()):
            places.append(((*path, "execution", "modes", plane), branch.run, branch.script))
        for place, run, script in places:
            yield from empty_text("V273", (*place, "run"), run)
            yield from empty_text("V273", (*place, "script"), script)


def unknown_context(subject: Subject) -> Iterator[Violation]:
    """V274. A context whose own declaration is broken counts as declared: its fault is told there."""
    declared = subject.planes.execution.contexts
    for _, task, path in subject.tasks():
        if task.context is not None:
            yield from unknown(subject, "V274", (*path, "context"), "context", task.context, declared)


def unsupported_system(subject: Subject) -> Iterator[Violation]:
    """V275."""
    for _, task, path in subject.tasks():
        yield from system_tokens("V275", (*path, "only_on"), task.only_on)
        if task.when is not None and task.when.os is not None:
            yield from system_tokens("V275", (*path, "when", "os"), (task.when.os,))


def unknown_task(subject: Subject) -> Iterator[Violation]:
    """V276."""
    for _, task, path in subject.tasks():
        for key in ("depends_on", *HOOKS):
            names = getattr(task, key)
            if names:
                yield from unknown_all(subject, "V276", (*path, key), "task", names, subject.contract.tasks)


def task_cycle(subject: Subject) -> Iterator[Violation]:
    """V277."""
    for cycle in subject.graph.cycles(subject.planes):
        first, second = cycle[:2]
        yield broken(
            "V277",
            ("tasks", first, _edge_key(subject.contract.tasks[first], second)),
            f"starts a cycle: {shown_route(cycle)}",
            "dependencies, aggregates and hooks form one graph without cycles",
            f"remove `{second}` from task `{first}`, or another link of the cycle",
        )


def _edge_key(task: Task, successor: str) -> str:
    """The key by which a task runs another; a branch's list counts as `depends_on`."""
    if task.aggregate is not None and successor in task.aggregate.tasks:
        return "aggregate"
    return next((hook for hook in HOOKS if successor in getattr(task, hook)), "depends_on")


def unknown_service(subject: Subject) -> Iterator[Violation]:
    """V278."""
    for _, task, path in subject.tasks():
        if task.requires_services:
            yield from unknown_all(
                subject,
                "V278",
                (*path, "requires_services"),
                "service",
                task.requires_services,
                subject.contract.services,
            )


def unenforceable_service(subject: Subject) -> Iterator[Violation]:
    """V279. A manager can start what it manages, so it counts as a start command."""
    for _, task, path in subject.tasks():
        for index, name in enumerate(task.requires_services):
            service = subject.contract.services.get(name)
            if service is None:
                continue
            ways = (service.producer, service.manager, service.start, service.healthcheck, service.readiness)
            if all(way is None for way in ways):
                yield broken(
                    "V279",
                    (*path, "requires_services", index),
                    f"requires service `{name}`, which nothing can start or check",
                    f"`services.{name}` has no producer, manager, start command, healthcheck or readiness",
                    f"declare a `manager` or `readiness` on `services.{name}`",
                )


def unknown_condition(subject: Subject) -> Iterator[Violation]:
    """V280."""
    for _, task, path in subject.tasks():
        if task.when is not None:
            yield from unknown_all(
                subject, "V280", (*path, "when", "checks"), "check", task.when.checks, subject.checks
            )


def unsupported_condition(subject: Subject) -> Iterator[Violation]:
    """V281."""
    for _, task, path in subject.tasks():
        for index, name in enumerate(task.when.checks if task.when is not None else ()):
            check = subject.checks.get(name)
            if check is None:
                continue
            if check.kind == "health":
                why = "it is a health check"
            elif check.probe is not None:
                why = f"it asks probe `{check.probe}`"
            elif check.kind == "precondition" and check.run is None:
                why = "it is a precondition without `run`"
            else:
                continue
            yield broken(
                "V281",
                (*path, "when", "checks", index),
                f"names check `{name}`, which cannot be a condition",
                f"{why}; conditions are file, env, changed_files and shell precondition checks",
                "name a check that can be decided before anything starts",
            )


def empty_env_key(subject: Subject) -> Iterator[Violation]:
    """V286."""
    for path, env, bindings, _ in _env_levels(subject):
        for key, names in (("env", env), ("env_bindings", bindings)):
            if names:
                yield from empty_keys("V286", (*path, key), owner_of(path)[0], names)


def env_file_path(subject: Subject) -> Iterator[Violation]:
    """V287."""
    for path, _, _, files in _env_levels(subject):
        for index, file in enumerate(files):
            yield from refused_text(
                "V287",
                (*path, "env_files", index),
                file,
                check_repo_path,
                "write a path relative to the contract, inside the repository",
            )


def _env_levels(
    subject: Subject,
) -> Iterator[tuple[FieldPath, Mapping[str, str], Mapping[str, object], tuple[str, ...]]]:
    """Every place of a task that states env: itself, its branches, its variants."""
    for _, task, path in subject.tasks():
        yield path, task.env, task.env_bindings, task.env_files
        if task.execution is not None:
            for plane, branch in sorted(task.execution.modes.items()):
                steps = (*path, "execution", "modes", plane)
                yield steps, branch.env, branch.env_bindings, branch.env_files
        for index, variant in enumerate(task.variants):
            steps = (*path, "variants", index)
            yield steps, variant.env, variant.env_bindings, variant.env_files


def empty_aggregate(subject: Subject) -> Iterator[Violation]:
    """V292."""
    for _, task, path in subject.tasks():
        if task.aggregate is not None and not task.aggregate.tasks:
            yield broken(
                "V292",
                (*path, "aggregate", "tasks"),
                "has no members",
                "an aggregate runs its members in order",
                "list at least one task",
            )


def unknown_member(subject: Subject) -> Iterator[Violation]:
    """V293."""
    for _, task, path in subject.tasks():
        if task.aggregate is not None:
            yield from unknown_all(
                subject,
                "V293",
                (*path, "aggregate", "tasks"),
                "task",
                task.aggregate.tasks,
                subject.contract.tasks,
            )


def nested_aggregate(subject: Subject) -> Iterator[Violation]:
    """V294."""
    for name, task, path in subject.tasks():
        for index, member in enumerate(task.aggregate.tasks if task.aggregate is not None else ()):
            if member != name and _is_aggregate(subject, member):
                yield broken(
                    "V294",
                    (*path, "aggregate", "tasks", index),
                    f"names the aggregate `{member}`",
                    "aggregates do not nest",
                    f"list the members of `{member}` here instead",
                )


def combined_aggregate(subject: Subject) -> Iterator[Violation]:
    """V295."""
    for _, task, path in subject.tasks():
        if task.aggregate is None:
            continue
        for key in NOT_BESIDE_AGGREGATE:
            if getattr(task, key) not in (None, (), {}):
                yield broken(
                    "V295",
                    (*path, key),
                    "cannot stand beside `aggregate`",
                    "an aggregate only names its members; each member keeps its own settings",
                    f"move `{key}` to a member task, or remove it",
                )


def aggregate_as_dependency(subject: Subject) -> Iterator[Violation]:
    """V296."""
    aggregates = {name for name, task, _ in subject.tasks() if task.aggregate is not None}
    if not aggregates:
        return
    for name, task, path in subject.tasks():
        lists = [((*path, key), getattr(task, key)) for key in ("depends_on", *HOOKS)]
        for plane, branch in sorted((task.execution.modes if task.execution is not None else {}).items()):
            lists.append(((*path, "execution", "modes", plane, "depends_on"), branch.depends_on or ()))
        for place, names in lists:
            for index, other in enumerate(names):
                if other != name and other in aggregates:
                    yield broken(
                        "V296",
                        (*place, index),
                        f"names the aggregate `{other}`",
                        "an aggregate is an entrypoint only",
                        f"name the members of `{other}` instead",
                    )


def _is_aggregate(subject: Subject, name: str) -> bool:
    task = subject.contract.tasks.get(name)
    return task is not None and task.aggregate is not None


RULES: tuple[Rule, ...] = (
    empty_name,
    no_body,
    several_bodies,
    empty_shell,
    unknown_context,
    unsupported_system,
    unknown_task,
    task_cycle,
    unknown_service,
    unenforceable_service,
    unknown_condition,
    unsupported_condition,
    empty_env_key,
    env_file_path,
    empty_aggregate,
    unknown_member,
    nested_aggregate,
    combined_aggregate,
    aggregate_as_dependency,
)
