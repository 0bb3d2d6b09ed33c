"""Declared env sources: the bytes of a dotenv, properties, JSON, YAML or TOML file as environment values.

Owns the formats, flattening, key normalisation and the status of each source. Opens no file: a reader is
handed in, and gives None for a file that is not there. Only what is declared is read. Neither detail nor
finding ever quotes a value, because any source may hold secrets.

Numbers stay as written wherever the format lets us see that (`3.10` in JSON, YAML and TOML); TOML integers in
other bases become decimal.

Source: contract specification 9.2; policy-and-provisioning specification 4; json-and-receipts 2.9; doctor 9.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

from msgspec import Struct

from ota.contract.model.env import EnvSource, SourceKind
from ota.errors import ContractUnreadableError, Finding, Place

SourceStatus = Literal[
    "loaded", "missing_optional", "missing_required", "parse_failed", "invalid_structure", "collision"
]
ReadFile = Callable[[str], bytes | None]
"""Content of a path relative to the contract; None when there is no such file. May raise OSError."""

DEEPEST = 64


class LoadedSource(Struct, frozen=True, kw_only=True):
    """One declared source and what it gave. `values` is empty unless the status is `loaded`."""

    kind: SourceKind
    path: str
    label: str
    """`dotenv:.env`: the word that provenance uses."""
    must_exist: bool
    status: SourceStatus
    values: Mapping[str, str] = {}
    lines: Mapping[str, int] = {}
    """Name to line, where the format tells it (dotenv, properties, YAML)."""
    detail: str = ""
    next: str = ""
    line: int = 0
    """Of the trouble; 0 when unknown."""
    column: int = 0
    notes: tuple[Finding, ...] = ()
    """Worth saying, blocks nothing: a repeated key."""

    @property
    def is_blocking(self) -> bool:
        """A required variable may be in there, so nothing runs until it can be read."""
        return self.status not in ("loaded", "missing_optional")


def load_sources(declared: Iterable[EnvSource], read: ReadFile) -> tuple[LoadedSource, ...]:
    """Every declared source in its order; one that fails does not stop the others."""
    return tuple(load_source(source, read) for source in declared)


def load_source(source: EnvSource, read: ReadFile) -> LoadedSource:
    """Read one source. Trouble is a status, never an exception."""
    try:
        content = read(source.path)
    except OSError as error:
        reason = error.strerror or "the operating system refused"
        return _failed(source, _Trouble("parse_failed", f"it cannot be read: {reason}"))
    if content is None:
        return _missing(source)
    return parse_source(source, content)


def parse_source(source: EnvSource, content: bytes) -> LoadedSource:
    """The same for bytes at hand."""
    try:
        if source.kind == "dotenv":
            return _dotenv(source, content)
        pairs = tuple(_READERS[source.kind](content))
        values, lines = _normalised(pairs)
    except _TroubleError as error:
        return _failed(source, error.trouble)
    return LoadedSource(**_identity(source), status="loaded", values=values, lines=lines)


def label_of(source: EnvSource) -> str:
    """`<kind>:<path>`."""
    return f"{source.kind}:{source.path}"


def normalise_key(key: str) -> str:
    """`app.port` is `APP_PORT`, `feature flags.beta-enabled` is `FEATURE_FLAGS_BETA_ENABLED`."""
    return re.sub(r"_+", "_", re.sub(r"[.\-/:\s]", "_", key.strip())).upper()


def source_finding(loaded: LoadedSource) -> Finding | None:
    """What doctor and run say about a source that blocks; None when it does not."""
    match loaded.status:
        case "loaded" | "missing_optional":
            return None
        case "missing_required":
            code, headline = "OTA_ENV_SOURCE_MISSING_REQUIRED", "Missing required environment source"
        case "parse_failed":
            code, headline = "OTA_ENV_SOURCE_PARSE_FAILED", "Environment source parse failed"
        case "invalid_structure":
            code, headline = "OTA_ENV_SOURCE_INVALID_STRUCTURE", "Environment source has invalid structure"
        case "collision":
            code, headline = "OTA_ENV_SOURCE_KEY_COLLISION", "Environment source key collision"
    return Finding(
        code=code,
        summary=f"{headline}: {loaded.label}",
        why=loaded.detail,
        next=loaded.next,
        place=Place(file=loaded.path, line=loaded.line, column=loaded.column),
        category="environment",
        owner="repo_contract",
    )


# --- statuses -----------------------------------------------------------------------------------------------


class _Trouble(Struct, frozen=True):
    status: SourceStatus
    reason: str
    line: int = 0
    column: int = 0


class _TroubleError(Exception):
    def __init__(self, trouble: _Trouble) -> None:
        super().__init__(trouble.reason)
        self.trouble = trouble


def _parse_failed(reason: str, line: int = 0, column: int = 0) -> _TroubleError:
    return _TroubleError(_Trouble("parse_failed", reason, line, column))


def _invalid(reason: str, line: int = 0, column: int = 0) -> _TroubleError:
    return _TroubleError(_Trouble("invalid_structure", reason, line, column))


def _identity(source: EnvSource) -> dict[str, Any]:
    return {
        "kind": source.kind,
        "path": source.path,
        "label": label_of(source),
        "must_exist": source.must_exist,
    }


def _missing(source: EnvSource) -> LoadedSource:
    if not source.must_exist:
        return LoadedSource(**_identity(source), status="missing_optional")
    return LoadedSource(
        **_identity(source),
        status="missing_required",
        detail=f"`{source.path}` does not exist, and the contract says `must_exist: true`",
        next=f"Create `{source.path}`, or remove `must_exist: true` from its entry in `env.sources`.",
    )


def _failed(source: EnvSource, trouble: _Trouble) -> LoadedSource:
    where = f"line {trouble.line}" + (f", column {trouble.column}" if trouble.column else "")
    return LoadedSource(
        **_identity(source),
        status=trouble.status,
        detail=f"{where}: {trouble.reason}" if trouble.line else trouble.reason,
        next=f"Correct {'line ' + str(trouble.line) + ' of ' if trouble.line else ''}`{source.path}`.",
        line=trouble.line,
        column=trouble.column,
    )


# --- keys and values ----------------------------------------------------------------------------------------


class _Pair(Struct, frozen=True):
    """One leaf: its flattened key as written, its text, and the line when the format tells it."""

    key: str
    text: str
    line: int = 0


def _normalised(pairs: Iterable[_Pair]) -> tuple[dict[str, str], dict[str, int]]:
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    written: dict[str, str] = {}
    for pair in pairs:
        name = normalise_key(pair.key)
        if not name or "\0" in name or "=" in name:
            raise _invalid(f"`{pair.key}` cannot name an environment variable", pair.line)
        if "\0" in pair.text or any("\ud800" <= char <= "\udfff" for char in pair.text):
            raise _invalid(f"the value of `{pair.key}` is not text that an environment can hold", pair.line)
        if name in values:
            other = written[name]
            reason = (
                f"`{pair.key}` is set twice"
                if other == pair.key
                else f"`{other}` and `{pair.key}` both become `{name}`"
            )
            raise _TroubleError(_Trouble("collision", reason, pair.line))
        values[name], written[name] = pair.text, pair.key
        if pair.line:
            lines[name] = pair.line
    return values, lines


def _flat(value: Any, path: tuple[str, ...] = ()) -> Iterator[_Pair]:
    """Leaves of JSON and TOML data; a mapping is a list of pairs where the format allows repeats."""
    key = ".".join(path)
    if isinstance(value, _Members):
        if len(path) > DEEPEST:
            raise _invalid(f"`{path[0]}` is nested deeper than {DEEPEST} levels")
        for name, item in value.members:
            yield from _flat(item, (*path, name))
    elif isinstance(value, bool):
        yield _Pair(key, "true" if value else "false")
    elif isinstance(value, str):
        yield _Pair(key, value)
    else:
        raise _invalid(f"`{key}` is {_kind_of(value)}; use a string, a number or a boolean")


class _Members(Struct, frozen=True):
    members: tuple[tuple[str, Any], ...]


def _kind_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, list):
        return "a list"
    return "a date or time"


def _text_of(content: bytes) -> str:
    from ota.env.dotenv import UnreadableError, decode

    try:
        return decode(content)
    except UnreadableError as error:
        raise _parse_failed(error.reason, error.line) from error


# --- formats ------------------------------------------------------------------------------------------------


def _dotenv(source: EnvSource, content: bytes) -> LoadedSource:
    from ota.env.dotenv import read_dotenv_text

    reading = read_dotenv_text(_text_of(content), source.path)
    if reading.is_broken:
        broken = [finding for finding in reading.findings if finding.place is not None]
        first = broken[0].place or Place(file=source.path)
        more = f" ({len(broken) - 1} more broken lines)" if len(broken) > 1 else ""
        reason = broken[0].why.removesuffix("; nothing of a broken file is used")
        raise _parse_failed(reason + more, first.line, first.column)
    return LoadedSource(
        **_identity(source),
        status="loaded",
        values=reading.values,
        lines=reading.lines,
        notes=reading.findings,
    )


def _json(content: bytes) -> Iterator[_Pair]:
    import json

    def constant(name: str) -> Any:
        raise ValueError(f"{name} is not JSON")

    try:
        root = json.loads(
            _text_of(content),
            object_pairs_hook=lambda members: _Members(tuple(members)),
            parse_int=str,
            parse_float=str,
            parse_constant=constant,
        )
    except json.JSONDecodeError as error:
        raise _parse_failed(f"it is not valid JSON: {error.msg}", error.lineno, error.colno) from None
    except ValueError as error:
        raise _parse_failed(f"it is not valid JSON: {error}") from None
    except RecursionError:
        raise _invalid(f"it is nested deeper than {DEEPEST} levels") from None
    if not isinstance(root, _Members):
        raise _invalid("the root is not an object")
    return _flat(root)


def _toml(content: bytes) -> Iterator[_Pair]:
    import tomllib

    try:
        root = tomllib.loads(_text_of(content), parse_float=str)
    except tomllib.TOMLDecodeError as error:
        # The message is made by the parser and ends in the place; a key may stand in it, never a value.
        found = re.search(r"^(.*?) \(at line ([0-9]+), column ([0-9]+)\)$", str(error), re.DOTALL)
        if found:
            raise _parse_failed(f"it is not valid TOML: {found[1]}", int(found[2]), int(found[3])) from None
        raise _parse_failed("it is not valid TOML: it ends too early") from None
    except RecursionError:
        raise _invalid(f"it is nested deeper than {DEEPEST} levels") from None
    except ValueError:
        raise _parse_failed("it is not valid TOML: a number or date is out of range") from None
    return _flat(_toml_members(root))


def _toml_members(value: Any) -> Any:
    if isinstance(value, dict):
        return _Members(tuple((name, _toml_members(item)) for name, item in value.items()))
    if isinstance(value, int) and not isinstance(value, bool):
        # Python refuses to write thousands of digits; no sixteen-digit port was ever meant either way.
        if value.bit_length() > 4096:
            raise _parse_failed("it is not valid TOML: a number or date is out of range")
        return str(value)
    return value


def _yaml(content: bytes) -> Iterator[_Pair]:
    # Importing YAML costs more than the rest of this module together: only for a YAML source.
    from yaml.nodes import MappingNode

    from ota.source.tree import compose

    _text_of(content)  # size and encoding are refused in the same words as for the other kinds
    try:
        root = compose("source", content).root
    except ContractUnreadableError as error:
        finding = error.findings[0]
        line, column = (finding.place.line, finding.place.column) if finding.place else (0, 0)
        if finding.code == "OTA_CONTRACT_EMPTY":
            raise _invalid("the root is not a mapping: the file is empty") from None
        # `*hunter22` and `!hunter22` are an unknown alias and tag to YAML, and the password to its owner.
        reason = re.sub(r"(['\"`])[^'\"`\s]*\w[^'\"`]*\1|[!*&]\S{2,}", "(…)", finding.why)
        raise _parse_failed(f"it is not valid YAML: {reason}", line, column) from None
    except RecursionError:
        raise _invalid(f"it is nested deeper than {DEEPEST} levels") from None
    if not isinstance(root, MappingNode):
        raise _invalid("the root is not a mapping", 1)
    return _yaml_leaves(root, ())


def _yaml_leaves(node: Any, path: tuple[str, ...]) -> Iterator[_Pair]:
    from yaml.nodes import MappingNode, ScalarNode

    from ota.source.tree import scalar_type

    if len(path) > DEEPEST:
        raise _invalid(f"`{path[0]}` is nested deeper than {DEEPEST} levels")
    for name, value in node.value:
        line, column = name.start_mark.line + 1, name.start_mark.column + 1
        if not isinstance(name, ScalarNode):
            raise _invalid("a key is not plain text", line, column)
        if name.value == "<<" and isinstance(value, MappingNode):
            raise _invalid("merge keys (`<<`) are not supported; write the values out", line, column)
        inner = (*path, name.value)
        key = ".".join(inner)
        if isinstance(value, MappingNode):
            yield from _yaml_leaves(value, inner)
        elif not isinstance(value, ScalarNode):
            raise _invalid(f"`{key}` is a list; use a string, a number or a boolean", line, column)
        else:
            kind = scalar_type(value)
            if kind == "null":
                raise _invalid(f"`{key}` is null; use a string, a number or a boolean", line, column)
            yield _Pair(key, value.value.lower() if kind == "bool" else value.value, line)


_PROPERTY_SEPARATOR = r"(?s:(?:\\.|[^\\=: \t\f])*)"
_PROPERTY_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def _properties(content: bytes) -> Iterator[_Pair]:
    for number, line in _logical_lines(_text_of(content)):
        match = re.match(_PROPERTY_SEPARATOR, line)
        assert match is not None
        rest = line[match.end() :].lstrip(" \t\f")
        if rest[:1] in ("=", ":") and rest:
            rest = rest[1:].lstrip(" \t\f")
        yield _Pair(_property_text(match[0], number), _property_text(rest, number), number)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with continuations joined, without blanks and comments; the number is that of the first."""
    pending, first = "", 0
    for number, raw in enumerate(re.split(r"\r\n|\n|\r", text), start=1):
        line = raw.lstrip(" \t\f")
        if not first and (not line or line[0] in "#!"):
            continue
        first = first or number
        if (len(line) - len(line.rstrip("\\"))) % 2:
            pending += line[:-1]
            continue
        yield first, pending + line
        pending, first = "", 0
    if first and pending:
        yield first, pending


def _property_text(escaped: str, line: int) -> str:
    def replacement(match: re.Match[str]) -> str:
        if match[1] is not None:
            return chr(int(match[1], 16))
        if match[2] == "u":
            raise _parse_failed("`\\u` needs four hexadecimal digits", line)
        return _PROPERTY_ESCAPES.get(match[2], match[2])

    text = re.sub(r"\\(?:u([0-9a-fA-F]{4})|(.))", replacement, escaped, flags=re.DOTALL)
    # A pair of \\u escapes spells one character beyond the first plane.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if "\\u" in escaped else text


_READERS: dict[str, Callable[[bytes], Iterator[_Pair]]] = {
    "properties": _properties,
    "json": _json,
    "yaml": _yaml,
    "toml": _toml,
}

__all__ = [
    "LoadedSource",
    "ReadFile",
    "SourceStatus",
    "label_of",
    "load_source",
    "load_sources",
    "normalise_key",
    "parse_source",
    "source_finding",
]
