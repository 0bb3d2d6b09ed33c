"""Rules of runtimes, tools, toolchains and orchestrators, and of who owns a name.

The rules of one runtime or tool (`runtime_problems`, `tool_problems`) serve global declarations and
the overlays of contexts and tasks alike.

Source: contract specification 4 to 7; appendix A, V090 to V129.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from ota.contract.grammar import check_os_token, check_shell_safe_token, is_empty
from ota.contract.model.requirements import (
    Acquisition,
    RuntimeRequirement,
    ScopedRuntime,
    ScopedTool,
    TaskRequirements,
    Toolchain,
    ToolchainPlatform,
    ToolRequirement,
)
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.phrases import empty_keys, listed
from ota.contract.rules.values import (
    ALLOWED_SYSTEMS,
    empty_entries,
    empty_text,
    owner_of,
    refused_text,
    said,
    system_tokens,
    unexpected,
)

CANONICAL_SOURCES = MappingProxyType(
    {
        "rust": "rustup",
        "node": "corepack",
        "java": "sdkman",
        "python": "uv",
        "go": "go",
        "ruby": "ruby",
        "dotnet": "dotnet",
    }
)
"""The shipped toolchains and the source that provisions each."""
ALTERNATIVE_SOURCE = "mise"
PACKAGE_MANAGERS = MappingProxyType({"python": ("uv", "poetry"), "ruby": ("bundler",)})
"""Managers a toolchain may list; node takes any, the others none."""
RUST_COMPONENT_TOOLS = ("rustfmt", "clippy")

ARCHIVE_FORMATS = ("tar_gz", "zip")

_RUST_ONLY = ("profile", "components", "targets")
_RUST_INSTALLABLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_WILDCARD_PART = re.compile(r"(^|\.)[xX*]($|\.)")
_PYTHON_INSTALLABLE = re.compile(r"[0-9]+\.[0-9]+(\.[0-9]+)?")

AnyRuntime = RuntimeRequirement | ScopedRuntime
AnyTool = ToolRequirement | ScopedTool


# --- one runtime, one tool ----------------------------------------------------------------------------


def runtime_problems(path: FieldPath, runtime: AnyRuntime) -> Iterator[Violation]:
    """V091 to V097 of one runtime declared at `path`."""
    yield from empty_text("V091", (*path, "version"), runtime.version)
    yield from empty_text("V092", (*path, "provider"), runtime.provider)
    yield from empty_text("V093", (*path, "distribution"), runtime.distribution)
    yield from _platform_keys(path, runtime.only_on, runtime.platforms)
    for system, platform in sorted(runtime.platforms.items()):
        where = (*path, "platforms", system)
        yield from empty_text("V097", (*where, "version"), platform.version)
        yield from empty_text("V092", (*where, "provider"), platform.provider)
        yield from empty_text("V093", (*where, "distribution"), platform.distribution)


def tool_problems(path: FieldPath, tool: AnyTool) -> Iterator[Violation]:
    """V091, V094 to V108 of one tool declared at `path`."""
    name = str(path[-1])
    yield from empty_text("V091", (*path, "version"), tool.version)
    yield from _platform_keys(path, tool.only_on, tool.platforms)
    if tool.acquisition is not None:
        yield from _acquisition(name, (*path, "acquisition"), tool.acquisition)
    for system, platform in sorted(tool.platforms.items()):
        where = (*path, "platforms", system)
        yield from empty_text("V097", (*where, "version"), platform.version)
        if platform.acquisition is not None:
            yield from _acquisition(name, (*where, "acquisition"), platform.acquisition)


def _platform_keys(
    path: FieldPath,
    only_on: tuple[str, ...] | None,
    platforms: Mapping[str, object],
) -> Iterator[Violation]:
    """V094, V095, V096."""
    yield from system_tokens("V094", (*path, "only_on"), only_on)
    for system in sorted(platforms):
        where = (*path, "platforms", system)
        if check_os_token(system) is not None:
            yield Violation(
                rule="V095",
                path=where,
                summary=said(where, f"names the unsupported platform `{system}`"),
                why=f"allowed: {ALLOWED_SYSTEMS}",
                next=f"use one of these; allowed: {ALLOWED_SYSTEMS}",
            )
        elif only_on and system not in only_on:
            yield Violation(
                rule="V096",
                path=where,
                summary=said(where, "would never apply"),
                why=f"a platform must also be in `only_on`, which lists {listed(only_on)}",
                next=f"add `{system}` to `only_on`, or remove the platform entry",
            )


def _acquisition(tool: str, path: FieldPath, acquisition: Acquisition) -> Iterator[Violation]:
    for field in ("package", "version", "run"):
        yield from empty_text("V098", (*path, field), getattr(acquisition, field))
    match acquisition.provider:
        case "corepack":
            yield from _corepack(tool, path, acquisition)
        case "command":
            yield from unexpected(
                "V103", path, acquisition, ("package", "version"), "provider `command` runs one command"
            )
            yield from _needs("V104", path, acquisition, ("shell", "run"))
        case "release_asset":
            yield from _release_asset(path, acquisition)
        case _:
            yield from unexpected(
                "V106",
                path,
                acquisition,
                ("version", "shell", "run"),
                f"provider `{acquisition.provider}` takes only `package`",
            )
    yield from _source_config(path, acquisition)


def _corepack(tool: str, path: FieldPath, acquisition: Acquisition) -> Iterator[Violation]:
    yield from _needs("V099", path, acquisition, ("package", "version"))
    for field in ("package", "version"):
        text = getattr(acquisition, field)
        if text is not None and not is_empty(text):
            yield from refused_text(
                "V100",
                (*path, field),
                text,
                check_shell_safe_token,
                "use a token such as `pnpm` or `10.11.0`",
            )
    if "node" in (tool, acquisition.package):
        yield Violation(
            rule="V101",
            path=path,
            summary=f"{owner_of(path)[0]} would acquire node through corepack",
            why="corepack is a part of node and cannot bring it",
            next="declare `toolchains.node` instead",
        )
    yield from unexpected("V102", path, acquisition, ("shell", "run"), "provider `corepack` runs no command")


def _needs(rule: str, path: FieldPath, record: Acquisition, fields: tuple[str, ...]) -> Iterator[Violation]:
    missing = [field for field in fields if getattr(record, field) is None]
    if missing:
        yield Violation(
            rule=rule,
            path=(*path, missing[0]),
            summary=said(path, f"needs {listed(missing)}"),
            why=f"provider `{record.provider}` needs both {' and '.join(f'`{field}`' for field in fields)}",
            next=f"add {listed(missing)}",
        )


def _release_asset(path: FieldPath, acquisition: Acquisition) -> Iterator[Violation]:
    yield from unexpected(
        "V105",
        path,
        acquisition,
        ("package", "version", "shell", "run"),
        "provider `release_asset` downloads what `source_config.asset_by_platform` names",
    )
    where = (*path, "source_config", "asset_by_platform")
    assets = (acquisition.source_config or {}).get("asset_by_platform")
    if not isinstance(assets, dict) or not assets:
        # An empty `source_config` is V107's; saying both would ask for one edit twice.
        if acquisition.source_config != {}:
            yield _no_assets(where)
        return
    for platform, asset in sorted(assets.items()):
        if not _is_asset(asset):
            yield _no_assets((*where, platform))
        elif isinstance(asset, dict) and "archive" in asset:
            yield from _archive((*where, platform, "archive"), asset["archive"])


def _no_assets(path: FieldPath) -> Violation:
    return Violation(
        rule="V105",
        path=path,
        summary=said(path, "names nothing to download"),
        why="each entry `<os>_<arch>` holds a URL, or a mapping with `url`",
        next="write `asset_by_platform: {linux_x64: https://...}`",
    )


def _is_asset(asset: object) -> bool:
    url = asset.get("url") if isinstance(asset, dict) else asset
    return isinstance(url, str) and not is_empty(url)


def _archive(path: FieldPath, archive: object) -> Iterator[Violation]:
    """V108."""
    stated = archive if isinstance(archive, dict) else {}
    executable = stated.get("executable_path")
    problem = ""
    if stated.get("format") not in ARCHIVE_FORMATS:
        problem = f"`format` must be {' or '.join(f'`{each}`' for each in ARCHIVE_FORMATS)}"
    elif not isinstance(executable, str) or is_empty(executable):
        problem = "`executable_path` must say where in the archive the executable is"
    if problem:
        yield Violation(
            rule="V108",
            path=path,
            summary=said(path, "is not a usable archive"),
            why=problem,
            next="write `archive: {format: tar_gz, executable_path: bin/tool}`",
        )


def _source_config(path: FieldPath, acquisition: Acquisition) -> Iterator[Violation]:
    """V107."""
    if acquisition.source_config is None:
        return
    where = (*path, "source_config")
    if acquisition.provider in ("corepack", "command"):
        why = f"provider `{acquisition.provider}` has no source to configure"
    elif not acquisition.source_config:
        why = "it is empty"
    else:
        return
    yield Violation(
        rule="V107",
        path=where,
        summary=said(where, "is used wrongly"),
        why=why,
        next="remove `source_config`, or use it with a package manager or `release_asset`",
    )


# --- runtimes and tools -------------------------------------------------------------------------------


def runtimes(subject: Subject) -> Iterator[Violation]:
    """V090 to V097."""
    yield from _runtimes(("runtimes",), subject.contract.runtimes)


def tools(subject: Subject) -> Iterator[Violation]:
    """V090, V091, V094 to V108."""
    yield from _tools(("tools",), subject.contract.tools)


def context_requirements(subject: Subject) -> Iterator[Violation]:
    """V090 to V108 for the overlays of contexts."""
    for name, context in sorted(subject.planes.execution.contexts.items()):
        if context.requirements is not None:
            path = ("execution", "contexts", name, "requirements")
            yield from _runtimes((*path, "runtimes"), context.requirements.runtimes)
            yield from _tools((*path, "tools"), context.requirements.tools)


def _runtimes(path: FieldPath, declared: Mapping[str, AnyRuntime]) -> Iterator[Violation]:
    yield from empty_keys("V090", path, owner_of(path)[0], declared)
    for name, runtime in sorted(declared.items()):
        yield from runtime_problems((*path, name), runtime)


def _tools(path: FieldPath, declared: Mapping[str, AnyTool]) -> Iterator[Violation]:
    yield from empty_keys("V090", path, owner_of(path)[0], declared)
    for name, tool in sorted(declared.items()):
        yield from tool_problems((*path, name), tool)


# --- toolchains ---------------------------------------------------------------------------------------


def _toolchains(subject: Subject) -> Iterator[tuple[str, Toolchain, FieldPath]]:
    """Shipped toolchains; rules about details say nothing of a name V111 refuses."""
    for name, toolchain in sorted(subject.contract.toolchains.items()):
        if name in CANONICAL_SOURCES:
            yield name, toolchain, ("toolchains", name)


def toolchain_names(subject: Subject) -> Iterator[Violation]:
    """V110, V111."""
    yield from empty_keys("V110", ("toolchains",), "the contract", subject.contract.toolchains)
    for name in sorted(subject.contract.toolchains):
        if name in CANONICAL_SOURCES or is_empty(name):
            continue
        near = subject.suggestion(name, CANONICAL_SOURCES)
        yield Violation(
            rule="V111",
            path=("toolchains", name),
            summary=f"unsupported toolchain `{name}`",
            why=f"supported: {listed(CANONICAL_SOURCES)}",
            next=f"did you mean `{near}`?" if near else f"declare `{name}` under `runtimes` or `tools`",
        )


def toolchain_versions(subject: Subject) -> Iterator[Violation]:
    """V112, V094 to V097."""
    for _, toolchain, path in _toolchains(subject):
        yield from empty_text("V112", (*path, "version"), toolchain.version)
        for manager, version in sorted(toolchain.package_managers.items()):
            yield from empty_text("V112", (*path, "package_managers", manager), version)
        yield from _platform_keys(path, toolchain.only_on, toolchain.platforms)
        for system, platform in sorted(toolchain.platforms.items()):
            yield from empty_text("V097", (*path, "platforms", system, "version"), platform.version)


def toolchain_sources(subject: Subject) -> Iterator[Violation]:
    """V113, V114."""
    for name, toolchain, path in _toolchains(subject):
        canonical = CANONICAL_SOURCES[name]
        if toolchain.provider is not None and toolchain.provider != canonical:
            yield Violation(
                rule="V113",
                path=(*path, "provider"),
                summary=f"toolchain `{name}` has a provider mismatch: `{toolchain.provider}`",
                why=f"the legacy `provider` can only be `{canonical}`",
                next=f"remove `provider`, or write `{canonical}`",
            )
        source = toolchain.fulfillment.source
        if source is not None and source not in (canonical, ALTERNATIVE_SOURCE):
            yield Violation(
                rule="V114",
                path=(*path, "fulfillment", "source"),
                summary=f"toolchain `{name}` has a source mismatch: `{source}`",
                why=f"supported: `{canonical}`, `{ALTERNATIVE_SOURCE}`",
                next=f"write `source: {canonical}` or `source: {ALTERNATIVE_SOURCE}`",
            )


def toolchain_rust_fields(subject: Subject) -> Iterator[Violation]:
    """V115, V116."""
    for name, toolchain, path in _toolchains(subject):
        platforms = sorted(toolchain.platforms.items())
        places: list[tuple[FieldPath, Toolchain | ToolchainPlatform]] = [(path, toolchain)]
        places += [((*path, "platforms", system), each) for system, each in platforms]
        for where, record in places:
            if name != "rust":
                yield from unexpected(
                    "V115", where, record, _RUST_ONLY, f"the field is not valid here: `{name}` is not rust"
                )
                continue
            yield from empty_text("V116", (*where, "profile"), record.profile)
            for field in ("components", "targets"):
                yield from empty_entries("V116", (*where, field), getattr(record, field))


def toolchain_fulfillment(subject: Subject) -> Iterator[Violation]:
    """V117, V118, V119: what `mode: run` can really install."""
    for name, toolchain, path in _toolchains(subject):
        if toolchain.fulfillment.mode != "run":
            continue
        if toolchain.fulfillment.source == ALTERNATIVE_SOURCE and name == "rust":
            for field in ("components", "targets"):
                if getattr(toolchain, field) is not None:
                    yield Violation(
                        rule="V117",
                        path=(*path, field),
                        summary=f"toolchain `{name}`: `{field}` needs the canonical source",
                        why=f"`{ALTERNATIVE_SOURCE}` installs no {field}",
                        next=f"write `source: {CANONICAL_SOURCES[name]}`, or remove `{field}`",
                    )
        for where, version in _versions(path, toolchain):
            if name == "rust" and not _is_rust_installable(version):
                yield _not_installable("V118", where, version, "use `stable` or a version like `1.94.0`")
            if name == "python" and not _PYTHON_INSTALLABLE.fullmatch(version.strip()):
                yield _not_installable("V119", where, version, "use a plain version like `3.12` or `3.12.10`")


def _versions(path: FieldPath, toolchain: Toolchain) -> Iterator[tuple[FieldPath, str]]:
    """Every stated version that is not blank."""
    stated: list[tuple[FieldPath, str | None]] = [((*path, "version"), toolchain.version)]
    for system, platform in sorted(toolchain.platforms.items()):
        stated.append(((*path, "platforms", system, "version"), platform.version))
    for where, version in stated:
        if version is not None and not is_empty(version):
            yield where, version


def _is_rust_installable(version: str) -> bool:
    return bool(_RUST_INSTALLABLE.fullmatch(version)) and not _WILDCARD_PART.search(version)


def _not_installable(rule: str, path: FieldPath, version: str, hint: str) -> Violation:
    return Violation(
        rule=rule,
        path=path,
        summary=said(path, f"is not one installable version: `{version}`"),
        why="`mode: run` installs exactly one version; a range or a wildcard names many",
        next=hint,
    )


def toolchain_package_managers(subject: Subject) -> Iterator[Violation]:
    """V120."""
    for name, toolchain, path in _toolchains(subject):
        if name == "node":
            continue
        supported = PACKAGE_MANAGERS.get(name, ())
        stated: list[tuple[FieldPath, Iterable[str]]] = [(path, toolchain.package_managers)]
        for system, platform in sorted(toolchain.platforms.items()):
            stated.append(((*path, "platforms", system), platform.package_managers or ()))
        for where, managers in stated:
            for manager in sorted(managers):
                if manager not in supported:
                    yield Violation(
                        rule="V120",
                        path=(*where, "package_managers", manager),
                        summary=f"toolchain `{name}` lists the unsupported manager `{manager}`",
                        why=f"supported: {listed(supported)}" if supported else f"`{name}` supports none",
                        next=f"remove `{manager}`, or declare it under `tools`",
                    )


# --- ownership ----------------------------------------------------------------------------------------


def owned_tools(name: str, toolchain: Toolchain) -> frozenset[str]:
    """Tools a toolchain owns: what its installation brings."""
    listed_managers = set(toolchain.package_managers)
    for platform in toolchain.platforms.values():
        listed_managers.update(platform.package_managers or ())
    match name:
        case "rust":
            components = set(toolchain.components or ())
            for platform in toolchain.platforms.values():
                components.update(platform.components or ())
            return frozenset({"cargo"} | (components & set(RUST_COMPONENT_TOOLS)))
        case "node" | "dotnet":
            return frozenset({name} | listed_managers)
        case "java":
            return frozenset(("javac",))
        case _:
            return frozenset(listed_managers)


def tool_owners(toolchains: Mapping[str, Toolchain]) -> dict[str, str]:
    """Every tool owned by a declared toolchain, and by which."""
    return {
        tool: name
        for name, toolchain in sorted(toolchains.items())
        if name in CANONICAL_SOURCES
        for tool in owned_tools(name, toolchain)
    }


def duplicate_ownership(subject: Subject) -> Iterator[Violation]:
    """V121."""
    contract = subject.contract
    for name in sorted(contract.runtimes):
        if name in contract.toolchains and name in CANONICAL_SOURCES:
            yield _owned("V121", ("runtimes", name), name)
    owners = tool_owners(contract.toolchains)
    for name in sorted(contract.tools):
        if name in owners:
            yield _owned("V121", ("tools", name), owners[name])


def duplicate_task_ownership(subject: Subject) -> Iterator[Violation]:
    """V122, for the task and its variants."""
    if not subject.contract.toolchains:
        return
    for _, task, path in subject.tasks():
        yield from _task_owned((*path, "requirements"), task.requirements)
        for index, variant in enumerate(task.variants):
            yield from _task_owned((*path, "variants", index, "requirements"), variant.requirements)


def _task_owned(path: FieldPath, requirements: TaskRequirements | None) -> Iterator[Violation]:
    if requirements is None:
        return
    yield from _owned_among((*path, "runtimes"), requirements.runtimes, requirements.toolchains)
    for index, alternative in enumerate(requirements.any_of):
        selected = (*requirements.toolchains, *alternative.toolchains)
        yield from _owned_among((*path, "any_of", index, "runtimes"), alternative.runtimes, selected)


def _owned_among(path: FieldPath, names: Iterable[str], selected: tuple[str, ...]) -> Iterator[Violation]:
    for name in sorted(names):
        if name in selected and name in CANONICAL_SOURCES:
            yield _owned("V122", (*path, name), name)


def _owned(rule: str, path: FieldPath, toolchain: str) -> Violation:
    name = str(path[-1])
    return Violation(
        rule=rule,
        path=path,
        summary=f"duplicate ownership: `{name}` is declared beside toolchain `{toolchain}`",
        why=f"toolchain `{toolchain}` owns `{name}`",
        next=f"remove it here, and state its version in `toolchains.{toolchain}`",
    )


# --- orchestrators ------------------------------------------------------------------------------------


def orchestrators(subject: Subject) -> Iterator[Violation]:
    """V125 to V129."""
    declared = subject.contract.orchestrators
    yield from empty_keys("V125", ("orchestrators",), "the contract", declared)
    for name, orchestrator in sorted(declared.items()):
        path: FieldPath = ("orchestrators", name)
        yield from empty_entries("V126", (*path, "config_files"), orchestrator.config_files)
        if orchestrator.launcher is not None:
            yield from empty_text("V127", (*path, "launcher", "exe"), orchestrator.launcher.exe)
            yield from empty_entries("V127", (*path, "launcher", "args"), orchestrator.launcher.args)
        if orchestrator.activation.trust and orchestrator.kind != "mise":
            yield Violation(
                rule="V128",
                path=(*path, "activation", "trust"),
                summary=f"orchestrator `{name}`: `activation.trust` is unsupported for {orchestrator.kind}",
                why="only `mise` knows trust",
                next="remove `trust`",
            )
        if orchestrator.prepare.install and orchestrator.kind == "devenv":
            yield Violation(
                rule="V129",
                path=(*path, "prepare", "install"),
                summary=f"orchestrator `{name}`: `prepare.install` is unsupported for devenv",
                why="only `mise` and `devbox` install ahead of a task",
                next="remove `install`",
            )


RULES: tuple[Rule, ...] = (
    runtimes,
    tools,
    context_requirements,
    toolchain_names,
    toolchain_versions,
    toolchain_sources,
    toolchain_rust_fields,
    toolchain_fulfillment,
    toolchain_package_managers,
    orchestrators,
    duplicate_ownership,
    duplicate_task_ownership,
)
