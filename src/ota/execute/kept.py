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
from ota.resolve.plan import RuntimePlan, TaskPlan
from ota.services.starting import LOCKS_FOLDER, file_name, name_of_file
from ota.system.files import private_directory, remove_file, write_atomic
from ota.system.host import observe_hostname
from ota.system.kept_files import names_in, read_if_there
from ota.system.ports import PortHolder, find_port_holder
from ota.system.process_table import observe_pid_namespace
from ota.system.processes import Identity, boot_id, is_alive, observe_identity

FOLDER = ".ota/state/workloads"
_VERSION = 1


class KeptService(Struct, frozen=True, kw_only=True):
    """A service task that was let go."""

    version: int = _VERSION
    task: str
    instance: str = ""
    """Of the workflow it was brought up for."""
    run_id: str
    """Whose marker its processes carry."""
    leader: Identity
    pid_namespace: str
    hostname: str
    started_at: str
    log: str
    """Repository-relative."""
    ports: Mapping[str, int] = {}
    """Bind ports by listener, as they were observed."""

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
    write_atomic(_path(root, service.key), msgspec.json.encode(service) + b"\n")


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
    return not is_alive(kept.leader)


def find_running(root: Path, task: TaskPlan, instance: str, stop: str) -> Running | None:
    """The task as it already runs here: let go earlier, or started by another run of this repository.

    Only looks; a record that is over stays where it is. `stop`: the command that ends what was let go.

    Raises:
        HostError: a record says so, and it cannot be proven.
    """
    kept = read_kept(root, key_of(task.name, instance))
    if kept is not None:
        detail = f"pid {kept.leader.pid}, left running since {kept.started_at}; it prints to {kept.log}"
        return Running(leader=kept.leader, detail=detail, stop=stop, log=kept.log, ports=dict(kept.ports))
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
