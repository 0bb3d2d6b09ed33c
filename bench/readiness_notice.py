"""How soon a native service that became ready is noticed: milliseconds, over many starts.

A service that starts listening after a random time writes the moment down; the same monotonic clock
is read when the waiting ends. Run: `python bench/readiness_notice.py [starts]`.
"""

import random
import statistics
import subprocess
import sys

from ota.readiness.probes import HttpProbe, Probe, TcpProbe
from ota.readiness.wait import Gate, ReadinessWatch, Ready
from ota.system.clock import SYSTEM_CLOCK
from ota.system.ports import reserve_port

SERVICE = """
import socket, sys, time
time.sleep(float(sys.argv[2]))
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("127.0.0.1", int(sys.argv[1])))
server.listen(64)
print(time.monotonic(), flush=True)
while True:
    connection, _ = server.accept()
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
    connection.close()
"""


def noticed_after_ms(kind: str, delay_s: float) -> float:
    """One start: the time between listening and the end of the waiting."""
    with reserve_port() as reservation:
        port = reservation.port
    probe: Probe = (
        HttpProbe(host="127.0.0.1", port=port) if kind == "http" else TcpProbe(host="127.0.0.1", port=port)
    )
    argv = [sys.executable, "-S", "-c", SERVICE, str(port), str(delay_s)]
    noticed: list[float] = []
    service = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    try:
        with ReadinessWatch(
            [Gate(name=kind, probe=probe)],
            subject="bench",
            on_done=lambda: noticed.append(SYSTEM_CLOCK.monotonic_s()),
        ) as watch:
            outcome = watch.join(30)
        if not isinstance(outcome, Ready) or service.stdout is None:
            raise SystemExit(f"the service was not seen ready: {outcome}")
        listened = float(service.stdout.readline())
    finally:
        service.kill()
        service.communicate()
    return (noticed[0] - listened) * 1000


def main() -> None:
    starts = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    rng = random.Random(1)
    for kind in ("tcp", "http"):
        times = [noticed_after_ms(kind, rng.uniform(0.0, 1.5)) for _ in range(starts)]
        print(
            f"{kind}: median {statistics.median(times):.1f} ms, worst {max(times):.1f} ms of {starts} starts"
        )


if __name__ == "__main__":
    main()
