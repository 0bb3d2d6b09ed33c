"""Who starts and stops a service, and which questions tell that it is ready. One manager per kind of control.

Source: runtime specification 13.1, 13.3; contract specification 12.
"""

from collections.abc import Callable
from pathlib import Path
from shlex import join
from typing import Protocol, assert_never

from msgspec import Struct

from ota.backends.native import shell_argv
from ota.contract.model.services import ManagerCommand
from ota.errors import Finding
from ota.readiness.probes import HttpProbe, Probe, TcpProbe, statuses_accepted
from ota.readiness.results import ProbeResult, failed, passed
from ota.readiness.wait import Gate
from ota.resolve.plan import TaskPlan
from ota.resolve.service_plan import (
    CommandReadiness,
    ComposeControl,
    EndpointReadiness,
    HealthReadiness,
    HostControl,
    LegacyControl,
    NoControl,
    ProducerControl,
    ServicePlan,
    UnitControl,
    UnitReadiness,
)
from ota.services.compose import (
    ComposeChoices,
    ComposeCommand,
    engine_trouble,
    observe_container,
    observe_health,
)
from ota.services.scene import ServiceScene
from ota.system.cutting import last_line
from ota.system.sockets import AttemptDeadline


class Command(Struct, frozen=True, kw_only=True):
    """What a manager is told to do."""

    argv: tuple[str, ...]
    cwd: Path
    text: str
    """The same, to be run again by hand."""


class Manager(Protocol):
    """One kind of control over one service."""

    def start(self) -> Command | None:
        """The start command; None when the contract declares none."""
        ...

    def stop(self) -> Command | None:
        """What stops it again. For people to run: ota ends no service by itself."""
        ...

    def alive_gates(self) -> tuple[Gate, ...]:
        """What the manager itself says, asked beside the declared readiness."""
        ...

    def trouble(self) -> Finding | None:
        """After a failed start: whether what the manager stands on is the reason."""
        ...

    def inside(self, command: str) -> tuple[str, ...] | None:
        """Argv of a shell command in the service itself; None where there is no inside."""
        ...

    @property
    def is_published(self) -> bool:
        """Whether an engine may accept connections although nobody listens behind it."""
        ...


class HostManager:
    """Commands of this machine: argv of a host manager, or the legacy shell text."""

    is_published = False

    def __init__(
        self, start: Command | None, stop: Command | None = None, *, is_published: bool = False
    ) -> None:
        self._start = start
        self._stop = stop
        self.is_published = is_published

    def start(self) -> Command | None:
        return self._start

    def stop(self) -> Command | None:
        return self._stop

    def alive_gates(self) -> tuple[Gate, ...]:
        return ()

    def trouble(self) -> Finding | None:
        return None

    def inside(self, command: str) -> tuple[str, ...] | None:
        return None


class ComposeManager:
    """One service of a Compose project."""

    is_published = True

    def __init__(self, control: ComposeControl, command: ComposeCommand, scene: ServiceScene) -> None:
        self.command = command
        self._control = control
        self._scene = scene

    def start(self) -> Command | None:
        return self._told(self._control.start_argv(self.command.words))

    def stop(self) -> Command | None:
        return self._told(self._control.stop_argv(self.command.words))

    def _told(self, argv: tuple[str, ...]) -> Command:
        return Command(argv=argv, cwd=self._scene.root, text=join(argv))

    def alive_gates(self) -> tuple[Gate, ...]:
        return (Gate(name="container", probe=_Asked(target=self._target, timeout_s=5.0, ask=self._running)),)

    def health(self, limit_s: float) -> ProbeResult:
        health = observe_health(self.command, self._control, self._scene, limit_s)
        return passed("content", health) if health == "healthy" else failed("answer", "failed", health)

    def trouble(self) -> Finding | None:
        return engine_trouble(self.command, self._scene)

    def inside(self, command: str) -> tuple[str, ...] | None:
        words = ("exec", "-T", self._control.service, "sh", "-lc", command)
        return self._control.argv(self.command.words, *words)

    @property
    def _target(self) -> str:
        return f"{self.command.engine} container of {self._control.project}/{self._control.service}"

    def _running(self, limit_s: float) -> ProbeResult:
        state = observe_container(self.command, self._control, self._scene, limit_s)
        return passed("content", "running") if state.id else failed("nothing", "failed", state.detail)


