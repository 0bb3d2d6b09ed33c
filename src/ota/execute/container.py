"""A body in a container: prepared, entered, watched, and left as its lifecycle says.

The engine's client is the child that is supervised; the body is behind it. What the client says before
the body's shell has begun is the engine's, and never shown as the task's output. How containers are made
is `ota.backends.container`'s; this module turns what it returns into events and ends.

Source: runtime specification 2, 6, 7, 12, 20; commands specification 2.5, 2.8, 2.9.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from ota.backends.container.engine import CALL_LIMIT_S, Engine, ask, client_directory, never, no_answer
from ota.backends.container.ephemeral import (
    EphemeralRun,
    Termination,
    observe_end,
    release_ephemeral,
    verify_published,
)
from ota.backends.container.facts import ContainerFacts
from ota.backends.container.persistent import PersistentRun, end_prepared
from ota.backends.container.signalling import signal_all, signal_body
from ota.backends.container.start_mark import StartMark
from ota.backends.container.work import BodyEnvironment, Prepared, PublishedPort, Scene, Work
from ota.backends.native import posix_quoted
from ota.errors import Finding, HostError, OtaError
from ota.execute.container_end import (
    TAKEN_CODES,
    ServiceEvidence,
    ended_by_itself,
    may_be_taken,
    terminated,
)
from ota.execute.container_stop import InsideStop
from ota.execute.context import RunContext
from ota.execute.environment import StepEnvironment, environment_failure, environment_of
from ota.execute.events import (
    BodyStarted,
    ContainerEntered,
    ContainerLeft,
    Failure,
    FailureOrigin,
    ServiceTerminated,
    StepNote,
    Waiting,
)
from ota.execute.output import StepOutput
from ota.execute.process import Attendant, BodyEnd, NoAttendant, Stop, run_process
from ota.resolve.endpoints import with_host_ports
from ota.resolve.injection import CONTAINER_WORKSPACE
from ota.resolve.plan import ArgvBody, ContainerLaunchBody, ShellBody, StepPlan
from ota.system.clock import Clock, Deadline
from ota.system.journal import Journal, fault_point
from ota.system.processes import Identity
from ota.system.spawn import SpawnRequest, Stream
from ota.system.workload import Workload, WorkloadEnd

if TYPE_CHECKING:
    from ota.execute.container_service import ContainerPlane
    from ota.execute.kept import KeptContainer
    from ota.execute.leased import LeasedAttendant
    from ota.execute.service import ServiceAttendant

_UNSTARTED_TURN_S = 0.05
_GIB = 1024**3
_KILLED = 137
_BACK_LIMIT_S = 10.0
"""For an engine that is restarted under a task."""
_BACK_POLL_S = 0.2
_REMOVAL_LIMIT_S = 0.6
_REMOVAL_POLL_S = 0.1
_CONTEXT_LIMIT_S = 5.0
_LEFT_BEHIND = "OTA_CONTAINER_LEFT_BEHIND"


EnteredBody = ShellBody | ArgvBody | ContainerLaunchBody
"""What an engine runs: text for a shell in the image, or the image as it is."""


def run_in_container(
    context: RunContext,
    step: StepPlan,
    body: EnteredBody,
    epoch: int,
    *,
    output: StepOutput | None = None,
) -> BodyEnd:
    """Run the body of a step in its container, to its end. Never raises for what engine or body do.

    `output` is the step's own where this is only a part of what it does.
    """
    environment = environment_of(context, step, is_again=output is not None)
    if environment.findings:
        return BodyEnd(exit_code=1, failure=environment_failure(step, environment), was_started=False)
    if _wish(body) == "required" and not context.options.has_terminal:
        from ota.execute.body import no_terminal

        return BodyEnd(exit_code=1, failure=no_terminal(step), was_started=False)
    return _ContainerBody(context, step, body, environment, epoch, output).run()


def _wish(body: EnteredBody) -> str:
    """Who is to have the terminal; without a word the body has pipes, as engines give them."""
    return body.interaction if isinstance(body, ArgvBody) and not body.is_launch else "auto"


class _Lifecycle(Protocol):
    """How containers of one lifecycle are come by and left."""

    def prepare(self) -> Prepared:
        """Raises HostError: nothing of the attempt is left."""
        ...

    def not_started(self, prepared: Prepared, said: str) -> None:
        """Returns when `prepare` is worth another try; raises HostError otherwise."""
        ...

    def signal(self, prepared: Prepared, name: str) -> None:
        """Tell everything of the body; raises HostError when nobody gets in."""
        ...

    def leave(self, prepared: Prepared, *, may_have_left: bool) -> Iterator[Finding]:
        """The body is over: take away what was for it only. Warnings about what could not be."""
        ...


class _Ephemeral:
    """A container for this body alone, removed whatever happens."""

    def __init__(self, engine: Engine, run: EphemeralRun, journal: Journal) -> None:
        self._engine = engine
        self._journal = journal
        self.prepare = run.prepare
        self.not_started = run.not_started

    def signal(self, prepared: Prepared, name: str) -> None:
        signal_all(self._engine, prepared.handle, name)

    def leave(self, prepared: Prepared, *, may_have_left: bool) -> Iterator[Finding]:
        fault_point("release.before")
        finding = release_ephemeral(self._engine, prepared.name, prepared.handle)
        if finding is None:
            self._journal.ended(prepared.intent, 0)
        else:
            yield finding
        fault_point("release.after")
        prepared.leave()


class _Persistent:
    """A container that stays; only the body ends."""

    def __init__(self, engine: Engine, run: PersistentRun, journal: Journal) -> None:
        self._engine = engine
        self._journal = journal
        self.prepare = run.prepare
        self.not_started = run.not_started

    def signal(self, prepared: Prepared, name: str) -> None:
        signal_body(self._engine, prepared.name, prepared.body_mark, name)

    def leave(self, prepared: Prepared, *, may_have_left: bool) -> Iterator[Finding]:
        fault_point("release.before")
        if may_have_left:
            ending = end_prepared(self._engine, prepared)
            if ending.finding is not None:
                yield ending.finding
        self._journal.ended(prepared.intent, 0)
        fault_point("release.after")
        prepared.leave()


class _ContainerBody:
    """One body of one step, over as many attempts as its lifecycle allows."""

    def __init__(
        self,
        context: RunContext,
        step: StepPlan,
        body: EnteredBody,
        environment: StepEnvironment,
        epoch: int,
        output: StepOutput | None = None,
    ) -> None:
        self._context = context
        self._step = step
        self._body = body
        self._environment = environment
        self._epoch = epoch
        self._lease = context.leases.get(step.id)
        self._keeper: Identity | None = None
        """Who is to own what is in the container, when that is to go on after ota."""
        self._lost_engine: Finding | None = None
        """Why the engine did not answer once the body had ended."""
        self._output = output or StepOutput(
            step.id, step.task.name, masker=environment.masker, stream=context.stream, logs=context.logs
        )

    def run(self) -> BodyEnd:
        try:
            lifecycle = self._lifecycle()
            while True:
                end = self._attempt(lifecycle)
                if end is not None:
                    return end
        except OtaError as error:
            return self._not_begun(error)
        finally:
            if self._lease is not None:
                self._lease.close()

    # -- one attempt ---------------------------------------------------------------------------------

    def _lifecycle(self) -> _Lifecycle:
        context, body = self._context, self._body
        scene = Scene(
            journal=context.journal,
            environ=context.environ,
            clock=context.clock,
            on_progress=self._tell_progress,
            on_output=lambda data: self._output.chunk("stderr", data),
            owner=lambda: self._keeper,
        )
        if isinstance(body, ContainerLaunchBody):
            from ota.execute.container_launch import Launched  # paid only by packaged images

            work = container_work(context, self._step, "")
            return Launched(context, work, body, self._environment_for, scene)
        work = container_work(context, self._step, shell_text(body))
        work = replace(work, is_interactive=_wish(body) == "required")
        engine = context.engine(work.container.engines)
        # what tidies up is not hurried by the very interrupt that made it necessary
        patient = replace(engine, should_stop=never)
        if self._step.task.context.lifecycle == "persistent":
            is_finite = self._step.task.runtime is None
            # secrets go only where the engine was asked first whose container it is
            may_presume = is_finite and not self._environment.secret_names
            run = PersistentRun(engine, work, self._environment_for, scene, may_presume=may_presume)
            return _Persistent(patient, run, context.journal)
        return _Ephemeral(patient, EphemeralRun(engine, work, self._environment_for, scene), context.journal)

    def _attempt(self, lifecycle: _Lifecycle) -> BodyEnd | None:
        """None when the engine could not start the container and another attempt is worth it."""
        if self._lease is not None:
            self._keeper = self._lease.start_keeper(self._environment.masker)
        prepared = lifecycle.prepare()
        if self._lease is not None:
            stays = isinstance(self._body, ContainerLaunchBody)
            self._lease.container = kept_container(prepared, stays=stays)
        stop = InsideStop(lambda name: lifecycle.signal(prepared, name))
        attendant = self._attendant(prepared, stop)
        may_have_left = True
        try:
            if not prepared.is_presumed:
                self._tell_prepared(prepared)
            fault_point("attach.before")
            end = self._enter(prepared, stop, attendant)
            fault_point("attach.after")
            stop.join()
            if attendant.is_unanswered:
                raise HostError(no_answer(prepared.engine, prepared.argv[1:], CALL_LIMIT_S))
            if attendant.is_proven and not prepared.is_presumed:
                prepared.remember()
            interrupt = self._context.interrupts.since(self._epoch) if stop.is_blind else None
            if interrupt is not None and end.failure is None:
                end = replace(end, interrupt=interrupt, exit_code=interrupt.exit_code)
            if end.goes_on:
                self._let_go(prepared)
                return end
            if attendant.is_unseen:
                raise HostError(_unseen())
            is_refused = end.was_started and not attendant.has_begun and end.interrupt is None
            if not is_refused:
                end = self._judged(prepared, attendant, end)
            may_have_left = attendant.service is not None or not end.is_success
        except BaseException:
            self._leave(lifecycle, prepared, may_have_left=True)
            raise
        if is_refused:
            self._refused(lifecycle, prepared, attendant.said)
            return None
        left_inside = () if may_have_left else attendant.left_inside
        self._leave(lifecycle, prepared, may_have_left=may_have_left, left_inside=left_inside)
        return end

    def _let_go(self, prepared: Prepared) -> None:
        """Its keeper owns it now, and is inside in ota's place."""
        prepared.leave()
        left = ContainerLeft(step=self._step.id, container=prepared.name, is_gone=False, goes_on=True)
        self._context.stream.emit(left)

    def _refused(self, lifecycle: _Lifecycle, prepared: Prepared, said: str) -> None:
        """The engine did not start it: what was made is taken away, and another attempt may be worth it.

        Raises:
            HostError: it is not.
        """
        is_gone = prepared.lifecycle == "ephemeral"
        try:
            lifecycle.not_started(prepared, said)
        except HostError as error:
            is_gone = is_gone and all(each.code != _LEFT_BEHIND for each in error.findings)
            raise
        finally:
            if not prepared.is_presumed:  # nobody was told of it either
                left = ContainerLeft(step=self._step.id, container=prepared.name, is_gone=is_gone)
                self._context.stream.emit(left)

    def _leave(
        self,
        lifecycle: _Lifecycle,
        prepared: Prepared,
        *,
        may_have_left: bool,
        left_inside: tuple[int, ...] = (),
    ) -> None:
        troubles = list(lifecycle.leave(prepared, may_have_left=may_have_left))
        stays = prepared.lifecycle == "persistent"
        self._context.stream.emit(
            ContainerLeft(
                step=self._step.id,
                container=prepared.name,
                is_gone=not stays and not troubles,
                left_inside=left_inside,
                is_unsure=stays and bool(troubles),
            )
        )
        for finding in troubles:
            text = f"{finding.summary}: {finding.why}" if finding.why else finding.summary
            self._note(text, is_warning=True)

    def _enter(self, prepared: Prepared, stop: Stop, attendant: "_Attendant") -> BodyEnd:
        context, step = self._context, self._step
        request = SpawnRequest(
            argv=prepared.argv,
            cwd=client_directory(prepared.engine, context.root),
            env=prepared.cli_environ,
            # what an engine starts for itself (conmon, name servers) serves others and must not carry
            # the run's marker; the client itself is in the journal
            run_id=None,
            output="inherit" if _wish(self._body) == "required" else "capture",
            stdin="devnull" if _wish(self._body) == "forbidden" else context.options.stdin,
        )
        if self._keeper is None:
            self._output.gate = attendant  # where a keeper reads first, the lease tells them apart
        elif self._lease is not None:
            request = self._lease.placed_before(request, prepared.start_mark)
        prepared.release_ports()
        return run_process(
            context,
            request,
            step=step.id,
            task=step.task.name,
            output=self._output,
            attendant=attendant,
            on_started=lambda pid: None,
            epoch=self._epoch,
            stop=stop,
        )

    def _attendant(self, prepared: Prepared, stop: Stop) -> "_Attendant":
        runtime = self._step.task.runtime
        mark = StartMark(prepared.start_mark)
        if runtime is None:
            return _FiniteAttendant(mark, lambda pid: self._begun(prepared, pid), self._context.clock)
        # sockets and probes: paid only by services
        from ota.backends.container.inside import InsideSockets
        from ota.execute.container_service import ContainerPlane
        from ota.execute.service import ServiceAttendant

        context = self._context
        sockets = InsideSockets(prepared.engine, prepared.name)
        plane = ContainerPlane(sockets, stop, lambda facts: self._misplaced(prepared, facts))
        resolved = with_host_ports(runtime, _host_ports(prepared.publications))
        service = ServiceAttendant(context, self._step, resolved, self._output, plane)
        if self._lease is None:
            return _Attendant(service, service, mark, self._tell_begun, plane)
        from ota.execute.leased import LeasedAttendant  # paid only by what somebody else waits for

        leased = LeasedAttendant(
            service, self._lease, resolved, self._output, context.clock, stop, sieve=self._sieve(mark)
        )
        return _Attendant(leased, service, mark, self._tell_begun, plane, leased)

    def _sieve(self, mark: StartMark) -> StartMark | None:
        return mark if self._keeper is not None else None

    def _misplaced(self, prepared: Prepared, facts: ContainerFacts | None) -> Failure | None:
        """Whether the engine published other host ports than the body was told."""
        work = container_work(self._context, self._step, "")
        finding = verify_published(prepared.engine, prepared, work, facts)
        return None if finding is None else container_failure(self._step, HostError(finding))

    def _environment_for(self, ports: tuple[PublishedPort, ...]) -> BodyEnvironment:
        """Called for every attempt: another host port is another `OTA_PUBLIC_URL`."""
        task = self._step.task
        if task.runtime is not None:
            runtime = with_host_ports(task.runtime, _host_ports(ports))
            step = replace(self._step, task=replace(task, runtime=runtime))
            self._environment = environment_of(self._context, step, is_again=True)
        return BodyEnvironment(values=self._environment.variables, secrets=self._environment.secret_names)

    # -- ends ------------------------------------------------------------------------------------------

    def _not_begun(self, error: OtaError) -> BodyEnd:
        """The body never ran: the engine, a port or the user was against it."""
        interrupt = self._context.interrupts.since(self._epoch)
        if interrupt is not None:
            return BodyEnd(exit_code=interrupt.exit_code, interrupt=interrupt, was_started=False)
        failure = container_failure(self._step, error)
        if failure.origin == "host_publication":
            self._note(f"ingress: {failure.detail}")
        return BodyEnd(exit_code=1, failure=failure, was_started=False, output=self._output)

    def _judged(self, prepared: Prepared, attendant: "_Attendant", end: BodyEnd) -> BodyEnd:
        if not attendant.has_begun:
            return replace(end, was_started=False)
        state = self._observed(prepared, attendant, end)
        if end.was_released:
            return end
        if attendant.service is None:
            if _is_oom_killed(prepared, state, attendant, end):
                self._note(f"container was OOM-killed{self._limit()}", is_warning=True)
            if self._lost_engine is not None and not end.is_success and end.interrupt is None:
                return replace(end, failure=end.failure or self._lost(prepared.engine, self._lost_engine))
            return end
        record = terminated(
            ServiceEvidence(
                step=self._step.id,
                container=prepared.name,
                is_persistent=self._stays(prepared),
                was_ready=attendant.service.was_ready,
                end=end,
                state=state,
                is_oom_killed=_is_oom_killed(prepared, state, attendant, end),
            )
        )
        if end.interrupt is not None:
            self._tell_unreached(prepared, attendant.service)
        if record is None or end.failure is not None:
            return end
        self._context.stream.emit(record)
        self._note(record.text)
        if record.cause == "interrupted":
            return end
        return replace(end, interrupt=None, failure=self._stopped(record))

    def _observed(self, prepared: Prepared, attendant: "_Attendant", end: BodyEnd) -> Termination | None:
        """The state of the container, read before it is removed; None when nobody needs it or can say."""
        is_persistent = self._stays(prepared)
        if end.is_success and attendant.service is None:
            return None
        if is_persistent and end.exit_code not in TAKEN_CODES:
            return None
        state = self._known(replace(prepared.engine, should_stop=never), prepared.name, end)
        if state is None:
            return None
        is_taken = state.is_running is None or (is_persistent and not state.is_running)
        if is_taken and end.interrupt is None:
            how = "was removed" if state.is_running is None else "ended or was removed"
            self._note(f"container {prepared.name} {how} while the task ran", is_warning=True)
        return state

    def _known(self, engine: Engine, name: str, end: BodyEnd) -> Termination | None:
        try:
            return self._settled(engine, name, end)
        except HostError as error:
            lost = error.findings[0]
        state = self._once_back(engine, name) if end.interrupt is None else None
        if state is None:
            self._note(f"how {name} ended is not known: {lost.why}", is_warning=True)
        elif ended_by_itself(end.exit_code, state):
            return state
        else:
            self._note(f"{engine.name} went away while the task ran, and is back", is_warning=True)
        self._lost_engine = lost
        return state

    def _once_back(self, engine: Engine, name: str) -> Termination | None:
        """The state, when an engine that stopped answering is only being restarted; None when it is not."""
        clock = self._context.clock
        deadline = Deadline.after(clock, _BACK_LIMIT_S)
        self._tell_progress(f"{engine.name} does not answer: waiting up to {_BACK_LIMIT_S:g} s for it")
        while not deadline.is_over(clock) and self._context.interrupts.since(self._epoch) is None:
            clock.sleep(_BACK_POLL_S)
            with suppress(HostError):
                # an engine that is coming up may take a request and answer it never
                return observe_end(engine, name, limit_s=max(_BACK_POLL_S, deadline.remaining_s(clock)))
        return None

    def _lost(self, engine: Engine, finding: Finding) -> Failure:
        """The task did not fail by itself: the engine that ran it went away."""
        name = self._step.task.name
        return Failure(
            origin="container",
            title="Container engine went away",
            task=name,
            detail=f"{engine.name} stopped answering while task `{name}` ran",
            context=self._step.task.context.name or "",
            why=(finding.why,),
            next=(f"see that `{engine.name} info` answers, then `{self._context.plan.again}`",),
            findings=(finding,),
            show_output=True,
        )

    def _stays(self, prepared: Prepared) -> bool:
        """Whether the container outlives the body: that of a packaged image ends with it."""
        return prepared.lifecycle == "persistent" and not isinstance(self._body, ContainerLaunchBody)

    def _settled(self, engine: Engine, name: str, end: BodyEnd) -> Termination:
        """The state once it is final: whoever removes a container kills it first.

        Who is in it hears of that before the engine does, which then still calls the container running.

        Raises:
            HostError: the engine gives no answer.
        """
        state = observe_end(engine, name)
        clock = self._context.clock
        deadline = Deadline.after(clock, _REMOVAL_LIMIT_S)
        is_open = end.interrupt is None and may_be_taken(end.exit_code, state)
        while is_open and state.is_running is not None and not deadline.is_over(clock):
            clock.sleep(_REMOVAL_POLL_S)
            state = observe_end(engine, name)
        return state

    def _stopped(self, record: ServiceTerminated) -> Failure:
        task = self._step.task.name
        code = "" if record.exit_code is None else f" with exit code {record.exit_code}"
        why = {
            "oom_killed": f"the kernel ended it for want of memory{self._limit()}",
            "exited": "a service must keep running; ending means stopped",
            "exited_non_zero": f"it ended by itself{code}",
            "unknown": "its container is gone, or its engine cannot say",
        }.get(record.cause, "")
        title = "Service stopped" if record.after_readiness else "Service failed to start"
        return Failure(
            origin="service_stopped",
            title=title,
            task=task,
            detail=record.text,
            context=self._step.task.context.name or "",
            why=(why,),
            next=(self._after_stop(record),),
            show_output=True,
        )

    def _after_stop(self, record: ServiceTerminated) -> str:
        again = self._context.plan.again
        limit = self._step.task.context.container
        if record.cause == "oom_killed" and limit is not None and limit.memory_bytes is not None:
            more = f"{max(1, 2 * limit.memory_bytes // _GIB)}GiB"
            return f"rerun with `{_with_flag(self._context, self._step, f'--memory {more}')}`"
        return f"fix what the output says, then `{again}`"

    def _limit(self) -> str:
        from ota.contract.grammar import format_memory

        container = self._step.task.context.container
        if container is None or container.memory_bytes is None:
            return ""
        return f" (its limit is {format_memory(container.memory_bytes)})"

    # -- telling ---------------------------------------------------------------------------------------

    def _tell_prepared(self, prepared: Prepared) -> None:
        # made for the look that came before, it is not reused now, but made
        prepared = self._context.looked_into.pop(prepared.name, prepared)
        *before, last = prepared.notes or ("",)
        self._context.stream.emit(
            ContainerEntered(
                step=self._step.id,
                engine=prepared.engine.name,
                container=prepared.name,
                lifecycle=prepared.lifecycle,
                action=prepared.was,
                reason=last.partition("(")[2].rpartition(")")[0] if prepared.was != "created" else "",
                networks=prepared.networks,
                isolated_paths=prepared.isolated,
            )
        )
        if prepared.lifecycle == "ephemeral":
            self._note("fresh container")
        for text in (*before, last, prepared.user.note):
            if text:
                self._note(text)
        for text in prepared.warnings:
            self._note(text, is_warning=True)

    def _begun(self, prepared: Prepared, pid: int) -> None:
        if prepared.is_presumed:  # only now it is known to be the container that can be reused
            self._tell_prepared(prepared)
        self._tell_begun(pid)

    def _tell_begun(self, pid: int) -> None:
        self._context.stream.emit(
            BodyStarted(
                step=self._step.id,
                pid=pid,
                env=self._environment.shown,
                is_service=self._step.task.runtime is not None,
            )
        )

    def _tell_unreached(self, prepared: Prepared, service: "ServiceAttendant") -> None:
        """Where a virtual machine runs the engine, ports may be published only inside it."""
        endpoint = service.unconfirmed
        if endpoint is None or prepared.engine.name != "docker":
            return
        try:
            asked = ask(
                replace(prepared.engine, should_stop=never), "context", "show", limit_s=_CONTEXT_LIMIT_S
            )
        except HostError:
            return
        if asked.stdout.strip() == "colima":
            self._note(
                f"{endpoint.text} was not reached: Docker runs in the Colima VM, and ports may be "
                f"published only inside it; try `colima ssh -- curl {endpoint.text}`"
            )

    def _tell_progress(self, text: str) -> None:
        self._context.stream.emit(Waiting(step=self._step.id, text=text))

    def _note(self, text: str, *, is_warning: bool = False) -> None:
        text = self._context.masker.mask(text)
        self._context.stream.emit(StepNote(step=self._step.id, text=text, is_warning=is_warning))


