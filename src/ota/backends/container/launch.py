"""A packaged image run as a task: `launch.kind: container`. No checkout, no shell; its own entry point.

    run = LaunchRun(engine, work, launch, environment_of, scene)
    prepared = run.prepare()      # created and started: an engine that cannot start it says so here
    ... spawn prepared.argv: its output from the first line on, and its exit code ...
    to interrupt: signal_launch(engine, prepared.name, "INT")
    end_launch(engine, prepared.name)

The container stays when it ends, and the next run of the task replaces it; what it must keep is in its
named volumes, which are the user's own and carry no label of ota's.

Source: runtime specification 22.
"""

from msgspec import Struct

from ota.backends.container.arguments import cli_environment
from ota.backends.container.engine import Engine, EngineAnswer, ask, is_absent, refusal
from ota.backends.container.facts import ContainerFacts, inspect_containers
from ota.backends.container.identity import (
    LABEL_FAMILY,
    is_managed,
    is_owned,
    is_persistent,
    label_words,
    launch_family,
    launch_name,
    launch_shape,
    persistent_labels,
    publications_of,
)
from ota.backends.container.images import fetch_image, is_image_missing
from ota.backends.container.leases import Leases
from ota.backends.container.ownership import ensure_token, record_engine
from ota.backends.container.publication import (
    conflict,
    lost_port,
    publish_arguments,
    published_ports,
    reserve,
    taken_port,
)
from ota.backends.container.undo import take_back
from ota.backends.container.work import (
    BodyEnvironment,
    EnvironmentOf,
    Prepared,
    PublishedPort,
    Scene,
    Was,
    Work,
)
from ota.contract.model.bodies import LaunchContainer
from ota.errors import Finding, HostError
from ota.resolve.plan import RuntimePlan
from ota.system.journal import fault_point
from ota.system.locks import SharedUse

_STOP_LIMIT_S = 30.0
# Complete output and the code: `attach` would miss what was said before it came, `logs` ends with 0.
_FOLLOW = '"$0" logs --follow "$1"; code=$("$0" wait "$1") || exit 125; exit "$code"'


class _Shape(Struct, frozen=True, kw_only=True):
    name: str
    labels: dict[str, str]
    shape: str


class LaunchRun:
    """One launch of one image."""

    def __init__(
        self,
        engine: Engine,
        work: Work,
        launch: LaunchContainer,
        environment_of: EnvironmentOf,
        scene: Scene,
    ) -> None:
        self._engine = engine
        self._work = work
        self._launch = launch
        self._environment_of = environment_of
        self._scene = scene
        self._volumes = tuple(f"{volume.source}:{volume.target}" for volume in launch.volumes)

    def prepare(self) -> Prepared:
        """Replace the container of the run before, create this one and start it.

        Raises:
            HostError: its name or a port is somebody else's, or the engine refuses; nothing new is left.
        """
        leases = Leases(self._work.root, self._scene.clock, self._engine.should_stop)
        with leases.making():
            return self._prepare(leases)

    def _prepare(self, leases: Leases) -> Prepared:
        engine, work = self._engine, self._work
        token = ensure_token(work.root, self._scene.clock)
        record_engine(work.root, engine.name, self._scene.clock)
        shape = self._shape(token)
        with leases.reconciling(shape.name, f"launch {shape.name}"):
            was = self._replace(shape, token, leases)
            use = leases.enter(shape.name)
            if use is None:
                raise HostError(_in_use(shape.name))
            try:
                return self._started(shape, was, use)
            except BaseException:
                use.release()
                raise

    def not_started(self, prepared: Prepared, said: str) -> None:
        """A launch starts in `prepare`: afterwards there is nothing to try again."""
        prepared.leave()
        answer = EngineAnswer(args=("logs",), exit_code=1, stdout="", stderr=said)
        raise HostError(refusal(self._engine, answer, f"follow container {prepared.name}"))

    def _shape(self, token: str) -> _Shape:
        launch, work, engine = self._launch, self._work, self._engine
        publications = publications_of(RuntimePlan(listeners=work.listeners))
        shape = launch_shape(
            engine.name,
            image=launch.image,
            args=launch.args,
            volumes=self._volumes,
            publications=publications,
        )
        name = launch.name or launch_name(
            work.root,
            engine.name,
            task=work.task,
            image=launch.image,
            args=launch.args,
            volumes=self._volumes,
            publications=publications,
        )
        labels = persistent_labels(token, family=launch_family(work.task), shape=shape)
        return _Shape(name=name, labels=labels, shape=shape)

    def _replace(self, shape: _Shape, token: str, leases: Leases) -> Was:
        found = inspect_containers(self._engine, (shape.name,)).get(shape.name)
        if found is None:
            return "created"
        reason = _not_ours(found, shape, token)
        if reason:
            raise HostError(_name_conflict(self._engine, self._work.task, shape.name, reason))
        alone = leases.try_alone(shape.name)
        if alone is None:
            raise HostError(_in_use(shape.name))
        try:
            answer = ask(self._engine, "rm", "-f", "-v", found.id)
            if not answer.is_ok and not is_absent(answer):
                raise HostError(refusal(self._engine, answer, f"replace container {shape.name}"))
        finally:
            alone.release()
        return "recreated"

    def _started(self, shape: _Shape, was: Was, use: SharedUse) -> Prepared:
        engine, work = self._engine, self._work
        wanted = published_ports(work.listeners)
        taken = taken_port(wanted)
        if taken is not None:
            raise HostError(conflict(engine, work, taken))
        ports, held = reserve(wanted)
        try:
            environment = self._environment_of(ports)
            cli_environ = cli_environment(engine, environment)
            intent = self._scene.journal.container(engine.program, shape.name, shape.labels, task=work.key)
            fault_point("create.before")
            try:
                self._create(shape, ports, environment, cli_environ)
                for reservation in held:
                    reservation.release()
                self._start(shape, ports)
            except BaseException:
                if take_back(engine, shape.name, shape.labels):
                    self._scene.journal.ended(intent, 1)
                raise
            fault_point("create.after")
        finally:
            for reservation in held:
                reservation.release()
        note = "launch container created" if was == "created" else "launch container replaced"
        return Prepared(
            engine=engine,
            name=shape.name,
            lifecycle="persistent",
            was=was,
            shape=shape.shape,
            publications=ports,
            environment=environment,
            notes=(note,),
            argv=("sh", "-c", _FOLLOW, engine.program, shape.name),
            cli_environ=engine.environ,
            labels=shape.labels,
            intent=intent,
            use=use,
        )

    def _create(
        self,
        shape: _Shape,
        ports: tuple[PublishedPort, ...],
        environment: BodyEnvironment,
        cli_environ: dict[str, str],
    ) -> None:
        words = ["create", "--init", "--pull", "never", "--name", shape.name, *label_words(shape.labels)]
        words += publish_arguments(ports)
        for volume in self._volumes:
            words += ("-v", volume)
        for name, value in environment.values.items():
            words += ("--env", name if name in environment.secrets else f"{name}={value}")
        words += (self._launch.image, *self._launch.args)
        answer = ask(self._engine, *words, environ=cli_environ)
        if is_image_missing(answer):
            fetch_image(self._engine, self._launch.image, self._scene)
            answer = ask(self._engine, *words, environ=cli_environ)
        if not answer.is_ok:
            raise HostError(refusal(self._engine, answer, f"create a container of {self._launch.image}"))

    def _start(self, shape: _Shape, ports: tuple[PublishedPort, ...]) -> None:
        answer = ask(self._engine, "start", shape.name)
        if answer.is_ok:
            return
        lost = lost_port(answer.stderr, ports)
        if lost is not None:
            raise HostError(conflict(self._engine, self._work, lost, answer.detail))
        raise HostError(refusal(self._engine, answer, f"start container {shape.name}"))


