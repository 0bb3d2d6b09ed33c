"""What a semantic rule is, and the facts rules share.

A rule is a small function over a `Subject` that yields `Violation`s; it knows field paths,
never positions. `ota.contract.load` finds the positions and makes the findings.

Source: contract specification appendix A.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cached_property
from typing import TypeVar, cast

from msgspec import Struct

from ota.contract.agent_safety import AgentSafety
from ota.contract.grammar import nearest
from ota.contract.graph import TaskGraph
from ota.contract.listeners import effective_listeners
from ota.contract.model import Contract
from ota.contract.model.checks import Check
from ota.contract.model.runtime import Listener, Runtime
from ota.contract.model.scalars import Plane
from ota.contract.model.tasks import Task
from ota.contract.planes import Planes, runtime_on, runtimes_of
from ota.errors import Severity

T = TypeVar("T")

FieldPath = tuple[str | int, ...]


class Violation(Struct, frozen=True, kw_only=True):
    """One broken rule at one field."""

    rule: str
    """`V437`, `W05`, ...: the number in appendix A."""
    path: FieldPath
    summary: str
    """One line: what is wrong, naming the subject (``task `dev` ...``)."""
    why: str
    next: str
    """One edit or command that mends it."""
    severity: Severity = "error"


Rule = Callable[["Subject"], Iterable[Violation]]


class ServiceRuntime(Struct, frozen=True, kw_only=True):
    """One runtime declaration of one task on one plane it applies to."""

    task_name: str
    task: Task
    path: FieldPath
    """Where the runtime stands: `("tasks", "dev", "runtime")`."""
    runtime: Runtime
    plane: Plane
    listeners: Mapping[str, Listener]
    """With surfaces attached, in name order."""


class Subject:
    """One parsed contract and what several rules need to know about it."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self._comparisons_left = 20_000
        self._collected: dict[object, tuple[object, ...]] = {}

    @cached_property
    def planes(self) -> Planes:
        """Plane, context and lifecycle of tasks."""
        return Planes(self.contract)

    def tasks(self) -> Iterator[tuple[str, Task, FieldPath]]:
        """Every task with its field path, in key order."""
        return iter(self._tasks)

    @cached_property
    def _tasks(self) -> tuple[tuple[str, Task, FieldPath], ...]:
        return tuple((name, task, ("tasks", name)) for name, task in sorted(self.contract.tasks.items()))

    def collected(self, facts: Callable[["Subject"], Iterable[T]]) -> tuple[T, ...]:
        """What a walk finds, for walks that several rules of one area share: walked on first use."""
        if facts not in self._collected:
            self._collected[facts] = tuple(facts(self))
        return cast("tuple[T, ...]", self._collected[facts])

    @cached_property
    def service_runtimes(self) -> tuple[ServiceRuntime, ...]:
        """Every runtime of every task, once per plane on which it applies."""
        found: list[ServiceRuntime] = []
        for name, task, path in self.tasks():
            by_identity = {id(runtime): steps for steps, runtime in runtimes_of(task).items()}
            for plane in self.planes.planes_of(task):
                runtime = runtime_on(task, plane)
                if runtime is None:
                    continue
                found.append(
                    ServiceRuntime(
                        task_name=name,
                        task=task,
                        path=(*path, *by_identity[id(runtime)].split(".")),
                        runtime=runtime,
                        plane=plane,
                        listeners=effective_listeners(runtime, self.contract.surfaces),
                    )
                )
        return tuple(found)

    @cached_property
    def check_names(self) -> frozenset[str]:
        """Names of declared checks."""
        return frozenset(check.name for check in self.contract.checks)

    @cached_property
    def checks(self) -> Mapping[str, Check]:
        """Checks by name; the first of a name wins."""
        return {check.name: check for check in reversed(self.contract.checks)}

    @cached_property
    def compose_projects(self) -> frozenset[str]:
        """Names of Compose managers: what a context attaches to."""
        managers = (service.manager for service in self.contract.services.values())
        return frozenset(each.name for each in managers if each and each.kind == "compose" and each.name)

    @cached_property
    def graph(self) -> TaskGraph:
        """Dependencies, aggregates, hooks and activations."""
        return TaskGraph(self.contract.tasks)

    @cached_property
    def agent_safety(self) -> AgentSafety:
        """What agents may run."""
        return AgentSafety(self.contract, self.graph)

    def suggestion(self, word: str, known: Collection[str]) -> str | None:
        """The known name someone most likely meant; gives up when a file has very many wrong names."""
        if len(known) > self._comparisons_left:
            return None
        self._comparisons_left -= len(known)
        return nearest(word, known)
