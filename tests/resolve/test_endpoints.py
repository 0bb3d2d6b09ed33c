"""One place turns listeners and known ports into addresses and URLs."""

from ota.resolve.endpoints import endpoints_of, with_bind_ports, with_host_ports
from ota.resolve.plan import ListenerPlan, ProjectionPlan, RuntimePlan


def listener(name: str, *, bind: int | None = 80, host: int | None = 80, **changes) -> ListenerPlan:
    projection = ProjectionPlan(address="127.0.0.1", port_mode="auto", port=host, path="/")
    fields = {"protocol": "http", "bind_address": "0.0.0.0", "projection": projection} | changes
    return ListenerPlan(name=name, bind_port=bind, **fields)


def runtime(*listeners: ListenerPlan) -> RuntimePlan:
    return RuntimePlan(listeners=listeners)


def test_the_primary_comes_first_and_the_others_by_name() -> None:
    found = endpoints_of(runtime(listener("a"), listener("b"), listener("c", is_primary=True)))
    assert [each.listener for each in found.projected] == ["c", "a", "b"]


def test_a_listener_without_projection_is_internal() -> None:
    found = endpoints_of(runtime(listener("debug", bind=9229, projection=None)))
    assert found.projected == ()
    assert [(each.listener, each.bind_port) for each in found.internal] == [("debug", 9229)]


def test_a_published_port_is_an_endpoint_only_once_the_host_port_is_known() -> None:
    reserved = runtime(listener("web", bind=3000, host=None))
    assert endpoints_of(reserved).projected == ()
    (endpoint,) = endpoints_of(with_host_ports(reserved, {"web": 40123})).projected
    assert (endpoint.bind_port, endpoint.host_port) == (3000, 40123)
    assert endpoint.url == endpoint.text == "http://127.0.0.1:40123/"


def test_an_observed_bind_port_is_the_host_port_and_replaces_no_declared_one() -> None:
    started = with_bind_ports(
        runtime(listener("fixed", bind=3000, host=3000), listener("found", bind=None, host=None)),
        {"fixed": 1, "found": 5173},
    )
    ports = {each.listener: (each.bind_port, each.host_port) for each in endpoints_of(started).projected}
    assert ports == {"fixed": (3000, 3000), "found": (5173, 5173)}


def test_tcp_has_an_address_and_no_url_and_ipv6_stands_in_brackets() -> None:
    projection = ProjectionPlan(address="::1", port_mode="fixed", port=5432, path=None)
    tcp = endpoints_of(runtime(listener("db", protocol="tcp", projection=projection))).of("db")
    assert tcp is not None
    assert (tcp.url, tcp.text) == (None, "[::1]:5432")
    https = endpoints_of(runtime(listener("web", protocol="https", projection=projection))).of("web")
    assert https is not None
    assert https.url == "https://[::1]:5432/"


def test_the_inner_address_is_told_only_where_it_differs() -> None:
    same = ProjectionPlan(address="::1", port_mode="fixed", port=80, path=None)
    plain = listener("a", protocol="tcp", bind_address="::1", projection=same)
    mapped = listener("b", bind=3000, bind_address="::")
    found = endpoints_of(runtime(plain, mapped))
    assert [each.internal for each in found.projected] == [None, "http://[::]:3000"]
