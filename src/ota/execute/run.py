"""One run, from the guardian to the footprint.

Makes nothing before the guardian is armed and the journal is open, and leaves nothing but what
a task itself moved out of its session on purpose; what is left is looked up, not assumed.

Source: runtime specification 2, 12, 20; lessons, "Nothing left behind".
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from msgspec import Struct

from ota.contract.load import Loaded
from ota.env.masking import Masker
from ota.errors import Finding, HostError
from ota.execute.admission import refusals
from ota.execute.context import ReadFile, RunContext, RunOptions
from ota.execute.events import (
    BodyStarted,
    ContainerEntered,
    ContainerLeft,
    Display,
    Event,
    Failure,
    Footprint,
    LeftBehind,
    LeftContainer,
    LeftInside,
    LeftProcess,
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
from ota.system.guardian import Released, arm_guardian, end_what_is_owned, release_containers
from ota.system.host import HostFacts
from ota.system.interrupts import Interrupts
from ota.system.journal import JournalFacts, fault_point, journal_path, open_journal, read_journal
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
    surroundings = Surroundings(
        loaded=loaded, options=options, host=host, environ=environ, read_file=read_file, clock=clock
    )
    what = f"run {plan.requested_step.task.name}"
    with in_progress(plan, run_id, what, surroundings, stream, masker) as context:
        interpreter = Interpreter(context)
        unrendered = render_files(context)
        result = interpreter.run() if unrendered is None else interpreter.refuse(unrendered)
        fault_point("body.after")
        end_and_look(context, is_good=result.is_good)
        conclude(context)
        ended = _ended(context, interpreter, result)
        stream.emit(ended)
    failed = interpreter.failed_output or result.end
    excerpt = failed.output.excerpt if failed is not None and failed.output is not None else None
    return Ran(
        events=tuple(stream.events),
        ended=ended,
        excerpt=excerpt,
        outputs=outputs_of(interpreter),
        masker=context.masker,
    )


# --- what every command does that runs things ----------------------------------------------------


class Surroundings(Struct, frozen=True, kw_only=True):
    """What a run is given beside its plan."""

    loaded: Loaded
    options: RunOptions
    host: HostFacts
    environ: Mapping[str, str]
    read_file: ReadFile
    clock: Clock


@contextmanager
def in_progress(
    plan: Plan, run_id: str, what: str, given: Surroundings, stream: EventStream, masker: Masker
) -> Iterator[RunContext]:
    """A run that is watched by a guardian, with its journal open; `conclude` it before leaving.

    Signals are counted before the guardian exists and until it has gone: none ends ota midway.
    """
    loaded, clock = given.loaded, given.clock
    with (
        Interrupts() as interrupts,
        arm_guardian(journal_path(loaded.root, run_id), run_id=run_id, release=release_announced) as guardian,
    ):
        if guardian.finding is not None:
            stream.emit(RunNote(text=told(guardian.finding), is_warning=True))
        _reconcile(loaded, stream, clock)
        context = RunContext(
            plan=plan,
            loaded=loaded,
            run_id=run_id,
            options=given.options,
            stream=stream,
            masker=masker,
            interrupts=interrupts,
            clock=clock,
            journal=open_journal(loaded.root, run_id=run_id, task=what.removeprefix("run "), clock=clock),
            host=given.host,
            environ=given.environ,
            read_file=given.read_file,
            logs=LogFiles(loaded.root, run_id, stream) if given.options.keep_logs else None,
            what=what,
        )
        try:
            yield context
        except BaseException:
            _abandon(context)
            raise


def conclude(context: RunContext) -> None:
    """The run is over: what went wrong with journal and logs is told, and both are closed."""
    for finding in context.journal.findings:
        context.stream.emit(RunNote(text=told(finding), is_warning=True))
    if context.logs is not None:
        context.logs.close()
    context.journal.close()


def render_files(context: RunContext) -> Failure | None:
    """Make what the workflow's env profile renders; None when it is there, and when there is nothing."""
    if context.plan.render is None:
        return None
    from ota.execute.rendering import render_profile  # paid only by workflows that render files

    return render_profile(context)


def outputs_of(interpreter: Interpreter) -> tuple[tuple[str, Excerpt], ...]:
    """What each task printed."""
    return tuple((task, output.excerpt) for task, output in interpreter.outputs)


def _reconcile(loaded: Loaded, stream: EventStream, clock: Clock) -> None:
    done = reconcile(loaded.root, clock, release=release_announced)
    for note in done.notes:
        stream.emit(RunNote(text=note))
    for finding in done.findings:
        stream.emit(RunNote(text=told(finding), is_warning=True))


def _abandon(context: RunContext) -> None:
    """A bug of ota's own ends the run: nothing of it may stay, because the guardian is about to go."""
    end_what_is_owned(context.run_id, (), since_ticks=context.journal.since_ticks, clock=context.clock)
    with suppress(HostError):  # without a journal there is nothing that names a container
        release_containers(read_journal(context.journal.path), release_announced)
    context.journal.close()


def release_announced(facts: JournalFacts) -> Released:
    """What a journal announced in container engines is taken away; asked only when it announces anything."""
    from ota.backends.container.release import release_announced as release  # paid only by runs that did

    return release(facts)


def _left_in_engines(events: list[Event]) -> tuple[LeftBehind, ...]:
    """Containers made for this run alone that no engine said are gone; what runs on in those that stay."""
    made = {
        event.container: event.engine
        for event in events
        if isinstance(event, ContainerEntered) and event.lifecycle == "ephemeral"
    }
    left = [event for event in events if isinstance(event, ContainerLeft)]
    gone = {event.container for event in left if event.is_gone or event.goes_on}
    return (
        *(LeftContainer(container=name, engine=engine) for name, engine in made.items() if name not in gone),
        *(
            LeftInside(container=each.container, pids=each.left_inside)
            for each in left
            if each.left_inside or each.is_unsure
        ),
    )


def end_and_look(context: RunContext, *, is_good: bool) -> None:
    """End what still belongs to the run, then look whether anything does.

    A finite task may have moved a process into a session of its own: that is how servers are
    started on purpose (`pg_ctl start`), so after success it stays, and is told.
    """
    for mark in _marks_to_end(context, is_good=is_good):
        record = end_what_is_owned(mark, (), since_ticks=context.journal.since_ticks, clock=context.clock)
        if record.ended or record.survived:
            context.journal.cleaned(len(record.ended))
    left = tuple(
        LeftProcess(pid=each.identity.pid, command=context.masker.mask(each.command))
        for each in observe_footprint(context.run_id, since_ticks=context.journal.since_ticks)
    )
    context.stream.emit(Footprint(left_behind=(*left, *_left_in_engines(context.stream.events))))


def _marks_to_end(context: RunContext, *, is_good: bool) -> tuple[str, ...]:
    """Whose processes are to end now: after success those of services, where they can be told apart."""
    if not is_good:
        return (context.run_id,)
    if context.leases:
        return tuple(lease.run_id for lease in context.leases.values() if not lease.was_let_go)
    had_service = any(isinstance(event, BodyStarted) and event.is_service for event in context.stream.events)
    return (context.run_id,) if had_service else ()


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


def told(finding: Finding) -> str:
    """A finding as one line, with what to do about it."""
    fact = f"{finding.summary}: {finding.why}" if finding.why else finding.summary
    return f"{fact}; {finding.next}" if finding.next else fact
