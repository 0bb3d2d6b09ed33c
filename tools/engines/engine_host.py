"""The host under the engines: commands, our folder, processes, mounts, and what engines do to the network.

Engines leave bridges, packet filter rules and a forwarding switch behind when they end. What was there
before is noted before the first start, and `restore` takes away the rest, rule by rule: rules that others
added since then stay.
"""

import fcntl
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
RUN_DOCKER = Path("/run/docker")
# Chains, bridges and comments of Docker and of Podman's netavark, wherever a rule names them.
ENGINE_RULE = re.compile(
    r"\bDOCKER\b|\bDOCKER-|NETAVARK|netavark|\bdocker0\b|\bbr-[0-9a-f]{12}\b|\bpodman\d+\b"
)
# As the kernel names them: at most 15 characters.
HELPERS = ("containerd", "containerd-shim", "conmon", "runc", "dockerd")
ENGINE_BRIDGE = re.compile(r"docker0|br-[0-9a-f]{12}|podman\d+")


class EngineError(Exception):
    """What is wrong, the fact that makes it wrong, and what to do now."""

    def __init__(self, summary: str, why: str, advice: str) -> None:
        super().__init__(f"{summary}\n  Why:  {why}\n  Next: {advice}")


class Home:
    """The folder that holds everything of ours: data of both engines, their configuration, `state.json`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.docker = path / "docker"
        self.podman = path / "podman"
        self.users = path / "users.lock"
        self._state = path / "state.json"

    def create(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        facts = self.path.lstat()
        if facts.st_uid != os.geteuid() or stat.S_ISLNK(facts.st_mode):
            raise EngineError(
                f"{self.path} is not ours", "another user owns it", "let OTA_ENGINES_HOME name another"
            )
        # Test runs of other users may see that the engines are not theirs to use, and say so.
        self.path.chmod(0o755)
        for folder in (self.docker, self.podman):
            folder.mkdir(mode=0o700, exist_ok=True)
        self.users.touch()

    def state(self) -> dict[str, Any]:
        """What the last `up` noted; empty when there is none or the machine was started anew since."""
        try:
            state = json.loads(self._state.read_text())
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) and state.get("boot") == boot() else {}

    def keep(self, state: Mapping[str, Any]) -> None:
        partial = self._state.with_suffix(".new")
        partial.write_text(json.dumps({**state, "boot": boot()}, indent=1) + "\n")
        partial.replace(self._state)

    def is_in_use(self) -> bool:
        """Whether a test run holds the users' lock, which every session that asks for an engine shares."""
        try:
            with self.users.open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False


def boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def base_environment() -> dict[str, str]:
    """The caller's environment with the system folders on PATH, which a task runner may have left out."""
    return {**os.environ, "PATH": f"{os.environ.get('PATH', '/usr/bin:/bin')}:{SBIN}"}


def find(program: str) -> str | None:
    return shutil.which(program, path=base_environment()["PATH"])


def ask(
    *argv: str, environment: Mapping[str, str] | None = None, limit_s: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; one that is missing or late answers like one that failed."""
    env = {**base_environment(), **(environment or {})}
    try:
        return subprocess.run(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=limit_s,
        )
    except FileNotFoundError:
        return subprocess.CompletedProcess(argv, 127, "", f"{argv[0]} is not installed")
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, 124, "", f"no answer within {limit_s:g} s")


def must(
    *argv: str, environment: Mapping[str, str] | None = None, limit_s: float = 60.0, advice: str = ""
) -> str:
    """Run a command that has to succeed; its standard output."""
    done = ask(*argv, environment=environment, limit_s=limit_s)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-8:]
        raise EngineError(
            f"`{' '.join(argv[:4])} ...` failed with {done.returncode}",
            "\n        ".join(said) or "it said nothing",
            advice or "run `engines down`, then `engines up` again",
        )
    return done.stdout.strip()


def wait_until(holds: Callable[[], bool], limit_s: float, *, every_s: float = 0.1) -> bool:
    deadline = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)
    return True


def started_at(pid: int) -> int | None:
    """Start time of a living process in clock ticks; a pid alone may have passed to a stranger."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def end(pid: int, started: int, limit_s: float) -> None:
    """Ask the process to end, wait, then make it."""
    for number, patience_s in ((signal.SIGTERM, limit_s), (signal.SIGKILL, 5.0)):
        if started_at(pid) != started:
            return
        os.kill(pid, number)
        if wait_until(lambda: started_at(pid) != started, patience_s):
            return


def helpers_of(folder: Path) -> list[tuple[int, int]]:
    """Living helpers of an engine with an argument that is `folder` or below it: their sockets are there."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if (entry / "comm").read_text().strip() not in HELPERS:
                continue
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        ours = os.fsencode(folder)
        if any(argument == ours or argument.startswith(ours + b"/") for argument in arguments[1:]):
            started = started_at(int(entry.name))
            if started is not None:
                found.append((int(entry.name), started))
    return found


def unmount_below(folder: Path) -> None:
    """Layers and namespaces that an engine did not get to unmount, innermost first."""
    points = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split()[4].encode().decode("unicode_escape")
        if Path(point).is_relative_to(folder):
            points.append(point)
    for point in sorted(points, key=len, reverse=True):
        ask("umount", "--lazy", point)


def observe() -> dict[str, Any]:
    """What engines will change, as it is now."""
    saved = {name: ask(f"{name}-save").stdout for name in ("iptables", "ip6tables")}
    return {
        "bridges": bridges(),
        "filters": [name for name, rules in saved.items() if ENGINE_RULE.search(rules)],
        "forwards": "FORWARD DROP" not in saved["iptables"],
        "forwarding": FORWARDING.read_text().strip(),
        "run_docker": RUN_DOCKER.exists(),
    }


def bridges() -> list[str]:
    return [each.name for each in Path("/sys/class/net").iterdir() if ENGINE_BRIDGE.fullmatch(each.name)]


def restore(before: Mapping[str, Any]) -> None:
    """Take away bridges, rules and switches that were not there before; nothing when an engine was."""
    if before["filters"] or before["bridges"]:
        return
    for bridge in bridges():
        ask("ip", "link", "delete", bridge)
    for name in ("iptables", "ip6tables"):
        rules = ask(f"{name}-save").stdout
        if ENGINE_RULE.search(rules):
            kept = [line for line in rules.splitlines() if not ENGINE_RULE.search(line)]
            if before["forwards"]:
                # Docker closes forwarding for everybody and leaves it so.
                kept = [re.sub(r"^:FORWARD DROP", ":FORWARD ACCEPT", line) for line in kept]
            feed = "\n".join(kept) + "\n"
            subprocess.run([f"{name}-restore"], input=feed, text=True, check=False, env=base_environment())
    FORWARDING.write_text(before["forwarding"])
    if not before["run_docker"]:
        for folder in (RUN_DOCKER / "plugins", RUN_DOCKER):
            try:
                folder.rmdir()
            except OSError:
                break  # absent, or somebody's engine put something there since
