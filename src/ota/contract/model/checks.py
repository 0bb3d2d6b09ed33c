"""Records of `checks`. Source: contract specification 14; decisions D4, D19."""

from typing import Literal

from msgspec import Struct

from ota.contract.model.scalars import NumberText


class HostRule(Struct, frozen=True, kw_only=True):
    """Exactly one of `policy` and `allowed`."""

    policy: Literal["not_loopback"] | None = None
    allowed: tuple[str, ...] | None = None


class EnvAssertion(Struct, frozen=True, kw_only=True):
    """`key` plus exactly one operator."""

    key: str
    state: Literal["present", "missing"] | None = None
    equals: str | None = None
    not_equals: tuple[str, ...] | None = None
    host: HostRule | None = None
    url_host: HostRule | None = None


class EnvCheck(Struct, frozen=True, kw_only=True):
    path: str | None = None
    assertions: tuple[EnvAssertion, ...] = ()


class ChangedFiles(Struct, frozen=True, kw_only=True):
    paths: tuple[str, ...]
    base_ref: str | None = None
    head_ref: str | None = None
    include_untracked: bool = False


class Check(Struct, frozen=True, kw_only=True):
    name: str
    kind: Literal["precondition", "health", "file", "env", "changed_files"]
    severity: Literal["error", "warn", "info"]
    timeout: NumberText | None = None
    run: str | None = None
    probe: str | None = None
    path: str | None = None
    expect: Literal["exists", "file", "directory", "missing"] | None = None
    """None on a file check means `exists`."""
    scope: Literal["repo", "workspace"] | None = None
    env: EnvCheck | None = None
    changed_files: ChangedFiles | None = None
