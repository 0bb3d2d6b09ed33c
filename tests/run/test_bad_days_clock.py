"""Somebody sets the wall clock during a run: durations, limits and the order of things do not notice."""

import json
import subprocess
import sys

import pytest

from ota.evidence.fold import fold
from ota.execute.events import RunEnded, RunStarted

pytestmark = pytest.mark.edge

CONTRACT = """
version: 1
project: {name: clocks}
tasks:
  dep: {run: "sleep 0.2"}
  task: {run: "sleep 0.2", depends_on: [dep]}
"""
JUMPY = """
import sys
from ota.system import clock
step_s = float(sys.argv.pop(1))
now_s = 1_750_000_000.0
def jump(self):
    global now_s
    now_s += step_s
    return now_s
clock.SystemClock.wall_s = jump
from ota.cli.main import main
sys.exit(main())
"""


def test_the_duration_of_a_run_is_that_of_the_monotonic_clock():
    facts = fold(
        [
            RunStarted(run_id="r", task="t", at="2025-06-15T15:06:40.000Z", monotonic_s=100.0),
            RunEnded(status="success", exit_code=0, at="1999-01-01T00:00:00.000Z", monotonic_s=101.5),
        ]
    )
    assert facts.duration_ms == 1500


@pytest.mark.parametrize("step_s", [-86_400.0, 86_400.0, 3.2e9], ids=["back", "forth", "far"])
def test_a_jumping_clock_changes_no_duration_and_stops_nothing(project, assert_schema, step_s):
    repo = project({"ota.yaml": CONTRACT})
    done = subprocess.run(
        [sys.executable, "-P", "-c", JUMPY, str(step_s), "run", "task", "--json", "--archive", "--log"],
        cwd=repo.path,
        env=repo.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert_schema(document, "run")
    assert 400 <= document["receipt"]["duration_ms"] < 30_000
    assert all(200 <= step["duration_ms"] < 30_000 for step in document["receipt"]["steps"])
    assert "Traceback" not in done.stderr
    assert repo.run("receipt", "--history").code == 0
    assert repo.run("run", "task").code == 0
