"""`ota workflows`: the declared workflows, exposed surfaces resolved through their run task.

Source: json-and-receipts specification 2.4, 3.3; commands specification 8.
"""

from collections.abc import Callable, Iterator

from ota.contract.graph import TaskGraph
from ota.contract.load import Loaded
from ota.contract.model import Contract
from ota.contract.model.bodies import Launch
from ota.contract.model.workflows import Workflow
from ota.contract.planes import Planes, branch_of
from ota.resolve.documents.bodies import launch_document
from ota.resolve.documents.shape import Document, compact
from ota.resolve.endpoints import Endpoints, endpoints_of
from ota.resolve.listening import plan_runtime
from ota.resolve.plan import Request
from ota.resolve.scope import Scope, TaskScope, select_workflow, workflow_tasks
from ota.system.host import HostFacts


def workflows_document(loaded: Loaded, host: HostFacts, *, show_internal: bool = True) -> Document:
    """The whole document."""
    workflows = loaded.contract.workflows
    tasks = loaded.contract.tasks

    def is_shown(name: str) -> bool:
        return show_internal or name not in tasks or not tasks[name].internal

    document: Document = {
        "ok": True,
        "path": loaded.shown,
        "workflows": [
            workflow_document(loaded, name, host, is_shown=is_shown) for name in sorted(workflows.entries)
        ],
    }
    return document | compact(default=workflows.default)


def workflow_document(
    loaded: Loaded, name: str, host: HostFacts, *, is_shown: Callable[[str], bool] = lambda _: True
) -> Document:
    """`workflow`; names of hidden tasks are left out."""
    contract = loaded.contract
    workflow = contract.workflows.entries[name]
    readiness = workflow.readiness
    signal = readiness.signal if readiness is not None else None
    run_task = workflow.run.task if workflow.run is not None else None

    def shown(task: str | None) -> str | None:
        return task if task is not None and is_shown(task) else None

    launch = _launch(contract, run_task)
    document = compact(
        name=name,
        intent=workflow.intent,
        description=workflow.description,
        notes=workflow.notes,
        prepare_task=shown(workflow.prepare.task if workflow.prepare is not None else None),
        setup_task=shown(workflow.setup.task if workflow.setup is not None else None),
        run_task=shown(run_task),
        run_task_launch=launch_document(launch) if launch is not None and shown(run_task) else None,
        attach_task=shown(workflow.attach.task if workflow.attach is not None else None),
        required_services=required_services(contract, workflow),
        readiness_checks=readiness.checks if readiness is not None else None,
        readiness_probes=readiness.probes if readiness is not None else None,
        readiness_surfaces=readiness.surfaces if readiness is not None else None,
        signal_readiness_checks=signal.checks if signal is not None else None,
        signal_readiness_probes=signal.probes if signal is not None else None,
        signal_readiness_surfaces=signal.surfaces if signal is not None else None,
        exposes=list(_exposed_urls(loaded, name, host)),
        expose_surfaces=[each.surface for each in workflow.exposes if each.surface is not None],
    )
    document["default"] = contract.workflows.default == name
    return document


def required_services(contract: Contract, workflow: Workflow) -> list[str]:
    """Declared services first, then those its tasks require."""
    declared = (workflow.services.required or ()) if workflow.services is not None else ()
    reached = TaskGraph(contract.tasks).closure(workflow_tasks(workflow))
    required = [service for task in reached for service in contract.tasks[task].requires_services]
    return list(dict.fromkeys([*declared, *required]))


def _launch(contract: Contract, run_task: str | None) -> Launch | None:
    if run_task is None:
        return None
    task = contract.tasks[run_task]
    branch = branch_of(task, Planes(contract).plane_of(task)[0])
    return branch.launch if branch is not None and branch.launch is not None else task.launch


def _exposed_urls(loaded: Loaded, workflow_name: str, host: HostFacts) -> Iterator[str]:
    """Literal URLs, and surfaces whose host address is known before anything starts."""
    scope = Scope(loaded, Request(), host)
    scope.selection = select_workflow(loaded, workflow_name)
    workflow = loaded.contract.workflows.entries[workflow_name]
    published = Endpoints()
    if workflow.run is not None:
        name = workflow.run.task
        choice = scope.planes.choose(scope.contract.tasks[name])
        runtime = plan_runtime(TaskScope(scope, name, choice, "depends_on"))
        published = endpoints_of(runtime) if runtime is not None else published
    for exposed in workflow.exposes:
        if exposed.url is not None:
            yield exposed.url
        endpoint = published.of(exposed.surface or "")
        if endpoint is not None and endpoint.url is not None:
            yield endpoint.url
