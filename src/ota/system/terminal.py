"""Facts about the terminal: is there one, how wide, may it be coloured.

It draws nothing and prints nothing.

Source: decision D17; runtime specification 20.1.
"""

import os
from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from ota.system.host import environ

STDIN = 0
STDOUT = 1
STDERR = 2
DEFAULT_WIDTH = 80


class HasDescriptor(Protocol):
    """Any stream that knows its file descriptor."""

    def fileno(self) -> int:
        """The descriptor."""
        ...


class TerminalFacts(Struct, frozen=True, kw_only=True):
    """One stream as a renderer needs to know it."""

    is_terminal: bool
    is_capable: bool
    """A terminal that can move its cursor: not `TERM=dumb`."""
    wants_colour: bool
    width: int


def observe_terminal(
    stream: int | HasDescriptor, variables: Mapping[str, str] | None = None
) -> TerminalFacts:
    """Facts about one stream, by descriptor or stream object. A closed stream is no terminal."""
    known = environ() if variables is None else variables
    on_terminal = is_terminal(stream)
    return TerminalFacts(
        is_terminal=on_terminal,
        is_capable=on_terminal and known.get("TERM", "") != "dumb",
        wants_colour=wants_colour(on_terminal=on_terminal, variables=known),
        width=observe_width(stream, known),
    )


def is_terminal(stream: int | HasDescriptor) -> bool:
    """Whether the stream is a terminal; False for a closed one."""
    descriptor = _descriptor(stream)
    return descriptor is not None and os.isatty(descriptor)


def wants_colour(*, on_terminal: bool, variables: Mapping[str, str]) -> bool:
    """`NO_COLOR` wins over `CLICOLOR_FORCE`, which wins over what the stream is."""
    if variables.get("NO_COLOR"):
        return False
    if variables.get("CLICOLOR_FORCE", "0") not in ("", "0"):
        return True
    return on_terminal and variables.get("TERM", "") != "dumb"


def observe_width(stream: int | HasDescriptor, variables: Mapping[str, str] | None = None) -> int:
    """Columns: `COLUMNS`, else what the terminal says, else 80."""
    known = environ() if variables is None else variables
    declared = known.get("COLUMNS", "")
    if declared.isascii() and declared.isdigit() and int(declared[:6]) > 0:
        return int(declared[:6])
    descriptor = _descriptor(stream)
    if descriptor is None:
        return DEFAULT_WIDTH
    try:
        return os.get_terminal_size(descriptor).columns or DEFAULT_WIDTH
    except OSError:
        return DEFAULT_WIDTH


def ensure_standard_streams() -> None:
    """Put the null device on any of descriptors 0, 1 and 2 that is closed.

    Without this the first pipe or file that ota opens would become somebody's standard output.
    """
    for descriptor in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            os.set_inheritable(descriptor, True)


def _descriptor(stream: int | HasDescriptor) -> int | None:
    if isinstance(stream, int):
        return stream
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None  # closed, detached, or a stand-in without a descriptor
