"""`.ota` read-only, full, damaged, from the future, or not a folder: the run goes on and says so."""

import os
import subprocess

import pytest

pytestmark = pytest.mark.edge
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a tiny disk needs root")

CONTRACT = """
version: 1
project: {name: disk}
tasks:
  dep: {run: "echo dep-out"}
  ok: {run: "echo did-run", depends_on: [dep]}
  bad: {run: "echo did-run; exit 6"}
  fills: {run: "head -c 400000 /dev/zero > .ota/filler; echo did-run"}
  gone: {run: "echo did-run; rm -rf .ota"}
"""
FLAGS = ((), ("--log",), ("--archive",), ("--receipt", "--log", "--archive"))


@pytest.fixture
def repo(project):
    return project({"ota.yaml": CONTRACT})


def is_calm(result):
    """Whatever happened, a user sees words and never a trace of the program."""
    assert "Traceback" not in result.err + result.out
    assert "OTA_BUG" not in result.err + result.out
    assert "was not written for" not in result.err + result.out
    return True


def journals(repo):
    return sorted(path.name for path in (repo.path / ".ota/state/active").glob("*"))


@needs_root
@pytest.mark.parametrize("task, code", [("ok", 0), ("bad", 6)])
@pytest.mark.parametrize("flags", FLAGS, ids=" ".join)
def test_a_read_only_state_folder_does_not_change_what_a_run_comes_to(repo, tiny_disk, task, code, flags):
    tiny_disk(repo.path / ".ota", 64)
    subprocess.run(["mount", "-o", "remount,ro", str(repo.path / ".ota")], check=True)
    result = repo.run("run", task, *flags)
    assert is_calm(result)
    assert "did-run" in result.out + result.err
    assert "journal of this run cannot be written" in result.err
    if "--archive" in flags:
        assert "receipt" in result.err.lower()
    else:
        assert result.code == code


@needs_root
@pytest.mark.parametrize("task, code", [("ok", 0), ("bad", 6)])
@pytest.mark.parametrize("flags", FLAGS, ids=" ".join)
def test_a_full_state_folder_does_not_change_what_a_run_comes_to(repo, tiny_disk, task, code, flags):
    tiny_disk(repo.path / ".ota", 32)
    (repo.path / ".ota/filler").write_bytes(b"x")
    with (repo.path / ".ota/filler").open("ab", buffering=0) as filler, pytest.raises(OSError, match="space"):
        while True:
            filler.write(b"x" * 4096)
    result = repo.run("run", task, *flags)
    assert is_calm(result)
    assert "did-run" in result.out + result.err
    if "--archive" not in flags:
        assert result.code == code


@needs_root
def test_a_disk_that_fills_up_during_the_run_is_survived(repo, tiny_disk):
    tiny_disk(repo.path / ".ota", 96)
    result = repo.run("run", "fills", "--log")
    assert is_calm(result)
    assert "did-run" in result.out + result.err
    assert journals(repo) == []


def test_a_task_that_removes_the_state_folder_is_survived(repo):
    result = repo.run("run", "gone", "--log")
    assert is_calm(result)
    assert result.code == 0
    assert repo.run("run", "ok").code == 0


@pytest.mark.parametrize("flags", FLAGS, ids=" ".join)
@pytest.mark.parametrize("kind", ["file", "dangling", "loop", "link-to-file", "fifo"])
def test_something_else_where_the_state_folder_belongs(repo, kind, flags):
    place = repo.path / ".ota"
    match kind:
        case "file":
            place.write_text("not a folder")
        case "dangling":
            place.symlink_to("nowhere/at/all")
        case "loop":
            place.symlink_to(".ota")
        case "link-to-file":
            place.symlink_to("ota.yaml")
        case "fifo":
            os.mkfifo(place)
    result = repo.run("run", "ok", *flags)
    assert is_calm(result)
    assert "did-run" in result.out + result.err
    assert "journal of this run cannot be written" in result.err
    if "--archive" not in flags:
        assert result.code == 0
    assert repo.read("ota.yaml") == CONTRACT


