"""Pre-flight binds, reservations, and who holds a port."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ota.env.masking import Masker
from ota.errors import HostError, Place
from ota.system.ports import (
    PortHolder,
    addresses_overlap,
    find_port_holder,
    port_taken_finding,
    preflight_bind,
    render_holder,
    reserve_port,
)

pytestmark = pytest.mark.edge

SERVER = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
server = socket.socket(family)
server.bind((sys.argv[1], int(sys.argv[2])))
server.listen()
print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def server_process(address: str, port: int = 0, **env: str) -> Iterator[tuple[int, int]]:
    """A real process that listens; its pid and port. It is nobody's task unless `env` says so."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTA_")}
    with subprocess.Popen(
        [sys.executable, "-S", "-c", SERVER, address, str(port)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**inherited, **env},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            yield process.pid, int(process.stdout.readline())
        finally:
            process.kill()


@contextmanager
def listening(address: str, *, dual: bool = False) -> Iterator[int]:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as server:
        if ":" in address:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual else 1)
        server.bind((address, 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("held", "asked", "answer"),
    [
        ("127.0.0.1", "127.0.0.1", "taken"),
        ("127.0.0.1", "0.0.0.0", "taken"),
        ("127.0.0.1", "localhost", "taken"),
        ("127.0.0.1", "::1", "free"),
        ("127.0.0.1", "::", "taken"),
        ("0.0.0.0", "127.0.0.1", "taken"),
        ("0.0.0.0", "::1", "free"),
        ("::1", "127.0.0.1", "free"),
        ("::1", "localhost", "taken"),
        ("::1", "[::1]", "taken"),
    ],
)
def test_a_preflight_bind_tells_what_a_server_would_meet(held: str, asked: str, answer: str) -> None:
    with listening(held) as port:
        assert preflight_bind(asked, port) == answer
    assert preflight_bind(asked, port) == "free"


def test_a_dual_stack_wildcard_takes_ipv4_too() -> None:
    with listening("::", dual=True) as port:
        assert preflight_bind("127.0.0.1", port) == "taken"
        holder = find_port_holder("127.0.0.1", port)
        assert holder is not None
        assert (holder.address, holder.pid) == ("::", os.getpid())


def test_connections_that_were_closed_do_not_hold_a_port() -> None:
    with listening("127.0.0.1") as port:
        pass
    with socket.create_server(("127.0.0.1", port)) as server:
        client = socket.create_connection(("127.0.0.1", port))
        served, _ = server.accept()
        served.close()  # the server's side closes first: its port stays in TIME_WAIT
        client.close()
    assert preflight_bind("127.0.0.1", port) == "free"


def test_an_address_of_another_machine_is_no_address_here() -> None:
    assert preflight_bind("192.0.2.1", 8080) == "no_such_address"
    assert preflight_bind("nobody.invalid", 8080) == "no_such_address"
    assert preflight_bind("127.0.0.1", 70000) == "no_such_address"


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1", "localhost"])
def test_a_reserved_port_is_nobody_elses_until_it_is_released(address: str) -> None:
    with reserve_port(address) as reservation:
        assert preflight_bind(address, reservation.port) == "taken"
        ports = set()
        for _ in range(50):
            with reserve_port(address) as other:
                ports.add(other.port)
        assert reservation.port not in ports
        reservation.release()
        assert preflight_bind(address, reservation.port) == "free"


def test_reserving_on_localhost_holds_both_loopbacks() -> None:
    with reserve_port("localhost") as reservation:
        assert preflight_bind("127.0.0.1", reservation.port) == "taken"
        assert preflight_bind("::1", reservation.port) == "taken"


def test_a_reservation_that_cannot_be_made_is_a_finding() -> None:
    with pytest.raises(HostError) as caught:
        reserve_port("192.0.2.1")
    assert caught.value.findings[0].code == "OTA_HOST_PORT_RESERVATION_FAILED"


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "0.0.0.0", True),
        ("127.0.0.1", "::1", False),
        ("127.0.0.1", "127.0.0.2", False),
        ("0.0.0.0", "::1", False),
        ("::", "127.0.0.1", True),
        ("::", "0.0.0.0", True),
        ("[::1]", "::1", True),
        ("::ffff:127.0.0.1", "127.0.0.1", True),
    ],
)
def test_which_binds_exclude_each_other(one: str, other: str, overlap: bool) -> None:
    assert addresses_overlap(one, other) is overlap
    assert addresses_overlap(other, one) is overlap


