"""Dotenv text: reading with line numbers, and setting keys without disturbing the rest.

Owns the syntax. Knows nothing of where the file is, which variables are declared, or who may read them:
bytes in, values and findings out; text in, text out. A finding never quotes a value.

The syntax: `KEY=VALUE` with optional `export `; `#` at the start of a line or after a blank opens a comment;
'single quotes' hold literal text; "double quotes" know `\\n \\r \\t \\f \\b \\\\ \\" \\' \\$` and an escaped
back-tick, and leave any other backslash alone; both kinds may span lines. Keys are used as written.
`${NAME}` is not expanded. A repeated key: the last one wins, with a note.

Source: contract specification 9.2 and 15.3 (`ensure_env_file`); policy-and-provisioning specification 4.
"""

import re
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from ota.errors import Finding, HostError, Place

LARGEST_BYTES = 1 << 20
"""A dotenv file above this size is refused: no process could take it as its environment either."""

ChangeMode = Literal["missing", "replace", "remove"]


class Entry(Struct, frozen=True, kw_only=True):
    """One assignment as it stands in the text."""

    key: str
    value: str
    line: int
    """1-based, where the key stands."""
    column: int
    start: int
    """Offset of the first character of the assignment's first line."""
    value_start: int
    """Offset of the value, quotes included."""
    value_end: int
    end: int
    """Offset behind the line end of the assignment's last line."""


class Reading(Struct, frozen=True, kw_only=True):
    """What a dotenv file says. With an error among the findings nothing of it is used."""

    values: Mapping[str, str]
    lines: Mapping[str, int]
    """Key to the line of the assignment that won."""
    findings: tuple[Finding, ...] = ()

    @property
    def is_broken(self) -> bool:
        """An error was found, so `values` is empty."""
        return any(finding.severity == "error" for finding in self.findings)


# --- reading ------------------------------------------------------------------------------------------------


def read_dotenv(content: bytes, file: str) -> Reading:
    """Read a whole file; `file` is how findings name it. Never raises for bad content."""
    try:
        text = decode(content)
    except UnreadableError as trouble:
        return Reading(values={}, lines={}, findings=(_finding(file, trouble.line, 1, trouble.reason),))
    return read_dotenv_text(text, file)


def read_dotenv_text(text: str, file: str) -> Reading:
    """Read decoded text; one finding per broken line."""
    scan = _scan(text)
    findings = [_finding(file, slip.line, slip.column, slip.reason) for slip in scan.slips]
    if findings:
        return Reading(values={}, lines={}, findings=tuple(findings))
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    for entry in scan.entries:
        if entry.key in values:
            findings.append(_repeated(file, entry, lines[entry.key]))
        values[entry.key] = entry.value
        lines[entry.key] = entry.line
    return Reading(values=values, lines=lines, findings=tuple(findings))


def assigned_values(text: str) -> dict[str, str]:
    """The value of every key that some line assigns, also when other lines are broken.

    For whoever is about to change the file, which must know what is there; whoever uses the
    values reads with `read_dotenv_text`.
    """
    return {entry.key: entry.value for entry in _scan(text.removeprefix("\ufeff")).entries}