def test_a_state_folder_elsewhere_through_a_link_is_used(repo, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (repo.path / ".ota").symlink_to(tmp_path / "elsewhere")
    result = repo.run("run", "ok", "--log")
    assert (result.code, "Warning" in result.err) == (0, False)
    assert (tmp_path / "elsewhere/state/logs").is_dir()


RUN_ID = "20250101T000000Z-ok-abcdef"
DAMAGED = {
    "empty": b"",
    "cut short": b'{"step":"run","version":1,"run_id":"20250101T0000',
    "no end of line": b'{"step":"run"}',
    "binary": bytes(range(256)) * 20,
    "nul": b"\0" * 5000,
    "a list": b"[]\n",
    "deep": b"[" * 100_000 + b"\n",
    "future version": b'{"step":"run","version":99,"run_id":"20250101T000000Z-ok-abcdef","new":{}}\n',
    "future step": b'{"step":"teleport","version":1}\n' * 3,
    "wrong types": b'{"step":"run","version":"1","run_id":7}\n',
    "huge": b"x" * (17 * 1024 * 1024),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_journal_is_told_and_left_alone(repo, content):
    active = repo.path / ".ota/state/active"
    active.mkdir(parents=True)
    (active / f"{RUN_ID}.jsonl").write_bytes(content)
    for _ in range(2):
        result = repo.run("run", "ok")
        assert is_calm(result)
        assert result.code == 0
        assert f"{RUN_ID}" in result.err
        assert "Warning" in result.err
    assert journals(repo) == [f"{RUN_ID}.jsonl"]


@pytest.mark.parametrize("kind", ["folder", "fifo", "dangling", "loop"])
def test_something_else_where_a_journal_belongs(repo, kind):
    place = repo.path / ".ota/state/active" / f"{RUN_ID}.jsonl"
    place.parent.mkdir(parents=True)
    match kind:
        case "folder":
            place.mkdir()
        case "fifo":
            os.mkfifo(place)
        case "dangling":
            place.symlink_to("nowhere")
        case "loop":
            place.symlink_to(place.name)
    result = repo.run("run", "ok", timeout=20)
    assert is_calm(result)
    assert result.code == 0


@pytest.mark.parametrize("content", list(DAMAGED.values())[:9], ids=list(DAMAGED)[:9])
def test_damaged_receipts_never_stop_a_run_or_its_receipt(repo, content):
    assert repo.run("run", "ok", "--archive").code == 0
    places = [path for path in (repo.path / ".ota").rglob("*") if path.is_file() and "receipt" in str(path)]
    assert places
    for path in places:
        path.write_bytes(content)
    for words in (
        ("run", "ok", "--archive"),
        ("receipt", "--show", "latest"),
        ("receipt", "--history", "--json"),
    ):
        result = repo.run(*words)
        assert is_calm(result)
    assert repo.run("run", "ok", "--archive").code == 0


@pytest.mark.parametrize("place", [".ota/state", ".ota/state/active", ".ota/state/logs", ".ota/receipts"])
def test_a_file_where_a_folder_of_the_state_belongs(repo, place):
    (repo.path / place).parent.mkdir(parents=True, exist_ok=True)
    (repo.path / place).write_text("in the way")
    result = repo.run("run", "ok", "--log")
    assert is_calm(result)
    assert result.code == 0
    assert "did-run" in result.out + result.err


def test_a_damaged_journal_is_told_with_the_file_to_remove(repo):
    folder = repo.path / ".ota/state/active"
    folder.mkdir(parents=True)
    (folder / "20260101T000000Z-x-1.jsonl").write_text("no journal\n")
    result = repo.run("run", "ok")
    assert result.code == 0
    assert f"remove {folder}/20260101T000000Z-x-1.jsonl" in result.err
