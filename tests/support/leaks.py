"""Finding processes a test started and did not end.

Every process started below a test inherits one environment variable with a value of that test's own, however
far it wandered from its parent, its process group or its session.
"""

import os

import psutil

MARK = "TEST_PROCESS_MARK"


def marked_processes(mark: str, known: frozenset[int] = frozenset()) -> list[psutil.Process]:
    """Living processes that carry `mark`, apart from this one and the pids in `known`."""
    found = []
    for pid in psutil.pids():
        if pid in known or pid == os.getpid():
            continue
        try:
            process = psutil.Process(pid)
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def left_behind(mark: str, known: frozenset[int], limit_s: float = 5.0) -> list[str]:
    """Describe the marked processes still alive after `limit_s`, and kill them for the tests to come."""
    _, alive = psutil.wait_procs(marked_processes(mark, known), timeout=limit_s)
    described = []
    for process in alive:
        try:
            described.append(f"pid {process.pid}: {' '.join(process.cmdline())}")
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(alive, timeout=5.0)
    return described
