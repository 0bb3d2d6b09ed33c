"""Looking inside its container for what a task needs: all of it in one call, remembered per container.

A container that was looked into and not changed since is not asked again: one that stays is known by its
engine's id, a fresh one by the image it is made from.

Source: runtime specification 18; decision D32.
"""

from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from ota.backends.container.asking import InsideAnswer, ask_inside
from ota.backends.container.engine import Engine, ask
from ota.backends.container.facts import inspect_containers
from ota.backends.container.identity import stable_digest
from ota.backends.container.work import BodyEnvironment, Prepared, Scene
from ota.errors import Finding, HostError
from ota.execute.container import container_work
from ota.execute.context import RunContext
from ota.execute.environment import environment_of
from ota.execute.events import RequirementsProbed, StepNote
from ota.requirements.inside import InsideQuestion
from ota.requirements.probes import ProbeOutcome, requirement_finding, wanted_of
from ota.resolve.injection import CONTAINER_WORKSPACE
from ota.resolve.plan import ContainerPlan, RequirementPlan, StepPlan
from ota.system.files import private_directory, write_atomic

_LIMIT_S = 60.0


def probe_inside(
    context: RunContext, step: StepPlan, needed: list[RequirementPlan]
) -> tuple[RequirementsProbed, tuple[Finding, ...]]:
    """What was found, and a finding for each required thing that is missing.

    Raises:
        HostError: the container cannot be come by.
    """
    outcomes = _Look(context, step, needed).outcomes()
    findings: list[Finding] = []
    missing: list[str] = []
    for requirement, outcome in zip(needed, outcomes, strict=True):
        finding = _finding(context, step, requirement, outcome)
        if finding is None:
            continue
        if requirement.required:
            findings.append(finding)
            missing.append(requirement.text)
        else:
            context.stream.emit(StepNote(step=step.id, text=finding.summary, is_warning=True))
    if missing and step.task.context.fulfillment == "run":
        findings.append(_no_policy(step))
    event = RequirementsProbed(
        step=step.id,
        unit=_unit(step),
        plane="container",
        mode=step.task.context.fulfillment or "none",
        runtimes={each.name: each.version for each in needed if each.kind != "tool"},
        tools={each.name: each.version for each in needed if each.kind == "tool"},
        missing=tuple(missing),
        result="missing_requirements" if missing else "requirements_satisfied",
    )
    return event, tuple(findings)


def _unit(step: StepPlan) -> str:
    where = step.task.context
    if where.shared_backend is not None:
        return f"shared_local_backend:{where.shared_backend}"
    return f"context:{where.name or 'app'}"


def _finding(
    context: RunContext, step: StepPlan, requirement: RequirementPlan, outcome: ProbeOutcome
) -> Finding | None:
    container = step.task.context.container
    image = container.image if container is not None else ""
    suitable = "" if requirement.version == "*" else f" in a version that satisfies `{requirement.version}`"
    finding = requirement_finding(
        outcome,
        is_required=requirement.required,
        owner="container_target",
        next_step=f"use an image that has {requirement.name}{suitable}, then `{context.plan.again}`",
    )
    return finding and replace(finding, why=f"inside image `{image}`: {finding.why}")


def _no_policy(step: StepPlan) -> Finding:
    return Finding(
        code="OTA_FULFILLMENT_POLICY_MISSING",
        title="Missing requirements",
        summary="`fulfillment: run` may install nothing here",
        why="no active org policy pack approves a provisioning action",
        next="use an image that has what the task needs, or activate a policy pack that approves it",
        category="policy",
        owner="org_policy",
    )


