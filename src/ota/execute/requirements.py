"""Looking for what a native step needs, before its dependencies and its body.

Source: runtime specification 18 (unit `task:<t>:native`); contract specification 7, 11.2.
"""

from ota.errors import Finding
from ota.execute.context import RunContext
from ota.execute.events import RequirementsProbed, StepNote
from ota.resolve.plan import RequirementPlan, StepPlan


def probe_requirements(
    context: RunContext, step: StepPlan
) -> tuple[RequirementsProbed, tuple[Finding, ...]] | None:
    """What was found, and a finding for each required thing that is missing; None when nothing is needed."""
    needed = step.task.requirements
    if not needed or step.task.context.plane != "native":
        return None
    from ota.requirements.probes import ProbeOutcome, Prober, Wanted, requirement_finding

    prober = Prober(
        context.environ,
        context.root,
        run_id=context.run_id,
        host_os=context.host.os,
        should_stop=lambda: context.interrupts.since(0) is not None,
        clock=context.clock,
    )
    wanted = [
        Wanted(
            kind="tool" if each.kind == "tool" else "runtime",
            name=each.name,
            version=each.version,
            is_channel_allowed=each.kind == "toolchain" and each.name == "rust",
        )
        for each in needed
    ]
    outcomes = prober.probe_many(wanted)
    findings: list[Finding] = []
    missing: list[str] = []

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
            missing.append(f"{requirement.name} {requirement.version}")
        else:
            context.stream.emit(StepNote(step=step.id, text=finding.summary, is_warning=True))

    for requirement, outcome in zip(needed, outcomes, strict=True):
        told(requirement, outcome)
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
