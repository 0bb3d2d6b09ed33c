"""From a contract and a selected workflow to the plan of `ota up`.

Pure. Which tasks are prepare, setup and run, which services come first, and what of the selected path
this build refuses by name. Everything about one task is decided by the planner of runs.

Source: commands specification 3; runtime specification 14.2, 14.3; contract specification 16; decision D8.
"""

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from ota.contract.load import Loaded
from ota.contract.model.tasks import Task
from ota.errors import Finding
from ota.resolve.env_layers import plan_rendering
from ota.resolve.plan import Plan, ProbePlan, ReadinessPlan, Request, StepPlan, TaskPlan
from ota.resolve.planner import Walk, planned_services, secret_names
from ota.resolve.scope import Scope, Selection, select_workflow
from ota.resolve.up_plan import Phase, RequiredInstance, UpPlan
from ota.system.host import HostFacts


class _Named(Struct, frozen=True, kw_only=True):
    """The tasks a path names for its phases."""

    prepare: str | None = None
    setup: str | None = None
    run: str | None = None
    attach: str | None = None


def plan_up(
    loaded: Loaded,
    request: Request,
    host: HostFacts,
    *,
    attaches: bool = False,
    ready_limit_ms: int | None = None,
) -> UpPlan:
    """Everything `ota up` would do; refusals are data.

    `attaches`: whether the attach task is wanted. `ready_limit_ms`: how long the run task may take.

    Raises:
        PlanError: no such workflow, or a task graph without an end.
    """
    selection = select_workflow(loaded, request.workflow)
    named = _named(loaded, selection, attaches=attaches)
    phases = _Phases(loaded, request, host, selection)
    prepare = phases.add_inline(selection) or phases.add("prepare", named.prepare)
    setup = phases.add("setup", named.setup)
    runtime = phases.task_of("run", named.run) if named.run is not None else None
    is_service = runtime is not None and runtime.runtime is not None
    run = phases.add("run", named.run) if is_service else None
    if run is not None:
        phases.steps[run] = awaited(phases.steps[run], ready_limit_ms)
    attach = phases.add("attach", named.attach) if run is not None else None
    finite = () if named.run is None or is_service else phases.closure_of("run", named.run)
    services = _services(loaded, selection, phases.steps.get(setup or ""))
    return UpPlan(
        plan=Plan(
            request=request,
            root=loaded.root,
            contract_shown=loaded.shown,
            steps=phases.steps,
            requested=run or setup or "",
            services=planned_services(phases.scope, phases.steps.values(), services),
            workflow=selection.name,
            render=plan_rendering(phases.scope),
            secrets=secret_names(loaded),
            warnings=loaded.warnings,
        ),
        selection=selection,
        prepare=prepare,
        setup=setup,
        run=run,
        has_own_readiness=runtime is None or runtime.runtime is None or runtime.runtime.readiness is not None,
        attach=attach,
        task=named.run or named.setup,
        services=services,
        phase_of=phases.phase_of,
        path=(*(step.task for step in phases.steps.values()), *finite),
        skipped=tuple(_skipped(named, selection, request, is_service=is_service)),
        requires=tuple(_required(loaded, request, host, selection)) if is_service else (),
        refusals=tuple(_refusals(loaded, request, phases.steps.get(setup or ""))),
    )


def _named(loaded: Loaded, selection: Selection, *, attaches: bool) -> _Named:
    """The workflow's phases; without one the implicit setup, and what one would run by default."""
    workflow = selection.workflow
    if workflow is None:
        agent = loaded.contract.agent
        entry = (agent.default_task or agent.entrypoint) if agent is not None else None
        return _Named(
            setup="setup" if "setup" in loaded.contract.tasks else None,
            run=entry if entry in loaded.contract.tasks and entry != "setup" else None,
        )
    return _Named(
        prepare=workflow.prepare.task if workflow.prepare is not None else None,
        setup=workflow.setup.task if workflow.setup is not None else None,
        run=workflow.run.task if workflow.run is not None else None,
        attach=workflow.attach.task if workflow.attach is not None and attaches else None,
    )


class _Phases:
    """The steps of one phase after the other; a task that an earlier phase runs is not run again."""

    def __init__(self, loaded: Loaded, request: Request, host: HostFacts, selection: Selection) -> None:
        self.scope = Scope(loaded, request, host)
        self.scope.selection = selection
        self.steps: dict[str, StepPlan] = {}
        self.phase_of: dict[str, Phase] = {}
        self._walk = Walk()

    def add(self, phase: Phase, task: str | None) -> str | None:
        """The id of the task's own step."""
        if task is not None:
            self._take(phase, self._walk.steps(self._scope(phase, task), task))
        return task

    def add_inline(self, selection: Selection) -> str | None:
        """The step of an action that the workflow states itself."""
        workflow = selection.workflow
        if workflow is None or workflow.prepare is None or workflow.prepare.action is None:
            return None
        name = f"prepare of {selection.name}"
        task = Task(action=workflow.prepare.action)
        scope = self._scope("prepare", name)
        scope.request = replace(scope.request, agent=False)  # safety is a property of declared tasks
        self._take("prepare", {name: self._walk.inline(scope, name, task)})
        return name

    def task_of(self, phase: Phase, task: str) -> TaskPlan:
        """The task on its plane, planned by itself."""
        return Walk().steps(self._scope(phase, task), task)[task].task

    def closure_of(self, phase: Phase, task: str) -> tuple[TaskPlan, ...]:
        """A task and what it needs, without becoming steps of the path."""
        return tuple(step.task for step in Walk().steps(self._scope(phase, task), task).values())

    def _take(self, phase: Phase, steps: dict[str, StepPlan]) -> None:
        self.steps |= steps
        self.phase_of |= dict.fromkeys(steps, phase)

    def _scope(self, phase: Phase, task: str) -> Scope:
        """Plane and lifecycle reach setup and run; a port is asked for the run task alone."""
        asked = self.scope.request
        is_selected = phase in ("setup", "run")
        request = replace(
            asked,
            task=task,
            phase=phase,
            mode=asked.mode if is_selected else None,
            lifecycle=asked.lifecycle if is_selected else None,
            host_port=asked.host_port if phase == "run" else None,
        )
        scope = Scope(self.scope.loaded, request, self.scope.host)
        scope.selection = self.scope.selection
        return scope


