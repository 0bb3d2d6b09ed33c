"""One resolved probe, asked once from where its address holds, and the answer in the words a finding needs.

That is this host, or the inside of a container context. Repetition belongs to `wait`. A request that cannot
be made from there, or has to be made on a remote, comes back as not evaluable: never as a failure of what
it asks about.

Source: runtime specification 11.1, 11.2; contract specification 13.
"""

from typing import TYPE_CHECKING

from msgspec import Struct

from ota.errors import HostError
from ota.readiness.asker import Asker
from ota.readiness.probes import HttpProbe, Probe, TcpProbe, statuses_accepted
from ota.readiness.results import ProbeResult
from ota.resolve.probes import ProbeProblem, ResolvedProbe

if TYPE_CHECKING:
    from ota.resolve.plan import TaskPlan

_TIMED_OUT = ("connect_timed_out", "no_answer")


class ProbeAnswer(Struct, frozen=True, kw_only=True):
    """What asking once found out."""

    holds: bool
    why: str = ""
    target: str = ""
    """What was asked."""
    observed: str = ""
    is_timed_out: bool = False
    is_unevaluable: bool = False
    """Nothing was asked."""
    next: str = ""
    """A better remedy than the caller's own, when there is one."""
    result: ProbeResult | None = None


def probe_of(resolved: ResolvedProbe, timeout_s: float | None = None) -> TcpProbe | HttpProbe:
    """The attempt that a request stands for, made from this host."""
    limit_s = timeout_s if timeout_s is not None else resolved.timeout_ms / 1000
    if resolved.kind == "tcp":
        strictness = "fail" if resolved.is_published else "note"
        return TcpProbe(
            host=resolved.host,
            port=resolved.port,
            timeout_s=limit_s,
            closed_at_once=strictness,  # type: ignore[arg-type]  # one of the two words above
        )
    return HttpProbe(
        host=resolved.host,
        port=resolved.port,
        scheme=resolved.scheme,
        path=resolved.path,
        method=resolved.method,
        headers=tuple(resolved.headers.items()),
        accepts=statuses_accepted(resolved.statuses),
        body_contains=resolved.body_contains,
        timeout_s=limit_s,
        verify_certificate=resolved.is_verified,
    )


def ask(
    resolved: ResolvedProbe | ProbeProblem, *, timeout_s: float | None = None, asker: Asker | None = None
) -> ProbeAnswer:
    """Make the request once; `timeout_s` takes the place of the probe's own.

    Without an `asker` nothing is asked inside containers.
    """
    if isinstance(resolved, ProbeProblem):
        return ProbeAnswer(holds=False, why=resolved.why, is_unevaluable=True, next=resolved.next)
    probe: Probe
    if resolved.plane == "native":
        probe = probe_of(resolved, timeout_s)
    elif resolved.where is not None and asker is not None:
        probe = _from_inside(resolved, resolved.where, timeout_s, asker)
    else:
        return ProbeAnswer(
            holds=False,
            why=f"{resolved.target} is an address of {_place(resolved)}, where nothing is asked here",
            target=resolved.target,
            is_unevaluable=True,
            next=_from_the_host(resolved),
        )
    try:
        result = probe.attempt()
    except HostError as error:
        finding = error.findings[0]
        return ProbeAnswer(
            holds=False,
            why=f"{finding.summary}: {finding.why}",
            target=resolved.target,
            is_unevaluable=True,
            next=finding.next,
        )
    where = f" from {_place(resolved)}" if resolved.where is not None else ""
    why = "" if result.ok else f"{resolved.target}{where}: {result.detail}"
    return ProbeAnswer(
        holds=result.ok,
        why=why,
        target=resolved.target,
        observed=result.detail,
        is_timed_out=result.cause in _TIMED_OUT,
        next=result.fix,
        result=result,
    )


def _from_inside(resolved: ResolvedProbe, where: "TaskPlan", timeout_s: float | None, asker: Asker) -> Probe:
    from ota.readiness.inside import InsideProbe  # paid only by probes asked from a container

    return InsideProbe(
        subject=f"`{resolved.name}`",
        question=probe_of(resolved, timeout_s),
        context=resolved.context or "",
        where=where,
        asker=asker,
        timeout_s=timeout_s if timeout_s is not None else resolved.timeout_ms / 1000,
        otherwise=_from_the_host(resolved),
    )


def _place(resolved: ResolvedProbe) -> str:
    named = f" `{resolved.context}`" if resolved.context else ""
    return f"{resolved.plane} context{named}"


def _from_the_host(resolved: ResolvedProbe) -> str:
    if resolved.owner.startswith("service "):
        return "point the probe at an endpoint of a native context"
    return "drop `target.observer` and use `address_view: host` to ask for the published endpoint"