class _Attendant:
    """Begins when the body's shell does: what comes before is the engine's."""

    is_unanswered = False
    """The engine's time was up before the body had begun, and its client was ended."""

    def __init__(
        self,
        inner: Attendant,
        service: "ServiceAttendant | None",
        mark: StartMark,
        on_begun: Callable[[int], None],
        plane: "ContainerPlane | None" = None,
        leased: "LeasedAttendant | None" = None,
    ) -> None:
        self.service = service
        self._plane = plane
        self._leased = leased
        self.is_unseen = False
        """Whether the body was ended because nobody would ever have seen it begin."""
        self._is_stopped = False
        self._inner = inner
        self.has_begun = False
        self._mark = mark
        self._on_begun = on_begun
        self._workload: Workload | None = None

    def filter(self, stream: Stream, data: bytes) -> bytes:
        """What of the client's output is the body's."""
        passed = self._mark.filter(stream, data)
        self._look()
        return passed

    def finish(self) -> bytes:
        """What was held back, because it might have become a mark."""
        return self._mark.finish()

    @property
    def said(self) -> str:
        """What the engine said before the body began."""
        return self._mark.said

    @property
    def saw_oom_kill(self) -> bool:
        """Whether the body's shell saw the kernel kill something for want of memory."""
        return self._mark.saw_oom_kill

    @property
    def is_proven(self) -> bool:
        """Whether the body's shell saw that the container is the one that is meant."""
        return self._mark.is_proven

    @property
    def left_inside(self) -> tuple[int, ...]:
        """What the body's shell saw of the body after it, as pids inside the container."""
        return self._mark.left

    def _look(self) -> None:
        if self.has_begun or not self._mark.is_started or self._workload is None:
            return
        self.has_begun = True
        self._on_begun(self._workload.leader.pid)
        self._inner.started(self._workload)

    def started(self, workload: Workload) -> None:
        self._workload = workload
        if self._leased is not None:
            self._leased.spawned(workload)
        self._look()

    def turn(self) -> float | None:
        if self.service is None:
            return None
        if not self.has_begun and self._leased is not None:
            self._leased.read()
            self._look()
            self._end_unseen()
        if not self.has_begun or self._workload is None:
            return _UNSTARTED_TURN_S
        if self._plane is not None and self._plane.misplaced is not None and not self._is_stopped:
            self._is_stopped = True
            self._plane.stop(self._workload)
        return self._inner.turn()

    def _end_unseen(self) -> None:
        """Who reads what it prints was killed: whether the body began would never be seen."""
        assert self._leased is not None
        can_end = self._workload is not None and self._plane is not None
        if can_end and self._leased.is_deaf and not self.has_begun and not self._is_stopped:
            self._is_stopped = self.is_unseen = True
            assert self._plane is not None and self._workload is not None
            self._plane.stop(self._workload)

    def interrupted(self) -> None:
        if self.has_begun:
            self._inner.interrupted()

    def ended(self, end: WorkloadEnd) -> Failure | None:
        if not self.has_begun and self._leased is not None:
            self._leased.read(is_last=True)
            self._look()
        if not self.has_begun:
            return None
        trouble = self._inner.ended(end)
        # however well it answers elsewhere: it is not where the body and the user were told
        return self._plane.misplaced or trouble if self._plane is not None else trouble


