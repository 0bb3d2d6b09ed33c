"""A container for one body: made, entered, looked at, removed.

    run = EphemeralRun(engine, work, environment_of, scene)
    prepared = run.prepare()
    ... spawn prepared.argv right after prepared.release_ports(); feed its stderr to a StartMark ...
    if the mark never came: run.not_started(prepared, said)   # raises, or returns: prepare() again
    to interrupt: signal_all(engine, prepared.name, "INT"): a signal passed on by `start -ai` reaches the
        body's shell only, which waits for what it runs; the attached call ends by itself
    end = observe_end(engine, prepared.name)
    finding = release_ephemeral(engine, prepared.name)

Ports are bound when the container starts, which is when it is entered. So whether a port was lost shows
only there, and before the body's shell has begun.

Source: runtime specification 6.
"""

import os
import re
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from ota.backends.container.arguments import cli_environment, creation_words, environment_words
from ota.backends.container.body import Marks, body_script
from ota.backends.container.engine import CALL_LIMIT_S, Engine, EngineAnswer, ask, is_absent, refusal
from ota.backends.container.facts import ContainerFacts, inspect_containers
from ota.backends.container.identity import (
    ContainerIdentity,
    ephemeral_labels,
    identify,
    publications_of,
    stable_digest,
)
from ota.backends.container.images import fetch_image, is_image_missing
from ota.backends.container.leases import Leases
from ota.backends.container.networks import compose_networks, ensure_networks, join_networks
from ota.backends.container.orphans import (
    reap_legacy,
    reap_orphans,
    reclaim_persistent,
)
from ota.backends.container.ownership import ensure_token, owner_start, record_engine
from ota.backends.container.publication import (
    AUTO_ATTEMPTS,
    RECLAIM_RETRIES,
    conflict,
    lost_port,
    misplaced_port,
    port_unknown,
    published_ports,
    reserve,
    taken_port,
)
from ota.backends.container.starting import not_started_finding
from ota.backends.container.undo import take_back
from ota.backends.container.user import choose_user
from ota.backends.container.volumes import Owner, ensure_volumes
from ota.backends.container.work import (
    EnvironmentOf,
    Prepared,
    PublishedPort,
    Scene,
    UserChoice,
    Work,
)
from ota.errors import Finding, HostError
from ota.resolve.plan import RuntimePlan
from ota.system.journal import fault_point

if TYPE_CHECKING:
    from ota.system.ports import PortReservation

_ID = re.compile(r"[0-9a-f]{12,64}")
_REMOVE_LIMIT_S = 30.0
_REMOVE_ATTEMPTS = 3
_REMOVE_PAUSE_S = 0.15


class Termination(Struct, frozen=True, kw_only=True):
    """How a container ended, as the engine says; None is not known."""

    is_running: bool | None
    was_started: bool
    exit_code: int | None
    oom_killed: bool
    error: str = ""