class UnreadableError(ValueError):
    """Bytes that are no text: too many, or not UTF-8. `line` is 0 when no line is to blame."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


def decode(content: bytes) -> str:
    """UTF-8 text without its byte order mark.

    Raises:
        UnreadableError: too large or not UTF-8.
    """
    if len(content) > LARGEST_BYTES:
        raise UnreadableError(0, f"the file is larger than {LARGEST_BYTES // 1024} KiB")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnreadableError(1, "the file is UTF-16; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # `error.object` lacks the mark, so count in it, not in `content`.
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UnreadableError(line, "the file is not UTF-8 text") from error


class _Slip(Struct, frozen=True):
    line: int
    column: int
    reason: str
    seen_until: int = 0
    """Offset up to which the text was understood; reading goes on with the line after it."""
    is_open_quote: bool = False


class _Scan(Struct, frozen=True):
    entries: tuple[Entry, ...]
    slips: tuple[_Slip, ...]


_LINE_END = re.compile(r"\r\n|\n|\r")
_BLANK_OR_COMMENT = re.compile(r"[ \t\f\v]*(?:#[^\r\n]*)?(?=\r|\n|\Z)")
_ASSIGNMENT = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=[ \t]*")
_UNQUOTED = re.compile(r"[^\r\n]*")
_INLINE_COMMENT = re.compile(r"[ \t]#")
_AFTER_QUOTE = re.compile(r"[ \t]*(?:[ \t]#[^\r\n]*)?(?=\r|\n|\Z)")
_SINGLE_QUOTED = re.compile(r"'([^'\0]*)'")
_DOUBLE_QUOTED = re.compile(r'"((?:[^"\\\0]|\\[^\0])*)"')
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "b": "\b"}
_PLAIN_ESCAPES = frozenset("\\\"'$`")


def _scan(text: str) -> _Scan:
    """Every assignment and every broken line; after a broken line reading goes on with the next."""
    entries: list[Entry] = []
    slips: list[_Slip] = []
    position, line = 0, 1
    while position < len(text):
        blank = _BLANK_OR_COMMENT.match(text, position)
        if blank is not None:
            end = blank.end()
        else:
            entry = _read_assignment(text, position, line)
            if isinstance(entry, Entry):
                entries.append(entry)
                end = entry.end
            else:
                slips.append(entry)
                end = _line_content_end(text, max(position, entry.seen_until))
        ending = _LINE_END.match(text, end)
        after = ending.end() if ending else end
        line += _count_lines(text, position, after)
        position = after
    return _Scan(tuple(entries), tuple(slips))


def _read_assignment(text: str, start: int, line: int) -> Entry | _Slip:
    head = _ASSIGNMENT.match(text, start)
    if head is None:
        return _Slip(line, *_why_no_assignment(text, start))
    value_start = head.end()
    column = value_start - start + 1
    quote = text[value_start : value_start + 1]
    if quote and quote in "'\"":
        body = (_SINGLE_QUOTED if quote == "'" else _DOUBLE_QUOTED).match(text, value_start)
        if body is None:
            if "\0" in text[value_start:]:
                return _Slip(line, column, "the value holds a NUL byte", is_open_quote=True)
            return _Slip(line, column, f"the opening {quote} has no closing {quote}", is_open_quote=True)
        rest = _AFTER_QUOTE.match(text, body.end())
        if rest is None:
            inner = _count_lines(text, start, body.end())
            last_start = _line_start(text, body.end()) if inner else start
            reason = f"text follows the closing {quote}; only a comment after a blank may"
            return _Slip(line + inner, body.end() - last_start + 1, reason, seen_until=body.end())
        value = _literal(body[1]) if quote == "'" else _unescape(_literal(body[1]))
        value_end, end = body.end(), rest.end()
    else:
        raw = _UNQUOTED.match(text, value_start)
        assert raw is not None
        # The blanks before the value belong to the head; one of them makes a leading `#` a comment.
        comment_from = _comment_start(raw[0], has_blank_before=text[value_start - 1] in " \t")
        value = raw[0][:comment_from].rstrip(" \t\f\v")
        if "\0" in value:
            return _Slip(line, column + value.index("\0"), "the value holds a NUL byte")
        value_end, end = value_start + len(value), raw.end()
    key_column = head.start(1) - start + 1
    return Entry(
        key=head[1],
        value=value,
        line=line,
        column=key_column,
        start=start,
        value_start=value_start,
        value_end=value_end,
        end=end,
    )


def _comment_start(raw: str, *, has_blank_before: bool) -> int:
    if has_blank_before and raw.startswith("#"):
        return 0
    comment = _INLINE_COMMENT.search(raw)
    return comment.start() if comment else len(raw)


def _literal(quoted: str) -> str:
    return quoted.replace("\r\n", "\n")


def _unescape(quoted: str) -> str:
    def replacement(match: re.Match[str]) -> str:
        char = match[1]
        if char in _PLAIN_ESCAPES:
            return char
        return _ESCAPES.get(char, match[0])

    return _ESCAPE.sub(replacement, quoted)


def _why_no_assignment(text: str, start: int) -> tuple[int, str]:
    """Column and reason for a line that is neither blank, comment nor assignment."""
    line = text[start : _line_content_end(text, start)]
    content = line.strip()
    column = line.index(content) + 1 if content else 1
    if content.startswith("="):
        return column, "no key stands before `=`"
    if "=" not in content:
        if re.match(r"(?:export[ \t]+)?[A-Za-z_][A-Za-z0-9_.-]*:(?:\s|$)", content):
            return column, "use `=` between key and value, not `:`"
        return column, "the line has no `=`; write `KEY=VALUE`, or start a comment with `#`"
    if re.match(r"[A-Za-z_][A-Za-z0-9_.-]*[ \t]+[A-Za-z_]", content):
        return column, "more than one word stands before `=`"
    return column, "the key may hold letters, digits, `_`, `.` and `-`, and starts with a letter or `_`"


def _line_content_end(text: str, start: int) -> int:
    end = _LINE_END.search(text, start)
    return end.start() if end else len(text)


def _line_start(text: str, position: int) -> int:
    return max(text.rfind("\n", 0, position), text.rfind("\r", 0, position)) + 1


def _count_lines(text: str, start: int, end: int) -> int:
    return text.count("\n", start, end) + text.count("\r", start, end) - text.count("\r\n", start, end)


def _finding(file: str, line: int, column: int, reason: str) -> Finding:
    where = f"{file}:{line}:{column}" if line else file
    return Finding(
        code="OTA_ENV_SOURCE_PARSE_FAILED",
        summary=f"{where} is not valid dotenv text: {reason}",
        why=f"{reason}; nothing of a broken file is used",
        next=f"Correct line {line} of `{file}`." if line else f"Make `{file}` smaller.",
        place=Place(file=file, line=line, column=column if line else 0),
        category="environment",
    )


def _repeated(file: str, entry: Entry, earlier: int) -> Finding:
    return Finding(
        code="OTA_ENV_SOURCE_KEY_REPEATED",
        summary=f"{file}:{entry.line}:{entry.column} sets `{entry.key}` again",
        why=f"line {earlier} sets it too; the last one wins",
        next=f"Remove one of the two lines from `{file}`.",
        severity="info",
        place=Place(file=file, field=entry.key, line=entry.line, column=entry.column),
        category="environment",
    )


# --- writing ------------------------------------------------------------------------------------------------


def with_values(text: str, changes: Mapping[str, tuple[str, ChangeMode]], *, file: str = ".env") -> str:
    """The text with keys set or removed; comments, order, line ends and unknown lines stay as they are.

    `missing` sets a key that no line assigns (an empty assignment counts as one); `replace` sets it whatever
    stands there, in the line that wins; `remove` drops every line that assigns it. A line that already holds
    the value is not touched, so doing it twice is doing it once. New keys go to the end, in the given order.

    Raises:
        HostError: a quote is left open, so that no one can say what further text would mean, or a key or
            value cannot be written as dotenv at all.
    """
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    body = text[len(mark) :]
    scan = _scan(body)
    open_quotes = [slip for slip in scan.slips if slip.is_open_quote]
    if open_quotes:
        raise HostError(*(_finding(file, slip.line, slip.column, slip.reason) for slip in open_quotes))
    newline = _newline_of(body)
    edits: list[tuple[int, int, str]] = []
    added: list[str] = []
    for key, (value, mode) in changes.items():
        entries = [entry for entry in scan.entries if entry.key == key]
        if mode == "remove":
            edits += [(entry.start, _after_line_end(body, entry.end), "") for entry in entries]
        elif not entries:
            added.append(f"{_checked_key(key, file)}={quoted_value(value, key=key, file=file)}{newline}")
        elif mode == "replace" and entries[-1].value != value:
            last = entries[-1]
            edits.append((last.value_start, last.value_end, quoted_value(value, key=key, file=file)))
    for start, end, replacement in sorted(edits, reverse=True):
        body = body[:start] + _spaced(replacement, body, end) + body[end:]
    if added and body and not body.endswith(("\n", "\r")):
        body += newline
    return mark + body + "".join(added)


def quoted_value(value: str, *, key: str = "the value", file: str = ".env") -> str:
    """The value as dotenv text: bare where that is safe, else quoted so that no reader expands anything.

    Raises:
        HostError: the value holds a NUL byte, or characters that are no text.
    """
    if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
        raise HostError(_unwritable(f"the value of `{key}` is not text that a dotenv file can hold", file))
    if _BARE_VALUE.fullmatch(value):
        return value
    if not any(char in value for char in "'\n\r"):
        return f"'{value}'"
    return '"' + "".join(_WRITTEN.get(char, char) for char in value) + '"'


_BARE_VALUE = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")
_WRITTEN = {"\\": "\\\\", '"': '\\"', "$": "\\$", "`": "\\`", "\n": "\\n", "\r": "\\r"}
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def _checked_key(key: str, file: str) -> str:
    if not _KEY.fullmatch(key):
        raise HostError(_unwritable(f"`{key}` cannot be a key of a dotenv file", file))
    return key


def _unwritable(reason: str, file: str) -> Finding:
    return Finding(
        code="OTA_ENV_FILE_UNWRITABLE",
        summary=f"{file} cannot be written: {reason}",
        why=reason,
        next="Change the key or the value in `ota.yaml`.",
        place=Place(file=file),
        category="environment",
    )


def _spaced(replacement: str, body: str, end: int) -> str:
    """Keep a comment a comment: a value put into `KEY= # note` needs a blank before the `#`."""
    return replacement + " " if replacement and body[end : end + 1] == "#" else replacement


def _after_line_end(text: str, position: int) -> int:
    ending = _LINE_END.match(text, position)
    return ending.end() if ending else position


def _newline_of(text: str) -> str:
    first = _LINE_END.search(text)
    return first[0] if first else "\n"
