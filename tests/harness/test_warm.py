"""Commands that are forked from a started interpreter behave like those that start from nothing."""

import os
import signal

import psutil
import pytest

from support.leaks import MARK, marked_processes
from support.project import OTA, Live
from support.waiting import wait_until
from support.warm import WarmCommand, warm

CONTRACT = """
version: 1
project: {name: same}
tasks:
  shows: {run: 'echo out; pwd; cat; echo $SHOWN; exit 3'}
  waits: {run: 'echo begun; exec sleep 60'}
"""


def forked(repo, *args, **env):
    environment = repo.environment(env)
    started = warm(OTA, repo.environment()).start(args, repo.path, environment, has_input=False)
    assert isinstance(started, WarmCommand)
    live = Live(["ota", *args], repo.path, environment, None, started)
    repo._live.append(live)
    return live


@pytest.mark.parametrize(
    "args", [("run", "shows", "--stream"), ("run", "nothing"), ("validate",), ("--help",), ("--version",)]
)
def test_a_forked_command_writes_and_ends_like_one_that_starts_from_nothing(project, args):
    repo = project({"ota.yaml": CONTRACT})
    forks = repo.run(*args, env={"SHOWN": "sh\udcffown"}, input="given\n")
    starts = repo.start(*args, env={"SHOWN": "sh\udcffown"}, input="given\n").finish()
    assert (forks.code, forks.out_bytes, forks.err_bytes) == (
        starts.code,
        starts.out_bytes,
        starts.err_bytes,
    )


def test_a_forked_command_can_be_watched_signalled_and_killed(project):
    repo = project({"ota.yaml": CONTRACT})
    live = forked(repo, "run", "waits", "--stream")
    live.wait_for("begun")
    assert live.is_running and psutil.Process(live.pid).children()
    live.signal(signal.SIGINT)
    assert live.finish().code == 130
    live = forked(repo, "run", "waits", "--stream")
    live.wait_for("begun")
    live.kill()
    assert live.finish().code == -signal.SIGKILL


def test_a_forked_command_and_its_guardian_are_found_when_they_are_left_behind(project):
    repo = project({"ota.yaml": CONTRACT})
    live = forked(repo, "run", "waits", "--stream")
    live.wait_for("begun")
    found = {each.pid: each.name() for each in marked_processes(os.environ[MARK])}
    assert live.pid in found
    assert {"ota-guardian", "sleep"} <= set(found.values())
    live.signal(signal.SIGTERM)
    live.finish()
    wait_until(lambda: not marked_processes(os.environ[MARK]), "everything to end")


@pytest.mark.parametrize("name", ["PYTHONIOENCODING", "LC_ALL", "TZ", "OTA_FAULT", "COMPLETE"])
def test_what_is_read_when_the_interpreter_starts_makes_it_start(project, name):
    repo = project({"ota.yaml": CONTRACT})
    command = warm(OTA, repo.environment())
    assert command.start((), repo.path, repo.environment({name: "x"}), has_input=False) is None
