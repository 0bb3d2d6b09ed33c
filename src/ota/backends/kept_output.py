"""Keeping the output of a process that may outlive ota, without its secrets and without end.

Ota cannot read that output itself, because it goes first, and a plain file would take secrets and grow for
as long as a server lives. So a small process reads it (`output_keeper`), which goes with the last writer.
Here is ota's side: starting it, giving its pipe to a child, and seeing what the child prints meanwhile.

Source: runtime specification 13.1; decision D14.
"""

import os
import select
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self

from ota.backends.output_keeper import ENOUGH, OWNED, encode_fields, encode_orders
from ota.env.masking import Masker
from ota.errors import Finding, HostError
from ota.system.clock import SYSTEM_CLOCK, Clock, Deadline
from ota.system.files import private_directory
from ota.system.host import environ
from ota.system.process_table import RUN_MARKER
from ota.system.processes import Identity, observe_identity
from ota.system.quick_spawn import quick_spawn

LIMIT_BYTES = 4 * 1024 * 1024
"""Of the current part; one part before it is kept too."""
_FINISH_LIMIT_S = 5.0
_OWN_LIMIT_S = 10.0
_PIECE_BYTES = 65_536
_CODE = "import sys; sys.path.insert(0, sys.argv[1]); from ota.backends.output_keeper import main; main()"


class KeptOutput:
    """The output of one child. Use as a context manager: leaving lets go of it, and the keeper stays."""

    def __init__(
        self,
        log: Path,
        masker: Masker,
        *,
        limit_bytes: int = LIMIT_BYTES,
        may_own: bool = False,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Start the keeper.

        With `may_own` the child stands for something in a container: `tell_marks` has to follow.

        Raises:
            HostError: the folder cannot be made, or no process can be started.
        """
        private_directory(log.parent)
        self._clock = clock
        self._pid = 0
        self._is_over = False
        try:
            read_end, self.write_end = os.pipe()
        except OSError as error:
            raise HostError(_refused(_reason(error))) from error
        near, far = socket.socketpair()
        self._office: socket.socket | None = None
        office: socket.socket | None = None
        if may_own:
            self._office, office = socket.socketpair()
        try:
            self._pid = _start(read_end, far.fileno(), office.fileno() if office is not None else None)
            near.sendall(encode_orders(str(log.absolute()), limit_bytes, masker.values))
        except OSError as error:
            near.close()
            self._close_office()
            self.handed_over()
            raise HostError(_refused(_reason(error))) from error
        finally:
            os.close(read_end)
            far.close()
            if office is not None:
                office.close()
        self._socket = near
        self._socket.setblocking(False)
        self.keeper = observe_identity(self._pid) or Identity(pid=self._pid, start_ticks=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.handed_over()
        self._socket.close()
        self._close_office()
        if self._pid:
            with suppress(ChildProcessError):
                os.waitpid(self._pid, os.WNOHANG)

    def handed_over(self) -> None:
        """The child has its own copy of `write_end` now, or never will."""
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be read here."""
        return self._is_over

    def read(self) -> bytes:
        """What was printed since the last call, without secrets; it never waits."""
        data = bytearray()
        while not self._is_over:
            try:
                piece = self._socket.recv(_PIECE_BYTES)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                piece = b""
            self._is_over = not piece
            data += piece
        return bytes(data)

    def finish(self, limit_s: float = _FINISH_LIMIT_S) -> bytes:
        """The rest of what was printed up to now; later output goes to the log alone."""
        with suppress(OSError):
            self._socket.send(ENOUGH)
        deadline = Deadline.after(self._clock, limit_s)
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        data = self.read()
        while not self._is_over and not deadline.is_over(self._clock):
            poller.poll(max(1, int(deadline.remaining_s(self._clock) * 1000)))
            data += self.read()
        return data

    # -- a keeper that may own something ------------------------------------------------------------

    def tell_marks(self, prefix: bytes, end: bytes) -> None:
        """What begins and ends the marks in the output, which are for ota alone; empty: there are none.

        Raises:
            HostError: the keeper has ended.
        """
        self._say(encode_fields((prefix.decode(), end.decode())))

    def give(self, journal: Path, lock: Path | None) -> None:
        """Make the keeper the owner of what a journal announces, holding a lock that ota holds with it.

        Once the output is over it takes away what is left of that. Returns when it has heard.

        Raises:
            HostError: it has ended, or does not answer.
        """
        assert self._office is not None
        paths = (str(Path(each).absolute()) for each in sys.path if each)
        self._say(encode_fields((str(journal.absolute()), str(lock or ""), *paths)))
        self._office.settimeout(_OWN_LIMIT_S)
        try:
            answer = self._office.recv(1)
        except OSError as error:
            raise HostError(_refused(_reason(error))) from error
        if answer != OWNED:
            raise HostError(keeper_killed())

    def _say(self, message: bytes) -> None:
        assert self._office is not None
        try:
            self._office.sendall(message)
        except OSError as error:
            raise HostError(_refused(_reason(error))) from error

    def _close_office(self) -> None:
        if self._office is not None:
            self._office.close()


def _start(read_end: int, control: int, office: int | None) -> int:
    """The keeper's pid. It has its own session, belongs to no run, and holds nothing else of ota's.

    Raises:
        OSError: it cannot be started.
    """
    # without the interpreter's search for packages, which takes longer than what the keeper needs of them
    argv = (sys.executable, "-I", "-S", "-c", _CODE, str(Path(__file__).parents[2]))
    environment = {name: value for name, value in environ().items() if name != RUN_MARKER}
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        streams = (read_end, control, null if office is None else office)
        pid = quick_spawn(sys.executable, argv, environment, Path.cwd(), streams, own_session=True)
        if pid is not None:
            return pid
        import subprocess

        return subprocess.Popen(
            argv,
            stdin=streams[0],
            stdout=streams[1],
            stderr=streams[2],
            env=environment,
            start_new_session=True,
        ).pid
    finally:
        os.close(null)


def keeper_killed() -> Finding:
    """Nobody keeps the output any more, although it goes on."""
    return _refused("it was killed")


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _refused(why: str) -> Finding:
    return Finding(
        code="OTA_OUTPUT_UNKEPT",
        summary="the output of what is to go on after ota cannot be kept",
        why=f"the process that would keep it cannot be started, or is gone: {why}",
        next="close some programs, or raise the limits on processes and open files: `ulimit -u`, `ulimit -n`",
        category="execution",
        owner="host",
    )
