"""Running a start command: bounded, interruptible, and without a claim on what it leaves running.

The output goes to a file, not through ota: a server that the command leaves in the background keeps
its standard output when ota has gone. The file is read while it grows.

Source: runtime specification 13.1, 14.1; decision D14.
"""

import signal
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from ota.errors import Finding
from ota.services.scene import ServiceScene
from ota.system.clock import Deadline
from ota.system.file_tail import FileTail, mask_file
from ota.system.files import private_directory
from ota.system.spawn import SpawnError, SpawnRequest
from ota.system.workload import Workload, WorkloadEnd

LOGS_FOLDER = ".ota/state/services"
_TURN_S = 0.05


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
            FileTail(log, on_output) as tail,
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
        mask_file(log, scene.mask)
    return StartEnd(exit_code=end.exit_code, was_interrupted=was_interrupted, is_timed_out=is_timed_out)


def file_name(service: str) -> str:
    """A service's name as a file name, different for different names."""
    return "".join(
        each if each.isascii() and (each.isalnum() or each in "-_") else f"%{ord(each):x}."
        for each in service
    )
