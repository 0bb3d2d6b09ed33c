"""Measuring whole processes, in turn and in rounds, and showing what they cost beside each other.

Every command of a group is measured in turn, round after round, and compared with the first one of its own
round, so that a busy moment of the machine hits both; the median of the rounds is shown. Times are those of
whole processes, started as a user starts them.
"""

import contextlib
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
OTA = str(ROOT / "ota")


class Subject(NamedTuple):
    """One command to measure; `target` is the highest ratio we want to see."""

    name: str
    argv: Sequence[str]
    target: float | None = None


class Cost(NamedTuple):
    """What one command cost in each round."""

    seconds: tuple[float, ...]
    peak_bytes: int

    @property
    def median_s(self) -> float:
        return statistics.median(self.seconds)

    def ratio_to(self, base: "Cost") -> float:
        """The median of the rounds' own ratios."""
        return statistics.median(mine / its for mine, its in zip(self.seconds, base.seconds, strict=True))


def cost_of(argv: Sequence[str], quiet: int, environ: Mapping[str, str] = os.environ) -> tuple[float, int]:
    """Seconds and peak bytes of one process, which must succeed; `quiet` is an open descriptor."""
    files = [(os.POSIX_SPAWN_DUP2, quiet, number) for number in (0, 1, 2)]
    started = time.perf_counter()
    pid = os.posix_spawnp(argv[0], list(argv), environ, file_actions=files)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - started
    code = os.waitstatus_to_exitcode(status)
    if code:
        raise RuntimeError(f"`{' '.join(argv)}` ended with {code}")
    return seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measure(
    subjects: Sequence[Subject], folder: Path, rounds: int, environ: Mapping[str, str] = os.environ
) -> dict[str, Cost]:
    """Costs by name; a command that does not work is told and left out."""
    seen: dict[str, list[tuple[float, int]]] = {subject.name: [] for subject in subjects}
    with Path(os.devnull).open("r+b") as nowhere, contextlib.chdir(folder):
        for _ in range(rounds + 1):
            for subject in subjects:
                if subject.name not in seen:
                    continue
                try:
                    seen[subject.name].append(cost_of(subject.argv, nowhere.fileno(), environ))
                except (OSError, RuntimeError) as failed:
                    print(f"left out: {failed}")
                    del seen[subject.name]
    # The first round warms the disk cache and byte code; it does not count.
    return {
        name: Cost(tuple(seconds for seconds, _ in each[1:]), max(peak for _, peak in each[1:]))
        for name, each in seen.items()
    }


def verdict(value: float, target: float | None) -> str:
    """Whether a target was met; nothing where there is none."""
    if target is None:
        return ""
    return f"<= {target:g}  {'ok' if value <= target else 'MISSED'}"


def show(title: str, subjects: Sequence[Subject], costs: Mapping[str, Cost]) -> None:
    """One line per command, its ratio to the first."""
    print(f"\n{title}")
    print(f"  {'command':<30}{'ms':>9}{'ratio':>8}  target")
    base = costs.get(subjects[0].name)
    for subject in subjects:
        cost = costs.get(subject.name)
        if cost is None or base is None:
            print(f"  {subject.name:<30}{'-':>9}{'-':>8}")
            continue
        ratio = cost.ratio_to(base)
        told = verdict(ratio, subject.target)
        print(f"  {subject.name:<30}{cost.median_s * 1000:>9.1f}{ratio:>8.2f}  {told}".rstrip(), flush=True)
