"""`ota tasks`: every task as declared, filtered by what one asked to see. Executes nothing.

Internal tasks are left out by default, from the list and from every list of references.

Source: json-and-receipts specification 2.4, 2.5, 3.2; commands specification 7.
"""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from ota.contract.agent_safety import AgentSafety
from ota.contract.graph import TaskGraph
from ota.contract.load import Loaded
from ota.contract.model import Contract
from ota.contract.model.agent import Agent
from ota.contract.model.scalars import PLANES, Plane
from ota.contract.model.tasks import Branch, Effects, Input, Target, Task
from ota.contract.planes import BODY_KEYS, BRANCH_BODY_KEYS, VARIANT_BODY_KEYS, Planes
from ota.errors import PlanError
from ota.resolve.documents.bodies import stated_body
from ota.resolve.documents.readiness import runtime_document
from ota.resolve.documents.shape import Document, compact, masked
from ota.resolve.documents.workflows import workflow_document
from ota.resolve.inputs import flag_of
from ota.resolve.scope import Selection, select_workflow, workflow_tasks
from ota.resolve.targets import view_of
from ota.system.host import HostFacts

Shown = Callable[[str], bool]


class TaskFilter(Struct, frozen=True, kw_only=True):
    """What a listing is asked to show."""

    show_internal: bool = False
    safety: Literal["any", "safe", "unsafe"] = "any"
    via: Plane | None = None
    workflow: str | None = None
    with_use: bool = False
    target: str = ""
    """What a command line appends to be about this contract, with the blank before it."""


class TaskDocuments:
    """Task entries of one contract, with what all of them share computed once."""

    def __init__(
        self, contract: Contract, host: HostFacts, *, show_internal: bool = True, topology: bool = False
    ) -> None:
        self.contract = contract
        self.host = host
        self.planes = Planes(contract)
        self.safe = AgentSafety(contract).effective
        self.secrets = frozenset(name for name, var in contract.env.vars.items() if var.secret)
        self.show_internal = show_internal
        self.topology = topology

    def is_shown(self, name: str) -> bool:
        """Whether a listing may name the task."""
        return self.show_internal or name not in self.contract.tasks or not self.contract.tasks[name].internal

    def references(self, names: tuple[str, ...]) -> list[str]:
        """A list of task names without the hidden ones."""
        return [name for name in names if self.is_shown(name)]

    def entry(self, name: str) -> Document:
        """`task`, and in a topology its runtime and targets."""
        task = self.contract.tasks[name]
        body = self._body(task)
        document: Document = {"name": name, "kind": body.pop("kind", "run")}
        document |= compact(
            context=task.context,
            lifecycle=task.lifecycle,
            default_mode=task.execution.default_mode if task.execution is not None else None,
            description=task.description,
            notes=task.notes,
            category=task.category,
            env=masked(task.env, self.secrets),
            env_files=task.env_files,
            inputs={each: _input(task.inputs[each]) for each in sorted(task.inputs)},
        )
        if "aggregate" in body:
            body = {"aggregate": {"tasks": self.references(tuple(body["aggregate"]["tasks"]))}}
        document |= body
        document |= compact(
            effects=_effects(task.effects),
            selected_variant_os=self._variant_os(task),
            variants=[
                {
                    "os": variant.when.os,
                    **(stated_body(_bodies(variant, VARIANT_BODY_KEYS)) or _only_kind(document)),
                }
                for variant in task.variants
            ],
        )
        document |= {
            "depends_on": self.references(task.depends_on),
            "requires_services": list(task.requires_services),
            "after_success": self.references(task.after_success),
            "after_failure": self.references(task.after_failure),
            "after_always": self.references(task.after_always),
        }
        document |= compact(when_checks=task.when.checks if task.when is not None else None)
        document["safe_for_agent"] = name in self.safe
        document |= compact(
            internal=True if task.internal else None,
            only_on=task.only_on,
            modes=self._modes(task),
        )
        if self.topology:
            document |= compact(
                runtime=runtime_document(task.runtime, self.contract.surfaces) if task.runtime else None,
                targets=[target_document(each, task.targets[each]) for each in sorted(task.targets)],
            )
        return document

    def _body(self, task: Task) -> Document:
        """The task-level body; else the one this host would get; else the first there is."""
        own = stated_body(_bodies(task, BODY_KEYS))
        if own:
            return own
        default = self.planes.plane_of(task)[0]
        branches = task.execution.modes if task.execution is not None else {}
        matching = [each for each in task.variants if each.when.os == self.host.os]
        for record, keys in [
            *((branches[plane], BRANCH_BODY_KEYS) for plane in (default,) if plane in branches),
            *((each, VARIANT_BODY_KEYS) for each in matching),
            *((branches[plane], BRANCH_BODY_KEYS) for plane in PLANES if plane in branches),
            *((each, VARIANT_BODY_KEYS) for each in task.variants),
        ]:
            found = stated_body(_bodies(record, keys))
            if found:
                return found
        return {"kind": "run", "run": ""}

    def _variant_os(self, task: Task) -> str | None:
        return next((each.when.os for each in task.variants if each.when.os == self.host.os), None)

    def _modes(self, task: Task) -> list[Document]:
        branches = task.execution.modes if task.execution is not None else {}
        return [self._mode(plane, branches[plane]) for plane in PLANES if plane in branches]

    def _mode(self, plane: Plane, branch: Branch) -> Document:
        document = compact(
            mode=plane,
            context=branch.context,
            env=masked(branch.env, self.secrets),
            env_files=branch.env_files,
            lifecycle=branch.lifecycle,
            **stated_body(_bodies(branch, BRANCH_BODY_KEYS)),
            depends_on=self.references(branch.depends_on) if branch.depends_on is not None else None,
            has_runtime=branch.runtime is not None,
        )
        if self.topology and branch.runtime is not None:
            document["runtime"] = runtime_document(branch.runtime, self.contract.surfaces)
        return document


