"""Which tasks make the files that values come from: the advice for whoever misses one of them.

Only tasks that write files and start no program count: they run while values are missing (`env_layers`).

Source: contract specification 9.2, 15.3; doctor specification 9.
"""

from collections.abc import Iterator, Mapping
from posixpath import normpath

from ota.contract.model.bodies import Action, CopyIfMissing, EnsureBundle, EnsureEnvFile, EnsureFile, FileStep
from ota.contract.model.tasks import Task
from ota.env.layers import FileMaker
from ota.resolve.plan import Request


def writes_files_only(action: Action) -> bool:
    """Whether all an action does is writing files."""
    steps = action.steps if isinstance(action, EnsureBundle) else (action,)
    return all(isinstance(step, FileStep) for step in steps)


def file_makers(tasks: Mapping[str, Task], first: tuple[str, ...], request: Request) -> dict[str, FileMaker]:
    """Normalised path to who makes it; where several do, those of `first`, then the first declared."""
    found: dict[str, FileMaker] = {}
    for name in dict.fromkeys((*(each for each in first if each in tasks), *tasks)):
        action = tasks[name].action
        if action is None or not writes_files_only(action):
            continue
        for path, sets in _made(action):
            found.setdefault(normpath(path), FileMaker(command=request.command_of(name), sets=sets))
    return found


def _made(action: Action) -> Iterator[tuple[str, tuple[str, ...]]]:
    for step in action.steps if isinstance(action, EnsureBundle) else (action,):
        match step:
            case CopyIfMissing():
                yield step.to, ()
            case EnsureFile():
                yield step.path, ()
            case EnsureEnvFile():
                given = (key for key, each in step.vars.items() if each.value is not None or each.random)
                yield step.path, tuple(given)
