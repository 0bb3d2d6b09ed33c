"""Asking services whether they are ready, and starting none: what a diagnosis wants to know.

A declared `retries` is the patience the contract asks for. Without one a few attempts tell as much as
many, because nothing is being started that could still come up.

Source: doctor specification 9 (services); runtime specification 13.3.
"""

from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from ota.errors import HostError
from ota.readiness.results import ProbeResult
from ota.readiness.wait import Exhausted, Ready, StopReason, wait_ready
from ota.resolve.service_plan import (
    CommandReadiness,
    EndpointReadiness,
    HealthReadiness,
    ProducerControl,
    ServicePlan,
    UnitControl,
    UnitReadiness,
)
from ota.services.bring_up import timing_of
from ota.services.compose import ComposeChoices
from ota.services.managers import manager_of, readiness_gates
from ota.services.scene import ServiceScene
from ota.system.addresses import address_text
from ota.system.side_by_side import side_by_side

BRIEF_RETRIES = 2
_TIMED_OUT = ("connect_timed_out", "no_answer")


class Seen(Struct, frozen=True, kw_only=True):
    """What was seen of one service."""

    name: str
    is_ready: bool = False
    is_timed_out: bool = False
    is_healthcheck: bool = False
    """It was the legacy healthcheck that was asked."""
    cannot_ask: bool = False
    """The context that readiness names cannot execute: nothing was asked."""
    detail: str = ""
    context: str | None = None
    endpoint: str = ""
    command: str = ""
    start: str = ""
    """What would start it, as a command."""


def observe_services(services: tuple[ServicePlan, ...], scene: ServiceScene) -> tuple[Seen, ...]:
    """Those that say how they can be asked, side by side, in the order given."""
    choices = ComposeChoices()
    asked = [each for each in services if _can_be_asked(each)]
    return side_by_side([partial(_observe, each, scene, choices) for each in asked])


def _can_be_asked(service: ServicePlan) -> bool:
    """Units and producers belong to somebody whom this build does not ask; they stay unobserved."""
    is_foreign = isinstance(service.control, UnitControl | ProducerControl)
    return (
        service.readiness is not None and not is_foreign and not isinstance(service.readiness, UnitReadiness)
    )


def _observe(service: ServicePlan, scene: ServiceScene, choices: ComposeChoices) -> Seen:
    seen = _described(service)
    readiness = service.readiness
    if isinstance(readiness, EndpointReadiness | CommandReadiness) and readiness.plane == "remote":
        why = f"this build does not execute in {readiness.plane} contexts"
        return replace(seen, cannot_ask=True, detail=why)
    try:
        manager = manager_of(service, scene, choices)
    except HostError as error:
        finding = error.findings[0]
        return replace(seen, detail=f"{finding.summary}: {finding.why}")
    start = manager.start()
    try:
        outcome = wait_ready(
            readiness_gates(service, manager, scene),
            timing_of(service if service.has_own_retries else replace(service, retries=BRIEF_RETRIES)),
            clock=scene.clock,
            stop=lambda: StopReason(kind="interrupted") if scene.should_stop() else None,
        )
    except HostError as error:  # the context to ask from cannot execute anything
        return replace(seen, cannot_ask=True, detail=error.findings[0].why)
    last: ProbeResult | None = outcome.last[-1].result if outcome.last else None
    return replace(
        seen,
        is_ready=isinstance(outcome, Ready),
        is_timed_out=isinstance(outcome, Exhausted) and last is not None and last.cause in _TIMED_OUT,
        detail=last.detail if last is not None else "not asked",
        start=start.text if start is not None else "",
    )


def _described(service: ServicePlan) -> Seen:
    match service.readiness:
        case EndpointReadiness() as readiness:
            at = address_text(readiness.address, readiness.port)
            asked = f"tcp {at}" if readiness.kind == "tcp" else f"http://{at}{readiness.path}"
            return Seen(name=service.name, context=readiness.context, endpoint=at, command=asked)
        case CommandReadiness() as readiness:
            is_healthcheck = readiness.context is None
            return Seen(
                name=service.name,
                context=readiness.context,
                command=readiness.run,
                is_healthcheck=is_healthcheck,
            )
        case HealthReadiness():
            return Seen(name=service.name, command="container health")
        case _:
            return Seen(name=service.name)
