"""One diagnosis: what is asked, all side by side, and the findings in the order of the specification.

Source: doctor specification 4, 16; decision D3.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from msgspec import Struct

from ota.contract.agent_safety import AgentSafety
from ota.contract.model.scalars import Lifecycle, Plane
from ota.contract.model.services import Service
from ota.diagnose.readiness import (
    Job,
    every_finding,
    precondition_items,
    readiness_jobs,
    runs_something,
    select_items,
    without_checks,
)
from ota.diagnose.report import Group, Verdict, grouped, in_order, verdict_of
from ota.diagnose.scene import Scene
from ota.diagnose.services import Observe, service_findings, services_in_scope
from ota.errors import Finding
from ota.system.side_by_side import side_by_side


class Diagnosis(Struct, frozen=True, kw_only=True):
    """Findings in order, and what they come to."""

    findings: tuple[Finding, ...]
    verdict: Verdict
    groups: tuple[Group, ...]


def check(scene: Scene) -> Diagnosis:
    """`ota check`: the configured checks, or the readiness of the workflow in effect. Nothing else."""
    return concluded(scene, asked(readiness_jobs(scene, select_items(scene))))


def doctor(
    scene: Scene,
    mode: Plane = "native",
    *,
    lifecycle: Lifecycle | None = None,
    observe_services: Observe | None = None,
) -> Diagnosis:
    """`ota doctor`: everything that can be known about one plane without changing anything.

    `lifecycle` is what the operator asked for; `observe_services` asks the services in scope.
    """
    if mode != "native":
        return concluded(scene, asked(_other_plane(scene, mode, observe_services)))
    return concluded(
        scene,
        asked([*_before_services(scene, lifecycle, sees_images=True), *_the_rest(scene, observe_services)]),
    )


def preconditions(scene: Scene, *, runs_commands: bool = True) -> Diagnosis:
    """What `ota up` has to know before it starts the first service.

    Without `runs_commands` checks that are commands, or that a container answers, are left out: a preview
    runs nothing of the repository.
    """
    items = precondition_items(scene)
    left_out = () if runs_commands else [each.name for each in items.checks if runs_something(scene, each)]
    jobs = [
        # what carries the path out fetches its images itself
        *_before_services(scene, None, sees_images=not runs_commands),
        *readiness_jobs(scene, without_checks(items, left_out)),
    ]
    # that a diagnosis from the host does not see other planes is no news about a path that goes there
    found = [each for each in asked(jobs) if not each.code.endswith("_DOCTOR_PARTIAL")]
    return concluded(scene, found)


def confirmation(scene: Scene, observe: Observe | None) -> Diagnosis:
    """What `ota up` looks at last: the services of the path, and its readiness."""
    return concluded(
        scene, asked([partial(_services, scene, observe), *readiness_jobs(scene, select_items(scene))])
    )


def services(scene: Scene, observe: Observe | None) -> Diagnosis:
    """The services of the path alone."""
    return concluded(scene, asked([partial(_services, scene, observe)]))


def _before_services(scene: Scene, lifecycle: Lifecycle | None, *, sees_images: bool) -> list[Job]:
    from ota.diagnose import containers, environment, execution, hygiene, ports, requirements

    unsupported = execution.unsupported_contexts(scene)
    needs = requirements.native_needs(scene, unsupported)
    return [
        partial(hygiene.hygiene_findings, scene),
        partial(execution.lifecycle_findings, scene, "native", lifecycle),
        _all(lambda: execution.platform_findings(scene, unsupported)),
        _all(lambda: execution.path_refusals(scene)),
        partial(execution.backend_findings, scene, "native", sees_images=sees_images),
        _all(lambda: containers.attachment_findings(scene, "native")),
        _all(lambda: containers.host_bound_findings(scene, "native")),
        _all(lambda: containers.publication_findings(scene, "native")),
        _all(lambda: ports.native_port_findings(scene)),
        partial(environment.source_findings, scene),
        partial(environment.variable_findings, scene),
        partial(requirements.requirement_findings, scene, needs),
        *(
            partial(requirements.prerequisite_findings, scene, each)
            for each in requirements.selected_prerequisites(scene)
        ),
        _all(lambda: execution.partial_findings(scene)),
    ]


def _the_rest(scene: Scene, observe: Observe | None) -> list[Job]:
    from ota.diagnose.contract_facts import contract_findings
    from ota.diagnose.requirements import selected_prerequisites

    proven = {each.check.name for each in selected_prerequisites(scene)} - set(scene.readiness.checks)
    return [
        _all(lambda: contract_findings(scene)),
        partial(_services, scene, observe),
        *readiness_jobs(scene, without_checks(select_items(scene), proven)),
    ]


def _other_plane(scene: Scene, mode: Plane, observe: Observe | None) -> list[Job]:
    from ota.diagnose import containers, environment, execution, hygiene
    from ota.diagnose.contract_facts import contract_findings

    in_containers: list[Job] = []
    asked_inside: list[Job] = []
    services: list[Job] = []
    if mode == "container":
        from ota.diagnose.inside import inside_jobs  # paid only by who looks there

        in_containers = [
            _all(lambda: containers.attachment_findings(scene, mode)),
            _all(lambda: containers.host_bound_findings(scene, mode)),
            _all(lambda: containers.publication_findings(scene, mode)),
        ]
        asked_inside = inside_jobs(scene)
        services = [partial(_services_with_a_context, scene, observe)]
    unsupported = execution.unsupported_contexts(scene)
    return [
        partial(hygiene.hygiene_findings, scene),
        _all(lambda: execution.platform_findings(scene, unsupported)),
        partial(execution.backend_findings, scene, mode),
        *in_containers,
        partial(environment.source_findings, scene),
        _all(lambda: execution.plane_findings(scene, mode)),
        *asked_inside,
        _all(lambda: contract_findings(scene)),
        *services,
    ]


def _services(scene: Scene, observe: Observe | None) -> tuple[Finding, ...]:
    names = services_in_scope(scene)
    return service_findings(scene, observe(scene, names) if observe is not None and names else None)


def _services_with_a_context(scene: Scene, observe: Observe | None) -> tuple[Finding, ...]:
    """Services that say from which context they are asked; what belongs to the host stays out."""
    services = scene.contract.services
    names = [name for name in services_in_scope(scene) if _names_a_context(services[name])]
    return service_findings(scene, observe(scene, names), names) if observe is not None and names else ()


def _names_a_context(service: Service) -> bool:
    return service.readiness is not None and service.readiness.from_ is not None


def _all(findings: Callable[[], Iterable[Finding]]) -> Job:
    return lambda: tuple(findings())


def asked(jobs: Sequence[Job]) -> tuple[Finding, ...]:
    """Every job's findings, in the order of the jobs."""
    return every_finding(side_by_side(jobs))


def concluded(scene: Scene, found: Sequence[Finding]) -> Diagnosis:
    """Findings with order, groups and verdict."""
    findings = in_order(found)
    return Diagnosis(
        findings=findings,
        verdict=verdict_of(findings, is_agent_ready=is_agent_ready(scene)),
        groups=grouped(findings),
    )


def is_agent_ready(scene: Scene) -> bool:
    """Whether what the contract tells agents to begin with is theirs to run."""
    agent = scene.contract.agent
    if agent is None:
        return True
    named = [name for name in (agent.entrypoint, agent.default_task) if name is not None]
    safe = AgentSafety(scene.contract).effective
    return all(name in safe for name in named)
