"""Records of `env`. Source: contract specification 9."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

SourceKind = Literal["dotenv", "properties", "json", "yaml", "toml"]


class EnvVar(Struct, frozen=True, kw_only=True):
    """What a variable must be; never an assignment."""

    required: bool = False
    secret: bool = False
    default: str | None = None
    allowed: tuple[str, ...] = ()
    prepend: tuple[str, ...] = ()
    append: tuple[str, ...] = ()
    description: str | None = None


class EnvSource(Struct, frozen=True, kw_only=True):
    kind: SourceKind
    path: str
    must_exist: bool = False


class RenderDotenv(Struct, frozen=True, kw_only=True):
    path: str
    template: str | None = None
    include: tuple[str, ...] = ()


class RenderFile(Struct, frozen=True, kw_only=True):
    path: str
    format: Literal["json", "toml"]
    sources: tuple[str, ...] = ()
    merge_into_existing: bool = False


class Render(Struct, frozen=True, kw_only=True):
    dotenv: RenderDotenv | None = None
    files: tuple[RenderFile, ...] = ()


class EnvProfile(Struct, frozen=True, kw_only=True):
    sources: tuple[EnvSource, ...] = ()
    env_files: tuple[str, ...] = ()
    env: Mapping[str, str] = {}
    render: Render | None = None


class Env(Struct, frozen=True, kw_only=True):
    vars: Mapping[str, EnvVar] = {}
    sources: tuple[EnvSource, ...] = ()
    profiles: Mapping[str, EnvProfile] = {}