def signal_launch(engine: Engine, name: str, signal_name: str) -> None:
    """Send a signal to what the image runs.

    Raises:
        HostError: the engine refuses, or it does not run any more.
    """
    answer = ask(engine, "kill", "--signal", signal_name, name)
    if not answer.is_ok:
        raise HostError(refusal(engine, answer, f"signal container {name}"))


def end_launch(engine: Engine, name: str) -> Finding | None:
    """See that it does not run any more; it stays, for its logs. A warning when it could not be ended."""
    try:
        answer = ask(engine, "stop", "-t", "2", name, limit_s=_STOP_LIMIT_S)
    except HostError as error:
        return _still_running(engine, name, error.findings[0].why)
    return None if answer.is_ok or is_absent(answer) else _still_running(engine, name, answer.detail)


def _not_ours(found: ContainerFacts, shape: _Shape, token: str) -> str:
    """Why a container of that name may not be replaced; empty when it may."""
    labels = found.labels
    if not is_managed(labels):
        return "it is not managed by ota"
    if not is_owned(labels, token):
        return "it belongs to a different repository"
    family = labels.get(LABEL_FAMILY, "")
    if not is_persistent(labels) or not family.startswith(launch_family("")):
        return "it is not a persistent launch container"
    if family != shape.labels[LABEL_FAMILY]:
        return f"it serves a different task: `{family.removeprefix(launch_family(''))}`"
    return ""


def _name_conflict(engine: Engine, task: str, name: str, reason: str) -> Finding:
    return Finding(
        code="OTA_LAUNCH_CONTAINER_NAME_CONFLICT",
        title="Launch container name conflict",
        summary=f"a container named `{name}` exists, and task `{task}` may not replace it",
        why=reason,
        next=f"declare another `tasks.{task}.launch.name`, or remove the container when nothing needs it: "
        f"`{engine.name} rm -f {name}`",
        category="execution",
        owner="host",
    )


def _in_use(name: str) -> Finding:
    return Finding(
        code="OTA_CONTAINER_IN_USE",
        title="Container is in use",
        summary=f"launch container {name} belongs to a run that is still going on",
        why="a second launch would take it away from the first",
        next="wait for that run to end, or interrupt it, then run the command again",
        category="execution",
        owner="host",
    )


def _still_running(engine: Engine, name: str, why: str) -> Finding:
    return Finding(
        code="OTA_CONTAINER_LEFT_BEHIND",
        title="Cleanup is incomplete",
        summary=f"launch container `{name}` could not be stopped",
        why=why,
        next=f"stop it: `{engine.name} stop {name}`",
        severity="warn",
        category="execution",
        owner="host",
    )
