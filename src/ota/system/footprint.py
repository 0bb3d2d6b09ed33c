"""What of a run exists right now, so that "left behind: nothing" is a claim that was checked.

It observes; ending is in `processes`, and what a receipt says about it is decided by its reader.

Source: lessons, "Nothing left behind" (footprint).
"""

from msgspec import Struct

from ota.system.process_table import observe_command
from ota.system.processes import Identity, is_alive, owned_processes


class FootprintProcess(Struct, frozen=True, kw_only=True):
    """One living process of a run."""

    identity: Identity
    command: str
    """May hold secrets: mask it before showing it."""


def observe_footprint(run_id: str, *, since_ticks: int = 0) -> tuple[FootprintProcess, ...]:
    """Look through the process table for what belongs to a run.

    `since_ticks` is the start of the run's ota process.
    """
    return tuple(
        FootprintProcess(identity=identity, command=observe_command(identity.pid))
        for identity in owned_processes(run_id, since_ticks=since_ticks)
        if is_alive(identity)
    )
