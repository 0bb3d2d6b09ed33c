"""What is asked of a container, and what is ready to be entered: the records between a plan and an engine.

Pure data. Runs know steps and events, engines know arguments; both meet here.

Source: runtime specification 4.3, 6, 7; decisions D13, D14, D24, D33.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from ota.backends.container.body import Marks
from ota.backends.container.engine import Engine
from ota.contract.model.scalars import Protocol
from ota.errors import Place
from ota.resolve.plan import ContainerPlan, ContextPlan, ListenerPlan
from ota.system.clock import SYSTEM_CLOCK, Clock
from ota.system.journal import Journal
from ota.system.locks import SharedUse
from ota.system.processes import Identity

if TYPE_CHECKING:
    from ota.system.ports import PortReservation

Was = Literal["created", "reused", "recreated"]


class PublishedPort(Struct, frozen=True, kw_only=True):
    """One port of a container on one address of the host."""

    listener: str
    protocol: Protocol
    bind_address: str
    bind_port: int
    host_address: str
    host_port: int | None
    """None: the engine chooses when the container starts."""
    mode: Literal["fixed", "auto"]


class BodyEnvironment(Struct, frozen=True, kw_only=True):
    """The variables of a body. `PATH` goes into the shell, not to the engine."""

    values: Mapping[str, str]
    secrets: frozenset[str] = frozenset()
    """Names whose values may stand in no command line."""

    def __repr__(self) -> str:
        return f"BodyEnvironment({', '.join(sorted(self.values))})"


EnvironmentOf = Callable[[tuple[PublishedPort, ...]], BodyEnvironment]
"""The environment of a body once its host ports are known: `OTA_PUBLIC_*` carry them.

Called again when a port was lost to somebody else and another one is tried.
"""


class Work(Struct, frozen=True, kw_only=True):
    """One body that is to run in a container."""

    root: Path
    """The contract's canonical directory: mounted at /workspace, and its `.ota/state` holds the locks."""
    run_id: str
    step: str
    task: str
    key: str = ""
    """Of a service task: the name by which others find it running, its workflow instance included."""
    context: ContextPlan
    body: str
    """Shell text; argv bodies arrive quoted."""
    listeners: tuple[ListenerPlan, ...] = ()
    """The task's own; projected ones are published."""
    shared_listeners: tuple[ListenerPlan, ...] = ()
    """Of the other tasks of a shared backend, which its one container publishes too."""
    networks: tuple[str, ...] = ()
    """Compose projects to join beside those the context declares (D24)."""
    is_interactive: bool = False
    """The body has the user's terminal: `-t`, and no start mark in its output."""
    place: Callable[[str], Place | None] = lambda listener: None
    """Where a listener's host port is declared, for findings."""
    host_port_command: Callable[[int], str] = lambda port: ""
    """The command line that would use another host port; empty where it cannot be asked for."""

    @property
    def container(self) -> ContainerPlan:
        """The plan's container settings."""
        assert self.context.container is not None, "a container plane without settings is refused before"
        return self.context.container


class UserChoice(Struct, frozen=True, kw_only=True):
    """Who the body runs as (D13)."""

    user: str | None
    """The value of `--user`; None: the image's own user."""
    home: str | None = None
    """A writable HOME to set unless the contract declares one."""
    note: str = ""
    """For the summary, when it is not the image's own user."""


class Prepared(Struct, frozen=True, kw_only=True):
    """A container that is ready: run `argv` to enter it."""

    engine: Engine
    name: str
    lifecycle: Literal["ephemeral", "persistent"]
    was: Was
    shape: str
    publications: tuple[PublishedPort, ...] = ()
    environment: BodyEnvironment
    """As it was delivered, ports included."""
    notes: tuple[str, ...] = ()
    """In the order things happened; the reconciliation note is the last one."""
    warnings: tuple[str, ...] = ()
    argv: tuple[str, ...]
    """Ephemeral: `start -ai`; persistent: `exec -i`."""
    cli_environ: Mapping[str, str]
    """For the process of `argv`: the engine's own environment, and secrets."""
    labels: Mapping[str, str] = {}
    """What proves that the container is the one that is meant."""
    body_mark: str = ""
    """In the environment of everything the body starts: finds it inside the container."""
    start_mark: Marks | None = None
    """What the body's shell writes to stderr for a `StartMark` to heed; None: it writes nothing."""
    user: UserChoice = UserChoice(user=None)
    networks: tuple[str, ...] = ()
    isolated: tuple[str, ...] = ()
    """Where isolation volumes are mounted."""
    intent: int = 0
    """The journal's number of the container, to be ended when it is gone."""
    attempt: int = 1
    id: str = ""
    """What the engine calls it for good; a name can be changed by hand. Empty: not known."""
    is_presumed: bool = False
    """The engine was not asked: the body's shell sees whether the container is the one, or does not begin."""
    remember: Callable[[], None] = lambda: None
    """To be called when the body's shell has seen that the container is the one."""
    reservations: "tuple[PortReservation, ...]" = ()
    use: SharedUse | None = None
    """Persistent: held while the body is inside, so that nobody recreates the container under it."""

    def __repr__(self) -> str:
        return f"Prepared({self.engine.name} {self.name}, {self.was})"

    @property
    def handle(self) -> str:
        """What finds it on its engine."""
        return self.id or self.name

    def release_ports(self) -> None:
        """Let go of reserved ports: right before `argv` starts, not earlier."""
        for reservation in self.reservations:
            reservation.release()

    def leave(self) -> None:
        """The body is over."""
        self.release_ports()
        if self.use is not None:
            self.use.release()


class Scene(Struct, frozen=True, kw_only=True):
    """What preparing needs to know of the run that asks for it."""

    journal: Journal
    environ: Mapping[str, str]
    clock: Clock = SYSTEM_CLOCK
    on_progress: Callable[[str], None] = lambda text: None
    """What takes long, in words: an image that is being fetched."""
    on_output: Callable[[bytes], None] = lambda data: None
    """What the engine prints while it fetches an image."""
    owner: Callable[[], Identity | None] = lambda: None
    """Who is to own a container of this body alone; None: this process, and it goes with it."""
