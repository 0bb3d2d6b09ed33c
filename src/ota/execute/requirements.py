"""Looking for what a step needs: programs and host packages first, required checks before the body.

What is asked and how it is told is shared with the diagnoses; here it decides whether a step may begin.

Source: runtime specification 18 (unit `task:<t>:native`); contract specification 7, 8, 11.2, 15.11.
"""

from typing import TYPE_CHECKING

from ota.backends.native import Activation
from ota.errors import Finding, errors_among
from ota.execute.context import RunContext
from ota.execute.events import RequirementsProbed, StepNote
from ota.resolve.plan import RequirementPlan, StepPlan

if TYPE_CHECKING:
    from ota.diagnose.scene import Scene


def probe_requirements(
    context: RunContext, step: StepPlan
) -> tuple[RequirementsProbed, tuple[Finding, ...]] | None:
    """What was found, and a finding for each required thing that is missing; None when nothing is needed."""
    if step.task.context.plane == "container":
        # the program of an argv body is not asked for: the shell inside says 127 by itself
        inside = [each for each in step.task.requirements if not each.is_component and not each.is_program]
        if not inside:
            return None
        from ota.execute.container_requirements import probe_inside  # paid only by runs that ask

        return probe_inside(context, step, inside)
    if step.task.context.plane != "native":
        return None
    needed = step.task.requirements
    packages = _missing_packages(context, step)
    if not needed and packages is None:
        return None
    findings, missing = packages or ([], [])
    if needed:
        _ask_programs(context, step, findings, missing)
    event = RequirementsProbed(
        step=step.id,
        unit=f"task:{step.task.name}:native",
        plane="native",
        runtimes={each.name: each.version for each in needed if each.kind != "tool"},
        tools={each.name: each.version for each in needed if each.kind == "tool"},
        missing=tuple(missing),
        result="missing_requirements" if missing else "requirements_satisfied",
    )
    return event, tuple(findings)


def _ask_programs(context: RunContext, step: StepPlan, findings: list[Finding], missing: list[str]) -> None:
    needed = [
        each for each in step.task.requirements if not each.is_component and not _is_there(context, each)
    ]
    if not needed:
        return
    # threads and the patterns of versions: paid when there is something to ask
    from ota.requirements.probes import ProbeOutcome, Prober, requirement_finding, wanted_of

    prober = Prober(
        context.environ,
        context.root,
        run_id=context.run_id,
        host_os=context.host.os,
        should_stop=lambda: context.interrupts.since(0) is not None,
        clock=context.clock,
    )
    outcomes = prober.probe_many([wanted_of(each) for each in needed])

    def told(requirement: RequirementPlan, outcome: ProbeOutcome) -> None:
        finding = requirement_finding(
            outcome,
            is_required=requirement.required,
            rerun=context.plan.again,
        )
        if finding is None:
            return
        if requirement.required:
            findings.append(finding)
            missing.append(requirement.text)
        else:
            context.stream.emit(StepNote(step=step.id, text=finding.summary, is_warning=True))

    for requirement, outcome in zip(needed, outcomes, strict=True):
        told(requirement, outcome)
    if any(each.kind == "toolchain" and each.name == "rust" for each in needed):
        from ota.diagnose.requirements import rust_part_findings

        parts = rust_part_findings(_scene(context), step.task.requirements)
        for finding in _kept_errors(context, step, tuple(parts)):
            findings.append(finding)
            missing.append(finding.summary)


def _is_there(context: RunContext, requirement: RequirementPlan) -> bool:
    """Whether this is the body's own program, of which presence is all that is asked, and it is present."""
    if not requirement.is_program or requirement.version != "*":
        return False
    from ota.requirements.executables import find_executable

    found = find_executable(requirement.name, context.environ, context.root, host_os=context.host.os)
    return found is not None


# --- native prerequisites and required checks ----------------------------------------------------


def _missing_packages(context: RunContext, step: StepPlan) -> tuple[list[Finding], list[str]] | None:
    """Native prerequisites whose check does not hold; None when the task selects none."""
    names = step.task.native_prerequisites
    if not names:
        return None
    from ota.diagnose.requirements import prerequisite_findings
    from ota.readiness.prerequisites import prerequisites_on

    scene = _scene(context)
    findings: list[Finding] = []
    missing: list[str] = []
    for each in prerequisites_on(context.loaded.contract, names, context.host.os):
        found = _kept_errors(context, step, prerequisite_findings(scene, each))
        findings += found
        if found:
            missing.append(f"native prerequisite {each.name}")
    return findings, missing


def native_activation(context: RunContext, step: StepPlan) -> Activation | None:
    """What the prerequisites of a task put before its body."""
    names = step.task.native_prerequisites
    if not names:
        return None
    from ota.readiness.prerequisites import activation_on

    return activation_on(context.loaded.contract, names, context.host.os)


def failed_checks(context: RunContext, step: StepPlan) -> tuple[Finding, ...]:
    """Checks the task requires that do not hold. Asked last: a dependency may see to them."""
    names = step.task.required_checks
    if not names or step.task.context.plane != "native":
        return ()
    from ota.diagnose.readiness import ReadinessItems, readiness_jobs
    from ota.system.side_by_side import side_by_side

    scene = _scene(context)
    by_name = {check.name: check for check in reversed(context.loaded.contract.checks)}
    items = ReadinessItems(checks=tuple(by_name[name] for name in names))
    found = side_by_side(readiness_jobs(scene, items))
    return tuple(_kept_errors(context, step, tuple(each for findings in found for each in findings)))


def _kept_errors(context: RunContext, step: StepPlan, findings: tuple[Finding, ...]) -> list[Finding]:
    """The findings that stop the step; the others become its notes."""
    for finding in findings:
        if finding.severity != "error":
            text = f"{finding.summary}: {finding.why}" if finding.why else finding.summary
            context.stream.emit(StepNote(step=step.id, text=text, is_warning=finding.severity == "warn"))
    return list(errors_among(findings))


def _scene(context: RunContext) -> "Scene":
    from ota.diagnose.scene import Scene

    return Scene(
        context.loaded,
        context.host,
        context.environ,
        context.read_file,
        workflow=context.plan.request.workflow,
        rerun=context.plan.again,
        target=context.plan.request.target,
        run_id=context.run_id,
        should_stop=lambda: context.interrupts.since(0) is not None,
        clock=context.clock,
    )
