"""Runtimes, tools, toolchains and native prerequisites of the path, held against this host.

Owns which requirements count here (global ones, those of contexts, those of the path's tasks) and the
order of their findings. Look-up and version rules are `ota.requirements`'s.

Source: doctor specification 5, 6, 9 (toolchains); contract specification 4, 6 to 8; decision D31.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from ota.contract.model.execution import Context
from ota.contract.model.scalars import Plane
from ota.contract.model.tasks import Task
from ota.contract.planes import ContextChoice
from ota.diagnose.scene import Scene
from ota.errors import Evidence, Finding
from ota.readiness.checks import CheckScene, ask_command
from ota.requirements.executables import find_executable
from ota.resolve.plan import RequirementPlan
from ota.resolve.requirement_sets import requirement_set
from ota.resolve.scope import TaskScope

if TYPE_CHECKING:
    from ota.readiness.prerequisites import Prerequisite
    from ota.requirements.probes import ProbeOutcome

_ORDER = {"toolchain": 0, "runtime": 1, "tool": 2}


class Need(Struct, frozen=True, kw_only=True):
    """One requirement, and who has it."""

    requirement: RequirementPlan
    asked_by: tuple[str, ...] = ()
    """Contexts or tasks, as they are named to people; empty for the whole repository."""


# --- what counts ---------------------------------------------------------------------------------


def native_needs(scene: Scene, unsupported: frozenset[str] = frozenset()) -> tuple[Need, ...]:
    """Toolchains, runtimes, tools, each group by name; contexts this host cannot be are left out."""
    found: dict[tuple[str, str, str], tuple[RequirementPlan, list[str]]] = {}

    def add(requirement: RequirementPlan, asker: str) -> None:
        key = (requirement.kind, requirement.name, requirement.version)
        known, askers = found.setdefault(key, (requirement, []))
        if requirement.required and not known.required:
            found[key] = (requirement, askers)
        if asker and asker not in askers:
            askers.append(asker)

    for context in _contexts(scene, unsupported):
        for requirement in context_requirements(scene, context, "native"):
            add(requirement, f"context `{context}`" if context is not None else "")
    for task in scene.path:
        if task.context.plane != "native" or (task.context.name or "") in unsupported:
            continue
        for requirement in task.requirements:
            add(requirement, f"task `{task.name}`" if requirement.field[:1] == ("tasks",) else "")
    needs = [Need(requirement=each, asked_by=tuple(askers)) for each, askers in found.values()]
    return tuple(sorted(needs, key=lambda need: (_ORDER[need.requirement.kind], need.requirement.name)))


def _contexts(scene: Scene, unsupported: frozenset[str]) -> tuple[str | None, ...]:
    """Native contexts whose requirements count beside those of the path's tasks.

    A workflow's tasks carry what their contexts need; without a workflow every context that some task
    uses counts, and the global lists count at least once.
    """
    if scene.selection.workflow is not None:
        return ()
    used = [name for name in native_contexts(scene) if name not in unsupported]
    return tuple(used) or (None,)


def native_contexts(scene: Scene) -> tuple[str, ...]:
    """Declared native contexts that some task uses; all of them while there are no tasks."""
    planes = scene.planes
    declared = [name for name, context in planes.contexts.items() if context.backend == "native"]
    if not declared or not scene.contract.tasks:
        return tuple(declared)
    used = {
        planes.context_name(task, "native")
        for task in scene.contract.tasks.values()
        if "native" in planes.planes_of(task)
    }
    return tuple(name for name in declared if name in used)


def context_requirements(scene: Scene, name: str | None, plane: Plane) -> tuple[RequirementPlan, ...]:
    """Global requirements with those of a context over them, as any task without its own would have them."""
    context = scene.planes.context_of(name, plane) if name is not None else Context(backend=plane)
    choice = ContextChoice(
        plane=plane,
        plane_source="default",
        name=name,
        context=context,
        lifecycle=None,
        lifecycle_source=None,
    )
    ts = TaskScope(scene.scope, "", choice, "depends_on", task=Task())
    return requirement_set(ts, None, closure_is_scoped=False).requirements


# --- asking --------------------------------------------------------------------------------------


def requirement_findings(scene: Scene, needs: Sequence[Need]) -> tuple[Finding, ...]:
    """Ask for every version side by side, and tell what is not as it should be."""
    asked = [need for need in needs if not need.requirement.is_component]
    if not asked:
        return tuple(rust_part_findings(scene, [need.requirement for need in needs]))
    from ota.requirements.probes import Prober, wanted_of  # paid by those who require something

    prober = Prober(
        scene.environ,
        scene.loaded.root,
        run_id=scene.run_id,
        host_os=scene.host.os,
        should_stop=scene.should_stop,
        clock=scene.clock,
    )
    outcomes = prober.probe_many([wanted_of(need.requirement) for need in asked])
    found: list[Finding] = []
    for need, outcome in zip(asked, outcomes, strict=True):
        found += _told(scene, need, outcome)
    return (*found, *rust_part_findings(scene, [need.requirement for need in needs]))


def _told(scene: Scene, need: Need, outcome: "ProbeOutcome") -> Iterator[Finding]:
    from ota.diagnose.remedies import remedy
    from ota.requirements.probes import requirement_finding

    requirement = need.requirement
    better = remedy(scene, requirement) if outcome.status in ("missing", "mismatch") else ""
    finding = requirement_finding(
        replace(outcome, first_line=scene.masker.mask(outcome.first_line)),
        is_required=requirement.required,
        next_step="" if outcome.detail else better,
        rerun=scene.rerun,
    )
    if finding is None:
        return
    provider = requirement.acquisition.provider if requirement.acquisition is not None else None
    if outcome.status == "missing" and provider == "corepack" and not _is_there(scene, "corepack"):
        yield _provider_missing(scene, requirement)
        return
    why = f"{finding.why}{_askers(need)}" if need.asked_by else finding.why
    place = scene.loaded.place(requirement.field) if requirement.field else None
    yield replace(finding, why=why, place=place)


def _askers(need: Need) -> str:
    return f" ({', '.join(need.asked_by)})"


def _is_there(scene: Scene, name: str) -> bool:
    return find_executable(name, scene.environ, scene.loaded.root, host_os=scene.host.os) is not None


def _provider_missing(scene: Scene, requirement: RequirementPlan) -> Finding:
    return Finding(
        code="OTA_TOOL_ACTIVATION_PROVIDER_MISSING",
        severity="error" if requirement.required else "warn",
        summary=f"Missing activation provider for tool: {requirement.name}",
        why=f"`{requirement.name}` comes through corepack, and neither is on the PATH",
        next=f"install a Node.js that brings corepack, then rerun `{scene.rerun}`",
        place=scene.loaded.place(requirement.field),
        category="environment",
        owner="host",
        evidence=Evidence(observed="missing", expected="corepack", source="host"),
    )


# --- rust components and targets -----------------------------------------------------------------


def rust_part_findings(scene: Scene, requirements: Sequence[RequirementPlan]) -> Iterator[Finding]:
    """`rustup` knows which components and targets are there; a component's name is no executable."""
    rust = next((each for each in requirements if each.kind == "toolchain" and each.name == "rust"), None)
    if rust is None:
        return
    toolchain = scene.contract.toolchains["rust"]
    platform = toolchain.platforms.get(scene.host.os)
    targets = (platform.targets if platform is not None else None) or toolchain.targets or ()
    components = tuple(each.name for each in requirements if each.is_component)
    if not targets and not components:
        return
    if not _is_there(scene, "rustup"):
        yield _part_finding(
            scene,
            rust,
            "PROVIDER_MISSING",
            "Missing toolchain provider: rustup",
            "components and targets of `rust` are asked of rustup, which is not on the PATH",
            f"install rustup, then rerun `{scene.rerun}`",
        )
        return
    for kind, wanted in (("component", components), ("target", targets)):
        if wanted:
            yield from _missing_parts(scene, rust, kind, wanted)


