"""Secret values do not leave ota: masking in text, byte streams and structures.

Owns what counts as an occurrence of a secret and what stands in its place (`***`). Does not know which
variables are secret or where output goes: the caller hands in the values and passes everything through.

What is found, besides the value itself: the value as a JSON string spells it, percent-encoded (both ways of
spelling a blank), base64 in both alphabets at any offset inside a larger encoded text (values of eight bytes
and more: `Authorization: Basic` holds the secret behind a user name), with CRLF line ends as terminals write
them, and each line of a value of several lines when the line is long enough to be telling.

In text, the beginning of a secret counts too where the text was cut (`ota.system.cutting`), from two
characters on: a text is often shortened before it comes to somebody who knows the secrets.

Values shorter than four characters are left alone in running text: masking every `1` would destroy the output
and reveal the value by its pattern. They are masked where they are a whole line, as short lines of a value of
several lines are, and in structured values (JSON, receipts) where they stand alone as a whole word. Blank
values hide nothing. Numbers in structures keep their type and are not touched.

Source: decisions D14; json-and-receipts specification 1.1 (secrets); policy-and-provisioning specification 4.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, AnyStr, Generic

from ota.system.cutting import CUT

MASK = "***"
SHORTEST_IN_TEXT = 4
"""Characters a value needs to be masked in running text."""
_SHORTEST_BEFORE_CUT = 2
"""Characters before a cut that are taken for a secret's beginning; every text has a single one by chance."""

_MASK_BYTES = MASK.encode()
_NEVER_SECRET = " \t\r\n\f\v*"
"""Blanks, and the mask itself."""
_SHORTEST_BASE64 = 8
_SHORTEST_LINE = 8
"""Characters a line of a longer value needs to be looked for in running text; below, it must stand alone."""
_SHOWN_ON_IDLE = 3


