"""Records of `services`. Source: contract specification 12."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from ota.contract.model.readiness import ServiceReadiness
from ota.contract.model.scalars import AddressView, NumberText, OpenValue


class ManagerCommand(Struct, frozen=True, kw_only=True):
    exe: str
    args: tuple[str, ...] = ()
    cwd: str | None = None


class HostUnit(Struct, frozen=True, kw_only=True):
    kind: Literal["systemd"]
    unit: str
    scope: Literal["system", "user"] = "system"


class Manager(Struct, frozen=True, kw_only=True):
    kind: Literal["compose", "host"]
    name: str | None = None
    service: str | None = None
    file: str | None = None
    files: tuple[str, ...] | None = None
    env_file: str | None = None
    env_files: tuple[str, ...] | None = None
    profiles: tuple[str, ...] | None = None
    engine: Literal["docker", "podman"] | None = None
    start: ManagerCommand | None = None
    stop: ManagerCommand | None = None
    host: HostUnit | None = None


class Endpoint(Struct, frozen=True, kw_only=True):
    """`context` defaults to the endpoint's own name."""

    context: str | None = None
    address: str
    port: int


class Producer(Struct, frozen=True, kw_only=True):
    repo: str
    task: str
    listener: str | None = None
    address_view: AddressView | None = None


class Service(Struct, frozen=True, kw_only=True):
    required: bool = False
    manager: Manager | None = None
    endpoints: Mapping[str, Endpoint] = {}
    readiness: ServiceReadiness | None = None
    depends_on: tuple[str, ...] = ()
    producer: Producer | None = None
    lifecycle: OpenValue = None
    provider: str | None = None
    start: str | None = None
    stop: str | None = None
    healthcheck: str | None = None
    timeout: NumberText | None = None
