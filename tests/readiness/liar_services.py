"""Services that lie in one particular way each, on real sockets, for the tests of readiness."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

Behaviour = Callable[[socket.socket, int, threading.Event], None]
"""Given the accepted connection, its number (from 0), and the event that ends the service."""


class Service:
    """A listening socket whose connections are handled by one behaviour, each in its own thread."""

    def __init__(self, behaviour: Behaviour, address: str = "127.0.0.1", port: int = 0) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listening = socket.socket(family, socket.SOCK_STREAM)
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            self._listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self._listening.bind((address, port))
        self._listening.listen(64)
        self.address = address
        self.port = int(self._listening.getsockname()[1])
        self.requests: list[bytes] = []
        self.accepted = 0
        self._behaviour = behaviour
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            number = self.accepted
            self.accepted += 1
            thread = threading.Thread(target=self._serve, args=(connection, number), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with connection, contextlib.suppress(OSError):
            self._behaviour(connection, number, self._over)

    def stop(self) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()


@contextlib.contextmanager
def serving(behaviour: Behaviour, address: str = "127.0.0.1", port: int = 0) -> Iterator[Service]:
    service = Service(behaviour, address, port)
    try:
        yield service
    finally:
        service.stop()


def read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(4096)
        if not more:
            break
        data += more
    return data


def answer(status: int = 200, body: bytes = b"ok", headers: str = "", length: bool = True) -> bytes:
    text = f"HTTP/1.1 {status} Words\r\n{headers}"
    if length:
        text += f"Content-Length: {len(body)}\r\n"
    return text.encode() + b"\r\n" + body


def answering(*answers: bytes, seen: list[bytes] | None = None) -> Behaviour:
    """The given answers in turn, the last one for ever."""

    def behave(connection: socket.socket, number: int, _over: threading.Event) -> None:
        request = read_request(connection)
        if seen is not None:
            seen.append(request)
        connection.sendall(answers[min(number, len(answers) - 1)])

    return behave


def closing(connection: socket.socket, _number: int, _over: threading.Event) -> None:
    """Accepts, then closes."""


def silent(connection: socket.socket, _number: int, over: threading.Event) -> None:
    """Accepts and never answers."""
    over.wait(20)


def dripping(data: bytes, pause_s: float = 0.02) -> Behaviour:
    """Sends its answer one byte at a time."""

    def behave(connection: socket.socket, _number: int, over: threading.Event) -> None:
        read_request(connection)
        for at in range(len(data)):
            connection.sendall(data[at : at + 1])
            if over.wait(pause_s):
                return

    return behave


def sending_then_waiting(data: bytes) -> Behaviour:
    def behave(connection: socket.socket, _number: int, over: threading.Event) -> None:
        read_request(connection)
        connection.sendall(data)
        over.wait(20)

    return behave


def unused_port(address: str = "127.0.0.1") -> int:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])