class EphemeralRun:
    """One body in a fresh container, over as many attempts as lost ports and orphans allow."""

    def __init__(self, engine: Engine, work: Work, environment_of: EnvironmentOf, scene: Scene) -> None:
        self._engine = engine
        self._work = work
        self._environment_of = environment_of
        self._scene = scene
        self._ports = published_ports(work.listeners)
        self._notes: list[str] = []
        self._token = ""
        self._networks: tuple[str, ...] = ()
        self._attempt = 0
        self._reclaims = 0

    def prepare(self) -> Prepared:
        """Reap orphans, reserve ports, see to volumes and networks, and create the container.

        Raises:
            HostError: nothing of this attempt is left.
        """
        with Leases(self._work.root, self._scene.clock, self._engine.should_stop).making():
            return self._prepare()

    def _prepare(self) -> Prepared:
        if not self._token:
            self._begin()
        self._attempt += 1
        self._look_first()
        ports, held = reserve(self._ports)
        try:
            return self._create(ports, held)
        except BaseException:
            for reservation in held:
                reservation.release()
            raise

    def not_started(self, prepared: Prepared, said: str) -> None:
        """The engine could not start what was prepared, and said why. Returns when `prepare` is worth
        another try; the container is removed either way.

        Raises:
            HostError: why it could not be started, `OTA_HOST_PUBLICATION_CONFLICT` among the reasons.
        """
        prepared.leave()
        lost = lost_port(said, prepared.publications)
        finding = None if lost is not None else not_started_finding(self._engine, prepared, self._work, said)
        left = release_ephemeral(self._engine, prepared.name)
        if left is None:
            self._scene.journal.ended(prepared.intent, 1)
        if lost is None:
            assert finding is not None
            raise HostError(finding, *([left] if left is not None else ()))
        self._retry_or_raise(lost, said)

    # -- before ports ----------------------------------------------------------------------------------

    def _begin(self) -> None:
        """What is done once, whatever happens to ports."""
        work, engine = self._work, self._engine
        self._token = ensure_token(work.root, self._scene.clock)
        self._note_orphans(reap_orphans(engine, self._token))
        projects = tuple(dict.fromkeys((*work.container.compose_projects, *work.networks)))
        self._networks = compose_networks(projects)
        if self._networks or work.container.isolated_paths:
            record_engine(work.root, engine.name, self._scene.clock)
        self._notes += ensure_networks(engine, projects, self._token)

    def _note_orphans(self, count: int) -> bool:
        if count:
            s = "" if count == 1 else "s"
            self._notes.append(f"reclaimed {count} orphaned ephemeral container{s} before starting task")
        return count > 0

    def _look_first(self) -> None:
        """Fixed ports that are taken already: freed when what holds them is ours and may go.

        Raises:
            HostError: `OTA_HOST_PUBLICATION_CONFLICT`.
        """
        port = taken_port(self._ports)
        if port is None:
            return
        count = reclaim_persistent(self._engine, self._work, self._token, port)
        if count:
            s = "" if count == 1 else "s"
            self._notes.append(f"reclaimed {count} conflicting persistent backend{s} before starting task")
            port = taken_port(self._ports)
        while port is not None:
            self._reclaim_or_raise(port, "")
            port = taken_port(self._ports)

    def _retry_or_raise(self, port: PublishedPort, said: str) -> None:
        """After an engine could not bind: another port, or the same one once what held it is gone."""
        if port.mode == "auto" and self._attempt < AUTO_ATTEMPTS:
            return
        if port.mode == "auto":
            raise HostError(conflict(self._engine, self._work, port, said))
        self._reclaim_or_raise(port, said)

    def _reclaim_or_raise(self, port: PublishedPort, said: str) -> None:
        """Returns when something of ours that was dead held the port, and is gone now."""
        self._reclaims += 1
        if self._reclaims <= RECLAIM_RETRIES:
            has_gone = self._note_orphans(reap_orphans(self._engine, self._token))
            if has_gone or self._note_orphans(reap_legacy(self._engine, self._token, port)):
                return
        raise HostError(conflict(self._engine, self._work, port, said))

    # -- creating --------------------------------------------------------------------------------------

    def _create(self, ports: tuple[PublishedPort, ...], held: "tuple[PortReservation, ...]") -> Prepared:
        engine, work, scene = self._engine, self._work, self._scene
        identity, owner = self._identity(), scene.owner()
        owner_pid = owner.pid if owner is not None else os.getpid()
        labels = ephemeral_labels(
            self._token, owner_pid=owner_pid, owner_start=owner_start(owner), run_id=work.run_id
        )
        environment = self._environment_of(ports)
        mark = stable_digest("body", work.run_id, work.step, str(self._attempt))
        prepared = Prepared(
            engine=engine,
            name=identity.ephemeral_name(owner_pid, f"{work.run_id}/{work.step}/{self._attempt}"),
            lifecycle="ephemeral",
            was="created",
            shape=identity.shape,
            publications=ports,
            environment=environment,
            argv=(),
            cli_environ=cli_environment(engine, environment),
            labels=labels,
            body_mark=mark,
            start_mark=None if work.is_interactive else Marks(nonce=mark),
            networks=self._networks,
            isolated=tuple(volume.mount_point for volume in identity.volumes),
            attempt=self._attempt,
            reservations=held,
        )
        intent = scene.journal.container(engine.program, prepared.name, labels, task=work.key)
        fault_point("create.before")
        try:
            user, made = self._make(prepared, identity)
            join_networks(engine, prepared.name, self._networks[1:])
        except BaseException:
            if take_back(engine, prepared.name, labels):
                scene.journal.ended(intent, 1)
            raise
        fault_point("create.after")
        return replace(
            prepared,
            argv=(engine.program, "start", "-ai", prepared.name),
            intent=intent,
            user=user,
            id=made,
            notes=tuple(self._notes),
        )

    def _identity(self) -> ContainerIdentity:
        work = self._work
        return identify(
            work.context,
            work.container,
            root=work.root,
            engine=self._engine.name,
            task=work.task,
            publications=publications_of(RuntimePlan(listeners=work.listeners)),
            networks=self._networks,
        )

    def _make(self, prepared: Prepared, identity: ContainerIdentity) -> tuple[UserChoice, str]:
        """Volumes and the container, and what the engine calls it.

        An image that is not there is fetched; it may bring another user.
        """
        engine, work = self._engine, self._work
        user, answer = self._ask_for(prepared, identity)
        if is_image_missing(answer):
            fetch_image(engine, work.container.image, self._scene, platform=work.container.platform)
            user, answer = self._ask_for(prepared, identity)
        if not answer.is_ok:
            raise HostError(refusal(engine, answer, f"create a container of {work.container.image}"))
        return user, created_id(answer)

    def _ask_for(self, prepared: Prepared, identity: ContainerIdentity) -> tuple[UserChoice, EngineAnswer]:
        engine, work = self._engine, self._work
        user = choose_user(engine, work.container.image, work.container.user)
        owner = Owner(token=self._token, user=user, labels=prepared.labels)
        ensure_volumes(engine, identity.volumes, work, owner, self._scene)
        words = creation_words(
            engine,
            work,
            name=prepared.name,
            labels=prepared.labels,
            ports=prepared.publications,
            volumes=identity.volumes,
            networks=self._networks,
            user=user,
        )
        home = user.home if "HOME" not in prepared.environment.values else None
        script = body_script(
            work.body,
            marks=prepared.start_mark,
            path=prepared.environment.values.get("PATH"),
            makes_home=home is not None,
            watches_memory=work.container.memory_bytes is not None,
        )
        answer = ask(
            engine,
            *("create", "-it" if work.is_interactive else "-i", *words),
            *environment_words(prepared.environment, body_mark=prepared.body_mark, home=home),
            *(work.container.image, "-c", script),
            environ=prepared.cli_environ,
        )
        return user, answer


