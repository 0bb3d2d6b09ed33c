"""What a run left behind, in words: as the receipt lists it, and as the summary warns of it.

What is left, and of which kind, is observed in `ota.execute.run`.

Source: lessons, "Nothing left behind" (footprint).
"""

from typing import assert_never

from ota.execute.events import LeftBehind, LeftContainer, LeftInside, LeftProcess


def leftover(left: LeftBehind) -> str:
    """Its name, as it stands in the receipt."""
    match left:
        case LeftProcess(pid=pid, command=command):
            return f"pid {pid} ({command})"
        case LeftContainer(container=container, engine=engine):
            return f"container {container} ({engine})"
        case LeftInside(container=container, pids=pids):
            told = f"pid {', '.join(map(str, pids))}" if pids else "what could not be ended"
            return f"inside {container}: {told}"
        case _ as never:
            assert_never(never)


def leftover_warning(left: LeftBehind) -> str:
    """What is wrong with it being there."""
    match left:
        case LeftProcess():
            return f"still running, in a session of its own: {leftover(left)}"
        case LeftContainer():
            return f"incomplete cleanup: {leftover(left)} was not removed"
        case LeftInside(pids=pids):
            return f"{'still running' if pids else 'perhaps still'} {leftover(left)}"
        case _ as never:
            assert_never(never)
