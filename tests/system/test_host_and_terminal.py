"""Facts about host and terminal."""

import os
import subprocess
import sys

import pytest

from ota.system.host import arch_token, observe_cpu_count, observe_host, os_token
from ota.system.terminal import is_terminal, observe_terminal, observe_width, wants_colour


def test_this_host_is_described() -> None:
    facts = observe_host()
    assert facts.os == "linux" or not sys.platform.startswith("linux")
    assert facts.uid == os.getuid()
    assert facts.home
    assert facts.user
    assert observe_cpu_count() >= 1


def test_home_and_user_come_from_the_account_when_the_environment_is_empty(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HOME", "USER", "LOGNAME", "USERNAME", "USERPROFILE"):
        monkeypatch.delenv(name, raising=False)
    facts = observe_host()
    assert facts.home.startswith("/")
    assert facts.user


@pytest.mark.parametrize(
    ("platform", "token"), [("linux", "linux"), ("darwin", "macos"), ("win32", "windows")]
)
def test_platforms_have_the_contracts_names(platform: str, token: str) -> None:
    assert os_token(platform) == token


@pytest.mark.parametrize(
    ("machine", "token"), [("x86_64", "x64"), ("AMD64", "x64"), ("aarch64", "arm64"), ("riscv64", "riscv64")]
)
def test_machines_have_the_contracts_names(machine: str, token: str) -> None:
    assert arch_token(machine) == token


@pytest.mark.parametrize(
    ("on_terminal", "variables", "wanted"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
        (False, {"CLICOLOR_FORCE": "1"}, True),
        (False, {"CLICOLOR_FORCE": "0"}, False),
        (True, {"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colour_follows_the_known_variables(
    on_terminal: bool, variables: dict[str, str], wanted: bool
) -> None:
    assert wants_colour(on_terminal=on_terminal, variables=variables) is wanted


def test_a_pseudo_terminal_is_one_and_a_pipe_is_none() -> None:
    ours, theirs = os.openpty()
    read_end, write_end = os.pipe()
    try:
        assert observe_terminal(theirs, {"TERM": "xterm"}).is_capable
        assert not observe_terminal(theirs, {"TERM": "dumb"}).is_capable
        assert not is_terminal(write_end)
        assert observe_width(write_end, {}) == 80
        assert observe_width(write_end, {"COLUMNS": "40"}) == 40
        assert observe_width(write_end, {"COLUMNS": "-3"}) == 80
    finally:
        for descriptor in (ours, theirs, read_end, write_end):
            os.close(descriptor)
    assert not is_terminal(theirs)


def test_a_closed_standard_stream_becomes_the_null_device() -> None:
    code = (
        "import os; os.close(1); os.close(2)\n"
        "from ota.system.terminal import ensure_standard_streams; ensure_standard_streams()\n"
        "r, w = os.pipe(); os.write(1, b'lost'); raise SystemExit(0 if min(r, w) > 2 else 9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