def observe_end(engine: Engine, name: str, *, limit_s: float = CALL_LIMIT_S) -> Termination:
    """How the container's first process ended; one call.

    Raises:
        HostError: the engine gives no answer.
    """
    facts = inspect_containers(engine, (name,), limit_s=limit_s).get(name)
    if facts is None:
        return Termination(
            is_running=None,
            was_started=True,
            exit_code=None,
            oom_killed=False,
            error=f"container {name} does not exist any more",
        )
    return Termination(
        is_running=facts.is_running,
        was_started=facts.was_started,
        exit_code=facts.exit_code if facts.was_started else None,
        oom_killed=facts.oom_killed,
        error=facts.error,
    )


def verify_published(
    engine: Engine, prepared: Prepared, work: Work, facts: ContainerFacts | None
) -> Finding | None:
    """Whether the engine published the ports that were reserved, by what it says of the container."""
    port = misplaced_port(facts, prepared.publications)
    return None if port is None else port_unknown(engine, prepared.name, work, port)


def created_id(answer: EngineAnswer) -> str:
    """What an engine that made a container calls it; empty when it does not say so."""
    said = answer.stdout.split()
    return said[-1] if said and _ID.fullmatch(said[-1]) else ""


def release_ephemeral(engine: Engine, name: str, handle: str = "") -> Finding | None:
    """Remove the container, running or not; a warning when it could not be done.

    `handle` is what finds it, where that is known better than by its name.
    """
    why = ""
    for _ in range(_REMOVE_ATTEMPTS):
        try:
            answer = ask(engine, "rm", "-f", "-v", handle or name, limit_s=_REMOVE_LIMIT_S)
        except HostError as error:
            return _left_behind(engine, name, error.findings[0].why)
        if answer.is_ok or is_absent(answer):
            return None
        why = answer.detail
        engine.clock.sleep(_REMOVE_PAUSE_S)
    return _left_behind(engine, name, why)


def _left_behind(engine: Engine, name: str, why: str) -> Finding:
    return Finding(
        code="OTA_CONTAINER_LEFT_BEHIND",
        title="Cleanup is incomplete",
        summary=f"ephemeral container cleanup failed for `{name}`",
        why=why,
        next=f"remove it: `{engine.name} rm -f {name}`; the next run of this repository tries again",
        severity="warn",
        category="execution",
        owner="host",
    )
