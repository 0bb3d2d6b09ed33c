"""Commands that start something meant to stay: no marker, no claim on the session, output to a descriptor."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from ota.system.processes import end_processes, session_members
from ota.system.spawn import SpawnRequest
from ota.system.workload import Workload
from system.system_tools import Output, eventually, gone, identity_from, shell

pytestmark = pytest.mark.edge

STARTS = "sleep 60 & echo $! > pid; echo up"


@pytest.fixture(autouse=True, params=["here", "elsewhere"])
def way(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of starting a child: in ota's own directory there is a quicker one."""
    if request.param == "here":
        monkeypatch.chdir(tmp_path)
    return str(request.param)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[int]:
    """What the command prints to; it stays the test's."""
    with (tmp_path / "start.log").open("wb") as file:
        yield file.fileno()


def start_command(script: str, cwd: Path, log: int) -> SpawnRequest:
    request = shell(script, cwd=cwd)
    return replace(request, run_id=None, output="file", output_descriptor=log)


def test_what_a_start_command_leaves_stays_and_carries_no_marker(
    tmp_path: Path, log: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTA_RUN_MARKER", "outer")
    with Workload(start_command(STARTS, tmp_path, log), ends_session=False) as workload:
        end = workload.supervise(Output(), limit_s=30)
    left = identity_from(tmp_path / "pid")
    try:
        assert end is not None
        assert (end.exit_code, end.left_behind.ended) == (0, ())
        assert not gone(left)
        environment = Path(f"/proc/{left.pid}/environ").read_bytes()
        assert b"OTA_RUN_MARKER" not in environment
        assert (tmp_path / "start.log").read_text() == "up\n"
    finally:
        end_processes([left], grace_s=5.0)


def test_a_start_command_that_is_stopped_takes_its_session_along(tmp_path: Path, log: int) -> None:
    request = start_command("sleep 60 & echo $! > pid; wait", tmp_path, log)
    with Workload(request, ends_session=False) as workload:
        eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n"))
        workload.stop(signal.SIGTERM)
    assert gone(identity_from(tmp_path / "pid"))
    assert session_members(workload.leader.pid) == ()


def test_leaving_the_block_early_ends_the_session(tmp_path: Path, log: int) -> None:
    request = start_command("sleep 60 & sleep 60", tmp_path, log)
    with pytest.raises(ZeroDivisionError), Workload(request, ends_session=False) as workload:
        raise ZeroDivisionError
    assert session_members(workload.leader.pid) == ()
