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
        return tuple(map(one_item, ended.failure.next))
    if ended.status in ("success", "skipped"):
        return (f"`ota tasks --use{plan.request.target}` lists what else can be run",)
    return (f"run it again with `{plan.again}`",)


def one_item(text: str) -> str:
    """Prose for a list that `; ` joins. What stands in backticks is to be typed, and stays as it is."""
    parts = text.split("`")
    parts[::2] = [part.replace("; ", ", ") for part in parts[::2]]
    return "`".join(parts)
