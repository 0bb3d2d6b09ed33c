"""Help, generated from the catalogue, which also says what a flag stands for and excludes.

Source: commands specification 1.1, 1.5, 2.2; decision D6.
"""

from collections.abc import Iterable, Sequence

from ota import VERSION
from ota.cli.flags import GLOBAL_FLAGS, Command, Flag, usage_line
from ota.cli.render.style import Style
from ota.cli.render.wrap import wrapped

TAGLINE = "One contract says what a repository needs and how it runs; ota runs it and tells what it saw."
WIDEST = 100
_START_HERE = (
    ("ota doctor", "is this repository ready here, and what is the next step?"),
    ("ota validate", "is the contract right?"),
    ("ota tasks --use", "what can be run, and what to type"),
    ("ota run <task> --dry-run", "what would happen"),
    ("ota run <task>", "do it"),
    ("ota receipt --show latest", "what the last archived run did"),
)

Row = tuple[str, str]


def root_help(commands: Sequence[Command], style: Style) -> str:
    """`ota --help`."""
    title = f"ota v{VERSION}"
    blocks = [
        [style.paint(f"🦦 {title}", "brand") if style.is_rich else title, *_folded(TAGLINE, style)],
        [f"{style.label('Usage')} ota <COMMAND> [OPTIONS]"],
        _section("Commands", _command_rows(commands), style),
        _section("Options", [*_flag_rows(GLOBAL_FLAGS), ("-V, --version", "Show the version")], style),
        _section("Start here", _START_HERE, style),
        ["`ota <command> --help` says more about a command."],
    ]
    return _joined(blocks)


def family_help(name: str, commands: Sequence[Command], style: Style) -> str:
    """`ota execution --help`."""
    blocks = [
        [f"{style.label('Usage')} ota {name} <COMMAND> [OPTIONS]"],
        _section("Commands", _command_rows(commands), style),
        [f"`ota {name} <command> --help` says more about a command."],
    ]
    return _joined(blocks)


def command_help(command: Command, style: Style) -> str:
    """`ota <command> --help`."""
    blocks = [
        _folded(f"{command.summary}.", style),
        [f"{style.label('Usage')} {usage_line(command)}"],
    ]
    if command.details:
        blocks.append([line for part in command.details.split("\n") for line in _folded(part, style)])
    if command.positionals:
        rows = [(f"{each.name}", each.help) for each in command.positionals]
        blocks.append(_section("Arguments", rows, style))
    if command.flags:
        blocks.append(_section("Options", _flag_rows(command.flags), style))
    blocks.append(_section("Everywhere", _flag_rows(GLOBAL_FLAGS), style))
    if command.examples:
        blocks.append(_section("Examples", command.examples, style))
    return _joined(blocks)


def _command_rows(commands: Iterable[Command]) -> list[Row]:
    return [(each.name, each.summary) for each in commands if not each.is_hidden]


def _flag_rows(flags: Iterable[Flag]) -> list[Row]:
    return [(_spelling(flag), _explanation(flag)) for flag in flags]


def _spelling(flag: Flag) -> str:
    names = flag.name
    if flag.alias is not None:
        short = flag.alias.count("-") == 1
        names = f"{flag.alias}, {flag.name}" if short else f"{flag.name}, {flag.alias}"
    return f"{names} <{flag.metavar}>" if flag.metavar is not None else names


def _explanation(flag: Flag) -> str:
    notes = []
    if flag.choices and not all(choice in flag.help for choice in flag.choices):
        notes.append(f"one of {', '.join(flag.choices)}")
    if flag.is_repeatable:
        notes.append("may be repeated")
    if flag.needs is not None and flag.needs not in flag.help:
        notes.append(f"needs {flag.needs}")
    if flag.conflicts and flag.stands_for is None:  # of a shortcut its long form says it
        notes.append(f"not with {', '.join(flag.conflicts)}")
    return f"{flag.help} [{'; '.join(notes)}]" if notes else flag.help


def _section(title: str, rows: Iterable[Row], style: Style) -> list[str]:
    """Names in one column, explanations beside them; below them where the screen is narrow."""
    pairs = list(rows)
    width = min(style.width, WIDEST)
    column = min(max(len(name) for name, _ in pairs), 30) + 4
    lines = [style.label(title)]
    for name, text in pairs:
        if width - column < 24:
            lines += [f"  {name}", *(f"      {line}" for line in wrapped(text, width, 6))]
            continue
        beside = wrapped(text, width, column)
        if len(name) + 4 > column:
            lines += [f"  {name}", *(" " * column + line for line in beside)]
            continue
        lines.append(f"  {name}".ljust(column) + beside[0])
        lines += [" " * column + line for line in beside[1:]]
    return lines


def _folded(text: str, style: Style) -> list[str]:
    return wrapped(text, min(style.width, WIDEST))


def _joined(blocks: Iterable[Sequence[str]]) -> str:
    return "\n\n".join("\n".join(block) for block in blocks)
