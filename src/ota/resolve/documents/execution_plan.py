"""`ota execution plan`: which boundary `run` and `up` would use, and which rule chose it.

Source: json-and-receipts specification 2.8, 3.10; commands specification 5.
"""

from msgspec.structs import replace

from ota.contract.load import Loaded
from ota.contract.model.tasks import Task
from ota.errors import PlanError
from ota.resolve.boundary import boundary_refusals, plan_context
from ota.resolve.documents.identity import contract_identity, declared_execution
from ota.resolve.documents.shape import Document, by_key, compact
from ota.resolve.documents.tasks import in_effect, require_task
from ota.resolve.endpoints import Endpoint, endpoints_of
from ota.resolve.listening import host_port_refusals, plan_runtime
from ota.resolve.plan import ContextPlan, ListenerPlan, Request, RuntimePlan
from ota.resolve.planner import choose
from ota.resolve.scope import Scope, Selection, TaskScope, select_workflow
from ota.system.host import HostFacts

TARGET_STRATEGIES = {
    ("native", None): "host process",
    ("container", None): "container without a lifecycle",
    ("container", "persistent"): "persistent named container",
    ("container", "ephemeral"): "ephemeral per-run container",
    ("remote", None): "remote target",
}


def execution_plan_document(
    loaded: Loaded, request: Request, host: HostFacts, *, member: str | None = None
) -> Document:
    """The whole document, for the task asked for, else the workflow's, else any unbound task.

    Raises:
        PlanError: unknown task or workflow, or the boundary is refused as a run would be.
    """
    selection = select_workflow(loaded, request.workflow)
    task = planned_task(loaded, request, selection)
    scope = Scope(loaded, replace(request, task=task), host)
    scope.selection = selection
    ts = _task_scope(scope, task)
    context = plan_context(ts)
    refusals = (*boundary_refusals(ts, context), *host_port_refusals(ts))
    if refusals:
        raise PlanError(*refusals)
    document: Document = {"ok": True, "path": loaded.shown, "contract": loaded.shown}
    return document | compact(
        member=member,
        workflow=in_effect(loaded, selection, host),
        task=task,
        contract_identity=contract_identity(loaded.contract),
        declared_execution=declared_execution(loaded.contract, scope.planes),
        resolved=resolved_document(context, plan_runtime(ts)),
        overrides=overrides_document(request),
    )


def planned_task(loaded: Loaded, request: Request, selection: Selection) -> str | None:
    """The task a plan is about; `prepare` is context, never the planned task.

    Raises:
        PlanError: a task was asked for that does not exist.
    """
    if request.task is not None:
        require_task(loaded, request.task)
        return request.task
    workflow = selection.workflow
    if workflow is not None:
        phase = workflow.run or workflow.setup
        return phase.task if phase is not None else None
    agent = loaded.contract.agent
    named = (agent.default_task, agent.entrypoint) if agent is not None else ()
    return next((name for name in named if name in loaded.contract.tasks), None)


def context_of_task(scope: Scope, task: str | None) -> ContextPlan:
    """The boundary of a task as the request asks for it, whether or not a run would refuse it."""
    return plan_context(_task_scope(scope, task))


def _task_scope(scope: Scope, task: str | None) -> TaskScope:
    record = scope.contract.tasks[task] if task is not None else Task()
    request = scope.request
    choice = choose(scope.planes, record, request.mode, request.lifecycle)
    return TaskScope(scope, task or "any", choice, "requested", record)


def resolved_document(context: ContextPlan, runtime: RuntimePlan | None = None) -> Document:
    """`resolvedPlan`."""
    container, remote = context.container, context.remote
    lifecycle = context.lifecycle if context.plane == "container" else None
    return compact(
        backend=context.plane,
        backend_source=context.plane_source,
        target_strategy=TARGET_STRATEGIES[context.plane, lifecycle],
        context=context.name,
        lifecycle=context.lifecycle,
        lifecycle_source=context.lifecycle_source,
        image=container.image if container is not None else None,
        engine_candidates=container.engines if container is not None else None,
        container_memory_bytes=container.memory_bytes if container is not None else None,
        platform=container.platform if container is not None else None,
        isolated_paths=container.isolated_paths if container is not None else None,
        networks=container.networks if container is not None else None,
        provider=remote.provider if remote is not None else None,
        target=remote.target if remote is not None else None,
        cwd=remote.cwd if remote is not None else None,
        shared_backend=context.shared_backend,
        runtime=projected_document(runtime) if runtime is not None else None,
    )


def projected_document(runtime: RuntimePlan) -> Document:
    """What will listen where, as far as it is known before anything starts."""
    known = endpoints_of(runtime)
    return compact(
        kind="service",
        listeners=by_key({each.name: _listener(each, known.of(each.name)) for each in runtime.listeners}),
        primary_listener=runtime.primary,
    )


def _listener(listener: ListenerPlan, endpoint: Endpoint | None) -> Document:
    projection = listener.projection
    return compact(
        protocol=listener.protocol,
        bind_address=listener.bind_address,
        bind_port_mode="fixed" if listener.bind_port is not None else "discover",
        bind_port_value=listener.bind_port,
        host_projection=compact(
            address=projection.address,
            port_mode=projection.port_mode,
            port_value=projection.port,
            primary=listener.is_primary,
            path=projection.path,
            url=endpoint.url if endpoint is not None else None,
        )
        if projection is not None
        else None,
    )


def overrides_document(request: Request) -> Document:
    """`overrides`: what the operator asked for; empty when nothing was."""
    return compact(
        backend=request.mode,
        lifecycle=request.lifecycle,
        host_port=request.host_port,
        memory=request.memory_bytes,
    )
