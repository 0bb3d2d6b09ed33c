"""Bytes to a located YAML 1.2 tree.

Owns reading limits (size, depth, alias growth), encoding, the YAML 1.2 core schema
and positions. Knows nothing of what a field means. The tree is PyYAML's own node tree,
composed in C with every scalar left untyped, so that nothing is converted on the way in:
`python: 3.10` stays `3.10`, and `yes`, `on` and `22:22` stay strings.

Source: contract specification 0.1 (read and parse errors), 0.2.
"""

import re
from pathlib import Path
from typing import Any, Literal

from yaml import MappingNode, Node, ScalarNode, SequenceNode
from yaml._yaml import CParser
from yaml.composer import ComposerError
from yaml.error import Mark, MarkedYAMLError, YAMLError
from yaml.reader import ReaderError

from ota.errors import ContractUnreadableError, Finding, Place

SIZE_LIMIT_BYTES = 32 * 1024 * 1024
DEPTH_LIMIT = 100
ALIAS_GROWTH_LIMIT = 10_000
"""How many nodes aliases may add to the written ones."""

Path_ = tuple[str | int, ...]
ScalarType = Literal["str", "null", "bool", "int", "float"]

_QUOTED = "ota:quoted"
_PLAIN = "ota:plain"
_COLLECTION = "ota:collection"
_STANDARD = "tag:yaml.org,2002:"

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

    def __init__(self, stream: bytes) -> None:
        CParser.__init__(self, stream)

    def resolve(self, kind: type[Node], value: object, implicit: Any) -> str:
        if kind is ScalarNode:
            return _PLAIN if implicit[0] else _QUOTED
        return _COLLECTION

    def descend_resolver(self, parent: object, index: object) -> None: ...

    def ascend_resolver(self) -> None: ...


class Tree:
    """One file's located tree."""

    def __init__(self, file: str, root: Node) -> None:
        self.file = file
        self.root = root

    def place(self, path: Path_) -> Place:
        """Where a field is written: its key or list item, else the nearest written ancestor."""
        mark: Mark = self.root.start_mark
        node: Node = self.root
        for step in path:
            if isinstance(node, MappingNode):
                for key, value in node.value:
                    if isinstance(key, ScalarNode) and key.value == str(step):
                        mark, node = key.start_mark, value
                        break
                else:
                    break
            elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                mark = node.start_mark
            else:
                break
        return self.at(mark, path)

    def at(self, mark: Mark, path: Path_) -> Place:
        """A place from a parser mark; marks count from 0, people from 1."""
        return Place(file=self.file, field=dotted(path), line=mark.line + 1, column=mark.column + 1)


