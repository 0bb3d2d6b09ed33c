"""The run task of a path: started or found running, kept ready while the rest is looked at, then ended.

Nothing is started twice, and what was running before is never ended here. While a run task is on its
way nobody else in this repository starts the same one.

Source: runtime specification 14.3 (run), 15.4 (`ensure_ready`), 15.6; commands specification 3.
"""

from collections.abc import Callable, Collection
from contextlib import ExitStack
from threading import Event, Thread
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from ota.contract.durations import render_elapsed
from ota.errors import Finding, HostError
from ota.execute.context import RunContext
from ota.execute.events import (
    AlreadyRunning,
    EndpointConfirmed,
    EndpointPlanned,
    Failure,
    LeftRunning,
    Reachable,
    ReadinessExhausted,
    RunNote,
    StepNote,
    StepStatus,
    Waiting,
)
from ota.execute.interpreter import Interpreter, StepResult
from ota.execute.kept import (
    KeptContainer,
    KeptService,
    Running,
    find_running,
    forget_kept,
    forget_record,
    key_of,
    lock_of,
    log_of,
    read_kept,
    record_kept,
    record_owner,
    stop_command,
    this_place,
    wait_for_parting,
)
from ota.execute.lease import Lease, Wish
from ota.execute.run import told
from ota.execute.service_plane import LeaderProbe
from ota.execute.service_probes import declared_probe, readiness_timing
from ota.readiness.probes import InsideListenerProbe, OwnListenerProbe
from ota.readiness.timing import DEFAULT_TIMING
from ota.readiness.wait import (
    Attempt,
    Exhausted,
    Gate,
    Ready,
    StopReason,
    not_ready_finding,
    render_attempt,
    wait_ready,
)
from ota.resolve.endpoints import Endpoint, Endpoints, endpoints_of, with_bind_ports, with_host_ports
from ota.resolve.plan import RuntimePlan, StepPlan
from ota.resolve.up_plan import may_be_let_go
from ota.system.clock import Deadline, now_utc
from ota.system.file_tail import FileTail
from ota.system.files import private_directory
from ota.system.interrupts import Interrupt
from ota.system.locks import ResourceLock
from ota.system.processes import descendants, is_alive, session_members
from ota.system.run_id import make_run_id

if TYPE_CHECKING:
    from ota.backends.container.inside import InsideSockets

Keeps = Literal["nothing", "detached", "attached"]
"""What becomes of the run task once everything is ready."""
_LOOK_UP_S = 0.1
_LOCK_TURN_S = 0.25
_LOCK_MARGIN_S = 60.0
_WAITING_EVERY_S = 1.0


class Fate(Struct, frozen=True, kw_only=True):
    """Why the run task is not ready, or how it ended."""

    status: StepStatus
    exit_code: int = 1
    failure: Failure | None = None
    interrupt: Interrupt | None = None


