"""The reachability ladder: how far the way from a started process to a right answer goes.

    process alive -> socket bound -> answers inside its plane -> published -> answers from the host -> content

Owns the rungs, which one is the first broken one, and what would mend it. `climb` is a pure function
over observations; `observe_ladder` makes them by looking at the workload through its plane.

Source: runtime specification 10.7, 11.3.
"""

import time
from collections.abc import Callable, Collection
from typing import Literal, Protocol

from msgspec import Struct
from msgspec.structs import replace

from ota.readiness.probes import Probe, TcpProbe
from ota.readiness.results import ProbeResult, timed
from ota.system.addresses import address_text
from ota.system.ports import PortHolder, addresses_overlap, find_port_holder, preflight_bind, render_holder
from ota.system.sockets import (
    AttemptDeadline,
    ProcessListener,
    addresses_of,
    is_local,
    is_wildcard,
    listeners_of,
    plain_address,
)

Rung = Literal[
    "process_alive", "socket_bound", "answers_in_plane", "published", "answers_from_host", "content"
]
Standing = Literal["holds", "broken", "not_reached", "not_applicable", "not_observed"]

CONNECT_S = 1.0
"""For the connection that is made beside the workload."""

RUNGS: tuple[Rung, ...] = (
    "process_alive",
    "socket_bound",
    "answers_in_plane",
    "published",
    "answers_from_host",
    "content",
)
RUNG_WORDS: dict[Rung, str] = {
    "process_alive": "process alive",
    "socket_bound": "socket bound",
    "answers_in_plane": "answers inside its plane",
    "published": "published",
    "answers_from_host": "answers from the host",
    "content": "content",
}


class RungRecord(Struct, frozen=True, kw_only=True):
    """One rung as it was found."""

    rung: Rung
    standing: Standing
    detail: str = ""
    elapsed_ms: int | None = None
    """How long the observation took; None when there was nothing to time."""

    @property
    def text(self) -> str:
        """`socket bound: broken, nothing listens (2 ms)`."""
        standing = self.standing.replace("_", " ")
        detail = f", {self.detail}" if self.detail else ""
        took = f" ({self.elapsed_ms} ms)" if self.elapsed_ms is not None else ""
        return f"{RUNG_WORDS[self.rung]}: {standing}{detail}{took}"


class Ladder(Struct, frozen=True, kw_only=True):
    """All rungs in order, and the first broken one with its fix."""

    rungs: tuple[RungRecord, ...]
    broken: Rung | None = None
    why: str = ""
    fix: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(record.text for record in self.rungs)


class Expected(Struct, frozen=True, kw_only=True):
    """What the contract says about the endpoint, in the words its fixes need."""

    subject: str
    """`task \\`dev\\``."""
    listener: str
    bind_address: str
    bind_port: int
    host_address: str
    host_port: int
    is_translated: bool = False
    """An engine stands between bind and host address, so that only a loopback bind is out of reach."""


class Observations(Struct, frozen=True, kw_only=True):
    """What was seen of one workload; None means not observed."""

    is_alive: bool | None = None
    exit_code: int | None = None
    bound: tuple[ProcessListener, ...] | None = None
    """Everything the workload's processes listen on."""
    bound_ms: int | None = None
    stranger: PortHolder | None = None
    """Who else holds the bind port."""
    is_port_taken: bool = False
    """The port cannot be bound, whether or not its holder can be seen."""
    in_plane: ProbeResult | None = None
    is_published: bool | None = None
    """None where nothing translates addresses: native planes."""
    published_detail: str = ""
    from_host: ProbeResult | None = None
    has_printed: bool | None = None
    """Whether the workload has printed anything so far."""


