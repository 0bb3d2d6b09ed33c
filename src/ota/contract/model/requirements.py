"""Records of what work needs: toolchains, orchestrators, runtimes, tools, native prerequisites.

Source: contract specification 4 to 8 and 15.11.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from ota.contract.model.scalars import Fulfillment, NumberText, OpenValue, Plane


class ToolchainFulfillment(Struct, frozen=True, kw_only=True):
    """Flat `fulfillment: run` reads as `{mode: run}`."""

    source: str | None = None
    mode: Fulfillment = "none"


class ToolchainPlatform(Struct, frozen=True, kw_only=True):
    version: NumberText | None = None
    profile: str | None = None
    components: tuple[str, ...] | None = None
    package_managers: Mapping[str, NumberText] | None = None
    targets: tuple[str, ...] | None = None


class Toolchain(Struct, frozen=True, kw_only=True):
    version: NumberText
    required: bool = True
    only_on: tuple[str, ...] | None = None
    fulfillment: ToolchainFulfillment = ToolchainFulfillment()
    provider: str | None = None
    package_managers: Mapping[str, NumberText] = {}
    profile: str | None = None
    components: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None
    platforms: Mapping[str, ToolchainPlatform] = {}


class Launcher(Struct, frozen=True, kw_only=True):
    exe: str
    args: tuple[str, ...] = ()


class OrchestratorActivation(Struct, frozen=True, kw_only=True):
    trust: bool = False


class OrchestratorPrepare(Struct, frozen=True, kw_only=True):
    install: bool = False


class Orchestrator(Struct, frozen=True, kw_only=True):
    kind: Literal["mise", "devbox", "devenv"]
    required: bool = True
    config_files: tuple[str, ...] = ()
    launcher: Launcher | None = None
    activation: OrchestratorActivation = OrchestratorActivation()
    prepare: OrchestratorPrepare = OrchestratorPrepare()


class RuntimePlatform(Struct, frozen=True, kw_only=True):
    version: NumberText | None = None
    provider: str | None = None
    distribution: str | None = None


class RuntimeRequirement(Struct, frozen=True, kw_only=True):
    """`"22"` is `{version: "22", required: true}`."""

    version: NumberText
    required: bool = True
    only_on: tuple[str, ...] | None = None
    provider: str | None = None
    distribution: str | None = None
    platforms: Mapping[str, RuntimePlatform] = {}


class Acquisition(Struct, frozen=True, kw_only=True):
    provider: Literal["corepack", "command", "release_asset", "apt", "brew", "winget", "choco", "scoop"]
    package: str | None = None
    version: NumberText | None = None
    shell: Literal["sh", "bash", "zsh", "pwsh", "cmd"] | None = None
    run: str | None = None
    source_config: Mapping[str, OpenValue] | None = None


class ToolPlatform(Struct, frozen=True, kw_only=True):
    version: NumberText | None = None
    acquisition: Acquisition | None = None


class ToolRequirement(Struct, frozen=True, kw_only=True):
    version: NumberText
    required: bool = True
    only_on: tuple[str, ...] | None = None
    platforms: Mapping[str, ToolPlatform] = {}
    acquisition: Acquisition | None = None


class ScopedRuntime(Struct, frozen=True, kw_only=True):
    """A task's or context's overlay. `required` is None for the string form: the base keeps its detail."""

    version: NumberText
    required: bool | None = None
    only_on: tuple[str, ...] | None = None
    provider: str | None = None
    distribution: str | None = None
    platforms: Mapping[str, RuntimePlatform] = {}


class ScopedTool(Struct, frozen=True, kw_only=True):
    """See `ScopedRuntime`."""

    version: NumberText
    required: bool | None = None
    only_on: tuple[str, ...] | None = None
    platforms: Mapping[str, ToolPlatform] = {}
    acquisition: Acquisition | None = None


class ScopedRequirements(Struct, frozen=True, kw_only=True):
    """`execution.contexts.*.requirements`."""

    runtimes: Mapping[str, ScopedRuntime] = {}
    tools: Mapping[str, ScopedTool] = {}
    toolchains: tuple[str, ...] | None = None


class RequirementSelector(Struct, frozen=True, kw_only=True):
    context: str | None = None
    backend: Plane | None = None


class AlternativeRequirements(Struct, frozen=True, kw_only=True):
    """One entry of `tasks.*.requirements.any_of`."""

    label: str | None = None
    when: RequirementSelector = RequirementSelector()
    runtimes: Mapping[str, ScopedRuntime] = {}
    tools: Mapping[str, ScopedTool] = {}
    toolchains: tuple[str, ...] = ()
    native: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()


class TaskRequirements(Struct, frozen=True, kw_only=True):
    runtimes: Mapping[str, ScopedRuntime] = {}
    tools: Mapping[str, ScopedTool] = {}
    toolchains: tuple[str, ...] = ()
    native: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    any_of: tuple[AlternativeRequirements, ...] = ()


class VisualStudio(Struct, frozen=True, kw_only=True):
    components: tuple[str, ...] = ()


class NativeRequires(Struct, frozen=True, kw_only=True):
    runtimes: Mapping[str, NumberText] | tuple[str, ...] = ()
    tools: Mapping[str, NumberText] | tuple[str, ...] = ()
    toolchains: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()


class NativeActivation(Struct, frozen=True, kw_only=True):
    kind: Literal["visual_studio_dev_shell", "command"]
    arch: str | None = None
    shell: Literal["sh", "bash", "zsh", "pwsh", "cmd"] | None = None
    run: str | None = None


class NativePlatform(Struct, frozen=True, kw_only=True):
    check: str | None = None
    apt: tuple[str, ...] | None = None
    brew: tuple[str, ...] | None = None
    winget: tuple[str, ...] | None = None
    choco: tuple[str, ...] | None = None
    scoop: tuple[str, ...] | None = None
    packages: tuple[str, ...] | None = None
    xcode_clt: bool = False
    visual_studio_build_tools: bool = False
    visual_studio: VisualStudio | None = None
    install: str | None = None
    note: str | None = None
    requires: NativeRequires | None = None
    activation: NativeActivation | None = None


class NativePrerequisite(Struct, frozen=True, kw_only=True):
    description: str | None = None
    required: bool = True
    check: str | None = None
    platforms: Mapping[str, NativePlatform] = {}
