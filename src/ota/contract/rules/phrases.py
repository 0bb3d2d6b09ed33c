"""Violations that many rules share: an empty value, an unknown name, an empty key.

Owns wording only; which rule applies where is decided by the caller.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping

from ota.contract.grammar import is_empty
from ota.contract.rules.base import FieldPath, Subject, Violation
from ota.source.tree import dotted

SHOWN_NAMES = 8
SORTED_NAMES = 500
"""A contract may hold a wrong name per task; sorting everything for each of them is quadratic."""


def listed(names: Iterable[object]) -> str:
    """`a`, `b`: names as a sentence shows them."""
    return ", ".join(f"`{name}`" for name in names)


def some(names: Collection[str], kind: str) -> str:
    """What is declared, shortened: a list of ten thousand helps nobody."""
    if not names:
        return f"no {kind} is declared"
    if len(names) > SORTED_NAMES:
        return f"{len(names)} are declared"
    shown = sorted(names)[:SHOWN_NAMES]
    rest = len(names) - len(shown)
    return f"declared: {listed(shown)}" + (f" and {rest} more" if rest else "")


def empty_value(rule: str, path: FieldPath, owner: str, next_: str = "") -> Violation:
    """A field that holds nothing."""
    field = next((step for step in reversed(path) if isinstance(step, str)), "")
    return Violation(
        rule=rule,
        path=path,
        summary=f"{owner} has an empty value at `{dotted(path)}`",
        why=f"`{field}` must not be empty",
        next=next_ or f"give `{field}` a value, or remove it",
    )


def unknown_name(
    subject: Subject,
    rule: str,
    path: FieldPath,
    owner: str,
    kind: str,
    name: str,
    known: Collection[str],
) -> Violation:
    """A reference to something that is not declared."""
    if is_empty(name):
        return empty_value(rule, path, owner, f"name a declared {kind}, or remove the entry")
    near = subject.suggestion(name, known)
    return Violation(
        rule=rule,
        path=path,
        summary=f"{owner} refers to unknown {kind} `{name}`",
        why=some(known, kind),
        next=f"did you mean `{near}`?" if near else f"declare {kind} `{name}`, or name a declared one",
    )


def empty_keys(rule: str, path: FieldPath, owner: str, keys: Mapping[str, object]) -> Iterator[Violation]:
    """Keys of a mapping that name nothing, or that no line of text can show as they are."""
    for key in sorted(keys):
        if is_empty(key):
            yield Violation(
                rule=rule,
                path=(*path, key),
                summary=f"{owner} has an empty name in `{dotted(path)}`",
                why="a name must not be empty",
                next="give the entry a name, or remove it",
            )
        elif not key.isprintable():
            yield Violation(
                rule=rule,
                path=(*path, key),
                summary=f"{owner} has a name with control characters in `{dotted(path)}`",
                why="a name is one line of text that can be typed and shown",
                next="leave line breaks and other control characters out of the name",
            )
