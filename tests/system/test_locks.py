"""Locks: one holder, named to those who wait too long, free after a crash."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ota.errors import HostError
from ota.system.clock import FakeClock
from ota.system.locks import ResourceLock, read_holder

pytestmark = pytest.mark.edge

_HOLD = (
    "import sys,pathlib\nfrom ota.system.locks import ResourceLock\n"
    "with ResourceLock(pathlib.Path(sys.argv[1]), what='run dev'):\n"
    "    print('held', flush=True); sys.stdin.read()\n"
)


def test_a_lock_held_by_another_process_names_it_and_a_crash_frees_it(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "database.lock"
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        clock = FakeClock()
        with pytest.raises(HostError) as caught, ResourceLock(path, what="run", limit_s=3, clock=clock):
            pass
        finding = caught.value.findings[0]
        assert finding.code == "OTA_LOCK_HELD"
        assert finding.summary == f"database is in use by process {other.pid} (run dev)"
        assert sum(clock.sleeps) == pytest.approx(3)
        other.kill()
        other.wait()
    with ResourceLock(path, what="next"):
        assert read_holder(path).what == "next"
    assert read_holder(path).pid == 0


def test_threads_of_one_process_exclude_each_other(tmp_path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def enter(number: int) -> None:
        for _ in range(20):
            with ResourceLock(tmp_path / "x.lock", what="test", limit_s=60):
                inside.append(number)
                most.append(len(inside))
                inside.remove(number)

    threads = [threading.Thread(target=enter, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (max(most), len(most)) == (1, 80)


def test_a_damaged_signature_is_an_unknown_holder(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    path.write_bytes(b"\xff{")
    assert read_holder(path).pid == 0
    with ResourceLock(path, what="test"):
        pass
