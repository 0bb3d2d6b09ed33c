"""What an engine says about containers, as records: one broad list, or one batched inspection.

Docker and Podman spell keys, types and whole formats differently; here that ends. Everything is read
defensively: a key that is missing, null or of another type is "not known".

Source: runtime specification 4.2.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from ota.backends.container.engine import (
    CALL_LIMIT_S,
    Engine,
    EngineAnswer,
    ask,
    ask_list,
    is_absent,
    refusal,
)
from ota.backends.container.identity import (
    LABEL_FAMILY,
    LABEL_LIFECYCLE,
    LABEL_MANAGED,
    LABEL_OWNER_PID,
    LABEL_OWNER_START,
    LABEL_PARTS,
    LABEL_REPO,
    LABEL_RUN,
    LABEL_SHAPE,
)
from ota.errors import Finding, HostError
from ota.system.cutting import cut


class PortMapping(Struct, frozen=True, kw_only=True):
    """One published port, as the engine reports it."""

    container_port: int
    protocol: str
    host_address: str
    host_port: int | None
    """None: the engine has not chosen yet."""


class Listed(Struct, frozen=True, kw_only=True):
    """One line of a container list."""

    id: str
    name: str
    state: str
    """`running`, `exited`, `created`, ... in lower case; empty is not known."""
    labels: Mapping[str, str]
    """Ota's own labels only."""
    ports: tuple[PortMapping, ...] = ()
    networks: tuple[str, ...] = ()

    @property
    def is_running(self) -> bool | None:
        """None: the engine does not say. What is paused runs: somebody may be inside."""
        return None if not self.state else self.state == "running" or self.is_paused

    @property
    def is_paused(self) -> bool:
        """Whether its processes are held."""
        return self.state == "paused"


class Mount(Struct, frozen=True, kw_only=True):
    """Something mounted into a container."""

    kind: str
    name: str
    source: str
    destination: str


class ContainerFacts(Struct, frozen=True, kw_only=True):
    """What one inspection says; None and empty are not known."""

    id: str
    name: str
    image: str
    image_id: str
    state: str
    is_running: bool | None
    exit_code: int | None
    oom_killed: bool
    error: str
    pid: int | None
    """Of the first process, as the engine's machine counts."""
    labels: Mapping[str, str]
    mounts: tuple[Mount, ...]
    networks: tuple[str, ...]
    ports: tuple[PortMapping, ...]
    """Published now; of a container that does not run, what was asked for."""
    memory_bytes: int | None
    user: str

    @property
    def was_started(self) -> bool:
        """Whether its first process ever ran."""
        return self.state not in ("created", "configured", "initialized", "")


# --- listing ---------------------------------------------------------------------------------------------

_OWN_LABELS = (
    LABEL_MANAGED,
    LABEL_LIFECYCLE,
    LABEL_REPO,
    LABEL_OWNER_PID,
    LABEL_OWNER_START,
    LABEL_RUN,
    LABEL_FAMILY,
    LABEL_SHAPE,
    LABEL_PARTS,
)
# Each value as JSON: a label of a stranger may hold tabs and line ends that look like another container.
_DOCKER_LINE = "\t".join(
    f"{{{{json {field}}}}}"
    for field in (
        ".ID",
        ".Names",
        ".State",
        ".Ports",
        ".Networks",
        *(f'(.Label "{label}")' for label in _OWN_LABELS),
    )
)


def list_containers(engine: Engine, *filters: str, limit_s: float = CALL_LIMIT_S) -> tuple[Listed, ...]:
    """All containers, running or not, that pass the engine's filters (`label=x=y`); one call.

    Raises:
        HostError: the engine gives no list.
    """
    chosen = [word for each in filters for word in ("--filter", each)]
    form = "json" if engine.is_podman else _DOCKER_LINE
    answer = ask_list(engine, "ps", "-a", "--no-trunc", *chosen, "--format", form, limit_s=limit_s)
    if not answer.is_ok:
        raise HostError(refusal(engine, answer, "list containers"))
    try:
        return tuple(_podman_list(answer.stdout) if engine.is_podman else _docker_list(answer.stdout))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise HostError(unreadable(engine, answer)) from error


def _docker_list(text: str) -> Iterable[Listed]:
    for line in text.splitlines():
        if not line.strip():
            continue
        values = [_json(field) for field in line.split("\t")]
        identifier, names, state, ports, networks, *labels = (str(value or "") for value in values)
        yield Listed(
            id=identifier,
            # links add aliases with a slash to the list of names
            name=next((name for name in names.split(",") if "/" not in name), names),
            state=state.lower(),
            labels={name: value for name, value in zip(_OWN_LABELS, labels, strict=True) if value},
            ports=tuple(ports_of_text(ports)),
            networks=tuple(sorted(filter(None, networks.split(",")))),
        )


def _podman_list(text: str) -> Iterable[Listed]:
    for entry in _json(text.strip() or "[]") or ():
        labels = entry.get("Labels") or {}
        yield Listed(
            id=str(entry["Id"]),
            name=str((entry.get("Names") or [""])[0]),
            state=str(entry.get("State") or "").lower(),
            labels={name: str(labels[name]) for name in _OWN_LABELS if labels.get(name)},
            ports=tuple(_podman_ports(entry.get("Ports") or ())),
            networks=tuple(sorted(entry.get("Networks") or ())),
        )


