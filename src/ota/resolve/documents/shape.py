"""The one rule of absence: what is unknown, empty or not declared is left out of a document.

Source: json-and-receipts specification 1.1.
"""

from collections.abc import Iterable, Mapping
from typing import Any

Document = dict[str, Any]


def compact(**values: Any) -> Document:
    """The given keys in their order, without `None`, empty text, empty lists and empty maps.

    A trailing underscore in a key stands for a Python keyword: `from_` is `from`.
    """
    return {key.removesuffix("_"): plain(value) for key, value in values.items() if not is_absent(value)}


def is_absent(value: Any) -> bool:
    """Whether a value has nothing to say; `False` and 0 have."""
    return value is None or (not value and isinstance(value, (str, tuple, list, Mapping)))


def plain(value: Any) -> Any:
    """Tuples as lists, mappings sorted by key where users chose the names."""
    if isinstance(value, (str, bool, int)):  # most values are: asking them whether they map costs more
        return value
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    return value


def by_key(values: Mapping[str, Any]) -> dict[str, Any]:
    """A map keyed by user names, sorted."""
    return {key: values[key] for key in sorted(values)}


def masked(values: Mapping[str, str], secrets: Iterable[str]) -> dict[str, str]:
    """Declared env with secret values hidden, sorted by name."""
    hidden = frozenset(secrets)
    return {name: "***" if name in hidden else values[name] for name in sorted(values)}
