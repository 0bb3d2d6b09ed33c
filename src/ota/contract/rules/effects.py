"""Rules of `effects`, and of the boundary that agent-safe closures keep.

Source: contract specification 15.10; appendix A V470 to V479, W09.
"""

from collections.abc import Callable, Iterator, Sequence

from ota.contract.agent_safety import BoundaryBreach
from ota.contract.grammar import (
    GrammarError,
    check_boundary_path,
    check_relative_path,
    check_state_token,
    normalise_boundary_path,
)
from ota.contract.graph import route, shown_route
from ota.contract.model.tasks import Effects
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.values import refused_text
from ota.contract.rules.wording import advice, broken

_TOKEN = "write a lower-case token such as `staging-db`"


def _effects(subject: Subject) -> Iterator[tuple[FieldPath, Effects]]:
    for _, task, path in subject.tasks():
        if task.effects is not None:
            yield (*path, "effects"), task.effects


def kind_without_network(subject: Subject) -> Iterator[Violation]:
    """V470."""
    for path, effects in subject.collected(_effects):
        if effects.network_kind is not None and not effects.network:
            yield broken(
                "V470",
                (*path, "network_kind"),
                "needs `network: true`",
                "it says for what the network is used",
                "add `network: true`, or remove `network_kind`",
            )


def write_path(subject: Subject) -> Iterator[Violation]:
    """V471."""
    for path, effects in subject.collected(_effects):
        for index, text in enumerate(effects.writes):
            yield from refused_text(
                "V471",
                (*path, "writes", index),
                text,
                check_boundary_path,
                "write a normalised path below the contract, such as `dist`",
            )


def repeated_write(subject: Subject) -> Iterator[Violation]:
    """V472."""
    for path, effects in subject.collected(_effects):
        yield from _repeats("V472", (*path, "writes"), effects.writes, _normal)


def _normal(text: str) -> str | None:
    try:
        return normalise_boundary_path(text)
    except GrammarError:
        return None  # V471 speaks of it


def workspace_write(subject: Subject) -> Iterator[Violation]:
    """V473."""
    for path, effects in subject.collected(_effects):
        for index, text in enumerate(effects.workspace_writes):
            yield from refused_text(
                "V473",
                (*path, "workspace_writes", index),
                text,
                check_relative_path,
                "write a path relative to the contract, such as `../cache`",
            )


def state_token(subject: Subject) -> Iterator[Violation]:
    """V474."""
    for path, effects in subject.collected(_effects):
        for index, text in enumerate(effects.external_state):
            yield from refused_text("V474", (*path, "external_state", index), text, check_state_token, _TOKEN)


def repeated_state(subject: Subject) -> Iterator[Violation]:
    """V475."""
    for path, effects in subject.collected(_effects):
        yield from _repeats("V475", (*path, "external_state"), effects.external_state, str)


def _repeats(
    rule: str, path: FieldPath, entries: Sequence[str], normal: Callable[[str], str | None]
) -> Iterator[Violation]:
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        value = normal(entry)
        if value is None:
            continue
        if value in seen:
            yield broken(
                rule,
                (*path, index),
                f"repeats `{value}`",
                "each entry counts once",
                "remove the repeated entry",
            )
        seen.add(value)


def adapter_state(subject: Subject) -> Iterator[Violation]:
    """V476."""
    for path, effects in subject.collected(_effects):
        for index, text in enumerate(effects.adapter_state):
            yield from refused_text(
                "V476",
                (*path, "adapter_state", index),
                text,
                _check_pair,
                "write `family:state`, such as `compose:images`",
            )


def _check_pair(text: str) -> str | None:
    family, colon, state = text.partition(":")
    if not colon:
        return "it is a pair of lower-case tokens, `family:state`"
    return check_state_token(family) or check_state_token(state)


_BREACH_RULES = {"protected_path": "V477", "outside_boundary": "V478", "workspace_writes": "V479"}


def agent_boundary(subject: Subject) -> Iterator[Violation]:
    """V477, V478, V479: once per task, however many agent-safe tasks reach it."""
    safety = subject.agent_safety
    for name in sorted(safety.covered):
        for breach in safety.breaches(subject.contract.tasks[name].effects):
            way = route(safety.covered, name)
            reached = f"; agent-safe task `{way[0]}` reaches it: {shown_route(way)}" if len(way) > 1 else ""
            field = "workspace_writes" if breach.kind == "workspace_writes" else "writes"
            yield broken(
                _BREACH_RULES[breach.kind],
                ("tasks", name, "effects", field, breach.index),
                _breach_problem(breach),
                f"{breach.why}{reached}",
                breach.next,
            )


def _breach_problem(breach: BoundaryBreach) -> str:
    match breach.kind:
        case "protected_path":
            return f"writes the protected path `{breach.path}` in an agent-safe closure"
        case "outside_boundary":
            return f"writes `{breach.path}` outside the agent boundary"
        case _:
            return "is not allowed in an agent-safe closure"


def agent_reach(subject: Subject) -> Iterator[Violation]:
    """W09."""
    safety = subject.agent_safety
    for name in sorted(safety.covered):
        effects = subject.contract.tasks[name].effects
        if effects is None or not (effects.network or effects.external_state):
            continue
        way = route(safety.covered, name)
        field = "network" if effects.network else "external_state"
        uses = "the network" if effects.network else "external state"
        yield advice(
            "W09",
            ("tasks", name, "effects", field),
            f"lets an agent-safe closure use {uses}",
            f"agents may run `{way[0]}`: {shown_route(way)}" if len(way) > 1 else "agents may run this task",
            "check that this is meant, or keep the task away from agents",
        )


RULES: tuple[Rule, ...] = (
    kind_without_network,
    write_path,
    repeated_write,
    workspace_write,
    state_token,
    repeated_state,
    adapter_state,
    agent_boundary,
    agent_reach,
)