def climb(expected: Expected, seen: Observations) -> Ladder:
    """Judge the observations rung by rung; what lies above the first broken rung was not reached."""
    records: list[RungRecord] = []
    broken: Rung | None = None
    why = fix = ""
    for rung in RUNGS:
        if broken is not None:
            records.append(RungRecord(rung=rung, standing="not_reached"))
            continue
        record, mend = _JUDGES[rung](expected, seen)
        records.append(record)
        if record.standing == "broken":
            broken, why, fix = rung, record.detail, mend
    return Ladder(rungs=tuple(records), broken=broken, why=why, fix=fix)


Judged = tuple[RungRecord, str]


def _judge_process(expected: Expected, seen: Observations) -> Judged:
    if seen.is_alive is None:
        return RungRecord(rung="process_alive", standing="not_observed"), ""
    if seen.is_alive:
        return RungRecord(rung="process_alive", standing="holds"), ""
    code = "" if seen.exit_code is None else f" with exit code {seen.exit_code}"
    record = RungRecord(rung="process_alive", standing="broken", detail=f"it ended{code} before it was ready")
    if seen.exit_code == 0:
        return record, f"keep the server of {expected.subject} in the foreground; ending means stopped"
    return record, "read its output above: the process ended by itself"


def _judge_bound(expected: Expected, seen: Observations) -> Judged:
    if seen.bound is None:
        return RungRecord(rung="socket_bound", standing="not_observed"), ""
    detail, fix = _bind_trouble(expected, seen, seen.bound)
    if fix:
        return _record("socket_bound", "broken", detail, seen.bound_ms), fix
    return _record("socket_bound", "holds", detail, seen.bound_ms), ""


def _bind_trouble(
    expected: Expected, seen: Observations, bound: tuple[ProcessListener, ...]
) -> tuple[str, str]:
    """What is bound and, when that is not what was declared, the fix."""
    wanted = address_text(expected.bind_address, expected.bind_port)
    on_port = [each for each in bound if each.port == expected.bind_port]
    reachable = [each for each in on_port if _is_reachable(each.address, expected)]
    if reachable:
        return f"on {', '.join(each.text for each in reachable)}", ""
    if on_port and expected.is_translated:
        found = ", ".join(each.address for each in on_port)
        return f"bound on {found}, which is reachable only inside its container", (
            "make it bind 0.0.0.0 (HOST and BIND_ADDRESS carry the declared address)"
        )
    if on_port:
        found = ", ".join(each.address for each in on_port)
        return f"bound on {found}, which {expected.host_address} does not reach", (
            f"make it bind {expected.bind_address} (HOST and BIND_ADDRESS carry it), or set "
            f"`project.host.address` of listener `{expected.listener}` to {on_port[0].address}"
        )
    if seen.stranger is not None:
        return f"{wanted} is held by {render_holder(seen.stranger)}", (
            f"stop what holds port {expected.bind_port}, or declare another port"
        )
    if bound:
        found = ", ".join(each.text for each in bound)
        return f"bound on {found} instead of {wanted}", (
            f"make it listen on port {expected.bind_port} (PORT and BIND_PORT carry it), or declare "
            f"port {bound[0].port} for listener `{expected.listener}`"
        )
    if seen.is_port_taken:
        return f"{wanted} cannot be bound: {render_holder(None)}", (
            f"free port {expected.bind_port}, or declare another port"
        )
    quiet = ", and it has printed nothing so far" if seen.has_printed is False else ""
    return f"nothing of {expected.subject} listens on a TCP port{quiet}", (
        f"make it listen on {wanted} (HOST and PORT carry that), or allow more time with `start_period`"
    )


def _is_reachable(bound: str, expected: Expected) -> bool:
    if expected.is_translated:
        return is_wildcard(bound) or not is_local(bound)
    return _overlaps(bound, expected.host_address)


def _overlaps(bound: str, host: str) -> bool:
    if plain_address(host).lower() != "localhost":
        return addresses_overlap(bound, host)
    return any(addresses_overlap(bound, each) for each in addresses_of(host, AttemptDeadline(1.0)))


