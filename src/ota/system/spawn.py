"""Starting one child: the request, its streams, and what the operating system said against it.

It starts and connects. Watching, stopping and ending are in `workload`.

Source: runtime specification 3, 12.1, 20.1, 20.3, 26.
"""

import errno
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from ota.errors import Finding, HostError
from ota.system.host import environ
from ota.system.process_table import RUN_MARKER, marker_of
from ota.system.quick_spawn import quick_spawn

if TYPE_CHECKING:
    import subprocess

Stream = Literal["stdout", "stderr"]
OutputMode = Literal["capture", "terminal", "inherit", "file"]
StdinMode = Literal["inherit", "devnull"]

_FALLBACK_PATH = "/usr/local/bin:/usr/bin:/bin"


class SpawnRequest(Struct, frozen=True, kw_only=True):
    """What to start. Nothing is inherited unseen except the standard input, where asked for."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    run_id: str | None
    """The run that owns the child; becomes its `OTA_RUN_MARKER`. None: what the child starts is meant
    to outlive the run, so it carries no marker at all, not even that of an outer run."""
    outlives: bool = False
    """Whether the child is to go on after ota, as its own run and not as part of any that ota runs in."""
    output: OutputMode = "capture"
    """`capture`: pipes. `terminal`: pseudo-terminals, so that the child keeps its colours while
    its output is read. `inherit`: the child has the real terminal and nothing is read. `file`: both
    streams go to `output_descriptor`, which whatever outlives the child may go on writing to."""
    output_descriptor: int = -1
    """In mode `file`; it stays the caller's."""
    terminal_streams: tuple[Stream, ...] = ("stdout", "stderr")
    """In mode `terminal`: which streams are pseudo-terminals; the others are pipes."""
    stdin: StdinMode = "devnull"


class SpawnError(HostError):
    """The child never came to life."""

    def __init__(self, finding: Finding, exit_code: int) -> None:
        super().__init__(finding)
        self.exit_code = exit_code
        """What a shell would have ended with: 127 not found, 126 not executable, else 1."""


class Channel:
    """One output of the child: the end ota reads, and the end the child writes."""

    def __init__(self, stream: Stream, *, is_terminal: bool) -> None:
        self.stream: Stream = stream
        self.is_terminal = is_terminal
        self.read_end, self.write_end = _open_terminal() if is_terminal else os.pipe()

    def close_write_end(self) -> None:
        """The child has its own copy now."""
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1

    def close(self) -> None:
        """Let go of both ends."""
        self.close_write_end()
        if self.read_end >= 0:
            os.close(self.read_end)
            self.read_end = -1


class Child:
    """A started process, to be collected exactly once."""

    def __init__(self, pid: int, process: "subprocess.Popen[bytes] | None" = None) -> None:
        self.pid = pid
        self._process = process
        self._status: int | None = None

    def collect(self) -> int | None:
        """The exit code, negative for a signal, as soon as it ended; None while it runs."""
        if self._process is not None:
            return self._process.poll()
        if self._status is None:
            with suppress(ChildProcessError):
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                self._status = os.waitstatus_to_exitcode(status) if pid else None
        return self._status


def start_child(request: SpawnRequest) -> tuple[Child, tuple[Channel, ...]]:
    """Start the child in its own session, or, with the real terminal, in its own process group.

    Raises:
        SpawnError: `OTA_SPAWN_NOT_FOUND`, `OTA_SPAWN_NOT_EXECUTABLE`, `OTA_SPAWN_CWD_MISSING` or
            `OTA_SPAWN_FAILED`; nothing was started and nothing is left open.
    """
    channels: list[Channel] = []
    try:
        if request.output not in ("inherit", "file"):
            channels.extend(
                Channel(stream, is_terminal=_is_terminal(request, stream)) for stream in ("stdout", "stderr")
            )
        child = _start(request, channels)
    except (OSError, ValueError) as error:
        for channel in channels:
            channel.close()
        raise _spawn_failed(request, error) from error
    for channel in channels:
        channel.close_write_end()
    return child, tuple(channels)


