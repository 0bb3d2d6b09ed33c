"""Containers of ota on a real engine, without the rest of a run: prepared, entered, ended, taken away.

`bench` (tests/backends/container/conftest.py) makes one per test; what ota makes through it carries the
ownership token of the bench's own checkout and is removed with it.
"""

import os
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from ota.backends.container.engine import Engine as OtaEngine
from ota.backends.container.engine import find_engine
from ota.backends.container.ephemeral import EphemeralRun, observe_end, release_ephemeral
from ota.backends.container.identity import LABEL_REPO
from ota.backends.container.ownership import ensure_token
from ota.backends.container.persistent import PersistentRun
from ota.backends.container.start_mark import StartMark
from ota.backends.container.work import BodyEnvironment, EnvironmentOf, Prepared, PublishedPort, Scene, Work
from ota.errors import Finding
from ota.resolve.plan import ContainerPlan, ContextPlan, ListenerPlan, ProjectionPlan
from ota.system.journal import Journal, open_journal
from support.engines import BUSYBOX, Engine

_steps = count(1)


class Ran:
    """What came of one body."""

    def __init__(
        self, prepared: Prepared, done: "subprocess.CompletedProcess[bytes]", mark: StartMark
    ) -> None:
        self.prepared = prepared
        self.code = done.returncode
        self.out = mark.filter("stdout", done.stdout).decode("utf-8", "replace")
        self.err = (mark.filter("stderr", done.stderr) + mark.finish()).decode("utf-8", "replace")
        self.mark = mark