def manager_of(service: ServicePlan, scene: ServiceScene, choices: ComposeChoices) -> Manager:
    """The manager of a service that this build can bring up.

    Raises:
        HostError: there is no compose command.
    """
    match service.control:
        case ComposeControl() as control:
            return ComposeManager(control, choices.of(control, scene), scene)
        case HostControl(start=start, stop=stop):
            return HostManager(_direct(start, scene), _direct(stop, scene))
        case LegacyControl(start=start_text, stop=stop_text):
            return HostManager(_in_shell(start_text, scene), _in_shell(stop_text, scene), is_published=True)
        case NoControl():
            return HostManager(None, is_published=True)
        case UnitControl() | ProducerControl():
            raise AssertionError(f"admission let service {service.name} pass")
        case _ as never:
            assert_never(never)


def _direct(declared: ManagerCommand | None, scene: ServiceScene) -> Command | None:
    if declared is None:
        return None
    argv = (declared.exe, *declared.args)
    cwd = scene.root / declared.cwd if declared.cwd else scene.root
    return Command(argv=argv, cwd=cwd, text=join(argv))


def _in_shell(text: str | None, scene: ServiceScene) -> Command | None:
    if text is None:
        return None
    return Command(argv=shell_argv(text, scene.environ.get("PATH")), cwd=scene.root, text=text)


# --- readiness -----------------------------------------------------------------------------------


def readiness_gates(service: ServicePlan, manager: Manager, scene: ServiceScene) -> tuple[Gate, ...]:
    """Everything that must hold in one round; empty when nothing can be asked."""
    declared = _declared(service, manager, scene)
    own = (Gate(name=service.name, probe=declared),) if declared is not None else ()
    return (*own, *manager.alive_gates())


def _declared(service: ServicePlan, manager: Manager, scene: ServiceScene) -> Probe | None:
    timeout_s = service.timeout_ms / 1000
    match service.readiness:
        case EndpointReadiness(where=where) | CommandReadiness(where=where) as readiness if where is not None:
            return _from_inside(service, readiness, where, scene)
        case EndpointReadiness() as readiness:
            return _request(readiness, timeout_s, is_published=manager.is_published)
        case CommandReadiness() as readiness:
            inside = manager.inside(readiness.run) if readiness.is_in_service else None
            argv = inside or shell_argv(readiness.run, scene.environ.get("PATH"))
            return _Asked(
                target=f"`{readiness.run}`",
                timeout_s=timeout_s,
                ask=lambda limit_s: _command(argv, scene, limit_s),
            )
        case HealthReadiness():
            assert isinstance(manager, ComposeManager), "validation lets only compose managers have it"
            return _Asked(target="container health", timeout_s=max(timeout_s, 5.0), ask=manager.health)
        case UnitReadiness():
            raise AssertionError(f"admission let service {service.name} pass")
        case None:
            return None
        case _ as never:
            assert_never(never)


def _from_inside(
    service: ServicePlan,
    readiness: EndpointReadiness | CommandReadiness,
    where: TaskPlan,
    scene: ServiceScene,
) -> Probe:
    from ota.readiness.inside import InsideProbe, ShellQuestion  # paid only by who asks from a container

    timeout_s = service.timeout_ms / 1000
    question = (
        ShellQuestion(run=readiness.run)
        if isinstance(readiness, CommandReadiness)
        else _request(readiness, timeout_s, is_published=False)
    )
    return InsideProbe(
        subject=f"service `{service.name}`",
        question=question,
        context=readiness.context or "",
        where=where,
        asker=scene,
        timeout_s=timeout_s,
        otherwise=f"move readiness.from of service `{service.name}`",
    )


def _request(readiness: EndpointReadiness, timeout_s: float, *, is_published: bool) -> TcpProbe | HttpProbe:
    if readiness.kind == "tcp":
        return TcpProbe(
            host=readiness.address,
            port=readiness.port,
            timeout_s=timeout_s,
            closed_at_once="fail" if is_published else "note",
        )
    return HttpProbe(
        host=readiness.address,
        port=readiness.port,
        path=readiness.path,
        method=readiness.method,
        headers=tuple(readiness.headers.items()),
        accepts=statuses_accepted(readiness.statuses),
        body_contains=readiness.body_contains,
        timeout_s=timeout_s,
    )


class _Asked(Struct, frozen=True, kw_only=True):
    """A question that a command answers."""

    target: str
    timeout_s: float
    ask: Callable[[float], ProbeResult]

    def attempt(self, deadline: AttemptDeadline | None = None) -> ProbeResult:
        limit_s = self.timeout_s if deadline is None else min(self.timeout_s, deadline.remaining_s())
        return self.ask(limit_s)


def _command(argv: tuple[str, ...], scene: ServiceScene, limit_s: float) -> ProbeResult:
    code, output = scene.ask(argv, limit_s)
    if code == 0:
        return passed("content", "exited 0")
    if code is None:
        return failed("connection", "no_answer", f"did not end within {limit_s:.1f} s")
    last = last_line(output)
    return failed("answer", "failed", f"exited {code}" + (f": {last}" if last else ""))
