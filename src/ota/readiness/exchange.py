"""One exchange over a connected socket, plain or TLS, in which every wait ends with the attempt's deadline.

Owns sending, receiving, the TLS handshake and the bounded reading of one HTTP answer. What it cannot
bring to an end it raises as `CutShortError`, which carries the attempt's result.

Source: runtime specification 11.1.
"""

import socket
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ota.contract.durations import render_elapsed
from ota.readiness.certificates import untrusted
from ota.readiness.http import BODY_LIMIT, Head, MalformedAnswerError, decode_chunks, split_head
from ota.readiness.results import ProbeResult, failed
from ota.system.sockets import AttemptDeadline, wait_readable, wait_writable

if TYPE_CHECKING:
    import ssl

_T = TypeVar("_T")
_WIRE_LIMIT = 8 * BODY_LIMIT
"""Chunk sizes and extensions count too, or a body of nothing else would never end."""


class CutShortError(Exception):
    """The attempt is over before an answer could be judged."""

    def __init__(self, result: ProbeResult) -> None:
        super().__init__(result.detail)
        self.result = result


class Wire:
    """A connection, plain or TLS, on which every wait ends with the attempt's deadline."""

    def __init__(self, connection: socket.socket, deadline: AttemptDeadline) -> None:
        self._connection = connection
        self._deadline = deadline
        self._began = time.monotonic()
        self._has_tls = False

    def start_tls(self, host: str, *, verify: bool) -> None:
        import ssl

        context = ssl.create_default_context() if verify else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if not verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        try:
            secure = context.wrap_socket(
                self._connection, server_hostname=host, do_handshake_on_connect=False
            )
            self._connection = secure
            self._has_tls = True
            self._retried(secure.do_handshake, "no TLS handshake")
        except ssl.SSLCertVerificationError as error:
            raise CutShortError(untrusted(host, error)) from error
        except ssl.SSLError as error:
            raise CutShortError(_no_tls(error)) from error
        except ValueError as error:  # a host that cannot be a server name
            raise CutShortError(failed("connection", "tls", str(error))) from error

    def send(self, data: bytes) -> None:
        sent = 0
        while sent < len(data):
            rest = data[sent:]
            sent += self._retried(partial(self._connection.send, rest), "request not taken")

    def receive(self, doing: str = "no answer") -> bytes:
        """The next bytes, empty at the end of the stream."""
        try:
            return self._retried(lambda: self._connection.recv(16384), doing)
        except OSError as error:
            if self._has_tls and type(error).__name__ == "SSLEOFError":
                return b""  # closed without saying goodbye, as many servers do
            raise

    def spent(self) -> str:
        return render_elapsed(time.monotonic() - self._began)

    def close(self) -> None:
        # The TLS wrapper took over the descriptor of the plain socket.
        self._connection.close()

    def _retried(self, action: Callable[[], _T], doing: str) -> _T:
        while True:
            if self._deadline.is_over():
                raise CutShortError(failed("connection", "no_answer", f"{doing} within {self.spent()}"))
            try:
                return action()
            except BlockingIOError:
                waits_to_write = doing == "request not taken"
            except OSError as error:
                # ssl is imported only where it is used, so its waiting states are told by name.
                name = type(error).__name__
                if name not in ("SSLWantReadError", "SSLWantWriteError"):
                    raise
                waits_to_write = name == "SSLWantWriteError"
            wait = wait_writable if waits_to_write else wait_readable
            wait(self._connection, self._deadline.slice_s())


def _no_tls(error: "ssl.SSLError") -> ProbeResult:
    reason = (error.reason or str(error)).replace("_", " ").lower()
    if reason in ("wrong version number", "http request", "record layer failure"):
        return failed("connection", "tls", "does not speak TLS (plain http?)")
    return failed("connection", "tls", f"TLS failed: {reason}")


def read_head(wire: Wire) -> tuple[Head, bytes]:
    data = b""
    while True:
        try:
            split = split_head(data)
        except MalformedAnswerError as error:
            raise CutShortError(_not_http(data, error)) from error
        if split is not None:
            head, data = split
            if not head.is_interim:
                return head, data
            continue
        more = wire.receive("headers not complete" if data else "no answer")
        if not more:
            where = "in the middle of its headers" if data else "without an answer"
            raise CutShortError(failed("connection", "closed_at_once", f"accepted, then closed {where}"))
        data += more


def _not_http(data: bytes, error: MalformedAnswerError) -> ProbeResult:
    if data[:1] == b"\x15":  # a TLS alert
        return failed("connection", "malformed", "speaks TLS, not plain http")
    return failed("connection", "malformed", f"did not answer in HTTP: {error}")


def find_in_body(text: bytes, head: Head, wire: Wire, data: bytes) -> tuple[bool, str]:
    """Whether the first 32768 bytes of the body contain `text`, and what cut the reading short."""
    if head.status in (204, 304):
        return False, " (this status has no body)"
    while True:
        try:
            body, is_whole = decode_chunks(data) if head.is_chunked else (data, False)
        except MalformedAnswerError as error:
            return False, f" ({error})"
        length = head.content_length if not head.is_chunked else None
        if text in body[:BODY_LIMIT][:length]:
            return True, ""
        if len(body) >= BODY_LIMIT or len(data) >= _WIRE_LIMIT:
            return False, f" in its first {BODY_LIMIT} bytes"
        if is_whole or (length is not None and len(body) >= length):
            return False, ""
        try:
            more = wire.receive()
        except CutShortError:
            return False, f" (incomplete after {wire.spent()}, {len(body)} bytes so far)"
        except OSError:
            more = b""
        if not more:
            cut_short = head.is_chunked or length is not None
            return False, f" (closed after {len(body)} bytes)" if cut_short else ""
        data += more
