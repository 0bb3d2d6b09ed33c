"""The guardian: armed before the first resource, ends what a killed run started, touches nothing else."""

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ota.system.guardian import arm_guardian
from ota.system.journal import FAULT_POINTS, journal_path
from ota.system.process_table import observe_process
from ota.system.processes import Identity, is_alive, observe_identity
from ota.system.reconcile import reconcile
from system.system_tools import Drive, eventually, new_run_id, pid_from

pytestmark = pytest.mark.edge

# one polite child, one that ignores stop signals, one in a session of its own
STUBBORN = "(trap '' TERM INT HUP; echo $$ > stubborn; while :; do sleep 600; done) &"
FAMILY = f"""
sleep 600 &
{STUBBORN}
setsid sh -c 'echo $$ > daemon; exec sleep 600' &
while [ ! -s daemon ] || [ ! -s stubborn ]; do sleep 0.01; done
touch family
wait
"""


@pytest.fixture
def bait(tmp_path: Path) -> Iterator[Identity]:
    """Almost ours: the name of the repository in its arguments, and another run's marker."""
    process = subprocess.Popen(
        ["sleep", "600"], cwd=tmp_path, env={**os.environ, "OTA_RUN_MARKER": new_run_id()}
    )
    identity = observe_identity(process.pid)
    assert identity is not None
    yield identity
    survived = is_alive(identity)
    process.kill()
    process.wait()
    assert survived, "a foreign process was ended"


def test_a_killed_run_is_cleaned_and_the_guardian_exits(tmp_path: Path, bait: Identity) -> None:
    with Drive(tmp_path, FAMILY) as run:
        guardian = run.wait_armed()
        run.wait_started()
        eventually((tmp_path / "family").exists)
        assert len(run.members()) >= 4
        run.process.kill()
        eventually(run.nothing_left)
        eventually(run.guardian_gone)
        assert guardian > 0
    assert not journal_path(tmp_path, run.run_id).exists()
    assert reconcile(tmp_path).runs == ()


def test_the_whole_session_of_the_run_may_be_killed_at_once(tmp_path: Path, bait: Identity) -> None:
    """As a closed terminal or a supervisor does it: the guardian stands apart."""
    with Drive(tmp_path, FAMILY) as run:
        run.wait_armed()
        run.wait_started()
        eventually((tmp_path / "family").exists)
        os.killpg(run.process.pid, signal.SIGKILL)
        eventually(run.nothing_left)
        eventually(run.guardian_gone)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_the_guardian_is_deaf_to_stop_signals(tmp_path: Path, number: int) -> None:
    with Drive(tmp_path, "sleep 600") as run:
        guardian = run.wait_armed()
        run.wait_started()
        os.kill(guardian, number)
        run.process.kill()
        eventually(run.nothing_left)
        eventually(run.guardian_gone)


def test_a_finished_run_dismisses_its_guardian(tmp_path: Path) -> None:
    with Drive(tmp_path, "exit 3") as run:
        run.wait_armed()
        run.wait_started()
        run.process.wait(timeout=30)
        assert run.process.returncode == 3
        assert run.guardian_gone()
    assert not journal_path(tmp_path, run.run_id).exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_cleans_by_itself(tmp_path: Path, bait: Identity, number: int) -> None:
    with Drive(tmp_path, FAMILY) as run:
        run.wait_armed()
        run.wait_started()
        eventually((tmp_path / "family").exists)
        run.process.send_signal(number)
        run.process.wait(timeout=30)
        assert run.process.returncode == 128 + number
        assert run.nothing_left()
        assert run.guardian_gone()


def test_the_guardian_is_armed_before_the_first_resource(tmp_path: Path) -> None:
    """Killed at the earliest step there is, after the guardian said it watches: the journal is gone again."""
    with Drive(tmp_path, "sleep 600", OTA_FAULT="run.after:KILL") as run:
        assert run.wait_armed() > 0
        run.process.wait(timeout=30)
        eventually(run.guardian_gone)
    assert not journal_path(tmp_path, run.run_id).exists()


def test_it_holds_no_terminal_no_pipe_and_no_folder_of_the_run(tmp_path: Path) -> None:
    with Drive(tmp_path, "sleep 600") as run:
        guardian = run.wait_armed()
        run.wait_started()
        open_files = {
            name: os.readlink(f"/proc/{guardian}/fd/{name}") for name in os.listdir(f"/proc/{guardian}/fd")
        }
        facts = observe_process(guardian)
        assert facts is not None
        assert (facts.session, facts.name) == (guardian, "ota-guardian")
        assert [open_files[name] for name in ("0", "1", "2")] == ["/dev/null"] * 3
        assert sorted(open_files) == ["0", "1", "2", "3"]
        assert os.readlink(f"/proc/{guardian}/cwd") == "/"
        run.process.kill()
        # end of file on the run's output: nobody else holds it
        assert run.process.stdout is not None
        assert run.process.stdout.read() == b""
        eventually(run.guardian_gone)


