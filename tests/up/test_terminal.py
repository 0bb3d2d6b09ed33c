"""`ota up` on a real terminal: the living line, the report after it, Ctrl-C, who has the keyboard."""

import contextlib
import signal
import sys

import pexpect
import pytest

from services.conftest import host_service
from support.project import OTA
from support.servers import free_port, is_listening
from up.conftest import contract, web

pytestmark = pytest.mark.edge

CLEAR = "\r\x1b[K"
ASKS = """
import sys
print("your name?", flush=True)
print("hello", sys.stdin.readline().strip(), flush=True)
"""


@pytest.fixture
def terminal():
    opened = []

    def open_terminal(repo, *args, **env):
        argv = [*OTA, "up", *args]
        variables = {**repo.environment(), "TERM": "xterm", **env}
        child = pexpect.spawn(
            argv[0], argv[1:], cwd=str(repo.path), env=variables, timeout=30, encoding="utf-8"
        )
        opened.append(child)
        return child

    yield open_terminal
    for child in opened:
        with contextlib.suppress(pexpect.ExceptionPexpect):
            child.close(force=True)


def all_of(child) -> str:
    child.expect(pexpect.EOF)
    child.close()
    return child.before


@pytest.fixture
def slow(upped):
    db = free_port()
    services = host_service("db", db, delay_s=1.5)
    workflow = "    setup: {task: setup}\n    services: {required: [db]}\n"
    return upped(
        contract(services=services, tasks="  setup: {run: echo words of setup}\n", workflow=workflow)
    )


def test_while_it_waits_one_line_lives_and_goes(slow, terminal):
    child = terminal(slow)
    child.expect_exact("Preparing environment...")
    child.expect_exact(CLEAR)
    rest = all_of(child)
    assert child.exitstatus == 0
    report = rest[rest.rindex(CLEAR) + len(CLEAR) :]
    assert "✓ READY" in report and "Preparing" not in report
    assert "words of setup" not in rest


@pytest.mark.parametrize("how", [("--plain",), ("--debug",), ("--stream",)])
def test_nothing_lives_where_it_was_not_wanted(slow, terminal, how):
    assert "Preparing environment" not in all_of(terminal(slow, *how))


def test_a_dumb_terminal_gets_plain_lines(slow, terminal):
    shown = all_of(terminal(slow, TERM="dumb"))
    assert "Preparing environment" not in shown and "\x1b" not in shown
    assert "> services (db)" in shown


def test_ctrl_c_while_it_waits_is_an_interruption(slow, terminal):
    child = terminal(slow, NO_COLOR="1")
    child.expect_exact("Preparing environment...")
    child.sendintr()
    shown = all_of(child)
    assert child.exitstatus == 128 + signal.SIGINT
    assert "INTERRUPTED" in shown and "Status:      interrupted" in shown


def test_an_attach_task_has_the_terminal(upped, terminal):
    port = free_port()
    asks = f"  talk:\n    command: {{exe: {sys.executable}, args: [ask.py], interaction: required}}\n"
    workflow = "    run: {task: dev}\n    attach: {task: talk}\n"
    repo = upped(contract(tasks=web(port) + asks, workflow=workflow), **{"ask.py": ASKS})
    child = terminal(repo, "--attach")
    child.expect_exact("your name?")
    assert is_listening(port)
    child.sendline("Otter")
    child.expect_exact("hello Otter")
    shown = all_of(child)
    assert child.exitstatus == 0, shown
    assert not is_listening(port)


def test_attached_to_the_run_task_ctrl_c_ends_it(upped, terminal):
    port = free_port()
    repo = upped(contract(tasks=web(port), workflow="    run: {task: dev}\n"))
    child = terminal(repo, "--attach")
    child.expect_exact("staying with dev until Ctrl-C")
    child.sendintr()
    shown = all_of(child)
    assert child.exitstatus == 130, shown
    assert not is_listening(port)
