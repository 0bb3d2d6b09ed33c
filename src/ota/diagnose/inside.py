"""Container mode: what the images of contexts have of the tools and runtimes that are needed in them.

One throw-away container per context, without the checkout, answers for everything at once and is gone with
the answer. Nothing is fetched: an image that is not here is a finding. The host's PATH does not count.

Source: doctor specification 5, 6 (container probe), 7; decision D31.
"""

import os
from collections.abc import Iterator
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from ota.backends.container.engine import Engine, EngineAnswer, ask, find_engine, refusal
from ota.backends.container.identity import ephemeral_labels, label_words
from ota.backends.container.images import is_image_missing
from ota.backends.container.ownership import owner_start
from ota.diagnose.engines import silent_engine
from ota.diagnose.execution import container_contexts, field_of_container
from ota.diagnose.images import absent_image, image_findings
from ota.diagnose.readiness import Job
from ota.diagnose.requirements import context_requirements
from ota.diagnose.scene import Scene
from ota.errors import Evidence, Finding, HostError
from ota.requirements.inside import InsideQuestion
from ota.requirements.probes import ProbeOutcome, requirement_finding, wanted_of
from ota.resolve.boundary import DEFAULT_ENGINES
from ota.resolve.plan import RequirementPlan

LIMIT_S = 60.0
_REMOVE_LIMIT_S = 10.0


class Inside(Struct, frozen=True, kw_only=True):
    """One context, and what has to be in its image."""

    context: str | None
    """None: the root shorthand."""
    image: str
    engines: tuple[str, ...]
    platform: str | None
    needs: tuple[RequirementPlan, ...]


def inside_jobs(scene: Scene) -> list[Job]:
    """One for each context that is used on the container plane: for what it needs, else for its image."""
    return [partial(_look if each.needs else _look_for, scene, each) for each in _wanted(scene)]


def _wanted(scene: Scene) -> Iterator[Inside]:
    for name in _used(scene):
        settings = scene.planes.context_of(name, "container").container
        if settings is None or settings.image is None:
            continue
        yield Inside(
            context=name,
            image=settings.image,
            engines=settings.engines or DEFAULT_ENGINES,
            platform=settings.platform,
            needs=_needs(scene, name),
        )


def _used(scene: Scene) -> tuple[str | None, ...]:
    """Contexts that tasks of the path use there; without a workflow, those that any task uses (D31)."""
    planes, tasks = scene.planes, scene.contract.tasks
    has_workflow = scene.selection.workflow is not None
    names = [task.name for task in scene.path] if has_workflow else list(tasks)
    used = {
        planes.context_name(tasks[name], "container")
        for name in names
        if "container" in planes.planes_of(tasks[name])
    }
    declared = container_contexts(scene)
    return tuple(name for name in declared if name in used) if names else declared


def _needs(scene: Scene, context: str | None) -> tuple[RequirementPlan, ...]:
    """Of tasks on a workflow's path what a run would ask; else what the context itself declares."""
    found: dict[tuple[str, str, str], RequirementPlan] = {}
    on_path = [
        task for task in scene.path if task.context.plane == "container" and task.context.name == context
    ]
    if scene.selection.workflow is not None and on_path:
        listed = [each for task in on_path for each in task.requirements]
    else:
        listed = list(context_requirements(scene, context, "container"))
    for each in listed:
        key = (each.kind, each.name, each.version)
        if not each.is_component and not each.is_program and (each.required or key not in found):
            found[key] = each
    return tuple(found.values())


# --- asking --------------------------------------------------------------------------------------


def _look(scene: Scene, inside: Inside) -> tuple[Finding, ...]:
    question = InsideQuestion([wanted_of(each) for each in inside.needs])
    try:
        engine = find_engine(inside.engines, scene.environ, should_stop=scene.should_stop, clock=scene.clock)
        answer = _asked(engine, inside, question.script)
    except HostError as error:
        return _engine_trouble(scene, inside, error.findings[0])
    outcomes = question.outcomes(answer.stdout)
    if outcomes is None:
        return (_unanswered(scene, inside, engine, answer),)
    return tuple(_told(scene, inside, outcomes))


