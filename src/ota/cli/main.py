"""The entry point: the answer that needs nothing, and everything around a command that is not the command.

It imports almost nothing itself, so that `ota --version` and completion stay instant and a Ctrl-C
during start-up is quiet. What a command line means is `ota.cli.dispatch`'s.

Source: commands specification 1.1, 1.10, 1.15.
"""

import errno
import gc
import sys

TYPE_CHECKING = False  # `typing` costs more than this whole module
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

# Starting makes many objects and no garbage: with the interpreter's own thresholds a tenth of a short
# command is spent looking for cycles that are not there. A long run still collects.
COLLECT_AFTER = 50_000

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
_STREAM_ERRORS = (errno.EIO, errno.EFBIG, errno.ENOSPC, errno.EPIPE, getattr(errno, "EDQUOT", errno.ENOSPC))


def main(argv: "Sequence[str] | None" = None) -> int:
    """Run one command line, the only one of this process; the exit code."""
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])
    try:
        return _answer(sys.argv[1:] if argv is None else argv)
    finally:
        gc.freeze()  # what lives now lives to the end: the interpreter need not search it on its way out


def _answer(argv: "Sequence[str]") -> int:
    tokens = list(argv)
    try:
        _prepare_streams()
        code = _main(tokens)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # the reader of our output left: nothing more can be said, and nobody is there to hear it
        _drop_output()
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except OSError as error:
        if not is_output_lost(error):
            raise
        _drop_output()
        print(f"error: the output could not be written: {error.strerror}", file=sys.stderr)
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


# --- standard streams ----------------------------------------------------------------------------


def _prepare_streams() -> None:
    """Every stream exists, and none fails on a character that its encoding lacks."""
    if sys.stdout is None or sys.stderr is None:
        from ota.system.terminal import ensure_standard_streams

        ensure_standard_streams()
        sys.stdout = sys.stdout or _opened(1)
        sys.stderr = sys.stderr or _opened(2)
    for stream in (sys.stdout, sys.stderr):
        if stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a text file


def _opened(descriptor: int) -> "TextIO":
    return open(descriptor, "w", encoding="utf-8", closefd=False)


def is_output_lost(error: OSError) -> bool:
    """Whether the trouble is with a standard stream: every file of ota's has a name, a stream has none."""
    return error.filename is None and error.errno in _STREAM_ERRORS


def _drop_output() -> None:
    """Point standard output at nothing, or the interpreter would complain again on its way out."""
    import os

    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)
