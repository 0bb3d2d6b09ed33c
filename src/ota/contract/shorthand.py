"""Shorthand spellings of records: short and long forms give equal records.

`REWRITERS` see the node before the mapping form is read and may answer for it.
`FINISHERS` see the record after it was read, to fill what the long form leaves implicit.

Source: contract specification 4, 6, 7, 9.1, 15.6, 15.9, 16; rules P05 to P07, P09, P10.
"""

from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ota.contract.listeners import SHORTHAND_ADDRESS
from ota.contract.model.bodies import LaunchVolume
from ota.contract.model.env import EnvVar
from ota.contract.model.readiness import Probe, RuntimeReadiness, ServiceReadiness, SurfaceReadiness
from ota.contract.model.requirements import (
    Acquisition,
    RuntimeRequirement,
    ScopedRuntime,
    ScopedTool,
    ToolchainFulfillment,
    ToolRequirement,
)
from ota.contract.model.runtime import (
    AttachedBind,
    AttachedProjection,
    Bind,
    BindPort,
    HostPort,
    HostProjection,
    Listener,
    Projection,
    Runtime,
    SurfaceAttachment,
)
from ota.contract.model.scalars import Port
from ota.contract.model.workflows import Expose, Instance, Instances, Workflow, Workflows
from ota.contract.parse import (
    FIELD_CONVERTERS,
    FINISHERS,
    MISSING,
    REWRITERS,
    Missing,
    Reader,
    Rewrite,
    choice_of,
    converter_of,
    keyed_pairs,
    mapping_of,
    missing_key,
)
from ota.source.tree import Path_, dotted, is_null, scalar_type, to_int


def _version_only(record: type[Struct]) -> Rewrite:
    def rewrite(node: Node, path: Path_, reader: Reader) -> Any:
        if not isinstance(node, ScalarNode):
            return None
        if scalar_type(node) not in ("str", "int", "float"):
            return reader.wrong_type(node, path, "a version requirement or a mapping")
        return record(version=node.value)

    return rewrite


def _finish_scoped(made: Any, node: Node, path: Path_, reader: Reader) -> Any:
    """A mapping states `required`, true when silent; only the string form leaves it to the base."""
    return replace(made, required=True) if made.required is None else made


def _acquisition(node: Node, path: Path_, reader: Reader) -> Any:
    """`release-asset` is another spelling of `release_asset`."""
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if getattr(key, "value", "") == "provider" and getattr(value, "value", "") == "release-asset":
                value.value = "release_asset"


def _toolchain_fulfillment(node: Node, path: Path_, reader: Reader) -> Any:
    if not isinstance(node, ScalarNode):
        return None
    mode = converter_of(ToolchainFulfillment.__annotations__["mode"])(node, path, reader)
    return mode if isinstance(mode, Missing) else ToolchainFulfillment(mode=mode)


def _env_var(node: Node, path: Path_, reader: Reader) -> Any:
    if isinstance(node, MappingNode):
        return None
    if is_null(node):
        return EnvVar()
    return reader.report(
        "P09",
        node,
        path,
        f"`{dotted(path)}` must be a mapping of requirements",
        "`env.vars` declares what a variable must be; it assigns nothing",
        "write `{default: ...}`, or set the value in a task's `env`",
    )


def _listener(node: Node, path: Path_, reader: Reader) -> Any:
    if not isinstance(node, MappingNode):
        return None
    # The long form reads the pairs again and reports what is wrong with them itself.
    entries = {name: value for name, (_, value) in keyed_pairs(node, path, Reader(reader.tree)).items()}
    short = [name for name in ("http", "tcp") if name in entries]
    if not short:
        return None
    if len(short) == 2:
        return reader.report(
            "P06",
            node,
            path,
            f"`{dotted(path)}` declares both `http` and `tcp`",
            "one listener has one protocol",
            "keep one of them, or declare a second listener",
        )
    protocol = short[0]
    mixed = [name for name in ("protocol", "bind", "project") if name in entries]
    if mixed:
        return reader.report(
            "P05",
            node,
            path,
            f"`{dotted(path)}` mixes the shorthand `{protocol}` with `{mixed[0]}`",
            f"`{protocol}: PORT` stands for the whole listener",
            f"remove {', '.join(f'`{name}`' for name in mixed)}, or write the listener in full form",
        )
    if any(name != protocol and not name.startswith("x-") for name in entries):
        return _reject_extra(entries, protocol, node, path, reader)
    keyed_pairs(node, path, reader)
    return _shorthand_listener(protocol, entries[protocol], (*path, protocol), reader)


def _reject_extra(
    entries: dict[str, Node], protocol: str, node: Node, path: Path_, reader: Reader
) -> Missing:
    extra = next(name for name in entries if name != protocol and not name.startswith("x-"))
    return reader.report(
        "P01",
        node,
        (*path, extra),
        f"unknown key `{dotted((*path, extra))}`",
        f"the shorthand `{protocol}: PORT` takes no other key",
        f"remove `{extra}`, or write the listener in full form",
    )


def _shorthand_listener(protocol: str, node: Node, path: Path_, reader: Reader) -> Any:
    if not isinstance(node, ScalarNode) or scalar_type(node) != "int" or len(node.value) > 10:
        return reader.wrong_type(
            node, path, "a port number", "write one port, or use the full form for a different bind"
        )
    port = to_int(node.value)
    if not 1 <= port <= 65535:
        return reader.report(
            "P07",
            node,
            path,
            f"`{dotted(path)}` is not a port",
            f"found {port}; ports are 1 to 65535",
            "write a port from 1 to 65535",
        )
    return Listener(
        protocol="http" if protocol == "http" else "tcp",
        bind=Bind(address=SHORTHAND_ADDRESS, port=BindPort(mode="fixed", value=Port(port))),
        project=Projection(
            host=HostProjection(
                address=SHORTHAND_ADDRESS,
                port=HostPort(mode="fixed", value=Port(port)),
                path="/" if protocol == "http" else None,
            )
        ),
    )


