"""Rules of `prepare` bodies: what a hydration or bootstrap needs around it.

Which fields of a source belong together is in `sources`.

Source: contract specification 15.3 (`prepare`); appendix A V340 to V343, W13.
"""

from collections.abc import Iterator

from ota.contract.model.bodies import DependencyHydration, PrepareSequence, ToolBootstrap
from ota.contract.model.tasks import Effects
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.bodies import declared_tools
from ota.contract.rules.holders import Holder, prepare_bodies, prepare_steps
from ota.contract.rules.phrases import listed
from ota.contract.rules.sources import SOURCE_KINDS, Step, steps
from ota.contract.rules.wording import advice, broken

BOOTSTRAP_TOOLCHAINS = {"pip": "python", "poetry": "python", "node_package_manager": "node"}


def empty_sequence(subject: Subject) -> Iterator[Violation]:
    """V340."""
    for _, path, prepare in prepare_bodies(subject):
        if isinstance(prepare, PrepareSequence) and not prepare.steps:
            yield broken("V340", (*path, "steps"), "is empty", "a sequence runs its steps", "add a step")


def _network_kind(step: Step) -> str:
    if isinstance(step, ToolBootstrap):
        return "tool_bootstrap"
    return "container_image_hydration" if step.medium == "container_images" else "dependency_hydration"


def undeclared_network(subject: Subject) -> Iterator[Violation]:
    """V341. Steps of several kinds share one declaration: any of their kinds, or `broad`."""
    for holder, path, prepare in prepare_bodies(subject):
        kinds = list(dict.fromkeys(_network_kind(step) for _, step in prepare_steps(path, prepare)))
        if not kinds:
            continue
        effects = holder.task.effects or Effects()
        accepted = {*kinds, *_legacy_kinds(kinds)}
        if len(kinds) > 1:
            accepted |= {"broad"}
        where = (*holder.path[:2], "effects")
        if not effects.network:
            yield broken(
                "V341",
                (*where, "network"),
                "must be true",
                "this prepare body downloads",
                f"declare `effects: {{network: true, network_kind: {kinds[0]}}}`",
            )
        elif (effects.network_kind or "broad") not in accepted:
            yield broken(
                "V341",
                (*where, "network_kind"),
                f"is `{effects.network_kind or 'broad'}`",
                f"this prepare body needs {listed(kinds)}",
                f"set `network_kind: {kinds[0]}`",
            )


def _legacy_kinds(kinds: list[str]) -> set[str]:
    return {"dependency_hydration"} if "container_image_hydration" in kinds else set()


def legacy_network_kind(subject: Subject) -> Iterator[Violation]:
    """W13."""
    for holder, path, prepare in prepare_bodies(subject):
        kinds = {_network_kind(step) for _, step in prepare_steps(path, prepare)}
        effects = holder.task.effects
        if (
            kinds == {"container_image_hydration"}
            and effects
            and effects.network_kind == "dependency_hydration"
        ):
            yield advice(
                "W13",
                (*holder.path[:2], "effects", "network_kind"),
                "is the legacy kind for images",
                "pulling images has a kind of its own",
                "write `network_kind: container_image_hydration`",
            )


def missing_requirement(subject: Subject) -> Iterator[Violation]:
    """V342."""
    for holder, path, step in steps(subject):
        toolchain, tools = _needs(step)
        if toolchain is not None and toolchain not in _declared_toolchains(subject, holder):
            yield _requirement(path, holder, "toolchains", f"[{toolchain}]", f"toolchain `{toolchain}`")
        if tools and not set(tools) & declared_tools(subject, holder):
            what = " or ".join(f"tool `{tool}`" for tool in tools)
            yield _requirement(path, holder, "tools", f'{{{tools[0]}: "*"}}', what)


def _requirement(path: FieldPath, holder: Holder, key: str, value: str, what: str) -> Violation:
    return broken(
        "V342",
        (*path, "source"),
        f"needs {what}",
        f"task `{holder.task_name}` declares no such requirement",
        f"declare `requirements: {{{key}: {value}}}`",
    )


def _needs(step: Step) -> tuple[str | None, tuple[str, ...]]:
    """The toolchain, and the tools of which one is enough."""
    source = step.source
    if isinstance(step, ToolBootstrap):
        return BOOTSTRAP_TOOLCHAINS.get(source.kind), ()
    if step.medium == "container_images":
        return None, (source.engine or "docker",)
    if source.compose is not None:
        return None, (source.compose.engine,) if source.compose.engine else ("docker", "podman")
    kind = SOURCE_KINDS.get(source.kind)
    if kind is None:
        return None, ()
    return kind.toolchain, (kind.tool,) if kind.tool and not source.wrapper else ()


def _declared_toolchains(subject: Subject, holder: Holder) -> set[str]:
    found = set(subject.contract.toolchains)
    scope = holder.task.requirements
    if scope is not None:
        found.update(scope.toolchains)
        for alternative in scope.any_of:
            found.update(alternative.toolchains)
    for plane in holder.planes:
        requirements = subject.planes.choose(holder.task, asked=plane).context.requirements
        if requirements is not None:
            found.update(requirements.toolchains or ())
    return found


def no_durable_state(subject: Subject) -> Iterator[Violation]:
    """V343."""
    for holder, path, step in steps(subject):
        effects = holder.task.effects or Effects()
        if not isinstance(step, DependencyHydration) or step.medium != "package_dependencies":
            continue
        kind = SOURCE_KINDS.get(step.source.kind)
        if kind is not None and kind.durable and not effects.writes and not effects.adapter_state:
            yield broken(
                "V343",
                (*path, "source"),
                "leaves dependencies behind that nothing declares",
                f"`{step.source.kind}` needs an entry in `effects.writes` or `effects.adapter_state`",
                "name the directory it fills in `effects.writes`",
            )


RULES: tuple[Rule, ...] = (
    empty_sequence,
    undeclared_network,
    missing_requirement,
    no_durable_state,
    legacy_network_kind,
)
