"""Located tree to typed records, driven by the record types themselves.

One converter per type, made on first use and kept. A converter never raises for bad input:
it reports a finding with the position and returns `MISSING`, so that every independent
problem of a file is told at once. Shorthand spellings are rewritten here
(`ota.contract.shorthand`), so nothing after the parser can tell them from the long form.

Source: contract specification 0.1, 0.2, appendix A rules P01 to P10; decision D15.
"""

import types
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from msgspec import NODEFAULT, Struct
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ota.contract.model.scalars import AnyText, NumberText, Port
from ota.errors import Finding, in_file_order
from ota.source.reading import SHOWN_LIMIT, one_line
from ota.source.tree import (
    Path_,
    Tree,
    dotted,
    is_null,
    plain_value,
    scalar_type,
    to_bool,
    to_int,
)

T = TypeVar("T")


class Missing:
    """The value could not be read; the reason was reported."""


MISSING = Missing()

Convert = Callable[[Node, Path_, "Reader"], Any]
Rewrite = Callable[[Node, Path_, "Reader"], Any]
"""A record's shorthand hook: a value, `MISSING`, or None to go on with the mapping form."""
Finish = Callable[[Any, Node, Path_, "Reader"], Any]
"""Fills what a record's long form leaves implicit."""

REWRITERS: dict[type[Struct], Rewrite] = {}
FINISHERS: dict[type[Struct], Finish] = {}
FIELD_CONVERTERS: dict[tuple[type[Struct], str], Convert] = {}
"""Filled by `ota.contract.shorthand`, which every reader of contracts imports."""


class Reader:
    """Collects the findings of one file."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.findings: list[Finding] = []

    def report(self, rule: str, node: Node, path: Path_, summary: str, why: str, next_: str) -> Missing:
        """A parse finding at `node`; `rule` is the number of appendix A."""
        self.findings.append(
            Finding(
                code=f"OTA_{rule}",
                summary=one_line(summary, SHOWN_LIMIT),
                why=one_line(why, SHOWN_LIMIT),
                next=one_line(next_, SHOWN_LIMIT),
                place=self.tree.at(node.start_mark, path),
                title="Contract could not be loaded",
            )
        )
        return MISSING

    def wrong_type(self, node: Node, path: Path_, expected: str, next_: str = "") -> Missing:
        """P02."""
        return self.report(
            "P02",
            node,
            path,
            f"`{dotted(path) or 'contract'}` must be {expected}",
            f"found {describe(node)}",
            next_ or f"write {expected} here",
        )


def parse(tree: Tree, record: type[T]) -> tuple[T | None, tuple[Finding, ...]]:
    """The tree as a record of this type, and every parse finding in file order."""
    reader = Reader(tree)
    value = converter_of(record)(tree.root, (), reader)
    return (None if isinstance(value, Missing) or reader.findings else value), in_file_order(reader.findings)


def describe(node: Node) -> str:
    """What a node is, in a reader's words."""
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    if not isinstance(node, ScalarNode):
        return "an unknown node"
    text = one_line(node.value, 40)
    match scalar_type(node):
        case "null":
            return "nothing"
        case "bool":
            return f"the boolean `{text}`"
        case "int" | "float":
            return f"the number `{text}`"
        case _:
            return f"the string `{text}`"


# --- scalars -----------------------------------------------------------------------------------


def _string(node: Node, path: Path_, reader: Reader) -> Any:
    if isinstance(node, ScalarNode):
        kind = scalar_type(node)
        if kind == "str":
            return node.value
        if kind in ("bool", "int", "float"):
            return reader.wrong_type(node, path, "a string", f'quote it: "{one_line(node.value)}"')
    return reader.wrong_type(node, path, "a string")


def _any_text(node: Node, path: Path_, reader: Reader) -> Any:
    if isinstance(node, ScalarNode) and scalar_type(node) != "null":
        return node.value
    return reader.wrong_type(node, path, "a string, number or boolean")


def _number_text(node: Node, path: Path_, reader: Reader) -> Any:
    if isinstance(node, ScalarNode) and scalar_type(node) in ("str", "int", "float"):
        return node.value
    return reader.wrong_type(node, path, "a string or a number")


def _integer(node: Node, path: Path_, reader: Reader) -> Any:
    if isinstance(node, ScalarNode) and scalar_type(node) == "int" and len(node.value) < 20:
        return to_int(node.value)
    return reader.wrong_type(node, path, "a whole number")


