"""Tasks that behave badly: fork and vanish, ignore signals, print monsters, lose folder or shell."""

import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
import time

import psutil
import pytest

from support.leaks import MARK, marked_processes
from support.project import OTA
from support.waiting import wait_until

pytestmark = pytest.mark.edge

PYTHON = sys.executable
CONTRACT = f"""
version: 1
project: {{name: processes}}
tasks:
  forks: {{run: "sleep 300 & exit 0"}}
  forks-quietly: {{run: "sleep 300 >/dev/null 2>&1 & exit 0"}}
  double-forks: {{run: "(sleep 300 >/dev/null 2>&1 &) ; exit 0"}}
  long-line: {{run: "{PYTHON} -c \\"print('x' * 1000000, end='')\\"; echo; echo after"}}
  bytes: {{run: "head -c 300000 /dev/urandom; head -c 300000 /dev/urandom >&2; echo; echo after"}}
  closes: {{run: "echo before; exec >&- 2>&-; sleep 1; exit 4"}}
  closes-all: {{run: "exec <&- >&- 2>&-; sleep 0.5; touch lived-on"}}
  stays: {{run: "exec >&- 2>&-; touch begun; sleep 300"}}
  reads: {{run: "cat; echo end-of-input"}}
  removes: {{run: "cd /; rm -rf \\"$OLDPWD\\""}}
  after-removal: {{run: "echo never", depends_on: [removes]}}
  quick: {{run: "echo did-run"}}
  chatty: {{run: "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line-$i; done; touch finished; exit 3"}}
  pauses: {{run: "echo one; sleep 0.3; echo two; sleep 0.3; echo three >&2; touch finished"}}
  kills-itself: {{run: "kill -SEGV $$"}}
  kills-parent: {{run: "kill -TERM $PPID; sleep 300"}}
  says: {{run: 'printf "[%s]" "$OTA_INPUT_TEXT"', inputs: {{text: {{required: true}}}}}}
"""


@pytest.fixture
def repo(project):
    return project({"ota.yaml": CONTRACT})


def is_calm(result):
    assert "Traceback" not in result.err + result.out
    assert "was not written for" not in result.err + result.out
    return True


