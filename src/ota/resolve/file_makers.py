"""Which tasks make the files that values come from: the advice for whoever misses one of them.

Only what a task writes before it starts any program counts: values may be missing then (`env_layers`).

Source: contract specification 9.2, 15.3; doctor specification 9.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from posixpath import normpath

from ota.contract.model.bodies import (
    Action,
    CopyIfMissing,
    EnsureBundle,
    EnsureEnvFile,
    EnsureFile,
    FileStep,
    Prepare,
    PrepareSequence,
    SequenceStep,
)
from ota.contract.model.tasks import Task
from ota.env.layers import FileMaker
from ota.resolve.plan import Request


def writes_files_only(action: Action) -> bool:
    """Whether all an action does is writing files."""
    return leading_file_steps(action) == len(_steps(action))


def leading_file_steps(step: Action | Prepare) -> int:
    """How many steps write files before the first that starts a program."""
    return sum(1 for _ in takewhile(lambda each: isinstance(each, FileStep), _steps(step)))


def _steps(step: Action | Prepare) -> Sequence[Action | Prepare | SequenceStep]:
    return step.steps if isinstance(step, EnsureBundle | PrepareSequence) else (step,)


def file_makers(tasks: Mapping[str, Task], first: tuple[str, ...], request: Request) -> dict[str, FileMaker]:
    """Normalised path to who makes it; where several do, those of `first`, then the first declared."""
    found: dict[str, FileMaker] = {}
    for name in dict.fromkeys((*(each for each in first if each in tasks), *tasks)):
        step = tasks[name].action or tasks[name].prepare
        for path, sets in _made(step) if step is not None else ():
            found.setdefault(normpath(path), FileMaker(command=request.command_of(name), sets=sets))
    return found


def _made(step: Action | Prepare) -> Iterator[tuple[str, tuple[str, ...]]]:
    for each in _steps(step)[: leading_file_steps(step)]:
        match each:
            case CopyIfMissing():
                yield each.to, ()
            case EnsureFile():
                yield each.path, ()
            case EnsureEnvFile():
                given = (key for key, var in each.vars.items() if var.value is not None or var.random)
                yield each.path, tuple(given)
