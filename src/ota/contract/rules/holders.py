"""Where bodies stand: every stated body of every task, with the planes on which it runs.

Owns the walk only; rules about bodies are in `bodies`, `prepare` and `actions`.

Source: contract specification 15.2, 15.5.
"""

from collections.abc import Iterator

from msgspec import Struct

from ota.contract.model.bodies import (
    Action,
    BuildContainerImage,
    BundleStep,
    ComposeBody,
    DependencyHydration,
    EnsureBundle,
    Prepare,
    PrepareSequence,
    SequenceStep,
    ToolBootstrap,
)
from ota.contract.model.scalars import Plane
from ota.contract.model.tasks import Branch, Task, Variant
from ota.contract.planes import BRANCH_BODY_KEYS, stated_bodies
from ota.contract.rules.base import FieldPath, Subject

SingleAction = BundleStep | BuildContainerImage


class Holder(Struct, frozen=True, kw_only=True):
    """A record of a task that may state a body: the task itself, a mode branch or a variant."""

    task_name: str
    task: Task
    path: FieldPath
    record: Task | Branch | Variant
    planes: tuple[Plane, ...]
    """Planes on which a body stated here runs; empty when every plane has its own."""


def holders(subject: Subject) -> tuple[Holder, ...]:
    """Every record that may state a body, task by task."""
    return subject.collected(_holders)


def _holders(subject: Subject) -> Iterator[Holder]:
    for name, task, path in subject.tasks():
        modes = task.execution.modes if task.execution is not None else {}
        own = {plane for plane, branch in modes.items() if stated_bodies(branch, BRANCH_BODY_KEYS)}
        base = tuple(plane for plane in subject.planes.planes_of(task) if plane not in own)
        yield Holder(task_name=name, task=task, path=path, record=task, planes=base)
        for plane, branch in sorted(modes.items()):
            place = (*path, "execution", "modes", plane)
            yield Holder(task_name=name, task=task, path=place, record=branch, planes=(plane,))
        for index, variant in enumerate(task.variants):
            place = (*path, "variants", index)
            yield Holder(task_name=name, task=task, path=place, record=variant, planes=base)


def compose_bodies(subject: Subject) -> tuple[tuple[Holder, FieldPath, ComposeBody], ...]:
    """Every finite Compose lane."""
    return subject.collected(_compose_bodies)


def _compose_bodies(subject: Subject) -> Iterator[tuple[Holder, FieldPath, ComposeBody]]:
    for holder in holders(subject):
        if holder.record.compose is not None:
            yield holder, (*holder.path, "compose"), holder.record.compose


def prepare_bodies(subject: Subject) -> tuple[tuple[Holder, FieldPath, Prepare], ...]:
    """Every prepare body."""
    return subject.collected(_prepare_bodies)


def _prepare_bodies(subject: Subject) -> Iterator[tuple[Holder, FieldPath, Prepare]]:
    for holder in holders(subject):
        record = holder.record
        if not isinstance(record, Variant) and record.prepare is not None:
            yield holder, (*holder.path, "prepare"), record.prepare


def prepare_steps(
    path: FieldPath, prepare: Prepare
) -> Iterator[tuple[FieldPath, DependencyHydration | ToolBootstrap]]:
    """The hydrations and bootstraps of a prepare body, a sequence opened."""
    if not isinstance(prepare, PrepareSequence):
        yield path, prepare
        return
    for index, step in enumerate(prepare.steps):
        if isinstance(step, DependencyHydration | ToolBootstrap):
            yield (*path, "steps", index), step


def task_actions(subject: Subject) -> Iterator[tuple[FieldPath, Action]]:
    """Every action as declared: task bodies, workflow prepare actions."""
    for _, task, path in subject.tasks():
        if task.action is not None:
            yield (*path, "action"), task.action
    for name, workflow in sorted(subject.contract.workflows.entries.items()):
        if workflow.prepare is not None and workflow.prepare.action is not None:
            yield ("workflows", name, "prepare", "action"), workflow.prepare.action


def single_actions(subject: Subject) -> tuple[tuple[FieldPath, SingleAction], ...]:
    """Every single action step, bundles and sequences opened."""
    return subject.collected(_single_actions)


def _single_actions(subject: Subject) -> Iterator[tuple[FieldPath, SingleAction]]:
    for path, action in task_actions(subject):
        if isinstance(action, EnsureBundle):
            for index, step in enumerate(action.steps):
                yield (*path, "steps", index), step
        else:
            yield path, action
    for _, path, prepare in prepare_bodies(subject):
        if isinstance(prepare, PrepareSequence):
            for index, each in enumerate(prepare.steps):
                yield from _as_action((*path, "steps", index), each)


def _as_action(path: FieldPath, step: SequenceStep) -> Iterator[tuple[FieldPath, SingleAction]]:
    if not isinstance(step, DependencyHydration | ToolBootstrap):
        yield path, step
