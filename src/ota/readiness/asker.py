"""Who asks whether something is ready: what a question needs to know of the run or diagnosis behind it.

Source: runtime specification 11.2, 13.3.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from ota.system.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    from ota.system.journal import Journal  # which brings all that watches processes

UNEXECUTABLE = "OTA_SERVICE_READINESS_CONTEXT_UNEXECUTABLE"
"""The context that is to be asked from cannot execute anything: what it asks about was not looked at."""


class Asker(Struct, frozen=True, kw_only=True):
    """On whose behalf a question is asked."""

    root: Path
    """The contract's directory."""
    environ: Mapping[str, str]
    """Of this process: engines are reached by it, and variables of the contract resolved from it."""
    run_id: str
    should_stop: Callable[[], bool] = lambda: False
    clock: Clock = SYSTEM_CLOCK
    journal: "Journal | None" = None
    """Of the run, where one may make what its tasks use too. None: a diagnosis, which leaves nothing."""
