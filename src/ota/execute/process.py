"""One body as a child process: spawned under the journal, supervised, classified when it ends.

What a service's readiness means for it is `ota.execute.service`'s; this module asks an
`Attendant` on every turn of the loop and does what it says.

Source: runtime specification 12, 20.3; commands specification 2.9.
"""

import signal
from collections.abc import Callable
from contextlib import nullcontext
from typing import Protocol

from msgspec import Struct

from ota.execute.context import RunContext
from ota.execute.events import Failure, StepNote
from ota.execute.output import StepOutput
from ota.system.interrupts import Interrupt
from ota.system.processes import GRACE_S
from ota.system.spawn import SpawnError, SpawnRequest
from ota.system.workload import Workload, WorkloadEnd

INTERRUPT_CODES = frozenset((129, 130, 131, 143))
_TURN_S = 0.05


class BodyEnd(Struct, frozen=True, kw_only=True):
    """How a body ended, classified."""

    exit_code: int
    """The child's own code (128 plus n after signal n); 127, 126 or 1 when nothing could be started."""
    interrupt: Interrupt | None = None
    """The user's interrupt, when that is what ended the body."""
    failure: Failure | None = None
    """A reason of ota's own: the child's code does not tell it."""
    was_started: bool = True
    was_released: bool = False
    """Ota ended it, or let it go, because nobody needed it here any more."""
    goes_on: bool = False
    """It was let go, and outlives the run."""
    output: StepOutput | None = None

    @property
    def is_success(self) -> bool:
        """Ended 0 and by itself, or when it was no longer needed."""
        ended_well = self.exit_code == 0 or self.was_released
        return ended_well and self.interrupt is None and self.failure is None


class Attendant(Protocol):
    """Watches a running body: discovery, readiness, confirmation."""

    def started(self, workload: Workload) -> None:
        """The child exists."""
        ...

    def turn(self) -> float | None:
        """Look up; how soon to be called again at the latest, None for no need. May stop the workload."""
        ...

    def interrupted(self) -> None:
        """The user asked to stop; the workload is told after this."""
        ...

    def ended(self, end: WorkloadEnd) -> Failure | None:
        """Leader and session are gone; a failure of the attendant's own, if any."""
        ...


Stop = Callable[[Workload, int], None]
"""Asks a running workload to end because of this signal; called again to hurry it."""


def forward(workload: Workload, number: int) -> None:
    """The signal goes to the child's whole session, which has a grace before it is killed."""
    workload.request_stop(number, grace_s=GRACE_S)


class NoAttendant:
    """A finite body: nothing to watch."""

    def started(self, workload: Workload) -> None: ...

    def turn(self) -> float | None:
        return None

    def interrupted(self) -> None: ...

    def ended(self, end: WorkloadEnd) -> Failure | None:
        return None


def run_process(
    context: RunContext,
    request: SpawnRequest,
    *,
    step: str,
    task: str,
    output: StepOutput,
    attendant: Attendant,
    on_started: Callable[[int], None],
    epoch: int,
    stop: Stop = forward,
) -> BodyEnd:
    """Run a child to its end. `epoch` is the interrupt epoch at the start of the step."""
    lease = context.leases.get(step)
    is_alone = context.options.jobs == 1 and lease is None  # the main thread supervises it
    intent = context.journal.intent("process", f"{task}: {request.argv[0]}")
    try:
        workload = Workload(
            request,
            interrupts=context.interrupts if is_alone else None,
            clock=context.clock,
        )
    except SpawnError as error:
        context.journal.ended(intent, error.exit_code)
        finding = error.findings[0]
        failure = Failure(
            origin="spawn",
            title="Task Failed",
            task=task,
            detail=f"task `{task}` could not be started: {finding.summary}",
            why=(finding.why,),
            next=(finding.next,),
            findings=error.findings,
        )
        return BodyEnd(exit_code=error.exit_code, failure=failure, was_started=False, output=output)
    with workload:
        context.journal.started(intent, workload.leader)
        if lease is not None:
            lease.intent = intent
        on_started(workload.leader.pid)
        attendant.started(workload)
        end = _supervise(context, workload, output, attendant, epoch, stop, is_alone=is_alone)
    output.finish()
    was_released = lease is not None and lease.was_released
    goes_on = lease is not None and lease.was_let_go
    if not goes_on:
        context.journal.ended(intent, end.exit_code)
    trouble = attendant.ended(end)
    _tell_leftovers(context, step, end)
    return BodyEnd(
        exit_code=end.exit_code,
        interrupt=None
        if trouble is not None or was_released
        else interrupt_of(end, context.interrupts.since(epoch)),
        failure=trouble,
        was_released=was_released,
        goes_on=goes_on,
        output=output,
    )


def _supervise(
    context: RunContext,
    workload: Workload,
    output: StepOutput,
    attendant: Attendant,
    epoch: int,
    stop: Stop,
    *,
    is_alone: bool,
) -> WorkloadEnd:
    forwarded = 0

    def look() -> None:
        nonlocal forwarded
        interrupt = context.interrupts.since(epoch)
        if interrupt is None or interrupt.count <= forwarded:
            return
        if forwarded == 0:
            attendant.interrupted()
            stop(workload, interrupt.number)
        if interrupt.count > 1:  # two that came together mean hurry as much as two in a row
            stop(workload, interrupt.number)
        forwarded = interrupt.count

    def woken() -> None:
        look()
        attendant.turn()  # news of a watch is told at once, not at the end of the turn it came in

    waking = nullcontext() if is_alone else context.interrupts.waking(workload.wake)
    with waking:
        look()
        while True:
            limits = [limit for limit in (attendant.turn(), _TURN_S if output.is_filtered else None) if limit]
            end = workload.supervise(output.chunk, on_wake=woken, limit_s=min(limits) if limits else None)
            if end is not None:
                return end
            look()
            if output.is_filtered:
                output.idle()


def interrupt_of(end: WorkloadEnd, interrupt: Interrupt | None) -> Interrupt | None:
    """Whether the user's interrupt is what ended the body (runtime specification 12.3).

    A body that ended as of such a signal is interrupted, also when ota itself was sent none. A concrete
    non-zero code of the child's own stays a failure, however late the interrupt came;
    a child that ignored the request and was killed for it did not fail by itself.
    """
    if end.exit_code in INTERRUPT_CODES:
        return interrupt or Interrupt(number=end.exit_code - 128, count=0)
    if interrupt is None:
        return None
    was_killed_for_it = end.stopped_by is not None and end.was_killed and end.signal == signal.SIGKILL
    return interrupt if end.exit_code == 0 or was_killed_for_it else None


def _tell_leftovers(context: RunContext, step: str, end: WorkloadEnd) -> None:
    if end.left_behind.ended:
        count = len(end.left_behind.ended)
        what = "process" if count == 1 else "processes"
        text = f"ended {count} {what} the task had left in the background"
        context.stream.emit(StepNote(step=step, text=text))
    if end.left_behind.survived:
        pids = ", ".join(str(each.identity.pid) for each in end.left_behind.survived)
        text = f"cleanup incomplete: pid {pids} could not be ended"
        context.stream.emit(StepNote(step=step, text=text, is_warning=True))
