"""What `ota up` with six independent services costs beside the slowest of them: they start side by side."""

import json
import sys
import tempfile
from pathlib import Path

from measuring import OTA, Subject, measure, show

from readiness import free_port

SERVICES = 6
SLOW_S = 1.0
SLOWEST_S = 1.5
TARGET = 1.5
SERVER = """
import os, pathlib, socket, sys, time
port, delay, folder = int(sys.argv[1]), float(sys.argv[2]), pathlib.Path(__file__).parent
if os.fork():
    sys.exit()
os.setsid()
(folder / f"{port}.pid").write_text(str(os.getpid()))
time.sleep(delay)
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("127.0.0.1", port))
server.listen(64)
while True:
    server.accept()[0].close()
"""
STOP = """
import contextlib, os, pathlib, signal
for each in pathlib.Path(__file__).parent.glob("*.pid"):
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(each.read_text()), signal.SIGKILL)
    each.unlink()
"""
# One service, started and awaited without ota: what nothing can be faster than.
ALONE = """
import socket, subprocess, sys, time
subprocess.run([sys.executable, "-S", "server.py", *sys.argv[1:]], check=True)
while True:
    with socket.socket() as client:
        if not client.connect_ex(("127.0.0.1", int(sys.argv[1]))):
            break
    time.sleep(0.005)
subprocess.run([sys.executable, "stop.py"], check=True)
"""


def write(folder: Path) -> list[int]:
    """A contract of host services of which each takes its time; their ports, the slowest one last."""
    ports = [free_port() for _ in range(SERVICES)]
    lines = ["version: 1", "project: {name: bench}"]
    lines += ["execution: {contexts: {host: {backend: native}}}", "services:"]
    for number, port in enumerate(ports):
        delay = SLOWEST_S if number == SERVICES - 1 else SLOW_S
        start = json.dumps({"exe": sys.executable, "args": ["-S", "server.py", str(port), str(delay)]})
        lines += [
            f"  service-{number}:",
            "    required: true",
            f"    manager: {{kind: host, name: service-{number}, start: {start}}}",
            f"    endpoints: {{host: {{address: 127.0.0.1, port: {port}}}}}",
            "    readiness: {kind: tcp, from: host}",
        ]
    lines += ["tasks: {ready: {run: ':'}}", "workflows: {default: all, all: {setup: {task: ready}}}"]
    (folder / "ota.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name, text in (("server.py", SERVER), ("stop.py", STOP), ("alone.py", ALONE)):
        (folder / name).write_text(text, encoding="utf-8")
    return ports


def bench(rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="ota-bench-") as name:
        folder = Path(name)
        ports = write(folder)
        up = f"'{OTA}' up && '{sys.executable}' stop.py"
        subjects = [
            Subject(
                "the slowest service alone", [sys.executable, "alone.py", str(ports[-1]), str(SLOWEST_S)]
            ),
            Subject("ota up", ["sh", "-c", up], TARGET),
        ]
        title = f"{SERVICES} independent services, median of {rounds}"
        show(title, subjects, measure(subjects, folder, rounds))
