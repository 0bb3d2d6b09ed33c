"""The standard streams of the process: there, writable, and told apart from files when they fail.

Like `ota.cli.main` it imports almost nothing, because every command pays for it.

Source: commands specification 1.10.
"""

import errno
import sys

TYPE_CHECKING = False  # see `ota.cli.main`
if TYPE_CHECKING:
    from typing import TextIO

_STREAM_ERRORS = (errno.EIO, errno.EFBIG, errno.ENOSPC, errno.EPIPE, getattr(errno, "EDQUOT", errno.ENOSPC))


def prepare_streams() -> None:
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


def tell_lost(error: OSError) -> None:
    """Say that output was lost; nobody can be told when it was standard error's."""
    try:  # noqa: SIM105  `contextlib` would be imported for this alone
        print(f"error: the output could not be written: {error.strerror}", file=sys.stderr, flush=True)
    except OSError:
        pass


def code_after(code: int, *losses: "OSError | None") -> int:
    """What a command ends with when outputs it wrote itself may have been lost: never a silent success."""
    lost = next((loss for loss in losses if loss is not None), None)
    if lost is None:
        return code
    tell_lost(lost)
    return code or 1


def drop_output() -> None:
    """Point standard output at nothing, or the interpreter would complain again on its way out."""
    import os

    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)
