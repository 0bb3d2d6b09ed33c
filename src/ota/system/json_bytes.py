"""JSON of what may hold bytes that are no UTF-8: variables, paths and arguments are not bound to be text.

Python hands such a byte on as a lone surrogate, which JSON cannot say. It is written as `\\xff`, so that a
document is complete and can be read; the value itself, as a child gets it, is not touched.

Source: json-and-receipts specification 1.1 (UTF-8), 6.
"""

from typing import Literal

import msgspec


def json_bytes(value: object, *, order: Literal["sorted"] | None = None) -> bytes:
    """The value on one line."""
    try:
        return msgspec.json.encode(value, order=order)
    except UnicodeEncodeError:
        return msgspec.json.encode(_sayable(msgspec.to_builtins(value)), order=order)


def _sayable(value: object) -> object:
    match value:
        case str():
            try:
                return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            except UnicodeEncodeError:  # half a character that nobody's bytes stand behind
                return value.encode("utf-8", "backslashreplace").decode()
        case dict():
            return {_sayable(key): _sayable(each) for key, each in value.items()}
        case list() | tuple():
            return [_sayable(each) for each in value]
        case _:
            return value