def _port(node: Node, path: Path_, reader: Reader) -> Any:
    value = _integer(node, path, reader)
    if isinstance(value, Missing) or 1 <= value <= 65535:
        return value
    return reader.wrong_type(node, path, "a port from 1 to 65535")


def _boolean(node: Node, path: Path_, reader: Reader) -> Any:
    if isinstance(node, ScalarNode):
        if scalar_type(node) == "bool":
            return to_bool(node.value)
        if node.value.lower() in ("yes", "no", "on", "off"):
            meant = "true" if node.value.lower() in ("yes", "on") else "false"
            return reader.wrong_type(node, path, "true or false", f"write `{meant}`")
    return reader.wrong_type(node, path, "true or false")


def _open(node: Node, path: Path_, reader: Reader) -> Any:
    return plain_value(node) if _keys_are_unique(node, path, reader) else MISSING


def _keys_are_unique(node: Node, path: Path_, reader: Reader) -> bool:
    """Open values hold any key, but each once."""
    if isinstance(node, MappingNode):
        pairs = keyed_pairs(node, path, reader)
        found = [_keys_are_unique(value, (*path, name), reader) for name, (_, value) in pairs.items()]
        return len(pairs) == len(node.value) and all(found)
    if isinstance(node, SequenceNode):
        found = [_keys_are_unique(item, (*path, index), reader) for index, item in enumerate(node.value)]
        return all(found)
    return True


def _nothing(node: Node, path: Path_, reader: Reader) -> Any:
    return None if is_null(node) else reader.wrong_type(node, path, "nothing")


# --- containers --------------------------------------------------------------------------------


def choice_of(values: tuple[str, ...]) -> Convert:
    """One of some words."""
    known = frozenset(values)

    def convert(node: Node, path: Path_, reader: Reader) -> Any:
        if isinstance(node, ScalarNode) and node.value in known:
            return node.value
        shown = ", ".join(f"`{value}`" for value in values)
        if not isinstance(node, ScalarNode):
            return reader.wrong_type(node, path, f"one of {shown}")
        near = _nearest(node.value, values)
        return reader.report(
            "P03",
            node,
            path,
            f"`{dotted(path)}` has the unsupported value `{one_line(node.value, 40)}`",
            f"supported: {shown}",
            f"did you mean `{near}`?" if near else f"use one of {shown}",
        )

    return convert


def _sequence(item: Convert) -> Convert:
    def convert(node: Node, path: Path_, reader: Reader) -> Any:
        if not isinstance(node, SequenceNode):
            if isinstance(node, ScalarNode) and not is_null(node):
                return reader.wrong_type(node, path, "a list", f"write `[{one_line(node.value, 40)}]`")
            return reader.wrong_type(node, path, "a list")
        values = [item(child, (*path, index), reader) for index, child in enumerate(node.value)]
        return MISSING if MISSING in values else tuple(values)

    return convert


def keyed_pairs(node: MappingNode, path: Path_, reader: Reader) -> dict[str, tuple[ScalarNode, Node]]:
    """The mapping's key and value nodes by key; P08 for a repeated key, P02 for a key that is no scalar."""
    pairs: dict[str, tuple[ScalarNode, Node]] = {}
    for pair in node.value:
        key = pair[0]
        if not isinstance(key, ScalarNode):
            reader.report(
                "P02",
                key,
                path,
                "a mapping key must be a name",
                f"found {describe(key)}",
                "write a plain name as key",
            )
            continue
        name: str = key.value
        if name not in pairs:
            pairs[name] = pair
            continue
        reader.report(
            "P08",
            key,
            (*path, name),
            f"`{dotted((*path, name))}` is declared twice",
            f"the first declaration is on line {pairs[name][0].start_mark.line + 1}",
            "keep one of them",
        )
    return pairs


def mapping_of(key_choice: tuple[str, ...] | None, item: Convert, *, keeps_x: bool = False) -> Convert:
    """Free or chosen names to values. `keeps_x`: a name such as `x-request-id` is data, not a remark."""

    def convert(node: Node, path: Path_, reader: Reader) -> Any:
        if not isinstance(node, MappingNode):
            return reader.wrong_type(node, path, "a mapping")
        values: dict[str, Any] = {}
        failed = False
        for name, (key, child) in keyed_pairs(node, path, reader).items():
            if name[:2] == "x-" and not keeps_x:
                continue
            if name == "<<" or (key_choice is not None and name not in key_choice):
                _unknown_key(name, key, (*path, name), key_choice or (), reader)
                failed = True
                continue
            value = item(child, (*path, name), reader)
            if value is MISSING:
                failed = True
            else:
                values[name] = value
        return MISSING if failed else values

    return convert


