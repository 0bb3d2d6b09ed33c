"""Starting ota without starting Python: a fork of an interpreter that did so already.

Two thirds of what a short command costs is the interpreter's start and imports that are the same each time,
and the suite runs thousands of short commands. Each worker keeps one process that has done that part
(`warm_program`) and forks per command. What comes of it is a process of its own as before: own session,
streams, environment, arguments and end. Commands start from nothing that are watched while they run
(`Project.start`), or for which something differs that the interpreter reads at its start.
"""

import atexit
import json
import os
import select
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from support.leaks import MARK, WARM_START, also_mark
from support.warm_program import REQUEST_LIMIT_BYTES

PROGRAM = Path(__file__).with_name("warm_program.py")
# What the interpreter, the C library or a module of ota reads when it is loaded.
_READ_AT_START = ("PYTHON", "LC_", "LANG", "TZ", "LD_", "MALLOC_", "GLIBC_", "COMPLETE", "OTA_FAULT")


class WarmCommand:
    """A running command, with the part of `subprocess.Popen` that `Live` uses."""

    def __init__(self, status: int, pipes: tuple[IO[bytes] | None, IO[bytes], IO[bytes]]) -> None:
        self.stdin, self.stdout, self.stderr = pipes
        self._status = os.fdopen(status)
        self._code: int | None = None
        first = self._status.readline()
        assert first, "the process that forks ended"
        self.pid = int(first)

    def poll(self) -> int | None:
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("ota", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def _look(self, timeout: float | None) -> int | None:
        if self._code is None:
            poll = select.poll()
            poll.register(self._status, select.POLLIN)
            if poll.poll(None if timeout is None else timeout * 1000):
                last = self._status.readline()
                assert last, "the process that forks ended"
                self._code = int(last)
                self._status.close()
        return self._code


class Warm:
    """One process that forks, for as long as its owner lives."""

    def __init__(self, start: Sequence[str], environment: Mapping[str, str]) -> None:
        """`start` is an interpreter, its options and the script that starts ota."""
        self._surroundings = _surroundings(environment)
        *python, launcher = start
        token = uuid.uuid4().hex
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._turn = threading.Lock()
        # Pipes, as the streams of the commands will be: the interpreter sees at its start what they are.
        self._process = subprocess.Popen(
            [*python, str(PROGRAM), launcher, str(theirs.fileno())],
            env={**environment, MARK: token},
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()
        also_mark(token, self._process.pid)

    def start(
        self, args: Sequence[str], cwd: Path, env: Mapping[str, str], *, has_input: bool
    ) -> WarmCommand | None:
        """The command, or `None` when it must start from nothing."""
        content = json.dumps({"args": args, "cwd": str(cwd), "env": dict(env)}).encode()
        is_unlike = _surroundings(env) != self._surroundings or not cwd.is_dir()
        if is_unlike or len(content) >= REQUEST_LIMIT_BYTES:
            return None
        sys.audit(WARM_START)
        status, status_of_child = os.pipe()
        out, out_of_child = os.pipe()
        err, err_of_child = os.pipe()
        into_child, give = os.pipe() if has_input else (os.open(os.devnull, os.O_RDONLY), None)
        theirs = [into_child, out_of_child, err_of_child, status_of_child]
        try:
            with self._turn:
                socket.send_fds(self._control, [content], theirs)
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        stdin = None if give is None else os.fdopen(give, "wb", 0)
        return WarmCommand(status, (stdin, os.fdopen(out, "rb", 0), os.fdopen(err, "rb", 0)))

    def close(self) -> None:
        self._control.close()
        self._process.communicate()


def _surroundings(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_READ_AT_START)}


_kept: list[Warm] = []


def warm(start: Sequence[str], environment: Mapping[str, str]) -> Warm:
    """The one of this worker, made when it is first wanted."""
    if not _kept:
        _kept.append(Warm(start, environment))
        atexit.register(_kept[0].close)
    return _kept[0]
