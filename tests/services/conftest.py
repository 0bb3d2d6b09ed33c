"""Services of this machine for tests: each writes down its process, and is ended when the test is over."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from support.leaks import wait_ended
from support.project import Project

DAEMON = '''
"""daemon.py NAME PORT [DELAY_S] [HOW]: go to the background, listen after DELAY_S, answer GET with `up`."""
import http.server, os, sys, time
name, port = sys.argv[1], int(sys.argv[2])
delay = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
how = sys.argv[4] if len(sys.argv) > 4 else "daemon"
with open("started.txt", "a") as log:
    log.write(f"{name}\\n")
print(f"starting {name}", flush=True)
if os.fork():
    os._exit(0)
if how == "daemon":
    os.setsid()
with open(f"{name}-{os.getpid()}.pid", "w") as file:
    file.write(str(os.getpid()))
with open(f"{name}.pid", "w") as file:
    file.write(str(os.getpid()))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print(f"asked for {self.path}", flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"up")
    def log_message(self, *args): pass
time.sleep(delay)
with open("listening.txt", "a") as log:
    log.write(f"{name} {time.time():.6f}\\n")
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
'''


def contract(services: str, tasks: str, contexts: str = "    host: {backend: native}\n") -> str:
    """A contract from its parts, each indented as below its key."""
    return (
        "version: 1\nproject: {name: served}\nexecution:\n  contexts:\n"
        f"{contexts}services:\n{services}tasks:\n{tasks}"
    )


def host_service(name: str, port: int, *, delay_s: float = 0, how: str = "daemon", more: str = "") -> str:
    """A host-managed service that `daemon.py` is, with tcp readiness from the host."""
    return (
        f"  {name}:\n    required: true\n    manager:\n      kind: host\n"
        f'      start: {{exe: python3, args: [daemon.py, {name}, "{port}", "{delay_s}", {how}]}}\n'
        f"    endpoints: {{host: {{address: 127.0.0.1, port: {port}}}}}\n"
        f"    readiness: {{kind: tcp, from: host, interval: 50ms, retries: 200}}\n{more}"
    )


@pytest.fixture
def served_on_host(project: Callable[..., Project]) -> Iterator[Callable[[Project], None]]:
    """Give a repository `daemon.py`; the services that the test starts with it are ended with the test."""
    made: list[Path] = []

    def give(repo: Project) -> None:
        made.append(repo.path)
        repo.write({"daemon.py": DAEMON})

    yield give
    for path in made:
        for file in path.glob("*.pid"):
            with suppress(psutil.NoSuchProcess, ValueError):
                process = psutil.Process(int(file.read_text()))
                process.kill()
                assert wait_ended([process], 10) == []


@pytest.fixture
def served(
    project: Callable[..., Project], served_on_host: Callable[[Project], None]
) -> Callable[..., Project]:
    """Make a repository with `daemon.py`."""

    def make(text: str, **files: str) -> Project:
        repo = project({"ota.yaml": text, **files})
        served_on_host(repo)
        return repo

    return make
