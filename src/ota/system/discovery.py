"""Discovery of the port a native workload chose by itself (`bind.port.mode: discover`).

Owns the search through the listening sockets of a workload's processes, from its start to one
unambiguous port. Does not own the processes: the caller says which ones belong to the workload and
whether its leader ended, so shell wrappers and children are covered by whatever set it gives.

Source: runtime specification 10.4, 23.
"""

from collections.abc import Callable, Collection
from typing import Literal

from msgspec import Struct

from ota.errors import Finding, HostError, Place
from ota.system.sockets import ProcessListener, is_wildcard, listeners_of

DISCOVERY_LIMIT_S = 10.0
SETTLE_S = 0.1
"""A second port that opens this soon after the first one makes the answer ambiguous."""
_PACE_S = (0.010, 0.025, 0.050, 0.100)

Observe = Callable[[Collection[int]], tuple[ProcessListener, ...]]


class BoundPort(Struct, frozen=True, kw_only=True):
    """The one port a workload listens on."""

    address: str
    """Where it answers: an IPv4 bind before an IPv6 one, a loopback before a wildcard."""
    port: int
    addresses: tuple[str, ...]
    pids: tuple[int, ...]


class WorkloadProcesses(Struct, frozen=True, kw_only=True):
    """What discovery needs to know about a workload, asked anew at every look."""

    pids: Callable[[], Collection[int]]
    """Every living process of the workload: leader, children, session, marked strays."""
    exit_code: Callable[[], int | None]
    """The leader's exit code, None while it runs."""


class PortDiscovery:
    """The search, one look at a time: `step` says when it wants to look again.

    `step` returns None as soon as `found` is set, and raises `HostError` when there is no answer:
    `OTA_PORT_DISCOVERY_{AMBIGUOUS,PROCESS_EXITED,TIMED_OUT,INSPECTION_FAILED}`.
    """

    def __init__(
        self,
        workload: WorkloadProcesses,
        *,
        subject: str,
        started_at: float,
        observe: Observe = listeners_of,
        place: Place | None = None,
        limit_s: float = DISCOVERY_LIMIT_S,
        settle_s: float = SETTLE_S,
    ) -> None:
        self.found: BoundPort | None = None
        self._workload = workload
        self._subject = subject
        self._place = place
        self._observe = observe
        self._started_at = started_at
        self._limit_s = limit_s
        self._settle_s = settle_s
        self._looks = 0
        self._seen_since: tuple[int, float] | None = None

    def step(self, now: float) -> float | None:
        """Look once; the time of the next look, or None when the port is known."""
        exited = self._workload.exit_code()
        listeners = self._look()
        if exited is not None:
            raise self._failed(
                "PROCESS_EXITED",
                f"{self._subject} ended with exit code {exited} before it listened",
                "read its output above; the command must stay in the foreground and open a TCP port",
            )
        if len({listener.port for listener in listeners}) > 1:
            raise self._ambiguous(listeners)
        if listeners and self._is_settled(listeners[0].port, now):
            self.found = _bound_port(listeners)
            return None
        if now - self._started_at >= self._limit_s + (self._settle_s if listeners else 0.0):
            raise self._failed(
                "TIMED_OUT",
                f"timed out waiting for the declared service listener of {self._subject}",
                "make the command listen on a TCP port, or declare a fixed `bind.port` with the port it uses",
                why=f"none of its processes kept listening on a TCP port within {self._limit_s:g} s",
            )
        if listeners:
            return now + _PACE_S[1]
        self._seen_since = None
        pace = _PACE_S[min(self._looks, len(_PACE_S) - 1)]
        self._looks += 1
        return min(now + pace, max(now + _PACE_S[0], self._started_at + self._limit_s))

    def _look(self) -> tuple[ProcessListener, ...]:
        try:
            return self._observe(self._workload.pids())
        except OSError as error:
            raise self._failed(
                "INSPECTION_FAILED",
                f"the listening ports of {self._subject} could not be read",
                "declare `bind.port.mode: fixed` with the port it uses",
                why=error.strerror or str(error),
            ) from error

    def _is_settled(self, port: int, now: float) -> bool:
        if self._seen_since is None or self._seen_since[0] != port:
            self._seen_since = (port, now)
        return now - self._seen_since[1] >= self._settle_s

    def _ambiguous(self, listeners: tuple[ProcessListener, ...]) -> HostError:
        holders = "; ".join(
            f"port {each.port} on {each.address} (pid {', '.join(str(pid) for pid in each.pids)})"
            for each in listeners
        )
        return self._failed(
            "AMBIGUOUS",
            f"{self._subject} listens on several ports",
            "declare `bind.port.mode: fixed` with the port that serves this listener",
            why=holders,
        )

    def _failed(
        self,
        case: Literal["AMBIGUOUS", "PROCESS_EXITED", "TIMED_OUT", "INSPECTION_FAILED"],
        summary: str,
        next_step: str,
        why: str = "",
    ) -> HostError:
        return HostError(
            Finding(
                code=f"OTA_PORT_DISCOVERY_{case}",
                title="Listener bind port could not be resolved",
                summary=summary,
                why=why,
                next=next_step,
                place=self._place,
                category="execution",
                owner="repo_contract" if case == "AMBIGUOUS" else "host",
            )
        )


def _bound_port(listeners: tuple[ProcessListener, ...]) -> BoundPort:
    return BoundPort(
        address=min((each.address for each in listeners), key=_preference),
        port=listeners[0].port,
        addresses=tuple(each.address for each in listeners),
        pids=tuple(sorted({pid for each in listeners for pid in each.pids})),
    )


def _preference(address: str) -> tuple[bool, bool, str]:
    return (":" in address, is_wildcard(address), address)
