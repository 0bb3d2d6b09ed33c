"""What `ota doctor` costs beside its slowest probe: 30 independent slow tools, ratios over several rounds.

Every tool sleeps before it names its version; one is a little slower than the others. The target: the whole
command takes at most 1.5 times the slowest probe. It asserts nothing.

    sh tools/python bench/doctor.py [rounds] [tools]
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = 1.5
SLOW_S = 1.5
SLOWEST_S = 2.0


def write(folder: Path, count: int) -> None:
    """Stand-in tools, and a contract that wants all of them."""
    (folder / "bin").mkdir()
    lines = ["version: 1", "project: {name: bench}", "tasks: {t: {run: 'true'}}", "tools:"]
    for number in range(count):
        name = f"slow-{number:02}"
        lines.append(f"  {name}: '>=1'")
        script = folder / "bin" / name
        script.write_text(
            f"#!/bin/sh\nsleep {SLOWEST_S if number == count - 1 else SLOW_S}\necho {name} 1.{number}\n",
            encoding="utf-8",
        )
        script.chmod(0o755)
    (folder / "ota.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def timed(argv: list[str], folder: Path) -> float:
    """Seconds of one whole command that must succeed."""
    env = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    began = time.monotonic()
    subprocess.run(argv, cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 30
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, count)
        slowest, doctor, bare = [], [], []
        for _ in range(rounds):
            slowest.append(timed([str(folder / "bin" / f"slow-{count - 1:02}")], folder))
            doctor.append(timed([str(ROOT / "ota"), "doctor"], folder))
            bare.append(timed([str(ROOT / "ota"), "--version"], folder))
    ratio = statistics.median(doctor) / statistics.median(slowest)
    print(f"{count} tools, {rounds} rounds, medians")
    print(f"  slowest probe alone  {statistics.median(slowest):6.2f} s")
    print(f"  ota doctor           {statistics.median(doctor):6.2f} s")
    print(f"  ota --version        {statistics.median(bare):6.2f} s")
    print(f"  ratio                {ratio:6.2f}   target at most {TARGET}")


if __name__ == "__main__":
    main()
