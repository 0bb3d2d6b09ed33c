"""What `check`, `doctor` and `explain` do alike: make the scene, watch for signals, leave nothing behind.

Nothing is written. What is started carries the id of this diagnosis; a guardian ends it when ota is
killed, and whatever moved out of its session is ended here.

Source: commands specification 1.11, 1.13; lessons, "Nothing left behind".
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ota.cli.flags import Arguments
from ota.cli.session import Session
from ota.contract.load import Loaded
from ota.diagnose.scene import Scene
from ota.system.clock import SYSTEM_CLOCK
from ota.system.files import repository_reader
from ota.system.host import environ, observe_host
from ota.system.interrupts import Interrupt, Interrupts
from ota.system.run_id import make_run_id

if TYPE_CHECKING:
    from ota.system.processes import Identity

T = TypeVar("T")


class Interrupted(Exception):  # noqa: N818  an outcome, not a mistake
    """The user, or a supervisor, ended the diagnosis."""

    def __init__(self, interrupt: Interrupt) -> None:
        super().__init__(f"signal {interrupt.number}")
        self.exit_code = interrupt.exit_code


def make_scene(arguments: Arguments, session: Session, loaded: Loaded, run_id: str) -> Scene:
    """The scene of this invocation.

    Raises:
        PlanError: an unknown workflow was asked for.
    """
    command = arguments.command.name
    return Scene(
        loaded,
        observe_host(),
        environ(),
        repository_reader(loaded.root),
        workflow=arguments.value("--workflow"),
        rerun=f"ota {command}{session.target(arguments.path)}{session.selection()}",
        target=session.target(arguments.path),
        run_id=run_id,
    )


def diagnosed(
    session: Session,
    arguments: Arguments,
    ask: Callable[[Scene], T],
    *,
    may_start: Callable[[Scene], bool] = lambda _: True,
) -> tuple[Scene, T]:
    """Load the contract, ask, and clean up. `may_start`: whether asking can start a process at all.

    Raises:
        Interrupted: a stop signal came; what was asked is stopped.
        ContractError, PlanError: there is nothing to diagnose.
    """
    loaded = session.load_contract(arguments.path)
    run_id = make_run_id(arguments.command.name)
    scene = make_scene(arguments, session, loaded, run_id)
    guarded = _guarded(loaded.root, run_id) if may_start(scene) else nullcontext()
    with guarded, Interrupts() as interrupts:
        scene.should_stop = lambda: interrupts.since(0) is not None
        answer = ask(scene)
        interrupt = interrupts.since(0)
    if interrupt is not None:
        raise Interrupted(interrupt)
    return scene, answer


@contextmanager
def _guarded(root: Path, run_id: str) -> Iterator[None]:
    """Ends what was started, also when ota itself is killed."""
    from ota.system.guardian import arm_guardian
    from ota.system.processes import end_processes, observe_identity, owned_processes

    own = observe_identity(os.getpid())
    began = own.start_ticks if own is not None else 0

    def left() -> "tuple[Identity, ...]":
        return owned_processes(run_id, since_ticks=began)

    # the journal is never written: the guardian goes by the marker alone
    with arm_guardian(root / ".ota" / "state" / f"{run_id}.none", run_id=run_id):
        try:
            yield
        finally:
            found = left()
            if found:
                end_processes(found, clock=SYSTEM_CLOCK, again=left)
