"""TCP as the operating system sees it: connecting, and who listens where.

Owns addresses (literals, `localhost`, wildcards), bounded connection attempts and the table of
listening sockets. Does not own how an address is written (`addresses`), whether a port may be used
(`ports`), what an answer means (`ota.readiness.probes`), or processes: callers hand in process ids.

Source: runtime specification 10.4, 11.1, 26.
"""

import errno
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

from msgspec import Struct

from ota.system.addresses import address_text, unbracketed

_LISTEN = "0A"
_PROC = Path("/proc")
_SLICE_S = 0.03
"""Longest sleep inside one socket wait, so that a shortened deadline is seen soon."""
_LSOF_LIMIT_S = 3.0
_LOOPBACKS = ("127.0.0.1", "::1")


Cut = Callable[[], float | None]


class AttemptDeadline:
    """When one attempt is over, in real time: sockets wait for the machine's clock, not for a test's.

    `cut` is asked again and again while something waits: a number of seconds brings the end that near,
    as an interruption does; the end never moves farther away.
    """

    def __init__(self, limit_s: float, cut: Cut | None = None) -> None:
        self._at = time.monotonic() + limit_s
        self._cut = cut

    def remaining_s(self) -> float:
        """Seconds left, 0 when over."""
        now = time.monotonic()
        if self._cut is not None and (limit_s := self._cut()) is not None:
            self._at = min(self._at, now + limit_s)
            self._cut = None
        return max(0.0, self._at - now)

    def is_over(self) -> bool:
        return self.remaining_s() <= 0

    def part(self, share: float) -> "AttemptDeadline":
        """A deadline over a share of what is left; it ends with this one at the latest."""
        return _PartDeadline(self, share)

    def slice_s(self) -> float:
        """How long one wait may block before the deadline is looked at again."""
        return min(_SLICE_S, self.remaining_s())


class _PartDeadline(AttemptDeadline):
    def __init__(self, whole: AttemptDeadline, share: float) -> None:
        super().__init__(whole.remaining_s() * share)
        self._whole = whole

    def remaining_s(self) -> float:
        return min(super().remaining_s(), self._whole.remaining_s())


# -- addresses ---------------------------------------------------------------------------------------


def family_of(address: str) -> socket.AddressFamily | None:
    """The family of a literal address, None for a name."""
    if _packed(socket.AF_INET, address) is not None:
        return socket.AF_INET
    if _packed(socket.AF_INET6, address.partition("%")[0]) is not None:
        return socket.AF_INET6
    return None


def plain_address(address: str) -> str:
    """One spelling per literal: no brackets, IPv4 inside IPv6 as IPv4, IPv6 compressed."""
    bare = unbracketed(address)
    packed = _packed(socket.AF_INET6, bare)
    if packed is None:
        return bare
    if packed.startswith(b"\0" * 10 + b"\xff\xff"):
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return socket.inet_ntop(socket.AF_INET6, packed)


def is_wildcard(address: str) -> bool:
    return plain_address(address) in ("0.0.0.0", "::")


def is_local(host: str) -> bool:
    """Whether connecting to `host` stays on this machine as far as its spelling tells."""
    bare = plain_address(host).lower()
    if bare in ("localhost", "::1", "0.0.0.0", "::"):
        return True
    return bare.startswith("127.") and family_of(bare) is socket.AF_INET


def addresses_of(host: str, deadline: AttemptDeadline) -> tuple[str, ...]:
    """The literal addresses a connection to `host` may use, in the order to try them.

    `localhost` is both loopbacks: a server may sit on either, and what the host file says about the
    name differs between machines. A wildcard is no destination; its loopback is.

    Raises:
        OSError: the name is unknown, or could not be looked up in time.
    """
    bare = plain_address(host)
    if bare.lower() == "localhost":
        return _LOOPBACKS
    if bare == "0.0.0.0":
        return ("127.0.0.1",)
    if bare == "::":
        return ("::1", "127.0.0.1")
    if family_of(bare) is not None:
        return (bare,)
    return _looked_up(bare, deadline)


def _looked_up(name: str, deadline: AttemptDeadline) -> tuple[str, ...]:
    # getaddrinfo takes no limit of its own and may hang for as long as the resolver likes.
    found: list[str] = []
    failure: list[OSError] = []
    done = threading.Event()

    def look_up() -> None:
        try:
            for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM):
                address = str(entry[4][0])
                if address not in found:
                    found.append(address)
        except OSError as error:
            failure.append(error)
        except UnicodeError as error:
            failure.append(OSError(errno.EINVAL, str(error)))
        done.set()

    threading.Thread(target=look_up, name=f"look-up {name}", daemon=True).start()
    while not done.wait(deadline.slice_s()):
        if deadline.is_over():
            raise TimeoutError(errno.ETIMEDOUT, f"the name `{name}` was not looked up in time")
    if failure:
        raise OSError(errno.ENOENT, f"the name `{name}` is unknown") from failure[0]
    return tuple(found)


