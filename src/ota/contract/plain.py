"""Records as plain data and back: lists, maps and scalars that say which record they were.

For data that ota itself wrote. Decoding into record types would first evaluate the annotations of all
hundred of them, 7 ms even for a contract that uses three; here a record costs its constructor. Nothing
is checked against those types, so only what was proven may be brought back this way.

A record is `[its number, {field: value}]` without the fields that have their default; a tuple is
`[-1, item...]`, a list `[-2, item...]`; a map and a scalar are themselves.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from msgspec import NODEFAULT, Struct

_TUPLE, _LIST = -1, -2
_ROOMS = ("ota.contract.model", "ota.errors")


class Flattening:
    """Makes plain data, and remembers which records it met."""

    def __init__(self) -> None:
        self._numbers: dict[type[Struct], int] = {}
        self._defaults: dict[type[Struct], dict[str, object]] = {}

    def plain(self, value: object) -> object:
        """A value as plain data."""
        if isinstance(value, Struct):
            record = type(value)
            number = self._numbers.setdefault(record, len(self._numbers))
            defaults = self._defaults_of(record)
            fields = {name: getattr(value, name) for name in record.__struct_fields__}
            told = {name: self.plain(each) for name, each in fields.items() if not _is(each, defaults[name])}
            return [number, told]
        if isinstance(value, tuple):
            return [_TUPLE, *map(self.plain, value)]
        if isinstance(value, list):
            return [_LIST, *map(self.plain, value)]
        if isinstance(value, Mapping):
            return {key: self.plain(each) for key, each in value.items()}
        return value

    @property
    def records(self) -> list[str]:
        """The names of the records by their numbers; what `Unflattening` needs."""
        return [f"{record.__module__}:{record.__name__}" for record in self._numbers]

    def _defaults_of(self, record: type[Struct]) -> dict[str, object]:
        if record not in self._defaults:
            names, given = record.__struct_fields__, record.__struct_defaults__
            known = dict(zip(names[len(names) - len(given) :], given, strict=True))
            self._defaults[record] = {name: _made(known.get(name, NODEFAULT)) for name in names}
        return self._defaults[record]


def _made(default: object) -> object:
    """The value of a default; empty maps are made anew for each record."""
    factory = getattr(default, "factory", None)
    return default if factory is None else factory()


def _is(value: object, default: object) -> bool:
    return value is default or (type(value) is type(default) and value == default)


class Unflattening:
    """Makes records again.

    Raises:
        ImportError, AttributeError, TypeError: this ota has no such record.
    """

    def __init__(self, records: list[str]) -> None:
        self._records = [_record(name) for name in records]

    def value(self, plain: Any) -> Any:
        """The value that plain data stands for. The data is used up."""
        kind = type(plain)
        if kind is list:
            number = plain[0]
            if number >= 0:
                return self._records[number](**self._fields(plain[1]))
            items = map(self.value, plain[1:])
            return tuple(items) if number == _TUPLE else list(items)
        return self._fields(plain) if kind is dict else plain

    def _fields(self, fields: dict[str, Any]) -> dict[str, Any]:
        for name, value in fields.items():
            if type(value) is list or type(value) is dict:
                fields[name] = self.value(value)
        return fields


def _record(name: str) -> type[Struct]:
    module, _, record = name.partition(":")
    if not module.startswith(_ROOMS):
        raise TypeError(f"{name} is no record of a contract")
    found: type[Struct] = getattr(import_module(module), record)
    return found
