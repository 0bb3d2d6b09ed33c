"""The entry point: the answer that needs nothing, and everything around a command that is not the command.

It imports almost nothing itself, so that `ota --version` and completion stay instant and a Ctrl-C
during start-up is quiet. What a command line means is `ota.cli.dispatch`'s.

Source: commands specification 1.1, 1.10, 1.15.
"""

import gc
import sys

from ota.cli.streams import drop_output, is_output_lost, prepare_streams, tell_lost

TYPE_CHECKING = False  # `typing` costs more than this whole module
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

# Starting makes many objects and no garbage: with the interpreter's own thresholds a tenth of a short
# command is spent looking for cycles that are not there. A long run still collects.
COLLECT_AFTER = 50_000

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130


def enter() -> "NoReturn":
    """The whole life of a process that is ota.

    It ends without taking the interpreter apart: destroying every module and record one by one would
    cost a third of a bare interpreter's time, and the system takes all of it back at once anyway.
    """
    code = main(is_process=True)
    import atexit
    import os

    atexit._run_exitfuncs()
    try:  # noqa: SIM105  `contextlib` would be imported for these two lines only
        sys.stderr.flush()
    except OSError:
        pass  # nobody is there to be told
    os._exit(code)


def main(argv: "Sequence[str] | None" = None, *, is_process: bool = False) -> int:
    """Run one command line and write its output; the exit code. `is_process`: imports are ours to arrange."""
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])
    tokens = list(sys.argv[1:] if argv is None else argv)
    try:
        prepare_streams()
        if is_process and not _asks_version(tokens):
            from ota.cli.lean_imports import install

            install()
        code = _main(tokens)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # the reader of our output left: nothing more can be said, and nobody is there to hear it
        drop_output()
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except OSError as error:
        if not is_output_lost(error):
            raise
        drop_output()
        tell_lost(error)
        return EXIT_FAILED


def _main(tokens: list[str]) -> int:
    if _asks_version(tokens):
        from ota.cli.commands.version import show

        return show(tokens)
    import os

    if os.environ.get("COMPLETE"):  # noqa: TID251  the host room would import records; this path may not
        from ota.cli.completion import answer

        return answer(tokens)
    from ota.cli.dispatch import dispatch

    return dispatch(tokens)


def _asks_version(tokens: "Sequence[str]") -> bool:
    """`--version` counts only where nothing but its own options is written (commands specification 1.1)."""
    return bool({"--version", "-V"} & set(tokens)) and set(tokens) <= {"--version", "-V", "--plain", "--json"}
