"""Persistent containers of earlier versions, which carry no ownership token: known by name and mount.

They are looked for only when something of theirs stands in the way; `ota clean` shows them and leaves them.

Source: runtime specification 7.1, 7.2.
"""

from pathlib import Path

from ota.backends.container.engine import Engine
from ota.backends.container.facts import ContainerFacts, Listed, inspect_containers, list_containers
from ota.backends.container.identity import LABEL_REPO, has_legacy_name, is_managed, is_persistent
from ota.backends.container.publication import publishes
from ota.backends.container.work import PublishedPort
from ota.resolve.injection import CONTAINER_WORKSPACE


def legacy_containers(
    engine: Engine, root: Path, name: str, port: PublishedPort | None
) -> tuple[Listed, ...]:
    """Those of this checkout that publish `port`, or, without one, that have `name`. Two calls.

    Raises:
        HostError: the engine gives no answer.
    """
    candidates = [
        each
        for each in list_containers(engine)
        if LABEL_REPO not in each.labels
        and (has_legacy_name(each.name) or (is_managed(each.labels) and is_persistent(each.labels)))
    ]
    facts = inspect_containers(engine, [each.id for each in candidates])
    return tuple(
        each
        for each in candidates
        if each.id in facts
        and _mounts_checkout(facts[each.id], root)
        and (each.name == name if port is None else _publishes(facts[each.id], port))
    )


def _mounts_checkout(facts: ContainerFacts, root: Path) -> bool:
    for mount in facts.mounts:
        if mount.kind == "bind" and mount.destination == CONTAINER_WORKSPACE:
            try:
                return Path(mount.source).samefile(root)
            except OSError:
                return False
    return False


def _publishes(facts: ContainerFacts, port: PublishedPort) -> bool:
    return port.host_port is not None and publishes(facts.ports, port.host_address, port.host_port)