class Bench:
    """One checkout, one engine."""

    def __init__(self, engine: Engine, root: Path) -> None:
        self.raw = engine
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.said: list[str] = []
        # Names of containers come from it, and benches of other workers are on the same engine.
        self.run_id = f"20250101T000000Z-dev-{uuid.uuid4().hex[:6]}"
        self.journal: Journal = open_journal(root, run_id=self.run_id, task="dev")

    @property
    def engine(self) -> OtaEngine:
        """The engine as the environment of this moment has it: a test may have put a shim before it."""
        return find_engine((self.raw.name,), dict(os.environ))

    @property
    def token(self) -> str:
        return ensure_token(self.root)

    @property
    def scene(self) -> Scene:
        return Scene(journal=self.journal, environ=os.environ, on_progress=self.said.append)

    def work(
        self,
        body: str = "true",
        *,
        listeners: Iterable[ListenerPlan] = (),
        task: str = "dev",
        context: str | None = "app",
        shared: str | None = None,
        networks: tuple[str, ...] = (),
        **container: Any,
    ) -> Work:
        """A body for a container; `container` are fields of its plan (`memory_bytes`, ...)."""
        plan = ContainerPlan(**{"image": BUSYBOX, "engines": (self.raw.name,), **container})
        return Work(
            root=self.root,
            run_id=self.run_id,
            step=f"{task}-{next(_steps)}",
            task=task,
            context=ContextPlan(
                plane="container", plane_source="context", name=context, container=plan, shared_backend=shared
            ),
            body=body,
            listeners=tuple(listeners),
            networks=networks,
        )

    def ephemeral(self, work: Work | str, env: Mapping[str, str] | None = None, **secrets: str) -> Ran:
        """Run a body in a container of its own, with the retries ota makes; the container stays."""
        return self._run(self.ephemeral_run(work, env, **secrets))

    def persistent(self, work: Work | str, env: Mapping[str, str] | None = None, **secrets: str) -> Ran:
        """Run a body in the container that stays."""
        run = self.persistent_run(work, env, **secrets)
        ran = self._run(run)
        ran.prepared.leave()
        return ran

    def ephemeral_run(
        self,
        work: Work | str,
        env: Mapping[str, str] | None = None,
        engine: OtaEngine | None = None,
        **secrets: str,
    ) -> EphemeralRun:
        work = self.work(work) if isinstance(work, str) else work
        return EphemeralRun(engine or self.engine, work, environment(env, secrets), self.scene)

    def persistent_run(
        self,
        work: Work | str,
        env: Mapping[str, str] | None = None,
        engine: OtaEngine | None = None,
        **secrets: str,
    ) -> PersistentRun:
        work = self.work(work) if isinstance(work, str) else work
        return PersistentRun(engine or self.engine, work, environment(env, secrets), self.scene)

    def _run(self, run: EphemeralRun | PersistentRun) -> Ran:
        while True:
            prepared = run.prepare()
            ran = self.enter(prepared)
            if ran.mark.is_started:
                return ran
            run.not_started(prepared, ran.mark.said)

    def enter(self, prepared: Prepared, *, limit_s: float = 60.0) -> Ran:
        """Do what a run does with a prepared container, once."""
        prepared.release_ports()
        done = subprocess.run(
            prepared.argv,
            env=dict(prepared.cli_environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limit_s,
        )
        return Ran(prepared, done, StartMark(prepared.start_mark))

    def start(self, prepared: Prepared) -> "Attached":
        """Enter it, and go on meanwhile."""
        prepared.release_ports()
        return Attached(prepared)

    def release(self, ran: Ran) -> Finding | None:
        return release_ephemeral(self.engine, ran.prepared.name)

    def end(self, ran: Ran) -> Any:
        return observe_end(self.engine, ran.prepared.name)

    def names(self) -> list[str]:
        """The containers of this checkout, running or not."""
        return self.raw.containers(f"{LABEL_REPO}={self.token}")

    def owned(self) -> dict[str, list[str]]:
        return self.raw.found(f"{LABEL_REPO}={self.token}")

    def discard(self) -> None:
        self.raw.remove(self.owned())
        self.journal.close()


class Attached:
    """A body that runs while the test goes on."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self.mark = StartMark(prepared.start_mark)
        self.out = bytearray()
        self.err = bytearray()
        self._process = subprocess.Popen(
            prepared.argv,
            env=dict(prepared.cli_environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._readers = [
            threading.Thread(target=self._read, args=(self._process.stdout, "stdout", self.out)),
            threading.Thread(target=self._read, args=(self._process.stderr, "stderr", self.err)),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, pipe: Any, stream: Any, kept: bytearray) -> None:
        while data := os.read(pipe.fileno(), 65536):
            kept += self.mark.filter(stream, data)

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self, limit_s: float = 20.0) -> int:
        """The exit code of the engine's client."""
        code = self._process.wait(limit_s)
        for reader in self._readers:
            reader.join(5)
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()
        return code

    def kill(self) -> None:
        """End the client, as nobody should; the container knows nothing of it."""
        self._process.kill()
        self.wait()


def environment(env: Mapping[str, str] | None, secrets: Mapping[str, str]) -> EnvironmentOf:
    """What a run would deliver: the variables of the test, and the ports by listener."""

    def of(ports: tuple[PublishedPort, ...]) -> BodyEnvironment:
        public = {f"PORT_{port.listener.upper()}": str(port.host_port) for port in ports}
        return BodyEnvironment(values={**public, **(env or {}), **secrets}, secrets=frozenset(secrets))

    return of


def listener(
    name: str = "http", bind: int = 8080, *, port: int | None = None, address: str = "127.0.0.1"
) -> ListenerPlan:
    """A projected listener: automatic without a port."""
    return ListenerPlan(
        name=name,
        protocol="http",
        bind_address="0.0.0.0",
        bind_port=bind,
        projection=ProjectionPlan(
            address=address, port_mode="auto" if port is None else "fixed", port=port, path="/"
        ),
    )


def changed(work: Work, **container: Any) -> Work:
    """The same work after an edit of its container settings."""
    plan = replace(work.container, **container)
    return replace(work, step=f"{work.task}-{next(_steps)}", context=replace(work.context, container=plan))


MakeBench = Callable[..., Bench]
