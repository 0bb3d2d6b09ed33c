"""Which TCP sockets listen inside a container: read from its own socket table, never guessed from outside.

A published port accepts connections with nobody behind it, so only the container's table tells whether its
workload listens, and on which address. The table is read from this host where the container's first
process can be seen and proven to be it, which costs no engine call; elsewhere the container is asked.

Source: runtime specification 11; lessons, "Ready means ready".
"""

import socket
from pathlib import Path

from ota.backends.container.engine import Engine, EngineAnswer, ask
from ota.backends.container.facts import ContainerFacts, inspect_containers
from ota.system.addresses import address_text
from ota.system.sockets import Listener, ProcessListener, parse_socket_table, read_listeners

_ASK_LIMIT_S = 10.0


class InsideSockets:
    """The listening sockets of one running container, looked at again and again; from any thread."""

    def __init__(self, engine: Engine, name: str, proc: Path = Path("/proc")) -> None:
        self._engine = engine
        self._name = name
        self._proc = proc
        self._facts: ContainerFacts | None = None

    def listeners(self) -> tuple[ProcessListener, ...]:
        """What listens inside, by port and address.

        Raises:
            OSError: nobody can tell.
            HostError: the engine gives no answer.
        """
        rows = self._local_rows()
        if rows is None:
            rows = self._asked_rows()
        found = sorted({(row.port, row.address) for row in rows})
        return tuple(ProcessListener(address=address, port=port, pids=()) for port, address in found)

    def facts(self) -> ContainerFacts | None:
        """The running container as it was seen last, else as it is now.

        Raises:
            HostError: the engine gives no answer.
        """
        if self._facts is None or self._facts.is_running is not True:
            self._facts = self.inspect()
        return self._facts

    def _local_rows(self) -> tuple[Listener, ...] | None:
        """None where this host does not see the container's processes: a virtual machine, another host."""
        if not (self._proc / "self").exists():
            return None
        if self._facts is None or not self._is_proven(self._facts):
            self._facts = self.inspect()
        if self._facts is None or not self._is_proven(self._facts):
            return None
        try:
            return read_listeners(self._proc / str(self._facts.pid))
        except OSError:
            return None

    def _is_proven(self, facts: ContainerFacts) -> bool:
        """A pid of the engine's machine may be somebody else's here."""
        try:
            groups = (self._proc / str(facts.pid) / "cgroup").read_text(errors="replace")
        except OSError:
            return False
        return facts.id in groups

    def inspect(self) -> ContainerFacts | None:
        """The container as the engine sees it now; None when it does not exist.

        Raises:
            HostError: the engine gives no answer.
        """
        return inspect_containers(self._engine, [self._name], limit_s=_ASK_LIMIT_S).get(self._name)

    def _asked_rows(self) -> tuple[Listener, ...]:
        rows: list[Listener] = []
        answered = False
        for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
            answer = ask(self._engine, "exec", self._name, "cat", f"/proc/net/{name}", limit_s=_ASK_LIMIT_S)
            answered = answered or answer.is_ok
            rows.extend(parse_socket_table(answer.stdout, family) if answer.is_ok else ())
        if not answered:
            raise OSError(f"the socket table of container {self._name} cannot be read")
        return tuple(rows)

    def run(self, script: str, *, limit_s: float) -> EngineAnswer:
        """Ask the container's shell something beside its workload.

        Raises:
            HostError: the engine gives no answer.
        """
        return ask(self._engine, "exec", self._name, "sh", "-c", script, limit_s=limit_s)

    def published(self, bind_port: int) -> tuple[bool | None, str]:
        """Whether the engine publishes a port now, and where; None when it does not say.

        Raises:
            HostError: the engine gives no answer.
        """
        facts = self.inspect()
        if facts is None or facts.is_running is not True:
            return None, ""
        places = [each for each in facts.ports if each.container_port == bind_port and each.host_port]
        if not places:
            return False, f"{self._engine.name} publishes no port for {bind_port}"
        return True, "on " + ", ".join(
            address_text(each.host_address, each.host_port or 0) for each in places
        )
