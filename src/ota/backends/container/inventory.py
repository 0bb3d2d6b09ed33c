"""Everything an engine holds, with the labels, mounts and networks that tell whose it is.

One broad list and one batched inspect per kind. Lists are never filtered by the engine: a filter that
lies would hide what is ours, or show what is not. What belongs to whom is decided in `claims`.

Source: runtime specification 4.2, 21.1; commands specification 13; lessons, "Engine talk".
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct

from ota.backends.container.engine import Engine, EngineAnswer, ask, ask_list, refusal
from ota.backends.container.facts import container_facts, unreadable
from ota.errors import HostError
from ota.resolve.injection import CONTAINER_WORKSPACE

Kind = Literal["container", "volume", "network"]
T = TypeVar("T")

# One inspect answer stays far below what a call may say: a container is about 8 KB of JSON.
INSPECT_BATCH: Mapping[Kind, int] = {"container": 100, "volume": 400, "network": 200}
LIST_LIMIT_S = 20.0
_LISTS: Mapping[Kind, tuple[str, ...]] = {
    "container": ("ps", "-a", "-q", "--no-trunc"),
    "volume": ("volume", "ls", "-q"),
    "network": ("network", "ls", "--format", "{{.Name}}"),
}
_LOOKS = 3


class FoundContainer(Struct, frozen=True, kw_only=True):
    """One container, running or not."""

    id: str
    name: str
    labels: Mapping[str, str]
    status: str
    """`running`, `exited`, `created`, `dead`, ... as the engine says; empty where it does not."""
    volumes: tuple[str, ...] = ()
    """Named volumes it mounts."""
    networks: tuple[str, ...] = ()
    workspace: str | None = None
    """What of the host is mounted at /workspace."""

    @property
    def is_stopped(self) -> bool:
        """Whether it certainly runs nothing; an unknown state is not stopped."""
        return self.status in ("exited", "dead", "created")


class FoundVolume(Struct, frozen=True, kw_only=True):
    name: str
    labels: Mapping[str, str]


class FoundNetwork(Struct, frozen=True, kw_only=True):
    name: str
    labels: Mapping[str, str]


class Inventory(Struct, frozen=True, kw_only=True):
    """What one engine holds at one moment."""

    containers: tuple[FoundContainer, ...] = ()
    volumes: tuple[FoundVolume, ...] = ()
    networks: tuple[FoundNetwork, ...] = ()

    def mounting(self, volume: str) -> tuple[FoundContainer, ...]:
        """The containers that mount a named volume."""
        return tuple(each for each in self.containers if volume in each.volumes)

    def joined(self, network: str) -> tuple[FoundContainer, ...]:
        """The containers on a network, stopped ones included."""
        return tuple(each for each in self.containers if network in each.networks)


def observe_inventory(engine: Engine) -> Inventory:
    """Containers, volumes and networks of an engine.

    Raises:
        HostError: it does not answer, or will not say.
    """
    return Inventory(
        containers=observe_containers(engine),
        volumes=tuple(
            FoundVolume(name=name, labels=labels) for name, labels in _observe(engine, "volume", _named)
        ),
        networks=tuple(
            FoundNetwork(name=name, labels=labels) for name, labels in _observe(engine, "network", _named)
        ),
    )


def observe_containers(engine: Engine) -> tuple[FoundContainer, ...]:
    """Every container of an engine.

    Raises:
        HostError: it does not answer, or will not say.
    """
    return tuple(_observe(engine, "container", _container))


def observe_networks(engine: Engine, names: Sequence[str]) -> tuple[FoundNetwork, ...]:
    """Those of these networks that exist. One call, two when one is absent.

    Raises:
        HostError: the engine does not answer, or will not say.
    """
    return tuple(
        FoundNetwork(name=name, labels=labels) for name, labels in _inspect(engine, "network", names, _named)
    )


def listed(engine: Engine, kind: Kind) -> tuple[str, ...]:
    """What exists, by the handle that inspecting and removing take: ids of containers, else names.

    Raises:
        HostError: the engine does not answer, or will not say.
    """
    answer = ask_list(engine, *_LISTS[kind], limit_s=LIST_LIMIT_S)
    if not answer.is_ok:
        raise HostError(refusal(engine, answer, f"list its {kind}s"))
    return tuple(dict.fromkeys(answer.stdout.split()))


def _observe(engine: Engine, kind: Kind, read: Callable[[Mapping[str, Any]], T]) -> list[T]:
    """Inspect all there is. What goes away between the list and the look is gone, not an error.

    Whatever the engine's exit code says: what is listed and never shown is a refusal, or it would pass for
    nothing.
    """
    return _inspect(engine, kind, listed(engine, kind), read)


def _inspect(
    engine: Engine, kind: Kind, handles: Sequence[str], read: Callable[[Mapping[str, Any]], T]
) -> list[T]:
    for look in range(1, _LOOKS + 1):
        found: dict[str, T] = {}
        short: EngineAnswer | None = None
        for batch in batches(handles, INSPECT_BATCH[kind]):
            answer = ask(engine, kind, "inspect", *batch)
            shown = _read(engine, answer, batch, read)
            found |= shown
            short = short if len(shown) == len(batch) else answer
        if short is None:
            break
        there = set(listed(engine, kind))
        handles = tuple(handle for handle in handles if handle in there)
        if found.keys() >= set(handles):
            break
        if look == _LOOKS:
            raise HostError(
                unreadable(engine, short) if short.is_ok else refusal(engine, short, f"inspect its {kind}s")
            )
    return [found[handle] for handle in handles]


def batches(handles: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """The handles in runs of at most `size`."""
    for start in range(0, len(handles), size):
        yield handles[start : start + size]


# --- reading what engines say ------------------------------------------------------------------------


def _read(
    engine: Engine, answer: EngineAnswer, batch: Sequence[str], read: Callable[[Mapping[str, Any]], T]
) -> dict[str, T]:
    """What was found, by the handle it was asked for; of a call that was refused, what it said before.

    Raises:
        HostError: the call went well and its answer cannot be understood.
    """
    try:
        value = msgspec.json.decode(answer.stdout.strip() or "[]")
        objects = value if isinstance(value, list) else [value]
        asked = set(batch)
        return {handle: read(raw) for raw in objects for handle in _handles(raw) if handle in asked}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        if not answer.is_ok:
            return {}
        raise HostError(unreadable(engine, answer)) from error


def _handles(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """By what a list may have named this object; Podman spells the keys of networks in lower case."""
    return tuple(str(raw[name]) for name in ("Id", "Name", "name") if raw.get(name))


def _named(raw: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    labels = raw.get("Labels", raw.get("labels")) or {}
    name = raw["Name"] if "Name" in raw else raw["name"]
    return str(name), {str(key): str(value) for key, value in labels.items()}


def _container(raw: Mapping[str, Any]) -> FoundContainer:
    facts = container_facts(raw)
    binds = {mount.destination: mount.source for mount in facts.mounts if mount.kind == "bind"}
    return FoundContainer(
        id=facts.id,
        name=facts.name,
        labels=facts.labels,
        status=facts.state,
        volumes=tuple(mount.name for mount in facts.mounts if mount.kind == "volume"),
        networks=facts.networks,
        workspace=binds.get(CONTAINER_WORKSPACE),
    )
