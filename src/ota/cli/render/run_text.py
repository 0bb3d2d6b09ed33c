"""The text of a finished run: failure block, output excerpt, summary, next.

Source: commands specification 1.8, 2.5.
"""

from collections.abc import Sequence

from ota.cli.render.style import Style, Tone
from ota.evidence.fold import RunFacts
from ota.evidence.next_steps import next_actions
from ota.evidence.summary import Row
from ota.execute.events import Failure
from ota.execute.output import Excerpt
from ota.resolve.plan import Plan
from ota.system.cutting import cut

FAILED_EXCERPT_LINES = 60
EXCERPT_LINES = 20
OTHER_EXCERPT_LINES = 5
"""Of one task among many."""
_LABEL_WIDTH = 12

_TONES: dict[str, Tone] = {
    "success": "success",
    "failed": "error",
    "blocked": "warn",
    "interrupted": "interrupted",
    "skipped": "skipped",
}


def failure_block(failure: Failure, facts: RunFacts, plan: Plan, where: str, style: Style) -> list[str]:
    """Title, facts, why, the ladder; the output and `Next:` follow."""
    step = plan.steps.get(plan.requested)
    requested = step.task.name if step is not None else failure.task
    mark = style.paint("◉ ERROR" if style.is_rich else "ERROR", "error")
    lines = [f"{mark}  {failure.title}"]
    if failure.detail:
        lines.append(failure.detail)
    if failure.field:
        lines.append(f"{style.label('Field')} {failure.field}")
    if failure.task and failure.task != requested:
        lines += [f"{style.label('Requested')} {requested}", f"{style.label('Failed Step')} {failure.task}"]
    if failure.context:
        lines.append(f"{style.label('Context')} {failure.context}")
    lines.append(f"{style.label('Where')} {where}")
    lines += _labelled("Why", failure.why, style)
    if failure.ladder:
        lines.append(style.label("Ladder"))
        for rung in failure.ladder:
            took = f" ({rung.elapsed_ms} ms)" if rung.elapsed_ms is not None else ""
            name = rung.name.replace("_", " ")
            detail = f": {rung.detail}" if rung.detail else ""
            lines.append(f"{style.bullet} {name}: {rung.standing.replace('_', ' ')}{detail}{took}")
    return lines


def _labelled(name: str, texts: tuple[str, ...], style: Style) -> list[str]:
    if style.is_concise and name == "Why":
        return []
    if len(texts) == 1:
        return [f"{style.label(name)} {texts[0]}"]
    return [style.label(name), *(f"{style.bullet} {text}" for text in texts)] if texts else []


def output_blocks(outputs: Sequence[tuple[str, Excerpt]], task: str, style: Style) -> list[list[str]]:
    """What each task printed, a block per task; the requested one last and at most length."""
    blocks = []
    for name, excerpt in outputs:
        limit = EXCERPT_LINES if name == task or len(outputs) <= 3 else OTHER_EXCERPT_LINES
        of = "" if len(outputs) == 1 and name == task else f" of `{name}`"
        blocks.append(output_block(excerpt, style, limit=limit, was_live=False, of=of))
    return blocks


def beside_blocks(
    outputs: Sequence[tuple[str, Excerpt]], failure: Failure, facts: RunFacts, style: Style
) -> list[str]:
    """The end of what other tasks printed that failed beside the one a failure names."""
    ended = ((step.started.task, step.ended) for step in facts.steps)
    failed = {task for task, end in ended if end is not None and end.status == "FAILED"} - {failure.task}
    return [
        line
        for name, excerpt in outputs
        if name in failed and failure.show_output
        for line in output_block(excerpt, style, limit=EXCERPT_LINES, was_live=False, of=f" of `{name}`")
    ]


def output_block(excerpt: Excerpt, style: Style, *, limit: int, was_live: bool, of: str = "") -> list[str]:
    """The last lines of what the task printed, verbatim, and how many there were."""
    lines = [printable(line) for line in excerpt.lines(limit)]
    total = max(excerpt.line_count, len(lines))
    shown = f" showing {len(lines)} of {total} lines" if len(lines) < total else ""
    block = [f"{style.label(f'Output{of}')}{shown}", *lines]
    if len(lines) < total and not was_live:
        block.append("(rerun with `--stream` to see everything, or `--log` to keep it)")
    return block


def printable(line: str) -> str:
    """A line without the control characters that would disturb a report; an excerpt is not a terminal."""
    kept = "".join(c if c.isprintable() or c == "\t" else "" for c in _without_escapes(line))
    return kept if len(kept) <= 2000 else f"{cut(kept, 2003)} ({len(kept)} characters)"


def _without_escapes(line: str) -> str:
    import re

    return re.sub(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])", "", line)


def summary_block(rows: list[Row], style: Style, title: str = "RUN SUMMARY") -> list[str]:
    """The title and its rows, labels padded to one column."""
    lines = [style.header(title)]
    for label, value in rows:
        padded = f"{label + ':':<{_LABEL_WIDTH}} "
        if label == "Status":
            value = style.paint(value, _TONES.get(value, "strong"))
        elif label == "Warning":
            value = style.paint(value, "warn")
        lines.append(f"{style.paint(padded, 'key')}{value}")
    return lines


def next_block(facts: RunFacts, plan: Plan, style: Style) -> list[str]:
    """What to do now."""
    return [style.label("Next"), *(f"{style.bullet} {action}" for action in next_actions(facts, plan))]
