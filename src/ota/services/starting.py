"""Running a start command: bounded, interruptible, and without a claim on what it leaves running.

The output does not end with ota: a server that the command leaves in the background keeps its standard
output when ota has gone, and who keeps that output (`kept_output`) tells ota what comes meanwhile.

Source: runtime specification 13.1, 14.1; decision D14.
"""

import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from ota.backends.kept_output import KeptOutput
from ota.errors import Finding
from ota.services.scene import ServiceScene
from ota.system.clock import Deadline
from ota.system.spawn import SpawnError, SpawnRequest
from ota.system.workload import Workload, WorkloadEnd

LOGS_FOLDER = ".ota/state/services"
LOCKS_FOLDER = ".ota/state/locks"
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
    with KeptOutput(log, scene.masker(), clock=scene.clock) as kept:
        request = SpawnRequest(
            argv=argv,
            cwd=cwd,
            env=scene.environ,
            run_id=None,
            output="file",
            output_descriptor=kept.write_end,
            stdin="devnull",
        )
        return _supervised(request, scene, kept, on_output)


def _supervised(
    request: SpawnRequest, scene: ServiceScene, kept: KeptOutput, on_output: Callable[[bytes], None]
) -> StartEnd:
    deadline = Deadline.after(scene.clock, scene.start_limit_s)
    was_interrupted = is_timed_out = False
    try:
        with Workload(request, ends_session=False, clock=scene.clock) as workload:
            kept.handed_over()
            end: WorkloadEnd | None = None
            while end is None:
                end = workload.supervise(lambda _stream, _data: None, limit_s=_TURN_S)
                _pass_on(kept.read(), on_output)
                if end is None and not (was_interrupted or is_timed_out):
                    was_interrupted = scene.should_stop()
                    is_timed_out = not was_interrupted and deadline.is_over(scene.clock)
                    if was_interrupted or is_timed_out:
                        workload.request_stop(signal.SIGTERM)
    except SpawnError as error:
        return StartEnd(exit_code=error.exit_code, finding=error.findings[0])
    _pass_on(kept.finish(), on_output)
    return StartEnd(exit_code=end.exit_code, was_interrupted=was_interrupted, is_timed_out=is_timed_out)


def _pass_on(data: bytes, on_output: Callable[[bytes], None]) -> None:
    if data:
        on_output(data)


def file_name(service: str) -> str:
    """A service's name as a file name, different for different names."""
    return "".join(
        each if each.isascii() and (each.isalnum() or each in "-_") else f"%{ord(each):x}."
        for each in service
    )


def name_of_file(text: str) -> str:
    """The name that `file_name` made this of; of any other text the text itself."""
    return re.sub(r"%([0-9a-f]{1,6})\.", lambda found: chr(min(int(found[1], 16), sys.maxunicode)), text)
