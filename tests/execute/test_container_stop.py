"""How a body in a container is told to end: inside, and never through the engine's client."""

import signal

from ota.execute.container_stop import InsideStop


class Client:
    """Stands for the workload that is the engine's client; notes how it is asked to end."""

    def __init__(self) -> None:
        self.asked: list[bool] = []

    def request_stop(self, number: int, *, grace_s: float, is_forwarded: bool = True) -> None:
        self.asked.append(is_forwarded)


def test_a_second_interrupt_hurries_and_the_client_gets_neither_signal():
    """Podman's `exec` ends with 1 when it is signalled, as if the body had failed by itself."""
    sent: list[str] = []
    client, stop = Client(), InsideStop(sent.append)
    stop(client, signal.SIGINT)
    stop(client, signal.SIGINT)
    stop.join()
    assert sent == ["INT"]
    assert client.asked == [False, False]
    assert not stop.is_blind
