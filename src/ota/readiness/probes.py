"""One attempt to find out whether an endpoint is ready: TCP and HTTP.

Owns a single attempt, bounded in total by one deadline, and a precise word for each way it can fail.
Does not own repetition (`wait`), nor what to do about a failure (`ladder`).

Source: runtime specification 11.1; decisions D7.
"""

import socket
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from ota.contract.durations import render_elapsed
from ota.readiness.http import (
    BODY_LIMIT,
    Head,
    MalformedAnswerError,
    decode_chunks,
    encode_request,
    split_head,
)
from ota.system.ports import addresses_overlap
from ota.system.sockets import (
    AttemptDeadline,
    ConnectFailure,
    ProcessListener,
    address_text,
    addresses_of,
    connect_tcp,
    host_text,
    is_local,
    is_wildcard,
    listeners_of,
    unbracketed,
    wait_readable,
    wait_writable,
)

if TYPE_CHECKING:
    import ssl

Reached = Literal["nothing", "connection", "answer", "content"]
"""How far an attempt came: no connection; connected; an answer of the protocol; the right content."""

_ORDER: dict[Reached, int] = {"nothing": 0, "connection": 1, "answer": 2, "content": 3}

Cause = Literal[
    "ok",
    "name_unknown",
    "refused",
    "connect_timed_out",
    "unreachable",
    "not_own_listener",
    "closed_at_once",
    "no_answer",
    "malformed",
    "tls",
    "certificate",
    "status",
    "redirect",
    "body",
    "failed",
]

StatusRange = tuple[int, int]
ANY_SUCCESS: tuple[StatusRange, ...] = ((200, 399),)

NATIVE_SETTLE_S = 0.003
STRICT_SETTLE_S = 0.1
"""How long an accepted connection must stay open. An engine's proxy in front of nothing accepts and
closes within about a millisecond; the strict wait leaves room for a busy machine."""


class ProbeResult(Struct, frozen=True, kw_only=True):
    """What one attempt found out."""

    ok: bool
    reached: Reached
    cause: Cause
    detail: str
    """`refused`, `status 503 (expected 200-399)`; fit to follow the target in a sentence."""
    elapsed_ms: int
    status: int | None = None
    address: str | None = None
    """The literal address this is about."""
    is_local: bool = False
    location: str | None = None
    note: str | None = None
    """Something odd about a success."""

    @property
    def depth(self) -> int:
        """`reached` as a number, to compare attempts."""
        return _ORDER[self.reached]

    @property
    def refused_locally(self) -> bool:
        return self.cause == "refused" and self.is_local


class Probe(Protocol):
    """Something that can be asked whether it is ready, again and again, from any thread."""

    @property
    def target(self) -> str:
        """What is asked: `http 127.0.0.1:8080/health`, `tcp [::1]:5432`."""

    @property
    def timeout_s(self) -> float:
        """The most one attempt may take."""

    def attempt(self, deadline: AttemptDeadline | None = None) -> ProbeResult:
        """Ask once; over when `deadline` is, or after `timeout_s`."""


class TcpProbe(Struct, frozen=True, kw_only=True):
    """Ready when a connection is accepted.

    `closed_at_once`: what a connection that is accepted and closed straight away means. A native
    listener is the workload's own socket, so it is a note; behind an engine's published port it proves
    that nothing listens, so it must be a failure there.
    """

    host: str
    port: int
    timeout_s: float = 2.0
    closed_at_once: Literal["note", "fail"] = "note"

    @property
    def target(self) -> str:
        return f"tcp {address_text(self.host, self.port)}"

    def attempt(self, deadline: AttemptDeadline | None = None) -> ProbeResult:
        return _attempt(self.host, self.port, deadline or AttemptDeadline(self.timeout_s), self._judge)

    def _judge(self, connection: socket.socket, _address: str, deadline: AttemptDeadline) -> ProbeResult:
        settle_s = NATIVE_SETTLE_S if self.closed_at_once == "note" else STRICT_SETTLE_S
        if not _closes_within(connection, settle_s, deadline):
            return _passed("connection", "accepts connections")
        if self.closed_at_once == "note":
            return replace(_passed("connection", "accepts connections"), note="accepted, then closed at once")
        return _failed("connection", "closed_at_once", "accepted, then closed at once")


