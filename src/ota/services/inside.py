"""Readiness of a service asked from inside a container context: its image, networks, isolation and variables.

The question runs where a task of that context would run. When nothing can run there, the service was not
looked at: that is a trouble of the context, told apart from a service that is not ready.

Source: runtime specification 13.3; contract specification 12; doctor specification 9.
"""

from msgspec import Struct
from msgspec.structs import replace

from ota.backends.container.asking import InsideAnswer, ask_inside
from ota.backends.container.engine import find_engine
from ota.backends.container.work import BodyEnvironment, Scene, Work
from ota.env.resolution import resolve_env
from ota.errors import Finding, HostError
from ota.readiness.plane_script import TOOLLESS, http_script, judged_http, judged_tcp, tcp_script
from ota.readiness.probes import statuses_accepted
from ota.readiness.results import ProbeResult, failed, passed
from ota.resolve.injection import injection
from ota.resolve.plan import TaskPlan
from ota.resolve.service_plan import CommandReadiness, EndpointReadiness, ServicePlan
from ota.services.scene import UNEXECUTABLE, ServiceScene
from ota.system.addresses import address_text
from ota.system.files import repository_reader
from ota.system.host import observe_host
from ota.system.journal import Journal
from ota.system.sockets import AttemptDeadline

_CONTAINER_S = 60.0
"""For the container around a question, beside what the question itself may take."""


class InsideProbe(Struct, frozen=True, kw_only=True):
    """One readiness question of one service, asked from its container context."""

    service: ServicePlan
    readiness: EndpointReadiness | CommandReadiness
    where: TaskPlan
    scene: ServiceScene
    timeout_s: float

    @property
    def target(self) -> str:
        """`tcp postgres:5432 from app`."""
        readiness = self.readiness
        if isinstance(readiness, CommandReadiness):
            return f"`{readiness.run}` in {readiness.context}"
        asked = address_text(readiness.address, readiness.port)
        return f"{readiness.kind} {asked} from {readiness.context}"

    def attempt(self, _deadline: AttemptDeadline | None = None) -> ProbeResult:
        """Ask once.

        Raises:
            HostError: nothing can be executed in that context.
        """
        try:
            answer = self._ask()
        except HostError as error:
            if self.scene.should_stop():
                return failed("nothing", "no_answer", "interrupted")
            raise HostError(self._unexecutable(error.findings[0])) from error
        if answer.exit_code == TOOLLESS and isinstance(self.readiness, EndpointReadiness):
            raise HostError(self._unexecutable(self._toolless()))
        return self._judged(answer)

    def _ask(self) -> InsideAnswer:
        scene, context = self.scene, self.where.context
        assert context.container is not None
        engine = find_engine(
            context.container.engines, scene.environ, should_stop=scene.should_stop, clock=scene.clock
        )
        work = Work(
            root=scene.root,
            run_id=scene.run_id,
            step=f"service {self.service.name}",
            task=f"service {self.service.name}",
            context=context,
            body=self._script(),
            networks=context.container.service_projects,
        )
        journal = scene.journal or Journal(scene.root, -1, scene.clock)
        asking = Scene(journal=journal, environ=scene.environ, clock=scene.clock)
        limit_s = self.timeout_s + (_CONTAINER_S if context.lifecycle != "persistent" else 5.0)
        return ask_inside(engine, work, self._environment(), asking, limit_s=limit_s)

    def _environment(self) -> BodyEnvironment:
        injected = injection(self.where, self.scene.root, observe_host())
        resolved = resolve_env(
            self.where.env,
            self.scene.environ,
            repository_reader(self.scene.root),
            injected=injected.values,
            fallbacks=injected.fallbacks,
            inherits=False,
        )
        secret = frozenset(entry.name for entry in resolved.entries if entry.secret)
        return BodyEnvironment(values=resolved.values, secrets=secret)

    def _script(self) -> str:
        match self.readiness:
            case CommandReadiness(run=run):
                return run
            case EndpointReadiness(kind="tcp") as asked:
                return tcp_script(asked.address, asked.port, self.timeout_s)
            case EndpointReadiness() as asked:
                return http_script(
                    asked.method, asked.address, asked.port, asked.path, asked.headers, self.timeout_s
                )

    def _judged(self, answer: InsideAnswer) -> ProbeResult:
        code, readiness = answer.exit_code, self.readiness
        if isinstance(readiness, CommandReadiness):
            return _judged_command(code, answer.stdout + answer.stderr)
        if readiness.kind == "tcp":
            return judged_tcp(code, answer.stderr)
        accepts = statuses_accepted(readiness.statuses)
        return judged_http(code, answer.stdout, answer.stderr, accepts, readiness.body_contains)

    def _toolless(self) -> Finding:
        container = self.where.context.container
        image = container.image if container is not None else ""
        tools = "curl, python3 or wget" if self._is_http else "python3, nc or bash"
        return Finding(code=UNEXECUTABLE, summary=f"image `{image}` has none of {tools}")

    @property
    def _is_http(self) -> bool:
        return isinstance(self.readiness, EndpointReadiness) and self.readiness.kind == "http"

    def _unexecutable(self, cause: Finding) -> Finding:
        name, context = self.service.name, self.readiness.context
        return replace(
            cause,
            code=UNEXECUTABLE,
            title="Service readiness could not be asked",
            summary=f"could not execute the readiness probe of service `{name}` in context `{context}`",
            why=f"{cause.summary}: {cause.why}" if cause.why else cause.summary,
            next=f"repair execution context `{context}`, or move readiness.from of service `{name}`",
            category="service",
            owner="container_target",
        )


def _judged_command(code: int | None, printed: str) -> ProbeResult:
    if code == 0:
        return passed("content", "exited 0")
    if code is None:
        return failed("connection", "no_answer", "did not end in time")
    last = next((line.strip() for line in reversed(printed.splitlines()) if line.strip()), "")
    return failed("answer", "failed", f"exited {code}" + (f": {last[:200]}" if last else ""))
