"""Structured files of env profiles: JSON and TOML documents merged in order, and written again.

Pure: bytes in, bytes out. Which files they are, and who writes the result, is decided elsewhere. Nothing
that is said about a document quotes a value, because it may be a secret.

Source: contract specification 9.4.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import Any, Literal

Format = Literal["json", "toml"]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")


class StructureError(ValueError):
    """A document that cannot be read, or not be written in the format asked for."""


def format_of(path: str) -> Format:
    """The format a name tells.

    Raises:
        StructureError: it tells none.
    """
    suffix = path.rpartition(".")[2].lower()
    if suffix == "json":
        return "json"
    if suffix == "toml":
        return "toml"
    raise StructureError("its name ends neither in `.json` nor in `.toml`")


def read_document(content: bytes, kind: Format) -> dict[str, Any]:
    """The mapping a document is.

    Raises:
        StructureError: no UTF-8, not that format, no mapping, or nested too deep.
    """
    try:
        text = content.decode("utf-8-sig")
        if kind == "json":
            import json

            value = json.loads(text)
        else:
            import tomllib

            value = tomllib.loads(text)
    except UnicodeDecodeError:
        raise StructureError("it is not UTF-8 text") from None
    except RecursionError:
        raise StructureError("it is nested too deep") from None
    except ValueError as error:
        where = re.search(r"line \d+,? column \d+", str(error))
        place = f" ({where[0]})" if where else ""
        raise StructureError(f"it is not valid {kind.upper()}{place}") from None
    if not isinstance(value, dict):
        raise StructureError("its root is not a mapping")
    return value


def merged(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mappings merge, everything else is replaced by what comes later."""
    result: dict[str, Any] = {}
    for document in documents:
        for key, value in document.items():
            below = result.get(key)
            if isinstance(below, dict) and isinstance(value, dict):
                value = merged([below, value])
            result[key] = value
    return result


def written(document: Mapping[str, Any], kind: Format) -> bytes:
    """The document as a file.

    Raises:
        StructureError: the format has no way to say a value.
    """
    if kind == "json":
        import json

        return (json.dumps(_for_json(document), indent=2, ensure_ascii=False) + "\n").encode()
    return "".join(_table(document, ())).encode()


def _for_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _for_json(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_for_json(each) for each in value]
    return value.isoformat() if isinstance(value, (datetime, date, time)) else value


# --- TOML ----------------------------------------------------------------------------------------


def _table(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    """Plain values first: what follows a header belongs to it."""
    lines = [f"{_key(key)} = {_value(each)}\n" for key, each in table.items() if not isinstance(each, dict)]
    if path and (lines or not table):
        lines.insert(0, f"\n[{'.'.join(map(_key, path))}]\n")
    for key, each in table.items():
        if isinstance(each, dict):
            lines += _table(each, (*path, key))
    return lines


def _key(key: str) -> str:
    return key if _BARE_KEY.match(key) else _text(key)


def _text(text: str) -> str:
    import json

    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value)
        case int() | float():
            return str(value)
        case datetime() | date() | time():
            return value.isoformat()
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case dict():
            return f"{{{', '.join(f'{_key(key)} = {_value(each)}' for key, each in value.items())}}}"
        case _:
            raise StructureError("TOML has no null")
