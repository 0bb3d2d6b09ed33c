"""Starting a child through `posix_spawn`: no import of `subprocess`, half the cost per child.

Only where it can do exactly what `subprocess` would: on Linux, in the directory ota itself is
in (`posix_spawn` knows no working directory). Everything else is refused with None, and `spawn`
takes the long way.

Source: architecture (start-up matters); runtime specification 26.
"""

import os
import signal
from collections.abc import Mapping
from pathlib import Path

from ota.system.process_table import HAS_PROC

# Python ignores these two for itself; a child expects the defaults
_RESTORED = tuple(getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ") if hasattr(signal, name))


def quick_spawn(
    program: str | None,
    argv: tuple[str, ...],
    environment: Mapping[str, str],
    cwd: Path,
    descriptors: tuple[int, int, int],
    *,
    own_session: bool,
) -> int | None:
    """The pid of the child; None when this way cannot serve the request.

    `descriptors` become the child's 0, 1 and 2. Without `own_session` the child leads a process
    group of its own.

    Raises:
        OSError: the program cannot be executed.
        ValueError: a NUL byte in an argument, or an impossible variable name.
    """
    if program is None or not HAS_PROC or not _is_here(cwd):
        return None
    leaking = _leaking()
    if leaking and 0 <= os.sysconf("SC_OPEN_MAX") <= max(leaking):
        return None  # opened before the limit was lowered: `posix_spawn` refuses to close such a number
    actions: list[tuple[int, ...]] = [
        (os.POSIX_SPAWN_DUP2, descriptor, target) for target, descriptor in enumerate(descriptors)
    ]
    actions.extend((os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in leaking)
    try:
        if own_session:
            return os.posix_spawn(
                program,
                argv,
                environment,
                file_actions=actions,
                setsid=True,
                setsigmask=(),
                setsigdef=_RESTORED,
            )
        return os.posix_spawn(
            program, argv, environment, file_actions=actions, setpgroup=0, setsigmask=(), setsigdef=_RESTORED
        )
    except NotImplementedError:
        return None  # a C library without sessions for posix_spawn


def _is_here(cwd: Path) -> bool:
    try:
        return os.path.samestat(os.stat("."), cwd.stat())  # noqa: PTH116 - the process's own directory
    except OSError:
        return False


def _leaking() -> list[int]:
    """Descriptors that ota was given by its parent and a child would inherit unseen."""
    leaking = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names are wanted, not paths
        descriptor = int(name)
        try:
            if descriptor > 2 and os.get_inheritable(descriptor):
                leaking.append(descriptor)
        except OSError:
            continue  # the one that was reading the folder
    return leaking