def _judge_in_plane(expected: Expected, seen: Observations) -> Judged:
    result = seen.in_plane
    if result is None:
        return RungRecord(rung="answers_in_plane", standing="not_observed"), ""
    if result.reached != "nothing":
        detail = f"accepts connections{f', {result.note}' if result.note else ''}"
        return _record("answers_in_plane", "holds", detail, result.elapsed_ms), ""
    return _record("answers_in_plane", "broken", result.detail, result.elapsed_ms), (
        f"the socket of listener `{expected.listener}` exists but does not take connections: "
        "look for a full accept queue or a stopped process"
    )


def _judge_published(expected: Expected, seen: Observations) -> Judged:
    if seen.is_published is None:
        return RungRecord(rung="published", standing="not_applicable", detail=seen.published_detail), ""
    if seen.is_published:
        return RungRecord(rung="published", standing="holds", detail=seen.published_detail), ""
    return RungRecord(rung="published", standing="broken", detail=seen.published_detail or "not published"), (
        f"start {expected.subject} again so that its port {expected.bind_port} is published"
    )


def _judge_from_host(expected: Expected, seen: Observations) -> Judged:
    result = seen.from_host
    if result is None:
        return RungRecord(rung="answers_from_host", standing="not_observed"), ""
    if result.ok or result.reached in ("answer", "content"):
        address = address_text(result.address or expected.host_address, expected.host_port)
        return _record("answers_from_host", "holds", f"on {address}", result.elapsed_ms), ""
    record = _record("answers_from_host", "broken", result.detail, result.elapsed_ms)
    return record, _host_fix(expected, result)


def _host_fix(expected: Expected, result: ProbeResult) -> str:
    listener = f"listener `{expected.listener}`"
    match result.cause:
        case "malformed" if "TLS" in result.detail:
            return f"declare `protocol: https` for {listener}"
        case "malformed":
            return f"declare `protocol: tcp` for {listener}: what answers there is not an HTTP server"
        case "tls":
            return f"declare `protocol: http` for {listener}, or repair its TLS set-up"
        case "certificate":
            return result.fix
        case "no_answer":
            return "the server accepts but stays silent: look for a blocked worker, or raise `timeout`"
        case "closed_at_once":
            return "the server hangs up without an answer: read its output above"
        case "name_unknown":
            return f"set `project.host.address` of {listener} to an address of this machine"
        case "not_own_listener":
            return f"stop what holds port {expected.host_port}, or declare another port"
        case _:
            return (
                f"make the server reachable on {address_text(expected.host_address, expected.host_port)}, "
                f"or correct `project.host` of {listener}"
            )


def _judge_content(expected: Expected, seen: Observations) -> Judged:
    result = seen.from_host
    if result is None:
        return RungRecord(rung="content", standing="not_observed"), ""
    if result.ok and result.reached == "connection":
        return RungRecord(rung="content", standing="not_applicable", detail="tcp has no content"), ""
    if result.ok:
        return _record("content", "holds", result.detail, None), ""
    return _record("content", "broken", result.detail, None), _content_fix(expected, result)


def _content_fix(expected: Expected, result: ProbeResult) -> str:
    status = result.status or 0
    if result.cause == "body":
        return "correct `body.contains`, or probe the path that answers with this text"
    if result.cause == "redirect":
        return f"probe {result.location} itself, or accept status {status} with `success.status`"
    if status == 404:
        return f"correct `path` of the readiness of {expected.subject}: the server has no such route"
    if status in (401, 403):
        return "probe a route that needs no login, or declare `headers` for the probe"
    if status == 405:
        return "declare the `method` this route allows"
    if status >= 500:
        return "the service itself says that it is not ready: read its output above"
    return f"correct the request, or accept status {status} with `success.status`"


def _record(rung: Rung, standing: Standing, detail: str, elapsed_ms: int | None) -> RungRecord:
    return RungRecord(rung=rung, standing=standing, detail=detail, elapsed_ms=elapsed_ms)


