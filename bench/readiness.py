"""How soon a service that became ready is noticed: from its own note of the moment to the confirmed endpoint.

The service starts listening after a random time and writes down when; then the line with which `ota run`
confirms the endpoint is awaited. `docker compose up --wait` is shown beside, with the shortest interval that
its health checks take.
"""

import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from engine import IMAGE, engine_environment
from measuring import OTA, verdict

NATIVE_TARGET_MS = 25
CONTAINER_TARGET_MS = 60
LIMIT_S = 30
SERVICE = """
import pathlib, socket, sys, time
time.sleep(float(pathlib.Path("delay").read_text()))
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("127.0.0.1", int(sys.argv[1])))
server.listen(64)
pathlib.Path("ready").write_text(str(time.monotonic()))
while True:
    connection, _ = server.accept()
    connection.settimeout(1)
    try:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
    except OSError:
        pass
    connection.close()
"""
# `/proc/uptime` is the clock that a container shares and a shell can read; it counts hundredths of a second.
CONTAINER_SERVICE = (
    'sleep "$(cat delay)"; cut -d" " -f1 /proc/uptime > ready; exec httpd -f -p 0.0.0.0:8080 -h /workspace'
)


def contract(port: int) -> str:
    """A native service seen through HTTP, one through TCP, and one in a container."""
    argv = json.dumps(["-S", "service.py", str(port)])
    here = f"{{address: 127.0.0.1, port: {{mode: fixed, value: {port}}}}}"
    published = f"{{address: 127.0.0.1, port: {{mode: fixed, value: {port}}}}}"
    body = json.dumps(CONTAINER_SERVICE)
    app = f"{{backend: container, lifecycle: ephemeral, container: {{image: {IMAGE}, engines: [docker]}}}}"
    return f"""\
version: 1
project: {{name: bench}}
execution: {{contexts: {{app: {app}}}}}
tasks:
  native-http:
    launch: {{kind: command, exe: {sys.executable}, args: {argv}}}
    runtime:
      kind: service
      listeners: {{web: {{protocol: http, bind: {here}, project: {{host: {published}}}}}}}
      readiness: {{kind: http, listener: web, path: /}}
  native-tcp:
    launch: {{kind: command, exe: {sys.executable}, args: {argv}}}
    runtime:
      kind: service
      listeners: {{web: {{protocol: tcp, bind: {here}, project: {{host: {published}}}}}}}
      readiness: {{kind: tcp, listener: web}}
  container-http:
    context: app
    run: {body}
    runtime:
      kind: service
      listeners:
        web:
          protocol: http
          bind: {{address: 0.0.0.0, port: {{mode: fixed, value: 8080}}}}
          project: {{host: {published}}}
      readiness: {{kind: http, listener: web, path: /ready}}
"""


COMPOSE = {
    "services": {
        "web": {
            "image": IMAGE,
            "command": ["sh", "-c", CONTAINER_SERVICE.replace("$", "$$")],
            "working_dir": "/workspace",
            "volumes": [".:/workspace"],
            "healthcheck": {
                "test": ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/ready"],
                "interval": "1s",
                "retries": 30,
            },
        }
    }
}


def bench(rounds: int) -> None:
    print(f"\nFrom ready to noticed, {rounds} starts each")
    with tempfile.TemporaryDirectory(prefix="ota-bench-") as name:
        folder = Path(name)
        (folder / "ota.yaml").write_text(contract(free_port()), encoding="utf-8")
        (folder / "service.py").write_text(SERVICE, encoding="utf-8")
        tell("native, http", folder, rounds, partial(noticed_by_ota, folder, "native-http"), NATIVE_TARGET_MS)
        tell("native, tcp", folder, rounds, partial(noticed_by_ota, folder, "native-tcp"), NATIVE_TARGET_MS)
        environ = engine_environment()
        if environ is not None:
            notice = partial(noticed_by_ota, folder, "container-http", environ)
            tell("container, http", folder, rounds, notice, CONTAINER_TARGET_MS)
            tell("docker compose up --wait", folder, rounds, partial(noticed_by_compose, folder, environ))


def tell(
    name: str, folder: Path, rounds: int, notice: Callable[[], float], target_ms: float | None = None
) -> None:
    """One line: how long it took from the service's own note to the notice, over several starts."""
    chance = random.Random(1)
    times = []
    for _ in range(rounds):
        (folder / "ready").unlink(missing_ok=True)
        (folder / "delay").write_text(f"{chance.uniform(0.2, 1.5):.3f}", encoding="utf-8")
        try:
            seen_s = notice()
        except (OSError, RuntimeError) as failed:
            print(f"left out: {name}: {failed}")
            return
        times.append((seen_s - float((folder / "ready").read_text(encoding="utf-8"))) * 1000)
    middle = statistics.median(times)
    told = f"  {name:<30}{middle:>9.1f} ms   worst {max(times):6.1f} ms  {verdict(middle, target_ms)}"
    print(told.rstrip(), flush=True)


def noticed_by_ota(folder: Path, task: str, environ: Mapping[str, str] = os.environ) -> float:
    """When `ota run` confirmed the endpoint; the run is ended then."""
    run = subprocess.Popen(
        [OTA, "run", task],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stderr is not None
    said = []
    try:
        for line in run.stderr:
            said.append(line)
            if line.startswith("External:"):
                return time.monotonic()
    finally:
        run.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.communicate(timeout=LIMIT_S)
    raise RuntimeError("".join(said[-8:]))


def noticed_by_compose(folder: Path, environ: Mapping[str, str]) -> float:
    """When `docker compose up --wait` came back; what it made is removed."""
    (folder / "compose.json").write_text(json.dumps(COMPOSE), encoding="utf-8")
    compose = ["docker", "compose", "-f", "compose.json", "-p", f"ota-bench-{os.getpid()}"]
    quiet = {"cwd": folder, "env": environ, "capture_output": True, "timeout": 2 * LIMIT_S}
    try:
        done = subprocess.run([*compose, "up", "--wait"], **quiet)  # type: ignore[call-overload]
        noticed = time.monotonic()
        if done.returncode:
            raise RuntimeError(done.stderr.decode("utf-8", "replace")[-300:])
        return noticed
    finally:
        subprocess.run([*compose, "down", "--timeout", "0"], **quiet)  # type: ignore[call-overload]


def free_port() -> int:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
