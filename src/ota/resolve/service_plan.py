"""What is decided about declared services: who controls one, and how ota learns that it is ready.

Records only. `ota.resolve.services` makes them from a contract; `ota.services` carries them out.

Source: contract specification 12; runtime specification 13.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from ota.contract.model.scalars import HttpMethod, Plane
from ota.contract.model.services import ManagerCommand

if TYPE_CHECKING:
    from ota.resolve.plan import TaskPlan


class ComposeControl(Struct, frozen=True, kw_only=True):
    """A service of a Compose project."""

    project: str
    """Empty: compose names it after the folder."""
    service: str
    engine: Literal["docker", "podman"]
    """As declared, by the first engines of the containers that reach it where nothing else is."""
    candidates: tuple[tuple[str, ...], ...] = ()
    """Engines the containers that reach the service choose from: the service is on the one they find."""
    files: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()

    def argv(self, compose: tuple[str, ...], *rest: str) -> tuple[str, ...]:
        """`<compose> [--env-file …] [-f …] [--profile …] -p <project> <rest>`."""
        flagged = (
            *(("--env-file", file) for file in self.env_files),
            *(("-f", file) for file in self.files),
            *(("--profile", profile) for profile in self.profiles),
            *((("-p", self.project),) if self.project else ()),
        )
        return (*compose, *(word for pair in flagged for word in pair), *rest)

    def start_argv(self, compose: tuple[str, ...]) -> tuple[str, ...]:
        """`… up -d <service>`."""
        return self.argv(compose, "up", "-d", self.service)

    def stop_argv(self, compose: tuple[str, ...]) -> tuple[str, ...]:
        """`… stop <service>`."""
        return self.argv(compose, "stop", self.service)


class HostControl(Struct, frozen=True, kw_only=True):
    """Commands of this machine, without a shell."""

    start: ManagerCommand | None = None
    stop: ManagerCommand | None = None


class LegacyControl(Struct, frozen=True, kw_only=True):
    """Shell commands of this machine."""

    start: str | None = None
    stop: str | None = None


class UnitControl(Struct, frozen=True, kw_only=True):
    """A unit of the machine's own service manager (D10: planned, not carried out)."""

    unit: str


class ProducerControl(Struct, frozen=True, kw_only=True):
    """Another repository starts it."""

    repo: str
    task: str


class NoControl(Struct, frozen=True, kw_only=True):
    """Nobody ota could ask: it is only reached."""


ControlPlan = ComposeControl | HostControl | LegacyControl | UnitControl | ProducerControl | NoControl


class EndpointReadiness(Struct, frozen=True, kw_only=True):
    """A request to the endpoint that belongs to the context it is made from."""

    kind: Literal["http", "tcp"]
    address: str
    port: int
    context: str
    plane: Plane
    where: "TaskPlan | None" = None
    """How any task of that context would run, where it is not the host."""
    method: HttpMethod = "GET"
    path: str = "/"
    headers: Mapping[str, str] = {}
    statuses: tuple[int, ...] = ()
    """Accepted ones; empty: 200 to 399."""
    body_contains: str | None = None


class CommandReadiness(Struct, frozen=True, kw_only=True):
    """A shell command that ends with 0 when the service is ready."""

    run: str
    context: str | None = None
    """None: a legacy healthcheck, which belongs to the host."""
    plane: Plane = "native"
    where: "TaskPlan | None" = None
    """How any task of that context would run, where it is not the host."""
    is_in_service: bool = False
    """Asked inside the compose service's own container."""


class HealthReadiness(Struct, frozen=True, kw_only=True):
    """What the engine says about the health of the compose container."""


class UnitReadiness(Struct, frozen=True, kw_only=True):
    """What the machine's service manager says."""


ReadinessForm = EndpointReadiness | CommandReadiness | HealthReadiness | UnitReadiness


class ServicePlan(Struct, frozen=True, kw_only=True):
    """One service, fully decided."""

    name: str
    control: ControlPlan
    readiness: ReadinessForm | None = None
    """None: nothing says when it is ready."""
    is_required: bool = False
    depends_on: tuple[str, ...] = ()
    interval_ms: int = 500
    retries: int = 120
    timeout_ms: int = 2000
    start_period_ms: int = 0
    has_own_retries: bool = False
    """Whether the contract says how patient to be."""

    @property
    def can_start(self) -> bool:
        """Whether the contract says how."""
        match self.control:
            case ComposeControl():
                return True
            case HostControl(start=start):
                return start is not None
            case LegacyControl(start=start):
                return start is not None
            case _:
                return False
