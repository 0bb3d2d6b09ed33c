"""Discovery of the port a native workload chose: on a turned clock, and on real process trees."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest

from ota.errors import HostError
from ota.system.discovery import BoundPort, PortDiscovery, WorkloadProcesses
from ota.system.sockets import ProcessListener


def at(*listeners: tuple[str, int]) -> tuple[ProcessListener, ...]:
    return tuple(ProcessListener(address=address, port=port, pids=(7,)) for address, port in listeners)


Script = Callable[[float], tuple[ProcessListener, ...]]


def runs_on(_now: float) -> int | None:
    return None


def search(
    script: Script, exit_code: Callable[[float], int | None] = runs_on
) -> tuple[BoundPort, list[float]]:
    """Run a search over scripted observations; what it found and when it looked."""
    now = 0.0
    looks: list[float] = []
    discovery = PortDiscovery(
        WorkloadProcesses(pids=lambda: [7], exit_code=lambda: exit_code(now)),
        subject="task `dev`",
        started_at=0.0,
        observe=lambda _: script(now),
    )
    while True:
        looks.append(round(now, 3))
        due = discovery.step(now)
        if due is None:
            assert discovery.found is not None
            return discovery.found, looks
        assert due > now
        now = due


def refused(*args: object) -> HostError:
    with pytest.raises(HostError) as caught:
        search(*args)  # type: ignore[arg-type]
    return caught.value


def test_one_port_is_found_and_looked_for_fast_at_first() -> None:
    found, looks = search(lambda now: at(("127.0.0.1", 5173)) if now >= 0.3 else ())
    assert (found.address, found.port, found.pids) == ("127.0.0.1", 5173, (7,))
    assert looks[:5] == [0, 0.01, 0.035, 0.085, 0.185]


def test_one_port_on_both_loopbacks_is_one_port() -> None:
    found, _ = search(lambda _: at(("::1", 3000), ("127.0.0.1", 3000)))
    assert (found.address, found.addresses) == ("127.0.0.1", ("::1", "127.0.0.1"))


def test_two_ports_are_ambiguous() -> None:
    finding = refused(lambda _: at(("127.0.0.1", 3000), ("127.0.0.1", 9229))).findings[0]
    assert finding.code == "OTA_PORT_DISCOVERY_AMBIGUOUS"
    assert "port 3000 on 127.0.0.1 (pid 7)" in finding.why
    assert "port 9229" in finding.why
    assert "mode: fixed" in finding.next


def test_a_second_port_shortly_after_the_first_is_ambiguous() -> None:
    error = refused(
        lambda now: at(("127.0.0.1", 3000), ("127.0.0.1", 4000)) if now >= 0.06 else at(("127.0.0.1", 3000))
    )
    assert error.findings[0].code == "OTA_PORT_DISCOVERY_AMBIGUOUS"


def test_a_port_that_is_given_up_for_another_is_not_the_answer() -> None:
    found, _ = search(lambda now: at(("127.0.0.1", 3000)) if now < 0.05 else at(("127.0.0.1", 3001)))
    assert found.port == 3001


def test_nothing_within_ten_seconds_times_out() -> None:
    finding = refused(lambda _: ()).findings[0]
    assert finding.code == "OTA_PORT_DISCOVERY_TIMED_OUT"
    assert "timed out waiting for the declared service listener" in finding.summary


def test_a_port_that_never_settles_times_out() -> None:
    ports = iter(range(1000, 60000))
    assert refused(lambda _: at(("127.0.0.1", next(ports)))).findings[0].code.endswith("TIMED_OUT")


def test_a_leader_that_ends_first_is_an_error_with_its_exit_code() -> None:
    finding = refused(lambda _: (), lambda now: 3 if now > 1 else None).findings[0]
    assert finding.code == "OTA_PORT_DISCOVERY_PROCESS_EXITED"
    assert "exit code 3" in finding.summary


def test_a_table_that_cannot_be_read_is_an_error() -> None:
    def unreadable(_now: float) -> tuple[ProcessListener, ...]:
        raise PermissionError(13, "Permission denied")

    finding = refused(unreadable).findings[0]
    assert finding.code == "OTA_PORT_DISCOVERY_INSPECTION_FAILED"
    assert finding.why == "Permission denied"


# -- real process trees --------------------------------------------------------------------------------

LISTEN = """
import socket, sys
servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*[server.getsockname()[1] for server in servers], flush=True)
sys.stdin.read()
"""


@contextmanager
def running(*argv: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def processes_of(process: subprocess.Popen[str]) -> WorkloadProcesses:
    def pids() -> list[int]:
        try:
            leader = psutil.Process(process.pid)
            return [process.pid, *(child.pid for child in leader.children(recursive=True))]
        except psutil.NoSuchProcess:
            return []

    return WorkloadProcesses(pids=pids, exit_code=process.poll)


def discover(process: subprocess.Popen[str], stop: threading.Event | None = None) -> BoundPort | None:
    discovery = PortDiscovery(processes_of(process), subject="task `dev`", started_at=time.monotonic())
    stop = stop or threading.Event()
    while not stop.is_set():
        now = time.monotonic()
        due = discovery.step(now)
        if due is None:
            return discovery.found
        stop.wait(max(0.0, due - now))
    return None


@pytest.mark.edge
@pytest.mark.parametrize(
    "wrapper",
    [[], ["sh", "-c", '"$@"; true', "sh"], ["sh", "-c", 'sh -c \'"$@" & wait\' sh "$@"; true', "sh"]],
    ids=["direct", "shell", "background child of a shell in a shell"],
)
def test_the_listener_is_found_through_wrappers(wrapper: list[str]) -> None:
    server = [
        sys.executable,
        "-S",
        "-c",
        LISTEN.replace("sys.stdin.read()", "__import__('time').sleep(60)"),
        "1",
    ]
    with running(*wrapper, *server) as process:
        found = discover(process)
        assert process.stdout is not None
        assert found is not None
        assert found.port == int(process.stdout.readline())


@pytest.mark.edge
def test_a_real_server_with_two_ports_is_ambiguous() -> None:
    with running(sys.executable, "-S", "-c", LISTEN, "2") as process:
        with pytest.raises(HostError) as caught:
            discover(process)
        assert process.stdout is not None
        ports = process.stdout.readline().split()
    assert all(
        f"port {port} on 127.0.0.1 (pid {process.pid})" in caught.value.findings[0].why for port in ports
    )


@pytest.mark.edge
def test_a_real_leader_that_ends_is_an_error() -> None:
    with (
        subprocess.Popen(["sh", "-c", "exit 3"], text=True) as process,
        pytest.raises(HostError, match="exit code 3"),
    ):
        discover(process)


@pytest.mark.edge
def test_a_search_can_be_stopped() -> None:
    stop = threading.Event()
    stop.set()
    with subprocess.Popen(["sh", "-c", "exit 0"], text=True) as process:
        assert discover(process, stop) is None
