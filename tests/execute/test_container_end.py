"""Whose a code is that an engine's client ended with: the body's own, or of who took the container away."""

import pytest

from ota.backends.container.ephemeral import Termination
from ota.execute.container_end import ended_by_itself, may_be_taken


def state(exit_code: int | None, *, is_running: bool | None = False, oom_killed: bool = False) -> Termination:
    return Termination(is_running=is_running, was_started=True, exit_code=exit_code, oom_killed=oom_killed)


@pytest.mark.parametrize(
    ("client", "seen", "is_own"),
    [
        (3, state(3), True),
        (255, state(255), True),
        (137, state(137, oom_killed=True), True),
        (137, state(137), False),
        (143, state(143), False),
        (125, state(255), False),
        (3, state(None, is_running=None), False),
        (3, state(3, is_running=True), False),
    ],
    ids=["own", "own 255", "oom", "killed", "ended with engine", "client's own", "gone", "runs on"],
)
def test_after_a_silence_of_the_engine_a_code_that_both_tell_is_the_bodys(client, seen, is_own):
    assert ended_by_itself(client, seen) is is_own


@pytest.mark.parametrize(
    ("client", "seen", "is_open"),
    [
        (255, state(255), False),
        (125, state(125), False),
        (3, state(137), False),
        (137, state(137), True),
        (255, state(137), True),
        (137, state(137, oom_killed=True), False),
    ],
    ids=["own 255", "own 125", "own 3", "killed", "taken", "oom"],
)
def test_only_a_container_that_was_killed_is_waited_for_to_vanish(client, seen, is_open):
    assert may_be_taken(client, seen) is is_open
