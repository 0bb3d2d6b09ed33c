"""Start commands by themselves: bounded, their output kept without secrets, names as files."""

import os
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ota.env.masking import Masker
from ota.services.scene import ServiceScene
from ota.services.starting import file_name, name_of_file, run_start

pytestmark = pytest.mark.edge


def scene(tmp_path: Path, **more: object) -> ServiceScene:
    return ServiceScene(root=tmp_path, environ=dict(os.environ), run_id="r", what="run go", **more)  # type: ignore[arg-type]


def start(tmp_path: Path, script: str, **more: object):
    printed: list[bytes] = []
    log = tmp_path / "logs" / "db.log"
    end = run_start(("sh", "-c", script), tmp_path, scene(tmp_path, **more), log, printed.append)
    return end, b"".join(printed), log


def test_a_start_that_never_ends_is_ended_with_all_it_started(tmp_path: Path) -> None:
    script = "sleep 600 & echo $! > child; echo begun; wait"
    end, printed, _ = start(tmp_path, script, start_limit_s=1.0)
    assert end.is_timed_out
    assert printed == b"begun\n"
    child = int((tmp_path / "child").read_text())
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_the_output_arrives_whole_and_stays_private(tmp_path: Path) -> None:
    end, printed, log = start(tmp_path, "head -c 300000 /dev/zero | tr '\\0' x; echo err >&2; exit 5")
    assert (end.exit_code, end.is_timed_out, end.was_interrupted) == (5, False, False)
    assert len(printed) == 300_004
    assert log.read_bytes() == printed
    assert log.stat().st_mode & 0o777 == 0o600


def test_what_is_kept_of_the_output_is_masked_and_an_earlier_one_is_gone(tmp_path: Path) -> None:
    start(tmp_path, "echo earlier")
    _, _, log = start(tmp_path, "echo the secret word", masker=lambda: Masker(["secret"]))
    assert log.read_bytes() == b"the *** word\n"
    assert not log.with_name("db.log.1").exists()


def test_an_interrupt_ends_the_command(tmp_path: Path) -> None:
    end, _, _ = start(tmp_path, "exec sleep 600", should_stop=lambda: True)
    assert end.was_interrupted


def test_a_directory_that_does_not_exist_is_named(tmp_path: Path) -> None:
    end = run_start(("true",), tmp_path / "gone", scene(tmp_path), tmp_path / "db.log", lambda _data: None)
    assert end.finding is not None
    assert end.finding.code == "OTA_SPAWN_CWD_MISSING"


@given(st.text(min_size=1), st.text(min_size=1))
def test_different_services_have_different_plain_file_names(one: str, other: str) -> None:
    assert (file_name(one) == file_name(other)) == (one == other)
    assert name_of_file(file_name(one)) == one
    assert not set(file_name(one)) & set("/\0")
    assert not file_name(one).startswith(".")
