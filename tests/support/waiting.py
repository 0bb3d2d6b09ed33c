"""Waiting for a condition: no test sleeps and hopes."""

import time
from collections.abc import Callable

POLL_S = 0.01


def wait_until(holds: Callable[[], object], what: str = "", timeout: float = 20.0) -> None:
    """Return as soon as the condition holds; fail with `what` was awaited."""
    deadline = time.monotonic() + timeout
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"{timeout:g} s passed, still waiting for {what or holds}")
        time.sleep(POLL_S)
