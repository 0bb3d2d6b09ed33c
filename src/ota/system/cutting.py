"""How text that somebody else wrote is shortened: always with a mark where it was cut.

The mark is what masking goes by. A text is often shortened where no secret is known (a command line of
another process, the answer of an engine) and masked where it is shown; a secret that the cut fell into is no
longer the secret, and only the mark tells that more of it stood there. So nothing that may hold a secret is
cut in any other way.

Source: decision D14.
"""

CUT = "..."
"""Stands where a text was cut. `ota.env.masking` takes what stands before it for the beginning of more."""

_MASK = "***"


def cut(text: str, limit: int) -> str:
    """The text, or as much of its beginning as makes `limit` characters with the mark; a mask stays whole."""
    if len(text) <= limit:
        return text
    end = limit - len(CUT)
    inside_mask = next((back for back in (1, 2) if text.startswith(_MASK, end - back)), 0)
    return text[: end - inside_mask] + CUT


def last_line(text: str, limit: int = 200) -> str:
    """The last line that is not blank, cut to a readable length."""
    return cut(next((line.strip() for line in reversed(text.splitlines()) if line.strip()), ""), limit)
