"""What of a run exists right now, so that "left behind: nothing" is a claim that was checked.

It observes; ending is in `processes`, and what a receipt says about it is decided by its reader.

Source: lessons, "Nothing left behind" (footprint).
"""

from collections.abc import Callable, Iterable

from msgspec import Struct

from ota.system.process_table import observe_command
from ota.system.processes import Identity, is_alive, owned_processes

ListeningPorts = Callable[[int], tuple[int, ...]]


class FootprintProcess(Struct, frozen=True, kw_only=True):
    """One living process of a run."""

    identity: Identity
    command: str
    """May hold secrets: mask it before showing it."""
    ports: tuple[int, ...] = ()
    """The TCP ports it listens on, where that was asked."""


class Footprint(Struct, frozen=True, kw_only=True):
    """Everything of a run at one moment."""

    processes: tuple[FootprintProcess, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing of the run exists."""
        return not self.processes


def observe_footprint(
    run_id: str,
    leaders: Iterable[Identity] = (),
    *,
    since_ticks: int = 0,
    ports_of: ListeningPorts | None = None,
) -> Footprint:
    """Look through the process table for what belongs to a run.

    `since_ticks` is the start of the run's ota process. `ports_of` answers which ports a process
    listens on; it is asked only about what was found.
    """
    return Footprint(
        processes=tuple(
            FootprintProcess(
                identity=identity,
                command=observe_command(identity.pid),
                ports=ports_of(identity.pid) if ports_of is not None else (),
            )
            for identity in owned_processes(run_id, leaders, since_ticks=since_ticks)
            if is_alive(identity)
        )
    )


def left_behind(before: Footprint, after: Footprint) -> Footprint:
    """What is there after a run that was not there before it."""
    known = {process.identity for process in before.processes}
    return Footprint(processes=tuple(entry for entry in after.processes if entry.identity not in known))
