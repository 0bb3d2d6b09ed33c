"""What starting ota costs, as ratios to a bare interpreter, beside other task runners; and how it grows.

The other runners live in `.venv-bench`, from `requirements/bench.lock`; without a network they are left out.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from measuring import OTA, ROOT, Subject, measure, show, verdict

OTHERS = ROOT / ".venv-bench"
LOCK = ROOT / "requirements" / "bench.lock"
TASKS = 200
SIZES = (2_500, 5_000, 10_000)
COMPOSE = "import sys, yaml; yaml.compose(open(sys.argv[1], 'rb'), Loader=yaml.CSafeLoader)"
MEMORY_TARGET_MB = 400
COMPOSE_TARGET = 4.0


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
        Subject("ota validate, first sight", [OTA, "validate", "unknown"], 6),
        Subject("ota tasks --json", [OTA, "tasks", "--json"], 6),
        Subject("ota validate", [OTA, "validate"], 6),
        Subject("ota tasks --json, first sight", [OTA, "tasks", "--json", "unknown"]),
        Subject("ota check", [OTA, "check"], 7),
        Subject("ota doctor", [OTA, "doctor"], 7),
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
        if cost := costs.get("ota validate"):
            peak = cost.peak_bytes / 1e6
            memory = verdict(peak, MEMORY_TARGET_MB) if size == SIZES[-1] else ""
            per_task = cost.median_s * 1e6 / size
            print(f"  {size:>6,} tasks{per_task:>9.1f} us per task{peak:>8.0f} MB  {memory}".rstrip())
