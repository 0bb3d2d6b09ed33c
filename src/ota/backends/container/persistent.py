"""A container that stays: reconciled with what the plan wants, entered by `exec`, its bodies ended properly.

    run = PersistentRun(engine, work, environment_of, scene)
    prepared = run.prepare()
    ... spawn prepared.argv; feed its stderr to a StartMark ...
    if the mark never came: run.not_started(prepared, said)   # raises, or returns: prepare() again
    if the shell saw that it is the one: prepared.remember()  # then the next run may presume so
    to interrupt: signal_body(engine, prepared.name, prepared.body_mark, "INT"); the call ends by itself
    afterwards, if anything may be left: end_prepared(engine, prepared)
    prepared.leave()

One run at a time reconciles a container; any number may be inside one. Nobody takes a container away while
somebody is inside.

A run that `may_presume` does not ask the engine for a list while nothing has changed since the last run: it
goes in, and its shell sees whether the container is the one. Where it is not, nothing of the body has run.

Source: runtime specification 7.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from ota.backends.container.arguments import cli_environment, creation_words, environment_words
from ota.backends.container.body import NOT_THE_ONE, Marks, Proof, body_script, keeper_arguments
from ota.backends.container.engine import Engine, EngineAnswer, ask, refusal, require
from ota.backends.container.facts import Listed, inspect_containers, list_containers
from ota.backends.container.identity import (
    LABEL_FAMILY,
    LABEL_PARTS,
    LABEL_SHAPE,
    ContainerIdentity,
    ephemeral_labels,
    identify,
    is_persistent,
    persistent_labels,
    publications_of,
    stable_digest,
    what_changed,
)
from ota.backends.container.images import fetch_image, is_image_missing
from ota.backends.container.leases import Leases
from ota.backends.container.networks import compose_networks, ensure_networks, join_networks
from ota.backends.container.orphans import list_owned, remove_containers
from ota.backends.container.ownership import ensure_token, owner_start, record_engine
from ota.backends.container.publication import (
    conflict,
    lost_port,
    mapped_port,
    port_unknown,
    published_ports,
    taken_port,
)
from ota.backends.container.settled import Settled
from ota.backends.container.signalling import (
    BodyEnding,
    end_body,
    is_held,
    is_nothing_running,
    signal_body,
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
    Was,
    Work,
)
from ota.errors import Finding, HostError
from ota.resolve.plan import RuntimePlan
from ota.system.clock import Deadline
from ota.system.locks import SharedUse

__all__ = ["BodyEnding", "PersistentRun", "end_body", "signal_body"]

CREATED = "persistent container created"
REUSED = "persistent container reused"
STARTED = "persistent container reused (existing container was started)"
RESUMED = "persistent container reused (existing container was paused, and was resumed)"
WAS_STOPPED = "persistent container recreated (existing container was stopped before execution)"
STOPPED_BEFORE_EXEC = "persistent container recreated (container stopped and was recreated before exec)"

_MAPPING_LIMIT_S = 2.0
_MAPPING_POLL_S = 0.1
_ALONE_LIMIT_S = 3.0
_ALONE_POLL_S = 0.05
# An engine that cannot enter a container it says is running: seen after a restart by hand.
_BROKEN = ("error starting setns process", "procready not received", "cannot exec in a stopped")
_NAME_TAKEN = ("is already in use", "name is in use", "already in use by")


class PersistentRun:
    """One body in the container that its work shares with others of the same shape."""

    def __init__(
        self,
        engine: Engine,
        work: Work,
        environment_of: EnvironmentOf,
        scene: Scene,
        *,
        may_presume: bool = False,
    ) -> None:
        self._engine = engine
        self._work = work
        self._environment_of = environment_of
        self._scene = scene
        self._leases = Leases(work.root, scene.clock, engine.should_stop)
        self._ports = published_ports((*work.listeners, *work.shared_listeners))
        self._token = ""
        self._notes: list[str] = []
        self._attempt = 0
        self._is_broken = False
        self._user = UserChoice(user=None)
        self._projects = tuple(dict.fromkeys((*work.container.compose_projects, *work.networks)))
        # host ports and networks are the engine's to tell, and a terminal has no marks
        has_questions = bool(self._projects or published_ports(work.listeners) or work.is_interactive)
        self._may_presume = may_presume and not has_questions

    def prepare(self) -> Prepared:
        """Reuse, start or recreate the container, and go inside.

        Raises:
            HostError: somebody is in it in another shape, a port is taken, or the engine refuses.
        """
        with self._leases.making():
            return self._prepare()

    def _prepare(self) -> Prepared:
        engine, work = self._engine, self._work
        self._token = ensure_token(work.root, self._scene.clock)
        record_engine(work.root, engine.name, self._scene.clock)
        self._user = choose_user(engine, work.container.image, work.container.user)
        identity = standing_identity(engine, work, self._user)
        settled = Settled(work.root, identity, self._token)
        is_known = settled.is_known
        presumed = self._presumed(identity, settled) if self._may_presume and is_known else None
        if presumed is not None:
            return presumed
        self._attempt += 1
        if not is_known:
            settled.forget()
        with self._leases.reconciling(identity.persistent_name, f"prepare {identity.persistent_name}"):
            was, note = self._reconcile(identity)
            ports, was, note = self._resolve_ports(identity, was, note)
            use = self._leases.enter(identity.persistent_name)
        if use is None:
            raise HostError(self._in_use(identity.persistent_name))
        try:
            return self._entered(identity, ports, use, was, note, settled)
        except BaseException:
            use.release()
            raise

    def _presumed(self, identity: ContainerIdentity, settled: Settled) -> Prepared | None:
        """The container the last run of this work was in; None while somebody takes it away."""
        use = self._leases.enter(identity.persistent_name)
        if use is None:
            return None
        try:
            return self._entered(identity, (), use, "reused", REUSED, settled, is_presumed=True)
        except BaseException:
            use.release()
            raise

    def not_started(self, prepared: Prepared, said: str) -> None:
        """Nothing of the body ran, and the engine said why. Returns when `prepare` is worth another try.

        Raises:
            HostError: why.
        """
        prepared.leave()
        is_stopped = is_nothing_running(said)
        self._is_broken = any(text in said.lower() for text in _BROKEN)
        if prepared.is_presumed:
            self._scene.journal.ended(prepared.intent, 1)
            self._may_presume = False
            if is_stopped or self._is_broken or NOT_THE_ONE in said or is_held(said):
                return
        if self._attempt == 1 and (is_stopped or self._is_broken or is_held(said)):
            return
        if is_stopped:
            said = self._last_words(prepared) or said
            finding = not_started_finding(self._engine, prepared, self._work, said)
            raise HostError(_stopped(finding, self._engine, prepared.name, said))
        raise HostError(not_started_finding(self._engine, prepared, self._work, said))

    # -- what it should be, and what it is ----------------------------------------------------------------

    def _reconcile(self, identity: ContainerIdentity) -> tuple[Was, str]:
        """Make the container what it should be; one call when it is."""
        listed = list_owned(self._engine, self._token)
        swept = self._sweep_family(identity, listed)
        found = next((each for each in listed if each.name == identity.persistent_name), None)
        if found is None:
            self._create(identity)
            return ("recreated", _drifted(swept[0], identity)) if swept else ("created", CREATED)
        if not is_persistent(found.labels) or found.labels.get(LABEL_SHAPE) != identity.shape:
            self._recreate(identity, found)
            return "recreated", _drifted(found, identity)
        if found.is_running is False or self._is_broken:
            self._recreate(identity, found)
            is_again = self._attempt > 1
            return "recreated", STOPPED_BEFORE_EXEC if is_again else WAS_STOPPED
        if found.is_running is None:
            require(self._engine, f"start container {found.name}", "start", found.id)
        if found.is_paused:
            require(self._engine, f"resume container {found.name}", "unpause", found.id)
        self._join(identity.persistent_name, found.networks)
        if found.is_paused:
            return "reused", RESUMED
        return "reused", REUSED if found.is_running else STARTED

    def _sweep_family(self, identity: ContainerIdentity, listed: Sequence[Listed]) -> list[Listed]:
        """Remove what served this work in another shape."""
        old = [
            each
            for each in listed
            if is_persistent(each.labels)
            and each.name != identity.persistent_name
            and each.labels.get(LABEL_FAMILY) == identity.family
            and each.labels.get(LABEL_SHAPE) != identity.shape
        ]
        for each in old:
            self._take_away(each)
        return old

    def _recreate(self, identity: ContainerIdentity, found: Listed) -> None:
        self._take_away(found)
        self._create(identity)

    def _take_away(self, found: Listed) -> int:
        """Remove a container nobody is in; one that does not run has nobody in it, whatever locks say.

        Raises:
            HostError: `OTA_CONTAINER_IN_USE`, or it cannot be removed.
        """
        alone = self._alone(found.name)
        if alone is None and found.is_running is not False:
            raise HostError(self._in_use(found.name))
        try:
            return remove_containers(self._engine, [found])
        finally:
            if alone is not None:
                alone.release()

    def _alone(self, name: str) -> SharedUse | None:
        """A run that is just leaving is waited for."""
        clock = self._scene.clock
        deadline = Deadline.after(clock, _ALONE_LIMIT_S)
        while True:
            alone = self._leases.try_alone(name)
            if alone is not None or deadline.is_over(clock) or self._engine.should_stop():
                return alone
            clock.sleep(_ALONE_POLL_S)

    # -- making it ------------------------------------------------------------------------------------

    def _create(self, identity: ContainerIdentity) -> None:
        """Create and start it, detached.

        Raises:
            HostError: nothing of it is left.
        """
        self._look_first(identity)
        self._notes += ensure_networks(self._engine, self._projects, self._token)
        name = identity.persistent_name
        answer = self._ask_for(identity)
        if is_image_missing(answer):
            container = self._work.container
            fetch_image(self._engine, container.image, self._scene, platform=container.platform)
            answer = self._ask_for(identity)
        if not answer.is_ok and _is_name_taken(answer):
            if not self._remove_legacy(name):
                raise HostError(_name_taken(self._engine, name))
            answer = self._ask_for(identity)
        if not answer.is_ok:
            take_back(self._engine, name, self._labels(identity))
            raise HostError(self._not_created(answer))
        try:
            join_networks(self._engine, name, compose_networks(self._projects)[1:])
        except HostError:
            take_back(self._engine, name, self._labels(identity))
            raise

    def _ask_for(self, identity: ContainerIdentity) -> EngineAnswer:
        engine, work = self._engine, self._work
        self._volumes(identity)
        words = creation_words(
            engine,
            work,
            name=identity.persistent_name,
            labels=self._labels(identity),
            ports=self._ports,
            volumes=identity.volumes,
            networks=compose_networks(self._projects),
            user=self._user,
        )
        keeper = keeper_arguments(Settled(work.root, identity, self._token).proof)
        return ask(engine, "run", "-d", *words, work.container.image, *keeper)

    def _labels(self, identity: ContainerIdentity) -> dict[str, str]:
        return {
            **persistent_labels(self._token, family=identity.family, shape=identity.shape),
            LABEL_PARTS: identity.parts,
        }

    def _volumes(self, identity: ContainerIdentity) -> None:
        import os

        labels = ephemeral_labels(
            self._token, owner_pid=os.getpid(), owner_start=owner_start(), run_id=self._work.run_id
        )
        owner = Owner(token=self._token, user=self._user, labels=labels)
        ensure_volumes(self._engine, identity.volumes, self._work, owner, self._scene)

    def _look_first(self, identity: ContainerIdentity) -> None:
        """Fixed ports that are taken already: by a container of an earlier version, or by somebody else."""
        port = taken_port(self._ports)
        if port is not None and self._remove_legacy(identity.persistent_name, port):
            port = taken_port(self._ports)
        if port is not None:
            raise HostError(conflict(self._engine, self._work, port))

    def _remove_legacy(self, name: str, port: PublishedPort | None = None) -> bool:
        from ota.backends.container.legacy import legacy_containers

        found = legacy_containers(self._engine, self._work.root, name, port)
        for each in found:
            self._take_away(each)
        if found:
            s = "" if len(found) == 1 else "s"
            self._notes.append(
                f"reclaimed {len(found)} conflicting persistent backend{s} before starting task"
            )
        return bool(found)

    def _not_created(self, answer: EngineAnswer) -> Finding:
        port = lost_port(answer.stderr, self._ports)
        if port is not None and port.host_port is not None:
            return conflict(self._engine, self._work, port, answer.detail)
        return refusal(self._engine, answer, f"create a container of {self._work.container.image}")

    def _join(self, name: str, joined: Sequence[str]) -> None:
        missing = [network for network in compose_networks(self._projects) if network not in joined]
        if missing:
            self._notes += ensure_networks(self._engine, self._projects, self._token)
            join_networks(self._engine, name, missing)

    # -- ports ------------------------------------------------------------------------------------------

    def _resolve_ports(
        self, identity: ContainerIdentity, was: Was, note: str
    ) -> tuple[tuple[PublishedPort, ...], Was, str]:
        """The task's own publications with the host ports the engine reports; no call when it has none."""
        own = published_ports(self._work.listeners)
        if not own:
            return (), was, note
        ports = self._reported(identity.persistent_name, own)
        if _differ(own, ports) and was == "reused":
            found = self._listed(identity.persistent_name)
            if found is not None:
                self._take_away(found)
            self._create(identity)
            was, note = "recreated", _recreated("published ports changed")
            ports = self._reported(identity.persistent_name, own)
        wrong = next((port for port, now in zip(own, ports, strict=True) if not _agrees(port, now)), None)
        if wrong is not None:
            raise HostError(port_unknown(self._engine, identity.persistent_name, self._work, wrong))
        if was == "reused":
            self._see_free_inside(identity.persistent_name)
        return ports, was, note

    def _reported(self, name: str, own: Sequence[PublishedPort]) -> tuple[PublishedPort, ...]:
        """Asked again for a while: an engine publishes a moment after it starts."""
        clock = self._scene.clock
        deadline = Deadline.after(clock, _MAPPING_LIMIT_S)
        while True:
            facts = inspect_containers(self._engine, (name,)).get(name)
            ports = tuple(replace(port, host_port=mapped_port(facts, port)) for port in own)
            if all(port.host_port is not None for port in ports) or deadline.is_over(clock):
                return ports
            clock.sleep(_MAPPING_POLL_S)

    def _listed(self, name: str) -> Listed | None:
        return next((each for each in list_owned(self._engine, self._token) if each.name == name), None)

    def _see_free_inside(self, name: str) -> None:
        """Raises HostError when somebody listens on a wanted port inside the reused container."""
        from ota.backends.container.inside import InsideSockets

        try:
            taken = {listener.port for listener in InsideSockets(self._engine, name).listeners()}
        except (OSError, HostError):
            return  # what cannot be seen is left to the body itself
        for listener in self._work.listeners:
            if listener.bind_port in taken:
                raise HostError(
                    _bind_conflict(self._work, listener.name, listener.bind_address, listener.bind_port, name)
                )

    # -- going inside ---------------------------------------------------------------------------------------

    def _entered(
        self,
        identity: ContainerIdentity,
        ports: tuple[PublishedPort, ...],
        use: SharedUse,
        was: Was,
        note: str,
        settled: Settled,
        *,
        is_presumed: bool = False,
    ) -> Prepared:
        engine, work = self._engine, self._work
        name = identity.persistent_name
        environment = self._environment_of(ports)
        mark = stable_digest("body", work.run_id, work.step, str(self._attempt))
        marks = None if work.is_interactive else Marks(nonce=mark)
        home = self._user.home if "HOME" not in environment.values else None
        script = body_script(
            work.body,
            marks=marks,
            path=environment.values.get("PATH"),
            makes_home=home is not None,
            watches_memory=work.container.memory_bytes is not None,
            looks_after=True,
            proof=Proof(text=settled.proof, is_required=is_presumed),
        )
        cli_environ = cli_environment(engine, environment)
        labels = self._labels(identity)
        # another task, or an earlier ota, may have made it: other labels are theirs, these prove as much
        proof = {key: value for key, value in labels.items() if key not in (LABEL_FAMILY, LABEL_PARTS)}
        intent = self._scene.journal.container(engine.program, name, proof, body=mark, task=work.key)
        return Prepared(
            engine=engine,
            name=name,
            lifecycle="persistent",
            was=was,
            shape=identity.shape,
            publications=ports,
            environment=environment,
            notes=(*self._notes, note),
            argv=(
                *(engine.program, "exec", "-it" if work.is_interactive else "-i"),
                *environment_words(environment, body_mark=mark, home=home),
                *(name, "sh", "-c", script),
            ),
            cli_environ=cli_environ,
            labels=proof,
            body_mark=mark,
            start_mark=marks,
            user=self._user,
            networks=compose_networks(self._projects),
            isolated=tuple(volume.mount_point for volume in identity.volumes),
            intent=intent,
            attempt=self._attempt,
            use=use,
            is_presumed=is_presumed,
            remember=settled.keep,
        )

    # -- findings -------------------------------------------------------------------------------------------

    def _last_words(self, prepared: Prepared) -> str:
        """What a container that ended at once said; empty when it did not end, or said nothing."""
        facts = inspect_containers(self._engine, (prepared.name,)).get(prepared.name)
        if facts is None or facts.is_running is not False:
            return ""
        answer = ask(self._engine, "logs", "--tail", "5", prepared.name)
        return f"{facts.error} {answer.stderr.strip()} {answer.stdout.strip()}".strip()

    def _in_use(self, name: str) -> Finding:
        from ota.system.reconcile import living_run_in

        who, end = "", "interrupt it"
        run = living_run_in(self._work.root, name, but=self._work.run_id)
        if run is not None:
            who = f": run {run.run_id} of task `{run.task}`, process {run.ota.pid}"
            end = f"end it with `{run.stop}`" if run.stop else end
        return Finding(
            code="OTA_CONTAINER_IN_USE",
            title="Container is in use",
            summary=f"persistent container {name} has to be replaced, and a run is in it{who}",
            why="image, publication, isolation, memory, networks or user of the container have changed",
            next=f"wait for that run to end, or {end}, then run the command again",
            category="execution",
            owner="host",
        )


