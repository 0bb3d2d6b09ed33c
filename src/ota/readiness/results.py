"""What one attempt found out: how far it came, and a precise word for each way it can fail.

Owns the record and its making. Does not own the attempts (`probes`), nor the reading of answers (`exchange`).

Source: runtime specification 11.1; decisions D7.
"""

import time
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from ota.system.cutting import cut

Reached = Literal["nothing", "connection", "answer", "content"]
"""How far an attempt came: no connection; connected; an answer of the protocol; the right content."""

_ORDER: dict[Reached, int] = {"nothing": 0, "connection": 1, "answer": 2, "content": 3}

Cause = Literal[
    "ok",
    "name_unknown",
    "refused",
    "connect_timed_out",
    "unreachable",
    "not_own_listener",
    "closed_at_once",
    "no_answer",
    "malformed",
    "tls",
    "certificate",
    "status",
    "redirect",
    "body",
    "failed",
]


class ProbeResult(Struct, frozen=True, kw_only=True):
    """What one attempt found out."""

    ok: bool
    reached: Reached
    cause: Cause
    detail: str
    """`refused`, `status 503 (expected 200-399)`; fit to follow the target in a sentence."""
    elapsed_ms: int
    status: int | None = None
    address: str | None = None
    """The literal address this is about."""
    is_local: bool = False
    location: str | None = None
    note: str | None = None
    """Something odd about a success."""
    fix: str = ""
    """What would mend it, where the failure itself tells; fit to follow "next:"."""

    @property
    def depth(self) -> int:
        """`reached` as a number, to compare attempts."""
        return _ORDER[self.reached]

    @property
    def refused_locally(self) -> bool:
        return self.cause == "refused" and self.is_local


def passed(reached: Reached, detail: str) -> ProbeResult:
    return ProbeResult(ok=True, reached=reached, cause="ok", detail=detail, elapsed_ms=0)


def failed(reached: Reached, cause: Cause, detail: str) -> ProbeResult:
    return ProbeResult(ok=False, reached=reached, cause=cause, detail=detail, elapsed_ms=0)


def timed(result: ProbeResult, began: float) -> ProbeResult:
    return replace(result, elapsed_ms=round((time.monotonic() - began) * 1000))


def shortened(text: str, limit: int = 80) -> str:
    line = text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text
    return cut(line, limit)
