"""Rules of `workflows`: phases, readiness lanes, exposed surfaces.

Env and adapter inputs are in `workflow_env`, instances in `instances`.

Source: contract specification 16; appendix A V500 to V518.
"""

from collections.abc import Iterator

from ota.contract.model.workflows import Workflow
from ota.contract.planes import runtime_on
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.phrases import empty_keys, listed, some
from ota.contract.rules.values import empty_text, unknown
from ota.contract.rules.wording import broken, unknown_all

_WORKFLOWS: FieldPath = ("workflows",)
_PHASES = ("setup", "run", "attach")


def entries(subject: Subject) -> Iterator[tuple[FieldPath, Workflow]]:
    for name, workflow in sorted(subject.contract.workflows.entries.items()):
        yield (*_WORKFLOWS, name), workflow


def empty_default(subject: Subject) -> Iterator[Violation]:
    """V500."""
    yield from empty_text("V500", (*_WORKFLOWS, "default"), subject.contract.workflows.default)


def only_default(subject: Subject) -> Iterator[Violation]:
    """V501."""
    workflows = subject.contract.workflows
    if workflows.default and not workflows.entries:
        yield broken(
            "V501",
            (*_WORKFLOWS, "default"),
            "is the only key",
            "`default` names one of its siblings, and there is none",
            f"declare workflow `{workflows.default}`, or remove `workflows`",
        )


def unknown_default(subject: Subject) -> Iterator[Violation]:
    """V502."""
    workflows = subject.contract.workflows
    if workflows.default and workflows.default.strip() and workflows.entries:
        yield from unknown(
            subject,
            "V502",
            (*_WORKFLOWS, "default"),
            "workflow",
            workflows.default,
            workflows.entries,
        )


def empty_name_or_intent(subject: Subject) -> Iterator[Violation]:
    """V503."""
    yield from empty_keys("V503", _WORKFLOWS, "`workflows`", subject.contract.workflows.entries)
    for path, workflow in entries(subject):
        yield from empty_text("V503", (*path, "intent"), workflow.intent)


def one_prepare(subject: Subject) -> Iterator[Violation]:
    """V505."""
    for path, workflow in entries(subject):
        prepare = workflow.prepare
        if prepare is not None and (prepare.task is None) == (prepare.action is None):
            yield broken(
                "V505",
                (*path, "prepare"),
                "needs exactly one of `task` and `action`",
                f"found {'none' if prepare.task is None else 'both'}",
                "keep one of the two",
            )


def unknown_prepare(subject: Subject) -> Iterator[Violation]:
    """V506."""
    for path, workflow in entries(subject):
        if workflow.prepare is not None and workflow.prepare.task is not None:
            yield from unknown(
                subject,
                "V506",
                (*path, "prepare", "task"),
                "task",
                workflow.prepare.task,
                subject.contract.tasks,
            )


def prepare_task(subject: Subject) -> Iterator[Violation]:
    """V507, V508, V509."""
    for path, workflow in entries(subject):
        name = workflow.prepare.task if workflow.prepare is not None else None
        task = subject.contract.tasks.get(name or "")
        if task is None:
            continue
        where = (*path, "prepare", "task")
        if task.launch is not None or task.compose is not None or task.aggregate is not None:
            yield broken(
                "V507",
                where,
                f"names `{name}`, whose body is not a finite host step",
                "it has one of run, script, command, prepare and action",
                "name a task that ends by itself on the host",
            )
        plane = subject.planes.plane_of(task)[0]
        if plane != "native":
            yield broken(
                "V508",
                where,
                f"names `{name}`, which runs on {plane}",
                "prepare comes before every other plane exists, so it must be native",
                f"give task `{name}` a native context",
            )
        if task.runtime is not None or task.requires_services:
            found = "runtime" if task.runtime is not None else "requires_services"
            yield broken(
                "V509",
                where,
                f"names `{name}`, which has `{found}`",
                "prepare is host bootstrap only, before services start",
                f"remove `{found}` from `{name}`, or use it as `setup`",
            )


def unknown_phase(subject: Subject) -> Iterator[Violation]:
    """V510."""
    for path, workflow in entries(subject):
        for phase in _PHASES:
            ref = getattr(workflow, phase)
            if ref is not None:
                where = (*path, phase, "task")
                yield from unknown(subject, "V510", where, "task", ref.task, subject.contract.tasks)


