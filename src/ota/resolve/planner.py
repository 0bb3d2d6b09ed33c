"""From a valid contract and one request to the plan: which tasks, in which order, each fully decided.

Owns the walk over dependencies, aggregate members and hooks. What one task of it is, is `task_plan`'s.
Every walk is a loop: a chain of ten thousand tasks is as good as one of ten.

Source: contract specification 11.4, 15.12; runtime specification 1.3 to 1.7; commands specification
2.1 to 2.4.
"""

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from ota.contract.grammar import nearest
from ota.contract.graph import TaskGraph
from ota.contract.load import Loaded
from ota.contract.model.execution import Context
from ota.contract.model.scalars import Lifecycle, Plane
from ota.contract.model.tasks import Task
from ota.contract.planes import ContextChoice, Planes, PlaneSource
from ota.errors import Finding, PlanError
from ota.resolve.env_layers import plan_rendering
from ota.resolve.plan import Plan, Relation, Request, StepPlan
from ota.resolve.requirement_sets import is_scoped
from ota.resolve.scope import Scope, Selection, TaskScope, select_workflow, workflow_tasks
from ota.resolve.service_plan import ServicePlan
from ota.resolve.task_plan import declared_dependencies, plan_task
from ota.system.host import HostFacts

STEP_LIMIT = 100_000
"""Hooks may run again and again; beyond this many steps a contract cannot mean what it says."""

_HOOK_LISTS: tuple[Relation, ...] = ("after_success", "after_failure", "after_always")


def plan_run(loaded: Loaded, request: Request, host: HostFacts) -> Plan:
    """Everything `ota run <task>` would do; refusals are data in it.

    Raises:
        PlanError: no plan can be written down: unknown task or workflow, or an endless graph.
    """
    requested = request.task
    if requested is None or requested not in loaded.contract.tasks:
        raise PlanError(unknown_task(loaded, requested, target=request.target))
    scope = Scope(loaded, request, host)
    # Without `--workflow` the baseline counts only for tasks that belong to it.
    selection = select_workflow(loaded, request.workflow)
    if request.workflow is not None or _belongs(scope, selection):
        scope.selection = selection
    walk = Walk()
    steps = walk.steps(scope, requested)
    return Plan(
        request=request,
        root=loaded.root,
        contract_shown=loaded.shown,
        steps=steps,
        requested=requested,
        services=planned_services(scope, steps.values()),
        workflow=scope.selection.name,
        render=plan_rendering(scope),
        skipped_dependencies=walk.skipped,
        secrets=secret_names(loaded),
        warnings=loaded.warnings,
    )


def secret_names(loaded: Loaded) -> tuple[str, ...]:
    """Variables whose values are never shown."""
    return tuple(name for name, var in loaded.contract.env.vars.items() if var.secret)


def planned_services(
    scope: Scope, steps: Iterable[StepPlan], others: Iterable[str] = ()
) -> tuple[ServicePlan, ...]:
    """What the steps require, and `others`, with all they depend on, in starting order."""
    names = dict.fromkeys((*others, *(name for step in steps for name in step.task.requires_services)))
    if not names:
        return ()
    from ota.resolve.services import plan_services  # paid only by plans that require services

    return plan_services(scope, names)


def _belongs(scope: Scope, selection: Selection) -> bool:
    """Whether the requested task is one a workflow runs, itself or through its graph."""
    if selection.workflow is None:
        return False
    return scope.request.task in TaskGraph(scope.contract.tasks).closure(workflow_tasks(selection.workflow))


def unknown_task(loaded: Loaded, name: str | None, *, target: str = "") -> Finding:
    """No such task, with the name that was probably meant. `target`: what follow-up commands append."""
    declared = loaded.contract.tasks
    visible = [each for each, task in declared.items() if not task.internal]
    close = nearest(name, declared) if name is not None else None
    count = "1 task" if len(visible) == 1 else f"{len(visible) or 'no'} tasks"
    lists = f"ota tasks --use{target}"
    return Finding(
        code="OTA_TASK_UNKNOWN",
        summary=f"unknown task `{name}`" if name is not None else "no task was named",
        why=f"{loaded.shown} declares {count}",
        next=f"did you mean `{close}`? `{lists}` lists all" if close else lists,
        place=loaded.place(("tasks",)),
        category="execution",
        title="Operation failed",
    )


