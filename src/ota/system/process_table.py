"""What the operating system says about running processes.

On Linux from `/proc`; elsewhere, slower and coarser, from `ps`. It observes only: who owns a
process and what happens to it is decided in `processes`.

Source: runtime specification 7.4 (start time, field 22 of `/proc/<pid>/stat`).
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from ota.system.cutting import cut

RUN_MARKER = "OTA_RUN_MARKER"
_COMMAND_LIMIT = 200
_PS_LIMIT_S = 5.0
_DEAD_STATES = "ZXx"
_EXCHANGE_LOOKS = 5
_EXCHANGE_PAUSE_S = 0.001
_MEMORY = 20
"""Which of the fields after the name tells the size of its memory; 0 for a thread of the system itself."""
HAS_PROC = sys.platform.startswith("linux") and Path("/proc/self/stat").exists()


class ProcessFacts(Struct, frozen=True, kw_only=True):
    """One process at one moment."""

    pid: int
    parent: int
    group: int
    session: int
    start_ticks: int
    """When it started: clock ticks since boot on Linux, seconds since 1970 elsewhere."""
    state: str
    """One letter, as `ps` prints it."""
    name: str

    @property
    def is_dead(self) -> bool:
        """Ended, and only waiting for its parent to notice."""
        return self.state in _DEAD_STATES


def observe_process(pid: int) -> ProcessFacts | None:
    """One process, None when there is no such process."""
    if pid <= 0:
        return None
    if HAS_PROC:
        stat = _read_proc(pid, "stat")
        return _parse_stat(stat) if stat else None
    return observe_with_ps().get(pid)


def observe_processes() -> dict[int, ProcessFacts]:
    """Every process that can be seen, by pid; those that have ended are included."""
    if not HAS_PROC:
        return observe_with_ps()
    found: dict[int, ProcessFacts] = {}
    for pid in numbered_processes():
        facts = observe_process(pid)
        if facts is not None:
            found[pid] = facts
    return found


def observe_session(session: int) -> tuple[ProcessFacts, ...]:
    """The living processes of one session.

    `getsid` per process costs a tenth of reading its `/proc` entry, and this is asked often.
    """
    return _living(pid for pid in numbered_processes() if _answer(os.getsid, pid) == session)


def observe_group(group: int) -> tuple[ProcessFacts, ...]:
    """The living processes of one process group."""
    return _living(pid for pid in numbered_processes() if _answer(os.getpgid, pid) == group)


def _answer(question: Callable[[int], int], pid: int) -> int:
    try:
        return question(pid)
    except OSError:
        return -1


def _living(pids: Iterable[int]) -> tuple[ProcessFacts, ...]:
    if not HAS_PROC:
        table = observe_with_ps()
        return tuple(table[pid] for pid in pids if pid in table and not table[pid].is_dead)
    facts = (observe_process(pid) for pid in pids)
    return tuple(known for known in facts if known is not None and not known.is_dead)


def numbered_processes() -> Iterator[int]:
    """Every pid that can be seen."""
    if not HAS_PROC:
        yield from observe_with_ps()
        return
    with os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name.isdigit():
                yield int(entry.name)


def carries_marker(pid: int, run_id: str) -> bool:
    """Whether the process was started by the run, told by the variable it was started with.

    The value is the chain of runs, outermost first, so that a run inside a task of another run
    belongs to both. Processes of other users cannot be read, and so are never ours.
    """
    environment = _started_with(pid) if HAS_PROC else _environment_with_ps(pid)
    return _marker_names(environment, run_id)


def _started_with(pid: int) -> bytes:
    """The variables a process was started with.

    While a process exchanges its program for another, Linux shows it without any; a look in that
    moment must not make it a stranger, so there is another.
    """
    for _ in range(_EXCHANGE_LOOKS):
        environment = _read_proc(pid, "environ")
        if environment or not _may_have_variables(pid):
            return environment
        time.sleep(_EXCHANGE_PAUSE_S)
    return b""


def _may_have_variables(pid: int) -> bool:
    """Not so if it is gone, a part of the system, or somebody else's.

    The place of its variables proves nothing: within the exchange it has no length, like the place of
    one that really was started without any.
    """
    stat = _read_proc(pid, "stat")
    has_memory = bool(stat) and stat[stat.rindex(b")") + 2 :].split()[_MEMORY] != b"0"
    return has_memory and os.access(f"/proc/{pid}/environ", os.R_OK)


def _marker_names(environment: bytes, run_id: str) -> bool:
    prefix = RUN_MARKER.encode() + b"="
    wanted = run_id.encode()
    return any(
        wanted in variable[len(prefix) :].split(b":")
        for variable in environment.split(b"\0")
        if variable.startswith(prefix)
    )


def marker_of(run_id: str, inherited: Mapping[str, str]) -> str:
    """The marker's value for children of `run_id`, keeping the runs that ota itself runs inside."""
    outer = inherited.get(RUN_MARKER, "")
    return f"{outer}:{run_id}" if outer else run_id


