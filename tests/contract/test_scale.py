"""Ten thousand tasks are read with work that grows as they do, and in bounded memory.

Work is counted in calls, which are the same on every machine and every day. How long it takes beside YAML
alone is measured by `bench/run.py large`.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from contract.reading import HEAD
from ota.contract.load import load_bytes
from ota.errors import ContractError
from ota.source.tree import compose


def many_tasks(count: int) -> bytes:
    """A contract of tasks as people write them: every fifth a service, chains of dependencies."""
    lines = [HEAD + "execution: {default_context: host, contexts: {host: {backend: native}}}", "tasks:"]
    for number in range(count):
        lines += [f"  task{number}:", f"    description: Task number {number}"]
        if number % 5 == 0:
            lines += [
                f"    launch: {{kind: command, exe: ./serve, args: [--number, '{number}']}}",
                "    runtime:",
                "      kind: service",
                f"      listeners: {{http: {{http: {1024 + number % 60000}}}}}",
            ]
        else:
            lines.append(f"    run: echo {number}")
        if number % 7:
            lines.append(f"    depends_on: [task{number - 1}]")
        lines += ["    env:", f"      NUMBER: '{number}'", "      MODE: fast"]
    return ("\n".join(lines) + "\n").encode()


def calls(work: Callable[[], object]) -> int:
    """How often work calls anything, of Python or of C."""
    count = 0

    def see(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(see)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def load(data: bytes) -> None:
    load_bytes(data, Path("/repo/ota.yaml"), "ota.yaml")


@pytest.mark.slow
def test_work_grows_with_size_and_not_faster() -> None:
    small, large = many_tasks(500), many_tasks(2000)
    assert calls(lambda: load(large)) < 4.2 * calls(lambda: load(small))


@pytest.mark.slow
def test_many_findings_are_placed_with_work_that_grows_as_they_do() -> None:
    def broken(count: int) -> bytes:
        return (
            HEAD + "tasks:\n" + "".join(f"  t{number}: {{run: ''}}\n" for number in range(count))
        ).encode()

    def refuse(data: bytes) -> None:
        with pytest.raises(ContractError):
            load(data)

    small, large = broken(500), broken(4000)
    assert calls(lambda: refuse(large)) < 8.4 * calls(lambda: refuse(small))


@pytest.mark.slow
@pytest.mark.edge
def test_ten_thousand_tasks_stay_below_400_mb(tmp_path: Path) -> None:
    (tmp_path / "ota.yaml").write_bytes(many_tasks(10_000))
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from ota.contract.load import load\n"
        "loaded = load(Path(sys.argv[1]), 'ota.yaml')\n"
        "assert len(loaded.contract.tasks) == 10_000\n"
        # not `ru_maxrss`: that begins with the peak of the process that started this one
        "print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])\n"
    )
    argv = [sys.executable, "-c", script, str(tmp_path / "ota.yaml")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) < 400 * 1024


def test_aliases_are_read_once_each() -> None:
    def aliases(count: int) -> bytes:
        return ("base: &base {A: x}\n" + "".join(f"k{number}: *base\n" for number in range(count))).encode()

    small, large = aliases(1000), aliases(8000)
    assert calls(lambda: compose("ota.yaml", large)) < 8.4 * calls(lambda: compose("ota.yaml", small))
