"""The shortest way to let interrupts reach a workload; a run's own way is in `ota.execute.process`."""

from collections.abc import Callable

from ota.system.interrupts import Interrupts
from ota.system.workload import GRACE_S, Workload


def follow_interrupts(
    workload: Workload, interrupts: Interrupts, epoch: int, *, grace_s: float = GRACE_S
) -> Callable[[], None]:
    """An `on_wake` that forwards the first interrupt after `epoch` and hurries on each further one."""
    seen = 0

    def forward() -> None:
        nonlocal seen
        interrupt = interrupts.since(epoch)
        count = 0 if interrupt is None else interrupt.count
        # a first and a second one that arrived together are still two
        while interrupt is not None and seen < min(count, 2):
            seen += 1
            workload.request_stop(interrupt.number, grace_s=grace_s)
        seen = max(seen, count)

    return forward
