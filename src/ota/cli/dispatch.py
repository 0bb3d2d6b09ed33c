"""One command line to one command, and every expected trouble to a message and a code.

Exit codes (commands specification 1.10): 0 good, 1 not ready or refused, 2 usage, otherwise the
child's own. Nothing else in ota maps an outcome to a code.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from ota.cli.catalogue import COMMANDS
from ota.cli.flags import GLOBAL_FLAGS, Arguments, Command, parse, usage_error
from ota.cli.streams import is_output_lost
from ota.errors import Finding, OtaError, UsageError

if TYPE_CHECKING:
    from ota.cli.members import Run
    from ota.cli.session import Session

EXIT_FAILED = 1
EXIT_USAGE = 2
_HELP = ("--help", "-h")


def dispatch(tokens: list[str]) -> int:
    """Run one command line.

    Raises:
        KeyboardInterrupt, BrokenPipeError, OSError: what the entry point answers for every command.
    """
    try:
        before, words = split_global(tokens)
        if _is_help(before, words):
            return _help(words[1:] if words[:1] == ["help"] else [], before)
        family = family_of(words)
        if family and set(words[1:]) & set(_HELP):
            return _help(words[:1], tokens)
        command, rest = find_command(before, words)
        arguments = read_arguments(command, rest)
        if arguments.has("--help"):
            return _help(command.name.split(), tokens)
    except UsageError as error:
        return _usage(error)
    return _run(command, arguments)


def _is_help(before: Sequence[str], words: Sequence[str]) -> bool:
    return words[:1] == ["help"] or (not words and (not before or bool(set(before) & set(_HELP))))


def _usage(error: UsageError) -> int:
    from ota.cli.render.failure import usage_text

    print(usage_text(error.findings[0]), file=sys.stderr)
    return EXIT_USAGE


def split_global(tokens: Sequence[str]) -> tuple[list[str], list[str]]:
    """The flags before the command's name, and the rest."""
    valued = {flag.name for flag in GLOBAL_FLAGS if flag.metavar is not None}
    position = 0
    while position < len(tokens) and tokens[position].startswith("-"):
        position += 2 if tokens[position] in valued else 1
    return list(tokens[:position]), list(tokens[position:])


def family_of(words: Sequence[str]) -> tuple[Command, ...]:
    """The commands of a family such as `execution`, when its name stands alone or without a known member."""
    if not words:
        return ()
    family = tuple(each for each in COMMANDS if each.name.split()[0] == words[0] and " " in each.name)
    return () if any(words[:2] == each.name.split() for each in family) else family


def find_command(before: Sequence[str], words: Sequence[str]) -> tuple[Command, list[str]]:
    """The command and the tokens without its name.

    Raises:
        UsageError: there is no such command.
    """
    for command in COMMANDS:
        name = command.name.split()
        if list(words[: len(name)]) == name:
            return command, [*before, *words[len(name) :]]
    if words:
        raise _unknown(words)
    known = {flag.name for flag in GLOBAL_FLAGS}
    strange = next(
        (each for each in before if each.startswith("-") and each.partition("=")[0] not in known), ""
    )
    raise usage_error(None, f"unexpected argument '{strange}' found" if strange else "no command was given")


def _unknown(words: Sequence[str]) -> UsageError:
    from difflib import get_close_matches

    names = [command.name for command in COMMANDS]
    family = family_of(words)
    if family:
        given = words[1] if len(words) > 1 else ""
        known = ", ".join(f"`ota {each.name}`" for each in family)
        problem = f"unrecognized subcommand '{given}'" if given else f"`ota {words[0]}` needs a subcommand"
        return usage_error(None, problem, f"known: {known}", usage=f"ota {words[0]} <COMMAND> [OPTIONS]")
    near = get_close_matches(words[0], [name.split()[0] for name in names], 1, 0.6)
    return usage_error(
        None, f"unrecognized subcommand '{words[0]}'", f"did you mean '{near[0]}'?" if near else ""
    )


def read_arguments(command: Command, tokens: Sequence[str]) -> Arguments:
    """Flags and positionals; `run` has its own boundary to the task's inputs."""
    if not command.takes_inputs:
        return parse(command, tokens)
    from ota.cli.run_arguments import parse_run

    return parse_run(command, tokens)


def _help(words: Sequence[str], flags: Sequence[str]) -> int:
    from ota.cli.render.help import command_help, family_help, root_help
    from ota.cli.render.style import Style

    style = Style.for_stream(sys.stdout, is_plain="--plain" in flags, is_concise=False)
    topic = [word for word in words if not word.startswith("-")]
    if not topic or topic == ["help"]:
        print(root_help(COMMANDS, style))
        return 0
    family = family_of(topic)
    if family and len(topic) == 1:
        print(family_help(topic[0], family, style))
        return 0
    command, _ = find_command((), topic)
    print(command_help(command, style))
    return 0


def _run(command: Command, arguments: Arguments) -> int:
    from ota.cli.session import Session

    session = Session(arguments)
    run = import_module(command.module).run
    try:
        return _run_command(run, arguments, session)
    except UsageError as error:
        return _usage(error)
    except OtaError as error:
        return _refused(session, arguments, error)
    except Exception as error:
        if session.is_debug or (isinstance(error, OSError) and is_output_lost(error)):
            raise  # with `--debug` a bug shows its trace; a reader that left is the entry point's
        return _refused(session, arguments, OtaError(_bug(error)))


def _refused(session: "Session", arguments: Arguments, error: OtaError) -> int:
    from ota.cli.reporting import report

    report(session, arguments, error)
    return EXIT_FAILED


def _run_command(run: "Run", arguments: Arguments, session: "Session") -> int:
    """The command for the one contract it is about, or for each of several members."""
    from ota.cli.session import MonorepoRoot

    if arguments.all("--member") and not _goes_by_records(arguments):
        from ota.cli.members import run_asked

        return run_asked(run, arguments, session)
    try:
        return run(arguments, session)
    except MonorepoRoot as found:
        from ota.cli.members import run_grouped

        return run_grouped(run, arguments, session, found.root)


def _goes_by_records(arguments: Arguments) -> bool:
    """`clean --stale`, and `up --stop` of all there is: they read no contract, so none keeps them from it."""
    return arguments.has("--stale") or (arguments.has("--stop") and not arguments.has("--workflow"))


def _bug(error: Exception) -> Finding:
    import traceback

    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{frame.filename.rsplit('/ota/', 1)[-1]}:{frame.lineno}"
    return Finding(
        code="OTA_BUG",
        summary="ota met a situation it was not written for",
        why=f"{type(error).__name__} in {frame.name} ({where})",
        next="run again with `--debug` and report the trace; nothing in your contract is to blame",
        title="A bug in ota",
    )
