"""A container for one body: made, entered, looked at, removed.

    run = EphemeralRun(engine, work, environment_of, scene)
    prepared = run.prepare()
    ... spawn prepared.argv right after prepared.release_ports(); feed its stderr to a StartMark ...
    if the mark never came: run.not_started(prepared, said)   # raises, or returns: prepare() again
    end = observe_end(engine, prepared.name)
    finding = release_ephemeral(engine, prepared.name)

Source: runtime specification 6.
"""

from msgspec import Struct

from ota.backends.container.engine import Engine
from ota.backends.container.work import EnvironmentOf, Prepared, Scene, Work
from ota.errors import Finding


class Termination(Struct, frozen=True, kw_only=True):
    """How a container ended, as the engine says; None is not known."""

    is_running: bool | None
    was_started: bool
    exit_code: int | None
    oom_killed: bool
    error: str = ""


class EphemeralRun:
    """One body in a fresh container, over as many attempts as lost ports and orphans allow."""

    def __init__(self, engine: Engine, work: Work, environment_of: EnvironmentOf, scene: Scene) -> None:
        self._engine = engine
        self._work = work
        self._environment_of = environment_of
        self._scene = scene

    def prepare(self) -> Prepared:
        """Reserve ports, see to volumes and networks, and create the container.

        Raises:
            HostError: nothing of this attempt is left.
        """
        raise NotImplementedError

    def not_started(self, prepared: Prepared, said: str) -> None:
        """The engine could not start what was prepared, and said why. Returns when `prepare` is worth
        another try; the container is removed either way.

        Raises:
            HostError: why it could not be started, `OTA_HOST_PUBLICATION_CONFLICT` among the reasons.
        """
        raise NotImplementedError


def observe_end(engine: Engine, name: str) -> Termination:
    """How the container's first process ended; one call.

    Raises:
        HostError: the engine gives no answer.
    """
    raise NotImplementedError


def release_ephemeral(engine: Engine, name: str) -> Finding | None:
    """Remove the container, running or not; a warning when it could not be done."""
    raise NotImplementedError
