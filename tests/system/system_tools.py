"""What the tests of this room share: waiting by condition, run ids, requests, a run to be killed."""

import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

from ota.system.process_table import observe_processes
from ota.system.processes import Identity, is_alive, observe_identity, processes_with_marker
from ota.system.spawn import OutputMode, SpawnRequest, StdinMode
from support.waiting import wait_until

DRIVER = Path(__file__).with_name("run_driver.py")


def new_run_id() -> str:
    return f"20250101T000000Z-test-{uuid.uuid4().hex[:6]}"


def eventually(condition: Callable[[], object], *, limit_s: float = 15.0, what: str = "") -> None:
    """Wait until `condition` holds; fail after `limit_s`."""
    wait_until(condition, what, timeout=limit_s)


def shell(
    script: str,
    *,
    cwd: Path,
    run_id: str = "test-run",
    output: OutputMode = "capture",
    stdin: StdinMode = "devnull",
    **env: str,
) -> SpawnRequest:
    return SpawnRequest(
        argv=("/bin/sh", "-c", script),
        cwd=cwd,
        env={**os.environ, **env},
        run_id=run_id,
        output=output,
        stdin=stdin,
    )


def python(code: str, *, cwd: Path, run_id: str = "test-run", output: OutputMode = "capture") -> SpawnRequest:
    argv = (sys.executable, "-S", "-c", code)
    return SpawnRequest(argv=argv, cwd=cwd, env=dict(os.environ), run_id=run_id, output=output)


class Output:
    """Collects what a workload writes."""

    def __init__(self) -> None:
        self.pieces: list[tuple[str, bytes]] = []

    def __call__(self, stream: str, data: bytes) -> None:
        self.pieces.append((stream, data))

    def of(self, stream: str) -> bytes:
        return b"".join(data for name, data in self.pieces if name == stream)

    @property
    def text(self) -> str:
        return self.of("stdout").decode()


def pid_from(path: Path) -> int:
    """The pid a child wrote, once it did."""
    eventually(lambda: path.exists() and path.read_text().strip().isdigit(), what=f"a pid in {path}")
    return int(path.read_text())


def identity_from(path: Path) -> Identity:
    identity = observe_identity(pid_from(path))
    assert identity is not None
    return identity


class Drive:
    """A real ota-like run in a process of its own, that a test may kill."""

    def __init__(self, repo: Path, script: str, *, guardian: bool = True, **env: str) -> None:
        self.repo = repo
        self.run_id = new_run_id()
        self.process = subprocess.Popen(
            [sys.executable, str(DRIVER), str(repo), self.run_id, script, "guarded" if guardian else "alone"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **env, "PYTHONPATH": os.pathsep.join(sys.path)},
            start_new_session=True,
        )
        self.guardian_pid = 0

    def __enter__(self) -> "Drive":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def wait_armed(self) -> int:
        """The guardian's pid, as the run knows it before its first resource."""
        assert self.process.stdout is not None
        word, number = self.process.stdout.readline().split()
        assert word == b"armed"
        self.guardian_pid = int(number)
        return self.guardian_pid

    def wait_started(self) -> int:
        assert self.process.stdout is not None
        word, number = self.process.stdout.readline().split()
        assert word == b"started"
        return int(number)

    def members(self) -> tuple[Identity, ...]:
        return processes_with_marker(self.run_id)

    def nothing_left(self) -> bool:
        return not self.members()

    def guardian_gone(self) -> bool:
        facts = observe_processes().get(self.guardian_pid)
        return facts is None or facts.is_dead or facts.name != "ota-guardian"


def gone(identity: Identity) -> bool:
    return not is_alive(identity)