class Masker:
    """Replaces secret values. Immutable; made once per run from the values of the secret variables."""

    def __init__(self, values: Iterable[str]) -> None:
        # A secret read from a file often ends in a line end that is not there when it is used.
        given = {form for value in values for form in (value, value.strip()) if form.strip(_NEVER_SECRET)}
        kept = tuple(sorted(given, key=lambda v: (-len(v), v)))
        self._values = kept
        long = [value for value in kept if len(value) >= SHORTEST_IN_TEXT]
        spellings = {spelling for value in long for spelling in _spellings(value)}
        self._text = _Finder(spellings, CUT) if spellings else None
        encoded = {as_bytes(spelling) for spelling in spellings}
        self._sorted_bytes = sorted(encoded)
        self._bytes = _Finder(encoded) if encoded else None
        self._longest = max(map(len, encoded), default=0)
        short = [re.escape(value) for value in kept if len(value) < SHORTEST_IN_TEXT]
        self._short = re.compile(rf"(?<![^\W_])(?:{'|'.join(short)})(?![^\W_])") if short else None
        lone = sorted(_lone_lines(kept))
        self._lone = frozenset(map(as_bytes, lone))
        whole_line = rf"^(?:{'|'.join(map(re.escape, lone))})(?=\r?$)"
        self._lone_text = re.compile(whole_line, re.MULTILINE) if lone else None
        firsts = b"".join(sorted({re.escape(pattern[:1]) for pattern in encoded}))
        self._first_byte = re.compile(b"[" + firsts + b"]", re.DOTALL) if firsts else None

    def __bool__(self) -> bool:
        """Is there anything to mask?"""
        return bool(self._values)

    def __repr__(self) -> str:
        return f"Masker({len(self._values)} values)"

    @property
    def values(self) -> tuple[str, ...]:
        """The secrets, for a process that masks in ota's place. Never to be shown or kept."""
        return self._values

    def with_more(self, values: Iterable[str]) -> "Masker":
        """The same masker, knowing further secrets (generated during the run, read from a policy)."""
        return Masker((*self._values, *values))

    @property
    def longest_bytes(self) -> int:
        """Bytes of the longest spelling; a stream holds back less than that."""
        return self._longest

    def mask(self, text: str) -> str:
        """Running text with every occurrence replaced; overlapping occurrences become one mask."""
        if self._text is not None:
            text = _replaced(text, _merged(self._text.occurrences(text)), MASK, "")
        return self._lone_text.sub(MASK, text) if self._lone_text is not None else text

    def mask_bytes(self, content: bytes) -> bytes:
        """The same for bytes of any encoding that keeps ASCII, such as a whole log.

        What they end with may be the beginning of a secret, whose writer was ended between two writes of it.
        """
        masked = _replaced(content, _merged(self._spans(content, is_over=True)), _MASK_BYTES, b"")
        lines = _LoneLines(self._lone)
        return lines.feed(masked) + lines.flush()

    def mask_value(self, text: str) -> str:
        """One value of a structure (an environment value, an argv word): short secrets count here too."""
        masked = self.mask(text)
        return self._short.sub(MASK, masked) if self._short is not None else masked

    def mask_json(self, value: Any) -> Any:
        """A copy of plain JSON data with every string masked; numbers, booleans and null stay."""
        if not self._values:
            return value
        if isinstance(value, str):
            return self.mask_value(value)
        if isinstance(value, dict):
            return {self._mask_key(key): self.mask_json(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.mask_json(item) for item in value]
        return value

    def _mask_key(self, key: Any) -> Any:
        return self.mask(key) if isinstance(key, str) else key

    def stream(self) -> "MaskStream":
        """A filter for one output stream. Every stream needs its own."""
        return MaskStream(self)

    def spans(self, content: bytes) -> list[tuple[int, int]]:
        """Where occurrences begin and end; those that overlap are one."""
        return _merged(self._bytes.occurrences(content)) if self._bytes is not None else []

    def find(self, content: bytes) -> tuple[tuple[int, int], ...]:
        """Line and column (1-based, in bytes) of every occurrence."""
        return tuple(
            (content.count(b"\n", 0, start) + 1, start - content.rfind(b"\n", 0, start))
            for start, _ in self.spans(content)
        )

    def _hold_from(self, content: bytes) -> int:
        """Offset of the earliest tail that a secret could still begin with; the length when there is none."""
        if self._first_byte is None:
            return len(content)
        position = max(0, len(content) - self._longest + 1)
        while (first := self._first_byte.search(content, position)) is not None:
            tail = content[first.start() :]
            # Everything greater than the tail that starts with it stands directly behind it.
            at = bisect_right(self._sorted_bytes, tail)
            if at < len(self._sorted_bytes) and self._sorted_bytes[at].startswith(tail):
                return first.start()
            position = first.start() + 1
        return len(content)

    def _spans(self, content: bytes, *, is_over: bool) -> list[tuple[int, int]]:
        """Occurrences, in order; with one that has only begun when nothing will follow."""
        found = self._bytes.occurrences(content) if self._bytes is not None else []
        begun = self._hold_from(content) if is_over else len(content)
        if len(content) - begun >= SHORTEST_IN_TEXT:
            found = sorted([*found, (begun, len(content))])
        return found


class MaskStream:
    """An incremental filter: any way of cutting the stream gives what masking the whole would give.

    Held back is only a tail that a secret could begin with, so at most one byte less than the longest secret,
    and nothing across a line end unless a secret has one.
    """

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._lines = _LoneLines(masker._lone)
        self._buffer = b""
        self._covered = 0  # bytes at the start of the buffer that lie under a mask already written
        self._shown = 0  # bytes at the start of the buffer that were already written, on idle

    @property
    def held_bytes(self) -> int:
        """Bytes waiting for what comes next."""
        return len(self._buffer) - max(self._covered, self._shown) + len(self._lines.held)

    def feed(self, chunk: bytes) -> bytes:
        """Take bytes, give back what can be shown now."""
        if not self._masker.longest_bytes:
            return self._lines.feed(chunk)
        self._buffer += chunk
        return self._lines.feed(self._take(self._masker._hold_from(self._buffer)))

    def learn(self, masker: Masker) -> None:
        """From here on another masker decides, one that knows these secrets too; also of what is held."""
        self._masker = masker
        self._lines.lone = masker._lone

    def flush(self) -> bytes:
        """The end of the stream: give back everything; a mask for a secret that has only begun."""
        return self._lines.feed(self._take(len(self._buffer), is_over=True)) + self._lines.flush()

    def idle(self) -> bytes:
        """Nothing came for a while: show the tail of a prompt that merely looks like a secret's beginning.

        Only up to three bytes, and they stay remembered: when the rest of the secret does come it is masked.
        A longer tail waits, because a secret that is typed slowly must not be shown piece by piece.
        """
        already = max(self._covered, self._shown)
        if len(self._buffer) > _SHOWN_ON_IDLE or already >= len(self._buffer):
            return b""
        self._shown = len(self._buffer)
        return self._lines.feed(self._buffer[already:])

    def _take(self, until: int, *, is_over: bool = False) -> bytes:
        """Write the buffer up to `until`; occurrences that reach beyond stay known as covered."""
        content, covered, shown = self._buffer, self._covered, self._shown
        output: list[bytes] = []
        position = 0
        spans = _merged(self._masker._spans(content, is_over=is_over), covered)
        for start, end in spans:
            if start >= until and not (covered and start == 0):
                break  # it stays in the buffer: a longer secret may yet begin before it
            output.append(content[max(position, shown) : start])
            if start > 0 or not covered:
                output.append(_MASK_BYTES)
            position = end
        output.append(content[max(position, shown) : until])
        self._buffer = content[until:]
        self._covered = max(0, position - until)
        self._shown = max(0, shown - until)
        return b"".join(output)


class _LoneLines:
    """Masks what is too short to be looked for in running text, where it is a whole line.

    Held back is only the beginning of a line that can still become one of them.
    """

    def __init__(self, lone: frozenset[bytes]) -> None:
        self.lone = lone
        self.held = b""
        self._is_at_start = True

    def feed(self, data: bytes) -> bytes:
        """Take bytes, give back what can be shown now."""
        if not self.lone or not data:
            return data
        output: list[bytes] = []
        for line in _split(self.held + data):
            if line.endswith(b"\n"):
                output.append(self._whole(line))
                self._is_at_start = True
            elif self._is_at_start and self._may_become_one(line):
                self.held = line
                return b"".join(output)
            else:
                output.append(line)
                self._is_at_start = False
        self.held = b""
        return b"".join(output)

    def flush(self) -> bytes:
        """The end of the stream."""
        held, self.held = self.held, b""
        return self._whole(held)

    def _whole(self, line: bytes) -> bytes:
        text = line.rstrip(b"\r\n")
        return _MASK_BYTES + line[len(text) :] if self._is_at_start and text in self.lone else line

    def _may_become_one(self, begun: bytes) -> bool:
        return any(each.startswith(begun.rstrip(b"\r")) for each in self.lone)


def _split(data: bytes) -> list[bytes]:
    """Lines with their ends; only a newline ends one."""
    *lines, rest = data.split(b"\n")
    return [line + b"\n" for line in lines] + ([rest] if rest else [])


# --- occurrences --------------------------------------------------------------------------------------------


class _Finder(Generic[AnyStr]):
    """Finds many spellings at once: one small pattern of their first characters, then a comparison.

    A pattern of whole spellings would find the same, but compiling it costs a second for a few private keys.
    """

    def __init__(self, spellings: Collection[AnyStr], cut_mark: AnyStr | None = None) -> None:
        """With a `cut_mark`, the beginning of a spelling directly before one counts as well."""
        self._cut_mark: AnyStr | None = cut_mark
        lengths = range(SHORTEST_IN_TEXT - 1, _SHORTEST_BEFORE_CUT - 1, -1)
        self._cut_starts: set[AnyStr] = {spelling[:length] for spelling in spellings for length in lengths}
        self._starting: dict[AnyStr, list[AnyStr]] = {}
        for spelling in sorted(spellings, key=len, reverse=True):
            self._starting.setdefault(spelling[:SHORTEST_IN_TEXT], []).append(spelling)
        starts = sorted(self._starting)
        bar: AnyStr = "|" if isinstance(starts[0], str) else b"|"
        self._starts: re.Pattern[AnyStr] = re.compile(bar.join(map(re.escape, starts)))

    def occurrences(self, content: AnyStr) -> list[tuple[int, int]]:
        """Every place where a spelling begins, with the longest one there; in order, and they may overlap."""
        return sorted([*self._whole(content), *self._begun(content)])

    def _begun(self, content: AnyStr) -> Iterator[tuple[int, int]]:
        """The few characters of a spelling that are left directly before a cut."""
        mark, end = self._cut_mark, -1
        if mark is None:
            return
        while (end := content.find(mark, end + 1)) != -1:
            for length in range(_SHORTEST_BEFORE_CUT, SHORTEST_IN_TEXT):
                if end >= length and content[end - length : end] in self._cut_starts:
                    yield end - length, end

    def _whole(self, content: AnyStr) -> Iterator[tuple[int, int]]:
        """Spellings, and what is left of one before a cut where that is long enough to be looked for."""
        position = 0
        while (match := self._starts.search(content, position)) is not None:
            start = match.start()
            for spelling in self._starting[match[0]]:
                if content.startswith(spelling, start):
                    yield start, start + len(spelling)
                    break
                if self._cut_mark is not None and (end := _cut_at(content, start, spelling, self._cut_mark)):
                    yield start, end
            position = start + 1


def _cut_at(content: AnyStr, start: int, spelling: AnyStr, mark: AnyStr) -> int:
    """Where a cut spelling ends before the mark, 0 when none stands there. A secret may have dots too."""
    latest, end = 0, start + SHORTEST_IN_TEXT
    while (end := content.find(mark, end, start + len(spelling) + len(mark))) != -1:
        if not spelling.startswith(content[start:end]):
            break
        latest = end
        end += 1
    return latest


def _merged(spans: Iterable[tuple[int, int]], covered: int = 0) -> list[tuple[int, int]]:
    """Overlapping spans as one. `covered` is a span from 0 that exists before all others."""
    merged: list[tuple[int, int]] = [(0, covered)] if covered else []
    for start, end in spans:
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _replaced(content: AnyStr, spans: list[tuple[int, int]], mask: AnyStr, nothing: AnyStr) -> AnyStr:
    pieces: list[AnyStr] = []
    position = 0
    for start, end in spans:
        pieces += (content[position:start], mask)
        position = end
    pieces.append(content[position:])
    return nothing.join(pieces)


def as_bytes(text: str) -> bytes:
    """As a process has it in its environment: undecodable bytes come back as they were."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


# --- spellings ----------------------------------------------------------------------------------------------


def _spellings(value: str) -> Iterator[str]:
    """Every text under which a secret is recognised."""
    for text in (value, *_telling_lines(value)):
        yield text
        yield text.replace("\n", "\r\n")
        yield _as_json(text, ascii_only=False)
        yield _as_json(text, ascii_only=True)
        if any(not (char.isascii() and char.isalnum()) for char in text):
            yield from _percent_encoded(text)
    yield from _base64_cores(as_bytes(value))


def _telling_lines(value: str) -> list[str]:
    """Lines of a key or certificate, without the frame that every such file shares."""
    return [line for line in _lines(value) if len(line) >= _SHORTEST_LINE]


def _lone_lines(values: Iterable[str]) -> Iterator[str]:
    """What is too short to be masked wherever it occurs."""
    for value in values:
        if len(value) < SHORTEST_IN_TEXT and "\n" not in value:
            yield value
        for line in _lines(value):
            if SHORTEST_IN_TEXT <= len(line) < _SHORTEST_LINE and line.strip(_NEVER_SECRET):
                yield line


def _lines(value: str) -> list[str]:
    """Of a value of several lines; of one line none."""
    lines = [line.strip() for line in re.split(r"[\r\n]+", value)]
    return [line for line in lines if not line.startswith("-----")] if len(lines) > 1 else []


_JSON_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f", "\b": "\\b"}


def _as_json(text: str, *, ascii_only: bool) -> str:
    def spelled(char: str) -> str:
        if char in _JSON_SHORT:
            return _JSON_SHORT[char]
        if char >= " " and (char.isascii() or not ascii_only):
            return char
        units = char.encode("utf-16-be", "surrogatepass")
        return "".join(f"\\u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2))

    return "".join(map(spelled, text))


_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def _percent_encoded(text: str) -> Iterator[str]:
    content = as_bytes(text)

    def spelled(safe: frozenset[int], digits: Callable[[int], str], blank: str) -> str:
        return "".join(chr(b) if b in safe else blank if b == 0x20 else digits(b) for b in content)

    for digits in (lambda b: f"%{b:02X}", lambda b: f"%{b:02x}"):
        for safe in (_UNRESERVED, _UNRESERVED | {0x2F}):
            yield spelled(safe, digits, "%20")
            yield spelled(safe, digits, "+")


def _base64_cores(content: bytes) -> Iterator[str]:
    """The characters that only the secret decides, for each of the three ways it can fall into groups."""
    if len(content) < _SHORTEST_BASE64:
        return
    from base64 import b64encode

    for lead in range(3):
        encoded = b64encode(b"\0" * lead + content).decode()
        first = -(-lead * 8 // 6)
        last = (lead + len(content)) * 8 // 6
        core = encoded[first:last]
        yield core
        yield core.replace("+", "-").replace("/", "_")
