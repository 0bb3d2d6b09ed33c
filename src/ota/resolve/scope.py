"""What one plan is resolved against: contract, request, host facts, and the workflow in effect.

Nothing is decided here beyond the selection of the workflow; the neighbours of this module each
decide one thing about one task.

Source: commands specification 1.4; contract specification 16 (selection, instances).
"""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from ota.contract.grammar import nearest
from ota.contract.load import Loaded
from ota.contract.model.env import EnvProfile
from ota.contract.model.tasks import Branch, Task, Variant
from ota.contract.model.workflows import Instance, Workflow
from ota.contract.planes import ContextChoice, Planes, branch_of
from ota.env.layers import FileMaker
from ota.errors import Finding, Place, PlanError
from ota.resolve.file_makers import file_makers
from ota.resolve.plan import Relation, Request
from ota.system.host import HostFacts

if TYPE_CHECKING:
    from ota.resolve.instances import SelectedInstance


class Selection:
    """The workflow (and instance) in effect; empty for the repo-wide path."""

    def __init__(self, name: str | None, workflow: Workflow | None, instance: str | None) -> None:
        self.name = name
        self.workflow = workflow
        self.instance_name = instance

    @cached_property
    def instance(self) -> "SelectedInstance | None":
        """The instance in effect, its own names written out."""
        if self.workflow is None or self.instance_name is None:
            return None
        found = instance_of(self.workflow, self.instance_name)
        if found is None:
            return None
        from ota.resolve.instances import selected_instance  # paid only by contracts that have instances

        return selected_instance(self.instance_name, *found)

    @property
    def profile_name(self) -> str | None:
        """The env profile the workflow selects."""
        return self.workflow.env.profile if self.workflow is not None and self.workflow.env else None


def select_workflow(loaded: Loaded, asked: str | None) -> Selection:
    """`--workflow w[@instance]`, else `workflows.default`, else the repo-wide path.

    Raises:
        PlanError: no such workflow or instance.
    """
    workflows = loaded.contract.workflows
    spoken = asked if asked is not None else workflows.default
    if spoken is None:
        return Selection(None, None, None)
    name, instance = spoken, None
    if spoken not in workflows.entries and "@" in spoken:
        name, _, instance = spoken.rpartition("@")
    workflow = workflows.entries.get(name)
    if workflow is None:
        raise PlanError(_unknown("workflow", spoken, tuple(workflows.entries)))
    if workflow.instances is None:
        if instance is not None:
            raise PlanError(_unknown("workflow instance", spoken, ()))
        return Selection(name, workflow, None)
    chosen = instance or workflow.instances.default
    if instance_of(workflow, chosen) is None:
        raise PlanError(_unknown("workflow instance", spoken, instance_names(workflow)))
    return Selection(name, workflow, chosen)


def instance_names(workflow: Workflow) -> tuple[str, ...]:
    """Every instance, generated ones expanded."""
    if workflow.instances is None:
        return ()
    generated = [
        f"{family.prefix}{number}"
        for family in workflow.instances.generated.values()
        for number in range(family.start, family.end + 1)
    ]
    return tuple(sorted({*workflow.instances.named, *generated}))


def instance_of(workflow: Workflow, name: str) -> tuple[Instance, int | None] | None:
    """An instance and, for a generated one, its index."""
    if workflow.instances is None:
        return None
    if name in workflow.instances.named:
        return workflow.instances.named[name], None
    for family in workflow.instances.generated.values():
        tail = name.removeprefix(family.prefix)
        is_index = tail.isascii() and tail.isdigit() and len(tail) < 10 and str(int(tail)) == tail
        if name.startswith(family.prefix) and is_index and family.start <= int(tail) <= family.end:
            return family.template, int(tail)
    return None


def workflow_tasks(workflow: Workflow) -> tuple[str, ...]:
    """The tasks a workflow names itself, in phase order."""
    prepare = workflow.prepare.task if workflow.prepare is not None else None
    phases = (workflow.setup, workflow.run, workflow.attach)
    named = [prepare, *(phase.task if phase is not None else None for phase in phases)]
    return tuple(dict.fromkeys(name for name in named if name is not None))


class Scope:
    """One contract, one request, one host."""

    def __init__(self, loaded: Loaded, request: Request, host: HostFacts) -> None:
        self.loaded = loaded
        self.contract = loaded.contract
        self.request = request
        self.host = host
        self.planes = Planes(loaded.contract)
        self._selection = Selection(None, None, None)
        self._file_makers: Mapping[str, FileMaker] | None = None

    @property
    def selection(self) -> Selection:
        """The workflow in effect; its instance, when it has one, shapes `contract` and `planes`."""
        return self._selection

    @selection.setter
    def selection(self, selection: Selection) -> None:
        self._selection = selection
        self._file_makers = None
        self.contract = self.loaded.contract
        if selection.instance is not None:
            from ota.resolve.instances import overlaid  # paid only by contracts that have instances

            self.contract = overlaid(self.contract, selection.instance)
        if self.contract is not self.planes.contract:
            self.planes = Planes(self.contract)

    def place(self, *field: str | int) -> Place:
        """Where a field of the contract stands."""
        return self.loaded.place(field)

    @property
    def profile(self) -> EnvProfile | None:
        """The env profile of the workflow in effect."""
        return self.contract.env.profiles.get(self.selection.profile_name or "")

    @property
    def file_makers(self) -> Mapping[str, FileMaker]:
        """Who makes the files that values come from, tasks of the workflow first."""
        if self._file_makers is None:
            workflow = self.selection.workflow
            first = workflow_tasks(workflow) if workflow is not None else ("setup",)
            self._file_makers = file_makers(self.contract.tasks, first, self.request)
        return self._file_makers


class TaskScope:
    """One task on the one plane it got, before the rest of it is decided."""

    def __init__(
        self, scope: Scope, name: str, choice: ContextChoice, relation: Relation, task: Task | None = None
    ) -> None:
        """`task` stands in for a declared one when a plan is about any unbound task."""
        self.scope = scope
        self.name = name
        self.task: Task = task if task is not None else scope.contract.tasks[name]
        self.choice = choice
        self.relation = relation
        self.branch: Branch | None = branch_of(self.task, choice.plane)
        self.variant: tuple[int, Variant] | None = self._variant()

    @property
    def is_requested(self) -> bool:
        """Overrides of one run reach only the task the operator named."""
        return self.relation == "requested"

    @property
    def command(self) -> str:
        """What runs this task by itself."""
        return self.scope.request.command_of(self.name)

    @property
    def target_os(self) -> str:
        """Which system runs the body: containers and remotes are Linux, as far as a contract can tell."""
        return self.scope.host.os if self.choice.plane == "native" else "linux"

    @property
    def field(self) -> tuple[str, str]:
        """Where the task stands."""
        return ("tasks", self.name)

    @property
    def branch_field(self) -> tuple[str, ...]:
        """Where the branch in effect stands."""
        return (*self.field, "execution", "modes", self.choice.plane)

    def _variant(self) -> tuple[int, Variant] | None:
        for index, variant in enumerate(self.task.variants):
            if variant.when.os == self.target_os:
                return index, variant
        return None


def _unknown(what: str, name: str, declared: tuple[str, ...]) -> Finding:
    listed = ", ".join(f"`{each}`" for each in declared)
    close = nearest(name, declared)
    return Finding(
        code="OTA_WORKFLOW_UNKNOWN",
        summary=f"unknown {what} `{name}`",
        why=f"declared: {listed}" if listed else f"the contract declares no {what}",
        next=f"use `{close}`" if close else "ota workflows",
        category="contract",
    )
