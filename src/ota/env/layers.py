"""The declared layers of one task's environment, before anything is looked up.

Data only: `ota.env.resolution` turns layers plus the process environment and file bytes into values.

Source: contract specification 9.3; runtime specification 3.2, 3.3; decision D18.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from ota.contract.model.env import EnvSource, EnvVar

PASSWORD_MARK = "\x00password\x00"
"""Stands in a bound URL for a password that is looked up later; no real value can hold a NUL."""

LayerName = Literal[
    "cache_fallback",
    "adapter",
    "profile_env_file",
    "profile",
    "env_file",
    "branch_env_file",
    "context",
    "task",
    "variant",
    "branch",
    "instance",
    "instance_task",
]


class RenderedDotenv(Struct, frozen=True, kw_only=True):
    """A dotenv file that an env profile makes: read as it will be, also before it is written."""

    path: str
    template: str | None = None
    """Repository-relative file whose text comes first."""
    names: tuple[str, ...] = ()
    """What is set in it, where it has a value."""
    basis: "EnvLayers"
    """Where those values come from."""


class EnvLayer(Struct, frozen=True, kw_only=True):
    """One layer of literal values, or one dotenv file to read. Lowest first in `EnvLayers.overlay`."""

    name: LayerName
    values: Mapping[str, str] = {}
    file: str | None = None
    """Repository-relative dotenv path; missing or broken refuses the task."""
    rendered: RenderedDotenv | None = None
    """What makes `file`, which then need not exist."""
    field: tuple[str | int, ...] = ()
    """Where the layer stands in the contract."""
    passwords: Mapping[str, str] = {}
    """Variable to the secret whose value, percent-encoded, takes the place of `PASSWORD_MARK` in it."""


class FileMaker(Struct, frozen=True, kw_only=True):
    """A task that makes a file which values come from."""

    command: str
    """What runs it."""
    sets: tuple[str, ...] = ()
    """Names it gives a value of its own."""


class EnvLayers(Struct, frozen=True, kw_only=True):
    """Everything declared about one task's environment (or the contract's, without a task)."""

    variables: Mapping[str, EnvVar] = {}
    """`env.vars`."""
    sources: tuple[EnvSource, ...] = ()
    """Declared sources in order, a profile's first."""
    overlay: tuple[EnvLayer, ...] = ()
    """Lowest precedence first."""
    required: tuple[str, ...] = ()
    """Names this path makes mandatory (`requirements.env`)."""
    prepend_path: tuple[str, ...] = ()
    append_path: tuple[str, ...] = ()
    policy: Mapping[str, str] = {}
    """Values an org policy supplies; empty until a pack is active."""
    makers: Mapping[str, FileMaker] = {}
    """Normalised path of a file to who makes it, for advice alone."""


def before_files_are_made(layers: EnvLayers) -> EnvLayers:
    """For steps that write files: they may be what makes those that values come from.

    They start no program and read no variable but those they name themselves, so what the contract requires
    of everybody is taken where it is there, and not missed where it is not.
    """
    return replace(
        layers,
        variables={name: replace(each, required=False) for name, each in layers.variables.items()},
        sources=tuple(replace(each, must_exist=False) for each in layers.sources),
    )
