"""One container engine, talked to through its command line: bounded calls, answers, what they mean.

Every call is one child process with a time limit. Nothing is asked just to see whether the engine is
there: the call that is needed anyway tells. Docker and Podman are told apart here and nowhere else. Calls
carry no run marker: what an engine starts for itself (conmon, aardvark-dns) outlives the run that asked,
and serves other containers too.

Does not own: what is made and when (`ephemeral`, `persistent`), what belongs to whom (`ownership`).

Source: runtime specification 4; lessons, "Engine talk"; engine facts of the architecture.
"""

import signal
from _thread import allocate_lock
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from ota.errors import Finding, HostError
from ota.requirements.executables import find_executable
from ota.system.clock import SYSTEM_CLOCK, Clock, Deadline
from ota.system.cutting import cut
from ota.system.spawn import SpawnError, SpawnRequest, Stream
from ota.system.workload import Workload

INFO_LIMIT_S = 5.0
CALL_LIMIT_S = 60.0
"""For one request: an engine under load is slow, one that is stuck never answers."""
STOPPING_LIMIT_S = 5.0
"""What a call in progress still gets once the user asked to stop: half a request helps nobody."""
PROXIED_LIMIT_BYTES = 4 * 1024 * 1024
_LISTINGS = 20
_LISTING_PAUSE_S = 0.02
_TURN_S = 0.05
_DETAIL_LIMIT = 600
_NO_FILES = Path("/proc")
_PODMAN_FILES = (
    "CONTAINERS_CONF",
    "CONTAINERS_CONF_OVERRIDE",
    "CONTAINERS_REGISTRIES_CONF",
    "CONTAINERS_STORAGE_CONF",
    "REGISTRY_AUTH_FILE",
)
"""Variables that name a file, perhaps from where the user is."""


class CallCount:
    """How many engine calls were made; for budgets and tests."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self.calls: list[tuple[str, ...]] = []

    def add(self, args: tuple[str, ...]) -> None:
        """One more call."""
        with self._lock:
            self.calls.append(args)

    def __len__(self) -> int:
        return len(self.calls)


def never() -> bool:
    """Nobody asked to stop."""
    return False


class Engine(Struct, frozen=True, kw_only=True):
    """An engine that can be asked, and the environment its command line is given."""

    name: str
    """`docker`, `podman`, or another engine that speaks like Docker."""
    program: str
    """The absolute path, found once: checks and starts use the same program."""
    environ: Mapping[str, str]
    should_stop: Callable[[], bool] = never
    clock: Clock = SYSTEM_CLOCK
    count: CallCount

    def __repr__(self) -> str:
        return f"Engine({self.name}, {self.program})"  # the environment may hold secrets

    @property
    def is_podman(self) -> bool:
        """Whether Podman's spelling applies."""
        return self.name == "podman"


class EngineAnswer(Struct, frozen=True, kw_only=True):
    """What one call came to."""

    args: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str

    @property
    def is_ok(self) -> bool:
        return self.exit_code == 0

    @property
    def detail(self) -> str:
        """What the engine said against it: stderr, else stdout, else the exit status."""
        for text in (self.stderr, self.stdout):
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            said = [line for line in lines if not _is_chatter(line)] or lines
            if said:
                return cut(" ".join(said), _DETAIL_LIMIT)
        return f"`{self.args[0] if self.args else ''}` exited with status {self.exit_code}"


def _is_chatter(line: str) -> bool:
    # Podman logs warnings about the host's configuration beside every answer
    return line.startswith(("time=", "WARN[", "Emulate Docker CLI"))


# --- which engine ----------------------------------------------------------------------------------------


def engine_of(
    name: str,
    environ: Mapping[str, str],
    *,
    should_stop: Callable[[], bool] = never,
    clock: Clock = SYSTEM_CLOCK,
) -> Engine | None:
    """The engine of that name when its command line is on PATH; it is not asked anything."""
    found = find_executable(name, environ, Path.cwd())
    if found is None:
        return None
    return Engine(
        name=Path(name).name,
        program=str(found),
        environ=client_environment(name, environ),
        should_stop=should_stop,
        clock=clock,
        count=CallCount(),
    )


def find_engine(
    names: Sequence[str],
    environ: Mapping[str, str],
    *,
    should_stop: Callable[[], bool] = never,
    clock: Clock = SYSTEM_CLOCK,
) -> Engine:
    """The first of these engines that answers, in order; the only one there is taken at its word.

    When none answers it is the first on PATH, so that its own words are what the next call reports.

    Raises:
        HostError: `OTA_CONTAINER_BACKEND_CLI_MISSING`: none is on PATH.
    """
    there = [
        engine
        for name in names
        if (engine := engine_of(name, environ, should_stop=should_stop, clock=clock)) is not None
    ]
    if not there:
        raise HostError(_cli_missing(names))
    if len(there) == 1:
        return there[0]
    return next((engine for engine in there if is_answering(engine)), there[0])


