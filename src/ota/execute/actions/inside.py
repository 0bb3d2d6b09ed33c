"""`prepare` in a container context: commands run inside, files are made in the checkout that both sides see.

Commands that follow each other are one body: what one of them puts into a fresh container, the next one
finds. File and git steps are done on this host, so that what they make belongs to the user; where the
container would not see it, they are refused.

Source: contract specification 15.3 (`prepare`); runtime specification 8; decision D13.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    EnsureVirtualenv,
    FileStep,
    GitCheckout,
    SequenceStep,
    ToolBootstrap,
)
from ota.execute.actions.failure import Unsupported, failed, kind_of, of_hosts_engine
from ota.execute.actions.files import GitPart
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

HostPart = FileStep | GitPart
Part = BundleStep | SequenceStep | Action | GitCheckout


def unsupported_inside(parts: Iterable[Part], task: TaskPlan) -> Unsupported | None:
    """The first part that cannot be done in the task's container context; None when all can."""
    isolated = isolated_paths(task)
    parts = tuple(parts)
    for part in parts:
        if isinstance(part, DependencyHydration) and part.medium == "container_images":
            return of_hosts_engine("dependency_hydration` with `medium: container_images")
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
            return of_hosts_engine(kind_of(part))
    return _lost_between(parts) if task.context.lifecycle == "ephemeral" else None


def _lost_between(parts: Iterable[Part]) -> Unsupported | None:
    """A tool that later commands would miss, because a step of the host parts their containers."""
    tool, parting = "", ""
    for part in parts:
        if isinstance(part, HostPart):
            parting = kind_of(part) if tool else ""
        elif parting:
            return Unsupported(
                what=f"tool_bootstrap` of `{tool}",
                why=f"`{parting}` is done on the host, and what follows it runs in another ephemeral "
                f"container, without {tool}",
                next=f"move `{parting}` before it, or set `lifecycle: persistent` on the context",
            )
        elif _is_in_image(part):
            tool = "uv"
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


_KEPT_BY = {
    "cargo": ("CARGO_HOME",),
    "go_modules": ("GOMODCACHE", "GOPATH"),
    "maven": ("MAVEN_ARGS", "MAVEN_OPTS"),
    "gradle": ("GRADLE_USER_HOME",),
    "dotnet_restore": ("NUGET_PACKAGES",),
    "playwright_browsers": ("PLAYWRIGHT_BROWSERS_PATH",),
    "cypress_browsers": ("CYPRESS_CACHE_FOLDER",),
}
"""What is fetched into the home of the user, and the variables that lead elsewhere."""


def thrown_away(task: TaskPlan, batch: Sequence[PackagePart], env: Mapping[str, str]) -> Iterator[str]:
    """Warnings about what these parts fetched that goes with the container."""
    if task.context.lifecycle != "ephemeral":
        return
    for index, part in enumerate(batch):
        tool = part.tool if isinstance(part, ToolBootstrap) else ""
        variables = _KEPT_BY.get(tool or part.source.kind, ())
        if variables and not any(name in env for name in (*variables, "HOME")):
            way = f"set `{variables[0]}` to a path below {CONTAINER_WORKSPACE}"
        elif _is_in_image(part) and index == len(batch) - 1:
            way = "put it into the image"
        else:
            continue
        what = tool.replace("_", " ") or f"what `{shown_command(commands_of(part)[-1])}` fetched"
        yield (
            f"{what}: kept nowhere but in the ephemeral container, and gone with it; {way}, "
            "or give the context a persistent lifecycle"
        )


def _is_in_image(part: Part) -> bool:
    """Whether a tool becomes part of the container itself, and not of an environment in the checkout."""
    return isinstance(part, ToolBootstrap) and part.tool == "uv" and "/" not in (part.source.exe or "pip")
