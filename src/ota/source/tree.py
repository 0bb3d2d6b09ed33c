"""Bytes to a located YAML 1.2 tree.

Owns the limits of depth and alias growth, encoding, the YAML 1.2 core schema
and positions. Knows nothing of what a field means. The tree is PyYAML's own node tree,
composed in C with every scalar left untyped, so that nothing is converted on the way in:
`python: 3.10` stays `3.10`, and `yes`, `on` and `22:22` stay strings.

Source: contract specification 0.1 (read and parse errors), 0.2.
"""

import re
from io import BytesIO
from itertools import chain
from typing import Any, Literal

# From the modules that define them, not from the package: see `ota.cli.lean_imports`.
from yaml._yaml import ComposerError, CParser, ReaderError  # type: ignore[attr-defined]  # stubs lack errors
from yaml.error import Mark, MarkedYAMLError, YAMLError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ota.errors import ContractUnreadableError, Place
from ota.source.reading import SIZE_LIMIT_BYTES, collector_paused, one_line, unreadable

DEPTH_LIMIT = 100
ALIAS_GROWTH_LIMIT = 10_000
"""How many nodes aliases may add to the written ones..."""
ALIAS_GROWTH_FACTOR = 10
"""...or, in a large file, how many times the written ones: reading stays linear in the file's size."""

Path_ = tuple[str | int, ...]
ScalarType = Literal["str", "null", "bool", "int", "float"]

_QUOTED = "ota:quoted"
_PLAIN = "ota:plain"
_COLLECTION = "ota:collection"
_STANDARD = "tag:yaml.org,2002:"
_COLLECTION_TAGS: dict[type[Node], tuple[str, ...]] = {
    MappingNode: ("!", _STANDARD + "map"),
    SequenceNode: ("!", _STANDARD + "seq"),
}

_NUL_ESCAPES = (b"\\0", b"\\x00", b"\\u0000", b"\\U00000000")
_NEEDS_QUOTES = re.compile(r'[\s."\[\]]')
_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_BOOL = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)


class _Composer(CParser):
    """Composes in C; tags are marks of how a scalar was written, not types."""

    def __init__(self, stream: "bytes | _Named") -> None:
        CParser.__init__(self, stream)
        self.depth = 0

    def resolve(self, kind: type[Node], value: object, implicit: Any) -> str:
        if kind is ScalarNode:
            return _PLAIN if implicit[0] else _QUOTED
        return _COLLECTION

    def descend_resolver(self, parent: Node | None, index: object) -> None:
        # The composer recurses in C without a limit of its own: ten thousand `[` overflow the stack.
        self.depth += 1
        if self.depth > DEPTH_LIMIT + 1:
            raise _DepthError(parent)

    def ascend_resolver(self) -> None:
        self.depth -= 1


class _Named(BytesIO):
    """Bytes of a file whose every mark is to say which file it is of."""

    def __init__(self, file: str, data: bytes) -> None:
        super().__init__(data)
        self.name = file


class _DepthError(Exception):
    """Too many levels; `node` is the deepest one read."""

    def __init__(self, node: Node | None) -> None:
        super().__init__("too deep")
        self.node = node


