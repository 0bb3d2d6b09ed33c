"""The parts of an action in order: what can be done, and the first thing that goes wrong is the result.

Every part tells its outcome as one note of the step and one line of its output. An interrupt is
honoured between parts, and inside a part that runs a command.

Source: contract specification 15.3 (`action`, `prepare`); runtime specification 12.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from msgspec.structs import replace

from ota.contract.model.bodies import (
    Action,
    BuildContainerImage,
    BundleStep,
    CopyIfMissing,
    DependencyHydration,
    EnsureBundle,
    EnsureContainerNetwork,
    EnsureDirectory,
    EnsureEnvFile,
    EnsureFile,
    EnsureGitCheckout,
    EnsureGitCheckouts,
    EnsureGitTemplate,
    EnsureVirtualenv,
    GitCheckout,
    Prepare,
    PrepareSequence,
    ResetComposeServiceVolume,
    SequenceStep,
    ToolBootstrap,
)
from ota.errors import OtaError
from ota.execute.actions.children import ChildEndedError, Children
from ota.execute.actions.failure import ActionFailedError, Unsupported, failed
from ota.execute.actions.files import Files, apply_file_part
from ota.execute.actions.packages import (
    PackagePart,
    addresses_of,
    commands_of,
    credentials_in,
    shown_command,
    told_of,
    unsupported_package_part,
)
from ota.execute.actions.places import inner_directory
from ota.execute.context import RunContext
from ota.execute.environment import StepEnvironment, environment_failure, environment_of
from ota.execute.events import StepNote
from ota.execute.output import StepOutput
from ota.execute.process import BodyEnd
from ota.resolve.file_makers import leading_file_steps
from ota.resolve.plan import StepPlan, TaskPlan

_HOSTS_OWN = ("PATH", "HOME")

Step = Action | Prepare
Part = BundleStep | SequenceStep | Action | GitCheckout


def unsupported_action(step: Step) -> Unsupported | None:
    """The first part that this build does not carry out; None when it can do all of it."""
    for part in _parts(step):
        if not isinstance(part, DependencyHydration | ToolBootstrap):
            continue
        if (what := unsupported_package_part(part)) is not None:
            return what
    return None


def unsupported_in_container(step: Prepare, task: TaskPlan) -> Unsupported | None:
    """The same for a task that runs in a container."""
    from ota.execute.actions.inside import unsupported_inside

    return unsupported_inside(_parts(step), task)


def run_action(
    context: RunContext,
    step: StepPlan,
    action: Step,
    environment: StepEnvironment,
    output: StepOutput,
    epoch: int,
) -> BodyEnd:
    """Carry out an action, part by part; what it first writes of files counts for the rest.

    Raises:
        ActionFailedError: a part failed for a reason of ota's own.
    """

    def learn(values: Iterable[str]) -> None:
        output.learn(context.learn_secrets(values))

    is_inside = step.task.context.plane == "container"
    # what runs on this host beside a container has this host's programs and home
    own = {name: context.environ[name] for name in _HOSTS_OWN if name in context.environ}

    def workers(env: Mapping[str, str]) -> tuple[Files, Children]:
        host_env = {**context.environ, **env, **own} if is_inside else env
        files = Files(root=context.root, env=env, clock=context.clock, learn=learn)
        return files, Children(context, step, host_env, output, epoch, learn)

    files, children = workers(environment.variables)
    file_steps = leading_file_steps(action)
    for index, batch in enumerate(_batches(action, is_inside=is_inside)):
        interrupt = context.interrupts.since(epoch)
        if interrupt is not None:
            output.finish()
            return BodyEnd(exit_code=interrupt.exit_code, interrupt=interrupt, output=output)
        if index == file_steps > 0:
            environment = environment_of(context, step, is_again=True)
            output.learn(environment.masker)
            if environment.findings:
                output.finish()
                return BodyEnd(exit_code=1, failure=environment_failure(step, environment), output=output)
            files, children = workers(environment.variables)
        try:
            with _as_failures(batch[0]):
                if is_inside:
                    told = _applied_inside(context, step, files, children, batch, output, epoch)
                else:
                    told = [_apply(files, children, part) for part in batch]
        except ChildEndedError as error:
            output.finish()
            if error.end.interrupt is None and error.end.failure is None:
                context.stream.emit(StepNote(step=step.id, text=_told_failed(error)))
            return _ended(error.end, output, is_first=index == 0)
        for text in told:
            _tell(context, step, output, text)
    output.finish()
    return BodyEnd(exit_code=0, output=output)


def _batches(action: Step, *, is_inside: bool) -> Iterator[tuple[Part, ...]]:
    """The parts one by one; in a container, commands that follow each other together."""
    if not is_inside:
        yield from ((part,) for part in _parts(action))
        return
    from ota.execute.actions.inside import batches  # paid only by who prepares containers

    yield from batches(_parts(action))


def _applied_inside(
    context: RunContext,
    step: StepPlan,
    files: Files,
    children: Children,
    batch: tuple[Part, ...],
    output: StepOutput,
    epoch: int,
) -> list[str]:
    """Commands inside the step's container; what makes files, in the checkout.

    Raises:
        ActionFailedError: for a reason of ota's own.
        ChildEndedError: a command did not succeed.
    """
    from ota.execute.actions import inside

    commands = [part for part in batch if isinstance(part, DependencyHydration | ToolBootstrap)]
    if not commands:
        (part,) = batch
        inside.see_unisolated(files.root, part, inside.isolated_paths(step.task))
        return [_apply(files, children, part)]
    end = inside.run_commands(context, step, commands, output, epoch)
    if not end.is_success:
        raise ChildEndedError(end, *(argv for part in commands for argv in commands_of(part)))
    for warning in inside.thrown_away(step.task, commands, files.env):
        context.stream.emit(StepNote(step=step.id, text=warning, is_warning=True))
    return [told_of(part) for part in commands]


def _told_failed(error: ChildEndedError) -> str:
    commands = [f"`{shown_command(argv)}`" for argv in error.commands]
    which = commands[0] if len(commands) == 1 else f"one of {', '.join(commands)}"
    return f"{which} ended with code {error.end.exit_code}"


def _tell(context: RunContext, step: StepPlan, output: StepOutput, told: str) -> None:
    output.chunk("stdout", f"{told}\n".encode())
    context.stream.emit(StepNote(step=step.id, text=told))


@contextmanager
def _as_failures(part: Part) -> Iterator[None]:
    """What goes wrong in a part is the failure of the action."""
    try:
        yield
    except ActionFailedError:
        raise
    except OtaError as error:
        raise ActionFailedError(*error.findings) from error
    except OSError as error:
        raise failed(part, error.strerror or str(error)) from error


def _apply(files: Files, children: Children, part: Part) -> str:
    match part:
        case CopyIfMissing() | EnsureDirectory() | EnsureFile() | EnsureEnvFile():
            return apply_file_part(files, part)
        case DependencyHydration(medium="container_images"):
            from ota.execute.actions.engines import pull_images

            return pull_images(children, part)
        case DependencyHydration() | ToolBootstrap():
            return _package_part(children, part)
        case EnsureContainerNetwork() | BuildContainerImage() | ResetComposeServiceVolume():
            from ota.execute.actions.engines import apply_engine_part

            return apply_engine_part(children, part)
        case EnsureVirtualenv():
            from ota.execute.actions.virtualenv import ensure_virtualenv

            return ensure_virtualenv(children, part)
        case EnsureGitCheckout() | GitCheckout():
            from ota.execute.actions.git import ensure_checkout

            return ensure_checkout(children, part)
        case EnsureGitTemplate():
            from ota.execute.actions.git import ensure_template

            return ensure_template(children, part)
        case _:
            raise AssertionError(f"admission let {part!r} pass")


def _package_part(children: Children, part: PackagePart) -> str:
    cwd = inner_directory(children.root, part.source.cwd, part)
    children.learn(secret for address in addresses_of(part) for secret in credentials_in(address))
    for argv in commands_of(part):
        children.run(argv, cwd)
    return told_of(part)


def _ended(end: BodyEnd, output: StepOutput, *, is_first: bool) -> BodyEnd:
    """The end of the command as the end of the body, which had begun if an earlier part was done."""
    failure = end.failure
    if failure is not None and not is_first:
        failure = replace(failure, origin="task")
    return replace(end, failure=failure, output=output, was_started=end.was_started or not is_first)


def _parts(step: Step) -> Iterator[Part]:
    """The parts in order, lists of checkouts opened."""
    for part in step.steps if isinstance(step, EnsureBundle | PrepareSequence) else (step,):
        if isinstance(part, EnsureGitCheckouts):
            yield from part.checkouts
        else:
            yield part
