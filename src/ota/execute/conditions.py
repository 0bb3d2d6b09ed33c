"""`when.checks`: whether a step runs at all, asked before anything of it starts.

Source: contract specification 15.1 (`when`); commands specification 2.4 (3).
"""

from ota.execute.context import RunContext
from ota.resolve.plan import StepPlan


def failed_condition(context: RunContext, step: StepPlan) -> str | None:
    """The first named check that does not hold, with its reason; None when the step may run."""
    names = step.task.when_checks
    if not names:
        return None
    from ota.readiness.checks import CheckScene, evaluate

    scene = CheckScene(
        root=context.root,
        env=context.environ,
        run_id=context.run_id,
        should_stop=lambda: context.interrupts.since(0) is not None,
        clock=context.clock,
    )
    by_name = {check.name: check for check in reversed(context.loaded.contract.checks)}
    for name in names:
        result = evaluate(by_name[name], scene)
        if not result.holds:
            return f"check `{name}`: {result.why}"
    return None
