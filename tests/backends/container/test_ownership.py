"""The ownership token and the list of engines: made once, moved, shared, and never guessed."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ota.backends.container import identity, ownership
from ota.errors import HostError
from ota.system.processes import observe_identity

pytestmark = pytest.mark.edge

TOKEN = "0123456789abcdef"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def code_of(caught: pytest.ExceptionInfo[HostError]) -> str:
    finding = caught.value.findings[0]
    assert finding.why
    assert finding.next
    return finding.code


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A repository on a file system of 64 KiB, where the machine lets us mount one."""
    place = tmp_path / "tiny"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def together(root: Path, statement: str, count: int = 8) -> list[str]:
    """What so many processes print that start at once."""
    program = f"from pathlib import Path; from ota.backends.container.ownership import *; {statement}"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(root), str(n)], stdout=subprocess.PIPE, text=True
        )
        for n in range(count)
    ]
    said = [child.communicate(timeout=60)[0].strip() for child in children]
    assert [child.returncode for child in children] == [0] * count
    return said


# --- the token ---------------------------------------------------------------------------------------


def test_a_token_is_made_once_and_kept(tmp_path: Path) -> None:
    assert ownership.read_token(tmp_path) is None
    assert list(tmp_path.iterdir()) == [], "reading writes nothing"
    token = ownership.ensure_token(tmp_path)
    assert re.fullmatch("[0-9a-f]{16}", token)
    assert ownership.ensure_token(tmp_path) == token
    assert ownership.read_token(tmp_path) == token
    assert ownership.token_path(tmp_path).read_text().strip() == token


def test_two_repositories_have_two_tokens(tmp_path: Path) -> None:
    assert ownership.ensure_token(tmp_path / "a") != ownership.ensure_token(tmp_path / "b")


def test_eight_runs_at_once_agree_on_one_token(tmp_path: Path) -> None:
    said = together(tmp_path, "import sys; print(ensure_token(Path(sys.argv[1])))")
    assert len(set(said)) == 1
    assert ownership.read_token(tmp_path) == said[0]


def test_the_token_of_an_earlier_version_is_moved(tmp_path: Path) -> None:
    old = write(tmp_path / ".ota" / "ownership-id", f"{TOKEN}\n")
    assert ownership.read_token(tmp_path) == TOKEN
    assert old.exists(), "reading moves nothing"
    assert ownership.ensure_token(tmp_path) == TOKEN
    assert not old.exists()
    assert ownership.token_path(tmp_path).read_text().strip() == TOKEN


def test_of_two_tokens_the_one_in_its_place_stays(tmp_path: Path) -> None:
    old = write(tmp_path / ".ota" / "ownership-id", "f" * 16)
    write(ownership.token_path(tmp_path), TOKEN)
    assert ownership.ensure_token(tmp_path) == TOKEN
    assert not old.exists()


def test_an_empty_token_file_is_filled(tmp_path: Path) -> None:
    write(ownership.token_path(tmp_path), "\n")
    token = ownership.ensure_token(tmp_path)
    assert ownership.token_path(tmp_path).read_text().strip() == token


@pytest.mark.parametrize(
    "text", ["hello", "0123", TOKEN.upper().replace("0", "A"), f"{TOKEN} {TOKEN}", "\x00\xff"]
)
def test_a_token_file_that_makes_no_sense_is_told_and_kept(tmp_path: Path, text: str) -> None:
    path = write(ownership.token_path(tmp_path), text)
    for ask in (ownership.read_token, ownership.ensure_token):
        with pytest.raises(HostError) as caught:
            ask(tmp_path)
        assert code_of(caught) == "OTA_OWNERSHIP_UNREADABLE"
    assert path.read_text() == text


def test_a_folder_in_the_way_of_the_token_is_told(tmp_path: Path) -> None:
    ownership.token_path(tmp_path).mkdir(parents=True)
    with pytest.raises(HostError) as caught:
        ownership.ensure_token(tmp_path)
    assert code_of(caught) == "OTA_FILE_IS_A_DIRECTORY"
    assert str(ownership.token_path(tmp_path)) in caught.value.findings[0].summary


