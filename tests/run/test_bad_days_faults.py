"""A signal at every step of the journal: an honest end, and one ordinary command finds nothing left."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ota.system.journal import FAULT_POINTS
from support.leaks import MARK, marked_processes, wait_ended
from support.project import OTA

pytestmark = pytest.mark.edge

FAMILY = "echo begun; exec >/dev/null 2>&1; sleep 300 & setsid sleep 300 &"
# what holds no pipe of ota's is not waited for: these runs are quick
CONTRACT = f"""
version: 1
project: {{name: faults}}
tasks:
  dep: {{run: "{FAMILY}"}}
  task: {{run: "{FAMILY}", depends_on: [dep]}}
  fails: {{run: "exec >/dev/null 2>&1; setsid sleep 300 & sleep 300 & exit 3"}}
  quick: {{run: "echo did-run"}}
"""
POINTS = (*FAULT_POINTS, "body.after")
MAYBE_DONE = frozenset(("ended.before", "ended.after", "cleaned.before", "cleaned.after"))
DONE = frozenset(("body.after", "closed.before", "closed.after"))


@pytest.fixture
def repo(project):
    return project({"ota.yaml": CONTRACT})


@pytest.fixture
def bait(tmp_path):
    """Processes that look like those of a run and are not: no marker, or the marker of another run."""
    started = [
        subprocess.Popen(["sleep", "300"], cwd=tmp_path, start_new_session=True, env=environment)
        for environment in (
            dict(os.environ),
            {**os.environ, "OTA_RUN_MARKER": "20250101T000000Z-task-abcdef"},
            {**os.environ, "OTA_RUN_MARKER": "20250101T000000Z-task-abcdef:20250101T000000Z-dep-abcdef"},
        )
    ]
    yield started
    survived = [each.poll() is None for each in started]
    for each in started:
        each.kill()
        each.wait()
    assert survived == [True] * len(started), "a process of somebody else was ended"


def alive_of_this_test(bait=()):
    """Everything this test started that still lives, apart from the test's own bait."""
    spared = {each.pid for each in bait}
    return [each for each in marked_processes(os.environ[MARK]) if each.pid not in spared]


def wait_until_gone(bait=(), limit_s=15.0):
    assert [each.cmdline() for each in wait_ended(alive_of_this_test(bait), limit_s)] == []


def journals(repo):
    active = repo.path / ".ota/state/active"
    return sorted(active.iterdir()) if active.exists() else []


@pytest.mark.parametrize("point", POINTS)
def test_after_a_kill_at_any_step_one_ordinary_command_leaves_nothing(repo, bait, point):
    task = "fails" if point.startswith("cleaned.") else "task"  # after success nothing is cleaned
    killed = repo.run("run", task, "--stream", env={"OTA_FAULT": f"{point}:KILL"})
    assert killed.code == -signal.SIGKILL
    following = repo.run("run", "quick", "--stream")
    assert following.code == 0
    assert "did-run" in following.out
    assert "Warning" not in following.err
    wait_until_gone(bait)
    assert journals(repo) == []


@pytest.mark.parametrize("point", ["intent.after:KILL:2", "started.before:KILL:2", "ended.after:KILL:2"])
def test_a_kill_in_the_second_step_finds_what_the_first_step_left(repo, bait, point):
    assert repo.run("run", "task", "--stream", env={"OTA_FAULT": point}).code == -signal.SIGKILL
    assert repo.run("run", "quick").code == 0
    wait_until_gone(bait)
    assert journals(repo) == []


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP"])
@pytest.mark.parametrize("point", POINTS)
def test_a_stop_signal_at_any_step_is_never_lost_and_leaves_nothing(repo, bait, assert_schema, point, name):
    number = signal.Signals[f"SIG{name}"]
    result = repo.run("run", "task", "--json", env={"OTA_FAULT": f"{point}:{name}"})
    document = result.json
    assert_schema(document, "run")
    assert document["exit_code"] == result.code
    if point in DONE or (point in MAYBE_DONE and result.code == 0):
        assert (result.code, document["status"]) == (0, "success")
    else:
        assert (result.code, document["status"]) == (128 + number, "interrupted")
    if point.startswith("run."):
        assert document["receipt"]["steps"] == [], "nothing may start after the signal"
    assert journals(repo) == []
    strays = [each for each in alive_of_this_test(bait) if each.cmdline()[:1] == ["sleep"]]
    if document["status"] == "interrupted":
        assert strays == []
    for each in strays:  # after success, what a task moved into a session of its own stays and is told
        assert str(each.pid) in result.out
        each.kill()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [7, 8, 9, 10])
def test_the_drill_finds_nothing_left(seed):
    """A short kill drill of the real command; `tools/kill_drill.py` does more of it."""
    tool = Path(__file__).resolve().parents[2] / "tools/kill_drill.py"
    ota = shlex.join([*OTA, "run"])
    done = subprocess.run(
        [
            sys.executable,
            str(tool),
            "--rounds",
            "10",
            "--seed",
            str(seed),
            "--longest-s",
            "0.8",
            "--ota",
            ota,
        ],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"10 rounds, (\d+) with orphans, 0 left something behind", done.stdout)
    assert found is not None and int(found[1]) >= 2, done.stdout
