"""Commands that a part of an action runs: supervised and journalled as any body is.

`run` shows the command's output as the step's own; `ask` keeps it, for questions whose answer is
data. Either raises when the command cannot be the end of the matter; whoever cleans up does so in
`finally`.

Source: contract specification 15.3; runtime specification 3.1, 12, 20.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from ota.backends.native import spawn_request
from ota.env.masking import Masker
from ota.execute.context import RunContext
from ota.execute.events import Event
from ota.execute.output import StepOutput
from ota.execute.process import BodyEnd, NoAttendant, run_process
from ota.execute.requirements import native_activation
from ota.execute.stream import EventStream
from ota.resolve.plan import ArgvBody, StepPlan
from ota.system.spawn import OutputMode

if TYPE_CHECKING:
    from ota.services.scene import ServiceScene


class ChildEndedError(Exception):
    """A command failed, was interrupted or could not be started: that is how the part ends."""

    def __init__(self, end: BodyEnd, *commands: tuple[str, ...]) -> None:
        super().__init__()
        self.end = end
        self.commands = commands
        """Which it was; several where that is not known."""


class Answer(Struct, frozen=True, kw_only=True):
    """What a command said."""

    argv: tuple[str, ...]
    exit_code: int
    text: str
    """Standard output without the last line end."""
    output: StepOutput

    @property
    def is_yes(self) -> bool:
        """Ended with 0."""
        return self.exit_code == 0


class Children:
    """Runs the commands of one step, each to its end."""

    def __init__(
        self,
        context: RunContext,
        step: StepPlan,
        env: Mapping[str, str],
        output: StepOutput,
        epoch: int,
        learn: Callable[[Iterable[str]], None],
    ) -> None:
        self.root = context.root
        self.is_terminal = bool(context.options.terminal_streams)
        self.env = env
        self.learn = learn
        self._context = context
        self._step = step
        self._output = output
        self._epoch = epoch

    @property
    def scene(self) -> "ServiceScene":
        """Where engines are asked, with the variables of the commands."""
        from ota.execute.compose_body import scene_of  # paid only by who asks engines

        return scene_of(self._context, self.env)

    def run(self, argv: tuple[str, ...], cwd: Path, env: Mapping[str, str] | None = None) -> None:
        """Run a command whose output is the step's.

        Raises:
            ChildEndedError: it did not succeed.
        """
        mode: OutputMode = "terminal" if self.is_terminal else "capture"
        end = self._run(argv, cwd, env, self._output, mode)
        if not end.is_success:
            raise ChildEndedError(end, argv)

    def ask(self, argv: tuple[str, ...], cwd: Path, env: Mapping[str, str] | None = None) -> Answer:
        """Run a command for what it says.

        Raises:
            ChildEndedError: it was interrupted, or could not be started. A failure is an answer.
        """
        kept = StepOutput(
            self._step.id, self._step.task.name, masker=Masker(()), stream=EventStream(_Nobody()), logs=None
        )
        end = self._run(argv, cwd, env, kept, "capture")
        if end.interrupt is not None or end.failure is not None:
            raise ChildEndedError(end, argv)
        return Answer(
            argv=argv,
            exit_code=end.exit_code,
            text=kept.excerpt.tail("stdout").removesuffix("\n"),
            output=kept,
        )

    def fail_with(self, answer: Answer) -> ChildEndedError:
        """The answer as the end of the part; what the command said becomes the step's output."""
        self._output.chunk("stderr", answer.output.excerpt.tail("stderr").encode())
        return ChildEndedError(BodyEnd(exit_code=answer.exit_code or 1), answer.argv)

    def _run(
        self,
        argv: tuple[str, ...],
        cwd: Path,
        env: Mapping[str, str] | None,
        output: StepOutput,
        mode: OutputMode,
    ) -> BodyEnd:
        context, task = self._context, self._step.task.name
        request = spawn_request(
            ArgvBody(exe=argv[0], args=argv[1:], cwd=str(cwd)),
            root=context.root,
            env=self.env if env is None else env,
            task=task,
            run_id=context.run_id,
            output=mode,
            terminal_streams=context.options.terminal_streams,
            stdin="devnull",
            activation=native_activation(context, self._step),
        )
        return run_process(
            context,
            request,
            step=self._step.id,
            task=task,
            output=output,
            attendant=NoAttendant(),
            on_started=lambda _pid: None,
            epoch=self._epoch,
        )


class _Nobody:
    """Watches what is not shown."""

    def event(self, event: Event) -> None: ...

    def output(self, step: str, task: str, stream: Literal["stdout", "stderr"], data: bytes) -> None: ...
