"""Taking away what a dead run had announced: its own containers, and its bodies inside those that stay.

Called by the run's guardian and by the next command. A container is touched only when it carries every
label that the journal wrote down before it was made; one that the dead run was still asking for may come
to be a moment later, so a fresh journal is looked at again.

Source: lessons, "Nothing left behind"; runtime specification 6.3, 7.4.
"""

import time
from pathlib import Path

from ota.backends.container.engine import Engine, engine_at
from ota.backends.container.ephemeral import release_ephemeral
from ota.backends.container.facts import inspect_containers
from ota.backends.container.signalling import end_body
from ota.backends.container.undo import carries
from ota.errors import Finding, HostError
from ota.system.clock import SYSTEM_CLOCK
from ota.system.guardian import Released
from ota.system.host import environ
from ota.system.journal import ContainerStep, JournalFacts

_FRESH_S = 10.0
"""A journal younger than this may be of a run whose engine client is still at work."""
_PATIENCE_S = 3.0
_LOOK_AGAIN_S = 0.2


def release_announced(facts: JournalFacts) -> Released:
    """Remove the containers of a dead run, end its bodies. Never raises for what an engine does."""
    removed: list[str] = []
    left: list[Finding] = []
    for program in dict.fromkeys(step.engine for step in facts.containers):
        steps = [step for step in facts.containers if step.engine == program]
        engine = engine_at(program, environ())
        try:
            _release(engine, steps, removed, left, is_fresh=_is_fresh(facts.path))
        except HostError as error:
            left += error.findings
    return Released(removed=tuple(removed), left=tuple(left))


def _is_fresh(journal: Path) -> bool:
    try:
        return time.time() - journal.stat().st_mtime < _FRESH_S
    except OSError:
        return False


def _release(
    engine: Engine, steps: list[ContainerStep], removed: list[str], left: list[Finding], *, is_fresh: bool
) -> None:
    deadline = SYSTEM_CLOCK.monotonic_s() + (_PATIENCE_S if is_fresh else 0.0)
    waiting = steps
    while waiting:
        found = inspect_containers(engine, [step.name for step in waiting])
        for step in waiting:
            facts = found.get(step.name)
            if facts is not None and carries(facts, step.labels):
                finding = _taken_away(engine, step, removed)
                left += [finding] if finding is not None else []
        waiting = [step for step in waiting if not step.body and step.name not in found]
        if SYSTEM_CLOCK.monotonic_s() >= deadline:
            return
        if waiting:
            SYSTEM_CLOCK.sleep(_LOOK_AGAIN_S)


def _taken_away(engine: Engine, step: ContainerStep, removed: list[str]) -> Finding | None:
    if step.body:
        ending = end_body(engine, step.name, step.body)
        if ending.ended:
            removed.append(step.name)
        return ending.finding
    if step.stays:
        from ota.backends.container.launch import end_launch  # paid only by what was a packaged image

        finding = end_launch(engine, step.name)
    else:
        finding = release_ephemeral(engine, step.name)
    if finding is None:
        removed.append(step.name)
    return finding
