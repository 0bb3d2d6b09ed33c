"""Who runs whom: the graph of dependencies, aggregates, hooks and target activations of tasks.

Owns the edges, closures and cycles; rules and the planner walk the same graph. Every walk is a
loop with its own stack, so a chain of ten thousand tasks is as good as one of ten. It does not
decide which plane a task gets: `ota.contract.planes` does.

Source: contract specification 11.4 (step 4), 15.1, 15.4, 15.5, 15.7; runtime specification 1.7.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Literal, TypeVar

from msgspec import Struct

from ota.contract.model.scalars import Plane
from ota.contract.model.tasks import Task
from ota.contract.planes import Planes, branch_of

N = TypeVar("N", bound=Hashable)

EdgeKind = Literal["depends_on", "aggregate", "after_success", "after_failure", "after_always", "target"]

HOOKS: tuple[Literal["after_success", "after_failure", "after_always"], ...] = (
    "after_success",
    "after_failure",
    "after_always",
)


class Edge(Struct, frozen=True, kw_only=True):
    """One task that another one runs, and by which word of the contract."""

    kind: EdgeKind
    task: str


class TaskGraph:
    """The edges of one contract's tasks. Names that are no task are left out: rules speak of them."""

    def __init__(self, tasks: Mapping[str, Task]) -> None:
        self.tasks = tasks

    def edges(self, name: str, plane: Plane | None = None) -> Iterator[Edge]:
        """What a task runs on a plane, in the order of the contract; without a plane, on any of them."""
        for kind, names in self._named(name, plane):
            for other in names:
                if other in self.tasks:
                    yield Edge(kind=kind, task=other)

    def _named(self, name: str, plane: Plane | None) -> Iterator[tuple[EdgeKind, tuple[str, ...]]]:
        """The lists in which a task names others, whether these exist or not."""
        task = self.tasks[name]
        yield "depends_on", dependencies_of(task, plane)
        if task.aggregate is not None:
            yield "aggregate", task.aggregate.tasks
        yield "after_success", task.after_success
        yield "after_failure", task.after_failure
        yield "after_always", task.after_always

    def activations(self, name: str) -> Iterator[Edge]:
        """Producers of the same contract that a task's targets may start."""
        for _, target in sorted(self.tasks[name].targets.items()):
            service = target.service
            if service is None or target.activation.mode == "manual" or service.member or service.repo:
                continue
            if service.task in self.tasks:
                yield Edge(kind="target", task=service.task)

    def successors(self, name: str, plane: Plane | None = None, *, activated: bool = False) -> list[str]:
        """Names of what a task runs, once each, in order."""
        # without a record per edge: rules ask this of every task of the largest contracts
        found = [other for _, names in self._named(name, plane) for other in names if other in self.tasks]
        if activated:
            found += [edge.task for edge in self.activations(name)]
        return list(dict.fromkeys(found))

    def closure(self, roots: Iterable[str], *, activated: bool = False) -> dict[str, str | None]:
        """Everything the roots reach on any plane, roots included, nearest first.

        Each name comes with the task that led there; see `route`.
        """
        reached: dict[str, str | None] = {root: None for root in roots if root in self.tasks}
        queue = list(reached)
        for name in queue:  # the queue grows while it is walked
            for successor in self.successors(name, activated=activated):
                if successor not in reached:
                    reached[successor] = name
                    queue.append(successor)
        return reached

    def cycles(self, planes: Planes) -> list[tuple[str, ...]]:
        """Cycles of dependencies, aggregates and hooks, each as `(a, b, a)`.

        A branch may replace the dependencies, so tasks are followed plane by plane then: what is
        a cycle on one plane only is one, and edges of two planes that never meet are none.
        """
        if not any(_has_branch_dependencies(task) for task in self.tasks.values()):
            return find_cycles({name: self.successors(name) for name in sorted(self.tasks)})
        edges: dict[tuple[str, Plane], list[tuple[str, Plane]]] = {}
        for name, task in sorted(self.tasks.items()):
            for plane in planes.planes_of(task):
                edges[name, plane] = [
                    (successor, plane_of_dependency(planes, self.tasks[successor], plane))
                    for successor in self.successors(name, plane)
                ]
        found = [tuple(name for name, _ in cycle) for cycle in find_cycles(edges)]
        return list({frozenset(cycle): cycle for cycle in reversed(found)}.values())[::-1]

    def activation_cycles(self) -> list[tuple[str, ...]]:
        """Cycles that exist only because a target would start its producer, each as `(a, b, a)`."""
        if not any(True for name in self.tasks for _ in self.activations(name)):
            return []
        everything = {name: self.successors(name, activated=True) for name in sorted(self.tasks)}
        return [cycle for cycle in find_cycles(everything) if len(cycle) > 2 and not self._is_plain(cycle)]

    def _is_plain(self, cycle: Sequence[str]) -> bool:
        return all(after in self.successors(before) for before, after in pairwise(cycle))


