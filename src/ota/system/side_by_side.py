"""Independent waits, side by side: bounded threads, results in the order of the questions.

For work that waits (probes, commands, sockets), not for work that computes. What one job needs to
be stopped it is given by whoever made it; nothing here can end a job from outside.

Source: lessons, "Engine talk"; decision D3.
"""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

MOST_AT_ONCE = 48
"""Waiting costs nothing, but every command among the jobs is a process."""
_LOOK_UP_S = 0.1

T = TypeVar("T")


def side_by_side(jobs: Sequence[Callable[[], T]], *, at_once: int = MOST_AT_ONCE) -> tuple[T, ...]:
    """Every job's answer, in the order of `jobs`; takes little more than the slowest one.

    An exception of a job is raised again here once no job is left running, the first one written
    down first. When one passes through the calling thread, no further job is begun.
    """
    if len(jobs) <= 1:
        return tuple(job() for job in jobs)
    from threading import Thread  # who has one question at most needs none

    crew = _Crew(jobs)
    threads: list[Thread] = []
    try:
        # quick answers need few: what is taken before a thread is begun needs no further one
        while len(threads) < min(len(jobs), at_once) and crew.join():
            threads.append(Thread(target=crew.work, name=f"ota-wait-{len(threads)}", daemon=True))
            threads[-1].start()
        crew.leave()
        while not crew.done.wait(_LOOK_UP_S):
            pass
    except BaseException:
        crew.is_closed = True
        raise
    finally:
        for thread in threads:
            if thread.ident is not None:
                thread.join()
    if crew.troubles:
        raise crew.troubles[min(crew.troubles)]
    return tuple(crew.answers[index] for index in range(len(jobs)))


class _Crew(Generic[T]):
    """The threads' common state."""

    def __init__(self, jobs: Sequence[Callable[[], T]]) -> None:
        from threading import Event, Lock

        self.jobs = jobs
        self.answers: dict[int, T] = {}
        self.troubles: dict[int, BaseException] = {}
        self.done = Event()
        self.working = 1
        """Threads at work, and whoever begins them as long as more may follow."""
        self.is_closed = False
        self._next = 0
        self._lock = Lock()

    def join(self) -> bool:
        """Count one more thread; False when there is nothing left for it."""
        with self._lock:
            if self.is_closed or self._next >= len(self.jobs):
                return False
            self.working += 1
            return True

    def leave(self) -> None:
        """Count one less."""
        with self._lock:
            self.working -= 1
            if not self.working:
                self.done.set()

    def work(self) -> None:
        try:
            while (index := self._taken()) is not None:
                try:
                    self.answers[index] = self.jobs[index]()
                except BaseException as trouble:  # noqa: BLE001 - raised again in the calling thread
                    self.troubles[index] = trouble
                    self.is_closed = True
        finally:
            self.leave()

    def _taken(self) -> int | None:
        with self._lock:
            if self.is_closed or self._next >= len(self.jobs):
                return None
            self._next += 1
            return self._next - 1
