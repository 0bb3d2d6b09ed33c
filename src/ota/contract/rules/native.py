"""Rules of `native_prerequisites`. Which task selects one (V484): `ota.contract.rules.effects`.

Source: contract specification 8; appendix A, V095 and V132 to V148.
"""

from collections.abc import Iterable, Iterator

from ota.contract.grammar import check_os_token, is_empty
from ota.contract.model.requirements import (
    NativeActivation,
    NativePlatform,
    NativePrerequisite,
    NativeRequires,
    TaskRequirements,
)
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.phrases import empty_keys, listed
from ota.contract.rules.requirements import tool_owners
from ota.contract.rules.values import ALLOWED_SYSTEMS, empty_text, said, unexpected, unknown

PACKAGE_LISTS = ("apt", "brew", "winget", "choco", "scoop", "packages")
GUIDANCE = (*PACKAGE_LISTS, "xcode_clt", "visual_studio_build_tools", "visual_studio", "install", "note")
VISUAL_STUDIO_ARCHES = ("x86", "x64", "amd64", "arm", "arm64")

_PREREQUISITES: FieldPath = ("native_prerequisites",)


def _prerequisites(subject: Subject) -> Iterator[tuple[str, NativePrerequisite, FieldPath]]:
    for name, prerequisite in sorted(subject.contract.native_prerequisites.items()):
        yield name, prerequisite, (*_PREREQUISITES, name)


def _platforms(
    subject: Subject,
) -> Iterator[tuple[NativePrerequisite, str, NativePlatform, FieldPath]]:
    """Every platform entry: its prerequisite, system, record and path."""
    for _, prerequisite, path in _prerequisites(subject):
        for system, platform in sorted(prerequisite.platforms.items()):
            yield prerequisite, system, platform, (*path, "platforms", system)


def names(subject: Subject) -> Iterator[Violation]:
    """V132."""
    yield from empty_keys("V132", _PREREQUISITES, "the contract", subject.contract.native_prerequisites)
    for _, prerequisite, path in _prerequisites(subject):
        yield from empty_text("V132", (*path, "description"), prerequisite.description)


def platforms(subject: Subject) -> Iterator[Violation]:
    """V134, V095."""
    for name, prerequisite, prerequisite_path in _prerequisites(subject):
        path = (*prerequisite_path, "platforms")
        if not prerequisite.platforms:
            yield Violation(
                rule="V134",
                path=path,
                summary=f"native prerequisite `{name}` declares no platform",
                why="at least one platform must say how to get it",
                next="add `platforms: {linux: {apt: [...]}}`, or the platform it is for",
            )
        for system in sorted(prerequisite.platforms):
            if check_os_token(system) is not None:
                yield Violation(
                    rule="V095",
                    path=(*path, system),
                    summary=said((*path, system), f"names the unsupported platform `{system}`"),
                    why=f"allowed: {ALLOWED_SYSTEMS}",
                    next=f"use one of these; allowed: {ALLOWED_SYSTEMS}",
                )


def guidance(subject: Subject) -> Iterator[Violation]:
    """V135."""
    for _, _, platform, path in _platforms(subject):
        if not _has_guidance(platform):
            yield Violation(
                rule="V135",
                path=path,
                summary=said(path, "needs guidance"),
                why="nothing says how a person gets this prerequisite",
                next=f"add one of {listed(GUIDANCE)}",
            )


def _has_guidance(platform: NativePlatform) -> bool:
    texts = (platform.install, platform.note)
    return (
        any(getattr(platform, field) for field in PACKAGE_LISTS)
        or platform.xcode_clt
        or _has_visual_studio(platform)
        or any(text is not None for text in texts)
    )


def _has_visual_studio(platform: NativePlatform) -> bool:
    return platform.visual_studio_build_tools or platform.visual_studio is not None


