"""A packaged image as the body of a task: how its container is come by, signalled and left.

Source: runtime specification 22, 12.2.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from ota.backends.container.engine import never
from ota.backends.container.launch import LaunchRun, end_launch, signal_launch
from ota.backends.container.work import EnvironmentOf, Prepared, Scene, Work
from ota.errors import Finding
from ota.execute.context import RunContext
from ota.resolve.boundary import DEFAULT_ENGINES
from ota.resolve.plan import ContainerLaunchBody
from ota.system.journal import fault_point


class Launched:
    """A container that is replaced by the next launch of its task, and stopped when this one is over."""

    def __init__(
        self,
        context: RunContext,
        work: Work,
        body: ContainerLaunchBody,
        environment_of: EnvironmentOf,
        scene: Scene,
    ) -> None:
        engines = (body.launch.engine,) if body.launch.engine is not None else DEFAULT_ENGINES
        engine = context.engine(engines)
        run = LaunchRun(engine, work, body.launch, environment_of, scene)
        self._engine = replace(engine, should_stop=never)
        self._journal = scene.journal
        self.prepare = run.prepare
        self.not_started = run.not_started

    def signal(self, prepared: Prepared, name: str) -> None:
        signal_launch(self._engine, prepared.name, name)

    def leave(self, prepared: Prepared, *, may_have_left: bool) -> Iterator[Finding]:
        fault_point("release.before")
        finding = end_launch(self._engine, prepared.name)
        if finding is not None:
            yield finding
        self._journal.ended(prepared.intent, 0)
        fault_point("release.after")
        prepared.leave()
