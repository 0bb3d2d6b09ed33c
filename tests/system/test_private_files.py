"""Files: old or new but never half, private, and refusals that name action and path."""

import os
import resource
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ota.errors import Finding, HostError
from ota.system.files import (
    LineFile,
    private_directory,
    read_bytes,
    refused,
    remove_file,
    write_atomic,
)

pytestmark = pytest.mark.edge


@contextmanager
def file_size_limit(size_bytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def refusal(caught: pytest.ExceptionInfo[HostError], code: str, path: Path) -> Finding:
    finding = caught.value.findings[0]
    assert finding.code == code
    assert str(path) in finding.summary
    assert finding.why
    assert finding.next
    return finding


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB, where the machine lets us mount one."""
    place = tmp_path / "tiny"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_content_is_replaced_and_private(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_atomic(path, b"old")
    write_atomic(path, b"new", is_durable=True)
    assert read_bytes(path) == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["state"]


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_atomic(path, b"old")
    with file_size_limit(4), pytest.raises(HostError) as caught:
        write_atomic(path, b"much too long")
    refusal(caught, "OTA_FILE_DISK_FULL", path)
    assert read_bytes(path) == b"old"
    assert os.listdir(tmp_path) == ["state"]


def test_a_full_disk_is_named(tiny_disk: Path) -> None:
    path = tiny_disk / "state"
    with pytest.raises(HostError) as caught:
        write_atomic(path, b"x" * 200_000)
    refusal(caught, "OTA_FILE_DISK_FULL", path)
    assert os.listdir(tiny_disk) == []


def test_a_read_only_disk_is_named(tiny_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    with pytest.raises(HostError) as caught:
        write_atomic(tiny_disk / "state", b"x")
    refusal(caught, "OTA_FILE_READ_ONLY", tiny_disk / "state")
    with pytest.raises(HostError) as caught:
        private_directory(tiny_disk / "a" / "b")
    refusal(caught, "OTA_FILE_READ_ONLY", tiny_disk / "a" / "b")


def test_a_file_where_a_directory_is_needed_is_named(tmp_path: Path) -> None:
    (tmp_path / "in-the-way").write_text("")
    for path in (tmp_path / "in-the-way", tmp_path / "in-the-way" / "deeper"):
        with pytest.raises(HostError) as caught:
            private_directory(path)
        refusal(caught, "OTA_FILE_NOT_A_DIRECTORY", path)


def test_private_directories_are_for_their_owner_only(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    for path in (tmp_path / "new" / "deep", tmp_path / "open"):
        assert stat.S_IMODE(private_directory(path).stat().st_mode) == 0o700


def test_missing_parents_are_as_private_as_the_directory_itself(tmp_path: Path) -> None:
    private_directory(tmp_path / "state" / "logs" / "run")
    for path in (tmp_path / "state", tmp_path / "state" / "logs"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_reading_is_bounded_and_never_hangs(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 11)
    os.mkfifo(tmp_path / "pipe")
    for name, code in {
        "big": "OTA_FILE_TOO_LARGE",
        "pipe": "OTA_FILE_NOT_REGULAR",
        "missing": "OTA_FILE_MISSING",
        ".": "OTA_FILE_IS_A_DIRECTORY",
    }.items():
        with pytest.raises(HostError) as caught:
            read_bytes(tmp_path / name, limit_bytes=10)
        refusal(caught, code, tmp_path / name)
    assert read_bytes(tmp_path / "big", limit_bytes=11) == b"x" * 11


def test_removing_twice_is_harmless_and_a_refusal_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert remove_file(tmp_path / "file")
    assert not remove_file(tmp_path / "file")
    with pytest.raises(HostError):
        remove_file(tmp_path)


def test_lines_of_several_writers_are_never_mixed(tmp_path: Path) -> None:
    path = tmp_path / "lines"

    def write(word: bytes) -> None:
        with LineFile(path) as lines:
            for _ in range(200):
                lines.append(word * 50)

    threads = [threading.Thread(target=write, args=(word,)) for word in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(set(path.read_bytes().split())) == [b"a" * 50, b"b" * 50, b"c" * 50]
    assert len(path.read_bytes().splitlines()) == 600


def test_a_line_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    with LineFile(path) as lines, file_size_limit(8):
        lines.append(b"short")
        with pytest.raises(HostError) as caught:
            lines.append(b"a longer one")
    refusal(caught, "OTA_FILE_DISK_FULL", path)


def test_writing_into_a_folder_that_is_not_there_says_which(tmp_path: Path) -> None:
    with pytest.raises(HostError) as caught:
        write_atomic(tmp_path / "no" / "file", b"")
    (finding,) = caught.value.findings
    assert finding.code == "OTA_FILE_DIRECTORY_MISSING"
    assert finding.next == f"create {tmp_path / 'no'}, or correct the path"


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_stands_in_the_way_of_a_directory_is_named_itself(tmp_path, kind):
    obstacle = tmp_path / ".ota"
    if kind == "file":
        obstacle.touch()
    else:
        obstacle.symlink_to("nowhere")
    with pytest.raises(HostError) as caught:
        private_directory(obstacle / "state" / "active")
    (finding,) = caught.value.findings
    assert finding.code == "OTA_FILE_NOT_A_DIRECTORY"
    assert f"{obstacle} away" in finding.next


def test_advice_is_about_what_is_there_and_can_be_typed(tmp_path):
    folder = tmp_path / "my files"
    folder.mkdir()
    refusal = refused(PermissionError(13, "Permission denied"), action="write", path=folder / "a" / "b.json")
    assert refusal.findings[0].next == f"check the owner and mode of {folder}: `ls -ld '{folder}'`"