def _packed(family: socket.AddressFamily, address: str) -> bytes | None:
    try:
        return socket.inet_pton(family, address)
    except (OSError, ValueError):
        return None


# -- connecting --------------------------------------------------------------------------------------


class ConnectFailure(Struct, frozen=True, kw_only=True):
    """Why no connection was made."""

    cause: Literal["refused", "timed_out", "unreachable", "failed"]
    address: str
    detail: str


def connect_tcp(address: str, port: int, deadline: AttemptDeadline) -> socket.socket | ConnectFailure:
    """One connection attempt to one literal address; a connected socket belongs to the caller."""
    family = family_of(address)
    if family is None:
        return ConnectFailure(cause="failed", address=address, detail=f"`{address}` is not an address")
    try:
        connection = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        return ConnectFailure(cause="unreachable", address=address, detail=_words(error))
    try:
        failure = _complete(connection, address, port, deadline)
    except BaseException:
        connection.close()
        raise
    if failure is not None:
        connection.close()
        return failure
    return connection


def _complete(
    connection: socket.socket, address: str, port: int, deadline: AttemptDeadline
) -> ConnectFailure | None:
    connection.setblocking(False)
    try:
        code = connection.connect_ex((address, port))
    except OverflowError:
        return ConnectFailure(cause="failed", address=address, detail=f"{port} is not a port")
    except OSError as error:  # an address with an unknown zone
        return ConnectFailure(cause="failed", address=address, detail=_words(error))
    while code in (errno.EINPROGRESS, errno.EWOULDBLOCK):
        if wait_writable(connection, deadline.slice_s()):
            code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        elif deadline.is_over():
            return ConnectFailure(cause="timed_out", address=address, detail="connect timed out")
    if code == 0 and _met_itself(connection):
        # Source and destination port were the same, so TCP's simultaneous open joined the socket
        # with itself: nobody listens. Reset it, or the waiting service could not bind the port.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        code = errno.ECONNREFUSED
    if code == 0:
        return None
    return _connect_failure(code, address)


def _met_itself(connection: socket.socket) -> bool:
    try:
        return bool(connection.getsockname() == connection.getpeername())
    except OSError:
        return False


def _connect_failure(code: int, address: str) -> ConnectFailure:
    if code in (errno.ECONNREFUSED, errno.ECONNRESET):
        return ConnectFailure(cause="refused", address=address, detail="refused")
    if code == errno.ETIMEDOUT:
        return ConnectFailure(cause="timed_out", address=address, detail="connect timed out")
    if code in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EHOSTDOWN):
        return ConnectFailure(cause="unreachable", address=address, detail=os.strerror(code).lower())
    return ConnectFailure(cause="failed", address=address, detail=os.strerror(code).lower())


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def wait_readable(connection: socket.socket, limit_s: float) -> bool:
    """Whether something (data or the end) arrived within `limit_s`. Works above 1024 descriptors."""
    return _polled(connection, select.POLLIN, limit_s)


def wait_writable(connection: socket.socket, limit_s: float) -> bool:
    return _polled(connection, select.POLLOUT, limit_s)


def _polled(connection: socket.socket, event: int, limit_s: float) -> bool:
    poller = select.poll()
    poller.register(connection, event)
    # Rounded up: a rest below a millisecond must not become a busy loop.
    return bool(poller.poll(int(limit_s * 1000) + 1))


# -- who listens -------------------------------------------------------------------------------------


class Listener(Struct, frozen=True, kw_only=True):
    """One row of the operating system's table of listening TCP sockets."""

    address: str
    port: int
    inode: int = 0
    uid: int = -1
    """Owner of the socket; -1 when the table does not say."""


class ProcessListener(Struct, frozen=True, kw_only=True):
    """A listening socket and those of the asked processes that hold it (forked servers share one)."""

    address: str
    port: int
    pids: tuple[int, ...]

    @property
    def text(self) -> str:
        return address_text(self.address, self.port)


def read_listeners(proc: Path = _PROC) -> tuple[Listener, ...]:
    """Every listening TCP socket of this network namespace.

    Raises:
        OSError: neither table can be read.
    """
    if proc == _PROC:
        with suppress(OSError):
            return tuple(_by_diagnosis())
    rows: list[Listener] = []
    failure: OSError | None = None
    answered = False
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        try:
            # decoded here: a text file would import the codec in the moment a service became ready
            text = (proc / "net" / name).read_bytes().decode("ascii", "replace")
        except OSError as error:  # a kernel without IPv6 has no tcp6
            failure = error
            continue
        answered = True
        rows.extend(parse_socket_table(text, family))
    if not answered and failure is not None:
        raise failure
    return tuple(rows)


