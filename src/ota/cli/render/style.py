"""How text looks: icons and colours on a capable terminal, ASCII otherwise.

Source: commands specification 1.7; decision D17.
"""

from collections.abc import Callable
from typing import Literal, TextIO

from ota.system.host import environ
from ota.system.terminal import observe_terminal

Tone = Literal["success", "warn", "error", "interrupted", "skipped", "brand", "key", "strong"]

_CODES: dict[Tone, str] = {
    "success": "38;2;0;255;120",
    "warn": "38;2;255;235;59",
    "error": "1;31",
    "interrupted": "38;2;0;255;255",
    "skipped": "90",
    "brand": "38;2;214;161;95",
    "key": "36",
    "strong": "1",
}


_CONTROLS = {
    number: f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
    for number in (
        *(number for number in range(32) if chr(number) not in "\t\n"),
        *range(0x7F, 0xA0),
        *range(0x202A, 0x202F),  # these and the next reorder what a reader sees
        *range(0x2066, 0x206A),
    )
}

Mask = Callable[[str], str]
"""What hides the secrets in a text."""


class Style:
    """The look of one output stream."""

    def __init__(
        self,
        *,
        is_rich: bool,
        has_colour: bool,
        is_concise: bool = False,
        width: int = 88,
        wraps: bool = False,
        member: str = "",
        mask: Mask = str,
    ) -> None:
        self.is_rich = is_rich
        self.has_colour = has_colour
        self.is_concise = is_concise
        self.width = width
        self.member = member
        """The monorepo member that a report is about; every header says it."""
        self._mask = mask
        """Before a line is broken: a secret with a blank in it would not be found once a line ends there."""
        self.wraps = wraps
        """Off a terminal lines stay whole, for `grep` and for programs, unless `COLUMNS` asks."""

    @classmethod
    def for_stream(
        cls, stream: TextIO, *, is_plain: bool, is_concise: bool, member: str = "", mask: Mask = str
    ) -> "Style":
        """Icons and colours only on a capable terminal, and never with `--plain`."""
        facts = observe_terminal(stream)
        return cls(
            is_rich=not is_plain and facts.is_capable and _can_write_icons(stream),
            has_colour=not is_plain and facts.wants_colour,
            is_concise=is_concise,
            width=facts.width,
            wraps=facts.is_terminal or bool(environ().get("COLUMNS")),
            member=member,
            mask=mask,
        )

    def paint(self, text: str, tone: Tone) -> str:
        """The text in a colour, where there are colours."""
        return f"\x1b[{_CODES[tone]}m{text}\x1b[0m" if self.has_colour else text

    def tamed(self, text: str) -> str:
        """A finished report whose names and values cannot steer the terminal; our own colours stay.

        A contract may be a stranger's, and its names are shown before anything of it was trusted.
        """
        text = self._mask(text)
        if not self.has_colour:
            return text.translate(_CONTROLS)
        import re

        ours = "|".join((*_CODES.values(), "0"))
        pieces = re.split(rf"(\x1b\[(?:{ours})m)", text)
        return "".join(
            piece if index % 2 else piece.translate(_CONTROLS) for index, piece in enumerate(pieces)
        )

    def header(self, command: str, target: str = "") -> str:
        """`🦦 VALIDATE ./ota.yaml`."""
        words = " ".join(filter(None, (command, self.target(target))))
        return self.paint(f"🦦 {words}", "brand") if self.is_rich else words

    def target(self, shown: str) -> str:
        """What a report is about, and the member of it: `./ota.yaml [member api]`."""
        return f"{shown} [member {self.member}]".lstrip() if self.member else shown

    def good(self, word: str) -> str:
        """`✓ READY`."""
        return self.paint(f"✓ {word}" if self.is_rich else word, "success")

    def other(self, word: str, tone: Tone = "warn") -> str:
        """`➤ BLOCKED`."""
        return self.paint(f"➤ {word}" if self.is_rich else word, tone)

    @property
    def bullet(self) -> str:
        """Before a list or next item."""
        return "  »" if self.is_rich else "  -"

    @property
    def item(self) -> str:
        """Before a repo, task or field."""
        return "✦" if self.is_rich else "-"

    def label(self, name: str) -> str:
        """`Why:` in the key colour."""
        return self.paint(f"{name}:", "key")

    def fold(self, text: str, *, first: str = "", later: str | None = None) -> list[str]:
        """Text behind a label, its further lines hanging under `later`; commands in backticks stay whole."""
        hang = " " * _columns(first) if later is None else later
        text = self._mask(text)
        if not self.wraps:
            return [first + text]
        from ota.cli.render.wrap import wrapped

        lines = wrapped(text, self.width, len(hang))
        return [first + lines[0], *(hang + line for line in lines[1:])]


def _columns(text: str) -> int:
    """The width of a label without its colour codes."""
    if "\x1b" not in text:
        return len(text)
    import re

    return len(re.sub(r"\x1b\[[0-9;]*m", "", text))


def _can_write_icons(stream: TextIO) -> bool:
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "") in ("utf8", "utf16", "utf32")