def _bodies(record: Struct, keys: tuple[str, ...]) -> dict[str, object]:
    return {key: getattr(record, key) for key in keys}


def _only_kind(document: Document) -> Document:
    """A variant without a body keeps the base body."""
    return {key: document[key] for key in ("kind", "run", "script") if key in document}


def _input(declared: Input) -> Document:
    return compact(
        description=declared.description,
        required=True if declared.required else None,
        default=declared.default,
        allowed=declared.allowed,
    )


def _effects(effects: Effects | None) -> Document | None:
    if effects is None:
        return None
    return compact(
        writes=effects.writes,
        network=effects.network,
        network_kind=effects.network_kind or ("broad" if effects.network else None),
        external_state=effects.external_state,
        workspace_writes=effects.workspace_writes,
        adapter_state=effects.adapter_state,
    )


def target_document(name: str, target: Target) -> Document:
    """`targetDecl`."""
    service = target.service
    return compact(
        name=name,
        kind="service" if service is not None else "url",
        activation_mode=target.activation.mode,
        override_input=target.override_input,
        url=target.url,
        service=compact(
            task=service.task,
            address_view=view_of(service),
            listener=service.listener,
            member=service.member,
            repo=service.repo,
        )
        if service is not None
        else None,
    )


def use_of(name: str, task: Task, target: str = "") -> str:
    """The exact command to type; what one must fill in stands in angle brackets."""
    from shlex import quote

    needed = [
        f"{flag_of(each)} {declared.allowed[0] if declared.allowed else f'<{each}>'}"
        for each, declared in task.inputs.items()
        if declared.required and declared.default is None
    ]
    return " ".join(["ota run", f"{quote(name)}{target}", *needed])


def tasks_document(loaded: Loaded, host: HostFacts, wanted: TaskFilter | None = None) -> Document:
    """The whole document.

    Raises:
        PlanError: an unknown workflow was asked for.
    """
    wanted = wanted or TaskFilter()
    contract = loaded.contract
    documents = TaskDocuments(contract, host, show_internal=wanted.show_internal)
    selection = select_workflow(loaded, wanted.workflow)
    names = [name for name in sorted(contract.tasks) if documents.is_shown(name)]
    names = [name for name in names if _is_wanted(documents, name, wanted)]
    if wanted.workflow is not None and selection.workflow is not None:
        pieces = TaskGraph(contract.tasks).closure(workflow_tasks(selection.workflow), activated=True)
        names = [name for name in names if name in pieces]
    entries = [documents.entry(name) for name in names]
    if wanted.with_use:
        for entry in entries:
            entry["use"] = use_of(entry["name"], contract.tasks[entry["name"]], wanted.target)
    document: Document = {"ok": True, "path": loaded.shown, "tasks": entries}
    if wanted.workflow is not None:  # the pieces of a path that was asked for, as `ota workflows` names them
        workflow = in_effect(loaded, selection, host)
    else:
        workflow = in_effect(loaded, selection, host, is_shown=documents.is_shown)
    if workflow is not None:
        document["workflow"] = workflow
    if contract.agent is not None:
        document |= compact(agent=agent_document(contract.agent, documents.is_shown))
    return document


def _is_wanted(documents: TaskDocuments, name: str, wanted: TaskFilter) -> bool:
    if wanted.safety != "any" and (name in documents.safe) != (wanted.safety == "safe"):
        return False
    return wanted.via is None or wanted.via in documents.planes.planes_of(documents.contract.tasks[name])


def in_effect(
    loaded: Loaded, selection: Selection, host: HostFacts, *, is_shown: Shown = lambda _: True
) -> Document | None:
    """The workflow a document carries, when one is in effect."""
    if selection.name is None:
        return None
    return workflow_document(loaded, selection.name, host, is_shown=is_shown)


def agent_document(agent: Agent, is_shown: Shown = lambda _: True) -> Document:
    """`agent`."""

    def shown(names: tuple[str, ...]) -> list[str]:
        return [name for name in names if is_shown(name)]

    bootstrap = agent.bootstrap.ota if agent.bootstrap is not None else None
    notes = "\n".join(agent.notes) if isinstance(agent.notes, tuple) else agent.notes
    entrypoint, default_task = agent.entrypoint, agent.default_task
    return compact(
        posture=agent.posture,
        entrypoint=entrypoint if entrypoint is not None and is_shown(entrypoint) else None,
        default_task=default_task if default_task is not None and is_shown(default_task) else None,
        safe_tasks=shown(agent.safe_tasks),
        verify_after_changes=shown(agent.verify_after_changes),
        writable_paths=agent.writable_paths,
        protected_paths=agent.protected_paths,
        inferred_boundary_reviewed=agent.inferred_boundary.reviewed if agent.inferred_boundary else None,
        bootstrap={"ota": compact(note=bootstrap.note, sh=bootstrap.sh, powershell=bootstrap.powershell)}
        if bootstrap is not None
        else None,
        notes=notes,
    )


def require_task(loaded: Loaded, name: str) -> Task:
    """The task of that name.

    Raises:
        PlanError: there is none.
    """
    from ota.resolve.planner import unknown_task

    if name not in loaded.contract.tasks:
        raise PlanError(unknown_task(loaded, name))
    return loaded.contract.tasks[name]
