"""The text a container's shell gets, and what is read from its output. The shell is this machine's own."""

import os
import signal
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ota.backends.container.body import NOT_THE_ONE, Marks, Proof, body_script, path_export
from ota.backends.container.start_mark import StartMark

MARKS = Marks(nonce="00ff")
START = b"\x02ota:00ff:start\x03"
OOM = b"\x02ota:00ff:oom\x03"
SHELLS = [shell for shell in ("dash", "bash", "busybox sh") if Path(f"/bin/{shell.split()[0]}").exists()]


def run(shell: str, script: str, **env: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [*shell.split(), "-c", script],
        env={"PATH": os.environ["PATH"], **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
    )


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("watches_memory", [False, True])
@pytest.mark.parametrize("looks_after", [False, True])
def test_a_body_keeps_its_output_and_code(shell: str, watches_memory: bool, looks_after: bool) -> None:
    body = 'echo "it\'s"; echo oops >&2\ncat <<X\nhere $((1+1))\nX\nexit 9 # done'
    done = run(
        shell,
        body_script(body, marks=MARKS, watches_memory=watches_memory, looks_after=looks_after),
        OTA_BODY=f"b{os.urandom(6).hex()}",
    )
    assert (done.returncode, done.stdout) == (9, START + b"it's\nhere 2\n")
    assert done.stderr == START + b"oops\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_a_body_that_cannot_be_parsed_has_begun_all_the_same(shell: str) -> None:
    done = run(shell, body_script("if then (", marks=MARKS))
    assert done.stderr.startswith(START) and done.returncode != 0


@pytest.mark.parametrize("shell", SHELLS)
def test_without_marks_only_the_body_speaks(shell: str) -> None:
    done = run(shell, body_script("echo x", marks=None, path="/bin:/usr/bin"))
    assert (done.stdout, done.stderr) == (b"x\n", b"")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        ("/a b:$PATH", "/a b:/bin:/usr/bin"),
        ("${PATH}:/it's", "/bin:/usr/bin:/it's"),
        ("/only;$(touch /x)", "/only;$(touch /x)"),
        ("$PATHS", "$PATHS"),
        ("", ""),
    ],
)
def test_path_is_exported_as_written_with_the_images_own_where_it_says_so(
    shell: str, value: str, becomes: str
) -> None:
    done = run(shell, f'PATH=/bin:/usr/bin; {path_export(value)}; echo "$PATH"')
    assert done.stdout.decode() == f"{becomes}\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_a_home_is_made_for_who_has_none(shell: str, tmp_path: Path) -> None:
    script = body_script('echo x >"$HOME/y"', marks=None, makes_home=True)
    assert run(shell, script, HOME=f"{tmp_path}/new home").returncode == 0
    assert (tmp_path / "new home").stat().st_mode & 0o777 == 0o700


@pytest.mark.edge
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(("trap", "code"), [("trap 'exit 5' INT; ", 5), ("", 130)])
def test_the_code_of_a_body_that_is_interrupted_is_its_own(shell: str, trap: str, code: int) -> None:
    script = body_script(f"{trap}kill -INT $PPID $$; sleep 10", marks=MARKS, looks_after=True)
    assert run(shell, script, OTA_BODY=f"b{os.urandom(6).hex()}").returncode == code


@pytest.mark.edge
@pytest.mark.parametrize("shell", SHELLS)
def test_what_outlives_a_body_is_told_and_nothing_else(shell: str) -> None:
    mark = f"b{os.urandom(6).hex()}"
    body = "sleep 30 >/dev/null 2>&1 & echo $!; (exit 0) & wait $!; env -u OTA_BODY true"
    done = run(shell, body_script(body, marks=MARKS, looks_after=True), OTA_BODY=mark)
    pid = int(done.stdout.removeprefix(START))
    try:
        assert done.returncode == 0
        assert done.stderr == START + b"\x02ota:00ff:left %d\x03" % pid
        reader = StartMark(MARKS)
        assert reader.filter("stderr", done.stderr) + reader.finish() == b""
        assert reader.left == (pid,)
    finally:
        os.kill(pid, signal.SIGKILL)
    done = run(shell, body_script("sleep 0.1 & wait", marks=MARKS, looks_after=True), OTA_BODY=mark)
    assert done.stderr == START


