"""The parts of an action in order: what can be done, and the first thing that goes wrong is the result.

Every part tells its outcome as one note of the step and one line of its output. An interrupt is
honoured between parts, and inside a part that runs a command.

Source: contract specification 15.3 (`action`, `prepare`); runtime specification 12.
"""

from collections.abc import Iterable, Iterator, Mapping

from ota.contract.model.bodies import (
    Action,
    CopyIfMissing,
    EnsureBundle,
    EnsureDirectory,
    EnsureEnvFile,
    EnsureFile,
    Prepare,
    PrepareSequence,
)
from ota.errors import OtaError
from ota.execute.actions.failure import ActionFailedError, failed
from ota.execute.actions.files import Files, apply_file_part
from ota.execute.context import RunContext
from ota.execute.events import StepNote
from ota.execute.output import StepOutput
from ota.execute.process import BodyEnd
from ota.resolve.plan import StepPlan

_FILE_PARTS = (CopyIfMissing, EnsureEnvFile, EnsureFile, EnsureDirectory)

Step = Action | Prepare


def unsupported_action(step: Step) -> str | None:
    """The kind of the first part this build does not carry out; None when it can do all of it."""
    if isinstance(step, EnsureBundle | PrepareSequence):
        return next((kind for each in step.steps if (kind := unsupported_action(each))), None)
    return None if isinstance(step, _FILE_PARTS) else str(step.__struct_config__.tag)


def run_action(
    context: RunContext,
    step: StepPlan,
    action: Step,
    env: Mapping[str, str],
    output: StepOutput,
    epoch: int,
) -> BodyEnd:
    """Carry out an action, part by part.

    Raises:
        ActionFailedError: a part failed for a reason of ota's own.
    """

    def learn(values: Iterable[str]) -> None:
        context.masker = context.masker.with_more(values)

    files = Files(root=context.root, env=env, clock=context.clock, learn=learn)
    for part in _parts(action):
        interrupt = context.interrupts.since(epoch)
        if interrupt is not None:
            output.finish()
            return BodyEnd(exit_code=interrupt.exit_code, interrupt=interrupt, output=output)
        try:
            assert isinstance(part, _FILE_PARTS), "admission refused the others"
            told = apply_file_part(files, part)
        except ActionFailedError:
            raise
        except OtaError as error:
            raise ActionFailedError(*error.findings) from error
        except OSError as error:
            raise failed(part, error.strerror or str(error)) from error
        output.chunk("stdout", f"{told}\n".encode())
        context.stream.emit(StepNote(step=step.id, text=told))
    output.finish()
    return BodyEnd(exit_code=0, output=output)


def _parts(action: Step) -> Iterator[Step]:
    if isinstance(action, EnsureBundle | PrepareSequence):
        yield from action.steps
    else:
        yield action