def _podman_ports(entries: Iterable[Mapping[str, Any]]) -> Iterable[PortMapping]:
    for entry in entries:
        for offset in range(int(entry.get("range") or 1)):
            yield PortMapping(
                container_port=int(entry["container_port"]) + offset,
                protocol=str(entry.get("protocol") or "tcp"),
                host_address=str(entry.get("host_ip") or "0.0.0.0"),
                host_port=int(entry["host_port"]) + offset if entry.get("host_port") else None,
            )


_PORT_TEXT = re.compile(
    r"(?:(?P<host>.*):(?P<first>\d+)(?:-\d+)?->)(?P<inner>\d+)(?:-(?P<last>\d+))?/(?P<proto>\w+)"
)


def ports_of_text(text: str) -> Iterable[PortMapping]:
    """`127.0.0.1:32768->80/tcp, :::3000-3001->3000-3001/tcp`: Docker's list of published ports."""
    for part in text.split(", "):
        found = _PORT_TEXT.fullmatch(part.strip())
        if found is None:
            continue  # exposed, not published
        inner, last = int(found["inner"]), int(found["last"] or found["inner"])
        for offset in range(last - inner + 1):
            yield PortMapping(
                container_port=inner + offset,
                protocol=found["proto"],
                host_address=found["host"].strip("[]") or "0.0.0.0",
                host_port=int(found["first"]) + offset,
            )


# --- inspecting ------------------------------------------------------------------------------------------


def inspect_containers(
    engine: Engine, names: Sequence[str], *, limit_s: float = CALL_LIMIT_S
) -> dict[str, ContainerFacts]:
    """What the engine says about these containers, by the name or id asked for; absent ones are left out.

    One call for all of them.

    Raises:
        HostError: the engine gives no answer.
    """
    if not names:
        return {}
    answer = ask(engine, "inspect", "--type", "container", *names, limit_s=limit_s)
    if not answer.is_ok and not is_absent(answer):
        raise HostError(refusal(engine, answer, "inspect containers"))
    try:
        found = [container_facts(entry) for entry in _json(answer.stdout.strip() or "[]") or ()]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise HostError(unreadable(engine, answer)) from error
    return {
        name: facts
        for name in names
        for facts in found
        if name == facts.name or (len(name) >= 12 and facts.id.startswith(name))
    }


def container_facts(entry: Mapping[str, Any]) -> ContainerFacts:
    """One entry of `inspect`, of Docker or Podman."""
    state = entry.get("State") or {}
    config = entry.get("Config") or {}
    host = entry.get("HostConfig") or {}
    network = entry.get("NetworkSettings") or {}
    is_running = truth(_first(state, "Running", "running"))
    status = str(_first(state, "Status", "status") or "").lower()
    ports = network.get("Ports") if is_running else None
    return ContainerFacts(
        id=str(entry["Id"]),
        name=str(entry.get("Name") or "").lstrip("/"),
        image=str(entry.get("ImageName") or config.get("Image") or ""),
        image_id=str(entry.get("Image") or "").removeprefix("sha256:"),
        state=status or {True: "running", False: "exited", None: ""}[is_running],
        is_running=is_running,
        exit_code=number(_first(state, "ExitCode", "exitCode", "exit_code")),
        oom_killed=truth(_first(state, "OOMKilled", "oomKilled", "oom_killed")) is True,
        error=str(_first(state, "Error", "error") or ""),
        pid=number(_first(state, "Pid", "pid")) or None,
        labels={str(key): str(value) for key, value in (config.get("Labels") or {}).items()},
        mounts=tuple(
            Mount(
                kind=str(mount.get("Type") or ""),
                name=str(mount.get("Name") or ""),
                source=str(mount.get("Source") or ""),
                destination=str(mount.get("Destination") or ""),
            )
            for mount in entry.get("Mounts") or ()
        ),
        networks=tuple(sorted(network.get("Networks") or ())),
        ports=tuple(_inspected_ports(ports if ports is not None else host.get("PortBindings") or {})),
        memory_bytes=number(host.get("Memory")) or None,
        user=str(config.get("User") or ""),
    )


def _inspected_ports(bindings: Mapping[str, Any]) -> Iterable[PortMapping]:
    for inner, places in bindings.items():
        port, _, protocol = inner.partition("/")
        for place in places or ():
            yield PortMapping(
                container_port=int(port),
                protocol=protocol or "tcp",
                host_address=str(place.get("HostIp") or "0.0.0.0"),
                host_port=number(place.get("HostPort")) or None,
            )


def _first(entry: Mapping[str, Any], *names: str) -> Any:
    return next((entry[name] for name in names if name in entry), None)


def truth(value: Any) -> bool | None:
    """A boolean, which may arrive as text."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(str(value).lower())


def number(value: Any) -> int | None:
    """An integer, which may arrive as text."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _json(text: str) -> Any:
    return msgspec.json.decode(text.encode("utf-8", "surrogateescape"))


def unreadable(engine: Engine, answer: EngineAnswer) -> Finding:
    """The call went well and its answer is not what this engine should say."""
    return Finding(
        code="OTA_CONTAINER_ENGINE_REFUSED",
        title="Container engine refused",
        summary=f"the answer of `{engine.name} {' '.join(answer.args[:2])}` cannot be understood",
        why=cut(answer.stdout.strip() or answer.stderr.strip() or "it is empty", 200),
        next=f"run `{engine.name} {answer.args[0]}` by hand; ota needs Docker from 20.10 or Podman from 4.0",
        category="execution",
        owner="host",
    )
