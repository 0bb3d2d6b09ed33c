"""Rules of dependency sources: which fields belong to which kind.

What a prepare body needs around it is in `prepare`.

Source: contract specification 15.3 (`source.kind`); appendix A V344 to V348.
"""

from collections.abc import Iterator

from msgspec import Struct

from ota.contract.grammar import is_empty
from ota.contract.model.bodies import DependencyHydration, DependencySource, ToolBootstrap
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.holders import Holder, prepare_bodies, prepare_steps
from ota.contract.rules.phrases import listed
from ota.contract.rules.wording import broken


class SourceKind(Struct, frozen=True, kw_only=True):
    """One row of the source table."""

    toolchain: str | None = None
    tool: str | None = None
    durable: bool = False
    keys: tuple[str, ...] = ()
    """Beside `cwd` and `compose`."""
    modes: tuple[str, ...] = ()
    rule: str = "V344"
    """Which rule speaks of this kind's fields."""


SOURCE_KINDS = {
    "node_package_manager": SourceKind(
        toolchain="node",
        durable=True,
        keys=("manager", "mode", "frozen_lockfile", "inline_builds", "force", "filter"),
        modes=("install", "ci"),
        rule="V345",
    ),
    "bundler": SourceKind(toolchain="ruby", durable=True, keys=("path",), rule="V347"),
    "composer": SourceKind(tool="composer", durable=True),
    "uv": SourceKind(
        toolchain="python",
        durable=True,
        keys=("mode", "requirements_file", "local_project", "default_index", "indexes", "offline"),
        modes=("sync", "pip_requirements", "pip_local_project"),
        rule="V346",
    ),
    "poetry": SourceKind(toolchain="python", durable=True, keys=("groups", "group_mode", "no_root")),
    "helm": SourceKind(tool="helm", durable=True),
    "go_modules": SourceKind(toolchain="go"),
    "cargo": SourceKind(toolchain="rust"),
    "maven": SourceKind(
        toolchain="java",
        tool="maven",
        keys=("wrapper", "mode", "skip_tests"),
        modes=("resolve", "go_offline"),
    ),
    "gradle": SourceKind(toolchain="java", tool="gradle", keys=("wrapper",)),
    "dotnet_restore": SourceKind(toolchain="dotnet", keys=("config_file", "sources")),
}
"""Package sources of a dependency hydration (contract specification 15.3)."""

IMAGE_KEYS = ("cwd", "file", "files", "env_files", "engine")
NODE_FLAGS = {
    "frozen_lockfile": ("pnpm", "yarn", "bun"),
    "inline_builds": ("yarn",),
    "force": ("npm",),
    "filter": ("pnpm",),
}
"""Which package managers know a flag."""

BOOTSTRAP_KEYS = {
    "pip": ("exe",),
    "poetry": ("cwd",),
    "node_package_manager": ("cwd", "manager", "filter"),
}
BOOTSTRAP_SOURCES = {
    "uv": ("pip",),
    "playwright_browsers": ("poetry", "node_package_manager"),
    "cypress_browsers": ("node_package_manager",),
}
Step = DependencyHydration | ToolBootstrap


def steps(subject: Subject) -> tuple[tuple[Holder, FieldPath, Step], ...]:
    """Every hydration and bootstrap, sequences opened."""
    return subject.collected(_steps)


def _steps(subject: Subject) -> Iterator[tuple[Holder, FieldPath, Step]]:
    for holder, path, prepare in prepare_bodies(subject):
        for place, step in prepare_steps(path, prepare):
            yield holder, place, step


def invalid_hydration(subject: Subject) -> Iterator[Violation]:
    """V344."""
    for _, path, step in steps(subject):
        if isinstance(step, DependencyHydration):
            if step.medium == "container_images":
                yield from _image_hydration(path, step)
            else:
                yield from _package_hydration(path, step.source)


def _image_hydration(path: FieldPath, step: DependencyHydration) -> Iterator[Violation]:
    source = step.source
    if source.kind != "docker_compose":
        yield _v344((*path, "source", "kind"), f"is `{source.kind}`", "images come from `docker_compose`")
        return
    if source.cwd is None:
        yield _v344((*path, "source", "cwd"), "is missing", "the Compose files are found from there")
    if source.file is None and not source.files:
        yield _v344((*path, "source"), "names no compose file", "it needs `file` or `files`")
    if not step.targets:
        yield _v344((*path, "targets"), "is empty", "it names the services whose images are pulled")
    yield from _foreign_fields("V344", (*path, "source"), source, IMAGE_KEYS)


def _package_hydration(path: FieldPath, source: DependencySource) -> Iterator[Violation]:
    kind = SOURCE_KINDS.get(source.kind)
    if kind is None:
        yield _v344(
            (*path, "source", "kind"),
            f"is `{source.kind}`",
            f"package dependencies come from {listed(SOURCE_KINDS)}",
        )
        return
    if source.cwd is None:
        yield _v344((*path, "source", "cwd"), "is missing", "the package manager runs there")
    if kind.rule == "V344":
        yield from _kind_fields(path, source, kind)


def _v344(path: FieldPath, problem: str, why: str) -> Violation:
    return broken("V344", path, problem, why, "complete the hydration, see the table of sources")


