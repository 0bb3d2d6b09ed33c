"""`ota clean --stale`: stopped containers that ota made, of any repository, on every engine that answers.

Needs no contract and no token. A container whose run still lives is not stale, whatever its state: its end
is being looked at.

Source: runtime specification 21.2; commands specification 13.
"""

from collections.abc import Mapping
from typing import Literal

from ota.backends.container.clean_report import (
    CleanFailure,
    StaleCleaned,
    StaleContainer,
    absent_engine,
    not_removed,
    unsearched,
)
from ota.backends.container.cleaning import LOCAL_ENGINES
from ota.backends.container.engine import Engine, engine_of
from ota.backends.container.identity import PERSISTENT_PREFIX, is_ephemeral, is_managed
from ota.backends.container.inventory import FoundContainer, observe_containers
from ota.backends.container.ownership import owner_life
from ota.backends.container.removal import remove
from ota.errors import Finding, HostError
from ota.system.clock import SYSTEM_CLOCK, Clock

# Compose calls the containers of a project named `ota` `ota-web-1`.
_OTHER_OWNERS = ("com.docker.compose.project", "io.podman.compose.project")

Ownership = Literal["label", "legacy_name"]


def clean_stale(environ: Mapping[str, str], *, is_dry_run: bool, clock: Clock = SYSTEM_CLOCK) -> StaleCleaned:
    """Find stale containers and, unless it is a dry run, remove them."""
    asked: list[str] = []
    matched: list[StaleContainer] = []
    failures: list[CleanFailure] = []
    silent: dict[str, Finding] = {}
    for name in LOCAL_ENGINES:
        engine = engine_of(name, environ, clock=clock)
        if engine is None:
            silent[name] = absent_engine(name)
            continue
        try:
            found = {each.id: each for each in observe_containers(engine) if stale_by(each) is not None}
        except HostError as error:
            silent[name] = error.findings[0]
            continue
        asked.append(name)
        matched += [_matched(name, each) for each in found.values()]
        if not is_dry_run:
            failures += _remove(engine, found)
    if not asked:
        failures += [unsearched(name, finding, recorded_in=None) for name, finding in silent.items()]
    kept = sum(each.name is not None for each in failures)
    return StaleCleaned(
        engines=tuple(asked),
        matched=tuple(sorted(matched, key=lambda each: (each.engine, each.name))),
        removed=0 if is_dry_run else len(matched) - kept,
        failures=tuple(failures),
    )


def stale_by(found: FoundContainer) -> Ownership | None:
    """What says that ota made this stopped container; None when it is not stale."""
    if is_managed(found.labels):
        life = owner_life(found.labels) if is_ephemeral(found.labels) else "dead"
        if life == "alive":
            return None
        is_leftover = found.status == "created" and is_ephemeral(found.labels) and life == "dead"
        return "label" if found.status in ("exited", "dead") or is_leftover else None
    if found.status not in ("exited", "dead") or not found.name.startswith(PERSISTENT_PREFIX):
        return None
    return None if any(label in found.labels for label in _OTHER_OWNERS) else "legacy_name"


def _matched(engine: str, found: FoundContainer) -> StaleContainer:
    return StaleContainer(engine=engine, name=found.name, ownership=stale_by(found) or "label")


def _remove(engine: Engine, found: Mapping[str, FoundContainer]) -> list[CleanFailure]:
    removal = remove(engine, "container", {handle: each.name for handle, each in found.items()})
    details = {kept.handle: kept.detail for kept in removal.kept}
    if removal.lost is not None:
        gone = set(removal.removed)
        details |= {handle: removal.lost.why for handle in found if handle not in gone}
    return [
        not_removed(
            engine.name,
            "stale_containers",
            found[handle].name,
            detail,
            f"see what holds it: `{engine.name} inspect {found[handle].name}`, then run `ota clean --stale`",
        )
        for handle, detail in details.items()
    ]
