"""Workloads: sessions are emptied, bytes stay as they are, refusals are structured."""

import errno
import os
import shutil
import signal
import sys
import threading
from pathlib import Path

import pytest

from ota.system.processes import end_processes, observe_identity, processes_with_marker, session_members
from ota.system.spawn import SpawnError, SpawnRequest
from ota.system.workload import Workload, WorkloadEnd
from system.system_tools import Output, eventually, gone, identity_from, new_run_id, pid_from, python, shell

pytestmark = pytest.mark.edge


@pytest.fixture(autouse=True, params=["here", "elsewhere"])
def way(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of starting a child: in ota's own directory there is a quicker one."""
    if request.param == "here":
        monkeypatch.chdir(tmp_path)
    return str(request.param)


def run(request: SpawnRequest, output: Output | None = None, grace_s: float = 5.0) -> WorkloadEnd:
    with Workload(request, grace_s=grace_s) as workload:
        end = workload.supervise(output or Output(), limit_s=60)
    assert end is not None
    return end


def test_both_streams_arrive_apart_and_the_exit_code_is_the_childs(tmp_path: Path) -> None:
    output = Output()
    end = run(shell("echo out; echo err >&2; exit 3", cwd=tmp_path), output)
    assert (output.of("stdout"), output.of("stderr"), end.exit_code) == (b"out\n", b"err\n", 3)
    assert end.left_behind.ended == ()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_death_by_a_signal_becomes_128_plus_the_signal(tmp_path: Path, number: int) -> None:
    end = run(shell(f"ulimit -c 0; kill -{int(number)} $$", cwd=tmp_path))
    assert (end.exit_code, end.signal) == (128 + number, number)


def test_a_line_of_a_megabyte_arrives_unaltered(tmp_path: Path) -> None:
    output = Output()
    run(python("import sys; sys.stdout.write('x' * 1_000_000 + '\\n')", cwd=tmp_path), output)
    assert output.of("stdout") == b"x" * 1_000_000 + b"\n"


@pytest.mark.parametrize("mode", ["capture", "terminal"])
def test_every_byte_arrives_unaltered(tmp_path: Path, mode: str) -> None:
    output = Output()
    code = "import os; os.write(1, bytes(range(256)) * 40 + b'\\r\\n\\n\\r')"
    run(python(code, cwd=tmp_path, output=mode), output)  # type: ignore[arg-type]
    assert output.of("stdout") == bytes(range(256)) * 40 + b"\r\n\n\r"


def test_a_piece_arrives_before_the_child_goes_on(tmp_path: Path) -> None:
    """The child continues only once its first word was seen: buffering would never end."""
    seen = tmp_path / "seen"
    script = f"printf first; while [ ! -e {seen} ]; do sleep 0.01; done; printf second"
    output = Output()

    def pass_on(stream: str, data: bytes) -> None:
        output(stream, data)  # type: ignore[arg-type]
        seen.touch()

    with Workload(shell(script, cwd=tmp_path)) as workload:
        workload.supervise(pass_on, limit_s=30)
    assert [data for _, data in output.pieces] == [b"first", b"second"]


def test_a_child_that_closes_its_output_is_still_waited_for(tmp_path: Path) -> None:
    go = tmp_path / "go"
    script = f"exec >&- 2>&-; touch closed; while [ ! -e {go} ]; do sleep 0.01; done; exit 7"
    with Workload(shell(script, cwd=tmp_path)) as workload:
        eventually((tmp_path / "closed").exists)
        assert workload.supervise(Output(), limit_s=0.05) is None
        go.touch()
        end = workload.supervise(Output(), limit_s=30)
    assert end is not None
    assert end.exit_code == 7


def test_the_child_sees_two_terminals_with_a_size_and_no_second_newline(tmp_path: Path) -> None:
    output = Output()
    run(
        python(
            "import os; print(os.isatty(1), os.isatty(2), os.isatty(0)); os.write(2, b'e\\n')",
            cwd=tmp_path,
            output="terminal",
        ),
        output,
    )
    assert (output.of("stdout"), output.of("stderr")) == (b"True True False\n", b"e\n")


def test_only_the_named_streams_are_terminals(tmp_path: Path) -> None:
    output = Output()
    request = SpawnRequest(
        argv=("/bin/sh", "-c", "test -t 1 && echo one; test -t 2 && echo two"),
        cwd=tmp_path,
        env=dict(os.environ),
        run_id="r",
        output="terminal",
        terminal_streams=("stdout",),
    )
    run(request, output)
    assert output.text == "one\n"


def test_the_workload_has_a_session_of_its_own(tmp_path: Path) -> None:
    output = Output()
    run(python("import os; print(os.getsid(0) == os.getpid())", cwd=tmp_path), output)
    assert output.text == "True\n"


def test_only_the_standard_streams_are_inherited(tmp_path: Path) -> None:
    output = Output()
    extra = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(extra, True)
    try:
        run(shell("ls /proc/self/fd | wc -l", cwd=tmp_path), output)
    finally:
        os.close(extra)
    assert int(output.text) <= 4  # 0, 1, 2, and the one `ls` reads the folder with


def test_a_background_child_that_ignores_term_is_ended_and_named(tmp_path: Path) -> None:
    script = """
    (trap '' TERM INT HUP; echo ignoring > ready; exec >/dev/null 2>&1; while :; do sleep 30; done) &
    echo $! > pid
    while [ ! -e ready ]; do sleep 0.01; done
    exit 4
    """
    end = run(shell(script, cwd=tmp_path), grace_s=0.2)
    assert end.exit_code == 4
    assert end.was_killed
    assert pid_from(tmp_path / "pid") in {entry.identity.pid for entry in end.left_behind.ended}
    assert end.left_behind.survived == ()


def test_a_background_child_in_another_process_group_is_ended_with_the_session(tmp_path: Path) -> None:
    code = (
        "import os,time\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "  os.setpgid(0, 0); os.close(1); os.close(2); open('ready','w'); time.sleep(60)\n"
        "while not os.path.exists('ready'): time.sleep(0.01)\n"
        "open('pid','w').write(str(pid))\n"
    )
    with Workload(python(code, cwd=tmp_path)) as workload:
        end = workload.supervise(Output(), limit_s=30)
        assert session_members(workload.leader.pid) == ()
    assert end is not None
    assert [entry.identity.pid for entry in end.left_behind.ended] == [pid_from(tmp_path / "pid")]
    assert end.left_behind.ended[0].by == "term"


def test_what_a_grandchild_still_writes_within_two_seconds_arrives(tmp_path: Path) -> None:
    output = Output()
    end = run(shell("(sleep 0.3; echo late) & exit 0", cwd=tmp_path), output)
    assert output.text == "late\n"
    assert end.left_behind.ended == ()


def test_a_grandchild_that_holds_the_pipe_is_ended_after_two_seconds(tmp_path: Path) -> None:
    end = run(shell("sleep 60 & exit 0", cwd=tmp_path))
    assert [entry.command for entry in end.left_behind.ended] == ["sleep 60"]
    assert not end.pipes_were_held


def test_a_child_with_its_own_session_is_left_to_the_caller_and_found_by_its_marker(tmp_path: Path) -> None:
    run_id = new_run_id()
    script = "setsid sh -c 'echo $$ > pid; exec sleep 60' >/dev/null 2>&1 & while [ ! -s pid ]; do :; done"
    end = run(shell(script, cwd=tmp_path, run_id=run_id))
    daemon = identity_from(tmp_path / "pid")
    assert end.left_behind.ended == ()
    assert processes_with_marker(run_id) == (daemon,)
    assert end_processes(processes_with_marker(run_id)).survived == ()
    assert gone(daemon)


def test_a_daemon_that_holds_the_pipe_does_not_keep_ota_waiting(tmp_path: Path) -> None:
    run_id = new_run_id()
    script = "setsid sh -c 'echo $$ > pid; exec sleep 60' & while [ ! -s pid ]; do :; done"
    end = run(shell(script, cwd=tmp_path, run_id=run_id))
    assert end.pipes_were_held
    end_processes(processes_with_marker(run_id))
    eventually(lambda: not processes_with_marker(run_id))


def test_a_stop_reaches_every_group_and_ends_only_when_the_session_is_empty(tmp_path: Path) -> None:
    script = """
    (trap 'sleep 0.2; echo cleaned > cleaned; exit 0' TERM; touch ready; while :; do sleep 0.01; done) &
    while :; do sleep 0.01; done
    """
    with Workload(shell(script, cwd=tmp_path)) as workload:
        eventually((tmp_path / "ready").exists)
        end = workload.stop(signal.SIGTERM, grace_s=20)
    assert (end.exit_code, end.stopped_by, end.was_killed) == (143, signal.SIGTERM, False)
    assert (tmp_path / "cleaned").exists()


def test_an_int_that_background_jobs_ignore_is_followed_by_term(tmp_path: Path) -> None:
    script = "sleep 60 & touch ready; wait"
    with Workload(shell(script, cwd=tmp_path)) as workload:
        eventually((tmp_path / "ready").exists)
        end = workload.stop(signal.SIGINT, grace_s=20)
    assert (end.exit_code, end.was_killed) == (130, False)


def test_a_leader_that_ignores_everything_is_killed_after_the_grace(tmp_path: Path) -> None:
    script = "trap '' TERM INT; touch ready; while :; do sleep 0.01; done"
    with Workload(shell(script, cwd=tmp_path)) as workload:
        eventually((tmp_path / "ready").exists)
        end = workload.stop(signal.SIGTERM, grace_s=0.1)
    assert (end.exit_code, end.was_killed) == (137, True)
    assert session_members(workload.leader.pid) == ()


def test_a_second_stop_shortens_the_grace(tmp_path: Path) -> None:
    script = "trap '' TERM INT; touch ready; while :; do sleep 0.01; done"
    with Workload(shell(script, cwd=tmp_path)) as workload:
        eventually((tmp_path / "ready").exists)
        workload.request_stop(signal.SIGINT, grace_s=3600)
        assert workload.supervise(Output(), limit_s=0.05) is None
        workload.request_stop(signal.SIGINT, grace_s=3600)
        end = workload.supervise(Output(), limit_s=30)
    assert end is not None
    assert end.was_killed


def test_output_written_while_stopping_still_arrives(tmp_path: Path) -> None:
    code = (
        "import signal,sys,time\n"
        "def bye(*_):\n  sys.stdout.write('y'*300000); sys.stdout.flush(); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, bye); open('ready','w')\n"
        "while True: time.sleep(0.01)\n"
    )
    output = Output()
    with Workload(python(code, cwd=tmp_path)) as workload:
        eventually((tmp_path / "ready").exists)
        workload.request_stop(signal.SIGTERM)
        end = workload.supervise(output, limit_s=30)
    assert end is not None
    assert (len(output.of("stdout")), end.exit_code) == (300000, 0)


def test_a_stopped_child_can_be_ended(tmp_path: Path) -> None:
    with Workload(shell("touch ready; kill -STOP $$; sleep 60", cwd=tmp_path)) as workload:
        eventually((tmp_path / "ready").exists)
        end = workload.stop(signal.SIGTERM, grace_s=20)
    assert (end.exit_code, end.was_killed) == (143, False)


def test_leaving_the_block_early_ends_the_session(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Workload(shell("sleep 60 & sleep 60", cwd=tmp_path)) as workload:
        raise ZeroDivisionError
    assert session_members(workload.leader.pid) == ()
    assert gone(workload.leader)


def test_another_thread_can_wake_the_loop(tmp_path: Path) -> None:
    with Workload(shell("sleep 60", cwd=tmp_path)) as workload:
        timer = threading.Thread(target=workload.wake)
        timer.start()
        end = workload.supervise(Output(), on_wake=lambda: workload.request_stop(signal.SIGTERM), limit_s=30)
        timer.join()
    assert end is not None
    assert end.exit_code == 143
    workload.wake()  # harmless afterwards


def test_the_marker_names_the_run_and_those_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTA_RUN_MARKER", "outer")
    output = Output()
    run(shell("echo $OTA_RUN_MARKER; exit", cwd=tmp_path, run_id="inner"), output)
    assert output.text == "outer:inner\n"


def refusal(request: SpawnRequest) -> tuple[str, int, str]:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(SpawnError) as caught:
        Workload(request)
    assert len(os.listdir("/proc/self/fd")) == before
    finding = caught.value.findings[0]
    assert finding.summary
    assert finding.why
    assert finding.next
    return finding.code, caught.value.exit_code, finding.why


def command(*argv: str, cwd: Path) -> SpawnRequest:
    return SpawnRequest(argv=argv, cwd=cwd, env=dict(os.environ), run_id="r")


def test_a_script_sees_the_name_it_was_called_by(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\necho $0\n")
    (tmp_path / "tool").chmod(0o755)
    output = Output()
    run(command("./tool", cwd=tmp_path), output)
    assert output.text == "./tool\n"


def test_a_missing_program_is_127(tmp_path: Path) -> None:
    assert refusal(command("no-such-program", cwd=tmp_path))[:2] == ("OTA_SPAWN_NOT_FOUND", 127)
    assert refusal(command("./no-such-program", cwd=tmp_path))[:2] == ("OTA_SPAWN_NOT_FOUND", 127)


def test_a_file_without_the_executable_bit_is_126(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    assert refusal(command("./tool", cwd=tmp_path))[:2] == ("OTA_SPAWN_NOT_EXECUTABLE", 126)


def test_a_directory_is_126(tmp_path: Path) -> None:
    (tmp_path / "tool").mkdir()
    code, exit_code, why = refusal(command("./tool", cwd=tmp_path))
    assert (code, exit_code, why) == ("OTA_SPAWN_NOT_EXECUTABLE", 126, "it is a directory")


@pytest.mark.parametrize(
    ("content", "why"), [("#!/no/such/shell\n", "interpreter"), ("plain\n", "no program")]
)
def test_a_file_nobody_can_interpret_is_126(tmp_path: Path, content: str, why: str) -> None:
    (tmp_path / "tool").write_text(content)
    (tmp_path / "tool").chmod(0o755)
    code, exit_code, reason = refusal(command("./tool", cwd=tmp_path))
    assert (code, exit_code) == ("OTA_SPAWN_NOT_EXECUTABLE", 126)
    assert why in reason


def test_a_vanished_working_directory_is_named(tmp_path: Path) -> None:
    place = tmp_path / "gone"
    place.mkdir()
    place.rmdir()
    assert refusal(command("sh", "-c", ":", cwd=place))[:2] == ("OTA_SPAWN_CWD_MISSING", 1)


def test_a_working_directory_deleted_under_a_running_child_hurts_nobody(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    script = f"touch {tmp_path}/ready; while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; exit 5"
    with Workload(shell(script, cwd=place)) as workload:
        eventually((tmp_path / "ready").exists)
        shutil.rmtree(place)
        (tmp_path / "go").touch()
        end = workload.supervise(Output(), limit_s=30)
    assert end is not None
    assert end.exit_code == 5


def test_a_nul_byte_and_an_endless_argument_are_refused(tmp_path: Path) -> None:
    assert refusal(command("echo", "a\0b", cwd=tmp_path))[:2] == ("OTA_SPAWN_FAILED", 1)
    code, exit_code, why = refusal(command("echo", "a" * 3_000_000, cwd=tmp_path))[:3]
    assert (code, exit_code, why) == ("OTA_SPAWN_FAILED", 126, os.strerror(errno.E2BIG))


def test_the_interactive_child_owns_the_terminal_and_ota_gets_it_back(tmp_path: Path) -> None:
    """On a real pseudo-terminal: Ctrl+C reaches the child only, and afterwards ota is in front again."""
    import pexpect

    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from ota.system.spawn import SpawnRequest\n"
        "from ota.system.workload import Workload\n"
        "body = \"trap 'c=1; echo caught' INT; echo begin; until [ $c ]; do sleep 0.05; done; "
        'read x; echo got $x; stty -echo"\n'
        "r = SpawnRequest(argv=('/bin/sh','-c', body), cwd=Path('/'), env=dict(os.environ),\n"
        "                 run_id='r', output='inherit', stdin='inherit')\n"
        "with Workload(r) as w:\n"
        "    end = w.supervise(lambda *a: None)\n"
        "import termios\n"
        "echo = bool(termios.tcgetattr(0)[3] & termios.ECHO)\n"
        "print('end', end.exit_code, os.tcgetpgrp(0) == os.getpgrp(), echo, flush=True)\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    child = pexpect.spawn(sys.executable, ["-c", program], env=env, timeout=30, encoding="utf-8")
    try:
        child.expect("begin")
        # the terminal is handed over right after the start; until then Ctrl+C is ota's to forward
        eventually(lambda: os.tcgetpgrp(child.child_fd) != child.pid)
        child.sendintr()
        child.expect("caught")
        child.sendline("hello")
        child.expect("got hello")
        child.expect("end 0 True True")
        child.expect(pexpect.EOF)
    finally:
        child.close(force=True)


def test_ctrl_z_in_an_interactive_child_stops_ota_and_continues_with_it(tmp_path: Path) -> None:
    import pexpect

    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from ota.system.spawn import SpawnRequest\n"
        "from ota.system.workload import Workload\n"
        "r = SpawnRequest(argv=('/bin/sh','-c','echo begin; read x; echo got $x'), cwd=Path('/'),\n"
        "                 env=dict(os.environ), run_id='r', output='inherit', stdin='inherit')\n"
        "with Workload(r) as w:\n"
        "    print('end', w.supervise(lambda *a: None).exit_code, flush=True)\n"
    )
    (tmp_path / "program.py").write_text(program)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PS1": "PROMPT> "}
    child = pexpect.spawn("/bin/bash", ["--norc", "-i"], env=env, timeout=30, encoding="utf-8")
    try:
        child.expect_exact("PROMPT> ")
        child.sendline(f"{sys.executable} {tmp_path}/program.py")
        child.expect("begin")
        child.send("\x1a")
        child.expect("Stopped")
        child.sendline("fg")
        child.expect("program.py")
        child.sendline("hello")
        child.expect("got hello")
        child.expect("end 0")
        child.sendline("exit")
        child.expect(pexpect.EOF)
    finally:
        child.close(force=True)


def test_identity_of_the_leader_is_the_childs(tmp_path: Path) -> None:
    with Workload(shell("sleep 60", cwd=tmp_path)) as workload:
        assert workload.leader == observe_identity(workload.leader.pid)


def test_starting_in_our_own_directory_does_without_subprocess(tmp_path: Path, way: str) -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "from ota.system.spawn import SpawnRequest; from ota.system.workload import Workload\n"
        "r = SpawnRequest(argv=('sh', '-c', 'exit 3'), cwd=Path.cwd(), env=dict(os.environ), run_id='r')\n"
        "end = Workload(r).supervise(print)\n"
        "print(end.exit_code, 'subprocess' in sys.modules, 'threading' in sys.modules)"
    )
    output = Output()
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run(SpawnRequest(argv=(sys.executable, "-c", code), cwd=tmp_path, env=env, run_id="r"), output)
    assert output.text == "3 False False\n"


@pytest.mark.parametrize("name", ["SIGPIPE", "SIGINT"])
def test_children_start_with_default_signals_and_nothing_blocked(tmp_path: Path, name: str) -> None:
    output = Output()
    run(shell(f"kill -{name[3:]} $$; echo survived", cwd=tmp_path), output)
    assert output.text == ""


def test_a_new_window_size_is_passed_on(tmp_path: Path) -> None:
    """On a real pseudo-terminal whose size changes while the child runs."""
    import pexpect

    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from ota.system.interrupts import Interrupts\n"
        "from ota.system.spawn import SpawnRequest\n"
        "from ota.system.workload import Workload\n"
        "child = ('import os, signal\\n'\n"
        "  'from os import get_terminal_size as size\\n'\n"
        "  'def show(*_): print(\"size\", size(1).columns, size(2).lines, flush=True)\\n'\n"
        "  'signal.signal(signal.SIGWINCH, show); show()\\n'\n"
        "  'while True: signal.pause()')\n"
        "r = SpawnRequest(argv=(sys.executable, '-c', child), cwd=Path.cwd(), env=dict(os.environ),\n"
        "                 run_id='r', output='terminal')\n"
        "with Interrupts() as i, Workload(r, interrupts=i) as w:\n"
        "    epoch = i.epoch()\n"
        "    def wake():\n"
        "        if i.since(epoch): w.request_stop(2)\n"
        "    end = w.supervise(lambda s, d: os.write(1, d), on_wake=wake)\n"
        "    print('end', end.exit_code)\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    child = pexpect.spawn(
        sys.executable, ["-c", program], env=env, timeout=30, encoding="utf-8", dimensions=(30, 100)
    )
    try:
        child.expect("size 100 30")
        child.setwinsize(20, 40)
        child.expect("size 40 20")
        child.sendintr()
        child.expect("end 130|end 1")
        child.expect(pexpect.EOF)
    finally:
        child.close(force=True)
