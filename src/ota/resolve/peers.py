"""What a container task shares with others: the networks of services, the container of a shared backend.

Pure. Whether a network exists is not known here.

Source: runtime specification 13.4, 16; decision D24.
"""

from collections.abc import Iterable, Iterator, Mapping

from ota.contract.model.services import Service
from ota.contract.planes import runtime_on
from ota.resolve.listening import plan_runtime
from ota.resolve.plan import ListenerPlan
from ota.resolve.scope import TaskScope


def reached_projects(ts: TaskScope) -> tuple[str, ...]:
    """Compose projects of required services that the contract says are reachable from this context (D24).

    What it says is made so: the workload joins their networks.
    """
    required = _required(ts.scope.contract.services, ts.task.requires_services)
    projects = (_project(service, ts.choice.name) for service in required)
    return tuple(sorted({each for each in projects if each is not None}))


def _required(services: Mapping[str, Service], names: Iterable[str]) -> Iterator[Service]:
    """These services and all they depend on."""
    seen: set[str] = set()
    waiting = [*names]
    while waiting:
        name = waiting.pop()
        if name not in seen and name in services:
            seen.add(name)
            waiting.extend(services[name].depends_on)
            yield services[name]


def _project(service: Service, context: str | None) -> str | None:
    """The compose project of a service that has an endpoint for this context."""
    manager = service.manager
    if manager is None or manager.kind != "compose" or context is None:
        return None
    endpoints = service.endpoints.items()
    return manager.name if any((each.context or name) == context for name, each in endpoints) else None


def shared_listeners(ts: TaskScope, backend: str) -> tuple[ListenerPlan, ...]:
    """Listeners of the other tasks bound to a shared container: it publishes the union of all of them."""
    planes = ts.scope.planes
    found: list[ListenerPlan] = []
    for name, task in ts.scope.contract.tasks.items():
        if name == ts.name or runtime_on(task, "container") is None:
            continue
        if planes.binding_of(task, "container") == backend:
            peer = TaskScope(ts.scope, name, planes.choose(task, asked="container"), "depends_on")
            runtime = plan_runtime(peer)
            found.extend(runtime.listeners if runtime is not None else ())
    return tuple(found)
