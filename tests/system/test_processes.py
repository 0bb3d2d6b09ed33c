"""Identity, ownership and ending: a reused pid is never hit, and bait is left alone."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from ota.system import process_table
from ota.system.process_table import (
    carries_marker,
    marker_of,
    observe_command,
    observe_process,
    observe_processes,
)
from ota.system.processes import (
    Identity,
    descendants,
    end_processes,
    is_alive,
    look_at,
    observe_identity,
    owned_processes,
    processes_with_marker,
    send_signal,
    session_members,
)
from system.system_tools import eventually, gone, identity_from, new_run_id

pytestmark = pytest.mark.edge


@contextmanager
def child(*argv: str, own_session: bool = False, **env: str) -> Iterator[Identity]:
    process = subprocess.Popen(argv, env={**os.environ, **env}, start_new_session=own_session)
    identity = observe_identity(process.pid)
    assert identity is not None
    try:
        yield identity
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def sleeper() -> Iterator[Identity]:
    with child("sleep", "60") as identity:
        yield identity


def test_a_process_is_alive_until_it_ends_even_when_nobody_collects_it() -> None:
    process = subprocess.Popen(["sleep", "60"])
    identity = observe_identity(process.pid)
    assert identity is not None
    assert is_alive(identity)
    process.kill()
    eventually(lambda: gone(identity))
    assert observe_process(identity.pid) is not None  # a zombie still has its pid
    process.wait()
    assert observe_identity(identity.pid) is None


@pytest.mark.parametrize("change", [{"start_ticks": 1}, {"boot_id": "another boot"}])
def test_a_reused_pid_is_told_apart_and_never_signalled(sleeper: Identity, change: dict[str, object]) -> None:
    stranger = replace(sleeper, **change)
    assert not is_alive(stranger)
    assert send_signal(stranger, signal.SIGKILL) == "gone"
    assert end_processes((stranger,), grace_s=0.01).ended == ()
    assert is_alive(sleeper)


def test_ota_what_it_runs_inside_and_process_1_are_never_signalled() -> None:
    for pid in (1, os.getpid(), os.getppid()):
        identity = observe_identity(pid)
        assert identity is not None
        assert send_signal(identity, signal.SIGCONT) == "refused"


def test_a_name_with_spaces_and_parentheses_is_read_right(tmp_path: Path) -> None:
    tool = tmp_path / "a) b (c"
    tool.symlink_to("/bin/sleep")
    with child(str(tool), "60") as identity:
        eventually(lambda: "60" in observe_command(identity.pid))
        facts = observe_process(identity.pid)
        assert facts is not None
        assert (facts.name, facts.parent) == ("a) b (c", os.getpid())


def test_term_is_enough_for_a_polite_process(sleeper: Identity) -> None:
    record = end_processes((sleeper,))
    assert [(entry.identity, entry.by) for entry in record.ended] == [(sleeper, "term")]
    assert record.survived == ()


def test_kill_follows_for_a_process_that_ignores_term(tmp_path: Path) -> None:
    script = f"trap '' TERM; touch {tmp_path}/ready; while :; do sleep 0.01; done"
    with child("sh", "-c", script) as identity:
        eventually((tmp_path / "ready").exists)
        record = end_processes((identity,), grace_s=0.1)
        assert [entry.by for entry in record.ended] == ["kill"]
        assert gone(identity)


def test_what_is_started_while_it_is_being_ended_is_ended_too(tmp_path: Path) -> None:
    run_id = new_run_id()
    script = f"trap 'setsid sleep 60 & exit' TERM; touch {tmp_path}/ready; while :; do sleep 0.01; done"
    with child("sh", "-c", script, OTA_RUN_MARKER=run_id):
        eventually((tmp_path / "ready").exists)
        record = end_processes((), again=lambda: processes_with_marker(run_id))
        assert len(record.ended) >= 2
        assert processes_with_marker(run_id) == ()


def test_the_marker_finds_nested_runs_and_nothing_that_only_looks_alike(tmp_path: Path) -> None:
    run_id = new_run_id()
    with (
        child("sleep", "60", OTA_RUN_MARKER=run_id) as ours,
        child("sleep", "60", OTA_RUN_MARKER=f"{run_id}:inner") as nested,
        child("sleep", "60", OTA_RUN_MARKER=f"{run_id}x"),
        child("sleep", "60", OTA_RUN_MARKER=""),
        child("sleep", "60", MY_OTA_RUN_MARKER=run_id),
        child("sleep", "60", run_id),
    ):
        assert set(processes_with_marker(run_id)) == {ours, nested}
        assert owned_processes("") == (), "no run has no name"


def test_a_process_that_exchanges_its_program_for_another_is_never_a_stranger(tmp_path: Path) -> None:
    """The system shows a process without its variables for that moment; this one does nothing else."""
    again = tmp_path / "again"
    again.write_text('exec /bin/sh "$0"\n')
    run_id = new_run_id()
    with child("/bin/sh", str(again), OTA_RUN_MARKER=run_id) as identity:
        assert all(carries_marker(identity.pid, run_id) for _ in range(300))


def test_a_process_without_any_variables_is_nobodys() -> None:
    process = subprocess.Popen(["sleep", "60"], env={})
    try:
        assert not carries_marker(process.pid, new_run_id())
    finally:
        process.kill()
        process.wait()


def test_marker_of_keeps_the_outer_runs() -> None:
    assert marker_of("b", {}) == "b"
    assert marker_of("b", {"OTA_RUN_MARKER": "a"}) == "a:b"


def test_descendants_are_found_across_sessions(tmp_path: Path) -> None:
    script = f"setsid sh -c 'echo $$ > {tmp_path}/pid; exec sleep 60' & wait"
    with child("sh", "-c", script) as parent:
        grandchild = identity_from(tmp_path / "pid")
        assert grandchild in descendants(parent.pid)
        end_processes(descendants(parent.pid))
        assert gone(grandchild)


def test_a_member_without_marker_is_owned_through_the_session_of_a_known_leader(tmp_path: Path) -> None:
    """The leader is gone, one member still has the marker, another one cleared its environment."""
    run_id = new_run_id()
    script = (
        f"env -i /bin/sh -c 'echo $$ > {tmp_path}/bare; exec /bin/sleep 60' & "
        f"sh -c 'echo $$ > {tmp_path}/marked; exec sleep 60' & "
        f"while [ ! -s {tmp_path}/bare ] || [ ! -s {tmp_path}/marked ]; do :; done"
    )
    process = subprocess.Popen(
        ["sh", "-c", script], start_new_session=True, env={**os.environ, "OTA_RUN_MARKER": run_id}
    )
    leader = observe_identity(process.pid)
    assert leader is not None
    process.wait()
    bare, marked = identity_from(tmp_path / "bare"), identity_from(tmp_path / "marked")
    try:
        assert set(owned_processes(run_id)) == {marked}
        assert set(owned_processes(run_id, (leader,))) == {bare, marked}
        assert set(session_members(leader.pid)) == {bare, marked}
    finally:
        end_processes((bare, marked))


def test_a_journalled_pid_that_somebody_else_has_now_owns_nothing() -> None:
    with child("sh", "-c", "sleep 60 & wait", own_session=True) as bait:
        stranger = replace(bait, start_ticks=bait.start_ticks - 1)
        assert owned_processes(new_run_id(), (stranger,)) == ()
        eventually(lambda: len(owned_processes(new_run_id(), (bait,))) == 2)
        end_processes(session_members(bait.pid))


def test_ps_tells_the_same_as_proc(sleeper: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way of systems without /proc, tried here with the same `ps` columns."""
    exact = observe_process(sleeper.pid)
    monkeypatch.setattr(process_table, "HAS_PROC", False)
    coarse = observe_processes()[sleeper.pid]
    assert exact is not None
    assert replace(coarse, start_ticks=0, state="") == replace(exact, start_ticks=0, state="")
    assert observe_identity(sleeper.pid) is not None
    assert coarse.start_ticks > 1_600_000_000
    assert observe_command(sleeper.pid) == "sleep 60"
    again = observe_identity(sleeper.pid)
    assert again is not None
    assert end_processes((again,)).survived == ()


@pytest.mark.parametrize("small", [False, True], ids=["the ps of this system", "the ps of busybox"])
def test_the_advice_to_look_at_processes_shows_them_and_no_others(
    sleeper: Identity, tmp_path: Path, small: bool
) -> None:
    busybox = shutil.which("busybox")
    if small and busybox is None:
        pytest.skip("no busybox here")
    if small and busybox is not None:
        for name in ("ps", "grep"):
            (tmp_path / name).symlink_to(busybox)
    env = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    shown = subprocess.check_output(["sh", "-c", look_at([sleeper.pid, os.getpid()])], env=env, text=True)
    assert sorted(int(line.split()[0]) for line in shown.splitlines()) == sorted([sleeper.pid, os.getpid()])
    assert "sleep 60" in shown


def test_ending_works_without_handles(sleeper: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    assert [entry.by for entry in end_processes((sleeper,)).ended] == ["term"]


def test_observing_imports_nothing_that_starts_processes() -> None:
    code = (
        "import sys; from ota.system.processes import owned_processes; owned_processes('x');"
        " print('subprocess' in sys.modules)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.check_output([sys.executable, "-c", code], env=env) == b"False\n"
