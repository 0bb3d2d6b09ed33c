"""Host ports of a container: chosen and held, looked at first, handed to the engine, and lost to others.

A reserved socket is held until the engine binds. What happens between is the engine's bind error, and that
is recognised here.

Source: runtime specification 4.3, 6.2, 10.8; commands specification 2.7; lessons, "Ports".
"""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ota.backends.container.engine import Engine
from ota.backends.container.facts import ContainerFacts, Listed, PortMapping, list_containers
from ota.backends.container.work import PublishedPort, Work
from ota.errors import Finding, HostError
from ota.resolve.plan import ListenerPlan
from ota.system.addresses import host_text

if TYPE_CHECKING:
    from ota.system.ports import PortReservation

AUTO_ATTEMPTS = 5
RECLAIM_RETRIES = 5

_BIND_ERRORS = (
    "port is already allocated",
    "address already in use",
    "bind for ",
    "ports are not available",
    "cannot listen on the tcp port",
    "failed programming external connectivity",
)


def published_ports(listeners: Iterable[ListenerPlan]) -> tuple[PublishedPort, ...]:
    """The projected listeners, in the order of their ports; one that has no bind port cannot be published."""
    ports = (
        PublishedPort(
            listener=listener.name,
            protocol=listener.protocol,
            bind_address=listener.bind_address,
            bind_port=listener.bind_port,
            host_address=literal_address(listener.projection.address),
            host_port=listener.projection.port if listener.projection.port_mode == "fixed" else None,
            mode=listener.projection.port_mode,
        )
        for listener in listeners
        if listener.projection is not None and listener.bind_port is not None
    )
    return tuple(sorted(ports, key=lambda port: (port.bind_port, port.listener)))


def literal_address(address: str) -> str:
    """An address as engines want it: they publish on literal addresses only."""
    plain = address.strip("[]")
    return "127.0.0.1" if plain == "localhost" else plain


def publish_arguments(ports: Iterable[PublishedPort]) -> tuple[str, ...]:
    """`-p 127.0.0.1:41733:3000/tcp`; without the host port when the engine is to choose it."""
    specifications = dict.fromkeys(
        f"{host_text(port.host_address)}:{port.host_port or ''}:{port.bind_port}/tcp" for port in ports
    )
    return tuple(word for specification in specifications for word in ("-p", specification))


def reserve(
    ports: Sequence[PublishedPort],
) -> tuple[tuple[PublishedPort, ...], "tuple[PortReservation, ...]"]:
    """Automatic ports get a number that is held until `release`; fixed ones stay as they are.

    Raises:
        HostError: `OTA_HOST_PORT_RESERVATION_FAILED`; nothing is held.
    """
    held: list[PortReservation] = []
    if any(port.host_port is None for port in ports):
        from ota.system.ports import reserve_port  # sockets are paid only by what publishes
    chosen: list[PublishedPort] = []
    try:
        for port in ports:
            if port.host_port is None:
                reservation = reserve_port(port.host_address)
                held.append(reservation)
                port = replace(port, host_port=reservation.port)
            chosen.append(port)
    except BaseException:
        for reservation in held:
            reservation.release()
        raise
    return tuple(chosen), tuple(held)


def taken_port(ports: Iterable[PublishedPort]) -> PublishedPort | None:
    """The first fixed port that somebody holds already, or that cannot be bound at all."""
    fixed = [port for port in ports if port.mode == "fixed"]
    if not fixed:
        return None
    from ota.system.ports import preflight_bind

    for port in fixed:
        # A low port is forbidden to this user and not to an engine; an address may exist only where
        # the engine runs. Only what is taken here is taken there.
        if port.host_port is not None and preflight_bind(port.host_address, port.host_port) == "taken":
            return port
    return None


def lost_port(said: str, ports: Sequence[PublishedPort]) -> PublishedPort | None:
    """The port an engine could not bind, when that is what its words mean."""
    text = said.lower()
    if not ports or not any(error in text for error in _BIND_ERRORS):
        return None
    named = {int(number) for number in re.findall(r":(\d{1,5})\b", text)}
    return next((port for port in ports if port.host_port in named), ports[0])


