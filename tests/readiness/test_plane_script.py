"""Readiness requests as shell text, with each tool an image may have."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

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
    assert judged("/nowhere").startswith("status 404")
    assert judged("/ok", port=free_port()) == "refused"


class Odd(BaseHTTPRequestHandler):
    """Answers `/<status>`; what it says looks like an answer of its own, and it moves to a healthy page."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        status = int(self.path[1:])
        body = b"" if status == 204 or self.command == "HEAD" else b"x\nHTTP/1.1 503 Unavailable\nready\n"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 302:
            self.send_header("Location", "/200")
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def odd() -> Iterator[tuple[int, list[str]]]:
    """The port of such a server, and what it was asked."""
    asked: list[str] = []
    handler = type("Handler", (Odd,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        thread = Thread(target=serving.serve_forever)
        thread.start()
        yield serving.server_address[1], asked
        serving.shutdown()
        thread.join()


@pytest.mark.parametrize("tool", ["curl", "python3", "wget", "busybox"])
def test_the_status_is_that_of_the_first_answer_whatever_asks(
    tmp_path: Path, odd: tuple[int, list[str]], tool: str
) -> None:
    port, asked = odd
    env = only(tmp_path, tool)
    if tool == "busybox":
        (tmp_path / "wget").symlink_to(tmp_path / "busybox")

    def said(method: str, path: str) -> tuple[int, str, str]:
        return ask(http_script(method, "127.0.0.1", port, path, {}, 5.0), env)

    for status in (200, 201, 204, 302, 404):
        judged = judged_http(*said("GET", f"/{status}"), ((status, status),), None)
        assert judged.detail == f"status {status}"
    assert judged_http(*said("GET", "/200"), ANY, "ready").ok
    if tool == "busybox":  # what it has then is of the page it was led to
        assert not judged_http(*said("GET", "/302"), ANY, "ready").ok
    asked.clear()
    code, printed, _ = said("HEAD", "/200")
    if tool == "busybox":
        assert (code, asked) == (TOOLLESS, [])
    else:
        assert (code, printed.splitlines()[0], asked) == (0, "ota-status 200", ["HEAD /200"])


def test_a_wget_that_shows_no_headers_is_not_asked(tmp_path: Path) -> None:
    env = only(tmp_path)
    (tmp_path / "wget").write_text("#!/bin/sh\necho 'Usage: wget [-c] [-q] URL'\n")
    (tmp_path / "wget").chmod(0o755)
    assert ask(http_script("GET", "127.0.0.1", 1, "/", {}, 1.0), env)[0] == TOOLLESS


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