_LISTED_KEYS = 12
"""More names than this are not read in one line."""


def _unknown_key(name: str, key: Node, path: Path_, known: tuple[str, ...], reader: Reader) -> None:
    near = _nearest(name, known)
    where = dotted(path[:-1])
    owner = f"`{where}`" if where else "a contract"
    why = f"{owner} has no such key"
    if name == "<<":
        why = "`<<` is not a name, and merging is not part of YAML 1.2"
        next_ = "merge keys are not YAML 1.2; write the values out, or use `extends` for contexts"
    elif near:
        next_ = f"did you mean `{near}`?"
    else:
        why = f"{owner} knows {_listed(known)}"
        next_ = f"remove `{name}`, or call it `x-{name}` if it is yours"
    reader.report("P01", key, path, f"unknown key `{dotted(path)}`", why, next_)


def _listed(names: tuple[str, ...]) -> str:
    """The names, or so many of them that a line can still be read."""
    shown = ", ".join(f"`{name}`" for name in sorted(names)[:_LISTED_KEYS])
    more = len(names) - _LISTED_KEYS
    return f"{shown} and {more} more (`ota schema` has them all)" if more > 0 else shown


def _nearest(word: str, known: tuple[str, ...]) -> str | None:
    from difflib import get_close_matches

    folded = word.lower().replace("-", "_")
    if folded in known:
        return folded
    return next(iter(get_close_matches(folded, known, 1, 0.7)), None)


# --- records -----------------------------------------------------------------------------------


def field_key(attribute: str) -> str:
    """The contract's key of a record attribute: `from_` is `from`."""
    return attribute.rstrip("_")


class _Field:
    """One key of a record: which attribute it fills and how, made on first use."""

    def __init__(self, record: type[Struct], attribute: str, annotation: Any, has_default: bool) -> None:
        self.attribute = attribute
        self.is_optional = has_default or _accepts_none(annotation)
        self._source = (record, annotation)
        self._convert: Convert | None = None

    @property
    def choices(self) -> tuple[str, ...]:
        """The values of a key that has a fixed set of them."""
        annotation = self._source[1]
        return get_args(annotation) if get_origin(annotation) is Literal else ()

    @property
    def convert(self) -> Convert:
        if self._convert is None:
            record, annotation = self._source
            self._convert = FIELD_CONVERTERS.get((record, self.attribute)) or converter_of(annotation)
        return self._convert


def _record(record: type[Struct]) -> Convert:
    tag_field = record.__struct_config__.tag_field
    rewrite = REWRITERS.get(record)
    finish = FINISHERS.get(record)
    defaulted = defaulted_fields(record)
    fields = {
        field_key(name): _Field(record, name, annotation, name in defaulted)
        for name, annotation in annotations_of(record).items()
    }
    known = (*((tag_field,) if tag_field else ()), *fields)
    required = tuple(key for key, field in fields.items() if field.attribute not in defaulted)

    def convert(node: Node, path: Path_, reader: Reader) -> Any:
        if rewrite is not None:
            value = rewrite(node, path, reader)
            if value is not None:
                return value
        if not isinstance(node, MappingNode):
            return reader.wrong_type(node, path, "a mapping")
        values: dict[str, Any] = {}
        failed = False
        pairs = keyed_pairs(node, path, reader)
        for name, (key, child) in pairs.items():
            field = fields.get(name)
            if field is None:
                if name[:2] != "x-" and name != tag_field:
                    _unknown_key(name, key, (*path, name), known, reader)
                    failed = True
                continue
            if field.is_optional and is_null(child):
                continue
            value = field.convert(child, (*path, name), reader)
            if value is MISSING:
                failed = True
            else:
                values[field.attribute] = value
        for name in required:
            if name not in pairs:
                missing_key(name, node, path, reader, choices=fields[name].choices)
                failed = True
        if failed:
            return MISSING
        made = record(**values)
        return finish(made, node, path, reader) if finish else made

    return convert