def observe_command(pid: int) -> str:
    """The command line, cut to a readable length; may hold secrets, so mask it before showing it."""
    if HAS_PROC:
        words = _read_proc(pid, "cmdline").rstrip(b"\0").split(b"\0")
        return cut(b" ".join(words).decode("utf-8", "replace"), _COMMAND_LIMIT)
    return cut(_ps("-p", str(pid), "-o", "command=").strip(), _COMMAND_LIMIT)


def observe_boot_id() -> str:
    """A name for this boot of this machine: pids and start times compare only within one. May be empty."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    return ""


def observe_pid_namespace() -> str:
    """A name for the space pids are counted in; containers count their own. May be empty."""
    with suppress(OSError):
        return str(Path("/proc/self/ns/pid").readlink())
    return ""


def _read_proc(pid: int, name: str) -> bytes:
    """A file of `/proc/<pid>`; empty when the process is gone or not ours to read."""
    try:
        descriptor = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        parts = []
        while part := os.read(descriptor, 65536):
            parts.append(part)
        return b"".join(parts)
    except OSError:
        return b""  # it ended between open and read
    finally:
        os.close(descriptor)


def _parse_stat(stat: bytes) -> ProcessFacts:
    """`pid (name) state ppid pgrp session ...`: the name may hold spaces and parentheses."""
    opening, closing = stat.index(b"("), stat.rindex(b")")
    fields = stat[closing + 2 :].split()
    return ProcessFacts(
        pid=int(stat[:opening]),
        name=stat[opening + 1 : closing].decode("utf-8", "replace"),
        state=fields[0].decode("ascii"),
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        start_ticks=int(fields[19]),
    )


def observe_with_ps() -> dict[int, ProcessFacts]:
    """The same table from `ps`: start times have a resolution of one second."""
    found: dict[int, ProcessFacts] = {}
    for line in _ps("-A", "-o", "pid=,ppid=,pgid=,stat=,lstart=,comm=").splitlines():
        words = line.split(None, 9)
        if len(words) == 10 and words[0].isdigit():
            found[int(words[0])] = _from_ps(words)
    return found


def _from_ps(words: list[str]) -> ProcessFacts:
    pid = int(words[0])
    return ProcessFacts(
        pid=pid,
        parent=int(words[1]),
        group=int(words[2]),
        session=_answer(os.getsid, pid),
        start_ticks=_seconds(words[4:9]),
        state=words[3][:1],
        name=words[9].rsplit("/", 1)[-1],
    )


def _seconds(started: list[str]) -> int:
    return int(time.mktime(time.strptime(" ".join(started), "%a %b %d %H:%M:%S %Y")))


def _environment_with_ps(pid: int) -> bytes:
    """BSD `ps` appends the environment to the command, separated by spaces."""
    return _ps("-E", "-ww", "-p", str(pid), "-o", "command=").replace(" ", "\0").encode()


def _ps(*arguments: str) -> str:
    import subprocess

    try:
        answer = subprocess.run(
            ["ps", *arguments],
            capture_output=True,
            timeout=_PS_LIMIT_S,
            check=False,
            env={"PATH": "/bin:/usr/bin:/usr/local/bin", "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.decode("utf-8", "replace")
