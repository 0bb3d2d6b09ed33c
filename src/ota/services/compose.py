"""The compose manager: which compose command there is, its argv, and what the engine says of a service.

Commands are argv, never shell text; the shown form is the same command for a shell. Containers are
found by the labels that every compose command gives them, in one engine call.

Source: runtime specification 13.1, 13.3; contract specification 12; decision D12.
"""

from collections.abc import Callable, Mapping
from threading import Lock
from typing import Protocol

from msgspec import Struct

from ota.backends.container.engine import ask, engine_of, find_engine
from ota.errors import Finding, HostError
from ota.resolve.service_plan import ComposeControl
from ota.resolve.services import engine_of_all
from ota.services.scene import ServiceScene

_DOCKER = (("docker", "compose"), ("docker-compose",))
_PODMAN = (("podman", "compose"), ("podman-compose",))
_VERSION_LIMIT_S = 5.0


class ComposeCommand(Struct, frozen=True, kw_only=True):
    """The compose command in use, and the engine behind it."""

    words: tuple[str, ...]
    engine: str

    @property
    def text(self) -> str:
        """`docker compose`."""
        return " ".join(self.words)


class ComposeChoices:
    """One answer per engine for a whole invocation."""

    def __init__(self) -> None:
        self._known: dict[str, ComposeCommand | Finding] = {}
        self._engines: dict[tuple[tuple[str, ...], ...], str] = {}
        self._lock = Lock()

    def of(self, control: ComposeControl, scene: ServiceScene) -> ComposeCommand:
        """The compose command of a service, on the engine of the containers that reach it.

        Raises:
            HostError: there is none.
        """
        if not control.candidates:
            return self.choose(control.engine, scene)
        with self._lock:
            engine = self._engines.get(control.candidates)
            if engine is None:
                engine = self._engines[control.candidates] = engine_found(control, scene)
        return self.choose(engine, scene)

    def choose(self, engine: str, scene: ServiceScene) -> ComposeCommand:
        """The first compose command that answers.

        Raises:
            HostError: none does.
        """
        with self._lock:
            known = self._known.get(engine)
            if known is None:
                known = self._known[engine] = _choose(engine, scene)
        if isinstance(known, Finding):
            raise HostError(known)
        return known


class _Asker(Protocol):
    @property
    def environ(self) -> Mapping[str, str]: ...
    @property
    def should_stop(self) -> Callable[[], bool]: ...


def engine_found(control: ComposeControl, scene: _Asker) -> str:
    """The engine a service is on: found among the candidates as its containers find theirs (D12)."""
    found = []
    for names in control.candidates:
        try:
            found.append(find_engine(names, scene.environ, should_stop=scene.should_stop).name)
        except HostError:
            found.append(names[0])  # who needs the containers says that there is none
    return engine_of_all(found) if found else control.engine


def compose_commands(engine: str) -> tuple[tuple[str, ...], ...]:
    """The spellings of compose that serve for an engine, in order."""
    return _PODMAN if engine == "podman" else (*_DOCKER, *_PODMAN)


def _choose(engine: str, scene: ServiceScene) -> ComposeCommand | Finding:
    candidates = compose_commands(engine)
    for words in candidates:
        # `podman compose` hands over to whatever provider it finds, so its answer counts as its own
        code, _ = scene.ask((*words, "version"), _VERSION_LIMIT_S)
        if code == 0:
            return ComposeCommand(words=words, engine="podman" if "podman" in words[0] else "docker")
    tried = ", ".join(f"`{' '.join(words)}`" for words in candidates)
    return Finding(
        code="OTA_SERVICE_MANAGER_MISSING",
        title="Service manager is missing",
        summary="no compose command answers",
        why=f"tried {tried}",
        next="install the Compose plugin of Docker, or podman-compose, and see that it is on PATH",
        category="service",
        owner="host",
    )


class ContainerState(Struct, frozen=True, kw_only=True):
    """What the engine says about a compose service."""

    id: str | None
    """The running container; None: none runs."""
    detail: str
    """In words: `no running container`, or why the engine gave no answer."""


def observe_container(
    command: ComposeCommand, control: ComposeControl, scene: ServiceScene, limit_s: float
) -> ContainerState:
    """The running container of a compose service."""
    labels = (
        f"label=com.docker.compose.project={control.project}",
        f"label=com.docker.compose.service={control.service}",
        "status=running",
    )
    filters = (word for label in labels for word in ("--filter", label))
    output, detail = _asked(command, scene, limit_s, "ps", *filters, "--format", "{{.ID}}")
    if output is None:
        return ContainerState(id=None, detail=detail)
    ids = output.split()
    if not ids:
        return ContainerState(
            id=None,
            detail=f"no running container of service `{control.service}` in project `{control.project}`",
        )
    return ContainerState(id=ids[0], detail="running")


def observe_health(
    command: ComposeCommand, control: ComposeControl, scene: ServiceScene, limit_s: float
) -> str:
    """`healthy`, `starting`, `unhealthy`, or in words why there is no health to be seen."""
    state = observe_container(command, control, scene, limit_s)
    if state.id is None:
        return state.detail
    template = "{{if .State.Health}}{{.State.Health.Status}}{{end}}"
    output, detail = _asked(command, scene, limit_s, "inspect", "--format", template, state.id)
    if output is None:
        return detail
    return output.strip() or "the container declares no health check"


def engine_trouble(command: ComposeCommand, scene: ServiceScene) -> Finding | None:
    """Whether the engine is what failed: asked only after a start went wrong."""
    output, detail = _asked(command, scene, _VERSION_LIMIT_S, "info")
    if output is not None:
        return None
    return Finding(
        code="OTA_SERVICE_ENGINE_UNAVAILABLE",
        title="Container engine is not available",
        summary=f"{command.engine} does not answer",
        why=detail,
        next=f"start the engine until `{command.engine} info` answers, then run the command again",
        category="service",
        owner="host",
    )


def _asked(
    command: ComposeCommand, scene: ServiceScene, limit_s: float, *args: str
) -> tuple[str | None, str]:
    """The engine's answer; None beside the reason when there is none."""
    engine = engine_of(command.engine, scene.environ, should_stop=scene.should_stop, clock=scene.clock)
    if engine is None:
        return None, f"{command.engine} is not on PATH"
    try:
        answer = ask(engine, *args, limit_s=limit_s)
    except HostError as error:
        return None, error.findings[0].why
    return (answer.stdout, "") if answer.is_ok else (None, answer.detail)
