"""Dispatch: one command line to one command, and every expected trouble to a message and a code.

Exit codes (commands specification 1.10): 0 good, 1 not ready or refused, 2 usage, otherwise the
child's own. Nothing else in ota maps an outcome to a code.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from ota.cli.catalogue import COMMANDS
from ota.cli.flags import GLOBAL_FLAGS, Arguments, Command, parse, usage_error
from ota.errors import ContractError, ContractUnreadableError, Finding, OtaError, UsageError

if TYPE_CHECKING:
    from ota.cli.session import Session

EXIT_FAILED = 1
EXIT_USAGE = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; the process's exit code."""
    tokens = list(sys.argv[1:] if argv is None else argv)
    try:
        return _main(tokens)
    except UsageError as error:
        from ota.cli.render.failure import usage_text

        print(usage_text(error.findings[0]), file=sys.stderr)
        return EXIT_USAGE
    except BrokenPipeError:
        # the reader of our output left: say nothing more, and keep the interpreter from trying
        sys.stdout = None
        return EXIT_FAILED
    except KeyboardInterrupt:
        return 130


def _main(tokens: list[str]) -> int:
    from ota.system.host import environ

    if environ().get("COMPLETE"):
        from ota.cli.completion import answer

        return answer(tokens)
    if _asks_version(tokens):
        from ota.cli.commands.version import show

        return show(tokens)
    if not tokens or tokens[0] in ("help", "--help", "-h"):
        return _help(tokens[1:])
    command, rest = find_command(tokens)
    arguments = read_arguments(command, rest)
    if arguments.has("--help"):
        return _help(command.name.split())
    return _run(command, arguments)


def _asks_version(tokens: Sequence[str]) -> bool:
    """`--version` counts only where nothing but its own options is written (commands specification 1.1)."""
    return bool({"--version", "-V"} & set(tokens)) and set(tokens) <= {"--version", "-V", "--plain", "--json"}


def find_command(tokens: Sequence[str]) -> tuple[Command, list[str]]:
    """The command and the tokens without its name; global flags may stand before it.

    Raises:
        UsageError: there is no such command.
    """
    before: list[str] = []
    position = 0
    valued = {flag.name for flag in GLOBAL_FLAGS if flag.metavar is not None}
    while position < len(tokens) and tokens[position].startswith("-"):
        take = 2 if tokens[position] in valued else 1
        before += tokens[position : position + take]
        position += take
    words = tokens[position:]
    for command in COMMANDS:
        name = command.name.split()
        if words[: len(name)] == name:
            return command, [*before, *words[len(name) :]]
    if not words:
        raise usage_error(None, f"unexpected argument '{before[0]}' found" if before else "no command given")
    raise _unknown(words)


def _unknown(words: Sequence[str]) -> UsageError:
    from difflib import get_close_matches

    names = [command.name for command in COMMANDS]
    family = [name for name in names if name.split()[0] == words[0]]
    if family:
        given = words[1] if len(words) > 1 else ""
        problem = f"unrecognized subcommand '{given}'" if given else f"`ota {words[0]}` needs a subcommand"
        return usage_error(None, problem, f"known: {', '.join(family)}")
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


def _help(words: Sequence[str]) -> int:
    from ota.cli.render.help import command_help, root_help

    if not words:
        print(root_help(COMMANDS))
        return 0
    command, _ = find_command(words)
    print(command_help(command))
    return 0


def _run(command: Command, arguments: Arguments) -> int:
    from ota.cli.session import Session

    session = Session(arguments)
    try:
        code: int = import_module(command.module).run(arguments, session)
        sys.stdout.flush()
        return code
    except UsageError:
        raise
    except OtaError as error:
        _report(session, arguments, error)
        return EXIT_FAILED
    except (BrokenPipeError, KeyboardInterrupt):
        raise
    except Exception as error:
        if session.is_debug:
            raise
        _report(session, arguments, OtaError(_bug(error)))
        return EXIT_FAILED


def _report(session: "Session", arguments: Arguments, error: OtaError) -> None:
    from ota.cli.render.failure import failure_document, findings_block

    if arguments.is_json:
        from ota.cli.render.json import print_document

        is_semantic = isinstance(error, ContractError) and not isinstance(error, ContractUnreadableError)
        path = next((each.place.file for each in error.findings if each.place is not None), None)
        shown = path or arguments.value("--file") or arguments.path or "."
        print_document(failure_document(shown, error.findings, is_semantic=is_semantic), session.out)
        return
    print(findings_block(error.findings, session.style_of(session.err)), file=session.err)


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