class Tree:
    """One file's located tree."""

    def __init__(self, file: str, root: Node) -> None:
        self.file = file
        self.root = root
        self._entries: dict[int, dict[str, tuple[Node, Node]]] = {}

    def place(self, path: Path_) -> Place:
        """Where a field is written: its key or list item, else the nearest written ancestor."""
        mark: Mark = self.root.start_mark
        node: Node = self.root
        for step in path:
            entry = self._entry(node, step)
            if entry is None:
                break
            mark, node = entry[0].start_mark, entry[1]
        return self.at(mark, path)

    def node(self, path: Path_) -> Node | None:
        """The node written at a field path; None when nothing is written there."""
        node: Node = self.root
        for step in path:
            entry = self._entry(node, step)
            if entry is None:
                return None
            node = entry[1]
        return node

    def _entry(self, node: Node, step: str | int) -> tuple[Node, Node] | None:
        """The key and the value below one step; a list item is its own key."""
        if isinstance(node, MappingNode):
            # Ten thousand findings below one `tasks` mapping must not search it ten thousand times.
            entries = self._entries.get(id(node))
            if entries is None:
                entries = self._entries[id(node)] = {}
                for key, value in node.value:
                    if isinstance(key, ScalarNode):
                        entries.setdefault(key.value, (key, value))
            return entries.get(str(step))
        if isinstance(node, SequenceNode) and isinstance(step, int) and 0 <= step < len(node.value):
            return node.value[step], node.value[step]
        return None

    def at(self, mark: Mark, path: Path_) -> Place:
        """A place from a parser mark; marks count from 0, people from 1."""
        return Place(file=self.file, field=dotted(path), line=mark.line + 1, column=mark.column + 1)


class LayeredTree(Tree):
    """Nodes of several files as one tree. Each of them was composed as a layer, so that its marks name it."""

    def at(self, mark: Mark, path: Path_) -> Place:
        """A place in the file the mark is of."""
        return Place(file=mark.name, field=dotted(path), line=mark.line + 1, column=mark.column + 1)


