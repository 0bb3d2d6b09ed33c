"""Services that go on after ota, on the record: who, where its output goes, and what ends it.

One file per service, `.ota/state/workloads/<task>.json`, written before the run lets go of it, and
removed by the next command that finds it over. A record is a claim about one process, known by pid and
start time; what cannot be proven is told and not touched.

Source: commands specification 3 (`--detach`); json-and-receipts specification 6.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from shlex import quote

import msgspec
from msgspec import Struct

from ota.backends.output_keeper import older
from ota.errors import Finding, HostError
from ota.resolve.plan import ContainerLaunchBody, RuntimePlan, TaskPlan
from ota.services.starting import LOCKS_FOLDER, file_name, name_of_file
from ota.system.clock import SYSTEM_CLOCK, Clock, Deadline
from ota.system.files import private_directory, remove_file, write_atomic
from ota.system.host import observe_hostname
from ota.system.journal import ContainerStep, RunStep, write_journal_of_owner
from ota.system.json_bytes import json_bytes
from ota.system.kept_files import names_in, read_if_there
from ota.system.ports import PortHolder, find_port_holder
from ota.system.process_table import observe_pid_namespace
from ota.system.processes import Identity, boot_id, is_alive, observe_identity

FOLDER = ".ota/state/workloads"
_VERSION = 1
PARTING_LIMIT_S = 20.0
_PARTING_TURN_S = 0.05


class KeptContainer(Struct, frozen=True, kw_only=True):
    """Where a service task runs that is no process of this host."""

    engine: str
    """The engine's command line program."""
    name: str
    labels: Mapping[str, str] = {}
    """What the container has to carry to be the one that is meant."""
    body: str = ""
    """The mark of the body in a container that stays; empty: the container is for this task alone."""
    stays: bool = False
    """The container is stopped in the end, and not removed."""
    lock: str = ""
    """Held by whoever is inside a container that stays."""
    intent: int = 0
    """Its number in the journal of the run that made it."""
    host_ports: Mapping[str, int] = {}
    """By listener, as they were published."""

    @property
    def text(self) -> str:
        """The container, for people."""
        return f"container {self.name} ({Path(self.engine).name})"

    def announced(self, task: str, at: str) -> ContainerStep:
        """As a journal announces it."""
        return ContainerStep(
            id=1,
            engine=self.engine,
            name=self.name,
            labels=self.labels,
            body=self.body,
            task=task,
            stays=self.stays,
            at=at,
        )


class KeptService(Struct, frozen=True, kw_only=True):
    """A service task that was let go."""

    version: int = _VERSION
    task: str
    instance: str = ""
    """Of the workflow it was brought up for."""
    run_id: str
    """Whose marker its processes carry; the journal of its keeper has that name."""
    leader: Identity
    """Its first process; for a container, the engine's client that is attached to it."""
    pid_namespace: str
    hostname: str
    started_at: str
    log: str
    """Repository-relative."""
    ports: Mapping[str, int] = {}
    """Bind ports by listener, as they were observed."""
    container: KeptContainer | None = None
    keeper: Identity | None = None
    """The process that owns what is in the container."""

    @property
    def key(self) -> str:
        """Its name in a repository."""
        return key_of(self.task, self.instance)


class Running(Struct, frozen=True, kw_only=True):
    """A service task of this repository that was found running."""

    leader: Identity
    detail: str
    """Who started it and since when, in words."""
    stop: str
    log: str = ""
    ports: Mapping[str, int] = {}
    container: KeptContainer | None = None


def key_of(task: str, instance: str = "") -> str:
    """One service task, apart from the same task of another workflow instance."""
    return f"{task}@{instance}" if instance else task


def log_of(key: str) -> str:
    """Where a service that is let go prints; repository-relative."""
    return f"{FOLDER}/{file_name(key)}.log"


def lock_of(key: str) -> str:
    """Held by whoever starts, uses or ends it; repository-relative."""
    return f"{LOCKS_FOLDER}/workload-{file_name(key)}.lock"


def stop_command(target: str, workflow: str | None, instance: str = "") -> str:
    """What ends the run task that a workflow left running. `target` is that of the user, with its blank."""
    asked = f" --workflow {quote(key_of(workflow, instance))}" if workflow else ""
    return f"ota up{target}{asked} --stop"


def record_kept(root: Path, service: KeptService) -> None:
    """Write the record, whole or not at all.

    Raises:
        HostError: it could not be written; whoever wanted to let go must not.
    """
    private_directory(root / FOLDER)
    write_atomic(_path(root, service.key), json_bytes(service) + b"\n")


def record_owner(root: Path, service: KeptService, *, stop: str, clock: Clock = SYSTEM_CLOCK) -> Path:
    """Write the journal of the process that is to own what is in a container.

    Raises:
        HostError: it could not be written.
    """
    assert service.container is not None and service.keeper is not None
    run = RunStep(
        run_id=service.run_id,
        repo=str(root),
        task=service.key,
        started_at=service.started_at,
        ota=service.keeper,
        pid_namespace=service.pid_namespace,
        hostname=service.hostname,
        stop=stop,
    )
    announced = service.container.announced(service.key, service.started_at)
    return write_journal_of_owner(root, run=run, container=announced, leader=service.leader, clock=clock)


def wait_for_parting(root: Path, key: str, clock: Clock = SYSTEM_CLOCK) -> None:
    """A keeper whose service is over is still taking away what is left of it: wait for that, for a while."""
    try:
        kept = read_record(root, key)
    except HostError:
        return
    if kept is not None and kept.keeper is not None:
        deadline = Deadline.after(clock, PARTING_LIMIT_S)
        while is_alive(kept.keeper) and not deadline.is_over(clock):
            clock.sleep(_PARTING_TURN_S)


