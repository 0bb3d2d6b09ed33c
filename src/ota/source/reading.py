"""A file's bytes, and what is said when they cannot be read; no YAML yet.

Apart from `ota.source.tree` so that a contract that is already known costs no YAML.

Source: contract specification 0.1 (read errors).
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ota.errors import ContractUnreadableError, Finding, Place
from ota.system.cutting import cut

SIZE_LIMIT_BYTES = 32 * 1024 * 1024
SHOWN_LIMIT = 1000
"""Longest text of a finding, in characters: a message quotes a file, it does not print it."""


def read_bytes(path: Path, shown: str) -> bytes:
    """The file's bytes.

    Raises:
        ContractUnreadableError: missing, a directory, or unreadable; never follows a special file.
    """
    try:
        if path.is_dir():
            reason = "it is a directory"
        elif path.exists() and not path.is_file():
            reason = "it is not a regular file"
        else:
            with path.open("rb") as file:
                return file.read(SIZE_LIMIT_BYTES + 1)
    except FileNotFoundError:
        reason = "there is no such file"
    except OSError as error:
        reason = error.strerror or str(error)
    except ValueError as error:  # a NUL character in the path
        reason = str(error)
    raise unreadable(
        "OTA_CONTRACT_UNREADABLE",
        f"{shown} could not be read",
        reason,
        f"make `{shown}` a readable file, or name another with `--file`",
        Place(file=shown),
    )


def unreadable(code: str, summary: str, why: str, next_: str, place: Place) -> ContractUnreadableError:
    """The refusal of a file of which nothing can be known."""
    return ContractUnreadableError(
        Finding(
            code=code,
            summary=one_line(summary, SHOWN_LIMIT),
            why=one_line(why, SHOWN_LIMIT),
            next=one_line(next_, SHOWN_LIMIT),
            place=place,
            title="Contract could not be loaded",
        )
    )


def one_line(text: str, limit: int = 80) -> str:
    """Text of a file, fit to be quoted in a message: no line break or control character, not too long."""
    text = cut(text, limit)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@contextmanager
def collector_paused() -> Iterator[None]:
    """No cycle collection inside.

    A tree is all new objects and no garbage, so each collection walks everything read so far in vain:
    two thirds of the time of reading ten thousand tasks.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