def dotted(path: Path_) -> str:
    """`tasks.dev.depends_on[1]`; keys holding dots or blanks are quoted. Always one line."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            key = f'"{one_line(step)}"' if not step or _NEEDS_QUOTES.search(step) else one_line(step)
            text += f".{key}" if text else key
    return text


def scalar_type(node: ScalarNode) -> ScalarType | None:
    """The YAML 1.2 core type of a scalar; None for a tag that is not of the core schema."""
    tag = node.tag
    if tag == _QUOTED:
        return "str"
    value = node.value
    if tag == _PLAIN:
        if value in _NULL:
            return "null"
        if value in _BOOL:
            return "bool"
        first = value[0]
        if first in "-+.0123456789":
            if _INT.fullmatch(value):
                return "int"
            if _FLOAT.fullmatch(value):
                return "float"
        return "str"
    if tag.startswith(_STANDARD):
        name: str = tag[len(_STANDARD) :]
        if name in ("str", "null", "bool", "int", "float"):
            return name  # type: ignore[return-value]  # narrowed by the membership test
    return None


def is_null(node: Node) -> bool:
    """Whether the node is an empty or null scalar."""
    return isinstance(node, ScalarNode) and node.tag == _PLAIN and node.value in _NULL


def to_bool(text: str) -> bool:
    """The value of a scalar of core type bool."""
    return _BOOL[text]


def to_int(text: str) -> int:
    """The value of a scalar of core type int."""
    if text.startswith(("0o", "0x")):
        return int(text, 0)
    return int(text)


def plain_value(node: Node) -> object:
    """The node as plain Python data, for open values."""
    if isinstance(node, MappingNode):
        return {str(getattr(key, "value", "")): plain_value(value) for key, value in node.value}
    if isinstance(node, SequenceNode):
        return [plain_value(item) for item in node.value]
    assert isinstance(node, ScalarNode)
    match scalar_type(node):
        case "null":
            return None
        case "bool":
            return _BOOL.get(node.value, False)
        case "int":
            # Python refuses to convert thousands of digits; such a number is kept as its text.
            return to_int(node.value) if len(node.value) <= 4000 else node.value
        case "float":
            return _to_float(node.value)
        case _:
            return node.value


def _to_float(text: str) -> float:
    lowered = text.lower()
    if lowered.endswith((".inf", ".nan")):
        return float(lowered.replace(".", ""))
    return float(text)


def compose(file: str, data: bytes, *, is_layer: bool = False) -> Tree:
    """One document's located tree. `is_layer`: it is to become part of a `LayeredTree`.

    Raises:
        ContractUnreadableError: too large, not UTF-8, not YAML, several documents, too deep, empty,
            a growing alias or a tag outside the core schema. The finding has the position.
    """
    if len(data) > SIZE_LIMIT_BYTES:
        raise unreadable(
            "OTA_YAML_TOO_LARGE",
            f"{file} is too large",
            f"it holds {len(data)} bytes; at most {SIZE_LIMIT_BYTES} are read",
            "move generated content out of the contract",
            Place(file=file),
        )
    _check_encoding(file, data)
    with collector_paused():
        root = _root_of(file, data, is_layer=is_layer)
    if root is None or is_null(root):
        raise unreadable(
            "OTA_CONTRACT_EMPTY",
            f"{file} is empty",
            "a contract needs at least `version` and `project`",
            "write `version: 1` and `project: {name: <name>}`",
            Place(file=file, line=1, column=1),
        )
    _check_shape(file, root)
    if any(escape in data for escape in _NUL_ESCAPES):
        _check_no_nul(file, root)
    return Tree(file, root)


def _root_of(file: str, data: bytes, *, is_layer: bool) -> Node | None:
    # as a stream the same bytes cost calls back into Python, so only where names are needed
    parser = _Composer(_Named(file, data) if is_layer else data)
    try:
        return parser.get_single_node()
    except YAMLError as error:
        raise _from_yaml(file, data, error) from error
    except _DepthError as error:
        raise _too_deep(file, error.node) from None
    finally:
        parser.dispose()


def _check_encoding(file: str, data: bytes) -> None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise unreadable(
            "OTA_YAML_ENCODING",
            f"{file} is not UTF-8",
            f"byte 0x{data[error.start]:02x} at offset {error.start} is not valid UTF-8",
            "save the file as UTF-8",
            _at_offset(file, data, error.start),
        ) from None


def _at_offset(file: str, data: bytes, offset: int) -> Place:
    line_start = data.rfind(b"\n", 0, offset) + 1
    column = len(data[line_start:offset].decode("utf-8", "replace")) + 1
    return Place(file=file, line=data.count(b"\n", 0, offset) + 1, column=column)


def _from_yaml(file: str, data: bytes, error: YAMLError) -> ContractUnreadableError:
    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        place = (
            Place(file=file, line=mark.line + 1, column=mark.column + 1) if mark else Place(file=file, line=1)
        )
        problem = " ".join(part for part in (error.context, error.problem) if part)
        line = _line(data, place.line)
        if "\t" in line[: max(place.column, 1)] and "token" in problem:
            problem = "a tab stands where only spaces may indent"
        if isinstance(error, ComposerError) and "single document" in (error.context or ""):
            problem = "the file holds more than one YAML document"
        return unreadable("OTA_YAML_SYNTAX", f"{file} is not valid YAML", problem, _mend(problem), place)
    assert isinstance(error, ReaderError)
    return unreadable(
        "OTA_YAML_ENCODING",
        f"{file} holds a character YAML does not allow",
        str(error.reason),
        "remove the control character",
        _at_offset(file, data, int(error.position)),
    )


def _line(data: bytes, number: int) -> str:
    lines = data.split(b"\n")
    return lines[number - 1].decode("utf-8", "replace") if 0 < number <= len(lines) else ""


def _mend(problem: str) -> str:
    if "tab" in problem:
        return "indent with spaces"
    if "more than one YAML document" in problem:
        return "keep one document; remove the `---` between them"
    if "alias" in problem or "anchor" in problem:
        return "define the anchor before its alias"
    if "mapping values are not allowed" in problem:
        return "quote a value that holds `: `, or fix the indentation"
    return "fix the syntax at this position"


class _Shape:
    """Depth, cycles, alias growth and tags, in one walk that visits each written node once."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.written = 0
        """Nodes as written: an alias to a collection counts nothing."""
        self._measured: dict[int, tuple[int, int]] = {}
        self._open: set[int] = set()

    def measure(self, node: Node, depth: int) -> tuple[int, int]:
        """Nodes in and levels below a collection, aliases followed. `depth` is its own level."""
        known = self._measured.get(id(node))
        if known is not None:
            if depth + known[1] - 1 > DEPTH_LIMIT:
                raise _too_deep(self.file, node)
            return known
        if id(node) in self._open:
            raise unreadable(
                "OTA_YAML_ALIAS",
                f"{self.file} holds an alias that contains itself",
                "the anchor written here is used inside its own value",
                "write the value out",
                _start(self.file, node),
            )
        if depth > DEPTH_LIMIT:
            raise _too_deep(self.file, node)
        if node.tag != _COLLECTION and node.tag not in _COLLECTION_TAGS[type(node)]:
            raise _tag_error(self.file, node)
        self._open.add(id(node))
        measured = self._measure_children(node, depth)
        self._open.discard(id(node))
        self._measured[id(node)] = measured
        return measured

    def _measure_children(self, node: Node, depth: int) -> tuple[int, int]:
        total, below = 1, 0
        children = chain.from_iterable(node.value) if isinstance(node, MappingNode) else node.value
        scalars = 0
        for child in children:
            if isinstance(child, ScalarNode):
                if child.tag is not _PLAIN and child.tag is not _QUOTED:
                    _check_scalar_tag(self.file, child)
                scalars += 1
            else:
                inner, height = self.measure(child, depth + 1)
                total += inner
                below = max(below, height)
        self.written += 1 + scalars
        return total + scalars, below + 1


