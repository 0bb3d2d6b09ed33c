"""Tests side by side: who waits for whom, what a worker leaves behind, and one record of all of them."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from support.leaks import Starts, wait_ended
from support.parallel import Room

ROOT = Path(__file__).resolve().parents[2]


def entering(room: Room, *, alone: bool) -> tuple[threading.Thread, threading.Event]:
    entered = threading.Event()

    def enter() -> None:
        room.enter(alone=alone)
        entered.set()

    thread = threading.Thread(target=enter, daemon=True)
    thread.start()
    return thread, entered


def test_ordinary_tests_share_the_room(tmp_path):
    first, second = Room(tmp_path), Room(tmp_path)
    first.enter(alone=False)
    second.enter(alone=False)
    first.close()
    second.close()


def test_who_wants_to_be_alone_waits_for_the_others_and_they_wait_for_it(tmp_path):
    ordinary, lone, late = Room(tmp_path), Room(tmp_path), Room(tmp_path)
    ordinary.enter(alone=False)
    thread, is_alone = entering(lone, alone=True)
    assert not is_alone.wait(0.1)
    late_thread, is_in = entering(late, alone=False)
    assert not is_in.wait(0.1), "it would keep the one that waits to be alone waiting for ever"
    ordinary.leave(next_is_alone=False)
    assert is_alone.wait(10)
    assert not is_in.wait(0.1)
    lone.leave(next_is_alone=False)
    assert is_in.wait(10)
    for each in (thread, late_thread):
        each.join(10)
    for room in (ordinary, lone, late):
        room.close()


def test_tests_that_are_alone_and_follow_each_other_keep_the_room(tmp_path):
    lone, late = Room(tmp_path), Room(tmp_path)
    lone.enter(alone=True)
    thread, is_in = entering(late, alone=False)
    lone.leave(next_is_alone=True)
    assert not is_in.wait(0.1)
    lone.enter(alone=True)
    lone.leave(next_is_alone=False)
    assert is_in.wait(10)
    thread.join(10)
    lone.close()
    late.close()


@pytest.mark.edge
def test_a_start_of_a_process_is_heard():
    starts = Starts()
    assert starts.before is None
    child = subprocess.Popen(["true"])
    assert starts.before is not None
    assert child.pid not in starts.before
    child.wait(10)
    starts.forget()
    assert starts.before is None


@pytest.mark.edge
def test_a_process_nobody_asked_about_has_ended():
    child = subprocess.Popen(["true"])
    process = psutil.Process(child.pid)
    assert wait_ended([process], 10) == []
    assert process.status() == psutil.STATUS_ZOMBIE
    child.wait(10)


TESTS = """
import pytest

@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return tmp_path_factory.mktemp("made")

@pytest.mark.proves("A-1")
@pytest.mark.parametrize("number", range(4))
def test_shares(made, number):
    with (made / "one").open("a") as file:
        file.write("x")

@pytest.mark.proves("A-1", "A-2")
def test_counts(made):
    assert (made / "one").read_text() == "xxxx"

@pytest.mark.proves("A-3")
def test_fails():
    assert False
"""


@pytest.mark.edge
@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_the_record_is_the_same_with_one_process_and_with_several(tmp_path, workers):
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    record = tmp_path / "record.json"
    options = ["-c", str(ROOT / "pyproject.toml"), f"--rootdir={tmp_path}", "-n", str(workers)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, f"--record={record}", str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    found = json.loads(record.read_text())
    assert found["closing"] == "5 passed, 1 failed"
    outcomes = {each["test"].rpartition("::")[2]: (each["rows"], each["outcome"]) for each in found["tests"]}
    assert outcomes == {
        **{f"test_shares[{number}]": (["A-1"], "passed") for number in range(4)},
        "test_counts": (["A-1", "A-2"], "passed"),
        "test_fails": (["A-3"], "failed"),
    }
