"""What of a workflow can be seen running, from the outside: records, and the table of listening sockets.

Only looks: it connects to nothing, starts nothing and writes nothing. What is not seen may run all the same
(an engine may publish a port without a socket of its own), so it is told as not seen.

Source: commands specification 7, 1.13.
"""

from typing import Literal

from msgspec import Struct

from ota.contract.load import Loaded
from ota.errors import HostError
from ota.execute.kept import Running, find_running, stop_command
from ota.resolve.documents.workflows import required_services
from ota.resolve.plan import Request
from ota.resolve.scope import Scope, Selection
from ota.resolve.service_plan import EndpointReadiness, ServicePlan
from ota.resolve.services import plan_services
from ota.resolve.up import plan_up
from ota.system.addresses import address_text
from ota.system.host import HostFacts
from ota.system.ports import PortHolder, find_port_holder, render_holder

State = Literal["running", "listening", "not_seen", "unknown"]


class Observed(Struct, frozen=True, kw_only=True):
    """One thing of a workflow, as it was seen."""

    kind: Literal["run_task", "service"]
    name: str
    state: State
    at: str = ""
    """Where it was looked for."""
    detail: str = ""
    """Who was seen, or why nothing can be said; for people, it names processes."""
    stop: str = ""
    """The command that ends it, where ota knows one."""


def observe_workflow(
    loaded: Loaded, selection: Selection, host: HostFacts, target: str
) -> tuple[Observed, ...]:
    """The run task, then the required services that this host can look for.

    `target` is what commands repeat of the user's own, with its blank.
    """
    workflow = selection.workflow
    if workflow is None:
        return ()
    asked = Request(workflow=_spoken(selection), target=target)
    scope = Scope(loaded, asked, host)
    scope.selection = selection
    names = required_services(loaded.contract, workflow)
    services = [plan for plan in plan_services(scope, names) if plan.name in names]
    run = _run_task(loaded, asked, selection, host)
    return (*((run,) if run is not None else ()), *(seen for each in services if (seen := _service(each))))


def _spoken(selection: Selection) -> str:
    instance = f"@{selection.instance_name}" if selection.instance_name else ""
    return f"{selection.name}{instance}"


def _run_task(loaded: Loaded, asked: Request, selection: Selection, host: HostFacts) -> Observed | None:
    up = plan_up(loaded, asked, host)
    if up.run is None:
        return None
    task = up.plan.steps[up.run].task
    if task.context.plane == "remote":
        return None
    try:
        instance = selection.instance_name or ""
        stop = stop_command(asked.target, selection.name, instance)
        running = find_running(loaded.root, task, instance, stop, may_ask=False)
    except HostError as error:
        why = f"{error.findings[0].summary}: {error.findings[0].why}"
        return Observed(kind="run_task", name=task.name, state="unknown", detail=why)
    if running is None:
        return Observed(kind="run_task", name=task.name, state="not_seen")
    return _seen(task.name, running)


def _seen(name: str, running: Running) -> Observed:
    return Observed(kind="run_task", name=name, state="running", detail=running.detail, stop=running.stop)


def _service(service: ServicePlan) -> Observed | None:
    readiness = service.readiness
    if not isinstance(readiness, EndpointReadiness) or readiness.plane != "native":
        return None
    at = address_text(readiness.address, readiness.port)
    holder: PortHolder | None = find_port_holder(readiness.address, readiness.port)
    if holder is None:
        return Observed(kind="service", name=service.name, state="not_seen", at=at)
    return Observed(kind="service", name=service.name, state="listening", at=at, detail=render_holder(holder))
