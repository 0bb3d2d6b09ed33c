"""Package managers and tool installers: which command carries out which declaration.

`commands_of` is a pure function from the declaration to argv; flags come from its fields and from
nowhere else. Nothing is asked back: every command is told that nobody answers, where it has to be.

Source: contract specification 15.3 (`dependency_hydration`, `tool_bootstrap`).
"""

import re
from collections.abc import Iterator
from itertools import takewhile

from ota.contract.model.bodies import DependencyHydration, DependencySource, LocalProject, ToolBootstrap
from ota.execute.actions.failure import Unsupported

PackagePart = DependencyHydration | ToolBootstrap
Argv = tuple[str, ...]

_CREDENTIALS = re.compile(r"https?://(?:[^/@:\s]*:)?([^/@\s]+)@")
_NATIVE_LOCK_NAMES = ("uv.lock", "poetry.lock", "Pipfile.lock", "pdm.lock")
"""Lock files that `uv pip install` cannot read."""


def unsupported_package_part(part: PackagePart) -> Unsupported | None:
    """What in the declaration is not carried out, or cannot be told to its tool; else None."""
    source = part.source
    if source.compose is not None:
        return Unsupported(
            what=f"dependency_hydration` in compose service `{source.compose.service}",
            why="this build starts package managers on the host and in container contexts, not in Compose "
            "services",
            next=f"start it in a body `compose: {{kind: {source.compose.kind}, service: "
            f"{source.compose.service}, …}}`",
        )
    project = source.local_project
    if project is not None and project.lockfile is not None and _name(project.lockfile) in _NATIVE_LOCK_NAMES:
        return Unsupported(
            what=f"lockfile: {project.lockfile}",
            why="`uv pip install` cannot read that file",
            next="use `mode: sync`, or name a requirements file or `pylock.toml`",
        )
    return None


def commands_of(part: PackagePart) -> tuple[Argv, ...]:
    """The commands, in order, to be run in the directory of the source."""
    if isinstance(part, ToolBootstrap):
        return (_bootstrap(part),)
    source = part.source
    match source.kind:
        case "node_package_manager":
            return (_node(source),)
        case "bundler":
            # Remembered in `.bundle/config`, so that a later `bundle exec` finds the gems as well.
            where = ("bundle", "config", "set", "--local", "path", source.path or "vendor/bundle")
            return (where, ("bundle", "install"))
        case "composer":
            return (("composer", "install", "--no-interaction"),)
        case "uv":
            return (_uv(source),)
        case "poetry":
            return (("poetry", "install", "--no-interaction", *_poetry_flags(source)),)
        case "helm":
            return (("helm", "dependency", "update"),)
        case "go_modules":
            return (("go", "mod", "download"),)
        case "cargo":
            return (("cargo", "fetch"),)
        case "maven":
            return (_maven(source),)
        case "gradle":
            # A daemon would outlive the task; the run ends what its tasks leave behind.
            exe = "./gradlew" if source.wrapper else "gradle"
            return ((exe, "dependencies", "--no-daemon", "--console=plain"),)
        case "dotnet_restore":
            return (("dotnet", "restore", *_dotnet_flags(source)),)
        case _:
            raise AssertionError(f"validation let `{source.kind}` pass")


def shown_command(argv: Argv) -> str:
    """The command without its flags, which may hold addresses with credentials."""
    return " ".join(takewhile(lambda word: not word.startswith("-"), argv))


def told_of(part: PackagePart) -> str:
    """What was done, in one line."""
    if isinstance(part, ToolBootstrap):
        return f"installed {part.tool.replace('_', ' ')}"
    where = "" if _is_here(part.source.cwd or ".") else f" in {part.source.cwd}"
    return f"ran {shown_command(commands_of(part)[-1])}{where}"


def addresses_of(part: PackagePart) -> tuple[str, ...]:
    """Every URL the declaration names."""
    source = part.source
    default = (source.default_index,) if source.default_index else ()
    return (*default, *(source.indexes or ()), *(source.sources or ()))


def credentials_in(address: str) -> tuple[str, ...]:
    """The password or token that an address carries."""
    found = _CREDENTIALS.match(address)
    return (found[1],) if found is not None else ()


def _node(source: DependencySource) -> Argv:
    manager = source.manager or "npm"
    return (manager, source.mode or "install", *_node_flags(source, manager))


