"""Addresses, connecting and the table of listening sockets."""

import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ota.system import sockets
from ota.system.addresses import address_text
from ota.system.sockets import (
    AttemptDeadline,
    ConnectFailure,
    addresses_of,
    connect_tcp,
    family_of,
    is_local,
    listeners_of,
    parse_lsof,
    parse_socket_table,
    pids_holding,
    plain_address,
    read_listeners,
)


@contextmanager
def listening(address: str = "127.0.0.1", port: int = 0, *, dual: bool = False) -> Iterator[int]:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as server:
        if ":" in address:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual else 1)
        server.bind((address, port))
        server.listen()
        yield server.getsockname()[1]


# The first row listens on 127.0.0.1:8080; the second is a connection, the third is broken.
TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0
   1: 0100007F:1F91 0100007F:8001 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0 100 0
   2: zz:1F91 0100007F:8001 0A 00000000:00000000 00:00000000 00000000  1000        0 4713 1 0 100 0
"""
TABLE6 = """\
  sl  local_address                         remote_address                        st
   0: 00000000000000000000000001000000:0BB8 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 5 1
   1: 0000000000000000FFFF00000100007F:0BB9 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 6 1
"""


@pytest.mark.skipif(sys.byteorder == "big", reason="the sample is from a little-endian machine")
def test_only_listening_rows_are_read_from_the_table() -> None:
    (row,) = parse_socket_table(TABLE, socket.AF_INET)
    assert (row.address, row.port, row.inode, row.uid) == ("127.0.0.1", 8080, 4711, 1000)


@pytest.mark.skipif(sys.byteorder == "big", reason="the sample is from a little-endian machine")
def test_ipv6_rows_are_read_and_mapped_ipv4_is_ipv4() -> None:
    rows = list(parse_socket_table(TABLE6, socket.AF_INET6))
    assert [(row.address, row.port) for row in rows] == [("::1", 3000), ("127.0.0.1", 3001)]


def test_lsof_fields_are_read() -> None:
    text = "p123\nf7\nn127.0.0.1:3000\nf8\nn[::1]:3000\np200\nf3\nn*:80\n"
    assert list(parse_lsof(text)) == [(123, "127.0.0.1", 3000), (123, "::1", 3000), (200, "0.0.0.0", 80)]


@pytest.mark.edge
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_a_real_listener_is_in_the_table_with_its_holder(address: str) -> None:
    with listening(address) as port:
        (row,) = [row for row in read_listeners() if row.port == port]
        assert row.address == address
        assert row.uid == os.getuid()
        assert os.getpid() in pids_holding(row.inode)
        (own,) = [each for each in listeners_of([os.getpid()]) if each.port == port]
        assert (own.address, own.pids) == (address, (os.getpid(),))
    assert not [row for row in read_listeners() if row.port == port]


@pytest.mark.edge
def test_processes_that_are_gone_hold_nothing() -> None:
    assert listeners_of([]) == ()
    assert listeners_of([2**22 - 1]) == ()


@pytest.mark.edge
def test_a_socket_bound_without_listening_is_no_listener() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert bound.getsockname()[1] not in {row.port for row in read_listeners()}


@pytest.mark.edge
def test_connecting_succeeds_or_says_why() -> None:
    with listening() as port:
        connection = connect_tcp("127.0.0.1", port, AttemptDeadline(5))
        assert isinstance(connection, socket.socket)
        connection.close()
    failure = connect_tcp("127.0.0.1", port, AttemptDeadline(5))
    assert isinstance(failure, ConnectFailure)
    assert failure.cause == "refused"
    for address, odd_port in (("nowhere", 1), ("127.0.0.1", 70000), ("fe80::1%nozone", 80)):
        assert isinstance(connect_tcp(address, odd_port, AttemptDeadline(5)), ConnectFailure)


@pytest.mark.edge
def test_a_socket_that_met_itself_is_refused_and_leaves_the_port_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # When the kernel happens to choose the destination as the source port, TCP joins a socket with
    # itself. Binding the source port beforehand makes the accident certain.
    with listening() as port:
        pass

    class Unlucky(socket.socket):
        def connect_ex(self, address: tuple[str, int]) -> int:  # type: ignore[override]
            self.bind(address)
            return super().connect_ex(address)

    with monkeypatch.context() as patched:
        patched.setattr(sockets.socket, "socket", Unlucky)
        failure = connect_tcp("127.0.0.1", port, AttemptDeadline(5))
    assert isinstance(failure, ConnectFailure)
    assert failure.cause == "refused"
    with listening(port=port) as again:
        assert again == port


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("127.0.0.1", ("127.0.0.1",)),
        ("[::1]", ("::1",)),
        ("localhost", ("127.0.0.1", "::1")),
        ("LOCALHOST", ("127.0.0.1", "::1")),
        ("0.0.0.0", ("127.0.0.1",)),
        ("::", ("::1", "127.0.0.1")),
        ("::ffff:10.0.0.1", ("10.0.0.1",)),
    ],
)
def test_what_a_host_stands_for(host: str, addresses: tuple[str, ...]) -> None:
    assert addresses_of(host, AttemptDeadline(1)) == addresses


def test_a_look_up_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        over.wait(20)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with pytest.raises(TimeoutError, match="not looked up in time"):
        addresses_of("slow.example", AttemptDeadline(0.05))
    over.set()


def test_addresses_are_written_as_urls_write_them() -> None:
    assert address_text("::1", 80) == address_text("[::1]", 80) == "[::1]:80"
    assert address_text("127.0.0.1", 80) == "127.0.0.1:80"


def test_local_addresses_are_known() -> None:
    assert all(is_local(host) for host in ("localhost", "127.9.9.9", "[::1]", "0.0.0.0", "::"))
    assert not any(is_local(host) for host in ("10.0.0.1", "127.example.test", "example.test"))


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_a_name(text: str) -> None:
    plain_address(text)
    is_local(text)
    family_of(text)


@given(st.ip_addresses(v=6))
def test_an_ipv6_address_has_one_spelling(address: object) -> None:
    assert plain_address(f"[{address.exploded}]") == plain_address(str(address))  # type: ignore[attr-defined]


def test_a_deadline_only_comes_nearer() -> None:
    cut: list[float | None] = [None]
    deadline = AttemptDeadline(100.0, lambda: cut[0])
    part = deadline.part(0.5)
    assert 49 < part.remaining_s() <= 50
    cut[0] = 0.0
    assert deadline.is_over()
    assert part.is_over()
    cut[0] = 100.0
    assert deadline.remaining_s() == 0
