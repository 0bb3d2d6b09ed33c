"""Runs on a real terminal: hangup, keys, resize, 40 columns, and tasks that own the terminal."""

import contextlib
import os
import re
import signal
import sys
import time

import pexpect
import psutil
import pytest

from support.leaks import MARK, marked_processes
from support.project import OTA

pytestmark = pytest.mark.edge

ASKS = """
import os, sys
terminal = open("/dev/tty", "r+b", buffering=0)
terminal.write(b"Password: ")
word = terminal.readline()
print("isatty", [os.isatty(number) for number in (0, 1, 2)], "got", word, flush=True)
"""
WAITS = """
import os, signal, time
signal.signal(signal.SIGCONT, lambda *_: is_here and print("continued", flush=True))
is_here = False
while os.tcgetpgrp(0) != os.getpgrp():
    time.sleep(0.005)
is_here = True
print("waiting", flush=True)
while True:
    time.sleep(0.05)
"""
CONTRACT = f"""
version: 1
project: {{name: terminals}}
tasks:
  long: {{run: "echo begun; sleep 300"}}
  family: {{run: "sleep 300 & (trap '' HUP INT; sleep 300) & setsid sleep 300 & echo begun; sleep 300"}}
  stubborn: {{run: "trap '' INT TERM HUP; echo begun; while true; do sleep 0.2; done"}}
  size: {{run: "trap 'stty size <&1; exit 0' WINCH; stty size <&1; while true; do sleep 0.05; done"}}
  wide: {{run: "echo {"w" * 200}", description: "{"many words " * 30}"}}
  fails: {{run: "echo {"w" * 200}; exit 3"}}
  asks:
    command: {{exe: {sys.executable}, args: [ask.py], interaction: required}}
  waits:
    command: {{exe: {sys.executable}, args: [wait.py], interaction: required}}
"""


@pytest.fixture
def repo(project):
    return project({"ota.yaml": CONTRACT, "ask.py": ASKS, "wait.py": WAITS})


@pytest.fixture
def terminal(repo):
    opened = []

    def open_terminal(*args, command=None, dimensions=(24, 80)):
        argv = command or [*OTA, "run", *args]
        child = pexpect.spawn(
            argv[0],
            argv[1:],
            cwd=str(repo.path),
            env={**repo.environment(), "TERM": "xterm", "PS1": "PROMPT> "},
            timeout=30,
            dimensions=dimensions,
        )
        opened.append(child)
        return child

    yield open_terminal
    for child in opened:
        with contextlib.suppress(pexpect.ExceptionPexpect):  # the test has collected it already
            child.close(force=True)


def living():
    return [each for each in marked_processes(os.environ[MARK]) if each.status() != psutil.STATUS_ZOMBIE]


def ended(child):
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus


@pytest.mark.parametrize("task", ["long", "family", "stubborn", "waits"])
def test_closing_the_terminal_ends_the_task_and_leaves_nothing(repo, terminal, task):
    child = terminal(task)
    child.expect("waiting" if task == "waits" else "begun")
    ota = psutil.Process(child.pid)
    with contextlib.suppress(pexpect.ExceptionPexpect):  # it does not wait as long as the task takes
        child.close(force=False)  # the window is closed: the kernel sends HUP
    with contextlib.suppress(psutil.NoSuchProcess):
        ota.wait(20)
    _, alive = psutil.wait_procs(living(), timeout=15)
    assert [each.cmdline() for each in alive] == []
    active = repo.path / ".ota/state/active"
    assert not active.exists() or list(active.iterdir()) == []


def test_a_second_ctrl_c_hurries_and_still_cleans(terminal):
    child = terminal("stubborn", "--stream")
    child.expect("begun")
    began = time.monotonic()
    child.sendintr()
    assert child.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=0.5) == 1  # two at one moment may be one
    child.sendintr()
    assert ended(child) == 130
    assert time.monotonic() - began < 4.0
    assert living() == []


def test_a_new_window_size_reaches_the_task(terminal):
    child = terminal("size", "--stream", dimensions=(30, 90))
    child.expect("30 90")
    child.setwinsize(20, 44)
    child.expect("20 44")
    assert ended(child) == 0


@pytest.mark.parametrize("words", [("wide",), ("fails",), ("wide", "--receipt"), ("nonsense",)])
def test_forty_columns_are_enough(terminal, words):
    child = terminal(*words, dimensions=(24, 40))
    child.expect(pexpect.EOF)
    text = child.before.decode()
    assert "Traceback" not in text
    child.close()
    assert child.exitstatus == {"wide": 0, "fails": 3}.get(words[0], 1)


def test_an_interactive_command_has_the_real_terminal(terminal):
    child = terminal("asks")
    child.expect("Password: ")
    child.sendline("secret word")
    child.expect(re.escape("isatty [True, True, True] got b'secret word\\n'"))
    assert ended(child) == 0


def test_ctrl_c_reaches_an_interactive_command(terminal):
    child = terminal("waits")
    child.expect("waiting")
    child.sendintr()
    assert ended(child) == 130
    assert living() == []


def test_ctrl_z_stops_an_interactive_command_and_fg_brings_it_back(repo, terminal):
    child = terminal(command=["bash", "--norc", "--noprofile", "-i"])
    child.expect_exact("PROMPT> ")
    child.sendline(" ".join([*OTA, "run", "waits"]))
    child.expect("waiting")
    child.sendcontrol("z")
    child.expect("Stopped")
    child.expect_exact("PROMPT> ")
    child.sendline("fg")
    child.expect("continued")
    child.sendintr()
    child.expect_exact("PROMPT> ")
    child.sendline("exit $?")
    assert ended(child) == 130
    assert living() == []


def test_ctrl_z_stops_the_programs_around_ota_too(repo, terminal):
    """`make`, a wrapper script: with only ota stopped, its parent would wait and keep the terminal."""
    words = " ".join([*OTA, "run", "waits"])
    repo.write({"wrapper.sh": f"#!/bin/sh\n{words}\necho wrapped $?\n"})
    child = terminal(command=["bash", "--norc", "--noprofile", "-i"])
    child.expect_exact("PROMPT> ")
    child.sendline("./wrapper.sh")
    child.expect("waiting")
    child.sendcontrol("z")
    child.expect("Stopped")
    child.expect_exact("PROMPT> ")
    child.sendline("fg")
    child.expect("continued")
    child.sendintr()
    child.expect("PROMPT> ")
    child.sendline("exit")
    ended(child)
    assert living() == []


def test_ctrl_z_without_a_shell_to_come_back_to_does_not_freeze_the_terminal(terminal):
    child = terminal("waits")
    child.expect("waiting")
    child.sendcontrol("z")
    child.expect("continued")
    child.sendintr()
    assert ended(child) == 130


def test_a_run_stopped_in_the_background_of_a_shell_goes_on(repo, terminal):
    child = terminal(command=["bash", "--norc", "--noprofile", "-i"])
    child.expect_exact("PROMPT> ")
    child.sendline(" ".join([*OTA, "run", "long", "--stream"]))
    child.expect("begun\r\n")
    child.sendcontrol("z")
    child.expect("Stopped")
    child.expect_exact("PROMPT> ")
    child.sendline("fg")
    child.expect("run long")
    child.sendintr()
    child.expect_exact("PROMPT> ")
    child.sendline("exit $?")
    assert ended(child) == 130
    assert living() == []


def test_hup_to_ota_alone_ends_an_interactive_command(terminal):
    child = terminal("waits")
    child.expect("waiting")
    os.kill(child.pid, signal.SIGHUP)
    assert ended(child) == 129
    assert living() == []
