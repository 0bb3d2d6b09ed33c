"""The kernel's direct answer says what its files say."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ota.system import socket_diag, sockets
from ota.system.sockets import Listener, parse_socket_table, read_listeners

pytestmark = pytest.mark.edge


@pytest.fixture
def ports() -> Iterator[set[int]]:
    """Ports of listeners on several addresses of both families."""
    addresses = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0")]
    addresses += [(socket.AF_INET6, "::1"), (socket.AF_INET6, "::")]
    with ExitStack() as stack:
        made = [
            stack.enter_context(socket.create_server((host, 0), family=family)) for family, host in addresses
        ]
        yield {each.getsockname()[1] for each in made}


def by_file() -> list[Listener]:
    rows = []
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        rows += parse_socket_table(Path("/proc/net", name).read_text(), family)
    return rows


def chosen(rows, ports: set[int]) -> set[tuple[str, int, int, int]]:
    return {(row.address, row.port, row.inode, row.uid) for row in rows if row.port in ports}


def test_the_kernel_says_the_same_in_both_ways(ports: set[int]) -> None:
    asked = chosen(sockets._by_diagnosis(), ports)
    assert len(asked) == 4
    assert asked == chosen(by_file(), ports)


def test_connections_are_not_listeners(ports: set[int]) -> None:
    port = next(row.port for row in by_file() if row.port in ports and row.address == "127.0.0.1")
    with socket.create_connection(("127.0.0.1", port)) as client:
        found = {row.port for row in sockets._by_diagnosis()}
        assert client.getsockname()[1] not in found


def test_without_an_answer_of_the_kernel_the_files_are_read(
    ports: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_family: object) -> None:
        raise OSError("no such protocol")

    monkeypatch.setattr(socket_diag, "listening_sockets", refuse)
    assert len(chosen(read_listeners(), ports)) == 4


def test_a_question_the_kernel_does_not_take_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_diag, "_SOCK_DIAG_BY_FAMILY", 999)
    with pytest.raises(OSError, match="does not tell"):
        socket_diag.listening_sockets(socket.AF_INET)