def _look_for(scene: Scene, inside: Inside) -> tuple[Finding, ...]:
    """Nothing is needed inside, so nothing is run."""
    try:
        engine = find_engine(inside.engines, scene.environ, should_stop=scene.should_stop, clock=scene.clock)
    except HostError as error:
        return _engine_trouble(scene, inside, error.findings[0])
    return tuple(image_findings(scene, engine.name, {inside.image: field_of_container(inside.context)}))


def _asked(engine: Engine, inside: Inside, script: str) -> EngineAnswer:
    """Run the script in the image.

    Raises:
        HostError: the engine gives no answer; then the container is taken away by its name.
    """
    name = f"ota-doctor-{os.urandom(6).hex()}"
    wanted = ("--platform", inside.platform) if inside.platform else ()
    labels = ephemeral_labels("", owner_pid=os.getpid(), owner_start=owner_start())
    words = ("run", "--rm", "--init", "--pull", "never", "--network", "none", "--name", name, *wanted)
    try:
        return ask(
            engine,
            *words,
            *label_words(labels),
            "--entrypoint",
            "sh",
            inside.image,
            "-c",
            script,
            limit_s=LIMIT_S,
        )
    except HostError:
        # `--rm` is the client's promise, and the client is gone
        ask(engine, "rm", "--force", name, limit_s=_REMOVE_LIMIT_S)
        raise


def _engine_trouble(scene: Scene, inside: Inside, finding: Finding) -> tuple[Finding, ...]:
    """Engines that are missing or down are told by the findings about backends."""
    if finding.code in ("OTA_CONTAINER_BACKEND_CLI_MISSING", "OTA_CONTAINER_BACKEND_UNAVAILABLE"):
        return ()
    return (replace(finding, place=scene.loaded.place(field_of_container(inside.context))),)


# --- what the answers mean -----------------------------------------------------------------------


def _told(scene: Scene, inside: Inside, outcomes: tuple[ProbeOutcome, ...]) -> Iterator[Finding]:
    for requirement, outcome in zip(inside.needs, outcomes, strict=True):
        masked = replace(outcome, first_line=scene.masker.mask(outcome.first_line))
        suitable = (
            "" if requirement.version == "*" else f" in a version that satisfies `{requirement.version}`"
        )
        finding = requirement_finding(
            masked,
            is_required=requirement.required,
            owner="container_target",
            next_step=f"use an image that has {requirement.name}{suitable} in place of `{inside.image}`, "
            f"then rerun `{scene.rerun}`",
        )
        if finding is None:
            continue
        yield replace(
            finding,
            why=f"{_where(inside)}: {finding.why}",
            place=scene.loaded.place(requirement.field) if requirement.field else None,
            evidence=replace(finding.evidence, source="container_target"),
        )


def _where(inside: Inside) -> str:
    named = f" of context `{inside.context}`" if inside.context is not None else ""
    return f"inside image `{inside.image}`{named}"


def _unanswered(scene: Scene, inside: Inside, engine: Engine, answer: EngineAnswer) -> Finding:
    """Nobody answered in there: the image is missing, or has no shell."""
    rerun = f"then rerun `{scene.rerun}`"
    field = field_of_container(inside.context)
    if is_image_missing(answer):
        return absent_image(scene, engine.name, inside.image, field, has_questions=True)
    place = scene.loaded.place(field)
    evidence = Evidence(expected=inside.image, source="container_target")
    if (general := refusal(engine, answer, "")).code == "OTA_CONTAINER_BACKEND_UNAVAILABLE":
        return silent_engine(
            engine.name,
            scene.masker.mask(general.why),
            f"{general.next.partition(',')[0]}, {rerun}",
            place=place,
            evidence=evidence,
            owner="container_target",
        )
    return Finding(
        code="OTA_CONTAINER_UNASKED",
        summary=f"Container image could not be looked into: {inside.image}",
        why=scene.masker.mask(f"its shell ended with {answer.exit_code}: {answer.detail}"),
        next=f"see what `{engine.name} run --rm --entrypoint sh {inside.image} -c true` says, {rerun}",
        place=place,
        category="execution",
        owner="container_target",
        evidence=evidence,
    )
