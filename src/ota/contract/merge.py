"""The effective contract of a monorepo member: the root's tree with the member's own laid over it.

Pure, and on the located tree, so that every finding keeps the file, line and column it is written at.
What a contract means is not asked here. Which file is whose member is `ota.contract.members`'s.

Source: contract specification 3; workspace specification B2.
"""

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ota.source.tree import LayeredTree, Path_, Tree, is_null

ROOT_ONLY = "workspace"
"""What a member neither inherits nor declares."""
_WHOLE = frozenset((("tasks",), ("services",)))
"""Maps whose entries are replaced as wholes: half of one body and half of another is no body."""
_NAMED = frozenset((("checks",),))
"""Lists whose items have a `name`: the same name is replaced, another is added."""

_Entries = list[tuple[Node, Node]]


def merged(root: Tree, member: Tree) -> LayeredTree:
    """The member's effective tree. Both were composed as layers; neither is changed."""
    if not isinstance(root.root, MappingNode):
        return LayeredTree(root.file, root.root)
    if not isinstance(member.root, MappingNode):
        return LayeredTree(member.file, member.root)  # which no contract is, and the parser says so
    base = _without(root.root, ROOT_ONLY)
    return LayeredTree(member.file, _mappings(base, _without(member.root, ROOT_ONLY), ()))


def _without(node: MappingNode, key: str) -> MappingNode:
    return _mapping(node, [entry for entry in node.value if _key_of(entry[0]) != key])


def _mapping(like: MappingNode, entries: _Entries) -> MappingNode:
    return MappingNode(like.tag, entries, like.start_mark, like.end_mark, like.flow_style)


def _key_of(node: Node) -> str | None:
    return node.value if isinstance(node, ScalarNode) else None


def _mappings(root: MappingNode, member: MappingNode, path: Path_) -> MappingNode:
    """Key by key, in the root's order, then what only the member has. What a file repeats stays repeated."""
    own: dict[str, tuple[Node, Node]] = {}
    repeated: _Entries = []
    for entry in member.value:
        key = _key_of(entry[0])
        if key is None or key in own:
            repeated.append(entry)
        else:
            own[key] = entry
    entries: _Entries = []
    for key_node, value in root.value:
        key = _key_of(key_node)
        found = own.pop(key, None) if key is not None else None
        if found is None or is_null(found[1]):
            entries.append((key_node, value))
        else:
            entries.append((found[0], _values(value, found[1], (*path, key or ""))))
    return _mapping(member, [*entries, *own.values(), *repeated])


def _values(root: Node, member: Node, path: Path_) -> Node:
    if isinstance(root, MappingNode) and isinstance(member, MappingNode) and path[:-1] not in _WHOLE:
        return _mappings(root, member, path)
    if isinstance(root, SequenceNode) and isinstance(member, SequenceNode) and path in _NAMED:
        return _named_items(root, member)
    return member


def _named_items(root: SequenceNode, member: SequenceNode) -> Node:
    own = [_name_of(item) for item in member.value]
    if None in own or None in map(_name_of, root.value):
        return member  # no list of named things, so it replaces as any other list does
    replaced = dict(zip(reversed(own), reversed(member.value), strict=True))
    kept = [replaced.pop(_name_of(item), item) for item in root.value]
    taken = {id(item) for item in kept}
    added = [item for item in member.value if id(item) not in taken]
    return SequenceNode(member.tag, [*kept, *added], member.start_mark, member.end_mark, member.flow_style)


def _name_of(item: Node) -> str | None:
    if not isinstance(item, MappingNode):
        return None
    return next((_key_of(value) for key, value in item.value if _key_of(key) == "name"), None)