def awaited(step: StepPlan, limit_ms: int | None = None) -> StepPlan:
    """The step of a service that is waited for: without declared readiness an open listener is the gate."""
    runtime = step.task.runtime
    assert runtime is not None
    readiness, notes = runtime.readiness, step.task.notes
    if readiness is None:
        published = [each.name for each in runtime.listeners if each.projection is not None]
        listener = runtime.primary if runtime.primary in published else next(iter(published), None)
        if listener is None:
            notes = (
                *notes,
                "it declares nothing that could be asked: that its process runs is all that counts",
            )
        else:
            notes = (
                *notes,
                f"it declares no readiness: that listener `{listener}` is reachable is all that counts",
            )
            readiness = ReadinessPlan(probe=ProbePlan(kind="tcp", listener=listener))
    if readiness is not None and limit_ms is not None:
        readiness = _within(readiness, limit_ms)
    task = replace(step.task, runtime=replace(runtime, readiness=readiness), notes=notes)
    return replace(step, task=task)


def _within(readiness: ReadinessPlan, limit_ms: int) -> ReadinessPlan:
    """The same readiness with another budget."""
    start_ms = min(readiness.start_period_ms, limit_ms - 1)
    interval_ms = min(readiness.interval_ms, limit_ms - start_ms)
    retries = max(1, -(-(limit_ms - start_ms) // interval_ms))
    return replace(
        readiness, start_period_ms=start_ms, interval_ms=interval_ms, retries=retries, limit_ms=limit_ms
    )


def _services(loaded: Loaded, selection: Selection, setup: StepPlan | None) -> tuple[str, ...]:
    """What setup requires, then what the workflow does; without a list of its own, what is required."""
    workflow = selection.workflow
    declared = workflow.services.required if workflow is not None and workflow.services is not None else None
    if declared is None:
        declared = tuple(name for name, each in loaded.contract.services.items() if each.required)
    first = setup.task.requires_services if setup is not None else ()
    return tuple(dict.fromkeys((*first, *declared)))


def _skipped(named: _Named, selection: Selection, request: Request, *, is_service: bool) -> Iterator[str]:
    if named.run is not None and not is_service:
        command = request.command_of(named.run)
        yield f"run task `{named.run}`: it is not a service, so it runs with `{command}`"
    if not is_service:
        yield from (
            f"instance `{name}`: nothing of it runs on, so bring it up with "
            f"`ota up{request.target} --workflow {selection.name}@{name}`"
            for name in required_instances(selection)
        )
    if named.setup is None:
        where = f"workflow `{selection.name}` names none" if selection.name else "no task is called `setup`"
        yield f"setup: {where}"


# --- other instances -----------------------------------------------------------------------------


def required_instances(selection: Selection) -> tuple[str, ...]:
    """The instances that the selected one asks for."""
    selected = selection.instance
    topology = selected.instance.topology if selected is not None else None
    return topology.requires_instances if topology is not None else ()


def _required(
    loaded: Loaded, request: Request, host: HostFacts, selection: Selection
) -> Iterator[RequiredInstance]:
    """Each with the workflow's run task as it runs for that instance."""
    run = selection.workflow.run if selection.workflow is not None else None
    if run is None:
        return
    for name in required_instances(selection):
        other = select_workflow(loaded, f"{selection.name}@{name}")
        phases = _Phases(loaded, replace(request, host_port=None), host, other)
        yield RequiredInstance(name=name, task=phases.task_of("run", run.task))


# --- what is refused -----------------------------------------------------------------------------


def _refusals(loaded: Loaded, request: Request, setup: StepPlan | None) -> Iterator[Finding]:
    if setup is not None and setup.task.context.plane == "remote":
        yield _remote_setup(loaded, request, setup)
    if setup is not None and setup.task.runtime is not None:
        yield _endless_setup(loaded, setup)


def _remote_setup(loaded: Loaded, request: Request, setup: StepPlan) -> Finding:
    where = f"context `{setup.task.context.name}`" if setup.task.context.name else "the remote plane"
    return Finding(
        code="OTA_UP_SETUP_REMOTE",
        title="Setup is remote",
        summary=f"setup task `{setup.task.name}` resolves to {where}, which is remote",
        why="what `ota up` could prove on this host would say nothing about that place",
        next=f"run it there with `{request.command_of(setup.task.name)}`, "
        "or give the task a native or container context",
        place=loaded.place(("tasks", setup.task.name)),
        category="remote",
        owner="repo_contract",
    )


def _endless_setup(loaded: Loaded, setup: StepPlan) -> Finding:
    name = setup.task.name
    return Finding(
        code="OTA_UP_SETUP_IS_SERVICE",
        title="Setup is a service",
        summary=f"setup task `{name}` declares a service runtime",
        why="a service runs until it is stopped, and what comes after setup would never begin",
        next=f"name it as the workflow's `run.task`, or drop `tasks.{name}.runtime`",
        place=loaded.place(("tasks", name, "runtime")),
        category="contract",
        owner="repo_contract",
    )