def _check_shape(file: str, root: Node) -> None:
    if isinstance(root, ScalarNode):
        _check_scalar_tag(file, root)
        return
    shape = _Shape(file)
    total, _ = shape.measure(root, 1)
    if total - shape.written > max(ALIAS_GROWTH_LIMIT, ALIAS_GROWTH_FACTOR * shape.written):
        grown = str(total) if total < 10**12 else "more than 10^12"
        raise unreadable(
            "OTA_YAML_ALIAS",
            f"{file} grows too much through aliases",
            f"{shape.written} written nodes would become {grown}",
            "write repeated values out, or use `extends` for contexts",
            Place(file=file, line=1, column=1),
        )


def _check_no_nul(file: str, node: Node) -> None:
    """A double-quoted escape can spell the one character that no command, path or variable can hold."""
    if isinstance(node, ScalarNode):
        if "\0" in node.value:
            raise unreadable(
                "OTA_YAML_ENCODING",
                f"{file} holds a NUL character",
                "the string written here contains `\\0`, which no command, path or variable can hold",
                "remove the escape, or use single quotes to keep a backslash",
                _start(file, node),
            )
        return
    for child in chain.from_iterable(node.value) if isinstance(node, MappingNode) else node.value:
        _check_no_nul(file, child)


def _start(file: str, node: Node) -> Place:
    return Place(file=file, line=node.start_mark.line + 1, column=node.start_mark.column + 1)


def _too_deep(file: str, node: Node | None) -> ContractUnreadableError:
    return unreadable(
        "OTA_YAML_DEPTH",
        f"{file} is nested too deeply",
        f"more than {DEPTH_LIMIT} levels",
        "flatten the nesting",
        _start(file, node) if node is not None else Place(file=file),
    )


def _check_scalar_tag(file: str, node: ScalarNode) -> None:
    if node.tag in (_PLAIN, _QUOTED):
        return
    kind = scalar_type(node)
    if kind is None:
        raise _tag_error(file, node)
    value = node.value
    fits = {
        "str": True,
        "null": value in _NULL,
        "bool": value in _BOOL,
        "int": bool(_INT.fullmatch(value)),
        "float": bool(_FLOAT.fullmatch(value) or _INT.fullmatch(value)),
    }[kind]
    if not fits:
        raise _tag_error(file, node)
    node.tag = _QUOTED if kind == "str" else _PLAIN


def _tag_error(file: str, node: Node) -> ContractUnreadableError:
    return unreadable(
        "OTA_YAML_TAG",
        f"{file} uses a YAML tag that is not of the core schema",
        f"`{node.tag}` does not fit here",
        "remove the tag",
        _start(file, node),
    )