def _kind_fields(path: FieldPath, source: DependencySource, kind: SourceKind) -> Iterator[Violation]:
    """Fields of another kind, and a mode of another kind."""
    where = (*path, "source")
    yield from _foreign_fields(kind.rule, where, source, ("cwd", "compose", *kind.keys))
    if source.mode is not None and kind.modes and source.mode not in kind.modes:
        yield broken(
            kind.rule,
            (*where, "mode"),
            f"is `{source.mode}`, which `{source.kind}` does not know",
            f"modes: {listed(kind.modes)}",
            f"use one of {listed(kind.modes)}",
        )
    wrapper = source.compose
    if wrapper is not None and wrapper.rm is not None and wrapper.kind != "run":
        yield broken(
            kind.rule,
            (*where, "compose", "rm"),
            "does not belong to `exec`",
            "only `run` makes a container to remove",
            "remove `rm`, or use `kind: run`",
        )
    if wrapper is not None and is_empty(wrapper.service):
        yield broken(
            kind.rule, (*where, "compose", "service"), "is empty", "it names a service", "name the service"
        )


def _foreign_fields(
    rule: str, path: FieldPath, source: DependencySource, allowed: tuple[str, ...]
) -> Iterator[Violation]:
    for key in source.__struct_fields__:
        if key != "kind" and key not in allowed and getattr(source, key) is not None:
            yield broken(
                rule,
                (*path, key),
                f"does not belong to `{source.kind}`",
                f"it knows {listed(allowed)}",
                f"remove `{key}`",
            )


def _hydrations(subject: Subject, kind: str) -> Iterator[tuple[FieldPath, DependencySource]]:
    for _, path, step in steps(subject):
        if (
            isinstance(step, DependencyHydration)
            and step.source.kind == kind
            and step.medium == "package_dependencies"
        ):
            yield path, step.source


def node_source(subject: Subject) -> Iterator[Violation]:
    """V345."""
    for path, source in _hydrations(subject, "node_package_manager"):
        yield from _kind_fields(path, source, SOURCE_KINDS["node_package_manager"])
        where = (*path, "source")
        for key in ("manager", "mode"):
            if getattr(source, key) is None:
                yield broken(
                    "V345", (*where, key), "is missing", "`manager` and `mode` are required", f"add `{key}`"
                )
        if source.manager is None:
            continue
        if source.mode == "ci" and source.manager != "npm":
            yield broken(
                "V345",
                (*where, "mode"),
                f"is `ci`, which {source.manager} does not have",
                "`ci` belongs to npm",
                "use `mode: install` with `frozen_lockfile: true`",
            )
        for key, managers in NODE_FLAGS.items():
            if getattr(source, key) is not None and source.manager not in managers:
                yield broken(
                    "V345",
                    (*where, key),
                    f"is not known to {source.manager}",
                    f"`{key}` belongs to {listed(managers)}",
                    f"remove `{key}`",
                )
        if source.manager == "yarn" and source.inline_builds is not None and source.mode != "install":
            yield broken(
                "V345",
                (*where, "inline_builds"),
                "needs `mode: install`",
                "it is a flag of `yarn install`",
                "set `mode: install`",
            )


def uv_source(subject: Subject) -> Iterator[Violation]:
    """V346."""
    for path, source in _hydrations(subject, "uv"):
        yield from _kind_fields(path, source, SOURCE_KINDS["uv"])
        mode = source.mode or "sync"
        for key, owner in (("requirements_file", "pip_requirements"), ("local_project", "pip_local_project")):
            stated = getattr(source, key) is not None
            if mode == owner and not stated:
                problem, next_ = "is missing", f"add `{key}`"
            elif mode != owner and stated:
                problem, next_ = (
                    f"does not belong to mode `{mode}`",
                    f"remove `{key}`, or set `mode: {owner}`",
                )
            else:
                continue
            yield broken("V346", (*path, "source", key), problem, f"`{key}` goes with `mode: {owner}`", next_)


def bundler_source(subject: Subject) -> Iterator[Violation]:
    """V347."""
    for path, source in _hydrations(subject, "bundler"):
        yield from _kind_fields(path, source, SOURCE_KINDS["bundler"])
        if source.compose is None and (source.path is None or is_empty(source.path)):
            yield broken(
                "V347",
                (*path, "source", "path"),
                "is missing",
                "gems are installed below the repository unless Compose wraps the source",
                "add a path such as `vendor/bundle`",
            )


def bootstrap_source(subject: Subject) -> Iterator[Violation]:
    """V348."""
    for _, path, step in steps(subject):
        if not isinstance(step, ToolBootstrap):
            continue
        kinds = BOOTSTRAP_SOURCES[step.tool]
        if step.source.kind not in kinds:
            yield broken(
                "V348",
                (*path, "source", "kind"),
                f"is `{step.source.kind}`, which cannot bring `{step.tool}`",
                f"`{step.tool}` comes from {listed(kinds)}",
                f"use `kind: {kinds[0]}`",
            )
        else:
            yield from _foreign_fields(
                "V348", (*path, "source"), step.source, BOOTSTRAP_KEYS[step.source.kind]
            )
        if step.tool != "playwright_browsers":
            for key in ("browsers", "with_deps"):
                if getattr(step, key) is not None:
                    yield broken(
                        "V348",
                        (*path, key),
                        f"does not belong to `{step.tool}`",
                        "only `playwright_browsers` takes it",
                        f"remove `{key}`",
                    )


RULES: tuple[Rule, ...] = (
    invalid_hydration,
    node_source,
    uv_source,
    bundler_source,
    bootstrap_source,
)
