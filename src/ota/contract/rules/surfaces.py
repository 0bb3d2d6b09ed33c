"""Rules of `surfaces`. How a task attaches one (V443 to V446): `ota.contract.rules.runtime`.

Source: contract specification 10; appendix A, V195 to V203.
"""

from collections.abc import Iterator

from ota.contract.grammar import check_port
from ota.contract.model.readiness import Surface
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.phrases import empty_keys
from ota.contract.rules.values import (
    HTTP_FIELDS,
    bad_timing,
    empty_text,
    request_shape,
    said,
    unexpected,
)


def _surfaces(subject: Subject) -> Iterator[tuple[str, Surface, FieldPath]]:
    for name, surface in sorted(subject.contract.surfaces.items()):
        yield name, surface, ("surfaces", name)


def texts(subject: Subject) -> Iterator[Violation]:
    """V195."""
    yield from empty_keys("V195", ("surfaces",), "the contract", subject.contract.surfaces)
    for _, surface, path in _surfaces(subject):
        yield from empty_text("V195", (*path, "label"), surface.label)
        yield from empty_text("V195", (*path, "purpose"), surface.purpose)


def port(subject: Subject) -> Iterator[Violation]:
    """V197."""
    for name, surface, path in _surfaces(subject):
        if (reason := check_port(surface.port)) is not None:
            yield Violation(
                rule="V197",
                path=(*path, "port"),
                summary=f"surface `{name}` has an invalid port: {surface.port}",
                why=reason,
                next="write a port from 1 to 65535",
            )


def url_path(subject: Subject) -> Iterator[Violation]:
    """V198, V199."""
    for name, surface, path in _surfaces(subject):
        if surface.path is None:
            continue
        if surface.kind == "tcp":
            yield Violation(
                rule="V199",
                path=(*path, "path"),
                summary=f"surface `{name}` is tcp and declares a path",
                why="a path is for http and https only",
                next="remove `path`, or write `kind: http`",
            )
        elif not surface.path.startswith("/"):
            yield Violation(
                rule="V198",
                path=(*path, "path"),
                summary=f"surface `{name}` has an invalid path: `{surface.path}`",
                why="it must start with `/`",
                next=f"write `path: /{surface.path.strip()}`",
            )


def readiness(subject: Subject) -> Iterator[Violation]:
    """V200 to V203."""
    for _, surface, surface_path in _surfaces(subject):
        declared, path = surface.readiness, (*surface_path, "readiness")
        if declared is None:
            continue
        yield from bad_timing("V203", path, declared)
        if declared.kind == "tcp":
            yield from unexpected(
                "V202", path, declared, HTTP_FIELDS, "`kind: tcp` connects; this is http only"
            )
            continue
        yield from _readiness_path(surface, path)
        yield from request_shape("V201", path, declared)


def _readiness_path(surface: Surface, path: FieldPath) -> Iterator[Violation]:
    """V200. An http surface lends its own path, `/` when it states none; a tcp surface has none to lend."""
    declared = surface.readiness.path if surface.readiness is not None else None
    if declared is None and surface.kind != "tcp":
        return
    if declared is None or not declared.startswith("/"):
        where = (*path, "path")
        yield Violation(
            rule="V200",
            path=where,
            summary=said(where, "is required and must start with `/`"),
            why=f"found `{declared}`" if declared is not None else "a tcp surface has no path to lend",
            next="write the path that answers when it is ready, such as `path: /health`",
        )


RULES: tuple[Rule, ...] = (texts, port, url_path, readiness)
