"""What container planes will publish and join, held against this host before anything starts.

A port that somebody else holds and a network that is not there are told early; neither is a blocker: the
port may be free by then, and a missing network is made as compose would make it.

Source: doctor specification 7, 8; commands specification 4.1; runtime specification 10, 13.4; decisions
D24, D30, D31.
"""

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from ota.contract.model.scalars import Plane
from ota.contract.planes import runtime_on
from ota.diagnose.scene import Scene
from ota.diagnose.services import services_in_scope
from ota.errors import Evidence, Finding, HostError
from ota.resolve.boundary import plan_context
from ota.resolve.listening import plan_runtime
from ota.resolve.plan import ContextPlan, ListenerPlan, RuntimePlan
from ota.resolve.scope import TaskScope

PROJECT_LABEL = "com.docker.compose.project"


class ContainerTask(Struct, frozen=True, kw_only=True):
    """One task as it would run in a container."""

    name: str
    context: ContextPlan
    runtime: RuntimePlan | None = None


class Publication(Struct, frozen=True, kw_only=True):
    """One port a task will publish."""

    task: str
    listener: ListenerPlan
    context: ContextPlan

    @property
    def host(self) -> str:
        """`127.0.0.1:3000`, or `127.0.0.1:auto`."""
        projection = self.listener.projection
        assert projection is not None
        port = projection.port if projection.port_mode == "fixed" else None
        return f"{projection.address}:{port if port is not None else 'auto'}"


def container_tasks(scene: Scene, mode: Plane) -> tuple[ContainerTask, ...]:
    """The path's tasks in containers; in container mode without a workflow, every task that can run there."""
    if mode != "container" or scene.selection.workflow is not None:
        return tuple(
            ContainerTask(name=each.name, context=each.context, runtime=each.runtime)
            for each in scene.path
            if each.context.container is not None
        )
    found = []
    for name, task in scene.contract.tasks.items():
        if "container" not in scene.planes.planes_of(task) or task.aggregate is not None:
            continue
        ts = TaskScope(scene.scope, name, scene.planes.choose(task, asked="container"), "depends_on")
        context = plan_context(ts)
        if context.container is not None:
            has_runtime = runtime_on(task, "container") is not None
            runtime = plan_runtime(ts) if has_runtime else None
            found.append(ContainerTask(name=name, context=context, runtime=runtime))
    return tuple(found)


def publications(scene: Scene, mode: Plane) -> tuple[Publication, ...]:
    """What the container tasks publish, in the order of the tasks."""
    return tuple(
        Publication(task=task.name, listener=listener, context=task.context)
        for task in container_tasks(scene, mode)
        if task.runtime is not None
        for listener in task.runtime.listeners
        if listener.projection is not None and listener.bind_port is not None
    )


# --- ports -------------------------------------------------------------------------------------------


def publication_findings(scene: Scene, mode: Plane) -> Iterator[Finding]:
    """Fixed host ports that somebody else holds at this moment."""
    asked: set[str] = set()
    for publication in publications(scene, mode):
        projection = publication.listener.projection
        assert projection is not None
        if projection.port_mode != "fixed" or projection.port is None or publication.host in asked:
            continue
        asked.add(publication.host)
        finding = _taken(scene, publication, projection.address, projection.port)
        if finding is not None:
            yield finding


def _taken(scene: Scene, publication: Publication, address: str, port: int) -> Finding | None:
    from ota.system.ports import find_port_holder, port_taken_finding, preflight_bind

    if preflight_bind(address, port) != "taken":
        return None
    holder = find_port_holder(address, port)
    if holder is not None and holder.repo == str(scene.loaded.root):
        return None  # it is up already
    container = _container_on(scene, publication, address, port)
    if container is not None and _is_of_this_repository(scene, container[2]):
        return None
    listener = publication.listener.name
    field = ("tasks", publication.task, "runtime", "listeners", listener, "project", "host", "port")
    finding = port_taken_finding(
        address,
        port,
        holder,
        subject=f"task `{publication.task}`, listener `{listener}`",
        place=scene.loaded.place(field),
        host_port_command=f"ota run {publication.task} --host-port <port>",
    )
    why, next_ = finding.why, finding.next
    if container is not None:
        engine, name, _ = container
        why = f"{engine} container `{name}` publishes it"
        next_ = f"stop it with `{engine} stop {name}`, or declare another port or `auto`"
    return replace(
        finding,
        severity="warn",
        title="",
        summary=f"Host port {port} on {address} is taken: task `{publication.task}` cannot publish it now",
        why=scene.masker.mask(why),
        next=next_,
        evidence=Evidence(observed="taken", expected="free", source="host"),
    )


def _container_on(
    scene: Scene, publication: Publication, address: str, port: int
) -> tuple[str, str, dict[str, str]] | None:
    """Engine, name and labels of the container that publishes the port, where an engine knows."""
    from ota.backends.container.engine import find_engine
    from ota.backends.container.publication import container_on

    container = publication.context.container
    assert container is not None
    try:
        engine = find_engine(container.engines, scene.environ, should_stop=scene.should_stop)
    except HostError:
        return None
    found = container_on(engine, address, port)
    return (engine.name, found.name, dict(found.labels)) if found is not None else None


