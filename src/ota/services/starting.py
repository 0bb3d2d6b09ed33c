"""Running a start command: bounded, interruptible, and without a claim on what it leaves running.

The output goes to a file, not through ota: a server that the command leaves in the background keeps
its standard output when ota has gone. The file is read while it grows.

Source: runtime specification 13.1, 14.1; decision D14.
"""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from ota.errors import Finding
from ota.services.scene import ServiceScene
from ota.system.clock import Deadline
from ota.system.files import private_directory
from ota.system.spawn import SpawnError, SpawnRequest
from ota.system.workload import Workload, WorkloadEnd

LOGS_FOLDER = ".ota/state/services"
_TURN_S = 0.05
_PIECE_BYTES = 65_536
_MASKED_LIMIT_BYTES = 16 * 1024 * 1024


class StartEnd(Struct, frozen=True, kw_only=True):
    """How a start command ended."""

    exit_code: int
    was_interrupted: bool = False
    is_timed_out: bool = False
    finding: Finding | None = None
    """Why there was nothing to run."""


def run_start(
    argv: tuple[str, ...],
    cwd: Path,
    scene: ServiceScene,
    log: Path,
    on_output: Callable[[bytes], None],
) -> StartEnd:
    """Run a start command to its end. What it started stays; a command that is stopped takes all along.

    Raises:
        HostError: its output cannot be kept.
    """
    private_directory(log.parent)
    request = SpawnRequest(
        argv=argv, cwd=cwd, env=scene.environ, run_id=None, output="file", output_file=log, stdin="devnull"
    )
    deadline = Deadline.after(scene.clock, scene.start_limit_s)
    was_interrupted = is_timed_out = False
    try:
        with (
            Workload(request, ends_session=False, clock=scene.clock) as workload,
            _Tail(log, on_output) as tail,
        ):
            end: WorkloadEnd | None = None
            while end is None:
                end = workload.supervise(lambda _stream, _data: None, limit_s=_TURN_S)
                tail.read()
                if end is None and not (was_interrupted or is_timed_out):
                    was_interrupted = scene.should_stop()
                    is_timed_out = not was_interrupted and deadline.is_over(scene.clock)
                    if was_interrupted or is_timed_out:
                        workload.request_stop(signal.SIGTERM)
    except SpawnError as error:
        return StartEnd(exit_code=error.exit_code, finding=error.findings[0])
    finally:
        _mask_file(log, scene)
    return StartEnd(exit_code=end.exit_code, was_interrupted=was_interrupted, is_timed_out=is_timed_out)


class _Tail:
    """Reads a file as far as it has grown."""

    def __init__(self, path: Path, on_output: Callable[[bytes], None]) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._on_output = on_output

    def __enter__(self) -> "_Tail":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def read(self) -> None:
        """Pass on what is new; a writer that never stops does not keep ota here."""
        for _ in range(256):
            data = os.read(self._descriptor, _PIECE_BYTES)
            if not data:
                return
            self._on_output(data)


def _mask_file(log: Path, scene: ServiceScene) -> None:
    """What a start command printed is kept without secrets."""
    with suppress(OSError):
        if log.stat().st_size > _MASKED_LIMIT_BYTES:
            return
        content = log.read_bytes()
        masked = scene.mask(content)
        if masked != content:
            # in place: a server may have the file open, and goes on at its end
            descriptor = os.open(log, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
            try:
                os.write(descriptor, masked)
            finally:
                os.close(descriptor)


def file_name(service: str) -> str:
    """A service's name as a file name, different for different names."""
    return "".join(
        each if each.isascii() and (each.isalnum() or each in "-_") else f"%{ord(each):x}."
        for each in service
    )
