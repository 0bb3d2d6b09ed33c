"""A service in a container, as its attendant sees it.

An engine's proxy accepts connections with nobody behind it, so an answer from the host counts only when
the container's own socket table says that its workload listens, on an address the engine can reach.

Source: runtime specification 10, 11; lessons, "Ready means ready".
"""

import signal
from collections.abc import Callable
from typing import Literal

from ota.backends.container.facts import ContainerFacts
from ota.backends.container.inside import InsideSockets
from ota.errors import HostError
from ota.execute.events import Failure
from ota.execute.process import Stop
from ota.readiness.ladder import CONNECT_S, TranslatedWorkload, WorkloadView, near_addresses
from ota.readiness.probes import InsideListenerProbe
from ota.readiness.results import ProbeResult
from ota.readiness.wait import Gate
from ota.resolve.endpoints import Endpoint
from ota.system.discovery import PortDiscovery
from ota.system.sockets import ProcessListener
from ota.system.workload import Workload

_INSIDE_LIMIT_S = 5.0
"""For one connection, made by whatever the image has."""


class ContainerPlane:
    """One running container behind its engine."""

    closed_at_once: Literal["note", "fail"] = "fail"
    is_translated = True

    def __init__(
        self, sockets: InsideSockets, stop: Stop, verify: Callable[[ContainerFacts | None], Failure | None]
    ) -> None:
        """`verify` says what is wrong with the host ports the engine reports."""
        self._sockets = sockets
        self._stop = stop
        self._verify = verify
        self._is_verified = False
        self.misplaced: Failure | None = None
        """The engine published another host port than was asked for: the service has to end."""

    def gates(self, endpoint: Endpoint, workload: Workload) -> tuple[Gate, ...]:
        probe = InsideListenerProbe(
            address=endpoint.bind_address, port=endpoint.bind_port, observe=lambda: self._listeners(workload)
        )
        return (Gate(name=endpoint.listener, probe=probe),)

    def discovery(self, workload: Workload, started_at: float) -> PortDiscovery | None:
        return None

    def view(self, workload: Workload, has_printed: Callable[[], bool]) -> WorkloadView:
        return TranslatedWorkload(
            exit_code=lambda: None,
            bound=self._bound,
            published=self._published,
            answers_inside=self._answers_inside,
            has_printed=has_printed,
        )

    def stop(self, workload: Workload) -> None:
        self._stop(workload, signal.SIGTERM)

    def lost_port(self) -> Failure | None:
        return None

    def _listeners(self, workload: Workload) -> tuple[ProcessListener, ...]:
        """Called in the thread that watches; the thread that supervises is told, and ends the service."""
        found = self._sockets.listeners()
        if not self._is_verified:
            self._is_verified = True
            self.misplaced = self._verify(self._sockets.facts())
            if self.misplaced is not None:
                workload.wake()
        return found

    def _bound(self) -> tuple[ProcessListener, ...] | None:
        try:
            return self._sockets.listeners()
        except (OSError, HostError):
            return None

    def _answers_inside(self, listener: ProcessListener) -> ProbeResult | None:
        """Asked only once the service failed: it takes a call into the container."""
        result = self._connected_inside(near_addresses(listener)[0], listener.port)
        if result is not None and not result.ok:
            for address in near_addresses(listener)[1:]:
                result = self._connected_inside(address, listener.port) or result
        return result

    def _connected_inside(self, address: str, port: int) -> ProbeResult | None:
        from ota.readiness.plane_script import TOOLLESS, judged_tcp, tcp_script

        try:
            answer = self._sockets.run(tcp_script(address, port, CONNECT_S), limit_s=_INSIDE_LIMIT_S)
        except HostError:
            return None
        return None if answer.exit_code == TOOLLESS else judged_tcp(answer.exit_code, answer.stderr)

    def _published(self, port: int) -> tuple[bool | None, str]:
        try:
            return self._sockets.published(port)
        except HostError:
            return None, ""
