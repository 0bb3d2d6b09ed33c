"""What a run left behind, in the words of receipt and summary."""

import pytest

from ota.evidence.leftovers import leftover, leftover_warning
from ota.execute.events import LeftBehind, LeftContainer, LeftInside, LeftProcess


@pytest.mark.parametrize(
    ("left", "name", "warning"),
    [
        (
            LeftProcess(pid=7, command="sleep 300"),
            "pid 7 (sleep 300)",
            "still running, in a session of its own: pid 7 (sleep 300)",
        ),
        (
            LeftContainer(container="ota-x", engine="podman"),
            "container ota-x (podman)",
            "incomplete cleanup: container ota-x (podman) was not removed",
        ),
        (
            LeftInside(container="ota-x", pids=(7, 9)),
            "inside ota-x: pid 7, 9",
            "still running inside ota-x: pid 7, 9",
        ),
    ],
)
def test_each_kind_is_named_and_warned_of_in_its_own_words(left: LeftBehind, name: str, warning: str):
    assert (leftover(left), leftover_warning(left)) == (name, warning)
