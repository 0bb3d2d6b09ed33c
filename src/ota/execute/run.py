"""One run, from the guardian to the footprint.

Makes nothing before the guardian is armed and the journal is open, and leaves nothing but what
a task itself moved out of its session on purpose; what is left is looked up, not assumed.

Source: runtime specification 2, 12, 20; lessons, "Nothing left behind".
"""

from collections.abc import Mapping

from msgspec import Struct

from ota.contract.load import Loaded
from ota.env.masking import Masker
from ota.errors import Finding
from ota.execute.admission import refusals
from ota.execute.context import ReadFile, RunContext, RunOptions
from ota.execute.events import (
    BodyStarted,
    Display,
    Event,
    Failure,
    Footprint,
    RunEnded,
    RunNote,
    RunStarted,
    RunStatus,
)
from ota.execute.interpreter import Interpreter, StepResult
from ota.execute.logs import LogFiles
from ota.execute.output import Excerpt
from ota.execute.stream import EventStream
from ota.resolve.plan import Plan
from ota.system.clock import SYSTEM_CLOCK, Clock, now_utc
from ota.system.footprint import observe_footprint
from ota.system.guardian import arm_guardian, end_what_is_owned
from ota.system.host import HostFacts
from ota.system.interrupts import Interrupts
from ota.system.journal import fault_point, journal_path, open_journal
from ota.system.reconcile import reconcile
from ota.system.run_id import make_run_id


class Ran(Struct, frozen=True, kw_only=True):
    """A finished run: its events, and what its steps printed."""

    events: tuple[Event, ...]
    ended: RunEnded
    excerpt: Excerpt | None
    """Of the step that failed, else of the requested one."""
    outputs: tuple[tuple[str, Excerpt], ...] = ()
    """Of every task that printed, in the order in which they ended."""
    masker: Masker


def run_plan(
    plan: Plan,
    loaded: Loaded,
    *,
    options: RunOptions,
    display: Display,
    host: HostFacts,
    environ: Mapping[str, str],
    read_file: ReadFile,
    masker: Masker,
    clock: Clock = SYSTEM_CLOCK,
) -> Ran:
    """Carry out a plan. Everything that goes wrong is in the result; nothing is raised for it."""
    stream = EventStream(display)
    run_id = make_run_id(plan.requested_step.task.name, clock)
    stream.emit(
        RunStarted(
            run_id=run_id,
            task=plan.requested_step.task.name,
            at=now_utc(clock),
            monotonic_s=clock.monotonic_s(),
        )
    )
    blockers = refusals(plan)
    if blockers:
        return _blocked(plan, stream, blockers, clock, masker)
    # signals are counted before the guardian exists and until it has gone: none ends ota midway
    with (
        Interrupts() as interrupts,
        arm_guardian(journal_path(loaded.root, run_id), run_id=run_id) as guardian,
    ):
        if guardian.finding is not None:
            stream.emit(RunNote(text=_told(guardian.finding), is_warning=True))
        _reconcile(loaded, stream, clock)
        journal = open_journal(loaded.root, run_id=run_id, task=plan.requested_step.task.name, clock=clock)
        logs = LogFiles(loaded.root, run_id, stream) if options.keep_logs else None
        context = RunContext(
            plan=plan,
            loaded=loaded,
            run_id=run_id,
            options=options,
            stream=stream,
            masker=masker,
            interrupts=interrupts,
            clock=clock,
            journal=journal,
            host=host,
            environ=environ,
            read_file=read_file,
            logs=logs,
        )
        interpreter = Interpreter(context)
        try:
            result = interpreter.run()
            fault_point("body.after")
            _clean(context, result)
        except BaseException:
            _abandon(context)
            raise
        for finding in journal.findings:
            stream.emit(RunNote(text=_told(finding), is_warning=True))
        if logs is not None:
            logs.close()
        journal.close()
        ended = _ended(context, interpreter, result)
        stream.emit(ended)
    failed = interpreter.failed_output or result.end
    excerpt = failed.output.excerpt if failed is not None and failed.output is not None else None
    outputs = tuple((task, output.excerpt) for task, output in interpreter.outputs)
    return Ran(
        events=tuple(stream.events), ended=ended, excerpt=excerpt, outputs=outputs, masker=context.masker
    )


