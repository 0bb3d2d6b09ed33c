"""A readiness question asked from inside a container context: its image, networks, isolation and variables.

The question runs where a task of that context would run. When nothing can run there, what it asks about was
not looked at: that is a trouble of the context, told apart from something that is not ready. A run may ask
in the container it makes for its tasks; a diagnosis makes nothing that stays.

Source: runtime specification 11.2, 13.3; contract specification 12, 13; doctor specification 9.
"""

from msgspec import Struct
from msgspec.structs import replace

from ota.backends.container.asking import Said, ask_inside
from ota.backends.container.engine import find_engine
from ota.backends.container.looking import Looked, look_inside
from ota.backends.container.work import BodyEnvironment, Scene, Work
from ota.env.resolution import resolve_env
from ota.errors import Finding, HostError
from ota.readiness.asker import UNEXECUTABLE, Asker
from ota.readiness.plane_script import TOOLLESS, http_script, judged_http, judged_tcp, tcp_script
from ota.readiness.probes import HttpProbe, TcpProbe
from ota.readiness.results import ProbeResult, failed, passed
from ota.resolve.injection import injection
from ota.resolve.plan import TaskPlan
from ota.system.cutting import last_line
from ota.system.files import repository_reader
from ota.system.host import observe_host
from ota.system.sockets import AttemptDeadline

_CONTAINER_S = 60.0
"""For the container around a question, beside what the question itself may take."""


class ShellQuestion(Struct, frozen=True, kw_only=True):
    """A command whose exit code is the answer."""

    run: str

    @property
    def target(self) -> str:
        return f"`{self.run}`"


class InsideProbe(Struct, frozen=True, kw_only=True):
    """One question, from one container context."""

    subject: str
    """What the answer is about, in words of the contract."""
    question: HttpProbe | TcpProbe | ShellQuestion
    context: str
    where: TaskPlan
    """How a task of that context would run."""
    asker: Asker
    timeout_s: float
    otherwise: str
    """What else could be done than to repair the context."""

    @property
    def target(self) -> str:
        """`tcp postgres:5432 from app`."""
        return f"{self.question.target} from {self.context}"

    def attempt(self, _deadline: AttemptDeadline | None = None) -> ProbeResult:
        """Ask once.

        Raises:
            HostError: nothing can be executed in that context.
        """
        try:
            said = self._said()
        except HostError as error:
            if self.asker.should_stop():
                return failed("nothing", "no_answer", "interrupted")
            raise HostError(self._unexecutable(error.findings[0])) from error
        if said.exit_code == TOOLLESS and not isinstance(self.question, ShellQuestion):
            raise HostError(self._unexecutable(self._toolless()))
        result = self._judged(said)
        absent = said.absent if isinstance(said, Looked) and not result.ok else ()
        if absent:
            named = ", ".join(f"`{each}`" for each in absent)
            result = replace(result, detail=f"{result.detail}; network {named} does not exist yet")
        return result

    def _said(self) -> Said:
        asker, context = self.asker, self.where.context
        assert context.container is not None
        engine = find_engine(
            context.container.engines, asker.environ, should_stop=asker.should_stop, clock=asker.clock
        )
        runtime = self.where.runtime
        work = Work(
            root=asker.root,
            run_id=asker.run_id,
            step=self.subject,
            task=self.where.name,
            context=context,
            body=self._script(),
            listeners=runtime.listeners if runtime is not None else (),
            shared_listeners=context.shared_listeners,
            networks=context.container.service_projects,
        )
        limit_s = self.timeout_s + (_CONTAINER_S if context.lifecycle != "persistent" else 5.0)
        if asker.journal is None:
            return look_inside(engine, work, self._environment(), limit_s=limit_s)
        scene = Scene(journal=asker.journal, environ=asker.environ, clock=asker.clock)
        return ask_inside(engine, work, self._environment(), scene, limit_s=limit_s)

    def _environment(self) -> BodyEnvironment:
        injected = injection(self.where, self.asker.root, observe_host())
        resolved = resolve_env(
            self.where.env,
            self.asker.environ,
            repository_reader(self.asker.root),
            injected=injected.values,
            fallbacks=injected.fallbacks,
            inherits=False,
        )
        secret = frozenset(entry.name for entry in resolved.entries if entry.secret)
        return BodyEnvironment(values=resolved.values, secrets=secret)

    def _script(self) -> str:
        match self.question:
            case ShellQuestion(run=run):
                return run
            case TcpProbe(host=host, port=port):
                return tcp_script(host, port, self.timeout_s)
            case HttpProbe() as asked:
                return http_script(
                    asked.method,
                    asked.host,
                    asked.port,
                    asked.path,
                    dict(asked.headers),
                    self.timeout_s,
                    scheme=asked.scheme,
                )

    def _judged(self, said: Said) -> ProbeResult:
        match self.question:
            case ShellQuestion():
                return _judged_command(said.exit_code, said.stdout + said.stderr)
            case TcpProbe():
                return judged_tcp(said.exit_code, said.stderr)
            case HttpProbe(accepts=accepts, body_contains=contains):
                return judged_http(said.exit_code, said.stdout, said.stderr, accepts, contains)

    def _toolless(self) -> Finding:
        container = self.where.context.container
        image = container.image if container is not None else ""
        match self.question:
            case HttpProbe(method="HEAD"):
                tools = "curl, python3 or GNU wget"
            case HttpProbe():
                tools = "curl, python3 or a wget that shows headers (`-S`)"
            case _:
                tools = "python3, nc or bash"
        return Finding(code=UNEXECUTABLE, summary=f"image `{image}` has none of {tools}")

    def _unexecutable(self, cause: Finding) -> Finding:
        return replace(
            cause,
            code=UNEXECUTABLE,
            title="Readiness could not be asked",
            summary=f"could not execute the readiness probe of {self.subject} in context `{self.context}`",
            why=f"{cause.summary}: {cause.why}" if cause.why else cause.summary,
            next=f"repair execution context `{self.context}`, or {self.otherwise}",
            category="service",
            owner="container_target",
        )


def _judged_command(code: int | None, printed: str) -> ProbeResult:
    if code == 0:
        return passed("content", "exited 0")
    if code is None:
        return failed("connection", "no_answer", "did not end in time")
    last = last_line(printed)
    return failed("answer", "failed", f"exited {code}" + (f": {last}" if last else ""))
