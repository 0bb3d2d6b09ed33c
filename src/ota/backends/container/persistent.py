"""A container that stays: reconciled with what the plan wants, entered by `exec`, its bodies ended properly.

    prepared = prepare_persistent(engine, work, environment_of, scene)
    ... spawn prepared.argv; feed its stderr to a StartMark ...
    if the mark never came: prepared = prepare_again(prepared, said)   # once; raises otherwise
    on interrupt: end_body(engine, prepared.name, prepared.body_mark, ...)
    prepared.leave()

Source: runtime specification 7.
"""

from msgspec import Struct

from ota.backends.container.engine import Engine
from ota.backends.container.work import EnvironmentOf, Prepared, Scene, Work
from ota.errors import Finding


class BodyEnding(Struct, frozen=True, kw_only=True):
    """What ending a body inside a container came to."""

    ended: int = 0
    survived: tuple[int, ...] = ()
    """Pids inside the container."""
    finding: Finding | None = None
    """Why it is not known, or what is left."""


def prepare_persistent(engine: Engine, work: Work, environment_of: EnvironmentOf, scene: Scene) -> Prepared:
    """Reuse, start or recreate the container of this work.

    Raises:
        HostError: it is in use in another shape, a port is taken, or the engine refuses.
    """
    raise NotImplementedError


def end_body(engine: Engine, name: str, body_mark: str, *, grace_s: float = 5.0) -> BodyEnding:
    """TERM, grace, KILL for everything of one body inside a container; the container stays."""
    raise NotImplementedError
