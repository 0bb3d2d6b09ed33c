"""A throw-away repository, and the real `ota` command run in it as a user would run it.

The command is always a subprocess: what a test sees is what a user sees, exit code and bytes included.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support.warm import WarmCommand, warm

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"


def _interpreter() -> str:
    """The one of `./ota`: beside development tools every start costs a third more.

    Where the front door was not used yet, the one that runs the tests.
    """
    lock = (ROOT / "requirements" / "runtime.lock").read_text().split(maxsplit=3)[2]
    own = ROOT / ".venv-ota" / lock / "bin" / "python"
    return str(own) if own.exists() else sys.executable


# As `./ota` starts it, but for `-I`: variables for Python count, as they do where ota is installed.
OTA = (_interpreter(), "-P", "-S", str(ROOT / "tools" / "launch.py"))

# Variables of the caller that would change what the command under test does or prints.
_FOREIGN = ("COLUMNS", "COMPLETE", "NO_COLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "CI", "TERM")


class Result:
    """How a finished command ended."""

    def __init__(self, argv: list[str], code: int, out: bytes, err: bytes) -> None:
        self.argv = argv
        self.code = code
        """Exit code; `128+n` is what ota answers for a signal, `-n` means that a signal killed ota itself."""
        self.out_bytes = out
        self.err_bytes = err
        self.out = out.decode("utf-8", "replace")
        self.err = err.decode("utf-8", "replace")

    @property
    def json(self) -> Any:
        """The one document on standard output."""
        try:
            return json.loads(self.out)
        except ValueError:
            raise AssertionError(f"standard output is no JSON document\n{self}") from None

    def __repr__(self) -> str:
        return f"{' '.join(self.argv)} -> {self.code}\n--- out ---\n{self.out}\n--- err ---\n{self.err}"


class Live:
    """A command that is still running, with both streams being read."""

    def __init__(
        self,
        argv: list[str],
        cwd: Path,
        env: Mapping[str, str],
        give: bytes | None,
        started: WarmCommand | None = None,
    ) -> None:
        """Start it, unless it is `started` already."""
        self.argv = argv
        self._process: Any = started or subprocess.Popen(
            argv,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL if give is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._grew = threading.Condition()
        self._out = bytearray()
        self._err = bytearray()
        self._open = 2
        self._readers = [
            threading.Thread(target=self._read, args=(self._process.stdout, self._out), daemon=True),
            threading.Thread(target=self._read, args=(self._process.stderr, self._err), daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        if give is not None:
            assert self._process.stdin is not None
            try:
                self._process.stdin.write(give)
                self._process.stdin.close()
            except BrokenPipeError:
                pass

    def _read(self, stream: Any, into: bytearray) -> None:
        descriptor = stream.fileno()
        while chunk := os.read(descriptor, 65536):
            with self._grew:
                into += chunk
                self._grew.notify_all()
        with self._grew:
            self._open -= 1
            self._grew.notify_all()

    @property
    def out(self) -> str:
        """Standard output so far."""
        with self._grew:
            return self._out.decode("utf-8", "replace")

    @property
    def err(self) -> str:
        """Standard error so far."""
        with self._grew:
            return self._err.decode("utf-8", "replace")

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def wait_for(self, text: str, timeout: float = 30.0) -> None:
        """Return as soon as `text` was printed on either stream; fail when it cannot come any more."""
        needle = text.encode()
        deadline = time.monotonic() + timeout
        with self._grew:
            while needle not in self._out and needle not in self._err:
                left = deadline - time.monotonic()
                if self._open == 0 or left <= 0:
                    how = "the command ended" if self._open == 0 else f"{timeout:g} s passed"
                    raise AssertionError(f"{how} without printing {text!r}\n{self._so_far()}")
                self._grew.wait(left)

    def _so_far(self) -> str:
        out = self._out.decode("utf-8", "replace")
        err = self._err.decode("utf-8", "replace")
        return f"{' '.join(self.argv)}\n--- out ---\n{out}\n--- err ---\n{err}"

    def signal(self, number: int) -> None:
        """Send a signal to the command alone, as `kill` does."""
        self._process.send_signal(number)

    def signal_group(self, number: int) -> None:
        """Send a signal to the command's process group, as a terminal does for Ctrl-C."""
        os.killpg(self.pid, number)

    def finish(self, timeout: float = 60.0) -> Result:
        """Wait until the command ended and its streams are closed."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running after {timeout:g} s\n{self._so_far()}") from None
        for reader in self._readers:
            # A child that outlives the command may hold the pipe open; the leak check will name it.
            reader.join(timeout=5.0)
        if self._open == 0:
            self._close()
        with self._grew:
            return Result(self.argv, code, bytes(self._out), bytes(self._err))

    def kill(self) -> None:
        """End the command and its process group at once."""
        if self._process.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait(10)

    def discard(self) -> None:
        """Kill what still runs and close the pipes; called for every live command when the test ends."""
        self.kill()
        for reader in self._readers:
            reader.join(timeout=5.0)
        self._close()

    def _close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None and not stream.closed:
                stream.close()


class Project:
    """A repository in a temporary folder."""

    def __init__(self, path: Path, home: Path) -> None:
        self.path = path
        self.home = home
        self._live: list[Live] = []

    def write(self, files: Mapping[str, str | bytes]) -> None:
        """Write files below the repository; those ending in `.sh` become executable."""
        for name, content in files.items():
            target = self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())
            if target.suffix == ".sh":
                target.chmod(0o755)

    def read(self, name: str) -> str:
        return (self.path / name).read_text(encoding="utf-8")

    def environment(self, changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
        """The caller's environment without what would change ota; a value of `None` removes the name."""
        env = {
            name: value
            for name, value in os.environ.items()
            if name not in _FOREIGN and not name.startswith("OTA_")
        }
        env["HOME"] = str(self.home)
        env["PYTHONPATH"] = str(SOURCE)
        for name, value in (changes or {}).items():
            if value is None:
                env.pop(name, None)
            else:
                env[name] = value
        return env

    def run(
        self,
        *args: str,
        env: Mapping[str, str | None] | None = None,
        cwd: str | Path | None = None,
        input: str | bytes | None = None,
        timeout: float = 60.0,
    ) -> Result:
        """Run `ota <args>` to its end. Relative `cwd` is below the repository."""
        give = input.encode() if isinstance(input, str) else input
        folder, environment = self.path / (cwd or "."), self.environment(env)
        is_warm = sys.platform.startswith("linux")
        started = (
            warm(OTA, self.environment()).start(args, folder, environment, has_input=give is not None)
            if is_warm
            else None
        )
        live = Live([*OTA, *args], folder, environment, give, started)
        self._live.append(live)
        return live.finish(timeout)

    def start(
        self,
        *args: str,
        env: Mapping[str, str | None] | None = None,
        cwd: str | Path | None = None,
        input: str | bytes | None = None,
    ) -> Live:
        """Start `ota <args>` and return at once."""
        give = input.encode() if isinstance(input, str) else input
        live = Live([*OTA, *args], self.path / (cwd or "."), self.environment(env), give)
        self._live.append(live)
        return live

    def git(self, *args: str) -> str:
        """Run git in the repository, with a fixed identity."""
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main")
        done = subprocess.run(
            ["git", *identity, *args],
            cwd=self.path,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def discard(self) -> None:
        for live in self._live:
            live.discard()
        # A test may leave read-only folders, and they would break the removal of the temporary folder.
        for folder, _, _ in os.walk(self.path):
            os.chmod(folder, 0o755)
        shutil.rmtree(self.path, ignore_errors=True)