def this_place() -> tuple[str, str]:
    """Where pids are counted, and on which machine."""
    return observe_pid_namespace(), observe_hostname()


def kept_keys(root: Path) -> tuple[str, ...]:
    """Of every record that is there, whatever it is worth.

    Raises:
        HostError: nobody can say which there are.
    """
    return tuple(key for name, key in _files(root) if _path(root, key).name == name)


def stray_records(root: Path) -> dict[str, Finding]:
    """Files beside the records whose names no record has, by name: what they stand for cannot be told.

    Raises:
        HostError: nobody can say which there are.
    """
    why = "no record has such a name"
    return {
        name: _unproven(root / FOLDER / name, key, why)
        for name, key in _files(root)
        if _path(root, key).name != name
    }


def _files(root: Path) -> tuple[tuple[str, str], ...]:
    names = (each for each in names_in(root / FOLDER) if each.endswith(".json") and each[0] != ".")
    return tuple((name, name_of_file(name.removesuffix(".json"))) for name in names)


def read_kept(root: Path, key: str) -> KeptService | None:
    """The record of a service that still runs; None when there is none, or it is over. Only looks.

    Raises:
        HostError: whether it still runs cannot be told from here.
    """
    kept = read_record(root, key)
    return kept if kept is not None and not is_over(root, kept) else None


def read_record(root: Path, key: str) -> KeptService | None:
    """What was put on record, whether or not it still runs; None when nothing was.

    Raises:
        HostError: it cannot be believed.
    """
    path = _path(root, key)
    content = read_if_there(path)
    if content is None:
        return None
    try:
        kept = msgspec.json.decode(content, type=KeptService)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise HostError(_unproven(path, key, "the record is damaged")) from error
    if kept.version != _VERSION:
        raise HostError(_unproven(path, key, "a later version of ota wrote it"))
    if not kept.run_id or kept.key != key:
        raise HostError(_unproven(path, key, "the record is damaged"))
    return kept


def forget_record(root: Path, key: str) -> None:
    """Remove a record that is over; what it printed stays for who wants to know why."""
    with suppress(HostError):
        remove_file(_path(root, key))


def forget_kept(root: Path, key: str) -> None:
    """Remove a record that is over, with the output nobody writes to any more."""
    forget_record(root, key)
    with suppress(HostError):
        log = root / log_of(key)
        remove_file(log)
        remove_file(Path(older(str(log))))


def is_over(root: Path, kept: KeptService) -> bool:
    """Whether the process that was let go has ended.

    Raises:
        HostError: that cannot be told from here.
    """
    path = _path(root, kept.key)
    namespace, hostname = this_place()
    if kept.leader.boot_id and kept.leader.boot_id != boot_id():
        if kept.hostname == hostname:
            return True  # nothing outlives a reboot
        raise HostError(_unproven(path, kept.key, f"it was written on {kept.hostname}"))
    if kept.pid_namespace != namespace:
        raise HostError(_unproven(path, kept.key, "it was written in another container or namespace"))
    # without its keeper nobody owns what is in a container: the next run takes it away
    return not is_alive(kept.leader) or (kept.keeper is not None and not is_alive(kept.keeper))


def find_running(
    root: Path, task: TaskPlan, instance: str, stop: str, *, may_ask: bool = True
) -> Running | None:
    """The task as it already runs here: let go earlier, or started by another run of this repository.

    Only looks; a record that is over stays where it is. `stop`: the command that ends what was let go.
    Unless it `may_ask` an engine, a container that another run has entered counts as it is on record.

    Raises:
        HostError: a record says so, and it cannot be proven.
    """
    kept = read_kept(root, key_of(task.name, instance))
    if kept is not None:
        who = f"pid {kept.leader.pid}" if kept.container is None else kept.container.text
        return Running(
            leader=kept.leader,
            detail=f"{who}, left running since {kept.started_at}; it prints to {kept.log}",
            stop=stop,
            log=kept.log,
            ports=dict(kept.ports),
            container=kept.container,
        )
    if task.context.plane == "container" or isinstance(task.body, ContainerLaunchBody):
        from ota.execute.container_kept import find_in_runs  # paid only by what runs in a container

        return find_in_runs(root, task, key_of(task.name, instance), may_ask=may_ask)
    holder = _holder(root, task.name, task.runtime) if task.runtime is not None else None
    identity = observe_identity(holder.pid) if holder is not None and holder.pid is not None else None
    if holder is None or identity is None:
        return None
    since = f" since {holder.since}" if holder.since else ""
    return Running(
        leader=identity,
        detail=f"pid {holder.pid}, started by run {holder.run_id}{since}",
        stop=f"kill {holder.pid}",
    )


def _holder(root: Path, task: str, runtime: RuntimePlan) -> PortHolder | None:
    """Who holds a port of the task, when that is the same task of the same repository."""
    for listener in runtime.listeners:
        if listener.bind_port is None:
            continue
        holder = find_port_holder(listener.bind_address, listener.bind_port)
        if holder is not None and holder.task == task and holder.repo == str(root):
            return holder
    return None


def _path(root: Path, key: str) -> Path:
    return root / FOLDER / f"{file_name(key)}.json"


def _unproven(path: Path, key: str, why: str) -> Finding:
    return Finding(
        code="OTA_KEPT_SERVICE_UNPROVEN",
        title="Cannot tell whether a service still runs",
        summary=f"cannot tell whether task `{key}`, which was left running, still runs",
        why=why,
        next=f"when you know that it is over, remove {path}",
        category="execution",
        owner="host",
    )
