"""The JSON Schema of `ota.yaml`, generated from the records.

Says the shape the parser accepts: keys, types, enumerations, shorthand alternatives, and the grammar of
single values where a pattern can say it. What needs two fields at once is left to the rules.

Source: contract specification, whole; JSON Schema 2020-12.
"""

import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

from msgspec import NODEFAULT, Struct

import ota.contract.shorthand  # noqa: F401  registers the shorthand spellings with the parser
from ota.contract.describe import about_field, about_record
from ota.contract.model import Contract
from ota.contract.model.bodies import LaunchVolume
from ota.contract.model.env import EnvVar
from ota.contract.model.requirements import (
    Acquisition,
    RuntimeRequirement,
    ScopedRuntime,
    ScopedTool,
    ToolchainFulfillment,
    ToolRequirement,
)
from ota.contract.model.runtime import Listener, Runtime, SurfaceAttachment
from ota.contract.model.scalars import OS_TOKENS, AnyText, NumberText, Port
from ota.contract.model.workflows import Expose, Instance, Instances, Workflow, Workflows
from ota.contract.parse import annotations_of, defaulted_fields, field_key, records_of

Schema = dict[str, Any]

SCHEMA_ID = "https://schemas.ota.example/v1/ota.schema.json"

_PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
_STATUS: Schema = {"type": "integer", "minimum": 100, "maximum": 599}
_OS: Schema = {"type": "string", "enum": list(OS_TOKENS)}
_REMARKS: Schema = {"^x-": True}
_DURATION: Schema = {
    "anyOf": [
        {"type": "integer", "minimum": 1},
        {"type": "string", "pattern": "^0*[1-9][0-9]*(ms|s|m|h)?$", "examples": ["500ms", "3s", "2m"]},
    ]
}
_MEMORY: Schema = {
    "anyOf": [
        {"type": "integer", "minimum": 1},
        {
            "type": "string",
            "pattern": r"^\s*0*[1-9][0-9]*([Bb]|[KkMmGgTt][Ii][Bb])?\s*$",
            "examples": ["512MiB", "2GiB"],
        },
    ]
}
_URL_PATH: Schema = {"type": "string", "pattern": "^/"}
_PLATFORM: Schema = {"type": "string", "pattern": "^linux/[A-Za-z0-9_-]+(/[A-Za-z0-9_.-]+)?$"}

_SCALARS: Mapping[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    object: {},
    AnyText: {"type": ["string", "number", "boolean"]},
    NumberText: {"type": ["string", "number"]},
    Port: _PORT,
}

_TIMED = ("interval", "timeout", "start_period")
_TIMED_RECORDS = (
    "SurfaceReadiness",
    "ServiceReadiness",
    "RuntimeReadiness",
    "Probe",
    "Check",
    "Service",
)
_SHAPES: Mapping[tuple[str, str], Schema] = {
    ("Contract", "version"): {"const": 1},
    **{(record, key): _DURATION for record in _TIMED_RECORDS for key in _TIMED},
    **{
        (record, "retries"): {"type": "integer", "minimum": 1}
        for record in ("SurfaceReadiness", "ServiceReadiness", "RuntimeReadiness")
    },
    **{
        (record, "path"): _URL_PATH
        for record in ("Surface", "SurfaceReadiness", "ServiceReadiness", "RuntimeReadiness", "Probe")
    },
    ("Surface", "port"): _PORT,
    ("Endpoint", "port"): _PORT,
    ("Success", "status"): {"type": "array", "items": _STATUS, "minItems": 1},
    ("Probe", "expect_status"): _STATUS,
    ("Probe", "url"): {"type": "string", "pattern": "^https?://"},
    ("RandomValue", "bytes"): {"type": "integer", "minimum": 1, "maximum": 1024},
    ("MemoryResources", "minimum"): _MEMORY,
    ("MemoryResources", "default"): _MEMORY,
    ("ContainerSettings", "platform"): _PLATFORM,
    ("VariantWhen", "os"): _OS,
    ("When", "os"): _OS,
    ("BindPort", "mode"): {"type": "string", "enum": ["fixed", "discover"]},
    ("Extension", "api_version"): {"type": "integer", "minimum": 1},
    ("MonorepoWorkspace", "members"): {"type": "array", "items": {"type": "string"}, "minItems": 1},
    ("Aggregate", "tasks"): {"type": "array", "items": {"type": "string"}, "minItems": 1},
    ("Execution", "preferred"): {
        "type": "string",
        "enum": ["native", "container", "remote"],
        "description": "Only without contexts.",
    },
}
"""Values whose grammar a pattern or a range can say."""