def is_answering(engine: Engine) -> bool:
    """One `info`, within 5 s."""
    try:
        return ask(engine, "info", limit_s=INFO_LIMIT_S).is_ok
    except HostError:
        return False


def client_directory(engine: Engine, otherwise: Path) -> Path:
    """Where the engine's command is run: somewhere else for Podman, as nothing it is told depends on it.

    Podman's monitor of a container drops an empty file `oom` there when memory runs out, which has no place
    in a checkout. In /proc it can make none.
    """
    return _NO_FILES if engine.name == "podman" and _NO_FILES.is_dir() else otherwise


def client_environment(engine: str, environ: Mapping[str, str]) -> Mapping[str, str]:
    """The environment of the engine's command, which means the same where that is run."""
    relative = [name for name in _PODMAN_FILES if environ.get(name) and not Path(environ[name]).is_absolute()]
    if not relative or Path(engine).name != "podman":
        return environ
    return {**environ, **{name: str(Path.cwd() / environ[name]) for name in relative}}


def engine_at(program: str, environ: Mapping[str, str], *, clock: Clock = SYSTEM_CLOCK) -> Engine:
    """The engine of a program that was found before."""
    return Engine(
        name=Path(program).name,
        program=program,
        environ=client_environment(program, environ),
        clock=clock,
        count=CallCount(),
    )


# --- asking ----------------------------------------------------------------------------------------------


def ask(
    engine: Engine,
    *args: str,
    limit_s: float = CALL_LIMIT_S,
    environ: Mapping[str, str] | None = None,
    on_output: Callable[[Stream, bytes], None] | None = None,
) -> EngineAnswer:
    """One call. A refusal is an answer; `environ` replaces the engine's own for this call.

    Raises:
        HostError: the program cannot be started, did not answer within `limit_s`, or the user asked to
            stop and it did not end soon after. It is gone then, with whatever it had started.
    """
    engine.count.add(args)
    kept: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}

    def take(stream: Stream, data: bytes) -> None:
        kept[stream] += data[: max(0, PROXIED_LIMIT_BYTES - len(kept[stream]))]
        if on_output is not None:
            on_output(stream, data)

    request = SpawnRequest(
        argv=(engine.program, *args),
        cwd=client_directory(engine, Path()),
        env=engine.environ if environ is None else environ,
        run_id=None,
        output="capture",
        stdin="devnull",
    )
    try:
        exit_code = _watch(engine, request, take, limit_s)
    except SpawnError as error:
        raise HostError(_not_startable(engine, error)) from error
    if exit_code is None:
        raise HostError(no_answer(engine, args, limit_s))
    return EngineAnswer(
        args=args,
        exit_code=exit_code,
        stdout=kept["stdout"].decode("utf-8", "replace"),
        stderr=kept["stderr"].decode("utf-8", "replace"),
    )


def _watch(
    engine: Engine, request: SpawnRequest, take: Callable[[Stream, bytes], None], limit_s: float
) -> int | None:
    """The exit code; None when the time was up, and then the whole session is gone."""
    clock = engine.clock
    deadline = Deadline.after(clock, limit_s)
    is_stopping = False
    # what an engine starts for itself stays (`ends_session`): it serves others too
    with Workload(request, ends_session=False, clock=clock) as workload:
        while True:
            end = workload.supervise(take, limit_s=_TURN_S)
            if end is not None:
                return end.exit_code
            if not is_stopping and engine.should_stop():
                is_stopping = True
                deadline = Deadline.after(clock, min(STOPPING_LIMIT_S, deadline.remaining_s(clock)))
            if deadline.is_over(clock):
                workload.stop(signal.SIGKILL, grace_s=0.0)
                return None


def require(engine: Engine, action: str, *args: str, limit_s: float = CALL_LIMIT_S) -> EngineAnswer:
    """One call that has to succeed; `action` says in words what it was for.

    Raises:
        HostError: it did not.
    """
    answer = ask(engine, *args, limit_s=limit_s)
    if not answer.is_ok:
        raise HostError(refusal(engine, answer, action))
    return answer