def end_prepared(engine: Engine, prepared: Prepared) -> BodyEnding:
    """End what may be left of a body; also in a container that was renamed meanwhile."""
    ending = end_body(engine, prepared.name, prepared.body_mark)
    if not ending.is_absent:
        return ending
    try:
        found = list_containers(engine, *(f"label={name}={value}" for name, value in prepared.labels.items()))
    except HostError:
        return ending
    # the mark is of this body alone, so looking for it elsewhere ends nothing else
    endings = [end_body(engine, each.id, prepared.body_mark) for each in found if each.is_running]
    return next((each for each in endings if each.ended or each.finding is not None), ending)


def standing_identity(engine: Engine, work: Work, user: UserChoice) -> ContainerIdentity:
    """What the container that stays has to be for this work."""
    listeners = (*work.listeners, *work.shared_listeners)
    return identify(
        work.context,
        work.container,
        root=work.root,
        engine=engine.name,
        task=work.task,
        publications=publications_of(RuntimePlan(listeners=listeners)),
        # Only those of the context: what one task needs beside them is joined when it runs, and is no
        # reason to take the container away from the others.
        networks=compose_networks(work.container.compose_projects),
        user=user.user,
    )


def _drifted(old: Listed, wanted: ContainerIdentity) -> str:
    return _recreated(what_changed(old.labels, wanted))