def test_a_foreign_holder_is_named() -> None:
    with server_process("127.0.0.1") as (pid, port):
        holder = find_port_holder("0.0.0.0", port)
        assert holder is not None
        assert (holder.pid, holder.is_ours, holder.task, holder.container) == (pid, False, None, None)
        assert holder.since is not None
        text = render_holder(holder)
        finding = port_taken_finding(
            "127.0.0.1", port, holder, subject="task `dev`, listener `http`",
            place=Place(file="ota.yaml", field="tasks.dev.runtime.listeners.http.project.host.port"),
            host_port_command="ota run dev --host-port 4000",
        )  # fmt: skip
    assert f"pid {pid}" in text
    assert sys.executable in text
    assert finding.title == "Host publication failed"
    assert f"could not publish host port {port}" in finding.summary
    assert f"kill {pid}" in finding.next
    assert "`ota run dev --host-port 4000`" in finding.next


def test_a_holder_of_ours_says_which_task_of_which_repository() -> None:
    marks = {"OTA_RUN_MARKER": "outer-run:inner-run", "OTA_TASK": "dev", "OTA_HOST_WORKSPACE": "/srv/shop"}
    with server_process("::1", **marks) as (_, port):
        holder = find_port_holder("localhost", port)
    assert holder is not None
    assert (holder.run_id, holder.task, holder.repo) == ("inner-run", "dev", "/srv/shop")
    assert "started by ota as task `dev` in /srv/shop (run inner-run)" in render_holder(holder)


def test_the_exact_address_is_preferred_among_several_holders() -> None:
    with server_process("::1") as (_, port), server_process("127.0.0.1", port) as (second, _):
        holder = find_port_holder("127.0.0.1", port)
        assert holder is not None
        assert holder.pid == second


def test_a_free_port_has_no_holder() -> None:
    with listening("127.0.0.1") as port:
        pass
    assert find_port_holder("127.0.0.1", port) is None
    assert "no process visible" in render_holder(None)


def _fake_proc(root: Path, pid: int, inode: int, cmdline: bytes, cgroup: str) -> Path:
    (root / "net").mkdir(parents=True)
    header = "sl local rem st tx tr retr uid timeout inode\n"
    word = int.from_bytes(socket.inet_aton("0.0.0.0"), sys.byteorder)
    row = f"0: {word:08X}:1F90 00000000:0000 0A 0:0 0:0 0 {os.getuid()} 0 {inode} 1\n"
    (root / "net" / "tcp").write_text(header + row)
    (root / "net" / "tcp6").write_text(header)
    process = root / str(pid)
    (process / "fd").mkdir(parents=True)
    (process / "fd" / "3").symlink_to(f"socket:[{inode}]")
    (process / "cmdline").write_bytes(cmdline)
    (process / "cgroup").write_text(cgroup)
    return root


def test_an_engines_proxy_is_told_as_its_container(tmp_path: Path) -> None:
    words = b"/usr/bin/docker-proxy\0-proto\0tcp\0-container-ip\x00172.17.0.2\0-container-port\x0080\0"
    holder = find_port_holder("127.0.0.1", 8080, _fake_proc(tmp_path, 7, 99, words, ""))
    assert holder is not None
    assert holder.container == "the container at 172.17.0.2:80"
    assert "container at 172.17.0.2:80" in render_holder(holder)


def test_a_process_inside_a_container_is_told_by_its_control_group(tmp_path: Path) -> None:
    name = "ab" * 32
    cgroup = f"0::/system.slice/docker-{name}.scope\n"
    holder = find_port_holder("127.0.0.1", 8080, _fake_proc(tmp_path, 7, 99, b"nginx\0", cgroup))
    assert holder is not None
    assert holder.container == "ab" * 6


def test_a_holder_that_may_not_be_looked_into_still_has_a_user(tmp_path: Path) -> None:
    proc = _fake_proc(tmp_path, 7, 99, b"", "")
    (proc / "7" / "fd" / "3").unlink()
    holder = find_port_holder("127.0.0.1", 8080, proc)
    assert holder is not None
    assert holder.pid is None
    assert holder.user
    finding = port_taken_finding("127.0.0.1", 8080, holder, subject="task `dev`")
    assert "kill" not in finding.next
    assert "held on 0.0.0.0 by a process this user may not look into" in finding.why


def test_our_own_holder_may_be_used_or_stopped() -> None:
    holder = PortHolder(address="127.0.0.1", port=1, pid=42, run_id="r", task="dev", repo="/srv")
    assert port_taken_finding("127.0.0.1", 1, holder, subject="x").next.startswith("use what already runs")


@pytest.mark.parametrize("padding", range(0, 80, 9))
def test_a_secret_on_the_command_line_of_a_holder_is_masked_where_the_line_was_cut(padding: int) -> None:
    secret = "Zq7/+k:w@y%3tr_1234567890"
    command = f"serve {'x' * padding} --token {secret}"
    holder = PortHolder(address="127.0.0.1", port=80, pid=7, command=command)
    assert secret[:4] not in Masker([secret]).mask(render_holder(holder))
