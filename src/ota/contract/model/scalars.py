"""The contract's own scalar types: what a field accepts on the way in, as types.

Each is text or a number as the author wrote it. Range and grammar rules that the
specification numbers are semantic rules (`ota.contract.rules`), not part of the type.

Source: contract specification 0.2.
"""

from typing import Literal, NewType

AnyText = NewType("AnyText", str)
"""Any YAML scalar, kept as its source text (`tasks.*.inputs.*.default`)."""

NumberText = NewType("NumberText", str)
"""A string or a bare number, kept as its source text: versions, durations, memory sizes."""

Port = NewType("Port", int)
"""1 to 65535, checked by the parser."""

OpenValue = object
"""Any YAML value; nothing below it is ever an unknown key."""

Plane = Literal["native", "container", "remote"]
Lifecycle = Literal["persistent", "ephemeral"]
Fulfillment = Literal["none", "run"]
Protocol = Literal["http", "https", "tcp"]
HttpMethod = Literal["GET", "HEAD"]
AddressView = Literal["host", "topology", "internal"]
ActivationMode = Literal["manual", "ensure_started", "restart_ready", "ensure_running", "ensure_ready"]

PLANES: tuple[Plane, ...] = ("native", "container", "remote")
OS_TOKENS = ("linux", "macos", "windows")
