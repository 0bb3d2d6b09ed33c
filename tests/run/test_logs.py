"""`--log`: child output on disk, both streams, and nothing of ota's own."""

import os

import pexpect
import pytest

from support.project import OTA

CONTRACT = """
version: 1
project: {name: logs}
tasks:
  dep: {run: "echo dep-out; echo dep-err >&2"}
  ok: {run: "echo out-1; echo err-1 >&2; printf 'no newline'", depends_on: [dep]}
  bad: {run: "echo before; echo why >&2; exit 5"}
  bytes: {run: "printf '\\\\377\\\\000\\\\r\\\\n'; printf '\\\\033[31mred\\\\033[0m'"}
"""


@pytest.fixture
def repo(project):
    return project({"ota.yaml": CONTRACT})


def folders(repo):
    logs = repo.path / ".ota/state/logs"
    return sorted(logs.iterdir()) if logs.exists() else []


@pytest.mark.proves("S000-21")
def test_each_run_gets_a_folder_of_its_own(repo):
    repo.run("run", "ok", "--log")
    repo.run("run", "ok", "--log")
    assert len(folders(repo)) == 2
    assert {each.name for each in folders(repo)[0].iterdir()} == {"stdout.log", "stderr.log"}


@pytest.mark.proves("S000-22")
@pytest.mark.proves("S001-101")
@pytest.mark.proves("S001-102")
def test_each_file_holds_the_bytes_of_its_own_stream_and_nothing_of_ota(repo):
    assert repo.run("run", "ok", "--log").code == 0
    (folder,) = folders(repo)
    assert (folder / "stdout.log").read_bytes() == b"dep-out\nout-1\nno newline"
    assert (folder / "stderr.log").read_bytes() == b"dep-err\nerr-1\n"


def test_bytes_pass_unaltered(repo):
    assert repo.run("run", "bytes", "--log").code == 0
    (folder,) = folders(repo)
    assert (folder / "stdout.log").read_bytes() == b"\xff\x00\r\n\x1b[31mred\x1b[0m"


@pytest.mark.proves("S000-23")
@pytest.mark.parametrize(("task", "code", "line"), [("ok", 0, b"out-1"), ("bad", 5, b"before")])
def test_successful_and_failed_native_runs_are_logged(repo, task, code, line):
    assert repo.run("run", task, "--log").code == code
    (folder,) = folders(repo)
    assert line in (folder / "stdout.log").read_bytes()


@pytest.mark.proves("S000-27")
@pytest.mark.proves("S000-28")
@pytest.mark.proves("S001-103")
@pytest.mark.proves("S001-149")
def test_summary_receipt_text_and_receipt_json_name_the_same_place(repo, assert_schema):
    result = repo.run("run", "ok", "--log", "--receipt")
    (folder,) = folders(repo)
    shown = f".ota/state/logs/{folder.name}"
    assert f"Logs:        {shown}" in result.err
    assert f"Logs: {shown}" in result.err
    assert f"{shown}/stdout.log" in result.err
    document = repo.run("run", "ok", "--log", "--json").json
    assert_schema(document, "run")
    logs = document["receipt"]["logs"]
    assert (repo.path / logs["stdout"]).read_bytes().startswith(b"dep-out")
    assert (repo.path / logs["stderr"]).exists()
    assert (repo.path / logs["dir"]).is_dir()


@pytest.mark.proves("S000-32")
def test_a_streamed_run_leaves_artifacts_only_when_asked(repo):
    plain = repo.run("run", "ok", "--stream")
    assert "out-1" in plain.out and folders(repo) == []
    logged = repo.run("run", "ok", "--stream", "--log")
    assert "out-1" in logged.out and len(folders(repo)) == 1


@pytest.mark.edge
@pytest.mark.proves("S000-29")
def test_on_a_terminal_the_same_output_is_shown_and_kept(repo):
    argv = [*OTA[1:], "run", "ok", "--stream", "--log"]
    child = pexpect.spawn(OTA[0], argv, cwd=str(repo.path), env=repo.environment(), timeout=30)
    child.expect(pexpect.EOF)
    child.close()
    shown = child.before
    (folder,) = folders(repo)
    for line in (
        *(folder / "stdout.log").read_bytes().split(),
        *(folder / "stderr.log").read_bytes().split(),
    ):
        assert line in shown
    assert (folder / "stdout.log").read_bytes() == b"dep-out\nout-1\nno newline"


@pytest.mark.proves("S000-30")
@pytest.mark.proves("S000-31")
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a tiny disk needs root")
def test_a_full_disk_is_told_as_a_warning_and_does_not_change_the_result(repo, tiny_disk):
    tiny_disk(repo.path / ".ota/state/logs", 16)
    repo.write({"ota.yaml": CONTRACT.replace("echo out-1;", "head -c 300000 /dev/zero;")})
    result = repo.run("run", "ok", "--log")
    assert result.code == 0
    assert "Warning:     log capture failed: " in result.err
    document = repo.run("run", "ok", "--log", "--json").json
    assert document["ok"] is True
    assert "log capture failed: " in document["receipt"]["next"]
    assert not any("log capture" in step for step in document["receipt"]["next_steps"])


@pytest.mark.proves("S000-30")
@pytest.mark.proves("S000-31")
def test_a_logs_place_that_is_a_file_is_told_as_a_warning(repo):
    (repo.path / ".ota/state").mkdir(parents=True)
    (repo.path / ".ota/state/logs").write_text("in the way")
    result = repo.run("run", "ok", "--log")
    assert result.code == 0
    assert "Warning:     log capture failed: " in result.err
