"""Runs at the same time: of one task, of one service, beside a cleaning command, with --jobs."""

import os
import re
import signal

import psutil
import pytest

from support.leaks import MARK, marked_processes
from support.servers import SERVER, free_port, is_listening, service
from support.waiting import wait_until

pytestmark = pytest.mark.edge

CONTRACT = """
version: 1
project: {name: concurrent}
tasks:
  dep: {run: ":"}
  task: {run: "echo begun; sleep 0.4; echo did-run", depends_on: [dep]}
  quick: {run: "echo did-run"}
  long: {run: "echo begun; sleep 300"}
  a: {run: "echo a-out; sleep 300"}
  b: {run: "sleep 0.3; exit 9"}
  both: {depends_on: [a, b], run: "echo never"}
"""


@pytest.fixture
def repo(project):
    return project({"ota.yaml": CONTRACT})


def living():
    return [each for each in marked_processes(os.environ[MARK]) if each.status() != psutil.STATUS_ZOMBIE]


def journals(repo):
    return sorted(path.name for path in (repo.path / ".ota/state/active").glob("*"))


@pytest.mark.parametrize("count", [2, 8])
def test_runs_of_one_task_at_the_same_time_do_not_disturb_each_other(repo, assert_schema, count):
    lives = [repo.start("run", "task", "--json", "--log", "--archive") for _ in range(count)]
    results = [live.finish() for live in lives]
    for result in results:
        assert result.code == 0, result
        assert_schema(result.json, "run")
        assert result.json["receipt"]["status"] == "success"
        assert "Warning" not in result.err
    ids = {result.json["receipt"]["logs"]["dir"] for result in results}
    assert len(ids) == count
    assert all((repo.path / each / "stdout.log").read_bytes() == b"begun\ndid-run\n" for each in ids)
    assert journals(repo) == []
    listed = repo.run("receipt", "--history", "--json")
    assert listed.code == 0


@pytest.mark.parametrize("count", [2, 8])
def test_of_several_runs_of_one_service_one_wins_and_the_others_name_the_holder(project, count):
    port = free_port()
    repo = project({"ota.yaml": service(port), "server.py": SERVER})
    lives = [repo.start("run", "web", "--stream") for _ in range(count)]
    wait_until(lambda: sum(live.is_running for live in lives) == 1, "all but one to end", timeout=60)
    (winner,) = [live for live in lives if live.is_running]
    winner.wait_for("External: ")
    for live in lives:
        if live is winner:
            continue
        result = live.finish()
        assert result.code != 0
        report = result.err[result.err.index("ERROR") :]
        assert re.search(rf"{port}.*(in use|taken|held)", report), result
        assert re.search(r"pid \d+", report) and "server.py" in report, result
        assert "External: " not in result.out + result.err, "a stranger's answer is not this run's"
    assert is_listening(port)
    winner.signal(signal.SIGINT)
    assert winner.finish().code == 130
    assert not is_listening(port)
    assert journals(repo) == []


def test_a_cleaning_command_leaves_living_runs_alone(repo):
    alive = repo.start("run", "long", "--stream")
    alive.wait_for("begun")
    dead = repo.run("run", "task", env={"OTA_FAULT": "started.after:KILL"})
    assert dead.code == -signal.SIGKILL
    lives = [repo.start("run", "quick") for _ in range(6)]
    assert [live.finish().code for live in lives] == [0] * 6
    assert alive.is_running
    assert len(journals(repo)) == 1
    alive.signal(signal.SIGTERM)
    assert alive.finish().code == 143
    assert journals(repo) == []
    assert living() == []


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_ends_every_job(repo, number, code):
    repo.write({"ota.yaml": CONTRACT.replace("sleep 0.3; exit 9", "echo b-out; sleep 300")})
    live = repo.start("run", "both", "--stream", "--jobs", "4")
    live.wait_for("a-out")
    live.wait_for("b-out")
    live.signal(number)
    assert live.finish().code == code
    assert living() == []


def test_killing_a_run_with_several_jobs_leaves_nothing(repo):
    repo.write({"ota.yaml": CONTRACT.replace("sleep 0.3; exit 9", "echo b-out; sleep 300")})
    live = repo.start("run", "both", "--stream", "--jobs", "4")
    live.wait_for("a-out")
    live.wait_for("b-out")
    os.kill(live.pid, signal.SIGKILL)
    live.finish()
    assert repo.run("run", "quick").code == 0
    _, alive = psutil.wait_procs(living(), timeout=15)
    assert alive == []
    assert journals(repo) == []


def test_eight_runs_beside_kills_and_cleaning_leave_nothing(repo):
    """Half are killed in the middle; the others, and the commands after them, must not notice."""
    killed = [repo.start("run", "long", "--stream") for _ in range(4)]
    kept = [repo.start("run", "task", "--json") for _ in range(4)]
    for live in killed:
        live.wait_for("begun")
        os.kill(live.pid, signal.SIGKILL)
    assert [live.finish().code for live in kept] == [0] * 4
    for live in killed:
        live.finish()
    assert repo.run("run", "quick").code == 0
    _, alive = psutil.wait_procs(living(), timeout=15)
    assert alive == []
    assert journals(repo) == []