def _finish_listener(made: Listener, node: Node, path: Path_, reader: Reader) -> Listener:
    host = made.host
    if made.project is None or host is None or host.path is not None or made.protocol == "tcp":
        return made
    return replace(made, project=replace(made.project, host=replace(host, path="/")))


def _bind_mode(node: Node, path: Path_, reader: Reader) -> Any:
    """`auto` passes, for the rule that says where it belongs; it is never offered."""
    if isinstance(node, ScalarNode) and node.value == "auto":
        return node.value
    return _BIND_MODES(node, path, reader)


_BIND_MODES = choice_of(("fixed", "discover"))


def _attachments(node: Node, path: Path_, reader: Reader) -> Any:
    """`surfaces: [a]` and `surfaces: {a: {}}` are one thing; order is kept."""
    if isinstance(node, SequenceNode):
        names = [converter_of(str)(item, (*path, index), reader) for index, item in enumerate(node.value)]
        return MISSING if MISSING in names else tuple(SurfaceAttachment(name=name) for name in names)
    if not isinstance(node, MappingNode):
        return reader.wrong_type(node, path, "a list of surface names or a mapping")
    made: list[Any] = []
    for name, (_, value) in keyed_pairs(node, path, reader).items():
        if name.startswith("x-"):
            continue
        made.append(
            SurfaceAttachment(name=name)
            if is_null(value)
            else converter_of(_Attachment)(value, (*path, name), reader)
        )
        if isinstance(made[-1], _Attachment):
            made[-1] = SurfaceAttachment(name=name, bind=made[-1].bind, project=made[-1].project)
    return MISSING if MISSING in made else tuple(made)


class _Attachment(Struct, frozen=True, kw_only=True):
    """The map form's value: an attachment without its name."""

    bind: AttachedBind | None = None
    project: AttachedProjection | None = None


def _volume(node: Node, path: Path_, reader: Reader) -> Any:
    """`name` is another spelling of `source`."""
    if isinstance(node, MappingNode):
        keys = [getattr(key, "value", "") for key, _ in node.value]
        if "name" in keys and "source" not in keys:
            node.value[keys.index("name")][0].value = "source"


def _expose(node: Node, path: Path_, reader: Reader) -> Any:
    if isinstance(node, ScalarNode) and scalar_type(node) == "str":
        return Expose(url=node.value)
    if not isinstance(node, MappingNode):
        return reader.wrong_type(node, path, "a URL or `{surface: NAME}`")
    surface = converter_of(_ExposedSurface)(node, path, reader)
    return surface if isinstance(surface, Missing) else Expose(surface=surface.surface)


class _ExposedSurface(Struct, frozen=True, kw_only=True):
    """The mapping form of an entry of `exposes`."""

    surface: str


def _workflows(node: Node, path: Path_, reader: Reader) -> Any:
    if not isinstance(node, MappingNode):
        return None
    return _with_default(node, path, reader, Workflows, Workflow, "entries", {"default": str})


def _instances(node: Node, path: Path_, reader: Reader) -> Any:
    if not isinstance(node, MappingNode):
        return None
    if all(getattr(key, "value", "") != "default" or is_null(value) for key, value in node.value):
        return missing_key("default", node, path, reader, rule="P10")
    own = {"default": str, "generated": Instances.__annotations__["generated"]}
    return _with_default(node, path, reader, Instances, Instance, "named", own)


def _with_default(
    node: MappingNode,
    path: Path_,
    reader: Reader,
    record: type[Struct],
    entry: type[Struct],
    entries_field: str,
    own: dict[str, Any],
) -> Any:
    """A mapping that keeps a few keys of its own beside free names."""
    values: dict[str, Any] = {}
    entries: dict[str, Any] = {}
    failed = False
    for name, (_, child) in keyed_pairs(node, path, reader).items():
        if name.startswith("x-"):
            continue
        if name in own:
            if is_null(child):
                continue
            values[name] = value = converter_of(own[name])(child, (*path, name), reader)
        else:
            entries[name] = value = (
                entry() if is_null(child) else converter_of(entry)(child, (*path, name), reader)
            )
        failed = failed or value is MISSING
    return MISSING if failed else record(**values, **{entries_field: entries})


REWRITERS |= {
    RuntimeRequirement: _version_only(RuntimeRequirement),
    ToolRequirement: _version_only(ToolRequirement),
    ScopedRuntime: _version_only(ScopedRuntime),
    ScopedTool: _version_only(ScopedTool),
    Acquisition: _acquisition,
    ToolchainFulfillment: _toolchain_fulfillment,
    EnvVar: _env_var,
    Listener: _listener,
    LaunchVolume: _volume,
    Expose: _expose,
    Workflows: _workflows,
    Instances: _instances,
}

FINISHERS |= {
    ScopedRuntime: _finish_scoped,
    ScopedTool: _finish_scoped,
    Listener: _finish_listener,
}

FIELD_CONVERTERS[(Runtime, "surfaces")] = _attachments
FIELD_CONVERTERS[(BindPort, "mode")] = _bind_mode

# `X-...` is what half of all HTTP headers are called, so here the prefix says nothing.
for _owner in (SurfaceReadiness, Probe, ServiceReadiness, RuntimeReadiness):
    FIELD_CONVERTERS[(_owner, "headers")] = mapping_of(None, converter_of(str), keeps_x=True)
