"""Reports made of labelled rows: the one look of every listing.

Renderers build on it; it knows layout, not content.

Source: commands specification 1.7.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ota.cli.render.style import Style
from ota.system.cutting import cut

Document = Mapping[str, Any]
NONE = "-"


class Report:
    """Lines of one report, grown block by block."""

    def __init__(self, style: Style) -> None:
        self.style = style
        self._blocks: list[list[str]] = []

    def block(self, *lines: str) -> None:
        """Start a new block."""
        self._blocks.append(list(lines))

    def section(self, title: str) -> None:
        """Start a block under a title of its own."""
        self.block(self.style.paint(title, "strong"))

    def item(self, name: str, note: str = "") -> None:
        """Start a block for one task, service, workflow."""
        one_line = name.replace("\n", "\\n")
        head = f"{self.style.item} {self.style.paint(one_line, 'strong')}"
        self.block(f"{head} ({note})" if note else head)

    def row(self, label: str, value: object, *, indent: int = 2) -> None:
        """`Label: value` in the open block; nothing when there is no value."""
        if value is None or value == "" or value == [] or value == {}:
            return
        text = _text(value)
        first, *rest = text.split("\n")
        lead = " " * indent
        self._blocks[-1] += self.style.fold(first, first=f"{lead}{self.style.label(label)} ")
        for line in rest:
            self._blocks[-1].append(f"{lead}  {line}")

    def rows(self, document: Document, labels: Mapping[str, str], *, indent: int = 2) -> None:
        """A row for each key that is there."""
        for key, label in labels.items():
            self.row(label, document.get(key), indent=indent)

    def bullets(self, lines: Iterable[str], *, label: str = "", indent: int = 2) -> None:
        """A list in the open block, under a label when there is anything to list."""
        listed = list(lines)
        if label and listed:
            self._blocks[-1].append(f"{' ' * indent}{self.style.label(label)}")
            indent += 2
        for line in listed:
            self._blocks[-1] += self.style.fold(line, first=f"{' ' * (indent - 2)}{self.style.bullet} ")

    def line(self, text: str) -> None:
        """One more line in the open block."""
        self._blocks[-1] += self.style.fold(text)

    def next(self, *actions: str) -> None:
        """The closing `Next:` block; commands stand in backticks."""
        self.block(self.style.label("Next"))
        self.bullets(actions)

    def text(self) -> str:
        """The whole report."""
        gap = "\n" if self.style.is_concise else "\n\n"
        return self.style.tamed(gap.join("\n".join(block) for block in self._blocks))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value)


def listed(names: Iterable[object]) -> str:
    """`a, b`, or a dash."""
    return ", ".join(map(str, names)) or NONE


def pairs(values: Mapping[str, object]) -> str:
    """`NAME=value, OTHER=value`."""
    return ", ".join(f"{name}={value}" for name, value in values.items())


def code(text: str) -> str:
    """A command or script in backticks; of a long text the beginning and how much there is."""
    lines = text.strip().splitlines() or [""]
    shown = cut(lines[0], 163)
    return f"`{shown}`" if len(lines) == 1 else f"`{shown}` ... ({len(lines)} lines)"
