"""Whether anything was started in a folder a moment ago, and so may still be on its way up.

An observation for whoever must choose between waiting and saying that nobody is there. It names no
process and judges none.

Source: doctor specification 9 (workflow surfaces).
"""

import os
from pathlib import Path

from ota.system.process_table import HAS_PROC, observe_processes
from ota.system.processes import untouchable


def may_be_starting(folder: Path, within_s: float) -> bool:
    """Whether a process of somebody else's, at work below `folder`, is younger than `within_s`.

    True where processes do not tell where they work: then nothing is known, and waiting is safer.
    """
    if not HAS_PROC:
        return True
    uptime_s = _uptime_s()
    ticks_s = os.sysconf("SC_CLK_TCK")
    own = {*untouchable(), os.getpid()}
    root = os.fspath(folder.resolve())
    for pid, facts in observe_processes().items():
        if pid in own or facts.is_dead or uptime_s - facts.start_ticks / ticks_s > within_s:
            continue
        if facts.parent == os.getpid():
            continue
        try:
            at = os.fspath(Path(f"/proc/{pid}/cwd").readlink())
        except OSError:  # gone, or somebody else's
            continue
        if at == root or at.startswith(root + os.sep):
            return True
    return False


def _uptime_s() -> float:
    return float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
