"""Where listeners are reached: bind address, host address, port and URL, worked out once for everybody.

Pure. A plan knows some ports beforehand and learns the others later: natively by observing the bind
port, in a container by reserving or asking for the host port. `with_bind_ports` and `with_host_ports`
put what became known into the plan; what is shown, injected, probed and stored is then read from it
by `endpoints_of` alone. Who is listening, and whether anybody answers, is not known here.

Source: runtime specification 10.3, 10.6; json-and-receipts specification 4.6.
"""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from ota.contract.model.scalars import Protocol
from ota.resolve.plan import ListenerPlan, RuntimePlan
from ota.system.addresses import address_text


class Endpoint(Struct, frozen=True, kw_only=True):
    """One listener as this host reaches it. The one value of every URL that is shown or injected."""

    listener: str
    protocol: Protocol
    bind_address: str
    bind_port: int
    host_address: str
    host_port: int
    path: str | None = None
    """None for tcp."""
    is_primary: bool = False

    @property
    def url(self) -> str | None:
        """The host URL; None for tcp, which has none."""
        if self.protocol == "tcp":
            return None
        return f"{self.protocol}://{address_text(self.host_address, self.host_port)}{self.path or '/'}"

    @property
    def text(self) -> str:
        """The URL, or `address:port` for tcp."""
        return self.url or address_text(self.host_address, self.host_port)

    @property
    def internal(self) -> str | None:
        """What the workload itself listens on; None when this host uses the same address and port."""
        if (self.bind_address, self.bind_port) == (self.host_address, self.host_port):
            return None
        scheme = "" if self.protocol == "tcp" else f"{self.protocol}://"
        return scheme + address_text(self.bind_address, self.bind_port)


class InternalBind(Struct, frozen=True, kw_only=True):
    """A listener without host projection, as it is bound."""

    listener: str
    protocol: Protocol
    bind_address: str
    bind_port: int


class Endpoints(Struct, frozen=True, kw_only=True):
    """Everything of one workload whose port is known."""

    projected: tuple[Endpoint, ...] = ()
    """Primary first, then by name."""
    internal: tuple[InternalBind, ...] = ()

    def of(self, listener: str) -> Endpoint | None:
        """The endpoint of a listener; None while its host port is not known, or when it has none."""
        return next((endpoint for endpoint in self.projected if endpoint.listener == listener), None)


def endpoints_of(runtime: RuntimePlan) -> Endpoints:
    """Endpoints of every listener whose ports the plan knows."""
    projected = [each for each in map(_endpoint, runtime.listeners) if each is not None]
    return Endpoints(
        projected=tuple(sorted(projected, key=lambda each: (not each.is_primary, each.listener))),
        internal=tuple(
            InternalBind(
                listener=listener.name,
                protocol=listener.protocol,
                bind_address=listener.bind_address,
                bind_port=listener.bind_port,
            )
            for listener in runtime.listeners
            if listener.projection is None and listener.bind_port is not None
        ),
    )


def _endpoint(listener: ListenerPlan) -> Endpoint | None:
    projection = listener.projection
    if projection is None or projection.port is None or listener.bind_port is None:
        return None
    return Endpoint(
        listener=listener.name,
        protocol=listener.protocol,
        bind_address=listener.bind_address,
        bind_port=listener.bind_port,
        host_address=projection.address,
        host_port=projection.port,
        path=projection.path,
        is_primary=listener.is_primary,
    )


# --- ports that become known ---------------------------------------------------------------------


def with_bind_ports(runtime: RuntimePlan, ports: Mapping[str, int]) -> RuntimePlan:
    """The workload with observed bind ports, by listener.

    Only a native start leaves one open, and nothing translates ports there: the host port is the same.
    """

    def learnt(listener: ListenerPlan) -> ListenerPlan:
        port = ports.get(listener.name)
        if port is None or listener.bind_port is not None:
            return listener
        projection = replace(listener.projection, port=port) if listener.projection is not None else None
        return replace(listener, bind_port=port, projection=projection)

    return replace(runtime, listeners=tuple(map(learnt, runtime.listeners)))


def with_host_ports(runtime: RuntimePlan, ports: Mapping[str, int]) -> RuntimePlan:
    """The workload with the host ports that publish it, by listener: reserved, or told by an engine."""

    def learnt(listener: ListenerPlan) -> ListenerPlan:
        port = ports.get(listener.name)
        if port is None or listener.projection is None:
            return listener
        return replace(listener, projection=replace(listener.projection, port=port))

    return replace(runtime, listeners=tuple(map(learnt, runtime.listeners)))
