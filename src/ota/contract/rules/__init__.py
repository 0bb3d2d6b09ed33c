"""The semantic rules of a contract, one small named function each, grouped by area.

`RULES` holds them in the order of contract specification 0.1; each area module offers its own `RULES`.
"""

from collections.abc import Iterator

from ota.contract.model import Contract
from ota.contract.rules import (
    checks,
    env,
    execution,
    extensions,
    native,
    probes,
    requirements,
    root,
    services,
    shared_backends,
    surfaces,
)
from ota.contract.rules.base import Rule, Subject, Violation

RULES: tuple[Rule, ...] = (
    *root.RULES,
    *execution.RULES,
    *shared_backends.RULES,
    *extensions.RULES,
    *requirements.RULES,
    *native.RULES,
    *env.RULES,
    *probes.RULES,
    *surfaces.RULES,
    *services.RULES,
    *checks.RULES,
)


def violations(contract: Contract) -> Iterator[Violation]:
    """Every broken rule and advisory of a parsed contract, in rule order."""
    subject = Subject(contract)
    for rule in RULES:
        yield from rule(subject)
