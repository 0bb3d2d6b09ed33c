"""Removing many things with few calls, and looking afterwards what is really gone.

An engine's exit code does not say which of many it removed: Podman answers 0 and removes nothing when one
of several containers is missing. So every round ends with a list, and the next one names what is left.
Volumes are removed without force: Podman's force would remove whatever containers mount them.

Source: runtime specification 21.1, 23; lessons, "Nothing left behind".
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from ota.backends.container.engine import Engine, ask
from ota.backends.container.inventory import Kind, batches, listed
from ota.errors import Finding, HostError

BATCH = 50
LIMIT_S = 120.0
"""For one batch: a loaded engine takes a while for fifty containers."""
ATTEMPTS: Mapping[Kind, int] = {"container": 3, "volume": 5, "network": 3}
DELAY_S = 0.15
_COMMANDS: Mapping[Kind, tuple[str, ...]] = {
    "container": ("rm", "-f", "-v"),  # with its anonymous volumes; named ones stay
    "volume": ("volume", "rm"),
    "network": ("network", "rm"),
}


class Kept(Struct, frozen=True, kw_only=True):
    """One thing that is still there."""

    handle: str
    detail: str
    """What the engine said."""


class Removal(Struct, frozen=True, kw_only=True):
    """What came of removing."""

    removed: tuple[str, ...] = ()
    kept: tuple[Kept, ...] = ()
    lost: Finding | None = None
    """The engine stopped answering: nothing is known of what is in neither list."""


def remove(engine: Engine, kind: Kind, names: Mapping[str, str]) -> Removal:
    """Remove things by handle; `names` tells by which other name the engine may speak of each."""
    left: Sequence[str] = tuple(names)
    said = ""
    for attempt in range(ATTEMPTS[kind]):
        if not left:
            break
        if attempt:
            engine.clock.sleep(DELAY_S)
        try:
            said = _round(engine, kind, left) or said
            there = set(listed(engine, kind))
        except HostError as error:
            gone = tuple(handle for handle in names if handle not in left)
            return Removal(removed=gone, lost=error.findings[0])
        left = tuple(handle for handle in left if handle in there)
    still = set(left)
    return Removal(
        removed=tuple(handle for handle in names if handle not in still),
        kept=tuple(Kept(handle=each, detail=_about(said, each, names[each])) for each in left),
    )


def _round(engine: Engine, kind: Kind, handles: Sequence[str]) -> str:
    """Ask once for each batch; everything the engine said against it."""
    said = []
    for batch in batches(handles, BATCH):
        answer = ask(engine, *_COMMANDS[kind], *batch, limit_s=LIMIT_S)
        if not answer.is_ok:
            said.append(answer.stderr.strip() or answer.detail)
    return "\n".join(said)


def _about(said: str, handle: str, name: str) -> str:
    """The line about one thing, else all that was said."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    own = [line for line in lines if handle in line or (name and name in line)]
    return " ".join(own or lines) or "the engine reports no reason"
