"""What was left running in a container: ended by whoever asks for it, or found to be there.

Its keeper owns it and takes the rest away when it has ended. So ending it is asking the body, waiting for the
keeper, and doing the keeper's work where that is gone or does not get on. Nothing is touched that does not
carry every label of the record.

Source: runtime specification 7.3, 7.4, 12.2; commands specification 3 (`--detach`, `--stop`).
"""

from pathlib import Path

from msgspec import Struct

from ota.backends.container.engine import Engine, engine_at
from ota.backends.container.facts import inspect_containers
from ota.backends.container.inside import InsideSockets
from ota.backends.container.launch import signal_launch
from ota.backends.container.parting import take_rest_away
from ota.backends.container.release import release_announced
from ota.backends.container.signalling import signal_all, signal_body
from ota.backends.container.undo import carries
from ota.errors import Finding, HostError
from ota.execute.kept import PARTING_LIMIT_S, KeptContainer, KeptService, Running
from ota.resolve.plan import RuntimePlan, TaskPlan
from ota.system.clock import Clock, Deadline
from ota.system.host import environ
from ota.system.journal import ContainerStep, JournalFacts, journal_path, read_journal
from ota.system.processes import GRACE_S, Identity, end_processes, is_alive

_TURN_S = 0.05
_ENGINE_LIMIT_S = 5.0


class KeptEnding(Struct, frozen=True, kw_only=True):
    """What ending it came to."""

    was_there: bool = False
    """Something of it still ran, or was still there."""
    ended: tuple[int, ...] = ()
    """Processes of this host that were ended."""
    finding: Finding | None = None
    """Why something of it may still be there."""


def end_kept(root: Path, kept: KeptService, clock: Clock) -> KeptEnding:
    """End it, as its keeper would when it ends by itself. Never raises for what an engine does."""
    container, keeper = kept.container, kept.keeper
    assert container is not None and keeper is not None
    engine = engine_at(container.engine, environ(), clock=clock)
    journal = journal_path(root, kept.run_id)
    facts = JournalFacts(
        path=journal,
        run_id=kept.run_id,
        leaders=(kept.leader,),
        containers=(container.announced(kept.key, kept.started_at),),
    )
    was_running = is_alive(kept.leader)
    if was_running:
        _ask_to_end(engine, container)
        if not _wait_for_end(kept.leader, GRACE_S, clock):
            release_announced(facts)
        if not _wait_for_end(kept.leader, GRACE_S, clock):
            end_processes((kept.leader,), clock=clock)  # an engine that does not answer: its client alone
    if not _wait_for_end(keeper, PARTING_LIMIT_S, clock):
        end_processes((keeper,), grace_s=0.0, clock=clock)
    ended = (kept.leader.pid,) if was_running else ()
    try:
        if journal.exists():
            rest = take_rest_away(journal, limit_s=_ENGINE_LIMIT_S, clock=clock)
        elif container.stays:
            return KeptEnding(was_there=was_running, ended=ended)
        else:
            rest = release_announced(facts)
    except HostError as error:
        return KeptEnding(was_there=was_running, ended=ended, finding=error.findings[0])
    finding = rest.left[0] if rest.left else None
    return KeptEnding(was_there=was_running or bool(rest.removed), ended=ended, finding=finding)


def find_in_runs(root: Path, task: TaskPlan, key: str, *, may_ask: bool) -> Running | None:
    """The task in the container of another run that goes on, in a terminal of its own.

    When the engine may be asked, it counts once it listens where it is to.
    """
    from ota.system.reconcile import living_runs

    for run in living_runs(root):
        try:
            announced = read_journal(journal_path(root, run.run_id)).containers
        except (HostError, OSError):
            continue  # it ended meanwhile
        for step in announced:
            if step.task != key or run.stop:  # what was let go is on record, and was looked for there
                continue
            ports = _published_inside(step, task.runtime) if may_ask else {}
            if ports is None:
                continue
            container = KeptContainer(engine=step.engine, name=step.name, host_ports=ports)
            detail = f"{container.text}, started by run {run.run_id} since {run.started_at}"
            stop = f"kill -INT {run.ota.pid}"
            return Running(leader=run.ota, detail=detail, stop=stop, container=container)
    return None


def _published_inside(step: ContainerStep, runtime: RuntimePlan | None) -> dict[str, int] | None:
    """Its host ports by listener; None while it does not listen on all of them."""
    listeners = runtime.listeners if runtime is not None else ()
    try:
        sockets = InsideSockets(engine_at(step.engine, environ()), step.name)
        facts = sockets.facts()
        bound = {each.port for each in sockets.listeners()}
    except (OSError, HostError):
        return None
    if facts is None or not carries(facts, step.labels):
        return None
    if not {each.bind_port for each in listeners if each.bind_port is not None} <= bound:
        return None
    ports = {each.container_port: each.host_port for each in facts.ports}
    found = {each.name: ports.get(each.bind_port or 0) for each in listeners}
    return {name: port for name, port in found.items() if port is not None}


def _ask_to_end(engine: Engine, container: KeptContainer) -> None:
    """Everything of the body gets TERM, inside. Who cannot be asked is ended with less ado, later."""
    try:
        found = inspect_containers(engine, (container.name,)).get(container.name)
        if found is None or not carries(found, container.labels):
            return
        if container.body:
            signal_body(engine, container.name, container.body, "TERM")
        elif container.stays:
            signal_launch(engine, container.name, "TERM")
        else:
            signal_all(engine, container.name, "TERM")
    except HostError:
        return


def _wait_for_end(process: Identity, limit_s: float, clock: Clock) -> bool:
    deadline = Deadline.after(clock, limit_s)
    while is_alive(process):
        if deadline.is_over(clock):
            return False
        clock.sleep(_TURN_S)
    return True
