"""Services of the path: what was observed about them, as findings.

The seam to whoever observes: `Observe` is handed the scene and the service names in scope, asks them
from the context each declares, and returns one `ServiceFact` per service it could ask. A service nobody
observed is told as not verified; it never counts as ready or as failed.

Source: doctor specification 9 (services); runtime specification 13.3; contract specification 12, W15.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from ota.contract.model.services import Service
from ota.diagnose.scene import Scene
from ota.errors import Category, Evidence, Finding, Owner, Severity
from ota.resolve.documents.workflows import required_services

ServiceState = Literal[
    "ready", "not_ready", "timed_out", "check_failed", "check_timed_out", "context_unexecutable"
]


class ServiceFact(Struct, frozen=True, kw_only=True):
    """What was observed about one service."""

    name: str
    state: ServiceState
    """`check_*`: its legacy healthcheck; `not_ready`, `timed_out`: its declared readiness."""
    detail: str = ""
    """The last answer, or why the context could not execute; masked by the observer."""
    context: str | None = None
    endpoint: str = ""
    """`app:5432`, as the context sees it."""
    command: str = ""
    start: str = ""
    """What would start it."""


Observe = Callable[[Scene, Sequence[str]], Mapping[str, ServiceFact]]


def services_in_scope(scene: Scene) -> tuple[str, ...]:
    """By name: those of the selected workflow when it needs any, otherwise all; with what they depend on."""
    services = scene.contract.services
    workflow = scene.selection.workflow
    wanted = required_services(scene.contract, workflow) if workflow is not None else []
    if workflow is not None and not wanted:
        declared = workflow.services.required if workflow.services is not None else None
        if declared is None:
            wanted = [name for name, service in services.items() if service.required]
    elif workflow is None:
        wanted = list(services)
    reached: dict[str, None] = {}
    queue = [name for name in wanted if name in services]
    for name in queue:  # the queue grows while it is walked
        if name not in reached:
            reached[name] = None
            queue += [each for each in services[name].depends_on if each in services]
    return tuple(sorted(reached))


def service_findings(
    scene: Scene, facts: Mapping[str, ServiceFact] | None, names: Sequence[str] | None = None
) -> tuple[Finding, ...]:
    """Name order; of these services, or of all in scope. `facts` is None while nobody observes services."""
    found: list[Finding] = []
    for name in services_in_scope(scene) if names is None else names:
        service = scene.contract.services[name]
        fact = facts.get(name) if facts is not None else None
        finding = _observed(scene, service, fact) if fact is not None else _unobserved(scene, name, service)
        if finding is not None:
            found.append(finding)
    return tuple(found)


def _unobserved(scene: Scene, name: str, service: Service) -> Finding | None:
    if service.producer is not None:
        return None  # the owning repository answers for it
    is_declared = service.readiness is not None or service.healthcheck is not None
    if not is_declared and not service.required:
        return None
    words = "Required service cannot be verified" if service.required else "Service is not verified"
    if is_declared:
        why = "its declared readiness is not asked by this diagnosis"
        next_ = f"ask it by hand{_at(service)}, then rerun `{scene.rerun}`"
    else:
        why = "it declares neither readiness nor a healthcheck, so that it runs is all ota could know"
        next_ = f"declare `services.{name}.readiness`, then rerun `{scene.rerun}`"
    return _finding(
        scene,
        name,
        "OTA_SERVICE_UNVERIFIABLE",
        f"{words}: {name}",
        why,
        next_,
        severity="warn" if service.required else "info",
        owner="repo_contract",
    )


def _at(service: Service) -> str:
    readiness = service.readiness
    context = readiness.from_ if readiness is not None else None
    for name, endpoint in service.endpoints.items():
        if context is not None and (endpoint.context or name) == context:
            return f" from context `{context}` at {endpoint.address}:{endpoint.port}"
    return ""


def _observed(scene: Scene, service: Service, fact: ServiceFact) -> Finding | None:
    name = fact.name
    severity: Severity = "error" if service.required else "warn"
    where = f" from context `{fact.context}`" if fact.context else ""
    at = f" at {fact.endpoint}" if fact.endpoint else ""
    why = f"asked{where}{at}: {fact.detail or 'no answer'}"
    start = f"`{fact.start}`" if fact.start else f"start or repair service `{name}`"
    next_ = f"{start}, then rerun `{scene.rerun}`"
    match fact.state:
        case "ready":
            return None
        case "context_unexecutable":
            return _finding(
                scene,
                name,
                "OTA_SERVICE_READINESS_CONTEXT_UNEXECUTABLE",
                f"Service readiness context is not executable: {name}",
                f"context `{fact.context}` could not execute that readiness probe: {fact.detail}",
                f"repair execution context `{fact.context}`, or move `services.{name}.readiness.from`, "
                f"then rerun `{scene.rerun}`",
                severity=severity,
                owner="repo_contract",
                category="execution",
                fact=fact,
            )
        case "not_ready" | "timed_out":
            code, words = "OTA_SERVICE_READINESS_FAILED", "Service readiness failed"
        case "check_failed":
            code, words = "OTA_SERVICE_CHECK_FAILED", "Service healthcheck failed"
        case "check_timed_out":
            code, words = "OTA_SERVICE_CHECK_TIMED_OUT", "Service healthcheck timed out"
    return _finding(scene, name, code, f"{words}: {name}", why, next_, severity=severity, fact=fact)


def _finding(
    scene: Scene,
    name: str,
    code: str,
    summary: str,
    why: str,
    next_: str,
    *,
    severity: Severity,
    owner: Owner = "service",
    category: Category = "service",
    fact: ServiceFact | None = None,
) -> Finding:
    return Finding(
        code=code,
        severity=severity,
        summary=summary,
        why=why,
        next=next_,
        place=scene.loaded.place(("services", name)),
        category=category,
        owner=owner,
        evidence=Evidence(
            observed=fact.detail if fact is not None else "",
            expected="ready",
            source="service",
            command=fact.command if fact is not None else "",
        ),
    )
