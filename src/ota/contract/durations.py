"""Durations as contracts write them.

Owns the grammar `<integer><ms|s|m|h>`, the reading of bare integers, and the words in which a
duration is shown again. Pure: a bad text is a `ValueError` whose message is the reason; field paths
and findings are made by the caller.

Source: contract specification 0 (Duration, Millisecond integer); decisions D4.
"""

import re
from typing import Literal

from msgspec import Struct

from ota.system.cutting import cut

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
# `\d` would also take digits of other scripts, which nobody types on purpose.
_DURATION = r"([0-9]{1,15})(ms|s|m|h)?"
_FRACTION = r"[0-9]+[.,][0-9]+\s*(ms|s|m|h)?"

LONGEST_MS = 366 * 24 * _UNITS_MS["h"]
"""Longer waits are typing errors, and some clocks of the operating system overflow on them."""

BARE_MILLISECONDS_FROM = 1_000
"""D4: a bare check or probe timeout is seconds below this number and milliseconds from it."""


class CheckTimeout(Struct, frozen=True, kw_only=True):
    """A check's or probe's timeout, and how its text was read."""

    ms: int
    reading: Literal["duration", "seconds", "milliseconds"]
    """`seconds` and `milliseconds`: a bare integer, read by D4; validation notes it once."""


def parse_duration_ms(text: str) -> int:
    """A readiness timing in milliseconds: `500ms`, `3s`, `2m`, `1h`; a bare integer means milliseconds.

    Raises:
        ValueError: the reason, fit to be shown after the field's name.
    """
    amount, unit = _amount_and_unit(text)
    return _bounded(amount * _UNITS_MS[unit or "ms"], text)


def parse_check_timeout(text: str) -> CheckTimeout:
    """A check's or probe's `timeout`, where a bare integer is read by its size (D4).

    Raises:
        ValueError: the reason, fit to be shown after the field's name.
    """
    amount, unit = _amount_and_unit(text)
    if unit is not None:
        return CheckTimeout(ms=_bounded(amount * _UNITS_MS[unit], text), reading="duration")
    if amount < BARE_MILLISECONDS_FROM:
        return CheckTimeout(ms=_bounded(amount * 1_000, text), reading="seconds")
    return CheckTimeout(ms=_bounded(amount, text), reading="milliseconds")


def render_duration(ms: int) -> str:
    """The shortest contract spelling of a duration; reads back as the same number."""
    for unit in ("h", "m", "s"):
        if ms and ms % _UNITS_MS[unit] == 0:
            return f"{ms // _UNITS_MS[unit]}{unit}"
    return f"{ms}ms"


def render_elapsed(seconds: float) -> str:
    """A measured time as people read it: `40 ms`, `1.2 s`, `4 s`, `2 min 5 s`."""
    if seconds < 0.9995:
        return f"{max(0, round(seconds * 1000))} ms"
    if seconds < 9.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def _amount_and_unit(text: str) -> tuple[int, str | None]:
    match = re.fullmatch(_DURATION, text)
    if match is None:
        raise ValueError(_reason(text))
    amount = int(match.group(1))
    if amount == 0:
        raise ValueError("must be greater than zero")
    return amount, match.group(2)


def _bounded(ms: int, text: str) -> int:
    if ms > LONGEST_MS:
        raise ValueError(f"`{text}` is longer than a year")
    return ms


def _reason(text: str) -> str:
    shape = "write a whole number with `ms`, `s`, `m` or `h`, such as `500ms` or `3s`"
    bare = text.strip()
    if not bare:
        return f"is empty; {shape}"
    if bare.startswith("-"):
        return "must be greater than zero"
    if re.fullmatch(_FRACTION, bare):
        return f"`{bare}` is not a whole number; use a smaller unit, such as `1500ms` for 1.5 seconds"
    shown = cut(text, 40)
    return f"`{shown}` is not a duration; {shape}"