def _is_of_this_repository(scene: Scene, labels: dict[str, str]) -> bool:
    from ota.backends.container.identity import is_owned
    from ota.backends.container.ownership import read_token

    try:
        return is_owned(labels, read_token(scene.loaded.root) or "")
    except HostError:
        return False


# --- services that know the host alone ------------------------------------------------------------------


def host_bound_findings(scene: Scene, mode: Plane) -> Iterator[Finding]:
    """Services known by a legacy healthcheck alone, and needed by tasks in contexts without an endpoint."""
    tasks = container_tasks(scene, mode)
    if not tasks:
        return
    for name in services_in_scope(scene):
        service = scene.contract.services[name]
        if service.healthcheck is None or service.readiness is not None:
            continue
        known = {each.context or own for own, each in service.endpoints.items()}
        contexts = [task.context.name for task in tasks if name in _needed_by(scene, task)]
        unknown = [context for context in contexts if context not in known]
        if not unknown:
            continue
        where = f"context `{unknown[0]}`" if unknown[0] else "a container"
        yield Finding(
            code="OTA_SERVICE_TOPOLOGY_HOST_BOUND",
            severity="warn",
            summary=f"Service is known to the host alone: {name}",
            why=f"tasks run in {where}, and its legacy healthcheck runs on the host: that it passes there "
            "says nothing about what the container reaches",
            next=f"declare `services.{name}.endpoints` for {where} and `services.{name}.readiness` "
            "from there, in place of `healthcheck`",
            place=scene.loaded.place(("services", name, "healthcheck")),
            category="service",
            owner="repo_contract",
            evidence=Evidence(
                observed="legacy healthcheck on the host",
                expected=f"an endpoint for {where}",
                source="service",
            ),
        )


def _needed_by(scene: Scene, task: ContainerTask) -> set[str]:
    """What a task requires itself, or its workflow for all of its tasks; with what these depend on."""
    services, workflow = scene.contract.services, scene.selection.workflow
    of_workflow = workflow.services.required if workflow is not None and workflow.services is not None else ()
    waiting = [*scene.contract.tasks[task.name].requires_services, *(of_workflow or ())]
    needed: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += services[name].depends_on
    return needed


# --- attachments -------------------------------------------------------------------------------------


def attachment_findings(scene: Scene, mode: Plane) -> Iterator[Finding]:
    """Compose networks that container tasks join, and that are not compose's or not there."""
    wanted: dict[tuple[str, ...], dict[str, tuple[str, ContextPlan]]] = {}
    for task in container_tasks(scene, mode):
        container = task.context.container
        assert container is not None
        projects = (*container.compose_projects, *container.service_projects)
        for project, network in zip(dict.fromkeys(projects), container.networks, strict=True):
            wanted.setdefault(container.engines, {}).setdefault(network, (project, task.context))
    for engines, networks in wanted.items():
        yield from _networks(scene, engines, networks)


def _networks(
    scene: Scene, engines: tuple[str, ...], wanted: dict[str, tuple[str, ContextPlan]]
) -> Iterator[Finding]:
    from ota.backends.container.engine import find_engine
    from ota.backends.container.identity import is_managed
    from ota.backends.container.inventory import observe_networks

    try:
        engine = find_engine(engines, scene.environ, should_stop=scene.should_stop)
        there = {each.name: each.labels for each in observe_networks(engine, tuple(wanted))}
    except HostError:
        return  # that the engine does not answer is a finding of its own
    for network, (project, context) in wanted.items():
        joins = f"tasks in context `{context.name}` join it" if context.name else "container tasks join it"
        place = scene.loaded.place(("execution", "contexts", context.name or "", "attachments", "compose"))
        if network not in there:
            yield Finding(
                code="OTA_CONTAINER_NETWORK_ABSENT",
                severity="info",
                summary=f"Compose network does not exist yet: {network}",
                why=f"{joins}; a run makes it as compose project `{project}` would, and compose adopts it",
                next=f"bring the services of `{project}` up with compose, or leave it to the run",
                place=place,
                category="execution",
                owner="container_target",
                evidence=Evidence(observed="absent", expected=network, source=engine.name),
            )
        elif there[network].get(PROJECT_LABEL) != project and not is_managed(there[network]):
            whose = there[network].get(PROJECT_LABEL)
            yield Finding(
                code="OTA_CONTAINER_NETWORK_FOREIGN",
                severity="warn",
                summary=f"Network is not of compose project `{project}`: {network}",
                why=f"{joins}, and it "
                + (f"belongs to compose project `{whose}`" if whose else "was not made by compose")
                + f", so services of `{project}` may not be on it",
                next=f"`{engine.name} network rm {network}` when nothing needs it, then bring `{project}` up",
                place=place,
                category="execution",
                owner="container_target",
                evidence=Evidence(observed=whose or "no label", expected=project, source=engine.name),
            )
