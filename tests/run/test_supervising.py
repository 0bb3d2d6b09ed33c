"""The loop that supervises a body: news of a watch is looked at when it comes, not when the turn is over."""

from types import SimpleNamespace
from typing import Any

from ota.execute.process import _supervise


class Attendant:
    """Counts its turns; the second one is the look at the news."""

    turns = 0

    def turn(self) -> float:
        self.turns += 1
        return 3600.0


def test_the_attendant_looks_as_soon_as_the_loop_is_woken() -> None:
    attendant = Attendant()
    looked: list[int] = []

    def supervise(_chunk: object, *, on_wake: Any, limit_s: float | None) -> str:
        assert limit_s == 3600.0
        on_wake()
        looked.append(attendant.turns)
        return "ended"

    context: Any = SimpleNamespace(interrupts=SimpleNamespace(since=lambda _epoch: None))
    workload: Any = SimpleNamespace(supervise=supervise)
    output: Any = SimpleNamespace(is_filtered=False, chunk=None)
    end = _supervise(
        context,
        workload,
        output,
        attendant,
        0,
        lambda *_: None,
        is_alone=True,  # type: ignore[arg-type]
    )
    assert end == "ended"
    assert looked == [2]
