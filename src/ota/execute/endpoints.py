"""From planned listeners and known ports to the one endpoint value that is shown and injected.

Pure. Natively the host port is the bind port: nothing translates between them.

Source: runtime specification 10.3, 10.6; json-and-receipts 4.6.
"""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from ota.execute.events import Endpoint, InternalBind
from ota.resolve.plan import ListenerPlan, RuntimePlan


class ResolvedListeners(Struct, frozen=True, kw_only=True):
    endpoints: tuple[Endpoint, ...]
    """Primary first, then by name."""
    internal: tuple[InternalBind, ...]
    """Listeners without host projection."""

    def of(self, listener: str) -> Endpoint | None:
        """The endpoint of a listener."""
        return next((endpoint for endpoint in self.endpoints if endpoint.listener == listener), None)


def known_ports(runtime: RuntimePlan) -> dict[str, int]:
    """Bind ports that are known before anything starts."""
    return {each.name: each.bind_port for each in runtime.listeners if each.bind_port is not None}


def resolve_listeners(runtime: RuntimePlan, ports: Mapping[str, int]) -> ResolvedListeners:
    """Endpoints of every listener whose port is in `ports`."""
    endpoints: list[Endpoint] = []
    internal: list[InternalBind] = []
    for listener in runtime.listeners:
        port = ports.get(listener.name)
        if port is None:
            continue
        if listener.projection is None:
            internal.append(
                InternalBind(
                    listener=listener.name,
                    protocol=listener.protocol,
                    bind_address=listener.bind_address,
                    bind_port=port,
                )
            )
        else:
            endpoints.append(_endpoint(listener, port, is_primary=listener.name == runtime.primary))
    endpoints.sort(key=lambda endpoint: (not endpoint.is_primary, endpoint.listener))
    return ResolvedListeners(endpoints=tuple(endpoints), internal=tuple(internal))


def _endpoint(listener: ListenerPlan, bind_port: int, *, is_primary: bool) -> Endpoint:
    projection = listener.projection
    assert projection is not None
    published = replace(projection, port=projection.port or bind_port)
    assert published.port is not None
    return Endpoint(
        listener=listener.name,
        protocol=listener.protocol,
        bind_address=listener.bind_address,
        bind_port=bind_port,
        host_address=published.address,
        host_port=published.port,
        url=published.url(listener.protocol),
        is_primary=is_primary,
    )
