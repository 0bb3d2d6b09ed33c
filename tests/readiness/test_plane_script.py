"""Readiness requests as shell text, with each tool an image may have."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ota.readiness.plane_script import TOOLLESS, http_script, judged_http, judged_tcp, tcp_script
from support.servers import free_port

pytestmark = pytest.mark.edge

TOOLS = ("curl", "python3", "wget", "nc", "bash")
ANY = ((200, 399),)


def only(folder: Path, *tools: str) -> dict[str, str]:
    """A PATH with the basics and these tools; a test is skipped where one is missing."""
    for name in (*tools, "sh", "mktemp", "head", "rm", "timeout", "cat"):
        # `python3` on PATH may be a script that needs more than this folder has
        found = os.path.realpath(sys.executable) if name == "python3" else shutil.which(name)
        if found is None:
            pytest.skip(f"{name} is not installed here")
        (folder / name).symlink_to(found)
    return {"PATH": str(folder)}


def ask(script: str, env: dict[str, str]) -> tuple[int, str, str]:
    done = subprocess.run(["/bin/sh", "-c", script], env=env, capture_output=True, text=True, timeout=20)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def server(tmp_path: Path):
    """A file server with one file; its port."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "ok").write_text("all is well")
    port = free_port()
    process = subprocess.Popen(
        ["python3", "-u", "-m", "http.server", "--bind", "127.0.0.1", "-d", str(tmp_path / "www"), str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ},
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield port
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("tool", ["curl", "python3", "wget"])
def test_http_is_judged_by_the_same_rules_whatever_asks(tmp_path: Path, server: int, tool: str) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    env = only(tools, tool)

    def judged(path: str, body: str | None = None, port: int = server) -> str:
        return judged_http(*ask(http_script("GET", "127.0.0.1", port, path, {}, 2.0), env), ANY, body).detail

    assert judged("/ok") == "status 200"
    assert judged("/ok", "is well") == "status 200"
    assert judged("/ok", "lost") == 'status 200, body lacks "lost"'
    if tool != "wget" or shutil.which("busybox"):
        assert judged("/nowhere").startswith(("status 404", "exited", "wget", "server"))
    assert judged("/ok", port=free_port()) == "refused" or tool == "wget"


@pytest.mark.parametrize("tool", ["python3", "nc", "bash"])
def test_tcp_tells_an_open_port_from_a_closed_one(tmp_path: Path, server: int, tool: str) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    env = only(tools, tool)
    for port, is_open in ((server, True), (free_port(), False)):
        code, _, said = ask(tcp_script("127.0.0.1", port, 1.0), env)
        assert judged_tcp(code, said).ok is is_open


def test_a_plane_without_any_tool_says_so(tmp_path: Path) -> None:
    env = only(tmp_path)
    assert ask(tcp_script("127.0.0.1", 1, 1.0), env)[0] == TOOLLESS
    assert ask(http_script("GET", "127.0.0.1", 1, "/", {}, 1.0), env)[0] == TOOLLESS
