"""Ports: may one be bound, keep one until it is needed, and say who holds one.

Owns pre-flight binds, reservations and the description of a port's holder. Does not own retries
(the planes that publish a port have their own bounds) and never ends a holder.

Source: runtime specification 6.2, 10.8, 26; commands specification 2.7.
"""

import errno
import os
import re
import socket
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from msgspec import Struct

from ota.errors import Finding, HostError, Place
from ota.system.addresses import address_text
from ota.system.cutting import cut
from ota.system.sockets import (
    AttemptDeadline,
    Listener,
    addresses_of,
    family_of,
    is_wildcard,
    listeners_on_port,
    pids_holding,
    plain_address,
    read_listeners,
)

BindCheck = Literal["free", "taken", "forbidden", "no_such_address"]

RESERVE_ATTEMPTS = 5
_PORTS_BESIDE = 20
_LOOK_UP_LIMIT_S = 2.0
_CONTAINER_ID = re.compile(r"\b([0-9a-f]{64})\b")


def preflight_bind(address: str, port: int) -> BindCheck:
    """Whether a workload that binds `address` and `port` now would succeed; nothing stays bound.

    A name is checked on every address it stands for: `localhost` is taken when one of its loopbacks is.
    """
    try:
        addresses = addresses_of_bind(address)
    except OSError:
        return "no_such_address"
    answers = [_bind_answer(each, port) for each in addresses]
    for answer in ("taken", "forbidden"):
        if answer in answers:
            return answer
    # A host without IPv6 has one loopback; that the other does not exist is no obstacle.
    return "free" if "free" in answers else "no_such_address"


def addresses_of_bind(address: str) -> tuple[str, ...]:
    """The literal addresses that binding `address` means; wildcards stay what they are.

    Raises:
        OSError: the name is unknown.
    """
    if is_wildcard(address):
        return (plain_address(address),)
    return addresses_of(address, AttemptDeadline(_LOOK_UP_LIMIT_S))


def another_port(address: str, port: int) -> int | None:
    """A free port beside one that is taken, to propose; None when those next to it are taken too."""
    beside = range(port + 1, min(port + _PORTS_BESIDE, 65_535) + 1)
    return next((each for each in beside if preflight_bind(address, each) == "free"), None)


def _bind_answer(address: str, port: int) -> BindCheck:
    try:
        attempt = _bound(address, port, reuse=True)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return "taken"
        if error.errno in (errno.EACCES, errno.EPERM):
            return "forbidden"
        return "no_such_address"
    attempt.close()
    return "free"


def _bound(address: str, port: int, *, reuse: bool) -> socket.socket:
    family = family_of(address)
    if family is None:
        raise OSError(errno.EADDRNOTAVAIL, f"`{address}` is not an address")
    if not 0 <= port <= 65535:
        raise OSError(errno.EINVAL, f"{port} is not a port")
    attempt = socket.socket(family, socket.SOCK_STREAM)
    try:
        if reuse:
            # Without it the remains of closed connections (TIME_WAIT) count as a holder, though
            # every server sets it and would bind.
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            attempt.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if is_wildcard(address) else 1)
        attempt.bind((address, port))
    except BaseException:
        attempt.close()
        raise
    return attempt


class PortReservation:
    """A port nobody else can bind until it is released. Use as a context manager."""

    def __init__(self, address: str, port: int, held: Sequence[socket.socket]) -> None:
        self.address = address
        self.port = port
        self._held = list(held)

    def release(self) -> None:
        """Let go: right before the workload or the engine binds, not earlier."""
        while self._held:
            self._held.pop().close()

    def __enter__(self) -> "PortReservation":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"PortReservation({address_text(self.address, self.port)}, held={bool(self._held)})"


def reserve_port(address: str = "127.0.0.1") -> PortReservation:
    """Hold a free port on `address`, on every address a name such as `localhost` stands for.

    Raises:
        HostError: `OTA_HOST_PORT_RESERVATION_FAILED`: no port, or no such address.
    """
    why = ""
    try:
        addresses = addresses_of_bind(address)
    except OSError as error:
        raise HostError(_reservation_failed(address, error.strerror or str(error))) from error
    for _ in range(RESERVE_ATTEMPTS):
        try:
            return _reserve_once(address, addresses)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            if error.errno != errno.EADDRINUSE:
                break
    raise HostError(_reservation_failed(address, why))


