"""What a contract as it is now makes on engines: the names `ota clean` calls current. Pure.

The same planning that runs use, for every context and every set of publications the contract can mean
without overrides. What a run made with `--memory` or `--host-port` has another name: its labels prove it.

Source: runtime specification 16, 21.1.
"""

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from ota.backends.container.claims import Expected
from ota.backends.container.identity import Publication, identify, launch_family, ordered, publications_of
from ota.contract.load import Loaded
from ota.contract.model.bodies import LaunchContainer
from ota.contract.model.tasks import Task
from ota.contract.planes import runtime_on
from ota.resolve.boundary import DEFAULT_ENGINES, plan_context
from ota.resolve.listening import plan_runtime
from ota.resolve.plan import ContextPlan, Request
from ota.resolve.scope import Scope, TaskScope
from ota.system.host import HostFacts


class ExpectedState(Struct, frozen=True, kw_only=True):
    """What is expected, and where."""

    candidates: tuple[tuple[str, ...], ...]
    """The engines of each container context, in the order they are tried."""
    by_engine: dict[str, Expected]

    def on(self, engine: str) -> Expected:
        """What is expected on one engine."""
        return self.by_engine.get(engine, Expected())


def expected_state(loaded: Loaded, host: HostFacts) -> ExpectedState:
    """Every container and volume name of the contract, by engine."""
    scope = Scope(loaded, Request(), host)
    collected = _Collected()
    for context, task, publications in _shapes(scope):
        collected.add(loaded.root, context, task, publications)
    for name, task_record in loaded.contract.tasks.items():
        launch = task_record.launch
        if isinstance(launch, LaunchContainer):
            collected.add_launch(launch.engine or DEFAULT_ENGINES[0], name)
    return collected.state()


def _shapes(scope: Scope) -> Iterator[tuple[ContextPlan, str, tuple[Publication, ...]]]:
    """Each context alone, each task that publishes, each shared backend as a whole."""
    planes = scope.planes
    for name, context in planes.contexts.items():
        if context.backend == "container":
            yield _plan(scope, name, Task(context=name)), "", ()
    if planes.has_shorthand("container"):
        yield _plan(scope, "", Task()), "", ()
    shared: dict[str, tuple[ContextPlan, str, list[Publication]]] = {}
    for name, task in scope.contract.tasks.items():
        if runtime_on(task, "container") is None:
            continue
        ts = TaskScope(scope, name, planes.choose(task, asked="container"), "depends_on")
        context_plan = plan_context(ts)
        publications = publications_of(plan_runtime(ts))
        if context_plan.shared_backend is None:
            yield context_plan, name, publications
        else:
            group = shared.setdefault(context_plan.shared_backend, (context_plan, name, []))
            group[2].extend(publications)
    for context_plan, name, union in shared.values():
        yield context_plan, name, ordered(union)


def _plan(scope: Scope, name: str, task: Task) -> ContextPlan:
    return plan_context(
        TaskScope(scope, name, scope.planes.choose(task, asked="container"), "depends_on", task)
    )


class _Collected:
    """Names as they come, by engine."""

    def __init__(self) -> None:
        self._candidates: dict[tuple[str, ...], None] = {}
        self._containers: dict[str, set[str]] = {}
        self._families: dict[str, set[str]] = {}
        self._volumes: dict[str, set[str]] = {}

    def add(self, root: Path, context: ContextPlan, task: str, publications: tuple[Publication, ...]) -> None:
        """One shape, on every engine that may carry it."""
        container = context.container
        if context.plane != "container" or container is None:
            return
        self._candidates[container.engines] = None
        for engine in container.engines:
            who = identify(context, container, root=root, engine=engine, task=task, publications=publications)
            self._containers.setdefault(engine, set()).add(who.persistent_name)
            self._volumes.setdefault(engine, set()).update(each.name for each in who.volumes)

    def add_launch(self, engine: str, task: str) -> None:
        """One structured container launch."""
        self._candidates[engine,] = None
        self._families.setdefault(engine, set()).add(launch_family(task))

    def state(self) -> ExpectedState:
        """Everything that was added."""
        engines = {*self._containers, *self._families}
        return ExpectedState(
            candidates=tuple(self._candidates),
            by_engine={
                engine: Expected(
                    containers=frozenset(self._containers.get(engine, ())),
                    families=frozenset(self._families.get(engine, ())),
                    volumes=frozenset(self._volumes.get(engine, ())),
                )
                for engine in engines
            },
        )