def _missing_parts(
    scene: Scene, rust: RequirementPlan, kind: str, wanted: Sequence[str]
) -> Iterator[Finding]:
    asked = CheckScene(
        root=scene.loaded.root, env=scene.environ, run_id=scene.run_id, should_stop=scene.should_stop
    )
    from ota.requirements.probes import PROBE_LIMIT_S

    code, output = ask_command(("rustup", kind, "list", "--installed"), asked, PROBE_LIMIT_S)
    command = f"rustup {kind} list --installed"
    if code != 0:
        how = "did not answer in time" if code is None else f"exited {code}"
        yield _part_finding(
            scene,
            rust,
            "PROVIDER_PROBE_FAILED",
            "Toolchain provider probe failed: rustup",
            f"`{command}` {how}",
            f"run `{command}` by hand, repair rustup, then rerun `{scene.rerun}`",
        )
        return
    installed = output.split()
    for name in wanted:
        # rustup adds the host triple to component names
        if name in installed or (kind == "component" and any(i.startswith(f"{name}-") for i in installed)):
            continue
        yield _part_finding(
            scene,
            rust,
            "COMPONENT_MISSING" if kind == "component" else "TARGET_MISSING",
            f"Missing toolchain {kind}: {name}",
            f"`{command}` does not list it",
            f"`rustup {kind} add {name}`, then rerun `{scene.rerun}`",
        )


def _part_finding(
    scene: Scene, rust: RequirementPlan, state: str, summary: str, why: str, next_: str
) -> Finding:
    return Finding(
        code=f"OTA_TOOLCHAIN_{state}",
        severity="error" if rust.required else "warn",
        summary=summary,
        why=why,
        next=next_,
        place=scene.loaded.place(("toolchains", "rust")),
        category="environment",
        owner="host",
        evidence=Evidence(observed="missing", source="host"),
    )


# --- native prerequisites ------------------------------------------------------------------------


def selected_prerequisites(scene: Scene) -> "tuple[Prerequisite, ...]":
    """Those the native tasks of the path select and this system can prove."""
    names = _selected_names(scene)
    if not names:
        return ()
    from ota.readiness.prerequisites import prerequisites_on

    return prerequisites_on(scene.contract, names, scene.host.os)


def _selected_names(scene: Scene) -> tuple[str, ...]:
    return tuple(
        name for task in scene.path if task.context.plane == "native" for name in task.native_prerequisites
    )


def prerequisite_findings(scene: Scene, prerequisite: "Prerequisite") -> tuple[Finding, ...]:
    """Ask one native prerequisite through its check."""
    from ota.readiness.prerequisites import activation_on, prerequisite_finding

    asked = CheckScene(
        root=scene.loaded.root,
        env=scene.env.process,
        run_id=scene.run_id,
        should_stop=scene.should_stop,
        clock=scene.clock,
    )
    finding = prerequisite_finding(
        prerequisite,
        asked,
        rerun=scene.rerun,
        place=scene.loaded.place(prerequisite.field),
        masker=scene.masker,
        activation=activation_on(scene.contract, (prerequisite.name,), scene.host.os),
    )
    return () if finding is None else (finding,)