def _node_flags(source: DependencySource, manager: str) -> Iterator[str]:
    if source.filter is not None:
        yield from ("--filter", source.filter)
    if source.frozen_lockfile is not None:
        yield from _frozen(manager, is_frozen=source.frozen_lockfile, is_modern=bool(source.inline_builds))
    if source.inline_builds:
        yield "--inline-builds"
    if source.force:
        yield "--force"


def _frozen(manager: str, *, is_frozen: bool, is_modern: bool) -> Iterator[str]:
    """Yarn has two spellings: the classic one is understood by every version, the newer one is needed
    beside flags that only newer versions have. pnpm alone freezes by default in CI."""
    if manager == "yarn" and is_modern:
        yield "--immutable" if is_frozen else "--no-immutable"
    elif is_frozen:
        yield "--frozen-lockfile"
    elif manager == "pnpm":
        yield "--no-frozen-lockfile"


def _uv(source: DependencySource) -> Argv:
    match source.mode:
        case "pip_requirements":
            what: Argv = ("uv", "pip", "install", "--requirements", source.requirements_file or "")
        case "pip_local_project" if source.local_project is not None:
            what = ("uv", "pip", "install", *_local_project(source.local_project))
        case _:
            what = ("uv", "sync")
    return (*what, *_index_flags(source))


def _local_project(project: LocalProject) -> Iterator[str]:
    extras = f"[{','.join(project.extras)}]" if project.extras else ""
    # A bare name would be looked up in the package index.
    path = project.path if project.path.startswith(".") else f"./{project.path}"
    if project.editable:
        yield "--editable"
    yield f"{path}{extras}"
    for group in project.groups:
        yield from ("--group", group if _is_here(path) else f"{path.rstrip('/')}/pyproject.toml:{group}")
    if project.lockfile is not None:
        is_complete = _name(project.lockfile).startswith("pylock.")
        yield from ("--requirements" if is_complete else "--constraints", project.lockfile)


def _is_here(path: str) -> bool:
    return all(part in ("", ".") for part in path.split("/"))


def _name(path: str) -> str:
    return path.replace("\\", "/").rsplit("/", 1)[-1]


def _index_flags(source: DependencySource) -> Iterator[str]:
    if source.default_index is not None:
        yield from ("--default-index", source.default_index)
    for index in source.indexes or ():
        yield from ("--index", index)
    if source.offline:
        yield "--offline"


def _poetry_flags(source: DependencySource) -> Iterator[str]:
    if source.groups:
        yield from ("--only" if source.group_mode == "only" else "--with", ",".join(source.groups))
    if source.no_root:
        yield "--no-root"


def _maven(source: DependencySource) -> Argv:
    exe = "./mvnw" if source.wrapper else "mvn"
    goal = "dependency:go-offline" if source.mode == "go_offline" else "dependency:resolve"
    return (exe, goal, "--batch-mode", *(("-DskipTests",) if source.skip_tests else ()))


def _dotnet_flags(source: DependencySource) -> Iterator[str]:
    if source.config_file is not None:
        yield from ("--configfile", source.config_file)
    for each in source.sources or ():
        yield from ("--source", each)


# --- tools ----------------------------------------------------------------------------------------


def _bootstrap(part: ToolBootstrap) -> Argv:
    if part.tool == "uv":
        return _pip(part.source.exe or "pip")
    if part.tool == "cypress_browsers":
        return (*_package_binary(part.source, "cypress"), "install")
    deps = ("--with-deps",) if part.with_deps else ()
    return (*_package_binary(part.source, "playwright"), "install", *deps, *(part.browsers or ()))


def _pip(exe: str) -> Argv:
    """`exe` is a pip, or an interpreter that has one."""
    is_interpreter = _name(exe).startswith(("python", "pypy"))
    return (exe, *(("-m", "pip") if is_interpreter else ()), "install", "uv")


def _package_binary(source: DependencySource, name: str) -> Argv:
    """A program that the project's own dependencies bring; never one downloaded on the spot."""
    if source.kind == "poetry":
        return ("poetry", "run", name)
    only = source.filter
    match source.manager:
        case "pnpm":
            return ("pnpm", *(("--filter", only) if only else ()), "exec", name)
        case "yarn":
            return ("yarn", *(("workspace", only) if only else ()), "run", name)
        case "bun":
            return ("bunx", "--no-install", name)
        case _:
            return ("npm", "exec", "--no", *(("--workspace", only) if only else ()), "--", name)
