"""Everything an engine holds, with the labels, mounts and networks that tell whose it is.

One broad list and one batched inspect per kind. Lists are never filtered by the engine: a filter that
lies would hide what is ours, or show what is not. What belongs to whom is decided in `claims`.

Source: runtime specification 4.2, 21.1; commands specification 13; lessons, "Engine talk".
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ota.backends.container.engine import Engine, EngineAnswer, ask, refusal, require
from ota.errors import HostError
from ota.resolve.injection import CONTAINER_WORKSPACE

Kind = Literal["container", "volume", "network"]

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
            FoundVolume(name=name, labels=labels) for name, labels in _named(_observe(engine, "volume"))
        ),
        networks=tuple(
            FoundNetwork(name=name, labels=labels) for name, labels in _named(_observe(engine, "network"))
        ),
    )


def observe_containers(engine: Engine) -> tuple[FoundContainer, ...]:
    """Every container of an engine.

    Raises:
        HostError: it does not answer, or will not say.
    """
    return tuple(_container(raw) for raw in _observe(engine, "container") if _text(raw, "Id"))


def listed(engine: Engine, kind: Kind) -> tuple[str, ...]:
    """What exists, by the handle that inspecting and removing take: ids of containers, else names.

    Raises:
        HostError: the engine does not answer, or will not say.
    """
    answer = require(engine, f"list its {kind}s", *_LISTS[kind], limit_s=LIST_LIMIT_S)
    return tuple(dict.fromkeys(answer.stdout.split()))


def _observe(engine: Engine, kind: Kind) -> list[Mapping[str, Any]]:
    """Inspect all there is. What goes away between the list and the look is gone, not an error."""
    handles = listed(engine, kind)
    for look in range(1, _LOOKS + 1):
        found: list[Mapping[str, Any]] = []
        refused: EngineAnswer | None = None
        for batch in batches(handles, INSPECT_BATCH[kind]):
            answer = ask(engine, kind, "inspect", *batch)
            found += _objects(answer.stdout)
            refused = refused if answer.is_ok else answer
        if refused is None:
            return found
        now = set(listed(engine, kind))
        seen = {handle for raw in found for handle in _handles(raw)}
        handles = tuple(handle for handle in handles if handle in now)
        if seen.issuperset(handles):
            return [raw for raw in found if now.intersection(_handles(raw))]
        if look == _LOOKS:
            raise HostError(refusal(engine, refused, f"inspect its {kind}s"))
    return []


def batches(handles: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """The handles in runs of at most `size`."""
    for start in range(0, len(handles), size):
        yield handles[start : start + size]


# --- reading what engines say ------------------------------------------------------------------------


def _objects(text: str) -> list[Mapping[str, Any]]:
    """The objects of a JSON array; cut or foreign output holds none."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return []
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, dict)]


def _named(objects: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, str]]]:
    for raw in objects:
        name = _text(raw, "Name")
        if name:
            yield name, _labels(_field(raw, "Labels"))


def _handles(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """By what a list may have named this object."""
    return tuple(text for text in (_text(raw, "Id"), _text(raw, "Name")) if text)


def _container(raw: Mapping[str, Any]) -> FoundContainer:
    config = _field(raw, "Config")
    mounts = _field(raw, "Mounts")
    mounts = [each for each in mounts if isinstance(each, dict)] if isinstance(mounts, list) else []
    networks = _field(_field(raw, "NetworkSettings"), "Networks")
    return FoundContainer(
        id=_text(raw, "Id"),
        name=_text(raw, "Name").removeprefix("/"),
        labels=_labels(_field(config, "Labels")),
        status=_text(_field(raw, "State"), "Status").lower(),
        volumes=tuple(_text(each, "Name") for each in mounts if _text(each, "Type") == "volume"),
        networks=tuple(str(name) for name in networks) if isinstance(networks, dict) else (),
        workspace=next(
            (
                _text(each, "Source")
                for each in mounts
                if _text(each, "Type") == "bind" and _text(each, "Destination") == CONTAINER_WORKSPACE
            ),
            None,
        ),
    )


def _field(raw: Any, name: str) -> Any:
    """A key in Docker's spelling or in Podman's lower case."""
    if not isinstance(raw, dict):
        return None
    return raw.get(name, raw.get(name.lower()))


def _text(raw: Any, name: str) -> str:
    value = _field(raw, name)
    return value if isinstance(value, str) else ""


def _labels(raw: Any) -> dict[str, str]:
    if not isinstance(raw, dict):
        return {}
    return {key: value for key, value in raw.items() if isinstance(key, str) and isinstance(value, str)}
