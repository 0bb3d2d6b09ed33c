"""Measures what ota costs, as ratios to a bare interpreter, beside other task runners; it asserts nothing.

Every command of a group is measured in turn, round after round, so that a busy moment of the machine hits all
of them; the median of the rounds is shown. Times are those of whole processes, started as a user starts them.
The other runners live in `.venv-bench`, from `requirements/bench.lock`; without a network they are left out.

    sh tools/python bench/run.py [--rounds N] [--quick]
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
OTA = str(ROOT / "ota")
OTHERS = ROOT / ".venv-bench"
LOCK = ROOT / "requirements" / "bench.lock"
TASKS = 200
SIZES = (2_500, 5_000, 10_000)
COMPOSE = "import sys, yaml; yaml.compose(open(sys.argv[1], 'rb'), Loader=yaml.CSafeLoader)"
MEMORY_TARGET_MB = 400
COMPOSE_TARGET = 4.0


class Subject(NamedTuple):
    """One command to measure; `target` is the highest ratio we want to see."""

    name: str
    argv: Sequence[str]
    target: float | None = None


class Cost(NamedTuple):
    seconds: float
    peak_bytes: int


# Inputs, the same repository in every runner's language


def write_ota(folder: Path, count: int) -> None:
    """A contract like real ones: descriptions, dependencies, environment, effects."""
    lines = ["version: 1", "project: {name: bench}", "tasks:", "  noop:", "    run: ':'", "  noop-command:"]
    lines.append("    command: {exe: 'true'}")
    for number in range(count - 2):
        lines.append(f"  task-{number:05}:")
        lines.append(f"    description: Does the work number {number}")
        if number % 5:
            lines.append(f"    depends_on: [task-{number - 1:05}]")
        if number % 3 == 0:
            lines.append("    env:")
            lines.append(f"      NUMBER: '{number}'")
            lines.append("      LEVEL: info")
        lines.append(f"    run: echo {number}")
        if number % 4 == 0:
            lines.append("    effects:")
            lines.append(f"      writes: [out/{number}]")
    (folder / "ota.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_others(folder: Path, count: int) -> None:
    numbers = range(count - 1)
    tasks = "".join(f"  task-{n:05}:\n    desc: Work {n}\n    cmds: ['echo {n}']\n" for n in numbers)
    taskfile = f"version: '3'\nsilent: true\ntasks:\n  noop:\n    cmds: [':']\n{tasks}"
    (folder / "Taskfile.yml").write_text(taskfile, encoding="utf-8")
    recipes = "".join(f"# Work {n}\ntask-{n:05}:\n    echo {n}\n" for n in numbers)
    (folder / "justfile").write_text(f"noop:\n    @:\n{recipes}", encoding="utf-8")
    poe = "".join(f'task-{n:05} = {{ cmd = "echo {n}", help = "Work {n}" }}\n' for n in numbers)
    (folder / "pyproject.toml").write_text(f'[tool.poe.tasks]\nnoop = "true"\n{poe}', encoding="utf-8")
    functions = "".join(f"@task\ndef task_{n:05}(c):\n    c.run('echo {n}')\n" for n in numbers)
    noop = "from invoke import task\n@task\ndef noop(c):\n    c.run(':')\n"
    (folder / "tasks.py").write_text(noop + functions, encoding="utf-8")


# Measuring


def cost_of(argv: Sequence[str], quiet: int) -> Cost:
    """Wall time and peak memory of one process, which must succeed; `quiet` is an open descriptor."""
    files = [(os.POSIX_SPAWN_DUP2, quiet, number) for number in (0, 1, 2)]
    started = time.perf_counter()
    pid = os.posix_spawn(argv[0], list(argv), os.environ, file_actions=files)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - started
    code = os.waitstatus_to_exitcode(status)
    if code:
        raise RuntimeError(f"`{' '.join(argv)}` ended with {code}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(seconds, usage.ru_maxrss * unit)


def measure(subjects: Sequence[Subject], folder: Path, rounds: int) -> dict[str, Cost | None]:
    """Median cost by name; None for a command that does not work."""
    costs: dict[str, list[Cost]] = {subject.name: [] for subject in subjects}
    broken: set[str] = set()
    with Path(os.devnull).open("r+b") as nowhere, contextlib.chdir(folder):
        for _ in range(rounds + 1):
            for subject in subjects:
                if subject.name in broken:
                    continue
                try:
                    costs[subject.name].append(cost_of(subject.argv, nowhere.fileno()))
                except (OSError, RuntimeError) as failed:
                    print(f"left out: {failed}")
                    broken.add(subject.name)
    # The first round warms the disk cache and byte code; it does not count.
    return {name: None if name in broken else median(each[1:]) for name, each in costs.items()}


def median(costs: Sequence[Cost]) -> Cost:
    return Cost(statistics.median(cost.seconds for cost in costs), max(cost.peak_bytes for cost in costs))


# Showing


def verdict(value: float, target: float | None) -> str:
    if target is None:
        return ""
    return f"<= {target:g}  {'ok' if value <= target else 'MISSED'}"


def show(title: str, subjects: Sequence[Subject], costs: dict[str, Cost | None]) -> None:
    """One line per command, its ratio to the first."""
    print(f"\n{title}")
    print(f"  {'command':<26}{'ms':>9}{'ratio':>8}  target")
    base = costs[subjects[0].name]
    for subject in subjects:
        cost = costs[subject.name]
        if cost is None or base is None:
            print(f"  {subject.name:<26}{'-':>9}{'-':>8}")
            continue
        ratio = cost.seconds / base.seconds
        told = verdict(ratio, subject.target)
        print(f"  {subject.name:<26}{cost.seconds * 1000:>9.1f}{ratio:>8.2f}  {told}".rstrip())


def other_runners() -> list[Subject]:
    """The other runners' commands; made on first use, left out when that does not work."""
    bin_ = OTHERS / "bin"
    wanted = LOCK.read_text(encoding="utf-8").partition("\n")[0]
    stamp = OTHERS / "ota-lock"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        print("making .venv-bench with the other runners", flush=True)
        venv.create(OTHERS, with_pip=True, symlinks=True, clear=True)
        pip = [str(bin_ / "python"), "-I", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        if subprocess.run([*pip, "--require-hashes", "--no-deps", "-r", str(LOCK)]).returncode:
            print("the other runners could not be installed; they are left out")
            return []
        stamp.write_text(wanted, encoding="utf-8")
    commands = {"just": ["just", "noop"], "go-task": ["task", "noop"], "poe": ["poe", "-q", "noop"]}
    commands["invoke"] = ["invoke", "noop"]
    return [Subject(name, [str(bin_ / argv[0]), *argv[1:]]) for name, argv in commands.items()]


def bench_start_up(rounds: int) -> None:
    subjects = [
        Subject("python -c pass", [sys.executable, "-c", "pass"]),
        Subject("ota --version", [OTA, "--version"], 3),
        Subject("ota validate, unknown", [OTA, "validate", "unknown"]),
        Subject("ota tasks --json", [OTA, "tasks", "--json"], 6),
        Subject("ota validate", [OTA, "validate"], 6),
        Subject("ota run noop", [OTA, "run", "noop"], 7),
        Subject("ota run noop-command", [OTA, "run", "noop-command"], 7),
        *other_runners(),
    ]
    with tempfile.TemporaryDirectory(prefix="ota-bench-") as name:
        folder = Path(name)
        write_ota(folder, TASKS)
        write_others(folder, TASKS)
        # a contract that no run has proven yet; the other commands find what the first `ota run` kept
        (folder / "unknown").mkdir()
        write_ota(folder / "unknown", TASKS)
        show(f"{TASKS} tasks, median of {rounds}", subjects, measure(subjects, folder, rounds))


def bench_large(rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="ota-bench-") as name:
        by_size = {}
        for size in SIZES:
            folder = Path(name) / str(size)
            folder.mkdir()
            write_ota(folder, size)
            subjects = [
                Subject("yaml.compose (C)", [sys.executable, "-c", COMPOSE, "ota.yaml"]),
                Subject("ota validate", [OTA, "validate"], COMPOSE_TARGET),
            ]
            by_size[size] = measure(subjects, folder, rounds)
            show(f"{size:,} tasks, median of {rounds}", subjects, by_size[size])
    print("\nGrowth of `ota validate`")
    for size, costs in by_size.items():
        if cost := costs["ota validate"]:
            peak = cost.peak_bytes / 1e6
            memory = verdict(peak, MEMORY_TARGET_MB) if size == SIZES[-1] else ""
            per_task = cost.seconds * 1e6 / size
            print(f"  {size:>6,} tasks{per_task:>9.1f} us per task{peak:>8.0f} MB  {memory}".rstrip())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="rounds of the small contract")
    parser.add_argument("--quick", action="store_true", help="three rounds each")
    options = parser.parse_args()
    rounds = 3 if options.quick else options.rounds
    groups: list[tuple[Callable[[int], None], int]] = [
        (bench_start_up, rounds),
        (bench_large, min(rounds, 5)),
    ]
    for bench, times in groups:
        bench(times)
    return 0


if __name__ == "__main__":
    sys.exit(main())