class RunService:
    """The run task of one `ota up`. Use as a context manager: leaving ends what was started and not kept."""

    def __init__(
        self, context: RunContext, interpreter: Interpreter, step: StepPlan, instance: str, keeps: Keeps
    ) -> None:
        assert step.task.runtime is not None
        self._context = context
        self._interpreter = interpreter
        self._step = step
        self._runtime: RuntimePlan = step.task.runtime
        self._key = key_of(step.task.name, instance)
        self._instance = instance
        plan = context.plan
        self._stop = stop_command(plan.request.target, plan.workflow, instance)
        self._keeps = keeps
        self._held: _Held | None = None
        self._reused: Running | None = None
        self._lock = ExitStack()

    def __enter__(self) -> "RunService":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._held is not None:
                self._held.end("stop")
        finally:
            self._lock.close()

    # -- on the way to ready ---------------------------------------------------------------------

    def make_ready(self) -> Fate | None:
        """Have it ready, whoever started it; None when it is, or when its condition skips it."""
        try:
            self._take_lock()
            self._reused = find_running(self._context.root, self._step.task, self._instance, self._stop)
        except HostError as error:
            return self._fate(error.findings[0])
        if self._interrupt() is not None:
            return self._interrupted()
        if self._reused is not None:
            return self._reuse(self._reused)
        wait_for_parting(self._context.root, self._key, self._context.clock)
        forget_kept(self._context.root, self._key)
        return self._start()

    def _take_lock(self) -> None:
        """Wait for whoever is bringing the same task up.

        Raises:
            HostError: it took longer than that may take.
        """
        context, clock = self._context, self._context.clock
        path = context.root / lock_of(self._key)
        began_at = clock.monotonic_s()
        readiness = self._runtime.readiness
        timing = readiness_timing(readiness) if readiness is not None else DEFAULT_TIMING
        deadline = Deadline.after(clock, timing.budget_s + _LOCK_MARGIN_S)
        while self._interrupt() is None:
            try:
                lock = ResourceLock(path, what=context.what, limit_s=_LOCK_TURN_S, clock=clock)
                self._lock.enter_context(lock)
                return
            except HostError as error:
                finding = error.findings[0]
                if finding.code != "OTA_LOCK_HELD":
                    # a disk that cannot be written has never kept a task from running
                    context.stream.emit(RunNote(text=told(finding), is_warning=True))
                    return
                if deadline.is_over(clock):
                    raise
                elapsed = render_elapsed(clock.monotonic_s() - began_at)
                text = f"task {self._key} is being brought up elsewhere: {finding.summary}, {elapsed}"
                context.stream.emit(Waiting(step=self._step.id, text=text))

    def _start(self) -> Fate | None:
        context = self._context
        log = context.root / log_of(self._key) if self._keeps == "detached" else None
        if log is not None:
            try:
                private_directory(log.parent)
            except HostError as error:
                return self._fate(error.findings[0])
        run_id = make_run_id(self._step.task.name, context.clock)
        lease = Lease(run_id, log=log, key=self._key, keep=self._put_on_record)
        context.leases[self._step.id] = lease
        self._held = held = _Held(self._interpreter, self._step.id, lease, context)
        held.wait_for_news()
        return None if lease.standing == "ready" else self._fate_of(held.result())

    def _fate_of(self, result: StepResult) -> Fate | None:
        """What an end before readiness means; None when the task's condition skipped it."""
        self._held = None
        if result.status == "SKIPPED":
            return None
        failure = result.failure
        if result.is_good:
            failure = self._stopped(result)
        return Fate(
            status="INTERRUPTED" if result.interrupt is not None else "FAILED",
            exit_code=result.exit_code or 1,
            failure=failure,
            interrupt=result.interrupt,
        )

    def _stopped(self, result: StepResult) -> Failure:
        """A service that ended by itself, when it was to stay."""
        name = self._step.task.name
        code = result.end.exit_code if result.end is not None else 0
        finding = Finding(
            code="OTA_UP_RUN_TASK_ENDED",
            title="Run task ended",
            summary=f"task `{name}` ended with exit code {code} while it was needed",
            why="a run task is a service: it has to run until it is stopped",
            next=f"read its output above; `ota run {name}` shows it live",
            category="execution",
            owner="repo_contract",
        )
        return _failure(self._step, finding, origin="service_stopped", show_output=True)

    # -- what runs already -----------------------------------------------------------------------

    def _reuse(self, running: Running) -> Fate | None:
        with self._interpreter.told(self._step) as finish:
            status, fate = self._prove(running)
            finish(status, None, was_attempted=False)
        return fate

    def _prove(self, running: Running) -> tuple[StepStatus, Fate | None]:
        """It has to answer for itself as if it had been started now."""
        context, step = self._context, self._step
        context.stream.emit(
            AlreadyRunning(
                step=step.id,
                pid=running.leader.pid,
                detail=context.masker.mask(running.detail),
                stop=running.stop,
            )
        )
        runtime = with_bind_ports(self._runtime, running.ports)
        if running.container is not None:
            runtime = with_host_ports(runtime, running.container.host_ports)
        resolved = endpoints_of(runtime)
        if resolved.projected or resolved.internal:
            context.stream.emit(
                EndpointPlanned(step=step.id, endpoints=resolved.projected, internal=resolved.internal)
            )
        readiness = self._runtime.readiness
        outcome = wait_ready(
            self._gates_of(running, resolved),
            readiness_timing(readiness) if readiness is not None else DEFAULT_TIMING,
            clock=context.clock,
            stop=self._why_stop,
            on_attempt=self._telling(),
        )
        match outcome:
            case Ready():
                elapsed_ms = round(outcome.elapsed_s * 1000)
                context.stream.emit(
                    Reachable(step=step.id, is_gate=True, attempts=outcome.probes, elapsed_ms=elapsed_ms)
                )
                endpoint = self._gated(resolved)
                if endpoint is not None:
                    context.stream.emit(
                        EndpointConfirmed(step=step.id, endpoint=endpoint, elapsed_ms=elapsed_ms)
                    )
                return "READY", None
            case Exhausted():
                return "FAILED", self._not_ready(running, outcome)
            case _:
                return "INTERRUPTED", self._interrupted()

    def _gated(self, resolved: Endpoints) -> Endpoint | None:
        readiness = self._runtime.readiness
        return resolved.of(readiness.probe.listener) if readiness is not None else None

    def _gates_of(self, running: Running, resolved: Endpoints) -> tuple[Gate, ...]:
        """The declared request, answered by the very process that was found."""
        leader = running.leader
        alive = Gate(name="process", probe=LeaderProbe(leader=leader))
        readiness, endpoint = self._runtime.readiness, self._gated(resolved)
        if readiness is None or endpoint is None:
            return (alive,)

        def pids() -> Collection[int]:
            members = {each.pid for each in session_members(leader.pid)}
            return {leader.pid} | members | {each.pid for each in descendants(leader.pid)}

        inside = _inside(running.container) if running.container is not None else None
        # behind an engine's proxy a connection is no sign of life
        closed_at_once: Literal["note", "fail"] = "note" if inside is None else "fail"
        name = endpoint.listener
        asked = [
            Gate(
                name=probe.name or probe.listener,
                probe=declared_probe(probe, target, readiness, closed_at_once),
            )
            for probe in (readiness.probe, *readiness.signal_probes)
            if (target := resolved.of(probe.listener)) is not None
        ]
        if inside is not None:
            within = InsideListenerProbe(
                address=endpoint.bind_address, port=endpoint.bind_port, observe=inside.listeners
            )
            return (Gate(name=name, probe=within), *asked, alive)
        own = OwnListenerProbe(host=endpoint.host_address, port=endpoint.host_port, pids=pids)
        return (*asked, Gate(name=name, probe=own), alive)

    def _not_ready(self, running: Running, outcome: Exhausted) -> Fate:
        last = tuple(render_attempt(attempt) for attempt in outcome.last)
        self._context.stream.emit(
            ReadinessExhausted(step=self._step.id, attempts=outcome.attempts, last_results=last, ladder=())
        )
        look = f"look at {running.log}, or end it" if running.log else "end it"
        finding = not_ready_finding(
            outcome,
            subject=f"task `{self._step.task.name}`, which was running already,",
            fix=f"{look} with `{running.stop}` and run this again",
        )
        return Fate(status="FAILED", failure=_failure(self._step, finding, origin="readiness"))

    def _telling(self) -> Callable[[Attempt], None]:
        told_at = self._context.clock.monotonic_s()

        def attempted(attempt: Attempt) -> None:
            nonlocal told_at
            now = self._context.clock.monotonic_s()
            if not attempt.result.ok and now - told_at >= _WAITING_EVERY_S:
                told_at = now
                text = f"{self._step.task.name} waits for {attempt.gate.text}: {attempt.result.detail}"
                self._context.stream.emit(Waiting(step=self._step.id, text=text))

        return attempted

    # -- while the rest is looked at -------------------------------------------------------------

    @property
    def is_lost(self) -> bool:
        """Whether it ended although it is still needed."""
        if self._held is not None:
            return self._held.is_over
        return self._reused is not None and not is_alive(self._reused.leader)

    def lost(self) -> Fate | None:
        """How it ended although it is still needed; None while it runs."""
        if self._held is not None and self._held.is_over:
            return self._fate_of(self._held.result())
        if self._reused is not None and not is_alive(self._reused.leader):
            name = self._step.task.name
            finding = Finding(
                code="OTA_UP_RUN_TASK_ENDED",
                title="Run task ended",
                summary=f"task `{name}`, which was running already, ended while it was needed",
                why=f"{self._reused.detail}: that process is gone",
                next="run this again: it will be started then",
                category="execution",
                owner="repo_contract",
            )
            return Fate(status="FAILED", failure=_failure(self._step, finding, origin="service_stopped"))
        return None

    # -- afterwards ------------------------------------------------------------------------------

    def finish(self) -> Fate | None:
        """Everything is ready: end it, or let it go. What was running before is left as it is."""
        held, self._held = self._held, None
        try:
            if held is None:
                return None
            # who asks ota to stop now does not want anything to go on
            goes_on = self._keeps == "detached" and self._interrupt() is None
            result = held.end("let go" if goes_on else "stop")
        finally:
            self._lock.close()
        lease = held.lease
        if lease.was_let_go:
            self._tell_left()
        elif not lease.was_released:
            self._held = None
            return self._fate_of(result)
        elif lease.trouble is not None:
            return self._fate(lease.trouble)
        else:
            if self._interrupt() is not None and self._keeps == "detached":
                return self._interrupted()
            is_free = may_be_let_go(self._step.task)
            way = "`ota up --detach` keeps it" if is_free else "`ota up --attach` stays with it"
            text = f"ended after it was proven; {way}"
            self._context.stream.emit(StepNote(step=self._step.id, text=text))
            if not result.is_good:  # a hook of its own failed
                return self._fate_of(result)
        return None

    def follow(self) -> Fate | None:
        """Stay in the foreground with it until it ends or somebody interrupts; None: it ended well."""
        self._lock.close()
        if self._reused is not None:
            return self._watch_reused(self._reused)
        held, self._held = self._held, None
        if held is None:
            return None
        held.wait_until_over()
        result = held.result()
        return None if result.is_good else self._fate_of(result)

    def _watch_reused(self, running: Running) -> Fate | None:
        """Show what it prints. Interrupting this ends the watching and nothing else."""
        context, step = self._context, self._step
        stop = f"it goes on running; end it with `{running.stop}`"
        with ExitStack() as stack:
            tail = None
            if running.log:
                try:
                    tail = FileTail(
                        context.root / running.log,
                        lambda data: context.stream.output(
                            step.id, step.task.name, "stdout", context.masker.mask_bytes(data)
                        ),
                    )
                except OSError:  # somebody removed it: there is nothing to show
                    tail = None
            if tail is not None:
                stack.enter_context(tail)
                tail.skip_to_end()
            never = Event()
            while self._interrupt() is None and is_alive(running.leader):
                context.clock.wait(never, _LOOK_UP_S)
                if tail is not None:
                    tail.read()
        if self._interrupt() is None:
            return None
        context.stream.emit(StepNote(step=step.id, text=stop))
        return self._interrupted()

    # -- letting go ------------------------------------------------------------------------------

    def _put_on_record(self, lease: Lease) -> None:
        """Called by the thread that supervises it, right before it is let go.

        Raises:
            HostError: the record cannot be written, or nobody takes it over.
        """
        context = self._context
        assert lease.leader is not None
        namespace, hostname = this_place()
        kept = KeptService(
            task=self._step.task.name,
            instance=self._instance,
            run_id=lease.run_id,
            leader=lease.leader,
            pid_namespace=namespace,
            hostname=hostname,
            started_at=now_utc(context.clock),
            log=log_of(self._key),
            ports={each.listener: each.bind_port for each in self._planned()},
            container=lease.container,
            keeper=lease.keeper,
        )
        record_kept(context.root, kept)
        if lease.container is not None:
            try:
                lease.give_to_keeper(record_owner(context.root, kept, stop=self._stop, clock=context.clock))
            except HostError:
                forget_record(context.root, self._key)
                raise
            context.journal.ended(lease.container.intent, 0)
        context.journal.handed_over(lease.intent)

    def _planned(self) -> tuple[Endpoint, ...]:
        for event in reversed(tuple(self._context.stream.events)):
            if isinstance(event, EndpointPlanned) and event.step == self._step.id:
                return event.endpoints
        return ()

    def _tell_left(self) -> None:
        kept = read_kept(self._context.root, self._key)
        if kept is not None:
            self._context.stream.emit(
                LeftRunning(
                    step=self._step.id,
                    pid=kept.leader.pid,
                    stop=self._stop,
                    log=kept.log,
                    container=kept.container.text if kept.container is not None else "",
                )
            )

    # -- small things ----------------------------------------------------------------------------

    def _interrupt(self) -> Interrupt | None:
        return self._context.interrupts.since(self._context.epoch)

    def _why_stop(self) -> StopReason | None:
        return StopReason(kind="interrupted") if self._interrupt() is not None else None

    def _interrupted(self) -> Fate:
        interrupt = self._interrupt()
        assert interrupt is not None
        return Fate(status="INTERRUPTED", exit_code=interrupt.exit_code, interrupt=interrupt)

    def _fate(self, finding: Finding) -> Fate:
        return Fate(status="FAILED", failure=_failure(self._step, finding, origin="host_publication"))