# --- the walk ------------------------------------------------------------------------------------


class _Draft:
    """One node of the execution while it is being ordered."""

    def __init__(self, ts: TaskScope, id_: str, parent: str | None, generation: int) -> None:
        self.ts = ts
        self.id = id_
        self.parent = parent
        self.generation = generation
        self.links: dict[Relation, list[str]] = {}
        self.before: Iterator[tuple[Relation, str]] = iter(())
        self.after: Iterator[tuple[Relation, str]] = iter(())
        self.is_placed = False
        self.is_done = False


class Walk:
    """Depth first, declared order: what runs before a task, the task, then its hooks.

    Several tasks may be walked one after another: what an earlier one has placed is not placed again.
    """

    def __init__(self) -> None:
        self.scope: Scope
        self.skipped: tuple[str, ...] = ()
        self.drafts: dict[tuple[str, int], _Draft] = {}
        self.order: list[_Draft] = []
        self.generations = 0

    def steps(self, scope: Scope, name: str) -> dict[str, StepPlan]:
        """The steps that running this task adds, in execution order.

        Raises:
            PlanError: the graph has no end.
        """
        drafts = self._from_task(scope, name)
        closure_is_scoped = any(is_scoped(draft.ts) for draft in drafts)
        return {draft.id: _step(draft, closure_is_scoped) for draft in drafts}

    def inline(self, scope: Scope, name: str, task: Task) -> StepPlan:
        """A step that is declared in place, not under `tasks`; `name` is what it is called."""
        self.scope = scope
        draft = _Draft(TaskScope(scope, name, choose(scope.planes, task), "requested", task), name, None, 0)
        self.order.append(draft)
        return _step(draft, closure_is_scoped=is_scoped(draft.ts))

    def _from_task(self, scope: Scope, name: str) -> list[_Draft]:
        self.scope = scope
        placed = len(self.order)
        if (name, 0) in self.drafts:
            return []
        asked = scope.request
        task = scope.contract.tasks[name]
        choice = choose(scope.planes, task, asked.mode, asked.lifecycle)
        stack = [self._open(name, "requested", None, 0, choice)]
        while stack:
            draft = stack[-1]
            opened = self._advance(draft)
            if opened is not None:
                stack.append(opened)
            elif draft.is_done:
                stack.pop()
        return self.order[placed:]

    def _advance(self, draft: _Draft) -> _Draft | None:
        """One move of a draft; the child it opened, if any."""
        if not draft.is_placed:
            for relation, name in draft.before:
                child = self.drafts.get((name, draft.generation))
                if child is None:
                    return self._child(draft, relation, name, draft.generation)
                self._link(draft, relation, child)
            draft.is_placed = True
            self.order.append(draft)
            return None
        for relation, name in draft.after:
            generation = draft.generation
            if (name, generation) in self.drafts:
                self.generations += 1
                generation = self.generations
            return self._child(draft, relation, name, generation)
        draft.is_done = True
        return None

    def _child(self, parent: _Draft, relation: Relation, name: str, generation: int) -> _Draft:
        task = self.scope.contract.tasks[name]
        if relation in _HOOK_LISTS:
            choice = choose(self.scope.planes, task)
        else:
            choice = choose_dependency(self.scope.planes, task, parent.ts, self.scope.request)
        child = self._open(name, relation, parent.ts.name, generation, choice)
        parent.links.setdefault(relation, []).append(child.id)
        return child

    def _link(self, parent: _Draft, relation: Relation, child: _Draft) -> None:
        if not child.is_placed:
            raise PlanError(self._endless(f"task `{child.ts.name}` waits for itself"))
        ids = parent.links.setdefault(relation, [])
        if child.id not in ids:
            ids.append(child.id)

    def _open(
        self, name: str, relation: Relation, parent: str | None, generation: int, choice: ContextChoice
    ) -> _Draft:
        if len(self.drafts) >= STEP_LIMIT:
            raise PlanError(self._endless(f"more than {STEP_LIMIT} steps"))
        ts = TaskScope(self.scope, name, choice, relation)
        draft = _Draft(ts, self._id(name, generation), parent, generation)
        self.drafts[name, generation] = draft
        dependencies = self._dependencies(ts)
        members = ts.task.aggregate.tasks if ts.task.aggregate is not None else ()
        draft.before = iter(
            [
                *(("depends_on", each) for each in dependencies),
                *(("aggregate_member", each) for each in members),
            ]
        )
        hooks: list[tuple[Relation, str]] = []
        for hook in _HOOK_LISTS:
            hooks += [(hook, each) for each in getattr(ts.task, hook)]
        draft.after = iter(hooks)
        return draft

    def _dependencies(self, ts: TaskScope) -> tuple[str, ...]:
        declared = declared_dependencies(ts)
        if ts.is_requested and self.scope.request.skip_deps:
            self.skipped = declared
            return ()
        return declared

    def _id(self, name: str, generation: int) -> str:
        if generation == 0:
            return name
        spelled = f"{name}@{generation}"
        while spelled in self.scope.contract.tasks:
            spelled += "@"  # a task may really be called so
        return spelled

    def _endless(self, why: str) -> Finding:
        return Finding(
            code="OTA_PLAN_ENDLESS",
            summary="the task graph has no end",
            why=why,
            next="remove one of the dependencies or hooks that lead back",
            place=self.scope.place("tasks"),
            category="execution",
        )