class HttpProbe(Struct, frozen=True, kw_only=True):
    """Ready when a request is answered with an accepted status and, if asked for, the right text."""

    host: str
    port: int
    scheme: Literal["http", "https"] = "http"
    path: str = "/"
    method: Literal["GET", "HEAD"] = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    accepts: tuple[StatusRange, ...] = ANY_SUCCESS
    body_contains: str | None = None
    timeout_s: float = 2.0
    verify_certificate: bool = False
    """Listeners of a task have certificates of their own making; a literal https URL is verified."""

    @property
    def target(self) -> str:
        return f"{self.scheme} {address_text(self.host, self.port)}{self.path}"

    def attempt(self, deadline: AttemptDeadline | None = None) -> ProbeResult:
        return _attempt(self.host, self.port, deadline or AttemptDeadline(self.timeout_s), self._judge)

    def _judge(self, connection: socket.socket, address: str, deadline: AttemptDeadline) -> ProbeResult:
        wire = _Wire(connection, deadline)
        try:
            if self.scheme == "https":
                wire.start_tls(unbracketed(self.host), verify=self.verify_certificate)
            wire.send(encode_request(self.method, self.path, self._host_header(address), self.headers))
            head, rest = _read_head(wire)
            return self._judged(head, wire, rest)
        except _CutShortError as cut:
            return cut.result
        finally:
            wire.close()

    def _host_header(self, address: str) -> str:
        host = host_text(address if is_wildcard(self.host) else self.host)
        default = 443 if self.scheme == "https" else 80
        return host if self.port == default else f"{host}:{self.port}"

    def _judged(self, head: Head, wire: "_Wire", rest: bytes) -> ProbeResult:
        status = head.status
        if not any(low <= status <= high for low, high in self.accepts):
            return self._wrong_status(head)
        passed = replace(_passed("content", f"status {status}"), status=status)
        if self.body_contains is None or self.method == "HEAD":
            return passed
        found, why = _body_has(self.body_contains.encode("utf-8", "replace"), head, wire, rest)
        if found:
            return passed
        lacks = f'status {status}, body lacks "{_shortened(self.body_contains)}"{why}'
        return replace(_failed("answer", "body", lacks), status=status)

    def _wrong_status(self, head: Head) -> ProbeResult:
        expected = f"expected {render_statuses(self.accepts)}"
        location = head.headers.get("location")
        if 300 <= head.status < 400 and location:
            detail = f"redirect {head.status} to {_shortened(location)} (not followed; {expected})"
            result = _failed("answer", "redirect", detail)
            return replace(result, status=head.status, location=location)
        return replace(_failed("answer", "status", f"status {head.status} ({expected})"), status=head.status)


class OwnListenerProbe(Struct, frozen=True, kw_only=True):
    """Ready when the address is held by the workload's own processes, not by a stranger who answers there.

    A gate beside the declared probe: without it a server left over from yesterday would make a task
    ready that never bound its port.
    """

    host: str
    port: int
    pids: Callable[[], Collection[int]]
    timeout_s: float = 2.0
    observe: Callable[[Collection[int]], tuple[ProcessListener, ...]] = listeners_of

    @property
    def target(self) -> str:
        return f"own listener {address_text(self.host, self.port)}"

    def attempt(self, deadline: AttemptDeadline | None = None) -> ProbeResult:
        began = time.monotonic()
        try:
            listeners = self.observe(self.pids())
            wanted = addresses_of(self.host, deadline or AttemptDeadline(self.timeout_s))
        except OSError:
            result = replace(_passed("connection", "not observed"), note="the socket table could not be read")
            return _timed(result, began)
        for listener in listeners:
            if listener.port == self.port and any(
                addresses_overlap(listener.address, each) for each in wanted
            ):
                return _timed(_passed("connection", f"bound on {listener.text}"), began)
        held = ", ".join(listener.text for listener in listeners)
        detail = f"not bound by this task{f', which listens on {held}' if held else ''}"
        return _timed(_failed("nothing", "not_own_listener", detail), began)


