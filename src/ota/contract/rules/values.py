"""Checks of single values that rules of several areas share: empty text, platforms, requests, timing.

Each takes the rule's number and the place of the value, so that one reading of "empty" or "a duration"
serves every field. What a field means stays with its own area.

Source: contract specification 0.2; appendix A, wherever rules repeat each other.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Protocol

from ota.contract.durations import parse_check_timeout, parse_duration_ms
from ota.contract.grammar import check_http_status, check_os_token, is_empty
from ota.contract.model.readiness import Body, Success
from ota.contract.model.scalars import OS_TOKENS
from ota.contract.rules.base import FieldPath, Subject, Violation
from ota.contract.rules.phrases import empty_keys, empty_value, unknown_name
from ota.source.tree import dotted

_OWNERS: dict[FieldPath, str] = {
    ("execution", "contexts"): "context",
    ("execution", "shared_backends"): "shared backend",
    ("readiness", "probes"): "probe",
    ("env", "vars"): "env variable",
    ("env", "profiles"): "env profile",
    ("native_prerequisites",): "native prerequisite",
    ("orchestrators",): "orchestrator",
    ("toolchains",): "toolchain",
    ("runtimes",): "runtime",
    ("tools",): "tool",
    ("extensions",): "extension",
    ("surfaces",): "surface",
    ("services",): "service",
    ("tasks",): "task",
    ("workflows",): "workflow",
}


def owner_of(path: FieldPath) -> tuple[str, FieldPath]:
    """Who a field belongs to, in words (``task `dev` ``), and the rest of the path below it."""
    for length in (2, 1):
        kind = _OWNERS.get(path[:length])
        if kind is not None and len(path) > length:
            return f"{kind} `{path[length]}`", path[length + 1 :]
    return f"`{path[0]}`", path[1:]


def said(path: FieldPath, problem: str) -> str:
    """Owner, field below it, what is wrong: ``task `dev`: `timeout` must be greater than zero``."""
    owner, field = owner_of(path)
    return f"{owner}: `{dotted(field)}` {problem}" if field else f"{owner} {problem}"


# --- text -------------------------------------------------------------------------------------------


def empty_text(rule: str, path: FieldPath, text: str | None) -> Iterator[Violation]:
    """A stated text that is blank."""
    if text is not None and is_empty(text):
        yield empty_value(rule, path, owner_of(path)[0])


def empty_entries(rule: str, path: FieldPath, entries: Iterable[str] | None) -> Iterator[Violation]:
    """Blank entries of a list."""
    for index, entry in enumerate(entries or ()):
        yield from empty_text(rule, (*path, index), entry)


def refused_text(
    rule: str, path: FieldPath, text: str | None, check: Callable[[str], str | None], next_: str
) -> Iterator[Violation]:
    """A stated text that a grammar refuses."""
    reason = check(text) if text is not None else None
    if reason is not None:
        yield Violation(
            rule=rule, path=path, summary=said(path, f"is not valid: `{text}`"), why=reason, next=next_
        )


def unexpected(
    rule: str, path: FieldPath, record: object, fields: Iterable[str], why: str
) -> Iterator[Violation]:
    """Fields that are stated although they do not belong here."""
    for field in fields:
        if getattr(record, field) not in (None, {}, ()):
            key = field.rstrip("_")
            yield Violation(
                rule=rule,
                path=(*path, key),
                summary=said((*path, key), "does not belong here"),
                why=why,
                next=f"remove `{dotted((*path, key))}`",
            )


def unknown(
    subject: Subject, rule: str, path: FieldPath, kind: str, name: str, known: Collection[str]
) -> Iterator[Violation]:
    """A reference to something the contract does not declare."""
    if name not in known:
        yield unknown_name(subject, rule, path, owner_of(path)[0], kind, name, known)


# --- platforms --------------------------------------------------------------------------------------

ALLOWED_SYSTEMS = ", ".join(OS_TOKENS)


def system_tokens(rule: str, path: FieldPath, tokens: tuple[str, ...] | None) -> Iterator[Violation]:
    """`only_on`: a non-empty list of distinct operating systems."""
    yield from token_list(rule, path, tokens, check_os_token, f"allowed: {ALLOWED_SYSTEMS}")


def token_list(
    rule: str,
    path: FieldPath,
    tokens: tuple[str, ...] | None,
    check: Callable[[str], str | None],
    allowed: str,
) -> Iterator[Violation]:
    """A non-empty list of distinct tokens."""
    if tokens is None:
        return
    if not tokens:
        yield Violation(
            rule=rule,
            path=path,
            summary=said(path, "is an empty list"),
            why=f"it would match nothing; {allowed}",
            next=f"name at least one, or remove `{dotted(path)}`",
        )
    seen: set[str] = set()
    for index, token in enumerate(tokens):
        reason = check(token)
        if reason is not None:
            problem, why, next_ = (
                f"has the unsupported value `{token}`",
                allowed,
                f"use one of these; {allowed}",
            )
        elif token in seen:
            problem, why, next_ = (
                f"repeats `{token}`",
                "each value counts once",
                f"remove the second `{token}`",
            )
        else:
            seen.add(token)
            continue
        yield Violation(rule=rule, path=(*path, index), summary=said(path, problem), why=why, next=next_)


# --- requests ---------------------------------------------------------------------------------------


class Request(Protocol):
    """The fields every HTTP readiness owner shares."""

    @property
    def method(self) -> str | None: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def success(self) -> Success | None: ...
    @property
    def body(self) -> Body | None: ...


class Timing(Protocol):
    """The fields every readiness owner with a budget of its own shares."""

    @property
    def interval(self) -> str | None: ...
    @property
    def timeout(self) -> str | None: ...
    @property
    def retries(self) -> int | None: ...
    @property
    def start_period(self) -> str | None: ...


HTTP_FIELDS = ("method", "path", "headers", "success", "body")
"""What only an HTTP request has."""


def request_shape(rule: str, path: FieldPath, request: Request) -> Iterator[Violation]:
    """Empty header, bad status, empty body, HEAD with body: one rule for all four."""
    yield from bad_headers(rule, path, request.headers)
    yield from bad_statuses(rule, path, request.success)
    yield from bad_body(rule, path, request.method, request.body)


def bad_headers(rule: str, path: FieldPath, headers: Mapping[str, str]) -> Iterator[Violation]:
    """Header names that are blank."""
    yield from empty_keys(rule, (*path, "headers"), owner_of(path)[0], headers)


def bad_statuses(rule: str, path: FieldPath, success: Success | None) -> Iterator[Violation]:
    """An empty list of accepted statuses, or a number that is no status."""
    if success is None or success.status is None:
        return
    where = (*path, "success", "status")
    if not success.status:
        yield Violation(
            rule=rule,
            path=where,
            summary=said(where, "is an empty list"),
            why="no status would ever be accepted",
            next="name a status such as 200, or remove the field",
        )
    for index, status in enumerate(success.status):
        yield from bad_status(rule, (*where, index), status)


def bad_status(rule: str, path: FieldPath, status: int | None) -> Iterator[Violation]:
    """A number that is no HTTP status."""
    if status is not None and (reason := check_http_status(status)) is not None:
        yield Violation(
            rule=rule,
            path=path,
            summary=said(path, f"is not an HTTP status: {status}"),
            why=reason,
            next="write a status such as 200",
        )


def bad_body(rule: str, path: FieldPath, method: str | None, body: Body | None) -> Iterator[Violation]:
    """A body match that is empty, or that a HEAD request can never satisfy."""
    if body is None:
        return
    where = (*path, "body", "contains")
    yield from empty_text(rule, where, body.contains)
    if method == "HEAD":
        yield Violation(
            rule=rule,
            path=where,
            summary=said(where, "cannot be combined with method HEAD"),
            why="a HEAD response has no body",
            next="use `method: GET`, or remove `body`",
        )


# --- timing -----------------------------------------------------------------------------------------


def bad_timing(rule: str, path: FieldPath, timing: Timing) -> Iterator[Violation]:
    """Durations that are no positive duration, and a budget of no attempts."""
    for field in ("interval", "timeout", "start_period"):
        yield from bad_duration(rule, (*path, field), getattr(timing, field))
    if timing.retries is not None and timing.retries < 1:
        where = (*path, "retries")
        yield Violation(
            rule=rule,
            path=where,
            summary=said(where, "must be greater than zero"),
            why=f"{timing.retries} attempts would never observe anything",
            next="write how many attempts may fail, such as 30",
        )


def bad_duration(rule: str, path: FieldPath, text: str | None) -> Iterator[Violation]:
    """A text that is no positive duration."""
    if text is not None and (reason := _reason(parse_duration_ms, text)):
        yield _duration(rule, path, text, reason)


def bad_check_timeout(rule: str, path: FieldPath, text: str | None) -> Iterator[Violation]:
    """A check's, probe's or service's timeout that is not positive."""
    if text is not None and (reason := _reason(parse_check_timeout, text)):
        yield _duration(rule, path, text, reason)


def _reason(parse: Callable[[str], object], text: str) -> str:
    try:
        parse(text)
    except ValueError as error:
        return str(error)
    return ""


def _duration(rule: str, path: FieldPath, text: str, reason: str) -> Violation:
    return Violation(
        rule=rule,
        path=path,
        summary=said(path, f"is not a positive duration: `{text}`"),
        why=reason,
        next="write a positive duration such as `500ms` or `5s`",
    )
