"""Which runtimes, tools and toolchains a task needs on its plane, active for the target system.

Owns the selection (scoped before global), the overlay of scoped over global entries, `any_of`,
and toolchain ownership. It probes nothing.

Source: contract specification 4 (ownership), 6, 7, 8, 11.2, 15.11; runtime specification 18.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from ota.contract.model.requirements import (
    AlternativeRequirements,
    NativeRequires,
    RuntimeRequirement,
    ScopedRequirements,
    ScopedRuntime,
    ScopedTool,
    TaskRequirements,
    Toolchain,
    ToolRequirement,
)
from ota.contract.model.scalars import NumberText
from ota.resolve.plan import ArgvBody, BodyPlan, RequirementPlan
from ota.resolve.scope import TaskScope

Field = tuple[str | int, ...]

CANONICAL_SOURCES = {
    "rust": "rustup",
    "node": "corepack",
    "java": "sdkman",
    "python": "uv",
    "go": "go",
    "ruby": "ruby",
    "dotnet": "dotnet",
}
OWNED_TOOLS = {"rust": ("cargo",), "node": ("node",), "java": ("javac",), "dotnet": ("dotnet",)}


class RequirementSet(Struct, frozen=True, kw_only=True):
    """Everything that must hold before the body of one task."""

    requirements: tuple[RequirementPlan, ...] = ()
    native: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()


def is_scoped(ts: TaskScope) -> bool:
    """Whether the task or its context states requirements of its own."""
    context = ts.choice.context.requirements
    own = [requirements for _, requirements in _task_scopes(ts)]
    return any(_names_something(each) for each in [*own, *([context] if context is not None else [])])


def _names_something(each: ScopedRequirements | TaskRequirements | AlternativeRequirements) -> bool:
    return bool(each.runtimes or each.tools or each.toolchains)


def requirement_set(ts: TaskScope, body: BodyPlan | None, *, closure_is_scoped: bool) -> RequirementSet:
    """The requirements of one task, in the order toolchains, runtimes, tools."""
    if ts.task.aggregate is not None:
        return RequirementSet()
    gathered = _Gathered(ts)
    if not closure_is_scoped:
        gathered.add_global()
    context = ts.choice.context.requirements
    if context is not None:
        gathered.add_scoped(("execution", "contexts", ts.choice.name or "", "requirements"), context)
    native: list[str] = []
    env: list[str] = []
    checks: list[str] = []
    for field, requirements in _task_scopes(ts):
        gathered.add_scoped(field, requirements)
        native += requirements.native
        env += requirements.env
        checks += requirements.checks
    for name in dict.fromkeys(native):
        requires = _native_requires(ts, name)
        if requires is not None:
            gathered.add_native(
                ("native_prerequisites", name, "platforms", ts.target_os, "requires"), requires
            )
            env += requires.env
            checks += requires.checks
    if isinstance(body, ArgvBody):
        gathered.add_implicit_tool(body.exe)
    return RequirementSet(
        requirements=gathered.active(),
        native=tuple(dict.fromkeys(native)),
        env=tuple(dict.fromkeys(env)),
        checks=tuple(dict.fromkeys(checks)),
    )


def _task_scopes(ts: TaskScope) -> list[tuple[Field, TaskRequirements | AlternativeRequirements]]:
    """The task's own lists, the first matching alternative of each, and the variant's."""
    stated: list[tuple[Field, TaskRequirements]] = []
    if ts.task.requirements is not None:
        stated.append(((*ts.field, "requirements"), ts.task.requirements))
    if ts.variant is not None and ts.variant[1].requirements is not None:
        index, variant = ts.variant
        assert variant.requirements is not None
        stated.append(((*ts.field, "variants", index, "requirements"), variant.requirements))
    scopes: list[tuple[Field, TaskRequirements | AlternativeRequirements]] = []
    for field, requirements in stated:
        scopes.append((field, requirements))
        for index, alternative in enumerate(requirements.any_of):
            if _applies(ts, alternative):
                scopes.append(((*field, "any_of", index), alternative))
                break
    return scopes


def _applies(ts: TaskScope, alternative: AlternativeRequirements) -> bool:
    when = alternative.when
    return when.context in (None, ts.choice.name) and when.backend in (None, ts.choice.plane)


def _native_requires(ts: TaskScope, name: str) -> NativeRequires | None:
    prerequisite = ts.scope.contract.native_prerequisites.get(name)
    platform = prerequisite.platforms.get(ts.target_os) if prerequisite is not None else None
    return platform.requires if platform is not None else None


class _Gathered:
    """Requirements by kind and name; a later, narrower scope overlays an earlier one."""

    def __init__(self, ts: TaskScope) -> None:
        self.ts = ts
        self.contract = ts.scope.contract
        self.toolchains: dict[str, Field] = {}
        self.runtimes: dict[str, tuple[RuntimeRequirement, Field]] = {}
        self.tools: dict[str, tuple[ToolRequirement, Field]] = {}
        self.implicit: str | None = None

    def add_global(self) -> None:
        """The root maps; containers and remotes never inherit root tools."""
        for name in self.contract.toolchains:
            self.toolchains[name] = ("toolchains", name)
        for name, runtime in self.contract.runtimes.items():
            self.runtimes[name] = (runtime, ("runtimes", name))
        if self.ts.choice.plane == "native":
            for name, tool in self.contract.tools.items():
                self.tools[name] = (tool, ("tools", name))

    def add_scoped(
        self, field: Field, scope: ScopedRequirements | TaskRequirements | AlternativeRequirements
    ) -> None:
        for name in scope.toolchains or ():
            if name in self.contract.toolchains:
                self.toolchains[name] = ("toolchains", name)
        for name, runtime in scope.runtimes.items():
            below = self.runtimes.get(name)
            base = below[0] if below is not None else self.contract.runtimes.get(name)
            self.runtimes[name] = (overlaid_runtime(base, runtime), (*field, "runtimes", name))
        for name, tool in scope.tools.items():
            under = self.tools.get(name)
            base_tool = under[0] if under is not None else self.contract.tools.get(name)
            self.tools[name] = (overlaid_tool(base_tool, tool), (*field, "tools", name))

    def add_native(self, field: Field, requires: NativeRequires) -> None:
        """What a selected prerequisite itself asks for; a bare name means any version."""
        for name, version in _versions(requires.runtimes, self.contract.runtimes):
            self.runtimes.setdefault(name, (RuntimeRequirement(version=version), (*field, "runtimes", name)))
        for name, version in _versions(requires.tools, self.contract.tools):
            self.tools.setdefault(name, (ToolRequirement(version=version), (*field, "tools", name)))
        for name in requires.toolchains:
            if name in self.contract.toolchains:
                self.toolchains.setdefault(name, ("toolchains", name))

    def add_implicit_tool(self, exe: str) -> None:
        """The program of an argv body must exist; a path is no tool to look up."""
        if "/" not in exe and "\\" not in exe:
            self.implicit = exe

    def active(self) -> tuple[RequirementPlan, ...]:
        system = self.ts.target_os
        found: list[RequirementPlan] = []
        owned_runtimes: set[str] = set()
        owned_tools: set[str] = set()
        for name, field in self.toolchains.items():
            toolchain = self.contract.toolchains[name]
            if toolchain.only_on is not None and system not in toolchain.only_on:
                continue
            plans = toolchain_requirements(name, toolchain, system, field)
            found += plans
            owned_runtimes.add(name)
            owned_tools |= {*OWNED_TOOLS.get(name, ()), *(each.name for each in plans[1:])}
        for name, (runtime, field) in self.runtimes.items():
            if name not in owned_runtimes and _is_active(runtime.only_on, system):
                found.append(_runtime(name, runtime, system, field))
        for name, (tool, field) in self.tools.items():
            if name not in owned_tools and _is_active(tool.only_on, system):
                found.append(_tool(name, tool, system, field))
        known = {each.name for each in found if each.kind != "toolchain"} | owned_tools | owned_runtimes
        if self.implicit is not None and self.implicit not in known:
            found.append(
                RequirementPlan(kind="tool", name=self.implicit, version="*", field=(*self.ts.field, "exe"))
            )
        return tuple(found)


def _versions(
    stated: Mapping[str, NumberText] | tuple[str, ...],
    declared: Mapping[str, RuntimeRequirement] | Mapping[str, ToolRequirement],
) -> Iterable[tuple[str, NumberText]]:
    if isinstance(stated, Mapping):
        return stated.items()
    return [(name, declared[name].version if name in declared else NumberText("*")) for name in stated]


def toolchain_requirements(
    name: str, toolchain: Toolchain, system: str, field: Field
) -> list[RequirementPlan]:
    """The toolchain itself, then what it owns beside it: components and package managers."""
    platform = toolchain.platforms.get(system)
    version = platform.version if platform is not None and platform.version else toolchain.version
    managers = dict(toolchain.package_managers)
    components = toolchain.components or ()
    if platform is not None:
        managers.update(platform.package_managers or {})
        components = platform.components if platform.components is not None else components
    source = toolchain.fulfillment.source or toolchain.provider or CANONICAL_SOURCES[name]
    own = RequirementPlan(
        kind="toolchain",
        name=name,
        version=version,
        required=toolchain.required,
        field=field,
        provider=source,
    )
    parts = [(each, "*", "components") for each in components]
    parts += [(manager, wanted, "package_managers") for manager, wanted in managers.items()]
    return [
        own,
        *(
            RequirementPlan(
                kind="tool",
                name=each,
                version=wanted,
                required=toolchain.required,
                field=(*field, group) if group == "components" else (*field, group, each),
                provider=source,
            )
            for each, wanted, group in parts
        ),
    ]


def overlaid_runtime(base: RuntimeRequirement | None, scoped: ScopedRuntime) -> RuntimeRequirement:
    """A string replaces the version alone; a detail replaces version and required, and adds the rest."""
    if base is None:
        return RuntimeRequirement(
            version=scoped.version,
            required=scoped.required is not False,
            only_on=scoped.only_on,
            provider=scoped.provider,
            distribution=scoped.distribution,
            platforms=scoped.platforms,
        )
    if scoped.required is None:
        return replace(base, version=scoped.version)
    return RuntimeRequirement(
        version=scoped.version,
        required=scoped.required,
        only_on=scoped.only_on if scoped.only_on is not None else base.only_on,
        provider=scoped.provider or base.provider,
        distribution=scoped.distribution or base.distribution,
        platforms={**base.platforms, **scoped.platforms},
    )


def overlaid_tool(base: ToolRequirement | None, scoped: ScopedTool) -> ToolRequirement:
    """As `overlaid_runtime`."""
    if base is None:
        return ToolRequirement(
            version=scoped.version,
            required=scoped.required is not False,
            only_on=scoped.only_on,
            platforms=scoped.platforms,
            acquisition=scoped.acquisition,
        )
    if scoped.required is None:
        return replace(base, version=scoped.version)
    return ToolRequirement(
        version=scoped.version,
        required=scoped.required,
        only_on=scoped.only_on if scoped.only_on is not None else base.only_on,
        platforms={**base.platforms, **scoped.platforms},
        acquisition=scoped.acquisition or base.acquisition,
    )


def _is_active(only_on: tuple[str, ...] | None, system: str) -> bool:
    return only_on is None or system in only_on


def _runtime(name: str, runtime: RuntimeRequirement, system: str, field: Field) -> RequirementPlan:
    platform = runtime.platforms.get(system)
    return RequirementPlan(
        kind="runtime",
        name=name,
        version=(platform.version if platform is not None else None) or runtime.version,
        required=runtime.required,
        field=field,
        provider=(platform.provider if platform is not None else None) or runtime.provider,
        distribution=(platform.distribution if platform is not None else None) or runtime.distribution,
    )


def _tool(name: str, tool: ToolRequirement, system: str, field: Field) -> RequirementPlan:
    platform = tool.platforms.get(system)
    return RequirementPlan(
        kind="tool",
        name=name,
        version=(platform.version if platform is not None else None) or tool.version,
        required=tool.required,
        field=field,
        acquisition=(platform.acquisition if platform is not None else None) or tool.acquisition,
    )
