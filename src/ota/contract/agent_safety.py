"""Whether an agent may run a task: decided on what the contract declares, never on command text.

Owns the one answer to "effectively agent-safe, closure aware": `ota tasks --safe` filters by it,
`ota run --agent` refuses with its reasons, rules V477 to V479 prove the same boundary. It knows
nothing of the host or of what a command would do.

Source: contract specification 15.10, 17; commands specification 2.1 (`--agent`), 7 (`--safe`).
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Literal

from msgspec import Struct

from ota.contract.grammar import check_boundary_path, path_within, paths_overlap
from ota.contract.graph import TaskGraph, route, shown_route
from ota.contract.model import Contract
from ota.contract.model.agent import Agent
from ota.contract.model.tasks import Effects

UnsafeKind = Literal["not_marked", "protected_path", "outside_boundary", "workspace_writes"]


class UnsafeReason(Struct, frozen=True, kw_only=True):
    """Why one task of a closure keeps the whole closure from being agent-safe."""

    kind: UnsafeKind
    task: str
    """The task that is to blame."""
    route: tuple[str, ...]
    """From the asked task to the blamed one."""
    why: str
    next: str


class BoundaryBreach(Struct, frozen=True, kw_only=True):
    """One declared write that agents may not cause."""

    kind: UnsafeKind
    index: int
    """Position in `effects.writes`, or in `effects.workspace_writes`."""
    path: str
    why: str
    next: str


class AgentSafety:
    """The answers for one contract; the graph is walked once for all tasks."""

    def __init__(self, contract: Contract, graph: TaskGraph | None = None) -> None:
        self.contract = contract
        self.graph = graph or TaskGraph(contract.tasks)
        self.agent = contract.agent or Agent()

    @cached_property
    def marked(self) -> frozenset[str]:
        """Tasks that say of themselves that agents may run them."""
        flagged = {name for name, task in self.contract.tasks.items() if task.safe_for_agent}
        return frozenset(flagged | (set(self.agent.safe_tasks) & self.contract.tasks.keys()))

    @cached_property
    def effective(self) -> frozenset[str]:
        """Marked tasks whose whole closure is marked and stays inside the boundary."""
        reached_by: dict[str, list[str]] = {name: [] for name in self.contract.tasks}
        for name in self.contract.tasks:
            for successor in self.graph.successors(name, activated=True):
                reached_by[successor].append(name)
        unsafe = {name for name in self.contract.tasks if self._is_unsafe_alone(name)}
        queue = list(unsafe)
        for name in queue:  # the queue grows while it is walked
            for before in reached_by[name]:
                if before not in unsafe:
                    unsafe.add(before)
                    queue.append(before)
        return frozenset(self.contract.tasks.keys() - unsafe)

    @cached_property
    def covered(self) -> dict[str, str | None]:
        """Every marked task and everything one reaches, with the task that led there."""
        return self.graph.closure(sorted(self.marked), activated=True)

    def reasons(self, name: str) -> tuple[UnsafeReason, ...]:
        """Why a task's closure is not agent-safe; empty when an agent may run it.

        Every mode branch counts: safety is a property of the task, not of one invocation.
        """
        reached = self.graph.closure((name,), activated=True)
        return tuple(reason for task in reached for reason in self._reasons_of(task, route(reached, task)))

    def breaches(self, effects: Effects | None) -> Iterator[BoundaryBreach]:
        """Declared writes outside what `agent` allows."""
        if effects is None:
            return
        for index, path in enumerate(effects.writes):
            if check_boundary_path(path) is not None:
                continue  # V471 speaks of it
            guard = next((guarded for guarded in self._protected if paths_overlap(path, guarded)), None)
            if guard is not None:
                yield BoundaryBreach(
                    kind="protected_path",
                    index=index,
                    path=path,
                    why=f"it writes `{path}`, which overlaps the protected path `{guard}`",
                    next=f"do not write `{path}` there, or keep the task away from agents",
                )
            elif self._writable and not any(path_within(path, root) for root in self._writable):
                yield BoundaryBreach(
                    kind="outside_boundary",
                    index=index,
                    path=path,
                    why=f"it writes `{path}`, outside `agent.writable_paths`",
                    next=f"add a path that holds `{path}` to `agent.writable_paths`, or keep the task "
                    "away from agents",
                )
        for index, path in enumerate(effects.workspace_writes):
            yield BoundaryBreach(
                kind="workspace_writes",
                index=index,
                path=path,
                why=f"it writes `{path}`, which may lie outside the repository",
                next="keep the task away from agents, or remove `effects.workspace_writes`",
            )

    @cached_property
    def _protected(self) -> tuple[str, ...]:
        return tuple(path for path in self.agent.protected_paths if check_boundary_path(path) is None)

    @cached_property
    def _writable(self) -> tuple[str, ...]:
        return tuple(path for path in self.agent.writable_paths if check_boundary_path(path) is None)

    def _is_unsafe_alone(self, name: str) -> bool:
        return name not in self.marked or any(self.breaches(self.contract.tasks[name].effects))

    def _reasons_of(self, name: str, way: tuple[str, ...]) -> Iterator[UnsafeReason]:
        via = f" (reached by {shown_route(way)})" if len(way) > 1 else ""
        if name not in self.marked:
            yield UnsafeReason(
                kind="not_marked",
                task=name,
                route=way,
                why=f"task `{name}`{via} is not declared agent-safe",
                next=f"set `safe_for_agent: true` on task `{name}` or list it in `agent.safe_tasks`, "
                "if agents may run it",
            )
        for breach in self.breaches(self.contract.tasks[name].effects):
            yield UnsafeReason(
                kind=breach.kind,
                task=name,
                route=way,
                why=f"task `{name}`{via}: {breach.why}",
                next=breach.next,
            )
