"""Containers of this repository that nobody needs any more and that stand in the way of a run.

Only proof counts: managed, this repository's token, and an owner that is gone. Containers of living runs,
of other repositories and of unknown state are never touched.

Source: runtime specification 6.2, 6.3, 6.4, 25.4.
"""

from collections.abc import Mapping, Sequence

from ota.backends.container.engine import Engine
from ota.backends.container.facts import Listed, list_containers
from ota.backends.container.identity import (
    EPHEMERAL_PREFIX,
    LABEL_MANAGED,
    LABEL_OWNER_PID,
    LABEL_REPO,
    MANAGED,
    is_ephemeral,
    is_owned,
    is_persistent,
)
from ota.backends.container.ownership import owner_life
from ota.backends.container.publication import publishes
from ota.backends.container.work import PublishedPort, Work
from ota.errors import Finding, HostError


def list_owned(engine: Engine, token: str) -> tuple[Listed, ...]:
    """All containers of this repository; one call.

    Raises:
        HostError: the engine gives no list.
    """
    listed = list_containers(engine, f"label={LABEL_MANAGED}={MANAGED}", f"label={LABEL_REPO}={token}")
    return tuple(each for each in listed if is_owned(each.labels, token))


def reap_orphans(engine: Engine, token: str) -> int:
    """Remove ephemeral containers whose owner is gone; how many. One call when there are none.

    Raises:
        HostError: the engine gives no list, or an orphan cannot be removed.
    """
    found = [each for each in list_owned(engine, token) if _is_orphan(each)]
    return remove_containers(engine, found)


def _is_orphan(listed: Listed) -> bool:
    if not listed.name.startswith(EPHEMERAL_PREFIX) or not is_ephemeral(listed.labels):
        return False
    life = owner_life(listed.labels)
    # One that does not run and has an owner is about to be started, or removed, by it.
    return life == "dead" or (life == "unknown" and listed.is_running is False)


def reap_legacy(engine: Engine, token: str, port: PublishedPort) -> int:
    """Remove running ephemeral containers of earlier versions, without an owner, that publish `port`.

    Raises:
        HostError: the engine gives no list, or one of them cannot be removed.
    """
    assert port.host_port is not None
    found = [
        each
        for each in list_owned(engine, token)
        if each.name.startswith(EPHEMERAL_PREFIX)
        and each.is_running
        and LABEL_OWNER_PID not in each.labels
        and not is_persistent(each.labels)
        and any(mapping.host_port == port.host_port for mapping in each.ports)
    ]
    return remove_containers(engine, found)


def reclaim_persistent(engine: Engine, work: Work, token: str, port: PublishedPort) -> int:
    """Remove persistent containers of this repository that publish `port` and that no run is in.

    Raises:
        HostError: the engine gives no list, or one of them cannot be removed.
    """
    from ota.backends.container.leases import Leases

    assert port.host_port is not None
    leases = Leases(work.root)
    count = 0
    for each in list_owned(engine, token):
        if is_persistent(each.labels) and publishes(each.ports, port.host_address, port.host_port):
            alone = leases.try_alone(each.name)
            if alone is None:
                continue  # a run is in it: its port is taken, and the finding says by which container
            try:
                count += remove_containers(engine, [each])
            finally:
                alone.release()
    return count


def remove_containers(engine: Engine, containers: Sequence[Listed]) -> int:
    """Remove them by id, and see that they are gone; how many.

    Raises:
        HostError: the engine gives no answer, or one of them is still there.
    """
    if not containers:
        return 0
    from ota.backends.container.removal import remove  # paid only by runs that find something

    removal = remove(engine, "container", {each.id: each.name for each in containers})
    if removal.lost is not None:
        raise HostError(removal.lost)
    if removal.kept:
        kept = {each.handle: each.detail for each in removal.kept}
        raise HostError(_kept(engine, containers, kept))
    return len(removal.removed)


def _kept(engine: Engine, containers: Sequence[Listed], kept: Mapping[str, str]) -> Finding:
    names = " ".join(each.name for each in containers if each.id in kept)
    return Finding(
        code="OTA_CONTAINER_CLEANUP_FAILED",
        title="Cleanup is incomplete",
        summary=f"could not remove containers that dead runs of this repository left: {names}",
        why=next(iter(kept.values())),
        next=f"remove them: `{engine.name} rm -f {names}`, then run the command again",
        category="execution",
        owner="host",
    )