_NAMES: Mapping[tuple[str, str], Schema] = {
    **{
        (record, "platforms"): _OS
        for record in (
            "Toolchain",
            "RuntimeRequirement",
            "ToolRequirement",
            "ScopedRuntime",
            "ScopedTool",
            "NativePrerequisite",
        )
    },
    ("Contract", "toolchains"): {"enum": ["rust", "node", "java", "python", "go", "ruby", "dotnet"]},
    ("Task", "inputs"): {"pattern": "^[a-z][a-z0-9_]*$"},
    ("Variant", "inputs"): {"pattern": "^[a-z][a-z0-9_]*$"},
    ("EnsureEnvFile", "vars"): {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
    ("AdapterInputs", "overlays"): {"enum": ["compose", "bake", "helm"]},
}
"""Maps whose names follow a grammar."""


def contract_schema() -> Schema:
    """The schema of one contract. Deterministic: the same records give the same document."""
    definitions = {record.__name__: _definition(record) for record in records_of(Contract)}
    root = definitions.pop("Contract")
    del definitions["SurfaceAttachment"]  # written out where it differs: its name is the key
    root["properties"]["metadata"] |= _metadata()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "ota.yaml",
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


def _metadata() -> Schema:
    version = {
        "type": ["string", "number"],
        "description": "Oldest contract level that understands this file, such as `1.6.16`.",
    }
    return {
        "properties": {
            "ota": {
                "description": "Reserved for ota.",
                "properties": {"minimum_version": version},
            }
        }
    }


# --- records -----------------------------------------------------------------------------------


def _definition(record: type[Struct]) -> Schema:
    shape = _object(record)
    special = _SPECIAL.get(record)
    made = special(shape) if special else shape
    about = about_record(record)
    return {"description": about, **made} if about else made


def _object(record: type[Struct]) -> Schema:
    """The mapping form of a record."""
    tag_field = record.__struct_config__.tag_field
    defaults = _defaults(record)
    optional = defaulted_fields(record)
    properties: Schema = {}
    required: list[str] = []
    if tag_field:
        properties[tag_field] = {"const": record.__struct_config__.tag}
        required.append(tag_field)
    for name, annotation in annotations_of(record).items():
        key = field_key(name)
        properties[key] = _field(record, key, annotation, defaults.get(name), name in optional)
        if name not in optional:
            required.append(key)
    made: Schema = {
        "type": "object",
        "properties": properties,
        "patternProperties": _REMARKS,
        "additionalProperties": False,
    }
    if required:
        made["required"] = required
    return made


def _field(record: type[Struct], key: str, annotation: Any, default: Any, is_optional: bool) -> Schema:
    shape = dict(_SHAPES.get((record.__name__, key)) or _shape(annotation))
    names = _NAMES.get((record.__name__, key))
    if names is not None:
        shape["propertyNames"] = {"anyOf": [names, {"pattern": "^x-"}]}
    if key == "only_on":
        shape["items"] = _OS
    if key == "headers":
        del shape["patternProperties"]
    if is_optional:
        shape = _or_null(shape)
    about = about_field(record, key)
    if about:
        shape["description"] = about
    if isinstance(default, bool | int | str):
        shape["default"] = default
    return shape


def _defaults(record: type[Struct]) -> dict[str, Any]:
    names = record.__struct_fields__
    defaults = record.__struct_defaults__
    paired = zip(names[len(names) - len(defaults) :], defaults, strict=True)
    return {name: default for name, default in paired if default is not NODEFAULT}


# --- types -------------------------------------------------------------------------------------


def _shape(annotation: Any) -> Schema:
    """The schema of a field type, as the long form writes it."""
    if annotation in _SCALARS:
        return dict(_SCALARS[annotation])
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        return {"$ref": f"#/$defs/{annotation.__name__}"}
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return {"type": "string", "enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": _shape(arguments[0])}
    if origin in (types.UnionType, Union):
        members = [member for member in arguments if member is not type(None)]
        return _shape(members[0]) if len(members) == 1 else {"anyOf": [_shape(each) for each in members]}
    return _map(*arguments)


def _map(key: Any, value: Any) -> Schema:
    if value is object:
        return {"type": "object"}
    made: Schema = {"type": "object", "patternProperties": _REMARKS}
    if get_origin(key) is Literal:
        made["properties"] = {name: _shape(value) for name in get_args(key)}
        made["additionalProperties"] = False
    else:
        made["additionalProperties"] = _shape(value)
    return made


def _or_null(shape: Schema) -> Schema:
    """A key without a value is the same as no key."""
    if not shape:
        return shape
    if "enum" in shape and "type" in shape:
        return {**shape, "type": [shape["type"], "null"], "enum": [*shape["enum"], None]}
    if "type" in shape:
        kinds = shape["type"] if isinstance(shape["type"], list) else [shape["type"]]
        return {**shape, "type": [*kinds, "null"]}
    if "anyOf" in shape:
        return {**shape, "anyOf": [*shape["anyOf"], {"type": "null"}]}
    return {"anyOf": [shape, {"type": "null"}]}


# --- shorthand ---------------------------------------------------------------------------------


def _or_version(shape: Schema) -> Schema:
    return {"anyOf": [{"type": ["string", "number"], "description": "Version requirement."}, shape]}


def _fulfillment(shape: Schema) -> Schema:
    return {"anyOf": [{"type": "string", "enum": ["none", "run"]}, shape]}


def _acquisition(shape: Schema) -> Schema:
    shape["properties"]["provider"]["enum"].append("release-asset")
    return shape


def _env_var(shape: Schema) -> Schema:
    return _or_null(shape)


def _listener(shape: Schema) -> Schema:
    short = [
        {
            "type": "object",
            "description": f"Shorthand: {protocol} on this port of 127.0.0.1, here and on the host.",
            "properties": {protocol: _PORT},
            "required": [protocol],
            "patternProperties": _REMARKS,
            "additionalProperties": False,
        }
        for protocol in ("http", "tcp")
    ]
    return {"anyOf": [*short, shape]}


def _runtime(shape: Schema) -> Schema:
    attachment = _object(SurfaceAttachment)
    del attachment["properties"]["name"], attachment["required"]
    surfaces = shape["properties"]["surfaces"]
    described = {"description": surfaces["description"]}
    shape["properties"]["surfaces"] = described | {
        "anyOf": [
            {"type": "array", "items": {"type": "string"}},
            {
                "type": "object",
                "patternProperties": _REMARKS,
                "additionalProperties": _or_null(attachment),
            },
            {"type": "null"},
        ]
    }
    return shape


def _volume(shape: Schema) -> Schema:
    shape["properties"]["name"] = shape["properties"]["source"]
    shape["required"] = ["target"]
    shape["oneOf"] = [{"required": ["source"]}, {"required": ["name"]}]
    return shape


def _expose(shape: Schema) -> Schema:
    del shape["properties"]["url"]
    shape["properties"]["surface"] = {
        "type": "string",
        "description": shape["properties"]["surface"]["description"],
    }
    shape["required"] = ["surface"]
    return {"anyOf": [{"type": "string", "description": "Literal URL."}, shape]}


def _workflows(shape: Schema) -> Schema:
    return _beside(shape, "entries", Workflow)


def _instances(shape: Schema) -> Schema:
    return _beside(shape, "named", Instance)


def _beside(shape: Schema, entries: str, entry: type[Struct]) -> Schema:
    """Free names beside a few keys of the mapping's own."""
    del shape["properties"][entries]
    return {**shape, "additionalProperties": _or_null(_shape(entry))}


_SPECIAL = {
    RuntimeRequirement: _or_version,
    ToolRequirement: _or_version,
    ScopedRuntime: _or_version,
    ScopedTool: _or_version,
    ToolchainFulfillment: _fulfillment,
    Acquisition: _acquisition,
    EnvVar: _env_var,
    Listener: _listener,
    Runtime: _runtime,
    LaunchVolume: _volume,
    Expose: _expose,
    Workflows: _workflows,
    Instances: _instances,
}
"""Records that have another spelling than their mapping form."""