def test_a_full_disk_is_told_and_leaves_no_half_token(tiny_disk: Path) -> None:
    state = tiny_disk / ".ota" / "state"
    (state / "locks").mkdir(parents=True)
    filler = tiny_disk / "filler"
    with pytest.raises(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    with pytest.raises(HostError) as caught:
        ownership.ensure_token(tiny_disk)
    assert code_of(caught) == "OTA_FILE_DISK_FULL"
    assert not [each for each in state.iterdir() if each.name != "locks"]
    filler.unlink()
    assert ownership.ensure_token(tiny_disk)


def test_a_read_only_checkout_keeps_the_token_it_has_and_gets_no_new_one(tiny_disk: Path) -> None:
    (tiny_disk / "new").mkdir()
    write(tiny_disk / "old" / ".ota" / "ownership-id", TOKEN)
    write(ownership.token_path(tiny_disk / "moved"), TOKEN)
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    assert ownership.ensure_token(tiny_disk / "moved") == TOKEN
    assert ownership.ensure_token(tiny_disk / "old") == TOKEN
    with pytest.raises(HostError) as caught:
        ownership.ensure_token(tiny_disk / "new")
    assert code_of(caught) == "OTA_FILE_READ_ONLY"


# --- the engines -------------------------------------------------------------------------------------


def test_engines_are_a_sorted_set_that_goes_with_its_last_entry(tmp_path: Path) -> None:
    assert ownership.read_engines(tmp_path) == ()
    for name in ("podman", "docker", "podman"):
        ownership.record_engine(tmp_path, name)
    assert ownership.engines_path(tmp_path).read_text() == "docker\npodman\n"
    ownership.forget_engines(tmp_path, ("podman", "nerdctl"))
    assert ownership.read_engines(tmp_path) == ("docker",)
    ownership.forget_engines(tmp_path, ("docker",))
    assert not ownership.engines_path(tmp_path).exists()


def test_runs_that_record_engines_at_once_lose_none(tmp_path: Path) -> None:
    together(tmp_path, "import sys; record_engine(Path(sys.argv[1]), 'engine' + sys.argv[2])")
    assert ownership.read_engines(tmp_path) == tuple(f"engine{n}" for n in range(8))


def test_the_list_of_an_earlier_version_is_merged_and_moved(tmp_path: Path) -> None:
    old = write(tmp_path / ".ota" / "managed-engines", "podman\n")
    ownership.record_engine(tmp_path, "docker")
    assert not old.exists()
    assert ownership.read_engines(tmp_path) == ("docker", "podman")


@pytest.mark.parametrize("text", ["docker\n../../bin/sh\n", "--help\n", "docker run\n", "\x00\xff\n"])
def test_a_list_that_could_start_something_else_is_refused(tmp_path: Path, text: str) -> None:
    path = write(ownership.engines_path(tmp_path), text)
    with pytest.raises(HostError) as caught:
        ownership.read_engines(tmp_path)
    assert code_of(caught) == "OTA_OWNERSHIP_UNREADABLE"
    assert path.read_text() == text


def test_state_is_private(tmp_path: Path) -> None:
    ownership.ensure_token(tmp_path)
    ownership.record_engine(tmp_path, "docker")
    for path in (ownership.token_path(tmp_path), ownership.engines_path(tmp_path)):
        assert os.stat(path).st_mode & 0o777 == 0o600
    assert os.stat(tmp_path / ".ota" / "state").st_mode & 0o777 == 0o700


# --- the owner of an ephemeral container -------------------------------------------------------------


def owner(pid: object, start: object = "") -> dict[str, str]:
    return identity.ephemeral_labels(TOKEN, owner_pid=0, owner_start=str(start)) | {
        "dev.ota.owner_pid": str(pid)
    }


def test_an_owner_is_a_pid_and_its_start() -> None:
    me = observe_identity(os.getpid())
    assert me is not None
    assert ownership.owner_life(owner(me.pid, me.start_ticks)) == "alive"
    assert ownership.owner_life(owner(me.pid)) == "alive", "without a start time the pid has to do"
    assert ownership.owner_life(owner(me.pid, me.start_ticks + 1)) == "dead", "the pid was given again"
    child = subprocess.Popen(["true"])
    child.wait()
    assert ownership.owner_life(owner(child.pid)) == "dead"


@pytest.mark.parametrize("pid", ["", "0", "-1", "x", "1.5", "\u0661", "9" * 30])
def test_an_owner_that_cannot_be_read_is_not_known(pid: str) -> None:
    assert ownership.owner_life(owner(pid)) == "unknown"
