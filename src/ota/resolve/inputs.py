"""Inputs of the requested task: what the operator gave, what defaults apply, what is refused.

Inputs belong to one task: a dependency or a hook gets its own defaults and nothing else.

Source: contract specification 15.6; commands specification 2.2.
"""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from ota.contract.grammar import nearest
from ota.contract.model.tasks import Input
from ota.errors import Finding
from ota.resolve.plan import InputPlan
from ota.resolve.scope import TaskScope


class Inputs(Struct, frozen=True, kw_only=True):
    """Resolved inputs in declared order, and why the given ones cannot be taken."""

    resolved: tuple[InputPlan, ...] = ()
    refusals: tuple[Finding, ...] = ()
    given: frozenset[str] = frozenset()
    """Names the operator set explicitly."""
    waiting: frozenset[str] = frozenset()
    """Required inputs without a value yet: a target may still supply them."""


def declared_inputs(ts: TaskScope) -> dict[str, Input]:
    """The task's inputs with the matching variant's laid over them."""
    overlay = ts.variant[1].inputs if ts.variant is not None else {}
    return {**ts.task.inputs, **overlay}


def flag_of(name: str) -> str:
    """`release_notes` is given as `--release-notes`."""
    return "--" + name.replace("_", "-")


def resolve_inputs(ts: TaskScope) -> Inputs:
    """Take the operator's values, then defaults. Required and allowed are checked here."""
    declared = declared_inputs(ts)
    spoken = ts.scope.request.inputs if ts.is_requested else {}
    given = {_normal(name, declared): value for name, value in spoken.items()}
    refusals = [_unknown(ts, name, declared) for name in given if name not in declared]
    resolved: list[InputPlan] = []
    waiting: set[str] = set()
    for name, each in declared.items():
        if name in given:
            resolved.append(InputPlan(name=name, value=given[name], source="operator"))
        elif each.default is not None:
            resolved.append(InputPlan(name=name, value=each.default, source="default"))
        elif each.required:
            waiting.add(name)
    refusals += [refusal for each in resolved if (refusal := _not_allowed(ts, each, declared)) is not None]
    return Inputs(
        resolved=tuple(resolved),
        refusals=tuple(refusals),
        given=frozenset(given),
        waiting=frozenset(waiting),
    )


def with_target_values(ts: TaskScope, inputs: Inputs, values: Mapping[str, str]) -> Inputs:
    """Values of resolved targets land in their override inputs; what is still missing is refused."""
    declared = declared_inputs(ts)
    by_name = {each.name: each for each in inputs.resolved}
    refusals = list(inputs.refusals)
    for name, value in values.items():
        by_name[name] = InputPlan(name=name, value=value, source="target_binding")
        refusal = _not_allowed(ts, by_name[name], declared)
        if refusal is not None:
            refusals.append(refusal)
    for name in declared:
        if name in inputs.waiting and name not in by_name:
            refusals.append(_missing(ts, name, declared[name]))
    ordered = tuple(by_name[name] for name in declared if name in by_name)
    return replace(inputs, resolved=ordered, refusals=tuple(refusals), waiting=frozenset())


def _normal(name: str, declared: Mapping[str, Input]) -> str:
    return name if name in declared else name.replace("-", "_")


def _unknown(ts: TaskScope, name: str, declared: Mapping[str, Input]) -> Finding:
    close = nearest(name, declared)
    accepted = ", ".join(f"`{flag_of(each)}`" for each in declared)
    return Finding(
        code="OTA_INPUT_UNKNOWN",
        summary=f"task `{ts.name}` has no input `{flag_of(name)}`",
        why=f"accepted inputs: {accepted}" if accepted else "it declares no inputs",
        next=f"use `{flag_of(close)}`" if close else f"run `{ts.command}` with accepted inputs only",
        place=ts.scope.place(*ts.field, "inputs"),
        category="execution",
    )


def _missing(ts: TaskScope, name: str, declared: Input) -> Finding:
    accepted = _accepted(declared)
    example = declared.allowed[0] if declared.allowed else "<value>"
    return Finding(
        code="OTA_INPUT_MISSING",
        summary=f"task `{ts.name}` needs the input `{flag_of(name)}`",
        why=f"`{name}` is required and has no default" + (f"; {accepted}" if accepted else ""),
        next=(
            f"run `{ts.command} {flag_of(name)} {example}`"
            if ts.is_requested
            else f"run `{ts.command} {flag_of(name)} {example}` by itself, or give the input a default: "
            "inputs reach only the requested task"
        ),
        place=ts.scope.place(*ts.field, "inputs", name),
        category="execution",
    )


def _not_allowed(ts: TaskScope, each: InputPlan, declared: Mapping[str, Input]) -> Finding | None:
    allowed = declared[each.name].allowed
    if allowed is None or each.value in allowed:
        return None
    close = nearest(each.value, allowed)
    return Finding(
        code="OTA_INPUT_NOT_ALLOWED",
        summary=f"`{flag_of(each.name)}` does not accept `{each.value}`",
        why=f"task `{ts.name}`: {_accepted(declared[each.name])}",
        next=f"run `{ts.command} {flag_of(each.name)} {close or (allowed[0] if allowed else '')}`",
        place=ts.scope.place(*ts.field, "inputs", each.name, "allowed"),
        category="execution",
    )


def _accepted(declared: Input) -> str:
    if not declared.allowed:
        return ""
    return "accepted values: " + ", ".join(f"`{value}`" for value in declared.allowed)