def dependencies_of(task: Task, plane: Plane | None) -> tuple[str, ...]:
    """`depends_on` on a plane, where a branch's list replaces the task's; without a plane, all of them."""
    if plane is not None:
        branch = branch_of(task, plane)
        return branch.depends_on if branch is not None and branch.depends_on is not None else task.depends_on
    if not _has_branch_dependencies(task) or task.execution is None:
        return task.depends_on
    lists = [branch.depends_on or () for _, branch in sorted(task.execution.modes.items())]
    return tuple(dict.fromkeys(name for names in (task.depends_on, *lists) for name in names))


def plane_of_dependency(planes: Planes, task: Task, parent: Plane) -> Plane:
    """A dependency keeps its parent's plane when it says it can, else it chooses its own.

    Source: contract specification 11.4, step 4.
    """
    execution = task.execution
    if execution is not None and (execution.default_mode == parent or parent in execution.modes):
        return parent
    return planes.plane_of(task)[0]


def route(reached: Mapping[str, str | None], name: str) -> tuple[str, ...]:
    """The way from a root of a closure to a task of it, both included."""
    steps = [name]
    while (before := reached.get(steps[-1])) is not None:
        steps.append(before)
    return tuple(reversed(steps))


def shown_route(names: Iterable[str]) -> str:
    """`a -> b -> a`."""
    return " -> ".join(names)


def find_cycles(edges: Mapping[N, Iterable[N]]) -> list[tuple[N, ...]]:
    """One shortest cycle per knot of a graph, `(a, b, a)`, in the order of the mapping. Linear.

    A knot is a strongly connected component; telling one cycle of each is enough to mend it, and
    telling all of them would be exponential.
    """
    order = {node: index for index, node in enumerate(edges)}
    targets = _without_ends(
        {node: [each for each in found if each in order] for node, found in edges.items()}
    )
    cycles: list[tuple[N, ...]] = []
    for component in _components(targets):
        first = min(component, key=order.__getitem__)
        if len(component) > 1 or first in targets[first]:
            cycles.append(_shortest_cycle(first, frozenset(component), targets))
    return sorted(cycles, key=lambda cycle: order[cycle[0]])


def _without_ends(targets: dict[N, list[N]]) -> dict[N, list[N]]:
    """The nodes from which the walk never has to end: of a sound contract none, at a third of the cost."""
    comes_from: dict[N, list[N]] = {}
    for node, found in targets.items():
        for target in found:
            comes_from.setdefault(target, []).append(node)
    left = {node: len(found) for node, found in targets.items()}
    ends = [node for node, count in left.items() if not count]
    for end in ends:  # the list grows while it is walked
        for before in comes_from.get(end, ()):
            left[before] -= 1
            if not left[before]:
                ends.append(before)
    return {node: [each for each in targets[node] if left[each]] for node, count in left.items() if count}


def _shortest_cycle(first: N, component: frozenset[N], targets: Mapping[N, Sequence[N]]) -> tuple[N, ...]:
    came_from: dict[N, N] = {}
    queue = [first]
    for node in queue:  # the queue grows while it is walked
        if first in targets[node]:
            steps = [first, node]
            while steps[-1] != first:
                steps.append(came_from[steps[-1]])
            return tuple(reversed(steps))
        for target in targets[node]:
            if target in component and target not in came_from:
                came_from[target] = node
                queue.append(target)
    raise AssertionError("a component without a cycle")


def _components(targets: Mapping[N, Sequence[N]]) -> Iterator[list[N]]:
    """Strongly connected components (Tarjan), with an explicit stack instead of recursion."""
    index: dict[N, int] = {}
    low: dict[N, int] = {}
    open_nodes: list[N] = []
    is_open: set[N] = set()
    for root in targets:
        if root in index:
            continue
        work: list[tuple[N, Iterator[N]]] = [(root, iter(targets[root]))]
        index[root] = low[root] = len(index)
        open_nodes.append(root)
        is_open.add(root)
        while work:
            node, rest = work[-1]
            descended = False
            for target in rest:
                if target not in index:
                    index[target] = low[target] = len(index)
                    open_nodes.append(target)
                    is_open.add(target)
                    work.append((target, iter(targets[target])))
                    descended = True
                    break
                if target in is_open:
                    low[node] = min(low[node], index[target])
            if descended:
                continue
            work.pop()
            if work:
                low[work[-1][0]] = min(low[work[-1][0]], low[node])
            if low[node] == index[node]:
                component: list[N] = []
                while True:
                    member = open_nodes.pop()
                    is_open.discard(member)
                    component.append(member)
                    if member == node:
                        break
                yield component


def _has_branch_dependencies(task: Task) -> bool:
    return task.execution is not None and any(
        branch.depends_on is not None for branch in task.execution.modes.values()
    )
