"""What to do after a run: one list for its text and its receipt.

Beside the receipt, because the text of a run that shows none should not pay for making one.

Source: commands specification 1.8, 2.10.
"""

from ota.evidence.fold import RunFacts
from ota.resolve.plan import Plan


def next_actions(facts: RunFacts, plan: Plan) -> tuple[str, ...]:
    """What to do now: exact commands of this run, most useful first."""
    ended = facts.ended
    if ended.failure is not None and ended.failure.next:
        return tuple(text.replace("; ", ", ") for text in ended.failure.next)
    if ended.status in ("success", "skipped"):
        return (f"`ota tasks --use{plan.request.target}` lists what else can be run",)
    return (f"run it again with `{plan.again}`",)
