"""One attempt to find out whether an endpoint is ready: TCP and HTTP.

Owns a single attempt, bounded in total by one deadline, and a precise word for each way it can fail.
Does not own repetition (`wait`), nor what to do about a failure (`ladder`).

Source: runtime specification 11.1; decisions D7.
"""

import socket
import time
from collections.abc import Callable, Collection
from typing import Literal, Protocol

from msgspec import Struct
from msgspec.structs import replace

from ota.contract.durations import render_elapsed
from ota.errors import HostError
from ota.readiness.exchange import CutShortError, Wire, find_in_body, read_head
from ota.readiness.http import Head, encode_request
from ota.readiness.results import ProbeResult, failed, passed, shortened, timed
from ota.system.addresses import address_text, host_text, unbracketed
from ota.system.ports import addresses_overlap
from ota.system.sockets import (
    AttemptDeadline,
    ConnectFailure,
    ProcessListener,
    addresses_of,
    connect_tcp,
    is_local,
    is_wildcard,
    listeners_of,
    wait_readable,
)

StatusRange = tuple[int, int]
ANY_SUCCESS: tuple[StatusRange, ...] = ((200, 399),)

NATIVE_SETTLE_S = 0.003
STRICT_SETTLE_S = 0.1
"""How long an accepted connection must stay open. An engine's proxy in front of nothing accepts and
closes within about a millisecond; the strict wait leaves room for a busy machine."""


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
            return passed("connection", "accepts connections")
        if self.closed_at_once == "note":
            return replace(passed("connection", "accepts connections"), note="accepted, then closed at once")
        return failed("connection", "closed_at_once", "accepted, then closed at once")


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
        wire = Wire(connection, deadline)
        try:
            if self.scheme == "https":
                wire.start_tls(unbracketed(self.host), verify=self.verify_certificate)
            wire.send(encode_request(self.method, self.path, self._host_header(address), self.headers))
            head, rest = read_head(wire)
            return self._judged(head, wire, rest)
        except CutShortError as cut:
            return cut.result
        finally:
            wire.close()

    def _host_header(self, address: str) -> str:
        host = host_text(address if is_wildcard(self.host) else self.host)
        default = 443 if self.scheme == "https" else 80
        return host if self.port == default else f"{host}:{self.port}"

    def _judged(self, head: Head, wire: "Wire", rest: bytes) -> ProbeResult:
        status = head.status
        if not any(low <= status <= high for low, high in self.accepts):
            return self._wrong_status(head)
        good = replace(passed("content", f"status {status}"), status=status)
        if self.body_contains is None or self.method == "HEAD":
            return good
        found, why = find_in_body(self.body_contains.encode("utf-8", "replace"), head, wire, rest)
        if found:
            return good
        lacks = f'status {status}, body lacks "{shortened(self.body_contains)}"{why}'
        return replace(failed("answer", "body", lacks), status=status)

    def _wrong_status(self, head: Head) -> ProbeResult:
        expected = f"expected {render_statuses(self.accepts)}"
        location = head.headers.get("location")
        if 300 <= head.status < 400 and location:
            detail = f"redirect {head.status} to {shortened(location)} (not followed; {expected})"
            result = failed("answer", "redirect", detail)
            return replace(result, status=head.status, location=location)
        return replace(failed("answer", "status", f"status {head.status} ({expected})"), status=head.status)


class OwnListenerProbe(Struct, frozen=True, kw_only=True):
    """Ready when the address is held by the workload's own processes, not by a stranger who answers there.

    A gate beside the declared probe: without it a server left over from yesterday would make a task
    ready that never bound its port.
    """

    host: str
    port: int
    pids: Callable[[], Collection[int]]
    other_pids: Callable[[], Collection[int]] | None = None
    """Further processes of the workload, costly to find: asked when `pids` do not hold the address."""
    timeout_s: float = 2.0
    observe: Callable[[Collection[int]], tuple[ProcessListener, ...]] = listeners_of

    @property
    def target(self) -> str:
        return f"own listener {address_text(self.host, self.port)}"

    def attempt(self, deadline: AttemptDeadline | None = None) -> ProbeResult:
        began = time.monotonic()
        seen: list[ProcessListener] = []
        try:
            wanted = addresses_of(self.host, deadline or AttemptDeadline(self.timeout_s))
            for pids in (self.pids, self.other_pids):
                found = self.observe(pids()) if pids is not None else ()
                for listener in found:
                    if listener.port == self.port and any(
                        addresses_overlap(listener.address, each) for each in wanted
                    ):
                        return timed(passed("connection", f"bound on {listener.text}"), began)
                seen += found
        except OSError:
            result = replace(passed("connection", "not observed"), note="the socket table could not be read")
            return timed(result, began)
        held = ", ".join(dict.fromkeys(listener.text for listener in seen))
        detail = f"not bound by this task{f', which listens on {held}' if held else ''}"
        return timed(failed("nothing", "not_own_listener", detail), began)


class InsideListenerProbe(Struct, frozen=True, kw_only=True):
    """Ready when a workload listens inside its container, where the engine can reach it.

    A published port accepts connections with nobody behind it: only the container's own table tells.
    """

    address: str
    """As declared."""
    port: int
    observe: Callable[[], tuple[ProcessListener, ...]]
    timeout_s: float = 10.0

    @property
    def target(self) -> str:
        return f"inside the container {address_text(self.address, self.port)}"

    def attempt(self, _deadline: AttemptDeadline | None = None) -> ProbeResult:
        began = time.monotonic()
        try:
            return timed(self._judged(self.observe()), began)
        except (OSError, HostError):
            # then a connection that stays open has to do: the strict probe is asked next
            result = replace(passed("connection", "not observed"), note="the socket table could not be read")
            return timed(result, began)

    def _judged(self, listeners: tuple[ProcessListener, ...]) -> ProbeResult:
        on_port = [each for each in listeners if each.port == self.port]
        reachable = [each for each in on_port if is_wildcard(each.address) or not is_local(each.address)]
        if reachable:
            return passed("connection", f"bound on {reachable[0].text}")
        if on_port:
            found = ", ".join(each.text for each in on_port)
            detail = f"bound on {found}, which is reachable only inside its container"
            return failed("nothing", "not_own_listener", detail)
        others = ", ".join(each.text for each in listeners)
        detail = f"nothing listens on port {self.port}{f', but on {others}' if others else ''}"
        return replace(failed("nothing", "refused", detail), is_local=True)


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
        return timed(failed("nothing", "name_unknown", error.strerror or str(error)), began)
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
    return timed(best, began)


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
            return failed("nothing", "refused", "refused")
        case "timed_out":
            return failed("nothing", "connect_timed_out", f"connect timed out after {render_elapsed(took_s)}")
        case "unreachable":
            return failed("nothing", "unreachable", failure.detail)
        case "failed":
            return failed("nothing", "failed", failure.detail)


def _broken_off(error: OSError) -> ProbeResult:
    if isinstance(error, ConnectionError):
        return failed("connection", "closed_at_once", "accepted, then closed without an answer")
    return failed("connection", "failed", (error.strerror or str(error)).lower())


def _closes_within(connection: socket.socket, settle_s: float, deadline: AttemptDeadline) -> bool:
    if not wait_readable(connection, min(settle_s, deadline.remaining_s())):
        return False
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
