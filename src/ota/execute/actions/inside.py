"""`prepare` in a container context: commands run inside, files are made in the checkout that both sides see.

Commands that follow each other are one body: what one of them puts into a fresh container, the next one
finds. File and git steps are done on this host, so that what they make belongs to the user; where the
container would not see it, they are refused.

Source: contract specification 15.3 (`prepare`); runtime specification 8; decision D13.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from os.path import normpath
from pathlib import Path

from msgspec.structs import replace

from ota.backends.container.identity import isolated_path
from ota.backends.native import posix_quoted
from ota.contract.model.bodies import (
    Action,
    BundleStep,
    CopyIfMissing,
    DependencyHydration,
    EnsureDirectory,
    EnsureEnvFile,
    EnsureFile,
    EnsureGitCheckout,
    EnsureGitTemplate,
    EnsureVirtualenv,
    GitCheckout,
    SequenceStep,
    ToolBootstrap,
)
from ota.execute.actions.failure import Unsupported, failed, kind_of, needs_engine
from ota.execute.actions.packages import (
    PackagePart,
    addresses_of,
    commands_of,
    credentials_in,
    shown_command,
    unsupported_package_part,
)
from ota.execute.actions.places import inner_directory, inner_target
from ota.execute.context import RunContext
from ota.execute.output import StepOutput
from ota.execute.process import BodyEnd
from ota.resolve.injection import CONTAINER_WORKSPACE
from ota.resolve.plan import ArgvBody, StepPlan, TaskPlan

HostPart = (
    CopyIfMissing
    | EnsureEnvFile
    | EnsureFile
    | EnsureDirectory
    | EnsureGitCheckout
    | GitCheckout
    | EnsureGitTemplate
)
Part = BundleStep | SequenceStep | Action | GitCheckout


def unsupported_inside(parts: Iterable[Part], task: TaskPlan) -> Unsupported | None:
    """The first part that cannot be done in the task's container context; None when all can."""
    isolated = isolated_paths(task)
    for part in parts:
        if isinstance(part, DependencyHydration | ToolBootstrap):
            if (what := unsupported_package_part(part)) is not None:
                return what
        elif isinstance(part, HostPart):
            if (what := _unseen(part, isolated)) is not None:
                return what
        elif isinstance(part, EnsureVirtualenv):
            return Unsupported(
                what=kind_of(part),
                why="it would be made with the host's own Python, which is not there inside the container",
                next=f"make it inside, in a `run` body such as `uv venv {part.path}`",
            )
        else:
            return needs_engine(kind_of(part))
    return None


def _unseen(part: HostPart, isolated: Sequence[str]) -> Unsupported | None:
    """Why the container would not see what this makes."""
    for path in _paths(part):
        within = covering(path, isolated)
        if within:
            return Unsupported(
                what=f"{kind_of(part)}` on `{path}",
                why=f"`{within}` is an isolated path: inside the container a volume is in its place, and a "
                "file of the checkout would not be seen",
                next=f"move `{path}` out of it, or write it in a `run` body of that context",
            )
        if normpath(path).startswith(".."):
            return Unsupported(
                what=f"{kind_of(part)}` on `{path}",
                why="it lies outside the checkout, which is all that the container sees of this host",
                next="name a path inside the checkout",
            )
    return None


def isolated_paths(task: TaskPlan) -> tuple[str, ...]:
    """Where the container of a task sees volumes instead of the checkout."""
    container = task.context.container
    return tuple(map(isolated_path, container.isolated_paths)) if container is not None else ()


def covering(path: str, isolated: Sequence[str]) -> str:
    """The isolated path that `path` is in, or is; empty when none."""
    plain = isolated_path(path)
    return next((each for each in isolated if f"{plain}/".startswith(f"{each}/")), "")


def _paths(part: HostPart) -> tuple[str, ...]:
    return (part.from_, part.to) if isinstance(part, CopyIfMissing) else (part.path,)


def batches(parts: Iterable[Part]) -> Iterator[tuple[Part, ...]]:
    """Steps of the host one by one, and what runs commands together as far as it follows each other."""
    for is_hosts, group in groupby(parts, key=lambda part: isinstance(part, HostPart)):
        if is_hosts:
            yield from ((part,) for part in group)
        else:
            yield tuple(group)


def see_unisolated(root: Path, part: Part, isolated: Sequence[str]) -> None:
    """A link may lead where the name does not.

    Raises:
        ActionFailedError: it leads to where the container sees a volume, or out of the checkout.
    """
    assert isinstance(part, HostPart), f"admission let {part!r} pass"
    for path in _paths(part):
        real = inner_target(root, path, part).relative_to(root.resolve())
        if covering(str(real), isolated):
            raise failed(part, f"`{path}` leads into the isolated path `{covering(str(real), isolated)}`")


def run_commands(
    context: RunContext, step: StepPlan, batch: Sequence[PackagePart], output: StepOutput, epoch: int
) -> BodyEnd:
    """Run the commands of these parts inside the step's container, as one body."""
    from ota.execute.container import run_in_container

    output.learn(
        context.learn_secrets(
            secret for part in batch for address in addresses_of(part) for secret in credentials_in(address)
        )
    )
    text = "\n".join(_line(context, step, part, argv) for part in batch for argv in commands_of(part))
    # nobody answers questions of package managers
    body = ArgvBody(exe="sh", args=("-c", text), interaction="forbidden")
    end = run_in_container(context, step, body, epoch, output=output)
    return replace(end, output=output)


def _line(context: RunContext, step: StepPlan, part: PackagePart, argv: tuple[str, ...]) -> str:
    cwd = part.source.cwd or "."
    if not covering(cwd, isolated_paths(step.task)):
        inner_directory(context.root, cwd, part)
    place = posix_quoted(f"{CONTAINER_WORKSPACE}/{isolated_path(cwd)}" if cwd != "." else CONTAINER_WORKSPACE)
    return f"(cd {place} && {' '.join(map(posix_quoted, argv))}) || exit"


def told_of(batch: Sequence[PackagePart]) -> Iterator[str]:
    """What was done, one line for each part."""
    for part in batch:
        if isinstance(part, ToolBootstrap):
            yield f"installed {part.tool.replace('_', ' ')}"
        else:
            where = "" if part.source.cwd in (None, ".") else f" in {part.source.cwd}"
            yield f"ran {shown_command(commands_of(part)[-1])}{where}"
