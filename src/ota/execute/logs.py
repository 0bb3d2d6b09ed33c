"""Log artifacts of a run: child output, both streams, and nothing of ota's own.

A failure to keep them never changes a run's result; it is told once, as an event.

Source: runtime specification 20.2; json-and-receipts 4.10.
"""

import os
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Literal

from ota.errors import HostError
from ota.execute.events import LogFailed, LogsOpened
from ota.execute.stream import EventStream
from ota.system.files import PRIVATE_FILE, private_directory, write_all

LOGS_FOLDER = ".ota/state/logs"
_STREAMS: tuple[Literal["stdout", "stderr"], ...] = ("stdout", "stderr")


class LogFiles:
    """`stdout.log` and `stderr.log` of one run; every write goes straight to the file."""

    def __init__(self, root: Path, run_id: str, stream: EventStream) -> None:
        self._stream = stream
        self._descriptors: dict[str, int] = {}
        self._lock = Lock()
        self._has_failed = False
        folder = root / LOGS_FOLDER / run_id
        shown = f"{LOGS_FOLDER}/{run_id}"
        try:
            private_directory(folder)
            for name in _STREAMS:
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                self._descriptors[name] = os.open(folder / f"{name}.log", flags, PRIVATE_FILE)
        except HostError as error:
            self._failed(error.findings[0].summary + ": " + error.findings[0].why)
            return
        except OSError as error:
            self._failed(f"cannot create {shown}: {error.strerror}")
            return
        stream.emit(LogsOpened(dir=shown, stdout=f"{shown}/stdout.log", stderr=f"{shown}/stderr.log"))

    def write(self, name: Literal["stdout", "stderr"], data: bytes) -> None:
        """Append; after the first failure nothing more is tried."""
        with self._lock:
            if self._has_failed or name not in self._descriptors:
                return
            try:
                write_all(self._descriptors[name], data)
            except OSError as error:
                self._failed(f"cannot write {name}.log: {error.strerror}")

    def close(self) -> None:
        """Close both files."""
        with self._lock:
            for descriptor in self._descriptors.values():
                with suppress(OSError):
                    os.close(descriptor)
            self._descriptors.clear()

    def _failed(self, why: str) -> None:
        self._has_failed = True
        self._stream.emit(LogFailed(why=why))