def dotted(path: Path_) -> str:
    """`tasks.dev.depends_on[1]`; keys holding dots or blanks are quoted."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            key = f'"{step}"' if not step or any(c in step for c in ' ."[]') else step
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
            return to_int(node.value)
        case "float":
            return _to_float(node.value)
        case _:
            return node.value


def _to_float(text: str) -> float:
    lowered = text.lower()
    if lowered.endswith((".inf", ".nan")):
        return float(lowered.replace(".", ""))
    return float(text)


def compose(file: str, data: bytes) -> Tree:
    """One document's located tree.

    Raises:
        ContractUnreadableError: too large, not UTF-8, not YAML, several documents, too deep, empty,
            a growing alias or a tag outside the core schema. The finding has the position.
    """
    if len(data) > SIZE_LIMIT_BYTES:
        raise _unreadable(
            "OTA_YAML_TOO_LARGE",
            f"{file} is too large",
            f"it holds {len(data)} bytes; at most {SIZE_LIMIT_BYTES} are read",
            "move generated content out of the contract",
            Place(file=file),
        )
    _check_encoding(file, data)
    parser = _Composer(data)
    try:
        root = parser.get_single_node()
    except (YAMLError, RecursionError) as error:
        raise _from_yaml(file, data, error) from error
    finally:
        parser.dispose()
    if root is None:
        raise _unreadable(
            "OTA_CONTRACT_EMPTY",
            f"{file} is empty",
            "a contract needs at least `version` and `project`",
            "write `version: 1` and `project: {name: <name>}`, or run `ota init`",
            Place(file=file, line=1, column=1),
        )
    _check_shape(file, root)
    return Tree(file, root)


def _check_encoding(file: str, data: bytes) -> None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise _unreadable(
            "OTA_YAML_ENCODING",
            f"{file} is not UTF-8",
            f"byte 0x{data[error.start]:02x} at offset {error.start} is not valid UTF-8",
            "save the file as UTF-8",
            Place(file=file, line=line, column=column),
        ) from None


def _from_yaml(file: str, data: bytes, error: Exception) -> ContractUnreadableError:
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
        return _unreadable("OTA_YAML_SYNTAX", f"{file} is not valid YAML", problem, _mend(problem), place)
    if isinstance(error, ReaderError):
        line_no = data.count(b"\n", 0, error.position) + 1 if isinstance(error.position, int) else 1
        return _unreadable(
            "OTA_YAML_ENCODING",
            f"{file} holds a character YAML does not allow",
            str(error.reason),
            "remove the control character",
            Place(file=file, line=line_no, column=1),
        )
    return _unreadable(
        "OTA_YAML_SYNTAX",
        f"{file} is not valid YAML",
        "it is nested too deeply" if isinstance(error, RecursionError) else str(error),
        "flatten the nesting",
        Place(file=file, line=1, column=1),
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
    if "nest" in problem:
        return "flatten the nesting"
    return "fix the syntax at this position"


def _check_shape(file: str, root: Node) -> None:
    """Depth, cycles, alias growth and tags, in one walk that visits each written node once."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: Node, depth: int) -> int:
        if isinstance(node, ScalarNode):
            if node.tag not in (_PLAIN, _QUOTED):
                _check_scalar_tag(file, node)
            return 1
        known = sizes.get(id(node))
        if known is not None:
            return known
        where = Place(file=file, line=node.start_mark.line + 1, column=node.start_mark.column + 1)
        if id(node) in open_nodes:
            raise _unreadable(
                "OTA_YAML_ALIAS",
                f"{file} holds an alias that contains itself",
                "the anchor written here is used inside its own value",
                "write the value out",
                where,
            )
        if depth > DEPTH_LIMIT:
            raise _unreadable(
                "OTA_YAML_DEPTH",
                f"{file} is nested too deeply",
                f"more than {DEPTH_LIMIT} levels",
                "flatten the nesting",
                where,
            )
        if node.tag != _COLLECTION and node.tag not in (_STANDARD + "map", _STANDARD + "seq"):
            raise _tag_error(file, node)
        open_nodes.add(id(node))
        total = 1
        if isinstance(node, MappingNode):
            for key, value in node.value:
                total += size(key, depth + 1) + size(value, depth + 1)
        else:
            for item in node.value:
                total += size(item, depth + 1)
        open_nodes.discard(id(node))
        sizes[id(node)] = total
        written.append(1 + sum(1 for child in _children(node) if isinstance(child, ScalarNode)))
        return total

    written: list[int] = []
    total = size(root, 1)
    if total - sum(written) > ALIAS_GROWTH_LIMIT:
        raise _unreadable(
            "OTA_YAML_ALIAS",
            f"{file} grows too much through aliases",
            f"{sum(written)} written nodes would become {total}",
            "write repeated values out, or use `extends` for contexts",
            Place(file=file, line=1, column=1),
        )


def _children(node: Node) -> list[Node]:
    if isinstance(node, MappingNode):
        return [child for pair in node.value for child in pair]
    return list(node.value)


def _check_scalar_tag(file: str, node: ScalarNode) -> None:
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
    return _unreadable(
        "OTA_YAML_TAG",
        f"{file} uses a YAML tag that is not of the core schema",
        f"`{node.tag}` does not fit here",
        "remove the tag",
        Place(file=file, line=node.start_mark.line + 1, column=node.start_mark.column + 1),
    )


def read_bytes(path: Path, shown: str) -> bytes:
    """The file's bytes.

    Raises:
        ContractUnreadableError: missing, a directory, or unreadable; never follows a special file.
    """
    try:
        if path.is_dir():
            reason = "it is a directory"
        elif path.exists() and not path.is_file():
            reason = "it is not a regular file"
        else:
            with path.open("rb") as file:
                return file.read(SIZE_LIMIT_BYTES + 1)
    except FileNotFoundError:
        reason = "there is no such file"
    except OSError as error:
        reason = error.strerror or str(error)
    raise _unreadable(
        "OTA_CONTRACT_UNREADABLE",
        f"{shown} could not be read",
        reason,
        f"make `{shown}` a readable file, or name another with `--file`",
        Place(file=shown),
    )


def _unreadable(code: str, summary: str, why: str, next_: str, place: Place) -> ContractUnreadableError:
    return ContractUnreadableError(
        Finding(
            code=code, summary=summary, why=why, next=next_, place=place, title="Contract could not be loaded"
        )
    )