def checks(subject: Subject) -> Iterator[Violation]:
    """V136, V137, V138."""
    for _, prerequisite, path in _prerequisites(subject):
        yield from _check(subject, (*path, "check"), prerequisite.check)
    for prerequisite, system, platform, path in _platforms(subject):
        yield from _check(subject, (*path, "check"), platform.check)
        proves_itself = system == "windows" and _has_visual_studio(platform)
        if platform.check is None and prerequisite.check is None and not proves_itself:
            yield Violation(
                rule="V138",
                path=(*path, "check"),
                summary=said(path, "needs a check"),
                why="nothing would prove that the prerequisite is there",
                next="name a `kind: precondition` check here, or as `check` of the prerequisite",
            )


def _check(subject: Subject, path: FieldPath, name: str | None) -> Iterator[Violation]:
    if name is None:
        return
    yield from unknown(subject, "V136", path, "check", name, subject.check_names)
    check = subject.checks.get(name)
    if check is not None and not is_empty(name) and check.kind != "precondition":
        yield Violation(
            rule="V137",
            path=path,
            summary=said(path, f"names check `{name}`, which must be a precondition"),
            why=f"its kind is `{check.kind}`",
            next=f"write `kind: precondition` in check `{name}`, or name another check",
        )


def package_lists(subject: Subject) -> Iterator[Violation]:
    """V139."""
    for _, _, platform, platform_path in _platforms(subject):
        for field in PACKAGE_LISTS:
            yield from _packages((*platform_path, field), getattr(platform, field) or ())


def _packages(path: FieldPath, packages: Iterable[str]) -> Iterator[Violation]:
    seen: set[str] = set()
    for index, package in enumerate(packages):
        if is_empty(package):
            yield from empty_text("V139", (*path, index), package)
        elif package in seen:
            yield Violation(
                rule="V139",
                path=(*path, index),
                summary=said((*path, index), f"repeats `{package}`"),
                why="a package is listed once",
                next=f"remove the second `{package}`",
            )
        seen.add(package)


def visual_studio(subject: Subject) -> Iterator[Violation]:
    """V140."""
    for _, system, platform, path in _platforms(subject):
        if system == "windows":
            continue
        for field in ("visual_studio", "visual_studio_build_tools"):
            if getattr(platform, field):
                yield Violation(
                    rule="V140",
                    path=(*path, field),
                    summary=said((*path, field), "is windows only"),
                    why=f"this entry is for {system}",
                    next=f"move `{field}` to `platforms.windows`",
                )


def requires(subject: Subject) -> Iterator[Violation]:
    """V141 to V144."""
    contract = subject.contract
    for _, _, platform, platform_path in _platforms(subject):
        needs, path = platform.requires, (*platform_path, "requires")
        if needs is None:
            continue
        for index, name in enumerate(needs.toolchains):
            where = (*path, "toolchains", index)
            yield from unknown(subject, "V141", where, "toolchain", name, contract.toolchains)
        yield from _required_tools(subject, path, needs)
        for index, name in enumerate(needs.env):
            yield from unknown(
                subject, "V143", (*path, "env", index), "env variable", name, contract.env.vars
            )
        yield from _required_checks(subject, path, needs)


def _required_tools(subject: Subject, path: FieldPath, needs: NativeRequires) -> Iterator[Violation]:
    """V142. The map form states a version of its own and needs no declaration."""
    if not isinstance(needs.tools, tuple):
        return
    contract = subject.contract
    owners = tool_owners(contract.toolchains)
    for index, name in enumerate(needs.tools):
        where = (*path, "tools", index)
        owner = owners.get(name)
        if name in contract.tools or (owner is not None and owner in needs.toolchains):
            continue
        if owner is None:
            yield from unknown(subject, "V142", where, "tool", name, contract.tools)
            continue
        yield Violation(
            rule="V142",
            path=where,
            summary=said(where, f"is ambiguous: `{name}` belongs to toolchain `{owner}`"),
            why="a tool that a toolchain owns is required through the toolchain",
            next=f"add `toolchains: [{owner}]` to `requires`",
        )