def url_probe(
    url: str,
    *,
    timeout_s: float = 2.0,
    method: Literal["GET", "HEAD"] = "GET",
    headers: tuple[tuple[str, str], ...] = (),
    accepts: tuple[StatusRange, ...] = ((200, 200),),
    body_contains: str | None = None,
) -> HttpProbe:
    """A probe of a literal URL; certificates of https URLs are verified.

    Raises:
        ValueError: the reason why this is not a URL to probe.
    """
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in ("http", "https"):
        raise ValueError(f"`{url}` is not an absolute http or https URL")
    ends = [at for at in (rest.find(mark) for mark in "/?#") if at >= 0]
    authority, path = (rest[: min(ends)], rest[min(ends) :]) if ends else (rest, "/")
    if "@" in authority:
        raise ValueError("a URL to probe carries no credentials; declare a header instead")
    host, port_text = _split_port(authority)
    port = (443 if scheme == "https" else 80) if not port_text else _port(port_text)
    if not unbracketed(host):
        raise ValueError(f"`{url}` names no host")
    return HttpProbe(
        scheme="https" if scheme == "https" else "http",
        host=unbracketed(host),
        port=port,
        path=path if path.startswith("/") else "/" + path,
        method=method,
        headers=headers,
        accepts=accepts,
        body_contains=body_contains,
        timeout_s=timeout_s,
        verify_certificate=scheme == "https",
    )


def statuses_accepted(statuses: Collection[int]) -> tuple[StatusRange, ...]:
    """Declared statuses as ranges; none declared: 200-399."""
    return tuple((status, status) for status in sorted(set(statuses))) or ANY_SUCCESS


def render_statuses(accepts: tuple[StatusRange, ...]) -> str:
    """`200-399`, `200`, `200 or 204`."""
    return " or ".join(str(low) if low == high else f"{low}-{high}" for low, high in accepts)


# -- one attempt over the addresses of a host -----------------------------------------------------------

Judge = Callable[[socket.socket, str, AttemptDeadline], ProbeResult]


def _attempt(host: str, port: int, deadline: AttemptDeadline, judge: Judge) -> ProbeResult:
    began = time.monotonic()
    try:
        addresses = addresses_of(host, deadline)
    except OSError as error:
        return _timed(_failed("nothing", "name_unknown", error.strerror or str(error)), began)
    best: ProbeResult | None = None
    for index, address in enumerate(addresses):
        # Any address may satisfy the probe, so none may use up the time of those after it.
        part = deadline if index == len(addresses) - 1 else deadline.part(1 / (len(addresses) - index))
        result = _attempt_address(address, port, part, judge)
        result = replace(result, address=address, is_local=is_local(address))
        if best is None or result.depth > best.depth or result.ok:
            best = result
        if best.ok or deadline.is_over():
            break
    assert best is not None, "a host stands for at least one address"
    return _timed(best, began)


def _attempt_address(address: str, port: int, deadline: AttemptDeadline, judge: Judge) -> ProbeResult:
    began = time.monotonic()
    connection = connect_tcp(address, port, deadline)
    if isinstance(connection, ConnectFailure):
        return _not_connected(connection, time.monotonic() - began)
    with connection:
        try:
            return judge(connection, address, deadline)
        except OSError as error:
            return _broken_off(error)


def _not_connected(failure: ConnectFailure, took_s: float) -> ProbeResult:
    match failure.cause:
        case "refused":
            return _failed("nothing", "refused", "refused")
        case "timed_out":
            return _failed(
                "nothing", "connect_timed_out", f"connect timed out after {render_elapsed(took_s)}"
            )
        case "unreachable":
            return _failed("nothing", "unreachable", failure.detail)
        case "failed":
            return _failed("nothing", "failed", failure.detail)


