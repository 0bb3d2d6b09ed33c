"""The semantic rules of a contract, one small named function each, grouped by area.

`RULES` holds them in the order of contract specification 0.1; each area module offers its own `RULES`.
"""

from collections.abc import Iterator

from ota.contract.model import Contract
from ota.contract.rules import execution, extensions, root, shared_backends
from ota.contract.rules.base import Rule, Subject, Violation

RULES: tuple[Rule, ...] = (
    *root.RULES,
    *execution.RULES,
    *shared_backends.RULES,
    *extensions.RULES,
)


def violations(contract: Contract) -> Iterator[Violation]:
    """Every broken rule and advisory of a parsed contract, in rule order."""
    subject = Subject(contract)
    for rule in RULES:
        yield from rule(subject)