def _reserve_once(address: str, addresses: Sequence[str]) -> PortReservation:
    # No SO_REUSEADDR here: with it Linux lets a second socket share the port as long as neither
    # listens, and two runs could reserve the same one.
    first = _bound(addresses[0], 0, reuse=False)
    held = [first]
    port = int(first.getsockname()[1])
    try:
        for other in addresses[1:]:
            try:
                held.append(_bound(other, port, reuse=False))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise
                # This host has no such address (no IPv6): nothing there to hold.
    except BaseException:
        for each in held:
            each.close()
        raise
    return PortReservation(address, port, held)


def _reservation_failed(address: str, why: str) -> Finding:
    return Finding(
        code="OTA_HOST_PORT_RESERVATION_FAILED",
        title="Host publication failed",
        summary=f"no free host port could be reserved on {address}",
        why=why,
        next="free ports on this address or declare a fixed `project.host.port`, then run again",
        category="execution",
        owner="host",
    )


# -- who holds a port --------------------------------------------------------------------------------


class PortHolder(Struct, frozen=True, kw_only=True):
    """Whoever listens on a port; what could not be observed is None."""

    address: str
    port: int
    pid: int | None = None
    """None: the socket belongs to a process whose descriptors this user may not read."""
    command: str | None = None
    """The command line; may hold secrets, so mask it before showing it."""
    user: str | None = None
    since: str | None = None
    """When the process started, UTC."""
    container: str | None = None
    run_id: str | None = None
    task: str | None = None
    repo: str | None = None

    @property
    def is_ours(self) -> bool:
        """Whether a run of ota started it, in whatever repository."""
        return self.run_id is not None


def addresses_overlap(one: str, other: str) -> bool:
    """Whether two binds of the same port exclude each other.

    A wildcard takes every address of its family, and `::` also takes IPv4, as it is by default on
    Linux and macOS. The two loopbacks `127.0.0.1` and `::1` live side by side.
    """
    one, other = plain_address(one), plain_address(other)
    if one == other or "::" in (one, other):
        return True
    if "0.0.0.0" in (one, other):
        return family_of(one) is family_of(other)
    return False


def find_port_holder(address: str, port: int, proc: Path = Path("/proc")) -> PortHolder | None:
    """Who listens where `address` and `port` would be bound; None when nobody can be seen.

    Sockets that are bound without listening appear in no table: taken, and yet without a holder.
    """
    try:
        wanted = addresses_of_bind(address)
    except OSError:
        return None
    if not (proc / "net" / "tcp").exists():
        return _holder_by_lsof(wanted, port)
    try:
        rows = [row for row in read_listeners(proc) if row.port == port]
    except OSError:
        return None
    row = _nearest(rows, wanted)
    if row is None:
        return None
    holders = pids_holding(row.inode, proc)
    if not holders:
        return PortHolder(address=row.address, port=port, user=_user_name(row.uid))
    return _described(row, _eldest(holders, proc), proc)


def _nearest(rows: Sequence[Listener], wanted: Sequence[str]) -> Listener | None:
    overlapping = [row for row in rows if any(addresses_overlap(row.address, each) for each in wanted)]
    exact = [row for row in overlapping if row.address in wanted]
    return next(iter(exact or overlapping), None)


def _eldest(pids: Sequence[int], proc: Path) -> int:
    # Workers of a forking server come and go; the process that opened the socket is its parent.
    return min(pids, key=lambda pid: (_started_ticks(pid, proc) or sys.maxsize, pid))


def _described(row: Listener, pid: int, proc: Path) -> PortHolder:
    marks = _environment(pid, proc)
    words = _command_words(pid, proc)
    # A run inside a task of another run carries both, outermost first (`process_table`).
    run_id = marks.get("OTA_RUN_MARKER", "").rpartition(":")[2] or None
    return PortHolder(
        address=row.address,
        port=row.port,
        pid=pid,
        command=" ".join(" ".join(words).split()) or _short_name(pid, proc),
        user=_user_name(row.uid),
        since=_started_at(pid, proc),
        container=_container(pid, words, proc),
        run_id=run_id,
        task=marks.get("OTA_TASK") if run_id else None,
        repo=marks.get("OTA_HOST_WORKSPACE") if run_id else None,
    )


def _holder_by_lsof(wanted: Sequence[str], port: int) -> PortHolder | None:
    try:
        found = listeners_on_port(port)
    except OSError:
        return None
    for pid, address, _ in found:
        if any(addresses_overlap(address, each) for each in wanted):
            return PortHolder(address=address, port=port, pid=pid)
    return None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _environment(pid: int, proc: Path) -> dict[str, str]:
    pairs = (entry.partition(b"=") for entry in _read(proc / str(pid) / "environ").split(b"\0"))
    return {
        name.decode(): value.decode("utf-8", "replace")
        for name, _, value in pairs
        if name in (b"OTA_RUN_MARKER", b"OTA_TASK", b"OTA_HOST_WORKSPACE") and value
    }


