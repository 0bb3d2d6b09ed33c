"""Ending a body that runs behind an engine's client: told inside its container, never by ending the client.

An engine's `exec` passes no signal on, and `start` passes it to one process only. So the signal is sent
inside, in a thread, because an engine takes its time and the body's last words must be read meanwhile.

Source: runtime specification 7.3, 20.3; lessons, "Nothing left behind".
"""

import signal
from collections.abc import Callable
from threading import Thread

from ota.errors import HostError
from ota.system.processes import GRACE_S, send_signal
from ota.system.workload import Workload

SENDING_S = 2.0
"""What it takes at most to get a signal into a container, on top of the grace of what it reaches."""


class InsideStop:
    """Asks one body to end; called again it hurries."""

    def __init__(self, send: Callable[[str], None]) -> None:
        """`send` delivers `INT`, `TERM` or `HUP` to the whole body; it may raise HostError."""
        self._send = send
        self._threads: list[Thread] = []
        self.was_asked = False
        """Whether the body was told to end."""
        self.is_blind = False
        """Nobody got in, and the client was told instead: its code is no code of the body."""

    def __call__(self, workload: Workload, number: int) -> None:
        is_first, self.was_asked = not self.was_asked, True
        # never to the client: Podman's `exec` ends with 1 for it, which reads like a code of the body
        workload.request_stop(number, grace_s=GRACE_S + SENDING_S, is_forwarded=False)
        if is_first:
            name = signal.Signals(number).name.removeprefix("SIG")
            thread = Thread(
                target=self._deliver, args=(workload, number, name), name="ota-container-stop", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def _deliver(self, workload: Workload, number: int, name: str) -> None:
        try:
            self._send(name)
        except HostError:
            # nobody gets in: the client is the only one left to ask
            self.is_blind = True
            send_signal(workload.leader, number)

    def join(self) -> None:
        """Wait for what is still being sent; bounded by the engine's own limits."""
        for thread in self._threads:
            thread.join()