def choose(
    planes: Planes, task: Task, asked: Plane | None = None, lifecycle: Lifecycle | None = None
) -> ContextChoice:
    """The plane of a task; an aggregate runs nothing itself, so it has none but the host's."""
    if task.aggregate is not None:
        return ContextChoice(
            plane="native",
            plane_source="default",
            name=None,
            context=Context(backend="native"),
            lifecycle=None,
            lifecycle_source=None,
        )
    return planes.choose(task, asked=asked, asked_lifecycle=lifecycle)


def choose_dependency(planes: Planes, task: Task, parent: TaskScope, request: Request) -> ContextChoice:
    """A dependency keeps its parent's plane when it truthfully supports it, else it chooses its own.

    A declared `default_mode` is the dependency's own word and beats the parent's plane, `--mode`
    included (runtime specification 1.7, 25.4). `--lifecycle` is passed on; ports and memory never are.
    """
    lifecycle = request.lifecycle
    own = choose(planes, task, lifecycle=lifecycle)
    execution = task.execution
    if execution is not None and execution.default_mode is not None:
        return own
    is_aggregate = parent.task.aggregate is not None
    inherited = request.mode if is_aggregate else parent.choice.plane
    if inherited is None or inherited == own.plane:
        return own
    if execution is not None and execution.modes:
        if inherited not in execution.modes:
            return own
    elif request.mode != inherited or not _is_unbound(planes, task, inherited):
        return own
    chosen = planes.choose(task, asked=inherited, asked_lifecycle=lifecycle)
    return _with_source(chosen, "override" if is_aggregate else "inherited parent backend")


def _is_unbound(planes: Planes, task: Task, plane: Plane) -> bool:
    """Whether a task without branches leaves its plane to the operator, and the plane exists."""
    if task.context is not None:
        return False
    named = planes.context_name(task, plane)
    return plane == "native" or named is not None or planes.has_shorthand(plane)


def _with_source(choice: ContextChoice, source: PlaneSource) -> ContextChoice:
    return replace(choice, plane_source=source)


def _step(draft: _Draft, closure_is_scoped: bool) -> StepPlan:
    links = {relation: tuple(ids) for relation, ids in draft.links.items()}
    return StepPlan(
        id=draft.id,
        task=plan_task(draft.ts, closure_is_scoped=closure_is_scoped),
        relation=draft.ts.relation,
        parent=draft.parent,
        generation=draft.generation,
        depends_on=(*links.get("depends_on", ()), *links.get("aggregate_member", ())),
        after_success=links.get("after_success", ()),
        after_failure=links.get("after_failure", ()),
        after_always=links.get("after_always", ()),
    )
