"""Records of `tasks.*.runtime`: listeners, projections, surface attachments.

Shorthand (`http: 3000`) is gone after parsing: both spellings give one `Listener`.

Source: contract specification 15.9.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from ota.contract.model.readiness import RuntimeReadiness
from ota.contract.model.scalars import Port, Protocol


class BindPort(Struct, frozen=True, kw_only=True):
    """`auto` parses so that a rule can say where it belongs; no valid contract holds it."""

    mode: Literal["fixed", "discover", "auto"]
    value: Port | None = None


class Bind(Struct, frozen=True, kw_only=True):
    address: str
    port: BindPort


class HostPort(Struct, frozen=True, kw_only=True):
    mode: Literal["fixed", "auto"]
    value: Port | None = None


class HostProjection(Struct, frozen=True, kw_only=True):
    address: str
    port: HostPort
    primary: bool = False
    path: str | None = None
    """`/` when an http or https listener states none; None for tcp."""


class ComposePublication(Struct, frozen=True, kw_only=True):
    service: str


class Publication(Struct, frozen=True, kw_only=True):
    compose: ComposePublication | None = None


class Projection(Struct, frozen=True, kw_only=True):
    host: HostProjection | None = None
    publication: Publication | None = None


class Listener(Struct, frozen=True, kw_only=True):
    protocol: Protocol
    bind: Bind
    project: Projection | None = None

    @property
    def host(self) -> HostProjection | None:
        """The host projection, when one is declared."""
        return self.project.host if self.project else None


class AttachedBind(Struct, frozen=True, kw_only=True):
    address: str | None = None
    port: BindPort | None = None


class AttachedHost(Struct, frozen=True, kw_only=True):
    address: str | None = None
    port: HostPort | None = None
    primary: bool | None = None
    path: str | None = None


class AttachedProjection(Struct, frozen=True, kw_only=True):
    host: AttachedHost | None = None


class SurfaceAttachment(Struct, frozen=True, kw_only=True):
    """One attached surface. The list form and an empty map entry give equal records."""

    name: str
    bind: AttachedBind | None = None
    project: AttachedProjection | None = None


class Runtime(Struct, frozen=True, kw_only=True):
    kind: Literal["service"]
    backend_binding: str | None = None
    listeners: Mapping[str, Listener] = {}
    surfaces: tuple[SurfaceAttachment, ...] = ()
    readiness: RuntimeReadiness | None = None