def test_children_of_the_run_do_not_hold_its_lifeline(tmp_path: Path) -> None:
    with Drive(tmp_path, "ls /proc/self/fd > fds; sleep 600") as run:
        run.wait_armed()
        run.wait_started()
        eventually(lambda: (tmp_path / "fds").exists() and "2" in (tmp_path / "fds").read_text())
        assert (tmp_path / "fds").read_text().split()[:3] == ["0", "1", "2"]
        assert len((tmp_path / "fds").read_text().split()) <= 4
        run.process.kill()
        eventually(run.nothing_left)


def test_it_works_from_the_marker_alone_when_there_is_no_journal(tmp_path: Path) -> None:
    (tmp_path / ".ota").write_text("no folder")
    with Drive(tmp_path, FAMILY) as run:
        run.wait_armed()
        run.wait_started()
        eventually((tmp_path / "family").exists)
        run.process.kill()
        eventually(run.nothing_left)
        eventually(run.guardian_gone)


def test_with_several_threads_it_says_that_nobody_watches(tmp_path: Path) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        with arm_guardian(tmp_path / "x.jsonl", run_id="x") as guardian:
            assert not guardian.is_armed
            assert guardian.finding is not None
            assert (guardian.finding.code, guardian.finding.severity) == ("OTA_GUARDIAN_UNARMED", "warn")
    finally:
        stop.set()
        thread.join()


# In a process of its own: what runs tests side by side has threads, and then no guardian is forked.
DIES_EARLY = """
import os, signal, sys
from pathlib import Path
from ota.system.guardian import arm_guardian
from ota.system.process_table import observe_process
with arm_guardian(Path(sys.argv[1]), run_id="x") as guardian:
    assert guardian.is_armed
    pid = guardian.pid
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
assert observe_process(pid) is None  # collected
"""


def test_a_guardian_that_died_early_does_not_stop_the_goodbye(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DIES_EARLY, str(tmp_path / "x.jsonl")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("point", FAULT_POINTS)
def test_a_run_killed_at_any_step_leaves_nothing_to_the_next_command(
    tmp_path: Path, bait: Identity, point: str
) -> None:
    """Without a guardian: the next command alone puts it right."""
    script = (
        "setsid sh -c 'echo $$ > daemon; exec sleep 600' >/dev/null 2>&1 &"
        " while [ ! -s daemon ]; do sleep 0.01; done"
    )
    with Drive(tmp_path, script, guardian=False, OTA_FAULT=f"{point}:KILL") as run:
        run.process.wait(timeout=30)
        assert run.process.returncode == -signal.SIGKILL
        before = run.members()
        result = reconcile(tmp_path)
        assert result.findings == ()
        eventually(run.nothing_left)
        assert list((tmp_path / ".ota/state/active").glob("*")) == [] if before else True
    assert reconcile(tmp_path).notes == ()


@pytest.mark.parametrize("number", ["INT", "TERM", "HUP"])
@pytest.mark.parametrize("point", ["intent.after", "started.before", "started.after", "ended.before"])
def test_a_stop_signal_at_any_step_ends_in_a_clean_finish(tmp_path: Path, point: str, number: str) -> None:
    with Drive(tmp_path, "exec sleep 2", OTA_FAULT=f"{point}:{number}") as run:
        run.process.wait(timeout=30)
        assert run.process.returncode >= 0
        assert run.nothing_left()
        assert run.guardian_gone()
    assert not journal_path(tmp_path, run.run_id).exists()


@pytest.mark.slow
def test_kills_at_random_moments_leave_nothing(tmp_path: Path, bait: Identity) -> None:
    chance = random.Random(20250101)
    for index in range(24):
        repo = tmp_path / str(index)
        repo.mkdir()
        # a stubborn member costs the whole grace each time, so not every family has one
        family = FAMILY if chance.random() < 0.2 else FAMILY.replace(STUBBORN, "echo $$ > stubborn")
        with Drive(repo, family, guardian=chance.random() < 0.7) as run:
            run.wait_armed()
            # no sleep: the moment is spread by how much of the family exists when the kill comes
            moments = ("armed", "started", "stubborn", "daemon", "family")
            moment = chance.choice(moments)
            if moment != "armed":
                run.wait_started()
            if moment in moments[2:]:
                pid_from(repo / moment) if moment != "family" else eventually((repo / moment).exists)
            run.process.kill()
            run.process.wait()
            if run.guardian_pid:
                eventually(run.guardian_gone)
            else:
                reconcile(repo)
            eventually(run.nothing_left)
        reconcile(repo)
        assert list(repo.glob(".ota/state/active/*")) == []
