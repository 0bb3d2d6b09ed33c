"""Records of task bodies: command, launch, compose, prepare, action.

`run` and `script` are plain text on the task. A body with kinds is one record per kind,
so a field that belongs to another kind is an unknown key.

Source: contract specification 15.3.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

Engine = Literal["docker", "podman"]


class RuntimeProjection(Struct, frozen=True, kw_only=True):
    """Bind flags derived from an explicit fixed listener."""

    listener: str
    adapter: Literal["uvicorn", "rails", "nextjs"]


class Command(Struct, frozen=True, kw_only=True):
    """Finite argv; no shell reads it."""

    exe: str
    args: tuple[str, ...] = ()
    cwd: str | None = None
    interaction: Literal["auto", "forbidden", "required"] = "auto"
    runtime_projection: RuntimeProjection | None = None


class LaunchCommand(Struct, frozen=True, kw_only=True, tag_field="kind", tag="command"):
    exe: str
    args: tuple[str, ...] = ()
    cwd: str | None = None
    runtime_projection: RuntimeProjection | None = None


class LaunchCompose(Struct, frozen=True, kw_only=True, tag_field="kind", tag="compose"):
    action: Literal["up"]
    engine: Engine | None = None
    services: tuple[str, ...] = ()
    detach: bool = False


class LaunchVolume(Struct, frozen=True, kw_only=True):
    """`name` is another spelling of `source`."""

    source: str
    target: str
    kind: Literal["named"] = "named"


class LaunchContainer(Struct, frozen=True, kw_only=True, tag_field="kind", tag="container"):
    image: str
    engine: Engine | None = None
    args: tuple[str, ...] = ()
    name: str | None = None
    volumes: tuple[LaunchVolume, ...] = ()
    remove: bool | None = None


Launch = LaunchCommand | LaunchCompose | LaunchContainer


class ComposeBody(Struct, frozen=True, kw_only=True):
    """A finite Compose lane. Which fields belong to which kind is rules V330 to V334."""

    kind: Literal["exec", "run", "attach", "up", "build", "stop", "restart", "ps", "rm", "logs", "down"]
    engine: Engine | None = None
    service: str | None = None
    exe: str | None = None
    args: tuple[str, ...] | None = None
    workdir: str | None = None
    tty: bool | None = None
    detach: bool | None = None
    rm: bool | None = None
    build: bool | None = None
    service_ports: bool | None = None
    services: tuple[str, ...] | None = None
    force_recreate: bool | None = None
    force: bool | None = None
    follow: bool | None = None
    remove_volumes: bool | None = None
    timeout_seconds: int | None = None


class ComposeWrapper(Struct, frozen=True, kw_only=True):
    """Runs a dependency source inside a Compose service."""

    kind: Literal["exec", "run"]
    service: str
    engine: Engine | None = None
    workdir: str | None = None
    rm: bool | None = None
    tty: bool | None = None


class LocalProject(Struct, frozen=True, kw_only=True):
    path: str
    editable: bool = False
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    lockfile: str | None = None


class DependencySource(Struct, frozen=True, kw_only=True):
    """Where dependencies come from. Which fields belong to which kind is rules V344 to V348."""

    kind: Literal[
        "docker_compose",
        "node_package_manager",
        "bundler",
        "composer",
        "uv",
        "poetry",
        "helm",
        "go_modules",
        "cargo",
        "maven",
        "gradle",
        "dotnet_restore",
        "pip",
    ]
    cwd: str | None = None
    compose: ComposeWrapper | None = None
    file: str | None = None
    files: tuple[str, ...] | None = None
    env_files: tuple[str, ...] | None = None
    engine: Engine | None = None
    manager: Literal["npm", "pnpm", "yarn", "bun"] | None = None
    mode: (
        Literal["install", "ci", "sync", "pip_requirements", "pip_local_project", "resolve", "go_offline"]
        | None
    ) = None
    frozen_lockfile: bool | None = None
    inline_builds: bool | None = None
    force: bool | None = None
    filter: str | None = None
    path: str | None = None
    requirements_file: str | None = None
    local_project: LocalProject | None = None
    default_index: str | None = None
    indexes: tuple[str, ...] | None = None
    offline: bool | None = None
    groups: tuple[str, ...] | None = None
    group_mode: Literal["with", "only"] | None = None
    no_root: bool | None = None
    wrapper: bool | None = None
    skip_tests: bool | None = None
    config_file: str | None = None
    sources: tuple[str, ...] | None = None
    exe: str | None = None


class DependencyHydration(Struct, frozen=True, kw_only=True, tag_field="kind", tag="dependency_hydration"):
    medium: Literal["container_images", "package_dependencies"]
    source: DependencySource
    targets: tuple[str, ...] | None = None


class ToolBootstrap(Struct, frozen=True, kw_only=True, tag_field="kind", tag="tool_bootstrap"):
    tool: Literal["uv", "playwright_browsers", "cypress_browsers"]
    source: DependencySource
    browsers: tuple[Literal["chromium", "firefox", "webkit", "chrome", "msedge"], ...] | None = None
    with_deps: bool | None = None


class CopyIfMissing(Struct, frozen=True, kw_only=True, tag_field="kind", tag="copy_if_missing"):
    from_: str
    to: str


class RandomValue(Struct, frozen=True, kw_only=True):
    bytes: int = 32
    encoding: Literal["hex", "base64"] = "hex"


class EnvFileVar(Struct, frozen=True, kw_only=True):
    """Exactly one of `value`, `random`, `from_env`, unless `mode` is `remove`."""

    value: str | None = None
    random: RandomValue | None = None
    from_env: str | None = None
    mode: Literal["missing", "replace", "remove"] = "missing"


class EnsureEnvFile(Struct, frozen=True, kw_only=True, tag_field="kind", tag="ensure_env_file"):
    path: str
    template: str | None = None
    template_mode: Literal["missing", "replace"] = "missing"
    vars: Mapping[str, EnvFileVar] = {}


class EnsureFile(Struct, frozen=True, kw_only=True, tag_field="kind", tag="ensure_file"):
    path: str
    template: str | None = None
    value: str | None = None
    random: RandomValue | None = None


class EnsureDirectory(Struct, frozen=True, kw_only=True, tag_field="kind", tag="ensure_directory"):
    path: str


class EnsureVirtualenv(Struct, frozen=True, kw_only=True, tag_field="kind", tag="ensure_virtualenv"):
    path: str
    provider: Literal["uv"] = "uv"
    python: str | None = None


class GitSource(Struct, frozen=True, kw_only=True):
    git: str
    ref: str | None = None


class GitRemote(Struct, frozen=True, kw_only=True):
    name: str
    git: str


class GitCheckout(Struct, frozen=True, kw_only=True):
    path: str
    source: GitSource
    remotes: tuple[GitRemote, ...] = ()


class EnsureGitCheckout(Struct, frozen=True, kw_only=True, tag_field="kind", tag="ensure_git_checkout"):
    path: str
    source: GitSource
    remotes: tuple[GitRemote, ...] = ()


class EnsureGitCheckouts(Struct, frozen=True, kw_only=True, tag_field="kind", tag="ensure_git_checkouts"):
    checkouts: tuple[GitCheckout, ...] = ()


class EnsureGitTemplate(Struct, frozen=True, kw_only=True, tag_field="kind", tag="ensure_git_template"):
    path: str
    source: GitSource


class EnsureContainerNetwork(
    Struct, frozen=True, kw_only=True, tag_field="kind", tag="ensure_container_network"
):
    name: str
    provider: Literal["docker"] = "docker"


class ComposeFamily(Struct, frozen=True, kw_only=True):
    """Compose adapter keys."""

    cwd: str | None = None
    env_files: tuple[str, ...] | None = None
    files: tuple[str, ...] | None = None
    profiles: tuple[str, ...] | None = None
    project_name: str | None = None


class ResetComposeServiceVolume(
    Struct, frozen=True, kw_only=True, tag_field="kind", tag="reset_compose_service_volume"
):
    service: str
    volume: str
    provider: Literal["docker"] = "docker"
    compose: ComposeFamily | None = None


class BuildContainerImage(Struct, frozen=True, kw_only=True, tag_field="kind", tag="build_container_image"):
    file: str
    context: str
    tag: str
    provider: Literal["docker"] = "docker"


FileStep = CopyIfMissing | EnsureEnvFile | EnsureFile | EnsureDirectory
"""Writes files and starts no program."""

BundleStep = (
    FileStep
    | EnsureVirtualenv
    | EnsureGitCheckout
    | EnsureGitCheckouts
    | EnsureGitTemplate
    | EnsureContainerNetwork
    | ResetComposeServiceVolume
)


class EnsureBundle(Struct, frozen=True, kw_only=True, tag_field="kind", tag="ensure_bundle"):
    steps: tuple[BundleStep, ...] = ()


Action = BundleStep | BuildContainerImage | EnsureBundle

SequenceStep = (
    DependencyHydration
    | ToolBootstrap
    | FileStep
    | EnsureVirtualenv
    | EnsureGitCheckout
    | EnsureGitCheckouts
    | EnsureGitTemplate
    | EnsureContainerNetwork
)


class PrepareSequence(Struct, frozen=True, kw_only=True, tag_field="kind", tag="sequence"):
    steps: tuple[SequenceStep, ...] = ()


Prepare = DependencyHydration | ToolBootstrap | PrepareSequence


class Aggregate(Struct, frozen=True, kw_only=True):
    tasks: tuple[str, ...] = ()