def _required_checks(subject: Subject, path: FieldPath, needs: NativeRequires) -> Iterator[Violation]:
    """V144."""
    for index, name in enumerate(needs.checks):
        where = (*path, "checks", index)
        yield from unknown(subject, "V144", where, "check", name, subject.check_names)
        check = subject.checks.get(name)
        if check is not None and check.kind not in ("precondition", "file"):
            yield Violation(
                rule="V144",
                path=where,
                summary=said(where, f"names the unsupported check `{name}`"),
                why=f"its kind is `{check.kind}`; supported: `precondition`, `file`",
                next="name a precondition or file check",
            )


def activations(subject: Subject) -> Iterator[Violation]:
    """V145, V146."""
    for _, system, platform, path in _platforms(subject):
        if platform.activation is None:
            continue
        if platform.activation.kind == "command":
            yield from _command_activation((*path, "activation"), platform.activation)
        else:
            yield from _shell_activation((*path, "activation"), platform.activation, system)


def _shell_activation(path: FieldPath, activation: NativeActivation, system: str) -> Iterator[Violation]:
    kind = "visual_studio_dev_shell"
    if system != "windows":
        yield Violation(
            rule="V145",
            path=path,
            summary=said(path, f"of kind `{kind}` is windows only"),
            why=f"this entry is for {system}",
            next="move it to `platforms.windows`, or use `kind: command`",
        )
    if activation.arch is not None and activation.arch not in VISUAL_STUDIO_ARCHES:
        yield Violation(
            rule="V145",
            path=(*path, "arch"),
            summary=said((*path, "arch"), f"has the unsupported value `{activation.arch}`"),
            why=f"supported: {listed(VISUAL_STUDIO_ARCHES)}",
            next="write `arch: x64`, or remove it",
        )
    yield from unexpected("V145", path, activation, ("shell", "run"), f"kind `{kind}` knows its own command")


def _command_activation(path: FieldPath, activation: NativeActivation) -> Iterator[Violation]:
    missing = [
        field
        for field in ("shell", "run")
        if getattr(activation, field) is None or is_empty(getattr(activation, field))
    ]
    if missing:
        yield Violation(
            rule="V146",
            path=(*path, missing[0]),
            summary=said(path, f"of kind `command` needs {listed(missing)}"),
            why="it needs both a shell and a command to run in it",
            next=f"add {listed(missing)}",
        )
    yield from unexpected("V146", path, activation, ("arch",), "kind `command` has no architecture")


def texts(subject: Subject) -> Iterator[Violation]:
    """V147."""
    for _, _, platform, path in _platforms(subject):
        yield from empty_text("V147", (*path, "install"), platform.install)
        yield from empty_text("V147", (*path, "note"), platform.note)


def conflicting_activations(subject: Subject) -> Iterator[Violation]:
    """V148, for the task and its variants."""
    if not subject.contract.native_prerequisites:
        return
    for name, task, path in subject.tasks():
        yield from _conflict(subject, name, (*path, "requirements", "native"), task.requirements)
        for index, variant in enumerate(task.variants):
            where = (*path, "variants", index, "requirements", "native")
            yield from _conflict(subject, name, where, variant.requirements)


def _conflict(
    subject: Subject, task: str, path: FieldPath, requirements: TaskRequirements | None
) -> Iterator[Violation]:
    if requirements is None:
        return
    first: dict[str, tuple[str, NativeActivation]] = {}
    for index, name in enumerate(requirements.native):
        prerequisite = subject.contract.native_prerequisites.get(name)
        for system, platform in sorted(prerequisite.platforms.items()) if prerequisite is not None else ():
            if platform.activation is None:
                continue
            owner, activation = first.setdefault(system, (name, platform.activation))
            if activation != platform.activation:
                yield Violation(
                    rule="V148",
                    path=(*path, index),
                    summary=f"task `{task}` selects prerequisites with conflicting activations",
                    why=f"`{owner}` and `{name}` activate differently on {system}; only one can wrap a body",
                    next="give them one activation, or let separate tasks select them",
                )


RULES: tuple[Rule, ...] = (
    names,
    platforms,
    guidance,
    checks,
    package_lists,
    visual_studio,
    requires,
    activations,
    texts,
    conflicting_activations,
)