def conflict(engine: Engine, work: Work, port: PublishedPort, said: str = "") -> Finding:
    """Somebody holds the port: who, and the ways out."""
    from ota.system.ports import find_port_holder, port_taken_finding
    from ota.system.reconcile import living_run_in

    assert port.host_port is not None
    holder = find_port_holder(port.host_address, port.host_port)
    container = container_on(engine, port.host_address, port.host_port)
    if holder is not None and container is not None:
        holder = replace(holder, container=container.name)
    finding = port_taken_finding(
        port.host_address,
        port.host_port,
        holder,
        subject=f"task `{work.task}`, listener `{port.listener}`",
        place=work.place(port.listener),
        host_port_command=_elsewhere(work, port),
    )
    why, stop = finding.why, ""
    if container is not None:
        run = living_run_in(work.root, container.name, but=work.run_id)
        stop = run.stop if run is not None and run.stop else f"{engine.name} stop {container.name}"
        why = why if holder is not None else f"{engine.name} container `{container.name}` publishes it"
    elif holder is None and said:
        why = f"{engine.name}: {said}"
    if port.mode == "auto":
        many = (
            f"each of {AUTO_ATTEMPTS} ports that were free was taken before {engine.name} had it; the last: "
        )
        stale = "stop stale containers that hold this address and port" + (f" (`{stop}`)" if stop else "")
        return replace(finding, why=many + why, next=f"keep `auto`, {stale}, and run again")
    if stop:
        finding = replace(finding, next=", or ".join((f"stop it with `{stop}`", *_other_ways(work, port))))
    return replace(finding, why=why)


def _other_ways(work: Work, port: PublishedPort) -> list[str]:
    command = _elsewhere(work, port)
    return [*([f"run `{command}`"] if command else []), "declare another port or `auto`"]


def _elsewhere(work: Work, port: PublishedPort) -> str:
    """The command that publishes it on a port nobody has; empty when there is none."""
    from ota.system.ports import another_port

    assert port.host_port is not None
    primary = next((each.name for each in work.listeners if each.is_primary), None)
    can_move = port.mode == "fixed" and port.listener == primary
    free = another_port(port.host_address, port.host_port) if can_move else None
    return work.host_port_command(free) if free is not None else ""


def container_on(engine: Engine, address: str, port: int) -> Listed | None:
    """The running container of this engine that publishes a host port; None also when it cannot be known."""
    try:
        listed = (
            list_containers(engine, f"publish={port}") if not engine.is_podman else list_containers(engine)
        )
    except HostError:
        return None
    return next((each for each in listed if each.is_running and publishes(each.ports, address, port)), None)


def publishes(mappings: Iterable[PortMapping], address: str, port: int) -> bool:
    """Whether one of these publications excludes another one of that address and port."""
    from ota.system.ports import addresses_overlap

    return any(
        mapping.host_port == port and addresses_overlap(mapping.host_address, address) for mapping in mappings
    )


def mapped_port(facts: ContainerFacts | None, port: PublishedPort) -> int | None:
    """The host port a running container has for a publication, preferably on its own address."""
    if facts is None or facts.is_running is not True:
        return None
    mappings = [each for each in facts.ports if each.container_port == port.bind_port and each.host_port]
    here = [each for each in mappings if each.host_address == port.host_address]
    exact = [each for each in here if each.host_port == port.host_port]
    return next((each.host_port for each in (*exact, *here, *mappings)), None)


def misplaced_port(facts: ContainerFacts | None, ports: Iterable[PublishedPort]) -> PublishedPort | None:
    """The first publication for which a running container has another host port, or none.

    Only a container that runs says anything about it: one that ended has nothing published any more.
    """
    if facts is None or facts.is_running is not True:
        return None
    return next((port for port in ports if mapped_port(facts, port) != port.host_port), None)


def port_unknown(engine: Engine, name: str, work: Work, port: PublishedPort) -> Finding:
    """The engine reports another host port than was asked for, or none."""
    wanted = "a host port" if port.host_port is None else f"host port {port.host_port}"
    return Finding(
        code="OTA_CONTAINER_PORT_UNKNOWN",
        title="Host publication failed",
        summary=f"container engine did not report {wanted} of task `{work.task}`, listener `{port.listener}`",
        why=f"{engine.name} publishes another port of container {name} for port {port.bind_port}, or none",
        next=f"remove the container and run again: `{engine.name} rm -f {name}`",
        place=work.place(port.listener),
        category="execution",
        owner="host",
    )
