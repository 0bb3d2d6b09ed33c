"""Finding processes a test started and did not end.

Every process started below a test inherits one environment variable with a value of that test's own, however
far it wandered from its parent, its process group or its session.
"""

import os
import sys
import time
from collections.abc import Iterable

import psutil

MARK = "TEST_PROCESS_MARK"
# Podman's name service: started for the first network, it serves those of all tests and ends with the last.
SHARED = frozenset(("aardvark-dns",))

_also: dict[str, int] = {}


def also_mark(mark: str, owner: int) -> None:
    """What carries `mark` counts for every test of this process, apart from the process `owner` itself.

    The kernel shows the environment a program was started with: a process that was forked and took an
    environment after that shows the one of the process it was forked from.
    """
    _also[mark] = owner


def marked_processes(mark: str, known: frozenset[int] = frozenset()) -> list[psutil.Process]:
    """Living processes that carry `mark`, apart from this one and the pids in `known`."""
    found = []
    for pid in psutil.pids():
        if pid in known or pid == os.getpid():
            continue
        try:
            process = psutil.Process(pid)
            if process.name() in SHARED:
                continue
            its_mark = process.environ().get(MARK)
            is_ours = its_mark == mark or (its_mark in _also and _also[its_mark] != pid)
            if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_ended(processes: Iterable[psutil.Process], limit_s: float) -> list[psutil.Process]:
    """Those that still run after `limit_s`.

    One that its parent has not asked about yet has ended: how soon that happens to an orphan is up to the
    first process of the machine.
    """
    deadline = time.monotonic() + limit_s
    alive = [process for process in processes if _runs(process)]
    while alive and time.monotonic() < deadline:
        time.sleep(0.01)
        alive = [process for process in alive if _runs(process)]
    return alive


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def left_behind(mark: str, known: frozenset[int], limit_s: float = 5.0) -> list[str]:
    """Describe the marked processes still alive after `limit_s`, and kill them for the tests to come."""
    alive = wait_ended(marked_processes(mark, known), limit_s)
    described = []
    for process in alive:
        try:
            described.append(f"pid {process.pid}: {' '.join(process.cmdline())}")
            process.kill()
        except psutil.NoSuchProcess:
            continue
    wait_ended(alive, 5.0)
    return described


WARM_START = "support.warm.start"
_STARTING = frozenset(
    ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", WARM_START)
)


class Starts:
    """Hears this process start others: a test that started none has nothing to leave behind."""

    def __init__(self) -> None:
        self.before: frozenset[int] | None = None
        """The processes there were before the first start since `forget`; `None` when there was no start."""
        sys.addaudithook(self._hear)

    def forget(self) -> None:
        self.before = None

    def _hear(self, event: str, _: object) -> None:
        if event in _STARTING and self.before is None:
            self.before = frozenset(psutil.pids())
