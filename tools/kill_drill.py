"""Kill runs at random moments, many times, and look whether anything of them is left.

Each round starts a run in a fresh repository, kills it with SIGKILL after a random time, alone or
with its whole session, and then waits for its guardian or lets the next command reconcile. What
counts is the process table, not what anything prints. Some rounds also kill the guardian.

    python tools/kill_drill.py --rounds 300
    python tools/kill_drill.py --rounds 300 --seed 7 --ota "./ota run dev"

With `--ota` the command is run inside a repository whose task `dev` has the same family of
processes, and `<same command>` with `ota run quick` afterwards stands for the next command.
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
from pathlib import Path

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
    },
}


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


def start(arguments: argparse.Namespace, repo: Path, mark: str) -> subprocess.Popen[bytes]:
    if arguments.ota:
        (repo / "ota.yaml").write_bytes(msgspec.yaml.encode(CONTRACT))
        command = [*shlex.split(arguments.ota)]
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
        words = [*shlex.split(arguments.ota)[:-1], "quick"]
        subprocess.run(words, cwd=repo, capture_output=True, timeout=LIMIT_S, check=False)
    else:
        reconcile(repo)


def one_round(arguments: argparse.Namespace, chance: random.Random) -> str:
    """What was left, in words; empty when nothing was."""
    mark = uuid.uuid4().hex
    with tempfile.TemporaryDirectory() as folder:
        repo = Path(folder)
        run = start(arguments, repo, mark)
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
        if guardians:
            next_command(arguments, repo)
        deadline = time.monotonic() + LIMIT_S
        while (left := marked(mark)) and time.monotonic() < deadline:
            time.sleep(0.01)
        next_command(arguments, repo)
        journals = list((repo / ".ota/state/active").glob("*")) if (repo / ".ota").exists() else []
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    if left or journals:
        return f"processes {left}, journals {[path.name for path in journals]}"
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--longest-s", type=float, default=0.4, help="the latest moment of a kill")
    parser.add_argument("--ota", default="", help="the command to kill, ending in the task: './ota run dev'")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    failures = 0
    for number in range(1, arguments.rounds + 1):
        trouble = one_round(arguments, chance)
        if trouble:
            failures += 1
            print(f"round {number}: left behind: {trouble}")
    print(f"seed {arguments.seed}: {arguments.rounds} rounds, {failures} left something behind")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
