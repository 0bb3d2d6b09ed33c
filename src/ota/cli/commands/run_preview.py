"""`ota run --dry-run`: what a run would do, from the run's own plan, admission and requirement look-up.

It starts no task, service or container and writes nothing; versions are asked for as a run would.

Source: commands specification 2.12; json-and-receipts specification 3.12.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ota.cli.flags import Arguments
from ota.cli.session import Session
from ota.contract.load import Loaded
from ota.errors import Finding
from ota.execute.admission import closure_of, refusals
from ota.resolve.documents.preview import preview_document
from ota.resolve.plan import ContainerLaunchBody, Plan, RequirementPlan, StepPlan
from ota.system.files import repository_reader
from ota.system.host import HostFacts, environ

if TYPE_CHECKING:
    from ota.diagnose.scene import Scene


def preview(arguments: Arguments, session: Session, loaded: Loaded, plan: Plan, host: HostFacts) -> int:
    """Show the preview; 1 when the run would be refused."""
    findings = (
        *refusals(plan),
        *_backend_findings(plan, loaded, host),
        *_requirement_findings(plan, loaded, host),
        *_port_findings(plan, loaded, host),
    )
    document = preview_document(
        loaded, plan, host, environ(), repository_reader(loaded.root), findings=findings
    )
    if arguments.is_json:
        from ota.cli.render.json import print_document

        print_document(document, session.out)
    else:
        from ota.cli.render.preview_text import preview_text

        style = session.style_of(session.out)
        body = plan.requested_step.task.body
        print(preview_text(document, body, style, plan.again), file=session.out)
    return 0 if document["ok"] else 1


def _backend_findings(plan: Plan, loaded: Loaded, host: HostFacts) -> tuple[Finding, ...]:
    """Engines, images and compose commands the run stands on, as doctor and the preview of `up` see them."""
    services = {service.name for step in plan.steps.values() for service in closure_of(plan, step.task)}
    in_containers = any(
        step.task.context.container is not None or isinstance(step.task.body, ContainerLaunchBody)
        for step in plan.steps.values()
    )
    if not services and not in_containers:
        return ()
    from ota.diagnose.execution import path_backend_findings  # paid only by who stands on such

    return path_backend_findings(_scene(plan, loaded, host), sorted(services))


def _scene(plan: Plan, loaded: Loaded, host: HostFacts) -> "Scene":
    from ota.diagnose.scene import Scene

    return Scene(
        loaded,
        host,
        environ(),
        repository_reader(loaded.root),
        workflow=plan.request.workflow,
        path=tuple(step.task for step in plan.steps.values()),
        rerun=plan.again,
        target=plan.request.target,
    )


def _port_findings(plan: Plan, loaded: Loaded, host: HostFacts) -> Iterator[Finding]:
    """Fixed ports that the run would be refused, also where another run of this repository holds them."""
    if any(step.task.runtime is not None for step in plan.steps.values()):
        from ota.diagnose.ports import native_port_findings  # paid only by previews of services

        yield from native_port_findings(_scene(plan, loaded, host), ours_count=True)


def _requirement_findings(plan: Plan, loaded: Loaded, host: HostFacts) -> Iterator[Finding]:
    """What is missing on this machine, once per requirement however many tasks need it."""
    needed: dict[tuple[str, str, str], tuple[StepPlan, RequirementPlan]] = {}
    for step in plan.steps.values():
        if step.task.context.plane != "native":
            continue
        for each in step.task.requirements:
            if not each.is_component:
                needed.setdefault((each.kind, each.name, each.version), (step, each))
    if not needed:
        return
    from ota.requirements.probes import Prober, requirement_finding, wanted_of

    prober = Prober(environ(), loaded.root, run_id="preview", host_os=host.os, should_stop=lambda: False)
    wanted = [wanted_of(each) for _, each in needed.values()]
    rerun = plan.again
    for (_, each), outcome in zip(needed.values(), prober.probe_many(wanted), strict=True):
        finding = requirement_finding(outcome, is_required=each.required, rerun=rerun)
        if finding is not None:
            yield finding