class _FiniteAttendant(_Attendant):
    """Of a body nobody waits for: its engine has as long to let it begin as for any other call."""

    def __init__(self, mark: StartMark, on_begun: Callable[[int], None], clock: Clock) -> None:
        super().__init__(NoAttendant(), None, mark, on_begun)
        self._clock = clock
        self._deadline = Deadline.after(clock, CALL_LIMIT_S)

    def turn(self) -> float | None:
        if self.has_begun or self._workload is None or self.is_unanswered:
            return None
        remaining_s = self._deadline.remaining_s(self._clock)
        if remaining_s > 0:
            return remaining_s
        self.is_unanswered = True
        self._workload.request_stop(signal.SIGKILL, grace_s=0.0)
        return None


def _is_oom_killed(
    prepared: Prepared, state: Termination | None, attendant: _Attendant, end: BodyEnd
) -> bool:
    """The engine's word, or the body's own shell; in a container that stays the engine's may be old."""
    if attendant.saw_oom_kill:
        return True
    if state is None or not state.oom_killed:
        return False
    return prepared.lifecycle == "ephemeral" or end.exit_code == _KILLED


def _unseen() -> Finding:
    from ota.backends.kept_output import keeper_killed

    return keeper_killed()


def kept_container(prepared: Prepared, *, stays: bool) -> "KeptContainer":
    """What has to be known to find it again, and to end it."""
    from ota.execute.kept import KeptContainer

    return KeptContainer(
        engine=prepared.engine.program,
        name=prepared.name,
        labels=prepared.labels,
        body=prepared.body_mark if prepared.lifecycle == "persistent" else "",
        stays=stays,
        lock=str(prepared.use.path) if prepared.use is not None else "",
        intent=prepared.intent,
        host_ports=_host_ports(prepared.publications),
    )


