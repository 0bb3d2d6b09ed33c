"""Kill runs at random moments, many times, and look whether anything of them is left.

Each round starts a run in a fresh repository, kills it with SIGKILL after a random time, alone or
with its whole session, and then waits for its guardian or lets the next command reconcile. What
counts is the process table, not what anything prints. Some rounds also kill the guardian. Most of a
round is waiting, so several go on side by side; what a round does depends on the seed and its number.

    python tools/kill_drill.py --rounds 300
    python tools/kill_drill.py --rounds 300 --seed 7 --ota "./ota run dev"

With `--ota` the command is run inside a repository whose tasks have the same family of processes,
and the same command with task `quick` afterwards stands for the next command. Where the command
ends in `run`, each round chooses between one task, dependencies and hooks, several jobs, and a
service:

    python tools/kill_drill.py --rounds 300 --ota "./ota run"
"""

import argparse
import os
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import msgspec

from ota.system.process_table import numbered_processes, observe_process
from ota.system.reconcile import reconcile

ROOT = Path(__file__).resolve().parent.parent
MARK = "KILL_DRILL_MARK"
LIMIT_S = 30.0
FAMILY = """
sleep 600 &
(trap '' TERM INT HUP; while :; do sleep 600; done) &
setsid sh -c 'exec sleep 600' &
(sh -c 'sleep 600 & sleep 600 & wait' &)
wait
"""
CONTRACT = {
    "version": 1,
    "project": {"name": "drill"},
    "tasks": {
        "dev": {"description": "a family of processes", "run": FAMILY},
        "quick": {"description": "does nothing", "run": ":"},
        "first": {"description": "leaves a family behind", "run": FAMILY.replace("wait\n", "")},
        "fails": {"description": "fails with a family", "run": FAMILY.replace("wait\n", "exit 3\n")},
        "second": {"description": "a hook", "run": "sleep 0.2"},
        "chain": {
            "description": "dependencies and hooks",
            "run": FAMILY,
            "depends_on": ["first", "quick", "second"],
            "after_always": ["second"],
        },
        "hooked": {"description": "fails, then hooks", "run": "exit 4", "after_failure": ["first", "dev"]},
        "web": {
            "description": "a service that finds a port of its own",
            "run": FAMILY.replace("wait\n", "exec python3 -m http.server 0\n"),
            "runtime": {
                "kind": "service",
                "listeners": {
                    "http": {
                        "protocol": "http",
                        "bind": {"address": "127.0.0.1", "port": {"mode": "discover"}},
                    }
                },
            },
        },
    },
}
CHOICES = (
    ("dev",),
    ("chain",),
    ("chain", "--jobs", "4"),
    ("fails",),
    ("hooked",),
    ("web",),
    ("dev", "--log"),
)


def marked(mark: str) -> list[int]:
    """Living processes of this round, wherever they went."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for pid in numbered_processes():
        try:
            variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        facts = observe_process(pid)
        if wanted in variables and facts is not None and not facts.is_dead:
            found.append(pid)
    return found


def forked_from(pid: int) -> list[int]:
    """The guardians among a run's children."""
    facts = (observe_process(other) for other in numbered_processes())
    return [known.pid for known in facts if known and known.parent == pid and known.name == "ota-guardian"]


def start(
    arguments: argparse.Namespace, repo: Path, mark: str, chance: random.Random
) -> subprocess.Popen[bytes]:
    if arguments.ota:
        (repo / "ota.yaml").write_bytes(msgspec.yaml.encode(CONTRACT))
        command = [*shlex.split(arguments.ota)]
        if command[-1] == "run":
            command += chance.choice(CHOICES)
    else:
        driver = ROOT / "tests/system/run_driver.py"
        command = [sys.executable, str(driver), str(repo), f"drill-{uuid.uuid4().hex}", FAMILY, "guarded"]
    return subprocess.Popen(
        command,
        cwd=repo,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, MARK: mark, "PYTHONPATH": str(ROOT / "src")},
        start_new_session=True,
    )


def next_command(arguments: argparse.Namespace, repo: Path) -> None:
    if arguments.ota:
        words = shlex.split(arguments.ota)
        words = [*(words if words[-1] == "run" else words[:-1]), "quick"]
        subprocess.run(words, cwd=repo, capture_output=True, timeout=LIMIT_S, check=False)
    else:
        reconcile(repo)


class Round(NamedTuple):
    """What one kill came to."""

    orphans: int
    """Living processes right after the kill: a drill that never has any proves nothing."""
    trouble: str
    """What was left at the end, in words; empty when nothing was."""


def await_something_to_leave(mark: str) -> None:
    """Until the run has a process beside its own, so that killing it would leave one."""
    deadline = time.monotonic() + LIMIT_S
    while len(marked(mark)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)


def one_round(arguments: argparse.Namespace, number: int) -> Round:
    chance = random.Random(f"{arguments.seed}:{number}")
    mark = uuid.uuid4().hex
    with tempfile.TemporaryDirectory() as folder:
        repo = Path(folder)
        run = start(arguments, repo, mark, chance)
        if chance.random() < 0.5:  # on a slow machine few moments would come late enough by themselves
            await_something_to_leave(mark)
        time.sleep(chance.uniform(0.0, arguments.longest_s))  # the moment is the experiment
        kills_guardian = chance.random() < 0.3
        guardians = forked_from(run.pid) if kills_guardian else []
        if chance.random() < 0.5:
            run.kill()
        else:
            os.killpg(run.pid, signal.SIGKILL)
        for pid in guardians:
            os.kill(pid, signal.SIGKILL)
        run.wait()
        orphans = len(marked(mark))
        if guardians:
            next_command(arguments, repo)
        deadline = time.monotonic() + LIMIT_S
        while (left := marked(mark)) and time.monotonic() < deadline:
            time.sleep(0.05)
        next_command(arguments, repo)
        journals = list((repo / ".ota/state/active").glob("*")) if (repo / ".ota").exists() else []
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    trouble = f"processes {left}, journals {[path.name for path in journals]}" if left or journals else ""
    return Round(orphans, trouble)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--longest-s", type=float, default=0.4, help="the latest moment of a kill")
    parser.add_argument("--side-by-side", type=int, default=6, help="rounds that go on at the same time")
    parser.add_argument("--ota", default="", help="the command to kill, ending in the task: './ota run dev'")
    arguments = parser.parse_args()
    failures = busy = 0
    began = time.monotonic()
    numbers = range(1, arguments.rounds + 1)
    with ThreadPoolExecutor(arguments.side_by_side) as pool:
        for number, done in zip(
            numbers, pool.map(lambda each: one_round(arguments, each), numbers), strict=True
        ):
            busy += done.orphans > 0
            if done.trouble:
                failures += 1
                print(f"round {number}: left behind: {done.trouble}", flush=True)
    print(
        f"seed {arguments.seed}: {arguments.rounds} rounds, {busy} with orphans, "
        f"{failures} left something behind, {time.monotonic() - began:.0f} s"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
