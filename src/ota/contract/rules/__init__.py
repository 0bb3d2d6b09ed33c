"""The semantic rules of a contract, one small named function each, grouped by area.

`RULES` holds them in the order of contract specification 0.1; each area module offers its own `RULES`.
"""

from collections.abc import Iterator

from ota.contract.model import Contract
from ota.contract.rules import (
    actions,
    activation,
    advisories,
    agent,
    bindings,
    bodies,
    body_advice,
    branches,
    checks,
    effects,
    env,
    execution,
    exposure,
    extensions,
    instances,
    native,
    prepare,
    probes,
    requirements,
    root,
    runtime,
    runtime_readiness,
    scoped,
    services,
    shared_backends,
    sources,
    surfaces,
    targets,
    tasks,
    variants,
    workflow_env,
    workflows,
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
    *tasks.RULES,
    *variants.RULES,
    *branches.RULES,
    *bodies.RULES,
    *prepare.RULES,
    *sources.RULES,
    *actions.RULES,
    *bindings.RULES,
    *targets.RULES,
    *activation.RULES,
    *runtime.RULES,
    *exposure.RULES,
    *runtime_readiness.RULES,
    *effects.RULES,
    *scoped.RULES,
    *workflows.RULES,
    *workflow_env.RULES,
    *instances.RULES,
    *checks.RULES,
    *agent.RULES,
    *advisories.RULES,
    *body_advice.RULES,
)


def violations(contract: Contract) -> Iterator[Violation]:
    """Every broken rule and advisory of a parsed contract, in rule order."""
    subject = Subject(contract)
    for rule in RULES:
        yield from rule(subject)