def ask_list(engine: Engine, *args: str, limit_s: float = CALL_LIMIT_S) -> EngineAnswer:
    """A list of everything; asked again when something of it went away meanwhile.

    Podman then fails as a whole, and what goes away may be anybody's.

    Raises:
        HostError: as of `ask`.
    """
    answer = ask(engine, *args, limit_s=limit_s)
    for _ in range(_LISTINGS - 1):
        if not is_absent(answer):
            break
        engine.clock.sleep(_LISTING_PAUSE_S)
        answer = ask(engine, *args, limit_s=limit_s)
    return answer


# --- what an answer means --------------------------------------------------------------------------------

# An engine says these in English only, and no exit code tells the cases apart.
_DOWN = (
    "cannot connect to the docker daemon",
    "is the docker daemon running",
    "error during connect",
    "cannot connect to podman",
    "unable to connect to podman",
    "connection refused",
    "connection reset by peer",
    "permission denied while trying to connect",
    "unexpected eof",
    "context deadline exceeded",
)
_TOO_OLD = ("unknown flag:", "unknown shorthand flag:", "flag provided but not defined:")
_FULL = ("no space left on device", "disk quota exceeded")
_NO_SUCH = (
    "no such container",
    "no such object",
    "no such volume",
    "no such network",
    "no container with name",
)


def is_absent(answer: EngineAnswer) -> bool:
    """Whether the engine says that what was asked about does not exist."""
    return not answer.is_ok and says_absent(answer.stderr)


def says_absent(said: str) -> bool:
    """Whether these words of an engine mean that something does not exist."""
    return any(text in said.lower() for text in _NO_SUCH)


def refusal(engine: Engine, answer: EngineAnswer, action: str) -> Finding:
    """Why a call failed: the engine is down, too old for it, has no space left, or said no."""
    said = answer.stderr.lower()
    if any(text in said for text in _DOWN):
        return unavailable(engine, answer.detail)
    if any(text in said for text in _TOO_OLD):
        return _finding(
            "OTA_CONTAINER_ENGINE_TOO_OLD",
            f"{engine.name} is too old: it could not {action}",
            answer.detail,
            f"update {engine.name}; ota works with Docker from 20.10 and Podman from 4.0",
            title="Container engine is too old",
        )
    if any(text in said for text in _FULL):
        return _finding(
            "OTA_CONTAINER_ENGINE_FULL",
            f"{engine.name} could not {action}: no space is left where it keeps its data",
            answer.detail,
            f"see what takes it: `{engine.name} system df`; `ota clean` removes what this repository has "
            f"there, `{engine.name} system prune` what nothing uses; then run the command again",
            title="No space is left for the container engine",
        )
    return _finding(
        "OTA_CONTAINER_ENGINE_REFUSED",
        f"{engine.name} could not {action}",
        answer.detail,
        f"mend what {engine.name} says, then run the command again",
        title="Container engine refused",
    )


def unavailable(engine: Engine, why: str) -> Finding:
    """The engine is installed and does not answer."""
    return _finding(
        "OTA_CONTAINER_BACKEND_UNAVAILABLE",
        f"container backend `{engine.name}` is unavailable",
        why,
        f"start {engine.name} until `{engine.name} info` answers, then run the command again",
        title="Container engine is not available",
    )


def no_answer(engine: Engine, args: Sequence[str], limit_s: float) -> Finding:
    """The time of a call was up."""
    verb = args[0] if args else ""
    if engine.should_stop():
        return unavailable(engine, f"`{engine.name} {verb}` had not answered when the run was interrupted")
    return unavailable(engine, f"`{engine.name} {verb}` timed out after {limit_s:g} seconds")


def _cli_missing(names: Sequence[str]) -> Finding:
    listed = ", ".join(names)
    return _finding(
        "OTA_CONTAINER_BACKEND_CLI_MISSING",
        f"no container engine: one of {listed} has to be available on PATH",
        f"none of {listed} is on PATH",
        f"install {names[0] if names else 'a container engine'}, then run the command again",
        title="Container engine is missing",
    )


def _not_startable(engine: Engine, error: SpawnError) -> Finding:
    cause = error.findings[0]
    return _finding(
        "OTA_CONTAINER_BACKEND_CLI_MISSING",
        f"{engine.program} cannot be started",
        f"{cause.summary}: {cause.why}" if cause.why else cause.summary,
        cause.next,
        title="Container engine is missing",
    )


def _finding(code: str, summary: str, why: str, next_step: str, *, title: str) -> Finding:
    return Finding(
        code=code,
        title=title,
        summary=summary,
        why=why,
        next=next_step,
        category="execution",
        owner="host",
    )