def _by_diagnosis() -> Iterator[Listener]:
    from ota.system.socket_diag import listening_sockets

    for family in (socket.AF_INET, socket.AF_INET6):
        for packed, port, inode, uid in listening_sockets(family):
            address = plain_address(socket.inet_ntop(family, packed))
            yield Listener(address=address, port=port, inode=inode, uid=uid)


def parse_socket_table(text: str, family: socket.AddressFamily) -> Iterator[Listener]:
    """The listening rows of a `/proc/net/tcp` or `tcp6` text; a row of another shape is passed over."""
    for line in text.splitlines()[1:]:
        if f" {_LISTEN} " not in line:
            continue  # most of a busy table; splitting them all takes milliseconds
        fields = line.split()
        if len(fields) < 10 or fields[3] != _LISTEN:
            continue
        address, _, port = fields[1].rpartition(":")
        with suppress(ValueError, OSError):
            yield Listener(
                address=_table_address(address, family),
                port=int(port, 16),
                inode=int(fields[9]),
                uid=int(fields[7]),
            )


def _table_address(digits: str, family: socket.AddressFamily) -> str:
    # The kernel prints each 32-bit word in the machine's own byte order.
    words = (int(digits[start : start + 8], 16) for start in range(0, len(digits), 8))
    packed = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    return plain_address(socket.inet_ntop(family, packed))


def listeners_of(pids: Collection[int], proc: Path = _PROC) -> tuple[ProcessListener, ...]:
    """The TCP sockets on which any of `pids` listens, by port and address.

    Processes that end meanwhile, or whose descriptors may not be read, hold nothing.

    Raises:
        OSError: this system cannot say who listens.
    """
    if not pids:
        return ()
    if not (proc / "net" / "tcp").exists():
        return _grouped(_lsof("-a", "-p", ",".join(str(pid) for pid in sorted(pids))))
    by_inode = {row.inode: row for row in read_listeners(proc)}
    held = ((pid, by_inode[inode]) for pid in sorted(pids) for inode in _socket_inodes(pid, proc, by_inode))
    return _grouped((pid, row.address, row.port) for pid, row in held)


def pids_holding(inode: int, proc: Path = _PROC) -> tuple[int, ...]:
    """The processes that hold a socket; empty when they belong to someone whose descriptors are private."""
    found = []
    for entry in os.scandir(proc):
        if entry.name.isdigit() and any(_socket_inodes(int(entry.name), proc, {inode: None})):
            found.append(int(entry.name))
    return tuple(sorted(found))


def listeners_on_port(port: int) -> tuple[tuple[int, str, int], ...]:
    """`(pid, address, port)` of the listeners on `port` by `lsof`, for systems without `/proc`."""
    return _lsof(f"-iTCP:{port}")


def _socket_inodes(pid: int, proc: Path, wanted: Collection[int]) -> Iterator[int]:
    try:
        entries = os.scandir(proc / str(pid) / "fd")
    except OSError:
        return
    with entries:
        while True:
            try:
                entry = next(entries, None)
            except OSError:
                return
            if entry is None:
                return
            try:
                target = os.readlink(entry.path)  # noqa: PTH115 - thousands of links: no Path objects
            except OSError:
                continue
            if target.startswith("socket:["):
                inode = int(target[8:-1])
                if inode in wanted:
                    yield inode


def _grouped(held: Iterable[tuple[int, str, int]]) -> tuple[ProcessListener, ...]:
    holders: dict[tuple[int, str], set[int]] = {}
    for pid, address, port in held:
        holders.setdefault((port, address), set()).add(pid)
    return tuple(
        ProcessListener(address=address, port=port, pids=tuple(sorted(pids)))
        for (port, address), pids in sorted(holders.items())
    )


def _lsof(*selection: str) -> tuple[tuple[int, str, int], ...]:
    import subprocess

    argv = ["lsof", "-nP", *selection, "-sTCP:LISTEN", "-Fpn"]
    if not any(word.startswith("-i") for word in selection):
        argv.insert(-2, "-iTCP")
    try:
        answer = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_LSOF_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise OSError(errno.ETIMEDOUT, f"`lsof` did not answer within {_LSOF_LIMIT_S:g} s") from error
    return tuple(parse_lsof(answer.stdout.decode("utf-8", "replace")))


def parse_lsof(text: str) -> Iterator[tuple[int, str, int]]:
    """`(pid, address, port)` from the field output (`-Fpn`) of lsof."""
    pid = 0
    for line in text.splitlines():
        if line.startswith("p") and line[1:].isdigit():
            pid = int(line[1:])
        elif line.startswith("n") and pid:
            address, _, port = line[1:].rpartition(":")
            if port.isdigit():
                # lsof writes `*` for both wildcards; without more to go on it is the IPv4 one.
                yield pid, "0.0.0.0" if address == "*" else plain_address(address), int(port)
