"""Order of work: who may start when, without knowing what work is.

Each step is a generator (`Visit`) that asks for other steps or for a piece of work, and is
resumed when that is done. One step is visited once. With one job everything happens in the
caller's thread in exactly the order asked for; with more, independent pieces run side by side.

Source: runtime specification 1.7; decision D3.
"""

from collections import deque
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor


class Need(Struct, frozen=True):
    """Resume me when these steps are done; their results are sent back in this order."""

    steps: tuple[str, ...]


class Work(Struct, frozen=True):
    """Resume me with the result of this call."""

    call: Callable[[], object]


Visit = Generator[Need | Work, object, object]


class _Raised(Struct, frozen=True):
    """What a piece of work raised instead of returning; it is raised again in the visit that asked."""

    error: Exception


def _outcome(call: Callable[[], object]) -> object:
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - the visit decides, in the thread that drives it
        return _Raised(error)


class _Node:
    """One step on its way."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.open = 0
        self.needs: tuple[str, ...] = ()
        self.waiting: list[_Node] = []
        self.is_done = False
        self.result: object = None


class Scheduler:
    """Drives visits to their end."""

    def __init__(
        self, begin: Callable[[str], Visit], *, jobs: int = 1, stop_all: Callable[[], None] = lambda: None
    ) -> None:
        """`stop_all` makes every running piece end soon: called when one of them cannot be answered for."""
        self._begin = begin
        self._jobs = jobs
        self._nodes: dict[str, _Node] = {}
        self._ready: deque[tuple[_Node, object]] = deque()
        self._stop_all = stop_all
        self._running: dict[Future[object], _Node] = {}

    def run(self, step: str) -> object:
        """The result of a step, after everything it asked for."""
        root = self._node(step)
        if self._jobs == 1:
            self._drive(root, None)
            return root.result
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(self._jobs, thread_name_prefix="ota-job") as pool:
            try:
                self._drive(root, pool)
            except BaseException:
                # leaving the block waits for every running piece, and a service ends only when told to
                self._stop_all()
                raise
        return root.result

    def _drive(self, root: _Node, pool: "ThreadPoolExecutor | None") -> None:
        while not root.is_done:
            while self._ready:
                # the newest first keeps one job depth first; side by side, asking order is fair
                node, value = self._ready.pop() if pool is None else self._ready.popleft()
                self._resume(node, value, pool)
            if self._running:
                self._await_one()
            elif not self._ready and not root.is_done:
                raise AssertionError("every step waits for another one")

    def _resume(self, node: _Node, value: object, pool: "ThreadPoolExecutor | None") -> None:
        try:
            if isinstance(value, _Raised):
                asked = node.visit.throw(value.error)
            else:
                asked = node.visit.send(value)
        except StopIteration as end:
            self._done(node, end.value)
            return
        if isinstance(asked, Work):
            if pool is None:
                self._ready.append((node, _outcome(asked.call)))
            else:
                self._running[pool.submit(_outcome, asked.call)] = node
            return
        node.needs = asked.steps
        open_nodes = [each for each in map(self._node, reversed(asked.steps)) if not each.is_done]
        node.open = len(open_nodes)
        if not open_nodes:
            self._ready.append((node, self._results(node)))
        for each in open_nodes:
            each.waiting.append(node)

    def _node(self, step: str) -> _Node:
        node = self._nodes.get(step)
        if node is None:
            node = self._nodes[step] = _Node(self._begin(step))
            self._ready.append((node, None))
        return node

    def _done(self, node: _Node, result: object) -> None:
        node.is_done, node.result = True, result
        for waiting in node.waiting:
            waiting.open -= 1
            if waiting.open == 0:
                self._ready.append((waiting, self._results(waiting)))

    def _results(self, node: _Node) -> tuple[object, ...]:
        return tuple(self._nodes[step].result for step in node.needs)

    def _await_one(self) -> None:
        """Wait for any running piece; short turns keep the main thread open for signals."""
        from concurrent.futures import FIRST_COMPLETED, wait

        done, _ = wait(self._running, timeout=0.1, return_when=FIRST_COMPLETED)
        for future in done:
            self._ready.append((self._running.pop(future), future.result()))
