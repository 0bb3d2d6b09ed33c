"""Short forms for making violations at a field: one that is broken, an advisory, a list of references.

Owns wording only; which rule applies where is decided by the caller. Checks of single values
live in `ota.contract.rules.values`.
"""

from collections.abc import Collection, Iterator, Sequence

from ota.contract.rules.base import FieldPath, Subject, Violation
from ota.contract.rules.values import said, unknown
from ota.errors import Severity


def broken(
    rule: str, path: FieldPath, problem: str, why: str, next_: str, *, severity: Severity = "error"
) -> Violation:
    """A violation whose summary is the owner, the field and the problem."""
    return Violation(
        rule=rule, path=path, summary=said(path, problem), why=why, next=next_, severity=severity
    )


def advice(rule: str, path: FieldPath, problem: str, why: str, next_: str) -> Violation:
    """An advisory: it warns, and never fails on its own."""
    return broken(rule, path, problem, why, next_, severity="warn")


def unknown_all(
    subject: Subject, rule: str, path: FieldPath, kind: str, names: Sequence[str], known: Collection[str]
) -> Iterator[Violation]:
    """References to something the contract does not declare, each at its own item."""
    for index, name in enumerate(names):
        if name not in known:
            yield from unknown(subject, rule, (*path, index), kind, name, known)
