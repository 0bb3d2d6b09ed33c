"""Closures and cycles of the task graph."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ota.contract.graph import TaskGraph, find_cycles, plane_of_dependency, route
from ota.contract.model import Contract, Project
from ota.contract.model.bodies import Aggregate
from ota.contract.model.tasks import Activation, Branch, Target, TargetService, Task, TaskExecution
from ota.contract.planes import Planes


def graph(**tasks: Task) -> TaskGraph:
    return TaskGraph(tasks)


def planes(tasks: TaskGraph) -> Planes:
    return Planes(Contract(version=1, project=Project(name="p"), tasks=tasks.tasks))


def test_closure_follows_dependencies_aggregates_and_hooks_nearest_first() -> None:
    tasks = graph(
        all=Task(aggregate=Aggregate(tasks=("build", "test"))),
        build=Task(run="b", depends_on=("setup",)),
        setup=Task(run="s"),
        test=Task(run="t", after_always=("tidy",)),
        tidy=Task(run="x"),
        other=Task(run="o"),
    )
    reached = tasks.closure(["all"])
    assert list(reached) == ["all", "build", "test", "setup", "tidy"]
    assert route(reached, "setup") == ("all", "build", "setup")


def test_unknown_names_are_left_to_the_rules() -> None:
    tasks = graph(a=Task(run="a", depends_on=("ghost",)))
    assert list(tasks.closure(["a", "nobody"])) == ["a"]


def test_activation_is_followed_only_when_asked_and_not_manual() -> None:
    def caller(mode: str) -> Task:
        target = Target(service=TargetService(task="api"), activation=Activation(mode=mode))  # type: ignore[arg-type]
        return Task(run="c", targets={"api": target})

    tasks = graph(started=caller("ensure_ready"), manual=caller("manual"), api=Task(run="a"))
    assert list(tasks.closure(["started"])) == ["started"]
    assert list(tasks.closure(["started"], activated=True)) == ["started", "api"]
    assert list(tasks.closure(["manual"], activated=True)) == ["manual"]


def test_a_cycle_is_told_once_from_its_first_task() -> None:
    tasks = graph(
        a=Task(run="a", depends_on=("b",)),
        b=Task(run="b", depends_on=("c",)),
        c=Task(run="c", depends_on=("b",), after_success=("a",)),
        d=Task(run="d", depends_on=("d",)),
    )
    assert tasks.cycles(planes(tasks)) == [("a", "b", "c", "a"), ("d", "d")]


def test_dependencies_of_planes_that_never_meet_make_no_cycle() -> None:
    native = TaskExecution(modes={"native": Branch(depends_on=("b",)), "container": Branch(depends_on=())})
    container = TaskExecution(modes={"native": Branch(depends_on=()), "container": Branch(depends_on=("a",))})
    tasks = graph(a=Task(run="a", execution=native), b=Task(run="b", execution=container))
    assert tasks.cycles(planes(tasks)) == []


def test_a_cycle_of_one_plane_is_found() -> None:
    both = TaskExecution(modes={"native": Branch(depends_on=("b",)), "container": Branch(depends_on=())})
    tasks = graph(a=Task(run="a", execution=both), b=Task(run="b", depends_on=("a",)))
    assert tasks.cycles(planes(tasks)) == [("a", "b", "a")]


def test_a_dependency_keeps_the_plane_it_supports() -> None:
    both = Task(run="x", execution=TaskExecution(modes={"container": Branch()}))
    tasks = graph(both=both, plain=Task(run="x"))
    answers = planes(tasks)
    assert plane_of_dependency(answers, both, "container") == "container"
    assert plane_of_dependency(answers, tasks.tasks["plain"], "container") == "native"


@pytest.mark.slow
def test_ten_thousand_tasks_in_a_row_are_no_recursion() -> None:
    count = 10_000
    tasks = {f"t{i}": Task(run="x", depends_on=(f"t{(i + 1) % count}",)) for i in range(count)}
    chain = TaskGraph(tasks)
    assert len(chain.closure(["t0"])) == count
    (cycle,) = chain.cycles(planes(chain))
    assert len(cycle) == count + 1


@given(st.dictionaries(st.integers(0, 12), st.lists(st.integers(0, 12), max_size=4), max_size=12))
def test_every_told_cycle_is_one_and_every_knot_is_told(edges: dict[int, list[int]]) -> None:
    cycles = find_cycles(edges)
    for cycle in cycles:
        assert cycle[0] == cycle[-1]
        assert all(after in edges[before] for before, after in pairwise(cycle))
    cut = {node: list(targets) for node, targets in edges.items()}
    for cycle in cycles:
        for node in cycle:
            cut[node] = []
    reachable = {node: _reach(edges, node) for node in edges}
    for node in edges:
        if node in reachable[node]:
            assert any(
                member in reachable[node] and node in reachable[member] for c in cycles for member in c
            )


def _reach(edges: dict[int, list[int]], start: int) -> set[int]:
    found: set[int] = set()
    queue = [t for t in edges[start] if t in edges]
    while queue:
        node = queue.pop()
        if node not in found:
            found.add(node)
            queue += [t for t in edges[node] if t in edges]
    return found