def _command_words(pid: int, proc: Path) -> list[str]:
    raw = _read(proc / str(pid) / "cmdline")
    return [word.decode("utf-8", "replace") for word in raw.split(b"\0") if word]


def _short_name(pid: int, proc: Path) -> str | None:
    return _read(proc / str(pid) / "comm").decode("utf-8", "replace").strip() or None


def _started_ticks(pid: int, proc: Path) -> int | None:
    # The command name stands in brackets and may itself contain spaces and brackets.
    _, _, rest = _read(proc / str(pid) / "stat").rpartition(b")")
    fields = rest.split()
    return int(fields[19]) if len(fields) > 19 else None


def _started_at(pid: int, proc: Path) -> str | None:
    ticks = _started_ticks(pid, proc)
    booted = re.search(rb"^btime (\d+)$", _read(proc / "stat"), re.MULTILINE)
    if ticks is None or booted is None:
        return None
    seconds = int(booted.group(1)) + ticks / os.sysconf("SC_CLK_TCK")
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _container(pid: int, words: Sequence[str], proc: Path) -> str | None:
    if words and Path(words[0]).name in ("docker-proxy", "rootlessport", "conmon"):
        address = _argument(words, "-container-ip")
        inner = _argument(words, "-container-port")
        return (
            f"the container at {address_text(address, int(inner))}" if address and inner.isdigit() else None
        )
    inside = _CONTAINER_ID.search(_read(proc / str(pid) / "cgroup").decode("ascii", "replace"))
    return inside.group(1)[:12] if inside else None


def _argument(words: Sequence[str], flag: str) -> str:
    for index, word in enumerate(words[:-1]):
        if word.lstrip("-") == flag.lstrip("-"):
            return words[index + 1]
    return ""


def _user_name(uid: int) -> str | None:
    if uid < 0:
        return None
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def render_holder(holder: PortHolder | None) -> str:
    """One line that says who holds the port and since when."""
    if holder is None:
        return "a socket that no process visible to this user listens on"
    who = f"pid {holder.pid}" if holder.pid is not None else "a process this user may not look into"
    if holder.command:
        who += f" (`{cut(holder.command, 80)}`)"
    if holder.user:
        who += f" of user {holder.user}"
    if holder.since:
        who += f", running since {holder.since}"
    if holder.container:
        who += f", container {holder.container.removeprefix('the container ')}"
    if holder.is_ours:
        who += f"; started by ota as task `{holder.task}`" if holder.task else "; started by ota"
        who += f" in {holder.repo}" if holder.repo else ""
        who += f" (run {holder.run_id})"
    return who


def port_taken_finding(
    address: str,
    port: int,
    holder: PortHolder | None,
    *,
    subject: str,
    place: Place | None = None,
    host_port_command: str = "",
) -> Finding:
    """A fixed port that somebody else holds: who it is, and the ways out.

    `subject` is what wanted the port ("task `dev`, listener `http`"). `host_port_command` is the
    command line that would use another port, where that can be asked for.
    """
    taken_at = address_text(address, port)
    where = "" if holder is None or holder.address == plain_address(address) else f" on {holder.address}"
    return Finding(
        code="OTA_HOST_PUBLICATION_CONFLICT",
        title="Host publication failed",
        summary=f"could not publish host port {port} on {address} for {subject}",
        why=f"{taken_at} is held{where} by {render_holder(holder)}",
        next=_ways_out(port, holder, host_port_command),
        place=place,
        category="execution",
        owner="host",
    )


def _stopping(holder: PortHolder) -> str:
    kill = f"with `kill {holder.pid}`"
    if not holder.repo:
        return kill
    from shlex import quote

    return f"with `ota up {quote(holder.repo)} --stop` when it was left running, else {kill}"


def _ways_out(port: int, holder: PortHolder | None, host_port_command: str) -> str:
    ways = []
    if holder is not None and holder.pid is not None:
        if holder.is_ours:
            ways.append(f"use what already runs there, or stop it {_stopping(holder)}")
        else:
            ways.append(f"stop it with `kill {holder.pid}`")
    else:
        ways.append(f"stop what holds port {port}")
    if host_port_command:
        ways.append(f"run `{host_port_command}`")
    ways.append("declare another port")
    return ", or ".join(ways)