def unknown_service(subject: Subject) -> Iterator[Violation]:
    """V511."""
    for path, workflow in entries(subject):
        required = workflow.services.required if workflow.services is not None else None
        if required:
            where = (*path, "services", "required")
            yield from unknown_all(subject, "V511", where, "service", required, subject.contract.services)


def _lanes(subject: Subject, key: str) -> Iterator[tuple[FieldPath, Workflow, tuple[str, ...]]]:
    """One kind of readiness item, gates first, then signals."""
    for path, workflow in entries(subject):
        if workflow.readiness is not None:
            yield (*path, "readiness", key), workflow, getattr(workflow.readiness, key)
            signals = getattr(workflow.readiness.signal, key)
            yield (*path, "readiness", "signal", key), workflow, signals


def unknown_readiness(subject: Subject) -> Iterator[Violation]:
    """V512, V513, V514."""
    contract = subject.contract
    for path, _, names in _lanes(subject, "checks"):
        yield from unknown_all(subject, "V512", path, "check", names, subject.checks)
    for path, _, names in _lanes(subject, "probes"):
        yield from unknown_all(subject, "V513", path, "probe", names, contract.readiness.probes)
    for path, _, names in _lanes(subject, "surfaces"):
        yield from unknown_all(subject, "V514", path, "surface", names, contract.surfaces)


def two_lanes(subject: Subject) -> Iterator[Violation]:
    """V515."""
    for path, workflow in entries(subject):
        if workflow.readiness is None:
            continue
        for key in ("checks", "probes", "surfaces"):
            gates = getattr(workflow.readiness, key)
            for index, name in enumerate(getattr(workflow.readiness.signal, key)):
                if name in gates:
                    yield broken(
                        "V515",
                        (*path, "readiness", "signal", key, index),
                        f"repeats `{name}`, which is a gate already",
                        "an item is in one lane only",
                        "remove it from one of the two lists",
                    )


def _attached(subject: Subject, workflow: Workflow) -> frozenset[str] | None:
    """Surfaces the run task attaches on its default plane; None without a known run task."""
    task = subject.contract.tasks.get(workflow.run.task) if workflow.run is not None else None
    if task is None:
        return None
    runtime = runtime_on(task, subject.planes.plane_of(task)[0])
    return frozenset(each.name for each in runtime.surfaces) if runtime is not None else frozenset()


def readiness_surfaces(subject: Subject) -> Iterator[Violation]:
    """V516, V517."""
    for path, workflow, names in _lanes(subject, "surfaces"):
        if not names:
            continue
        if workflow.run is None:
            yield broken(
                "V516",
                path,
                "needs a run task",
                "a surface is published by the workflow's run task",
                "declare `run.task`",
            )
            continue
        attached = _attached(subject, workflow)
        for index, name in enumerate(names):
            if attached is not None and name in subject.contract.surfaces and name not in attached:
                yield broken(
                    "V517",
                    (*path, index),
                    f"names surface `{name}`, which run task `{workflow.run.task}` does not attach",
                    f"on its plane the task attaches {listed(sorted(attached)) or 'none'}",
                    f"add `{name}` to `tasks.{workflow.run.task}.runtime.surfaces`",
                )


def unresolved_expose(subject: Subject) -> Iterator[Violation]:
    """V518."""
    for path, workflow in entries(subject):
        attached = _attached(subject, workflow)
        for index, expose in enumerate(workflow.exposes):
            name = expose.surface
            if name is None and expose.url is not None:
                continue
            if name is None:
                why = "it is neither a URL nor a surface"
            elif name not in subject.contract.surfaces:
                why = f"`{name}` is unknown; {some(subject.contract.surfaces, 'surface')}"
            elif workflow.run is None:
                why = "the workflow has no run task to publish it"
            elif attached is not None and name not in attached:
                why = f"run task `{workflow.run.task}` does not attach `{name}`"
            else:
                continue
            yield broken(
                "V518",
                (*path, "exposes", index),
                "cannot be resolved",
                why,
                "name a surface that the run task attaches, or write a URL",
            )


RULES: tuple[Rule, ...] = (
    empty_default,
    only_default,
    unknown_default,
    empty_name_or_intent,
    one_prepare,
    unknown_prepare,
    prepare_task,
    unknown_phase,
    unknown_service,
    unknown_readiness,
    two_lanes,
    readiness_surfaces,
    unresolved_expose,
)