def _start(request: SpawnRequest, channels: list[Channel]) -> Child:
    output, errors = (channels[0].write_end, channels[1].write_end) if channels else (1, 2)
    if request.output == "file":
        output = errors = request.output_descriptor
    null = -1 if request.stdin == "inherit" else os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    streams = (0 if null < 0 else null, output, errors)
    is_own_session = request.output != "inherit"
    environment = _child_environment(request)
    try:
        pid = quick_spawn(
            _executable(request),
            request.argv,
            environment,
            request.cwd,
            streams,
            own_session=is_own_session,
        )
        return Child(pid) if pid is not None else _start_with_subprocess(request, environment, streams)
    finally:
        if null >= 0:
            os.close(null)


def _executable(request: SpawnRequest) -> str | None:
    """What to execute, spelled as the child should see its own name; None when there is nothing."""
    found = _find_program(request, only_executable=True)
    if found is None:
        return None
    return request.argv[0] if "/" in request.argv[0] else str(found)


def _start_with_subprocess(
    request: SpawnRequest, environment: dict[str, str], streams: tuple[int, int, int]
) -> Child:
    import subprocess

    is_interactive = request.output == "inherit"
    process = subprocess.Popen(
        list(request.argv),
        bufsize=0,
        stdin=streams[0],
        stdout=streams[1],
        stderr=streams[2],
        cwd=request.cwd,
        env=environment,
        start_new_session=not is_interactive,
        process_group=0 if is_interactive else None,
    )
    return Child(process.pid, process)


def _is_terminal(request: SpawnRequest, stream: Stream) -> bool:
    return request.output == "terminal" and stream in request.terminal_streams


def _child_environment(request: SpawnRequest) -> dict[str, str]:
    if request.run_id is None:
        return {name: value for name, value in request.env.items() if name != RUN_MARKER}
    inherited = {name: value for name, value in environ().items() if name == RUN_MARKER}
    outer = {} if request.outlives else inherited
    return {**request.env, RUN_MARKER: marker_of(request.run_id, outer)}


def _open_terminal() -> tuple[int, int]:
    """A pseudo-terminal that passes bytes on as they are: no newline becomes two."""
    import termios

    read_end, write_end = os.openpty()
    attributes = termios.tcgetattr(write_end)
    attributes[1] &= ~termios.OPOST
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(write_end, termios.TCSANOW, attributes)
    size = real_window_size()
    if size is not None:
        set_window_size(read_end, size)
    return read_end, write_end


def real_window_size() -> tuple[int, int] | None:
    """Columns and lines of the terminal ota runs in; None when there is none."""
    for descriptor in (1, 2, 0):
        with suppress(OSError):
            size = os.get_terminal_size(descriptor)
            if size.columns and size.lines:
                return size.columns, size.lines
    return None


def set_window_size(descriptor: int, size: tuple[int, int]) -> None:
    """Give a pseudo-terminal its columns and lines."""
    import termios

    columns, lines = size
    with suppress(OSError, termios.error):
        termios.tcsetwinsize(descriptor, (lines, columns))


def _spawn_failed(request: SpawnRequest, error: OSError | ValueError) -> SpawnError:
    """Why nothing started, in the user's words.

    `subprocess` reports a vanished working directory and a missing program with one exception
    type; asking the file system again tells them apart.
    """
    program = request.argv[0] if request.argv else ""
    if isinstance(error, ValueError):
        return _failed("OTA_SPAWN_FAILED", f"cannot start {program!r}", str(error), _NEXT_VALUE, 1)
    why = error.strerror or str(error)
    if not request.cwd.is_dir():
        summary = f"the working directory {request.cwd} does not exist"
        next_step = f"create {request.cwd}, or run from a directory that exists"
        return _failed("OTA_SPAWN_CWD_MISSING", summary, f"{program} cannot start there: {why}", next_step, 1)
    found = _find_program(request)
    if error.errno in (errno.ENOENT, errno.ENOTDIR) and found is None:
        next_step = f"install {program}, or correct its name or PATH"
        return _failed("OTA_SPAWN_NOT_FOUND", f"{program}: not found", why, next_step, 127)
    if error.errno in (errno.EACCES, errno.EPERM, errno.ENOEXEC, errno.ENOENT, errno.ENOTDIR):
        return _not_executable(program, found, error)
    # A shell says 126 of a command line that is too long: the program is there and cannot be executed.
    code = 126 if error.errno == errno.E2BIG else 1
    return _failed(
        "OTA_SPAWN_FAILED", f"cannot start {program}", why, _NEXT_OTHER.get(error.errno or 0, ""), code
    )


