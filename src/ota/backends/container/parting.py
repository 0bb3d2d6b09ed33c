"""The end of what was left running in a container: whoever kept it takes the rest away, and goes.

The keeper of the output (`ota.backends.output_keeper`) owns the container, or the body in one that stays.
When nobody prints any more it becomes this program, under the same pid, so that up to its last moment the
owner in labels and journal lives. An engine that is away is waited for; what cannot be done within the limit
stays in the journal, for the next command.

Source: runtime specification 6, 7.4; lessons, "Nothing left behind".
"""

import sys
from contextlib import suppress
from pathlib import Path

from ota.backends.container.release import release_announced
from ota.errors import HostError
from ota.system.clock import SYSTEM_CLOCK, Clock, Deadline
from ota.system.guardian import Released, close_journal, end_what_is_owned, release_containers
from ota.system.journal import JournalFacts, read_journal

LIMIT_S = 60.0
"""For an engine that is being restarted."""
_PAUSE_S = 1.0


def take_rest_away(journal: Path, *, limit_s: float = LIMIT_S, clock: Clock = SYSTEM_CLOCK) -> Released:
    """End what a journal announces, and remove it; while something is left it stays. From any process.

    Raises:
        HostError: the journal cannot be read.
    """
    facts = read_journal(journal)
    record = end_what_is_owned(facts.run_id, facts.leaders, clock=clock)
    released = _released(facts, limit_s, clock)
    close_journal(journal, by="keeper", record=record, released=released)
    return released


def _released(facts: JournalFacts, limit_s: float, clock: Clock) -> Released:
    deadline = Deadline.after(clock, limit_s)
    while True:
        released = release_containers(facts, release_announced)
        if not released.left or deadline.is_over(clock):
            return released
        clock.sleep(_PAUSE_S)


def main() -> None:
    """The rest of the life of a keeper: the first argument names its journal."""
    with suppress(HostError):
        take_rest_away(Path(sys.argv[1]))