def _broken_off(error: OSError) -> ProbeResult:
    if isinstance(error, ConnectionError):
        return _failed("connection", "closed_at_once", "accepted, then closed without an answer")
    return _failed("connection", "failed", (error.strerror or str(error)).lower())


def _closes_within(connection: socket.socket, settle_s: float, deadline: AttemptDeadline) -> bool:
    if not wait_readable(connection, min(settle_s, deadline.remaining_s())):
        return False
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _passed(reached: Reached, detail: str) -> ProbeResult:
    return ProbeResult(ok=True, reached=reached, cause="ok", detail=detail, elapsed_ms=0)


def _failed(reached: Reached, cause: Cause, detail: str) -> ProbeResult:
    return ProbeResult(ok=False, reached=reached, cause=cause, detail=detail, elapsed_ms=0)


def _timed(result: ProbeResult, began: float) -> ProbeResult:
    return replace(result, elapsed_ms=round((time.monotonic() - began) * 1000))


def _shortened(text: str, limit: int = 80) -> str:
    line = text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text
    return line if len(line) <= limit else line[: limit - 3] + "..."


def _split_port(authority: str) -> tuple[str, str]:
    if authority.startswith("["):
        host, bracket, rest = authority.partition("]")
        return host + bracket, rest.removeprefix(":")
    host, _, port = authority.partition(":")
    return host, port


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 5 or not 1 <= int(text) <= 65535:
        raise ValueError(f"`{text}` is not a port")
    return int(text)


# -- reading an answer against a deadline -----------------------------------------------------------------

_T = TypeVar("_T")
_WIRE_LIMIT = 8 * BODY_LIMIT
"""Chunk sizes and extensions count too, or a body of nothing else would never end."""


class _CutShortError(Exception):
    """The attempt is over before an answer could be judged."""

    def __init__(self, result: ProbeResult) -> None:
        super().__init__(result.detail)
        self.result = result


class _Wire:
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
            raise _CutShortError(_untrusted(host, error)) from error
        except ssl.SSLError as error:
            raise _CutShortError(_no_tls(error)) from error
        except ValueError as error:  # a host that cannot be a server name
            raise _CutShortError(_failed("connection", "tls", str(error))) from error

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
                raise _CutShortError(_failed("connection", "no_answer", f"{doing} within {self.spent()}"))
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


def _untrusted(host: str, error: "ssl.SSLCertVerificationError") -> ProbeResult:
    reason = error.verify_message or str(error)
    return _failed("connection", "certificate", f"the certificate of {host} is not trusted: {reason}")


def _no_tls(error: "ssl.SSLError") -> ProbeResult:
    reason = (error.reason or str(error)).replace("_", " ").lower()
    if reason in ("wrong version number", "http request", "record layer failure"):
        return _failed("connection", "tls", "does not speak TLS (plain http?)")
    return _failed("connection", "tls", f"TLS failed: {reason}")


def _read_head(wire: _Wire) -> tuple[Head, bytes]:
    data = b""
    while True:
        try:
            split = split_head(data)
        except MalformedAnswerError as error:
            raise _CutShortError(_not_http(data, error)) from error
        if split is not None:
            head, data = split
            if not head.is_interim:
                return head, data
            continue
        more = wire.receive("headers not complete" if data else "no answer")
        if not more:
            where = "in the middle of its headers" if data else "without an answer"
            raise _CutShortError(_failed("connection", "closed_at_once", f"accepted, then closed {where}"))
        data += more


def _not_http(data: bytes, error: MalformedAnswerError) -> ProbeResult:
    if data[:1] == b"\x15":  # a TLS alert
        return _failed("connection", "malformed", "speaks TLS, not plain http")
    return _failed("connection", "malformed", f"did not answer in HTTP: {error}")


def _body_has(text: bytes, head: Head, wire: _Wire, data: bytes) -> tuple[bool, str]:
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
        except _CutShortError:
            return False, f" (incomplete after {wire.spent()}, {len(body)} bytes so far)"
        except OSError:
            more = b""
        if not more:
            cut_short = head.is_chunked or length is not None
            return False, f" (closed after {len(body)} bytes)" if cut_short else ""
        data += more
