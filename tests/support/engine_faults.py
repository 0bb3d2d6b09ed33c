"""Engines that misbehave: stand-ins on PATH before a real one, and a proxy before Docker's socket.

The shared engines themselves are never stopped: what fails is the way to them.
"""

import os
import shutil
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest

from support.engines import Engine

Act = Literal["pass", "cut", "refuse"]


def put_before(engine: Engine, folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the engine's command line: `script` decides, and `exec "$REAL" "$@"` goes on.

    The folder it may keep notes in is `$NOTES`.
    """
    real = shutil.which(engine.name)
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / engine.name
    program.write_text(f'#!/bin/sh\nREAL={real}; NOTES={folder}\n{script}\nexec "$REAL" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


class SocketProxy:
    """Stands before Docker's socket; `judge` sees the first bytes of each request."""

    def __init__(self, path: Path, target: str, judge: Callable[[bytes], Act]) -> None:
        self._target = target
        self._judge = judge
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        self._open = True
        self._threads: list[threading.Thread] = []
        self.address = f"unix://{path}"
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def _accept(self) -> None:
        while self._open:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as engine:
            engine.connect(self._target.removeprefix("unix://"))
            cut = threading.Event()
            answering = threading.Thread(target=self._answer, args=(engine, client, cut))
            answering.start()
            if self._pass_on(client, engine, cut):
                for each in (client, engine):
                    with suppress(OSError):
                        each.shutdown(socket.SHUT_RDWR)
            answering.join()

    def _pass_on(self, client: socket.socket, engine: socket.socket, cut: threading.Event) -> bool:
        """Whether the connection is to be cut; otherwise the client has no more to say, and may listen on."""
        with suppress(OSError):
            while data := client.recv(65536):
                act = self._judge(data)
                if act != "pass":
                    cut.set()  # before the engine can answer: it may be quicker than the cut
                if act != "refuse":
                    engine.sendall(data)
                if act != "pass":
                    return True
            engine.shutdown(socket.SHUT_WR)
        return False

    def _answer(self, engine: socket.socket, client: socket.socket, cut: threading.Event) -> None:
        with suppress(OSError):
            while (data := engine.recv(65536)) and not cut.is_set():
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._open = False
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for thread in (self._accepting, *self._threads):
            thread.join(10)