def container_failure(step: StepPlan, error: OtaError) -> Failure:
    """Why a body could not begin, in the words of who knows engines and ports."""
    finding = error.findings[0]
    is_port = finding.code in ("OTA_HOST_PUBLICATION_CONFLICT", "OTA_HOST_PORT_RESERVATION_FAILED")
    origin: FailureOrigin = "host_publication" if is_port else "container"
    return Failure(
        origin=origin,
        title=finding.title or "Container could not be started",
        task=step.task.name,
        detail=finding.summary,
        field=finding.place.field if finding.place is not None else "",
        context=step.task.context.name or "",
        why=tuple(dict.fromkeys(each.why for each in error.findings if each.why)),
        next=tuple(dict.fromkeys(each.next for each in error.findings if each.next)),
        findings=error.findings,
    )


# --- what is asked for -----------------------------------------------------------------------------


def container_work(context: RunContext, step: StepPlan, body: str) -> Work:
    """What a step asks of its container; `body` is the text for the shell there."""
    task = step.task
    field = ("tasks", task.name, "runtime", "listeners")
    lease = context.leases.get(step.id)
    key = lease.key if lease is not None else task.name
    return Work(
        root=context.root,
        # what is to go on belongs to a run of its own
        run_id=lease.run_id if lease is not None and lease.log is not None else context.run_id,
        step=step.id,
        task=task.name,
        key=key if task.runtime is not None else "",
        context=task.context,
        body=body,
        listeners=task.runtime.listeners if task.runtime is not None else (),
        shared_listeners=task.context.shared_listeners,
        networks=task.context.container.service_projects if task.context.container is not None else (),
        place=lambda listener: context.loaded.place((*field, listener, "project", "host", "port")),
        host_port_command=lambda port: (
            _with_flag(context, step, f"--host-port {port}") if step.relation == "requested" else ""
        ),
    )


def shell_text(body: ShellBody | ArgvBody) -> str:
    """What the container's shell is given; argv words arrive quoted."""
    if isinstance(body, ShellBody):
        return body.text
    words = " ".join(posix_quoted(word) for word in (body.exe, *body.args))
    if not body.cwd:
        return words
    return f"cd {posix_quoted(f'{CONTAINER_WORKSPACE}/{body.cwd}')} && {words}"


def _with_flag(context: RunContext, step: StepPlan, flag: str) -> str:
    """The command of this run with one more flag, before the inputs begin."""
    opening = f"ota run {step.task.name}"
    again = context.plan.again
    if step.relation != "requested" or not again.startswith(opening):
        return f"{opening} {flag}"
    return f"{opening} {flag}{again[len(opening) :]}"


def _host_ports(ports: tuple[PublishedPort, ...]) -> dict[str, int]:
    return {each.listener: each.host_port for each in ports if each.host_port is not None}
