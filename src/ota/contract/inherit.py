"""Context inheritance (`extends`): the one place where a parent's value reaches a child.

Scalars of the child replace, mappings merge key by key, lists replace. A context whose chain
is broken is left out of the result; the rules say why.

Source: contract specification 11.3; runtime specification 1.2; decision D27.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from ota.contract.model.execution import Context

S = TypeVar("S", bound=Struct)


def merged_contexts(contexts: Mapping[str, Context]) -> dict[str, Context]:
    """Every context with its ancestors folded in, in key order; broken chains are absent."""
    merged: dict[str, Context] = {}
    for name in sorted(contexts):
        chain = extends_chain(contexts, name)
        if chain is None:
            continue
        result = contexts[chain[-1]]
        for descendant in reversed(chain[:-1]):
            result = overlay(result, contexts[descendant])
        merged[name] = replace(result, extends=None)
    return merged


def extends_chain(contexts: Mapping[str, Context], name: str) -> tuple[str, ...] | None:
    """The context, its parent, and so on; None for an unknown parent, a cycle or a plane switch."""
    chain = [name]
    while (parent := contexts[chain[-1]].extends) is not None:
        if parent not in contexts or parent in chain:
            return None
        chain.append(parent)
    planes = {contexts[link].backend for link in chain} - {None}
    return tuple(chain) if len(planes) <= 1 else None


def overlay(base: S, child: S) -> S:
    """`child` over `base`, field by field."""
    values: dict[str, Any] = {}
    for field in base.__struct_fields__:
        values[field] = _fold(getattr(base, field), getattr(child, field))
    return type(base)(**values)


def _fold(base: Any, child: Any) -> Any:
    if child is None:
        return base
    if base is None:
        return child
    if isinstance(child, Mapping) and isinstance(base, Mapping):
        folded = dict(base)
        for key, value in child.items():
            folded[key] = _fold(base.get(key), value) if isinstance(value, Struct) else value
        return folded
    if isinstance(child, Struct) and type(child) is type(base):
        return overlay(base, child)
    return child
