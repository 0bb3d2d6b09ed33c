"""Records of probes, surfaces and the request shape that every readiness owner shares.

Source: contract specification 10, 12 (readiness) and 13.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from ota.contract.model.scalars import AddressView, HttpMethod, NumberText

ProbeKind = Literal["http", "tcp"]


class Success(Struct, frozen=True, kw_only=True):
    status: tuple[int, ...] | None = None


class Body(Struct, frozen=True, kw_only=True):
    contains: str


class SurfaceReadiness(Struct, frozen=True, kw_only=True):
    kind: ProbeKind
    method: HttpMethod | None = None
    path: str | None = None
    headers: Mapping[str, str] = {}
    success: Success | None = None
    body: Body | None = None
    interval: NumberText | None = None
    timeout: NumberText | None = None
    retries: int | None = None
    start_period: NumberText | None = None


class Surface(Struct, frozen=True, kw_only=True):
    """Reusable endpoint meaning; inert until a service task attaches it."""

    kind: Literal["http", "https", "tcp"]
    port: int
    label: str | None = None
    purpose: str | None = None
    visibility: Literal["public", "internal"] | None = None
    path: str | None = None
    readiness: SurfaceReadiness | None = None


class Observer(Struct, frozen=True, kw_only=True):
    kind: Literal["command_host", "task"] = "command_host"
    task: str | None = None


class ProbeTarget(Struct, frozen=True, kw_only=True):
    kind: Literal["task", "service"]
    name: str
    listener: str | None = None
    endpoint: str | None = None
    address_view: AddressView | None = None
    observer: Observer | None = None


class Probe(Struct, frozen=True, kw_only=True):
    kind: ProbeKind
    url: str | None = None
    target: ProbeTarget | None = None
    timeout: NumberText | None = None
    method: HttpMethod | None = None
    path: str | None = None
    headers: Mapping[str, str] = {}
    success: Success | None = None
    expect_status: int | None = None
    body: Body | None = None


class Readiness(Struct, frozen=True, kw_only=True):
    probes: Mapping[str, Probe] = {}


class ServiceReadiness(Struct, frozen=True, kw_only=True):
    """Exactly one of `probe`, `kind`, `run`."""

    probe: str | None = None
    kind: Literal["http", "tcp", "compose_health", "systemd_active"] | None = None
    run: str | None = None
    from_: str | None = None
    endpoint: str | None = None
    method: HttpMethod | None = None
    path: str | None = None
    headers: Mapping[str, str] = {}
    success: Success | None = None
    body: Body | None = None
    interval: NumberText | None = None
    timeout: NumberText | None = None
    retries: int | None = None
    start_period: NumberText | None = None


class RuntimeReadiness(Struct, frozen=True, kw_only=True):
    """`tasks.*.runtime.readiness`: a named probe, or one inline."""

    probe: str | None = None
    signal_probes: tuple[str, ...] | None = None
    kind: ProbeKind | None = None
    listener: str | None = None
    method: HttpMethod | None = None
    path: str | None = None
    headers: Mapping[str, str] = {}
    success: Success | None = None
    body: Body | None = None
    interval: NumberText | None = None
    timeout: NumberText | None = None
    retries: int | None = None
    start_period: NumberText | None = None
