"""The services of a path, asked for a diagnosis and told in its words.

Source: doctor specification 9 (services); runtime specification 13.3.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ota.diagnose.scene import Scene
from ota.diagnose.services import ServiceFact, ServiceState

if TYPE_CHECKING:
    from ota.services.observing import Seen


def observed_services(scene: Scene, names: Sequence[str]) -> Mapping[str, ServiceFact]:
    """One fact per service that could be asked; none is started."""
    from ota.resolve.services import plan_services  # paid only by contracts with services
    from ota.services.observing import observe_services
    from ota.services.scene import ServiceScene

    wanted = set(names)
    plans = tuple(plan for plan in plan_services(scene.scope, names) if plan.name in wanted)
    asked = ServiceScene(
        root=scene.loaded.root,
        environ=scene.environ,
        run_id=scene.run_id,
        what="a diagnosis",
        should_stop=lambda: scene.should_stop(),
        clock=scene.clock,
    )
    return {seen.name: _fact(scene, seen) for seen in observe_services(plans, asked)}


def _fact(scene: Scene, seen: "Seen") -> ServiceFact:
    mask = scene.masker.mask
    return ServiceFact(
        name=seen.name,
        state=_state(seen),
        detail=mask(seen.detail),
        context=seen.context,
        endpoint=seen.endpoint,
        command=mask(seen.command),
        start=mask(seen.start),
    )


def _state(seen: "Seen") -> ServiceState:
    if seen.is_ready:
        return "ready"
    if seen.cannot_ask:
        return "context_unexecutable"
    if seen.is_healthcheck:
        return "check_timed_out" if seen.is_timed_out else "check_failed"
    return "timed_out" if seen.is_timed_out else "not_ready"
