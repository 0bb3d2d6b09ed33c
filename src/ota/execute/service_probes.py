"""The requests that tell whether a service task is ready, or reachable, at one of its endpoints.

Source: runtime specification 11; contract specification 15.9.
"""

from typing import Literal

from ota.readiness.probes import HttpProbe, Probe, TcpProbe, statuses_accepted
from ota.readiness.timing import Timing
from ota.resolve.endpoints import Endpoint
from ota.resolve.plan import ProbePlan, ReadinessPlan

ClosedAtOnce = Literal["note", "fail"]
"""What a connection that is accepted and closed at once means (`TcpProbe`)."""
_ANY_ANSWER = ((100, 599),)


def declared_probe(
    probe: ProbePlan, endpoint: Endpoint, readiness: ReadinessPlan, closed_at_once: ClosedAtOnce
) -> Probe:
    """What the contract asks of this endpoint."""
    timeout_s = (probe.timeout_ms or readiness.probe.timeout_ms or 2000) / 1000
    if probe.kind == "tcp":
        return _connecting(endpoint, timeout_s, closed_at_once)
    accepts = statuses_accepted(probe.statuses) if probe.statuses is not None else ((200, 399),)
    return HttpProbe(
        host=endpoint.host_address,
        port=endpoint.host_port,
        scheme="https" if endpoint.protocol == "https" else "http",
        path=probe.path or "/",
        method=probe.method,
        headers=tuple(probe.headers.items()),
        accepts=accepts,
        body_contains=probe.body_contains,
        timeout_s=timeout_s,
    )


def reaching_probe(endpoint: Endpoint, closed_at_once: ClosedAtOnce) -> Probe:
    """Reachability of an endpoint without declared readiness: any answer in its own protocol."""
    if endpoint.protocol == "tcp":
        return _connecting(endpoint, 2.0, closed_at_once)
    return HttpProbe(
        host=endpoint.host_address,
        port=endpoint.host_port,
        scheme="https" if endpoint.protocol == "https" else "http",
        path=endpoint.path or "/",
        accepts=_ANY_ANSWER,
    )


def readiness_timing(readiness: ReadinessPlan) -> Timing:
    """How often it is asked, and for how long."""
    return Timing(
        interval_s=readiness.interval_ms / 1000,
        retries=readiness.retries,
        timeout_s=(readiness.probe.timeout_ms or 2000) / 1000,
        start_period_s=readiness.start_period_ms / 1000,
        limit_s=readiness.limit_ms / 1000 if readiness.limit_ms is not None else None,
    )


def _connecting(endpoint: Endpoint, timeout_s: float, closed_at_once: ClosedAtOnce) -> Probe:
    return TcpProbe(
        host=endpoint.host_address,
        port=endpoint.host_port,
        timeout_s=timeout_s,
        closed_at_once=closed_at_once,
    )