def _recreated(reason: str) -> str:
    return f"persistent container recreated ({reason})"


def _agrees(wanted: PublishedPort, reported: PublishedPort) -> bool:
    if reported.host_port is None:
        return False
    return wanted.mode == "auto" or wanted.host_port == reported.host_port


def _differ(wanted: Sequence[PublishedPort], reported: Sequence[PublishedPort]) -> bool:
    return any(not _agrees(one, other) for one, other in zip(wanted, reported, strict=True))


def _is_name_taken(answer: EngineAnswer) -> bool:
    return any(text in answer.stderr.lower() for text in _NAME_TAKEN) and "container" in answer.stderr.lower()


def _name_taken(engine: Engine, name: str) -> Finding:
    return Finding(
        code="OTA_CONTAINER_NAME_TAKEN",
        title="Container name is taken",
        summary=f"a container named {name} exists and is not provably this checkout's",
        why="its labels carry another ownership token, or none: an earlier checkout in this directory may "
        "have made it",
        next=f"if nothing needs it any more: `{engine.name} rm -f {name}`",
        category="execution",
        owner="host",
    )


def _bind_conflict(work: Work, listener: str, address: str, port: int, name: str) -> Finding:
    from ota.system.reconcile import living_run_in

    run = living_run_in(work.root, name, but=work.run_id)
    end = f"end it with `{run.stop}`" if run is not None and run.stop else "end that run"
    return Finding(
        code="OTA_LISTENER_BIND_CONFLICT",
        title="Listener bind conflict",
        summary=f"reused persistent container {name} already has {address}:{port} in use "
        f"(task `{work.task}`, listener `{listener}`)",
        why="another run of the task, or something it left, listens there inside the container",
        next=f"{end}, or remove the container with `ota clean`, then run the command again",
        place=work.place(listener),
        category="execution",
        owner="container_target",
    )


def _stopped(finding: Finding, engine: Engine, name: str, said: str) -> Finding:
    """A container that ends as soon as it starts, unless the reason is known."""
    if finding.code != "OTA_CONTAINER_ENGINE_REFUSED":
        return finding
    return replace(
        finding,
        code="OTA_CONTAINER_STOPPED",
        title="Container stopped",
        summary=f"persistent container {name} ends as soon as it is started",
        why=said or finding.why,
        next=f"see what it says: `{engine.name} logs {name}`",
        owner="container_target",
    )
