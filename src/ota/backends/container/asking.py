"""A short question answered inside a container: what a context has, whether it reaches a service.

Asked where a body of the same context would run: in its container that stays, or in a fresh one that goes
with the answer. Standard output is the answer; nothing of it is shown.

Source: runtime specification 13.3 (container), 18; decision D32.
"""

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from ota.backends.container.engine import Engine, EngineAnswer, ask, never
from ota.backends.container.ephemeral import EphemeralRun, release_ephemeral
from ota.backends.container.persistent import PersistentRun
from ota.backends.container.signalling import end_body
from ota.backends.container.start_mark import StartMark
from ota.backends.container.work import BodyEnvironment, Prepared, Scene, Work
from ota.errors import Finding, HostError

_ATTEMPTS = 3


class Said(Struct, frozen=True, kw_only=True):
    """What a question came to."""

    exit_code: int | None
    """None: it did not end in time."""
    stdout: str = ""
    stderr: str = ""


class InsideAnswer(Said, frozen=True, kw_only=True):
    """The same, and the container it was asked in."""

    prepared: Prepared
    left: tuple[Finding, ...] = ()
    """What could not be tidied up: warnings."""
    was_asked: bool = True
    """False: the container was known, and left as it was."""


def ask_inside(
    engine: Engine,
    work: Work,
    environment: BodyEnvironment,
    scene: Scene,
    *,
    limit_s: float,
    is_known: Callable[[Prepared], bool] = lambda prepared: False,
) -> InsideAnswer:
    """Run `work.body` to its end inside the container of `work.context`, unless that container is known.

    Raises:
        HostError: nobody can be asked there: no engine, no image, no shell.
    """
    run: EphemeralRun | PersistentRun
    if work.context.lifecycle == "persistent":
        run = PersistentRun(engine, work, lambda ports: environment, scene)
    else:
        run = EphemeralRun(engine, work, lambda ports: environment, scene)
    for _ in range(_ATTEMPTS):
        prepared = run.prepare()
        if is_known(prepared):
            left = _leave(engine, prepared, scene, was_cut=False)
            return InsideAnswer(
                exit_code=0, stdout="", stderr="", prepared=prepared, left=left, was_asked=False
            )
        answer, said = _entered(engine, prepared, scene, limit_s)
        if answer is not None:
            return answer
        run.not_started(prepared, said)
    raise HostError(
        Finding(
            code="OTA_CONTAINER_STOPPED",
            title="Container stopped",
            summary=f"no container of `{work.container.image}` stays long enough to be asked",
            why=f"{_ATTEMPTS} attempts failed",
            next=f"see whether it runs at all: `{engine.name} run --rm {work.container.image} true`",
            category="execution",
            owner="container_target",
        )
    )


def _entered(
    engine: Engine, prepared: Prepared, scene: Scene, limit_s: float
) -> tuple[InsideAnswer | None, str]:
    """The answer; None, and what the engine said, when the question never began. Then nothing is tidied."""
    mark = StartMark(prepared.start_mark)
    began_s = scene.clock.monotonic_s()
    prepared.release_ports()
    code: int | None = None
    stdout = stderr = ""
    try:
        answer = ask(engine, *prepared.argv[1:], limit_s=limit_s, environ=prepared.cli_environ)
        code = answer.exit_code
        stdout, stderr = unmarked(answer, mark)
    except HostError:
        if scene.clock.monotonic_s() - began_s < limit_s:
            _leave(engine, prepared, scene, was_cut=True)
            raise
    if code is not None and not mark.is_started:
        return None, mark.said
    left = _leave(engine, prepared, scene, was_cut=code is None)
    return InsideAnswer(exit_code=code, stdout=stdout, stderr=stderr, prepared=prepared, left=left), ""


def unmarked(answer: EngineAnswer, mark: StartMark) -> tuple[str, str]:
    """What the question printed, without what the engine said before it began."""
    # each stream has a mark of its own
    stdout = mark.filter("stdout", answer.stdout.encode())
    stderr = mark.filter("stderr", answer.stderr.encode()) + mark.finish()
    return stdout.decode("utf-8", "replace"), stderr.decode("utf-8", "replace")


def _leave(engine: Engine, prepared: Prepared, scene: Scene, *, was_cut: bool) -> tuple[Finding, ...]:
    patient = replace(engine, should_stop=never)
    finding: Finding | None = None
    if prepared.lifecycle == "ephemeral":
        finding = release_ephemeral(patient, prepared.name)
    elif was_cut:
        finding = end_body(patient, prepared.name, prepared.body_mark, grace_s=0.5).finding
    if finding is None:
        scene.journal.ended(prepared.intent, 0)
    prepared.leave()
    return () if finding is None else (finding,)