def missing_key(
    name: str,
    node: Node,
    path: Path_,
    reader: Reader,
    *,
    rule: str = "P04",
    choices: tuple[str, ...] = (),
) -> Missing:
    """A required key is absent."""
    where = dotted(path)
    shown = " or ".join(f"`{choice}`" for choice in choices)
    return reader.report(
        rule,
        node,
        (*path, name),
        f"`{dotted((*path, name))}` is missing",
        f"{'`' + where + '`' if where else 'a contract'} needs `{name}`",
        f"add `{name}`" + (f" to `{where}`" if where else "") + (f": {shown}" if shown else ""),
    )


def _tagged(records: tuple[type[Struct], ...]) -> Convert:
    tag_field = records[0].__struct_config__.tag_field or "kind"
    by_tag = {str(record.__struct_config__.tag): record for record in records}
    choose = choice_of(tuple(by_tag))

    def convert(node: Node, path: Path_, reader: Reader) -> Any:
        if not isinstance(node, MappingNode):
            return reader.wrong_type(node, path, "a mapping")
        for key, value in node.value:
            if isinstance(key, ScalarNode) and key.value == tag_field:
                tag = choose(value, (*path, tag_field), reader)
                if isinstance(tag, Missing):
                    return MISSING
                return converter_of(by_tag[tag])(node, path, reader)
        return missing_key(tag_field, node, path, reader, choices=tuple(by_tag))

    return convert


def defaulted_fields(record: type[Struct]) -> frozenset[str]:
    """The attributes a contract may leave out."""
    names = record.__struct_fields__
    defaults = record.__struct_defaults__
    with_default = zip(names[len(names) - len(defaults) :], defaults, strict=True)
    return frozenset(name for name, default in with_default if default is not NODEFAULT)


def annotations_of(record: type[Struct]) -> dict[str, Any]:
    """The record's field types. No contract record inherits fields."""
    return dict(record.__annotations__)


def _accepts_none(annotation: Any) -> bool:
    return annotation is object or type(None) in get_args(annotation)


# --- types to converters -----------------------------------------------------------------------

_SCALARS: dict[Any, Convert] = {
    str: _string,
    int: _integer,
    bool: _boolean,
    object: _open,
    AnyText: _any_text,
    NumberText: _number_text,
    Port: _port,
    type(None): _nothing,
}
_made: dict[Any, Convert] = {}


def converter_of(annotation: Any) -> Convert:
    """The converter of a field type. Made once per type."""
    known = _SCALARS.get(annotation) or _made.get(annotation)
    if known is None:
        known = _made[annotation] = _make(annotation)
    return known


def _make(annotation: Any) -> Convert:
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        return _record(annotation)
    origin = get_origin(annotation)
    arguments = get_args(annotation)
    if origin is Literal:
        return choice_of(arguments)
    if origin is tuple:
        return _sequence(converter_of(arguments[0]))
    if origin is Mapping or (isinstance(origin, type) and issubclass(origin, Mapping)):
        keys = get_args(arguments[0]) if get_origin(arguments[0]) is Literal else None
        return mapping_of(keys, converter_of(arguments[1]), keeps_x=arguments[1] is object)
    if origin in (types.UnionType, Union):
        return _union(arguments)
    raise TypeError(f"no converter for {annotation!r}")


def _union(arguments: tuple[Any, ...]) -> Convert:
    members = tuple(argument for argument in arguments if argument is not type(None))
    if len(members) == 1:
        return converter_of(members[0])
    if all(isinstance(member, type) and issubclass(member, Struct) for member in members):
        return _tagged(members)
    by_node: dict[type[Node], Convert] = {}
    for member in members:
        shape = (
            SequenceNode
            if get_origin(member) is tuple
            else MappingNode
            if get_origin(member) is not None
            else ScalarNode
        )
        by_node[shape] = converter_of(member)
    first = next(iter(by_node.values()))

    def convert(node: Node, path: Path_, reader: Reader) -> Any:
        return by_node.get(type(node), first)(node, path, reader)

    return convert


def records_of(record: type[Struct]) -> tuple[type[Struct], ...]:
    """Every record type reachable from this one; the JSON Schema and the tests walk them."""
    found: dict[type[Struct], None] = {}

    def visit(annotation: Any) -> None:
        if isinstance(annotation, type) and issubclass(annotation, Struct):
            if annotation not in found:
                found[annotation] = None
                for inner in annotations_of(annotation).values():
                    visit(inner)
            return
        for argument in get_args(annotation):
            visit(argument)

    visit(record)
    return tuple(found)