def _reconcile(loaded: Loaded, stream: EventStream, clock: Clock) -> None:
    done = reconcile(loaded.root, clock)
    for note in done.notes:
        stream.emit(RunNote(text=note))
    for finding in done.findings:
        stream.emit(RunNote(text=_told(finding), is_warning=True))


def _abandon(context: RunContext) -> None:
    """A bug of ota's own ends the run: nothing of it may stay, because the guardian is about to go."""
    end_what_is_owned(context.run_id, (), since_ticks=context.journal.since_ticks, clock=context.clock)
    context.journal.close()


def _clean(context: RunContext, result: StepResult) -> None:
    """End what still belongs to the run, then look whether anything does.

    A finite task may have moved a process into a session of its own: that is how servers are
    started on purpose (`pg_ctl start`), so after success it stays, and is told.
    """
    had_service = any(isinstance(event, BodyStarted) and event.is_service for event in context.stream.events)
    if had_service or not result.is_good:
        record = end_what_is_owned(
            context.run_id, (), since_ticks=context.journal.since_ticks, clock=context.clock
        )
        if record.ended or record.survived:
            context.journal.cleaned(len(record.ended))
    left = observe_footprint(context.run_id, since_ticks=context.journal.since_ticks).processes
    texts = tuple(f"pid {each.identity.pid} ({context.masker.mask(each.command)})" for each in left)
    context.stream.emit(Footprint(left_behind=texts))


def _ended(context: RunContext, interpreter: Interpreter, result: StepResult) -> RunEnded:
    first = interpreter.first_failure
    status: RunStatus
    exit_code, failure, dependency = 0, None, None
    if result.status == "SKIPPED":
        status = "skipped"
    elif result.is_good:
        status = "success"
    else:
        cause = first or result
        interrupt = result.interrupt or cause.interrupt
        if interrupt is None and result.failure is None and cause.failure is None:
            interrupt = context.interrupts.since(0)
        is_interrupted = interrupt is not None and cause.failure is None
        status = "interrupted" if is_interrupted else "failed"
        failure = None if is_interrupted else (result.failure or cause.failure)
        exit_code = (
            interrupt.exit_code
            if is_interrupted and interrupt is not None
            else (result.exit_code or cause.exit_code or 1)
        )
        dependency = result.failed_dependency
    return RunEnded(
        status=status,
        exit_code=exit_code,
        at=now_utc(context.clock),
        monotonic_s=context.clock.monotonic_s(),
        failure=failure,
        failed_dependency=context.plan.steps[dependency].task.name if dependency else None,
    )


def _blocked(
    plan: Plan, stream: EventStream, blockers: tuple[Finding, ...], clock: Clock, masker: Masker
) -> Ran:
    first = blockers[0]
    failure = Failure(
        origin="admission",
        title=first.title or "Operation failed",
        task=plan.requested_step.task.name,
        detail=first.summary,
        field=first.place.field if first.place is not None else "",
        context=plan.requested_step.task.context.name or "",
        why=tuple(dict.fromkeys(text for each in blockers for text in _why_of(each, first))),
        next=tuple(dict.fromkeys(each.next for each in blockers if each.next)),
        findings=blockers,
    )
    ended = RunEnded(
        status="blocked", exit_code=1, at=now_utc(clock), monotonic_s=clock.monotonic_s(), failure=failure
    )
    stream.emit(ended)
    return Ran(events=tuple(stream.events), ended=ended, excerpt=None, masker=masker)


def _why_of(finding: Finding, first: Finding) -> tuple[str, ...]:
    if finding is first:
        return (finding.why,) if finding.why else ()
    return (f"{finding.summary}: {finding.why}" if finding.why else finding.summary,)


def _told(finding: Finding) -> str:
    return f"{finding.summary}: {finding.why}" if finding.why else finding.summary