_JUDGES: dict[Rung, Callable[[Expected, Observations], Judged]] = {
    "process_alive": _judge_process,
    "socket_bound": _judge_bound,
    "answers_in_plane": _judge_in_plane,
    "published": _judge_published,
    "answers_from_host": _judge_from_host,
    "content": _judge_content,
}


class WorkloadView(Protocol):
    """A workload as it can be looked at on its plane."""

    def look(self, expected: Expected) -> Observations:
        """Everything up to publication, seen once."""
        ...


class NativeWorkload(Struct, frozen=True, kw_only=True):
    """Processes of this host."""

    pids: Callable[[], Collection[int]]
    exit_code: Callable[[], int | None]
    """The leader's exit code, None while it runs."""
    has_printed: Callable[[], bool] | None = None

    def look(self, expected: Expected) -> Observations:
        seen = _alive(self.exit_code(), self.has_printed)
        if not seen.is_alive:
            return seen
        began = time.monotonic()
        try:
            bound = listeners_of(self.pids())
        except OSError:
            return seen
        seen = replace(seen, bound=bound, bound_ms=round((time.monotonic() - began) * 1000))
        own = next((each for each in bound if each.port == expected.bind_port), None)
        if own is not None:
            return replace(seen, in_plane=_connect(own))
        return replace(
            seen,
            stranger=find_port_holder(expected.bind_address, expected.bind_port),
            is_port_taken=preflight_bind(expected.bind_address, expected.bind_port) == "taken",
        )


class TranslatedWorkload(Struct, frozen=True, kw_only=True):
    """A workload whose ports an engine publishes: its sockets are in a network of its own."""

    exit_code: Callable[[], int | None]
    bound: Callable[[], tuple[ProcessListener, ...] | None]
    """What listens inside; None when that cannot be seen."""
    published: Callable[[int], tuple[bool | None, str]]
    """Whether the engine publishes a bind port, and where."""
    answers_inside: Callable[[ProcessListener], ProbeResult | None]
    """A connection made inside the plane; None when nobody there can make one."""
    has_printed: Callable[[], bool] | None = None

    def look(self, expected: Expected) -> Observations:
        seen = _alive(self.exit_code(), self.has_printed)
        if not seen.is_alive:
            return seen
        began = time.monotonic()
        bound = self.bound()
        seen = replace(seen, bound=bound, bound_ms=round((time.monotonic() - began) * 1000))
        own = next((each for each in bound or () if each.port == expected.bind_port), None)
        if own is not None:
            began = time.monotonic()
            inside = self.answers_inside(own)
            seen = replace(seen, in_plane=inside and timed(inside, began))
        is_published, where = self.published(expected.bind_port)
        return replace(seen, is_published=is_published, published_detail=where)


def _alive(exit_code: int | None, has_printed: Callable[[], bool] | None) -> Observations:
    return Observations(
        is_alive=exit_code is None,
        exit_code=exit_code,
        has_printed=has_printed() if has_printed is not None else None,
    )


def observe_ladder(
    expected: Expected, workload: WorkloadView, probe: Probe, *, last: ProbeResult | None = None
) -> Ladder:
    """Look at a workload once, rung by rung, and judge what was seen.

    `last` is the latest result of the waiting; without it the probe is asked once more, within its
    own timeout.
    """
    seen = workload.look(expected)
    if seen.is_alive:
        seen = replace(seen, from_host=last if last is not None else probe.attempt())
    return climb(expected, seen)


def _connect(listener: ProcessListener) -> ProbeResult:
    host = near_addresses(listener)[-1]
    return TcpProbe(host=host, port=listener.port, timeout_s=CONNECT_S).attempt()


def near_addresses(listener: ProcessListener) -> tuple[str, ...]:
    """Where to connect to it from beside it: `::` stands for both families, and not every place has both."""
    if not is_wildcard(listener.address):
        return (listener.address,)
    return ("127.0.0.1", "::1") if ":" in listener.address else ("127.0.0.1",)
