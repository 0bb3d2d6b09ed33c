"""Names of runs: unique, sortable, and safe as a folder name.

Source: runtime specification 20.2 (`YYYYMMDDTHHMMSSZ-<task slug>-<6 hex>`).
"""

import os

from ota.system.clock import SYSTEM_CLOCK, Clock, compact_utc

_SLUG_LIMIT = 40


def make_run_id(task: str, clock: Clock = SYSTEM_CLOCK) -> str:
    """A new run id; the random part keeps two runs of one second apart."""
    return f"{compact_utc(clock)}-{_slug(task)}-{os.urandom(3).hex()}"


def _slug(task: str) -> str:
    words = "".join(c.lower() if c.isascii() and c.isalnum() else "-" for c in task).split("-")
    return "-".join(word for word in words if word)[:_SLUG_LIMIT].strip("-") or "task"
