"""What `ota doctor` costs beside its slowest probe: 30 independent slow tools.

Every tool sleeps before it names its version; one is a little slower than the others. The target: the whole
command takes at most 1.5 times the slowest probe.
"""

import os
import tempfile
from pathlib import Path

from measuring import OTA, Subject, measure, show

TOOLS = 30
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


def bench(rounds: int) -> None:
    """The slowest probe alone, then all of them in one command."""
    with tempfile.TemporaryDirectory(prefix="ota-bench-") as name:
        folder = Path(name)
        write(folder, TOOLS)
        subjects = [
            Subject("the slowest probe alone", [str(folder / "bin" / f"slow-{TOOLS - 1:02}")]),
            Subject("ota doctor", [OTA, "doctor"], TARGET),
        ]
        environ = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
        show(f"{TOOLS} slow probes, median of {rounds}", subjects, measure(subjects, folder, rounds, environ))
