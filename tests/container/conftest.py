"""A repository whose tasks run in containers of a real engine; what ota made there goes with the test."""

import json
import os
import pty
import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from support.engines import BUSYBOX, Engine
from support.project import OTA, Live, Project, Result

REPO_LABEL = "dev.ota.repo"
HTTPD = "mkdir -p /tmp/www; echo ok >/tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www"


class Contained:
    """A project and the engine its contract names."""

    def __init__(self, project: Project, engine: Engine, shims: Path) -> None:
        self.project = project
        self.engine = engine
        self.path = project.path
        self._shims = shims

    @property
    def calls(self) -> list[str]:
        """The engine calls since `shim`, one line each."""
        log = self._shims / "calls"
        return log.read_text().splitlines() if log.exists() else []

    def write(self, tasks: Mapping[str, Any], **context: Any) -> None:
        """The contract: tasks in one container context `app`."""
        self.project.write({"ota.yaml": json.dumps(contract(self.engine.name, tasks, **context))})

    def run(self, *args: str, **options: Any) -> Result:
        return self.project.run(*args, **options)

    def start(self, *args: str, **options: Any) -> Live:
        return self.project.start(*args, **options)

    @property
    def token(self) -> str:
        path = self.path / ".ota" / "state" / "ownership-id"
        return path.read_text().strip() if path.exists() else ""

    def owned(self, *more: str) -> dict[str, list[str]]:
        """Containers, volumes and networks that carry this repository's token."""
        if not self.token:
            return {"container": [], "volume": [], "network": []}
        return self.engine.found(f"{REPO_LABEL}={self.token}", *more)

    def containers(self, lifecycle: str = "ephemeral") -> list[str]:
        if not self.token:
            return []
        return self.engine.containers(f"{REPO_LABEL}={self.token}", f"dev.ota.lifecycle={lifecycle}")

    def inspect(self, name: str) -> Any:
        return self.engine.inspect(name)[0]

    def shim(self, body: str = "") -> None:
        """Put a program of the engine's name before it on PATH: it notes each call, does `body`, goes on.

        In `body`, `$*` is the call and `real` runs the engine itself.
        """
        real = next(
            path
            for folder in os.environ["PATH"].split(":")
            if (path := Path(folder) / self.engine.name).exists() and Path(folder) != self._shims
        )
        self._shims.mkdir(exist_ok=True)
        program = self._shims / self.engine.name
        program.write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$*" | tr "\\n" " " >>{self._shims}/calls\n'
            f'echo >>{self._shims}/calls\nreal() {{ {real} "$@"; }}\n{body}\nexec {real} "$@"\n'
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    @property
    def shimmed(self) -> dict[str, str]:
        """The environment in which the shim is found first."""
        return {"PATH": f"{self._shims}:{os.environ['PATH']}"}

    def discard(self) -> None:
        self.engine.remove(self.owned())


def contract(engine: str, tasks: Mapping[str, Any], **context: Any) -> dict[str, Any]:
    container = {"image": BUSYBOX, "engines": [engine], **context.pop("container", {})}
    extra = context.pop("root", {})
    return {
        "version": 1,
        "project": {"name": "contained"},
        "execution": {
            "default_context": "app",
            "contexts": {
                "app": {"backend": "container", "lifecycle": "ephemeral", "container": container, **context}
            },
        },
        "tasks": tasks,
        **extra,
    }


def listener(
    port: int = 8080,
    host: int | None = None,
    *,
    address: str = "0.0.0.0",
    on: str = "127.0.0.1",
    protocol: str = "http",
    **more: Any,
) -> dict[str, Any]:
    """A listener in the long form; without `host` its host port is automatic."""
    published = {"mode": "auto"} if host is None else {"mode": "fixed", "value": host}
    return {
        "protocol": protocol,
        "bind": {"address": address, "port": {"mode": "fixed", "value": port}},
        "project": {"host": {"address": on, "port": published, **more}},
    }


def service(
    run: str = HTTPD, readiness: Mapping[str, Any] | None = None, **listeners: Mapping[str, Any]
) -> dict[str, Any]:
    """A service task; by default one that answers on port 8080."""
    runtime: dict[str, Any] = {"kind": "service", "listeners": listeners or {"http": listener()}}
    if readiness is not None:
        runtime["readiness"] = readiness
    return {"run": run, "runtime": runtime}


READY = {"kind": "http", "listener": "http", "path": "/", "interval": "100ms"}


def on_a_terminal(repo: Contained, *args: str) -> str:
    """Run ota on a pseudo-terminal to its end; everything it showed."""
    controller, terminal = pty.openpty()
    env = {**repo.project.environment(), "TERM": "xterm", "COLUMNS": "200"}
    child = subprocess.Popen(
        [*OTA, *args],
        cwd=repo.path,
        env=env,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    shown = bytearray()
    while True:
        try:
            data = os.read(controller, 65536)
        except OSError:
            break
        if not data:
            break
        shown += data
    os.close(controller)
    child.wait(60)
    return shown.decode("utf-8", "replace")


@pytest.fixture
def contained(
    engine: Engine, project: Callable[..., Project], tmp_path: Path
) -> Iterator[Callable[..., Contained]]:
    """Make one: `contained(tasks, lifecycle="persistent", name="a b")`; each engine in turn."""
    made: list[Contained] = []

    def make(tasks: Mapping[str, Any], *, name: str = "repo", **context: Any) -> Contained:
        new = Contained(project(name=name), engine, tmp_path / "shims")
        new.write(tasks, **context)
        made.append(new)
        return new

    yield make
    for each in made:
        each.discard()