def living():
    return [each for each in marked_processes(os.environ[MARK]) if each.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("task", ["forks", "forks-quietly", "double-forks"])
def test_what_a_task_leaves_in_the_background_ends_with_it_and_is_told(repo, task):
    result = repo.run("run", task)
    assert result.code == 0
    assert "left in the background" in result.err
    assert "left behind: nothing" in result.err
    assert living() == []


@pytest.mark.parametrize("flags", [("--stream",), ("--json",), (), ("--stream", "--jobs", "2"), ("--log",)])
def test_a_line_of_a_megabyte_passes(repo, flags):
    result = repo.run("run", "long-line", *flags)
    assert is_calm(result)
    assert result.code == 0
    if flags == ("--stream",):
        assert result.out == "x" * 1_000_000 + "\nafter\n"
    elif "--jobs" in flags:
        assert result.out.count("x") == 1_000_000
        assert "long-line | after\n" in result.out
    elif flags == ("--log",):
        (log,) = (repo.path / ".ota/state/logs").glob("*/stdout.log")
        assert log.stat().st_size == 1_000_007


@pytest.mark.parametrize("flags", [("--stream",), ("--json",), (), ("--stream", "--jobs", "2")])
def test_bytes_that_are_no_text_pass(repo, flags):
    result = repo.run("run", "bytes", *flags)
    assert is_calm(result)
    assert result.code == 0
    if flags == ("--json",):
        assert result.json["ok"] is True
    if flags == ("--stream",):
        assert len(result.out_bytes) == 300_000 + len("\nafter\n")


def test_a_last_line_without_an_end_keeps_its_name_and_its_line(project):
    contract = """
version: 1
project: {name: unended}
tasks:
  hook: {run: "printf hook-part"}
  dep: {run: "printf dep-part", after_always: [hook]}
  task: {run: "printf task-part", depends_on: [dep], after_success: [hook]}
"""
    repo = project({"ota.yaml": contract})
    side_by_side = repo.run("run", "task", "--stream", "--jobs", "3").out
    assert side_by_side == "dep | dep-part\nhook | hook-part\ntask | task-part\nhook | hook-part\n"
    words = " ".join([*OTA, "run", "task", "--stream"])
    together = subprocess.run(
        ["sh", "-c", f"exec {words} 2>&1"],
        cwd=repo.path,
        env=repo.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "hook-part\nRUN SUMMARY" in together.stdout


def test_a_task_that_closes_its_outputs_is_waited_for_and_its_code_kept(repo):
    began = time.monotonic()
    result = repo.run("run", "closes", "--stream")
    assert result.code == 4
    assert time.monotonic() - began > 0.9
    assert repo.run("run", "closes-all").code == 0
    assert (repo.path / "lived-on").exists()


def test_a_task_without_outputs_can_be_interrupted(repo):
    live = repo.start("run", "stays")
    wait_until(lambda: (repo.path / "begun").exists())
    live.signal(signal.SIGINT)
    assert live.finish().code == 130
    assert living() == []


def test_a_body_reads_what_ota_was_given_and_then_the_end(repo):
    result = repo.run("run", "reads", "--stream", input="line one\nline two")
    assert result.out == "line one\nline twoend-of-input\n"
    assert repo.run("run", "reads", "--stream").out == "end-of-input\n"


def test_ota_in_a_folder_that_has_gone(repo, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    words = " ".join([*OTA, "run", "quick"])
    done = subprocess.run(
        ["sh", "-c", f'rmdir "$PWD"; exec {words}'],
        cwd=gone,
        env=repo.environment(),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "was not written for" not in done.stderr
    assert "director" in done.stderr


@pytest.mark.parametrize("flags", [(), ("--json",), ("--jobs", "2"), ("--log", "--archive")])
def test_a_folder_that_goes_between_a_dependency_and_its_task(repo, flags):
    result = repo.run("run", "after-removal", *flags)
    assert is_calm(result)
    assert result.code == 1
    assert "does not exist" in result.err + result.out
    assert "never" not in result.out


@pytest.mark.parametrize("path", ["/nowhere", "", "/dev/null:/etc/passwd"])
def test_a_missing_shell_is_named(repo, path):
    result = repo.run("run", "quick", env={"PATH": path})
    assert is_calm(result)
    if path:
        assert result.code == 127
        assert "sh: not found" in result.err


def test_a_shell_that_may_not_be_executed_is_named(repo, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sh").write_text("no program")
    result = repo.run("run", "quick", env={"PATH": str(tmp_path / "bin")})
    assert is_calm(result)
    assert result.code == 126


@pytest.mark.parametrize(
    "text",
    [
        "it's",
        'say "hi"',
        "two\nlines\n",
        "$(touch pwned)",
        "`touch pwned`",
        "; touch pwned",
        "\\",
        "ü💥",
        "-x",
        "%s%n",
    ],
)
def test_an_input_reaches_the_task_exactly_as_written(repo, text):
    result = repo.run("run", "says", "--stream", f"--text={text}")
    assert result.code == 0, result
    assert result.out.rstrip("\n") == f"[{text}]".rstrip("\n")
    assert not (repo.path / "pwned").exists()


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_reader_that_leaves_early_does_not_stop_the_task(repo, closed):
    with subprocess.Popen(
        [*OTA, "run", "pauses", "--stream"],
        cwd=repo.path,
        env=repo.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        if closed == "stdout":
            assert process.stdout.readline() == b"one\n"
        getattr(process, closed).close()
        other = process.stderr if closed == "stdout" else process.stdout
        text = other.read().decode()
        code = process.wait(30)
    assert "Traceback" not in text
    assert "BrokenPipe" not in text
    assert (repo.path / "finished").exists()
    assert code == 0


def test_head_takes_one_line_and_the_task_ends_with_its_own_code(repo):
    words = " ".join([*OTA, "run", "chatty", "--stream"])
    done = subprocess.run(
        ["bash", "-c", f"{words} | head -n 1; exit ${{PIPESTATUS[0]}}"],
        cwd=repo.path,
        env=repo.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "line-1\n"
    assert "Traceback" not in done.stderr
    assert (repo.path / "finished").exists()
    assert done.returncode == 3


@pytest.mark.parametrize(
    "redirection", [">&-", "2>&-", ">&- 2>&-", "<&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full"]
)
@pytest.mark.parametrize("flags", ["--stream", ""])
def test_closed_and_full_outputs_do_not_stop_the_task(repo, redirection, flags):
    words = " ".join([*OTA, "run", "pauses", flags])
    done = subprocess.run(
        ["sh", "-c", f"exec {words} {redirection}"],
        cwd=repo.path,
        env=repo.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr + done.stdout
    assert (repo.path / "finished").exists()
    # somebody wants the output of a full file, and nobody that of a closed one
    is_lost = redirection == "2>/dev/full" or (redirection == ">/dev/full" and flags == "--stream")
    assert done.returncode == (1 if is_lost else 0)
    if redirection == ">/dev/full" and is_lost:
        assert "error: the output could not be written: No space left on device\n" in done.stderr


def test_an_output_that_does_not_block_loses_nothing(repo):
    """Programs such as node leave a shared terminal or pipe in that state."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    process = subprocess.Popen(
        [*OTA, "run", "long-line", "--stream"],
        cwd=repo.path,
        env=repo.environment(),
        stdin=subprocess.DEVNULL,
        stdout=write_end,
        stderr=subprocess.PIPE,
    )
    os.close(write_end)
    received = 0
    try:
        while chunk := os.read(read_end, 1000):
            received += len(chunk)
    finally:
        os.close(read_end)
        errors = process.stderr.read()
        process.stderr.close()
    assert process.wait(30) == 0, errors
    assert received == 1_000_007


def waiting_bytes(descriptor):
    """How much lies in a pipe, unread."""
    return struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, b"\0" * 4))[0]


def test_the_beginning_of_a_secret_at_the_very_end_of_the_output_is_not_lost(project):
    """What might become a secret is held back; a few characters go out when nothing more comes."""
    contract = """
version: 1
project: {name: held}
env:
  vars:
    TOKEN: {secret: true, required: true}
tasks:
  held: {run: "printf 'ends with hun'", env: {require: TOKEN}}
"""
    repo = project({"ota.yaml": contract})
    result = repo.run("run", "held", "--stream", env={"TOKEN": "hunter2-hunter2"})
    assert result.code == 0, result
    assert result.out == "ends with hun"


def test_a_reader_that_is_stuck_does_not_keep_an_interrupted_run(repo):
    repo.write({"ota.yaml": CONTRACT.replace("quick: {", "floods: {run: 'yes'}\n  quick: {")})
    read_end, write_end = os.pipe()
    process = subprocess.Popen(
        [*OTA, "run", "floods", "--stream"],
        cwd=repo.path,
        env=repo.environment(),
        stdin=subprocess.DEVNULL,
        stdout=write_end,
        stderr=subprocess.DEVNULL,
    )
    os.close(write_end)
    try:
        assert os.read(read_end, 2) == b"y\n"
        wait_until(lambda: waiting_bytes(read_end) > 61_440)  # the pipe holds 64 KiB: ota is stuck now
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 130
    finally:
        process.kill()
        process.wait()
        os.close(read_end)


def test_a_stopped_ota_goes_on_where_it_was(repo):
    live = repo.start("run", "pauses", "--stream")
    live.wait_for("one")
    live.signal(signal.SIGSTOP)
    wait_until(lambda: psutil.Process(live.pid).status() == psutil.STATUS_STOPPED)
    wait_until(lambda: (repo.path / "finished").exists())
    live.signal(signal.SIGCONT)
    result = live.finish()
    assert (result.code, result.out) == (0, "one\ntwo\n")


def test_death_by_signal_and_a_task_that_stops_its_own_ota(repo):
    assert repo.run("run", "kills-itself").code == 128 + signal.SIGSEGV
    result = repo.run("run", "kills-parent")
    assert result.code == 128 + signal.SIGTERM
    assert living() == []


@pytest.mark.parametrize("limit", [12, 20, 40])
def test_too_few_open_files_is_told_calmly(repo, limit):
    words = " ".join([*OTA, "run", "quick", "--stream"])
    done = subprocess.run(
        ["sh", "-c", f"ulimit -n {limit}; exec {words}"],
        cwd=repo.path,
        env=repo.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    assert "was not written for" not in done.stderr


def test_few_open_files_are_enough_also_with_one_from_before_the_limit(repo):
    words = " ".join([*OTA, "run", "quick", "--stream"])
    with open(os.devnull, "rb") as nothing:
        high = fcntl.fcntl(nothing, fcntl.F_DUPFD, 60)
    try:
        done = subprocess.run(
            ["sh", "-c", f"ulimit -n 40; exec {words}"],
            cwd=repo.path,
            env=repo.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            pass_fds=(high,),
        )
    finally:
        os.close(high)
    assert done.returncode == 0, done.stderr
    assert "nobody watches" not in done.stderr


def test_a_hangup_that_was_ignored_on_purpose_is_ignored(repo):
    words = " ".join([*OTA, "run", "pauses", "--stream"])
    process = subprocess.Popen(
        ["sh", "-c", f"trap '' HUP; exec {words}"],
        cwd=repo.path,
        env=repo.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout.readline() == b"one\n"
    process.send_signal(signal.SIGHUP)
    process.stdout.read()
    process.stdout.close()
    assert process.wait(30) == 0
