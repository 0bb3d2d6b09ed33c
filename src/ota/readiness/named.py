"""One resolved probe, asked once from this host, and the answer in the words a finding needs.

Repetition belongs to `wait`. A request that has to be made inside a container or on a remote is not
made here at all: it comes back as not evaluable, never as a failure of what it asks about.

Source: runtime specification 11.1, 11.2; contract specification 13.
"""

from msgspec import Struct

from ota.readiness.probes import HttpProbe, Probe, TcpProbe, statuses_accepted
from ota.readiness.results import ProbeResult
from ota.resolve.probes import ProbeProblem, ResolvedProbe

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


def probe_of(resolved: ResolvedProbe, timeout_s: float | None = None) -> Probe:
    """The attempt that a request stands for."""
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


def ask(resolved: ResolvedProbe | ProbeProblem, *, timeout_s: float | None = None) -> ProbeAnswer:
    """Make the request once; `timeout_s` takes the place of the probe's own."""
    if isinstance(resolved, ProbeProblem):
        return ProbeAnswer(holds=False, why=resolved.why, is_unevaluable=True, next=resolved.next)
    if resolved.plane != "native":
        return ProbeAnswer(
            holds=False,
            why=f"{resolved.target} is an address of {_place(resolved)}; this build asks from the host only",
            target=resolved.target,
            is_unevaluable=True,
            next=_from_the_host(resolved),
        )
    result = probe_of(resolved, timeout_s).attempt()
    why = "" if result.ok else f"{resolved.target}: {result.detail}"
    return ProbeAnswer(
        holds=result.ok,
        why=why,
        target=resolved.target,
        observed=result.detail,
        is_timed_out=result.cause in _TIMED_OUT,
        next=result.fix,
        result=result,
    )


def _place(resolved: ResolvedProbe) -> str:
    named = f" `{resolved.context}`" if resolved.context else ""
    return f"{resolved.plane} context{named}"


def _from_the_host(resolved: ResolvedProbe) -> str:
    if resolved.owner.startswith("service "):
        return "point the probe at an endpoint of a native context"
    return "drop `target.observer` and use `address_view: host` to ask for the published endpoint"