def _inside(container: KeptContainer) -> "InsideSockets":
    from ota.backends.container.engine import engine_at  # paid only by what runs in a container
    from ota.backends.container.inside import InsideSockets
    from ota.system.host import environ

    return InsideSockets(engine_at(container.engine, environ()), container.name)


class _Held:
    """The run task in a thread of its own."""

    def __init__(self, interpreter: Interpreter, step: str, lease: Lease, context: RunContext) -> None:
        self.lease = lease
        self._context = context
        self._result: StepResult | None = None
        self._defect: BaseException | None = None
        self._over = Event()
        self._interpreter = interpreter
        self._step = step
        self._thread = Thread(target=self._run, name=f"run task {step}", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether the task has ended, or never began."""
        return self._over.is_set()

    def wait_for_news(self) -> None:
        """Until it is ready or over. Short turns keep the main thread open for signals."""
        while self.lease.standing == "starting" and not self.is_over:
            self._context.clock.wait(self.lease.news, _LOOK_UP_S)

    def wait_until_over(self) -> None:
        """Until it has ended."""
        while not self.is_over:
            self._context.clock.wait(self._over, _LOOK_UP_S)

    def end(self, wish: Wish) -> StepResult:
        """Have it ended or let go, and wait for that."""
        self.lease.ask(wish)
        return self.result()

    def result(self) -> StepResult:
        """What came of it, once it is over."""
        self.wait_until_over()
        self._thread.join()
        if self._defect is not None:
            raise self._defect
        assert self._result is not None
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._interpreter.run_step(self._step)
        except BaseException as defect:  # noqa: BLE001 - raised again where the result is asked for
            self._defect = defect
        finally:
            self.lease.stands("over")
            self._over.set()


def _failure(
    step: StepPlan,
    finding: Finding,
    *,
    origin: Literal["readiness", "service_stopped", "host_publication"],
    show_output: bool = False,
) -> Failure:
    return Failure(
        origin=origin,
        title=finding.title or "Run task is not ready",
        task=step.task.name,
        detail=finding.summary,
        context=step.task.context.name or "",
        why=(finding.why,),
        next=(finding.next,),
        findings=(finding,),
        show_output=show_output,
    )
