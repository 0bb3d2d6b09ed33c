"""Records of `execution`: contexts, shared backends, the legacy shorthand.

`None` means "not stated", which inheritance needs; an empty list is a statement.

Source: contract specification 11.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from ota.contract.model.requirements import ScopedRequirements
from ota.contract.model.scalars import Fulfillment, Lifecycle, NumberText, OpenValue, Plane


class MemoryResources(Struct, frozen=True, kw_only=True):
    """Memory a container context asks for, as authored (`2GiB`)."""

    minimum: NumberText | None = None
    default: NumberText | None = None


class Resources(Struct, frozen=True, kw_only=True):
    memory: MemoryResources = MemoryResources()


class ContainerSettings(Struct, frozen=True, kw_only=True):
    image: str | None = None
    engines: tuple[str, ...] | None = None
    platform: str | None = None
    user: str | None = None
    resources: Resources | None = None


class SshSettings(Struct, frozen=True, kw_only=True):
    config_file: str | None = None
    identity_file: str | None = None


class RemoteSettings(Struct, frozen=True, kw_only=True):
    provider: str | None = None
    target: str | None = None
    cwd: str | None = None
    ssh: SshSettings | None = None


class Attachments(Struct, frozen=True, kw_only=True):
    compose: tuple[str, ...] | None = None
    isolated_paths: tuple[str, ...] | None = None


class Context(Struct, frozen=True, kw_only=True):
    """One named workload plane. After inheritance `extends` is None and `backend` is set."""

    extends: str | None = None
    backend: Plane | None = None
    lifecycle: Lifecycle | None = None
    only_on: tuple[str, ...] | None = None
    only_arch: tuple[str, ...] | None = None
    env: Mapping[str, str] = {}
    fulfillment: Fulfillment | None = None
    container: ContainerSettings | None = None
    remote: RemoteSettings | None = None
    requirements: ScopedRequirements | None = None
    attachments: Attachments | None = None


class BackendEnvironment(Struct, frozen=True, kw_only=True):
    profile: str | None = None
    image_alias: str | None = None
    image: str | None = None
    source: str | None = None


class SharedBackend(Struct, frozen=True, kw_only=True):
    scope: Literal["local", "remote"]
    backend: Plane
    lifecycle: Lifecycle
    context: str | None = None
    fulfillment: Fulfillment | None = None
    environment: BackendEnvironment | None = None


class Backends(Struct, frozen=True, kw_only=True):
    container: ContainerSettings | None = None
    remote: RemoteSettings | None = None


class Execution(Struct, frozen=True, kw_only=True):
    preferred: Plane | None = None
    supported: tuple[Plane, ...] = ()
    lifecycle: Lifecycle | None = None
    backends: Backends | None = None
    default_context: str | None = None
    contexts: Mapping[str, Context] = {}
    shared_backends: Mapping[str, SharedBackend] = {}
    runtime_boundary: OpenValue = None
