"""The whole promise on real input: the example application, from a fresh copy to nothing left running.

Validates the contract, runs setup, starts the service and waits until ota itself confirmed its URL, fetches
it, runs its tests against it, stops it with Ctrl-C's signal, shows summary and receipt, and checks that no
process and no listening port remain. Any step that fails makes the exit code 1. Standard library only, no
network.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "notes"
OTA = str(ROOT / "ota")
MARK = "DEMO_PROCESS_MARK"
CONFIRMED = re.compile(r"External:\s*`?(http://[^\s`]+)")
START_LIMIT_S = 60.0
STOP_LIMIT_S = 30.0
GONE_LIMIT_S = 10.0
INTERRUPTED = 130


class StepFailed(Exception):  # noqa: N818 - reads as what happened
    """One step did not do what it promised."""


def say(text: str = "") -> None:
    print(text, flush=True)


def headline(text: str) -> None:
    say()
    say(f"=== {text}")


class Demo:
    """One run of the demonstration in a copy of the example."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.mark = uuid.uuid4().hex
        keep = {name: value for name, value in os.environ.items() if not name.startswith("OTA_")}
        if "OTA_PYTHON" in os.environ:
            keep["OTA_PYTHON"] = os.environ["OTA_PYTHON"]
        # The example asks for `python3`; the interpreter that runs this is one, whatever else PATH holds.
        keep["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{keep.get('PATH', os.defpath)}"
        self.env = {**keep, MARK: self.mark}

    def ota(self, *args: str) -> None:
        """Run one command to its end and show it."""
        say(f"$ ota {' '.join(args)}")
        done = subprocess.run([OTA, *args], cwd=self.place, env=self.env, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise StepFailed(f"`ota {' '.join(args)}` ended with exit code {done.returncode}")

    def marked_processes(self) -> list[str]:
        """Living processes this demonstration started, directly or not (read from /proc; none elsewhere)."""
        needle = f"{MARK}={self.mark}".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if needle in (entry / "environ").read_bytes().split(b"\0"):
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                    found.append(f"{entry.name}: {command.strip()}")
            except OSError:
                continue
        return found


class Service:
    """`ota run serve` as a child whose output is shown as it comes."""

    def __init__(self, demo: Demo, *args: str) -> None:
        say(f"$ ota {' '.join(args)} &")
        self._process = subprocess.Popen(
            [OTA, *args],
            cwd=demo.place,
            env=demo.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._changed = threading.Condition()
        self._url = ""
        self._lines: list[str] = []
        self._has_ended = False
        self._reader = threading.Thread(target=self._show, daemon=True)
        self._reader.start()

    def _show(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            say(f"  | {line.rstrip()}")
            with self._changed:
                self._lines.append(line)
                if found := CONFIRMED.search(line):
                    self._url = self._url or found[1]
                self._changed.notify_all()
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def confirmed_url(self) -> str:
        """The URL, once ota itself reached it."""
        with self._changed:
            self._changed.wait_for(lambda: self._url or self._has_ended, START_LIMIT_S)
            if not self._url:
                how = "ended" if self._has_ended else f"did not come up within {START_LIMIT_S:.0f} s"
                raise StepFailed(f"the service {how} without a confirmed `External:` line")
            return self._url

    def has_printed(self, pattern: str) -> bool:
        """Whether a whole line matches; for what comes after the end, ask after `stop`."""
        with self._changed:
            return any(re.fullmatch(pattern, line.strip()) for line in self._lines)

    def stop(self) -> int:
        """Interrupt it as Ctrl-C does and wait; the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            code = self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise StepFailed(f"the service did not stop within {STOP_LIMIT_S:.0f} s") from None
        self._reader.join(GONE_LIMIT_S)
        return code


def is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


def use_free_port(contract: Path) -> None:
    """Give the copy another port when the declared one is taken; the example must not depend on luck."""
    text = contract.read_text(encoding="utf-8")
    declared = re.search(r"^    port: (\d+)$", text, re.MULTILINE)
    assert declared, "the example declares one port"
    if is_listening(int(declared[1])):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            free = probe.getsockname()[1]
        say(f"port {declared[1]} is taken on this machine; the copy uses {free}")
        contract.write_text(text.replace(declared[0], f"    port: {free}"), encoding="utf-8")


def fetch(url: str) -> object:
    say(f"$ curl {url}")
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            document = json.load(answer)
    except (urllib.error.URLError, OSError, ValueError) as failed:
        raise StepFailed(f"{url} did not answer: {failed}") from failed
    say(f"  {json.dumps(document)}")
    return document


def demonstrate(demo: Demo) -> None:
    headline("1. The contract is valid")
    demo.ota("validate")

    headline("2. Setup makes the database")
    demo.ota("run", "setup")
    if not (demo.place / "data" / "notes.sqlite3").is_file():
        raise StepFailed("setup left no database file")

    headline("3. The service starts, and ota confirms its URL")
    service = Service(demo, "run", "serve", "--stream", "--log", "--receipt")
    try:
        url = service.confirmed_url().rstrip("/")

        headline(f"4. {url} answers")
        if fetch(f"{url}/health") != {"status": "ready"}:
            raise StepFailed("the service is not ready although it was confirmed")
        if len(fetch(f"{url}/notes")) != 2:  # type: ignore[arg-type]
            raise StepFailed("the notes of the setup task are missing")

        headline("5. Its tests pass, alone and against the running service")
        demo.ota("run", "test")
        demo.ota("run", "test:e2e")
    finally:
        headline("6. Ctrl-C stops it; summary and receipt say what was observed")
        code = service.stop()
    if code != INTERRUPTED:
        raise StepFailed(f"an interrupted run ends with {INTERRUPTED}, this one ended with {code}")
    for promised in (r"Status:\s+interrupted", r"External:\s+http://.*", "Left behind: nothing"):
        if not service.has_printed(promised):
            raise StepFailed(f"summary and receipt lack a line `{promised}`")

    headline("7. Nothing is left running")
    port = int(url.rsplit(":", 1)[1])
    deadline = time.monotonic() + GONE_LIMIT_S
    while (left := demo.marked_processes()) and time.monotonic() < deadline:
        time.sleep(0.1)
    if left:
        raise StepFailed("processes are left: " + "; ".join(left))
    if is_listening(port):
        raise StepFailed(f"something still listens on port {port}")
    say(f"no process of this run is alive, and port {port} is free again")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="ota-demo-") as folder:
        place = Path(folder) / "notes"
        shutil.copytree(EXAMPLE, place, ignore=shutil.ignore_patterns("data", ".ota", "__pycache__"))
        say(f"The example application, copied to {place}")
        use_free_port(place / "ota.yaml")
        try:
            demonstrate(Demo(place))
        except StepFailed as failed:
            say()
            say(f"DEMO FAILED: {failed}")
            return 1
        except KeyboardInterrupt:
            say()
            say("DEMO INTERRUPTED")
            return INTERRUPTED
    say()
    say("DEMO PASSED")
    return 0


if __name__ == "__main__":
    sys.exit(main())