@pytest.mark.parametrize("shell", SHELLS)
def test_a_container_that_cannot_show_that_it_is_the_one_is_told_and_where_needed_not_entered(
    shell: str,
) -> None:
    proof = Proof(text="0123456789abcdef")
    own = f"b{os.urandom(6).hex()}"
    script = body_script("echo ran", marks=MARKS, looks_after=True, proof=proof)
    done = run(shell, script, OTA_BODY=own)
    assert (done.returncode, done.stdout, done.stderr) == (0, START + b"ran\n", START)
    required = Proof(text=proof.text, is_required=True)
    script = body_script("echo ran", marks=MARKS, looks_after=True, proof=required)
    done = run(shell, script, OTA_BODY=own)
    reader = StartMark(MARKS)
    assert reader.filter("stderr", done.stderr) + reader.filter("stdout", done.stdout) == b""
    assert (done.returncode, reader.is_started, reader.said) == (125, False, NOT_THE_ONE)


# -- reading ---------------------------------------------------------------------------------------------


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


@given(
    said=st.binary(max_size=40), body=st.binary(max_size=80), cuts=st.lists(st.integers(0, 500), max_size=8)
)
def test_however_it_is_cut_what_follows_the_mark_passes_whole(
    said: bytes, body: bytes, cuts: list[int]
) -> None:
    if b"\x02" in said or b"\x02" in body:
        return
    mark = StartMark(MARKS)
    passed = (
        b"".join(mark.filter("stderr", piece) for piece in pieces(said + START + body, cuts)) + mark.finish()
    )
    assert mark.is_started and passed == body
    assert mark.said == said.decode("utf-8", "replace").strip()


@given(
    before=st.binary(max_size=40),
    after=st.binary(max_size=40),
    cuts=st.lists(st.integers(0, 500), max_size=8),
)
def test_the_word_of_a_kill_is_taken_out_of_the_output(before: bytes, after: bytes, cuts: list[int]) -> None:
    if b"\x02" in before or b"\x02" in after:
        return
    mark = StartMark(MARKS)
    mark.filter("stderr", START)
    passed = (
        b"".join(mark.filter("stderr", piece) for piece in pieces(before + OOM + after, cuts)) + mark.finish()
    )
    assert mark.saw_oom_kill and passed == before + after


@given(body=st.binary(max_size=200), cuts=st.lists(st.integers(0, 500), max_size=8))
def test_standard_output_passes_as_it_is_after_its_mark(body: bytes, cuts: list[int]) -> None:
    mark = StartMark(MARKS)
    assert b"".join(mark.filter("stdout", piece) for piece in pieces(START + body, cuts)) == body


def test_what_the_engine_says_on_either_stream_is_not_the_bodys() -> None:
    mark = StartMark(MARKS)
    assert mark.filter("stdout", b"OCI runtime exec failed\n") == b""
    assert mark.filter("stderr", b"Error: no\n") == b""
    assert not mark.is_started and mark.said == "Error: no\nOCI runtime exec failed"
    assert mark.finish() == b""


def test_nothing_is_held_back_from_a_live_stream() -> None:
    mark = StartMark(MARKS)
    mark.filter("stderr", START)
    assert mark.filter("stderr", b"50%") == b"50%"
    assert mark.filter("stderr", b"\x02") == b"" and mark.filter("stderr", b"x") == b"\x02x"


def test_an_engine_that_talks_without_end_is_passed_on() -> None:
    mark = StartMark(MARKS)
    noise = b"x" * 100_000
    assert mark.filter("stderr", noise) == noise and mark.is_started


def test_another_bodys_mark_is_output() -> None:
    mark = StartMark(MARKS)
    mark.filter("stderr", START)
    other = b"\x02ota:beef:oom\x03"
    assert mark.filter("stderr", other) + mark.finish() == other and not mark.saw_oom_kill
