"""Breaking lines at a width.

Source: commands specification 1.7.
"""

from textwrap import TextWrapper

_GLUE = "\x1f"
_NARROWEST = 12


def wrapped(text: str, width: int, indent: int = 0) -> list[str]:
    """Lines no wider than what the indent leaves; a command in backticks is broken only when it must be."""
    room = max(_NARROWEST, width - indent)
    wrapper = TextWrapper(width=room, break_long_words=False, break_on_hyphens=False)
    return [line.replace(_GLUE, " ") for line in wrapper.wrap(_glued(text, room))] or [""]


def _glued(text: str, room: int) -> str:
    parts = text.split("`")
    for index in range(1, len(parts) - 1, 2):
        if len(parts[index]) + 2 <= room:
            parts[index] = parts[index].replace(" ", _GLUE)
    return "`".join(parts)
