"""What `ota clean` prints: what is gone, what was left and why.

What stood in the way is a failure block on standard error, like everybody's.

Source: commands specification 13.
"""

from collections.abc import Sequence

from ota.backends.container.clean_report import Cleaned, Skipped, StaleCleaned
from ota.cli.render.style import Style

_COUNTERS = {
    "current_containers": "removed current persistent containers",
    "drift_containers": "removed drifted persistent containers",
    "attached_containers": "removed containers attached to removed volumes",
    "orphaned_containers": "removed ephemeral containers of dead runs",
    "current_volumes": "removed current dependency-isolation volumes",
    "drift_volumes": "removed drifted dependency-isolation volumes",
    "networks": "removed unused networks",
    "ambiguous_containers": "skipped ambiguous containers",
    "ambiguous_volumes": "skipped ambiguous volumes",
}


def clean_text(path: str, cleaned: Cleaned, notes: Sequence[str], style: Style) -> str:
    """The report of one repository; empty when a failure says it all."""
    if cleaned.failures and not cleaned.counts.removed and not cleaned.skipped and not notes:
        return ""
    if cleaned.counts.removed:
        lines = [style.good(f"Cleaned {path}")]
    elif cleaned.failures:
        lines = [f"Nothing was removed for {path}"]
    else:
        lines = [style.good(f"No cleanup needed for {path}")]
    lines += [f"{style.bullet} {note}" for note in notes]
    lines += [
        f"{style.bullet} {label}: {count}"
        for counter, label in _COUNTERS.items()
        if (count := getattr(cleaned.counts, counter))
    ]
    if cleaned.queried:
        lines.append(f"{style.bullet} queried engines: {', '.join(cleaned.queried)}")
    if cleaned.kept_engines:
        lines.append(f"{style.bullet} kept in .ota/state/managed-engines: {', '.join(cleaned.kept_engines)}")
    return "\n".join([*lines, *_skipped_lines(cleaned.skipped, style)])


def _skipped_lines(skipped: Sequence[Skipped], style: Style) -> list[str]:
    if not skipped:
        return []
    lines = ["", "Left alone, because nothing proves that they are this repository's:"]
    for each in skipped:
        is_volume = each.kind == "dependency_isolation_volume"
        command = f"{each.engine} volume rm" if is_volume else f"{each.engine} rm -f"
        lines += style.fold(f"{each.engine} {each.name}: {each.why}", first=f"{style.bullet} ")
        lines += style.fold(f"if it is yours: `{command} {each.name}`", first="    ")
    return lines


def stale_text(cleaned: StaleCleaned, style: Style, *, is_dry_run: bool) -> str:
    """The report of `--stale`."""
    count = len(cleaned.matched) if is_dry_run else cleaned.removed
    word = "Dry run" if is_dry_run else "Cleaned"
    lines = [style.good(f"{word} stale ota-managed containers ({count})")]
    failed = {(each.engine, each.name) for each in cleaned.failures}
    for each in cleaned.matched:
        if (each.engine, each.name) not in failed:
            why = "" if each.ownership == "label" else " (by its name alone: an earlier version made it)"
            lines.append(f"{style.bullet} {each.engine} {each.name}{why}")
    lines.append(f"{style.bullet} queried engines: {', '.join(cleaned.engines)}")
    return "\n".join(lines)