class _Look:
    """One look into the container of one step."""

    def __init__(self, context: RunContext, step: StepPlan, needed: list[RequirementPlan]) -> None:
        self._context = context
        self._step = step
        self._question = InsideQuestion([wanted_of(each) for each in needed])
        environment = environment_of(context, step, is_again=True)
        self._environment = BodyEnvironment(values=environment.variables, secrets=environment.secret_names)
        self._wanted = [f"{each.kind}:{each.name}:{each.version}" for each in needed]

    def outcomes(self) -> tuple[ProbeOutcome, ...]:
        """One for each thing that is needed.

        Raises:
            HostError: nobody can be asked there.
        """
        context, step = self._context, self._step
        work = container_work(context, step, self._question.script)
        engine = context.engine(work.container.engines)
        scene = Scene(journal=context.journal, environ=context.environ, clock=context.clock)
        if step.task.context.lifecycle == "persistent":
            answer = ask_inside(
                engine,
                work,
                self._environment,
                scene,
                limit_s=_LIMIT_S,
                is_known=lambda prepared: self._is_remembered(self._container_key(engine, prepared)),
            )
            key = self._container_key(engine, answer.prepared)
        else:
            key = self._image_key(engine, work.container)
            if self._is_remembered(key):
                return self._all_there()
            # what it publishes is for the body: nothing of that is needed to look
            work = replace(work, listeners=(), shared_listeners=(), step=f"{step.id}/requirements")
            answer = ask_inside(engine, work, self._environment, scene, limit_s=_LIMIT_S)
        return self._read(answer, key)

    def _read(self, answer: InsideAnswer, key: str) -> tuple[ProbeOutcome, ...]:
        if answer.prepared.lifecycle == "persistent":
            self._context.looked_into.setdefault(answer.prepared.name, answer.prepared)
        for finding in answer.left:
            self._context.stream.emit(StepNote(step=self._step.id, text=finding.summary, is_warning=True))
        if not answer.was_asked:
            return self._all_there()
        found = self._question.outcomes(answer.stdout)
        if found is None:
            raise HostError(self._unanswered(answer))
        if all(each.status == "satisfied" for each in found):
            self._remember(key)
        return found

    def _all_there(self) -> tuple[ProbeOutcome, ...]:
        return tuple(ProbeOutcome(wanted=each, status="satisfied") for each in self._question.wanted)

    def _unanswered(self, answer: InsideAnswer) -> Finding:
        how = "did not end in time" if answer.exit_code is None else f"ended with {answer.exit_code}"
        last = next((line for line in reversed(answer.stderr.splitlines()) if line.strip()), "")
        return Finding(
            code="OTA_CONTAINER_UNASKED",
            title="Requirements could not be looked for",
            summary=f"what task `{self._step.task.name}` needs could not be looked for in its container",
            why=f"the shell that looks {how}" + (f": {last}" if last else ""),
            next="see what its shell says: run a task with the body `true` in the same context",
            category="execution",
            owner="container_target",
        )

    # -- what is known already -------------------------------------------------------------------------

    def _container_key(self, engine: Engine, prepared: Prepared) -> str:
        """Of one very container: made again under the same name, it has another id. Empty: not known."""
        facts = inspect_containers(engine, [prepared.name]).get(prepared.name)
        return "" if facts is None else self._key("container", facts.id)

    def _image_key(self, engine: Engine, container: ContainerPlan) -> str:
        """Of whatever is made from this image as it is now; empty where more than the image decides."""
        if container.isolated_paths or CONTAINER_WORKSPACE in self._environment.values.get("PATH", ""):
            return ""
        answer = ask(engine, "image", "inspect", "--format", "{{.Id}}", container.image)
        return self._key("image", answer.stdout.strip()) if answer.is_ok and answer.stdout.strip() else ""

    def _key(self, kind: str, identity: str) -> str:
        return stable_digest(kind, identity, self._environment.values.get("PATH", ""), *self._wanted)

    def _path(self, key: str) -> Path:
        return self._context.root / ".ota" / "state" / "cache" / f"inside-{key}"

    def _is_remembered(self, key: str) -> bool:
        return bool(key) and self._path(key).is_file()

    def _remember(self, key: str) -> None:
        if not key:
            return
        with suppress(HostError):  # a read-only checkout is asked every time
            private_directory(self._path(key).parent)
            write_atomic(self._path(key), b"")