_NEXT_VALUE = "remove the NUL byte, or the `=` in a variable's name, from what is passed to the command"
_NEXT_OTHER = {
    errno.E2BIG: "shorten the arguments and environment, or pass the content through a file",
    errno.EAGAIN: "close some programs, or raise the limit on processes: `ulimit -u`",
    errno.ENOMEM: "free some memory",
    errno.EMFILE: "raise the limit on open files: `ulimit -n`",
    errno.ENFILE: "close some programs: the machine has too many open files",
}


def _not_executable(program: str, found: Path | None, error: OSError) -> SpawnError:
    where = found or Path(program)
    if where.is_dir():
        why, next_step = "it is a directory", f"name the program inside {where}"
    elif error.errno == errno.ENOEXEC:
        why, next_step = (
            "it has no `#!` line and is no program for this machine",
            f"add a `#!` line to {where}",
        )
    elif error.errno in (errno.ENOENT, errno.ENOTDIR):
        why, next_step = (
            "the interpreter in its `#!` line does not exist",
            f"correct the `#!` line of {where}",
        )
    else:
        why, next_step = error.strerror or str(error), f"chmod +x {where}"
    return _failed("OTA_SPAWN_NOT_EXECUTABLE", f"{program}: cannot be executed", why, next_step, 126)


def _find_program(request: SpawnRequest, *, only_executable: bool = False) -> Path | None:
    """The file that argv names, found as the child's own PATH says."""
    program = request.argv[0] if request.argv else ""
    if not program:
        return None
    if "/" in program:
        candidates = [request.cwd / program]
    else:
        directories = request.env.get("PATH", _FALLBACK_PATH).split(":")
        candidates = [request.cwd / directory / program for directory in directories]
    for candidate in candidates:
        with suppress(OSError, ValueError):
            if candidate.is_file() and os.access(candidate, os.X_OK):
                return candidate
            if not only_executable and candidate.exists():
                return candidate
    return None


def _failed(code: str, summary: str, why: str, next_step: str, exit_code: int) -> SpawnError:
    finding = Finding(
        code=code,
        summary=summary,
        why=why,
        next=next_step or "run the command by hand in the same directory to see more",
        category="execution",
        owner="host",
    )
    return SpawnError(finding, exit_code)


class Foreground:
    """Hands the real terminal to a child's process group, and takes it back as it was.

    Nothing happens unless standard input is a terminal whose foreground is ota's own group.
    """

    def __init__(self) -> None:
        self._own_group = 0
        self._attributes: list[object] | None = None
        try:
            if os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp():
                import termios

                self._own_group = os.getpgrp()
                self._attributes = list(termios.tcgetattr(0))
        except OSError:
            self._own_group = 0

    def give_to(self, group: int) -> None:
        """Make `group` the one that Ctrl+C reaches; continue it if it asked for the terminal too early."""
        if self._own_group and self._set_foreground(group):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGCONT)

    def take_back(self) -> None:
        """Ota's group is in front again, and the terminal's settings are what they were."""
        if not self._own_group:
            return
        self._set_foreground(self._own_group)
        if self._attributes is not None:
            import termios

            with _background_allowed(), suppress(termios.error, OSError):
                termios.tcsetattr(0, termios.TCSADRAIN, self._attributes)  # type: ignore[arg-type]

    def _set_foreground(self, group: int) -> bool:
        with _background_allowed(), suppress(OSError):
            os.tcsetpgrp(0, group)
            return True
        return False


class _background_allowed:  # noqa: N801 - reads as a block
    """Changing a terminal from the background stops a process, unless SIGTTOU is blocked meanwhile."""

    def __enter__(self) -> None:
        self._previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})

    def __exit__(self, *_: object) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._previous)
