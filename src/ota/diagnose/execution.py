"""Planes and backends: host support of contexts, engines, remote providers, and what is not looked into.

A plane this build does not probe from inside is told as such; it never counts as ready, and no other
plane is probed in its place.

Source: doctor specification 5 (context host support), 7, 8; commands specification 4.1; decision D12.
"""

from collections.abc import Iterable, Iterator

from ota.contract.grammar import allows_arch
from ota.contract.model.scalars import Lifecycle, Plane
from ota.diagnose.engines import answering_engine
from ota.diagnose.scene import Scene
from ota.errors import Evidence, Finding, Severity
from ota.requirements.executables import find_executable
from ota.resolve.boundary import DEFAULT_ENGINES
from ota.resolve.plan import ContainerLaunchBody
from ota.resolve.service_plan import ComposeControl
from ota.resolve.services import control_of

REMOTE_CLIS = {"daytona": "daytona", "ssh": "ssh", "tsh": "tsh", "kubectl": "kubectl"}
_TARGET_EXAMPLES = {"ssh": "user@host", "tsh": "user@host", "kubectl": "pod/ota-dev"}
_PATH_REFUSALS = (
    "OTA_MODE_UNSUPPORTED",
    "OTA_TASK_HOST_PLATFORM_UNSUPPORTED",
    "OTA_POLICY_BACKEND_ENVIRONMENT_UNRESOLVED",
    "OTA_CONTAINER_MODE_NOT_CONFIGURED",
    "OTA_REMOTE_NOT_CONFIGURED",
    "OTA_LIFECYCLE_UNDECLARED",
    "OTA_REMOTE_SECRET_REFUSED",
    "OTA_TARGET_UNRESOLVED",
    "OTA_NATIVE_ACTIVATION_UNSUPPORTED",
)
"""What a plan refuses about the contract and this host, and not about one invocation."""


# --- lifecycle -----------------------------------------------------------------------------------


def lifecycle_findings(scene: Scene, mode: Plane, asked: Lifecycle | None) -> tuple[Finding, ...]:
    """W21: an ephemeral lifecycle where it isolates nothing."""
    execution = scene.planes.execution
    declared = execution.lifecycle == "ephemeral"
    if mode != "native" or not (declared or asked == "ephemeral"):
        return ()
    is_container = execution.preferred == "container"
    if is_container and asked != "ephemeral":
        code, summary = "OTA_LIFECYCLE_EPHEMERAL_BACKEND_ONLY", "Ephemeral lifecycle is execution-only"
        why = "it applies to the containers of a run; this diagnosis looks at the host"
        next_ = f"`{scene.rerun} --mode container` looks at the container plane"
    else:
        code = "OTA_LIFECYCLE_EPHEMERAL_ADVISORY"
        summary = "Ephemeral lifecycle is advisory in native mode"
        why = "native work runs in the checkout itself, and nothing of it is thrown away"
        next_ = (
            "drop `--lifecycle ephemeral`, or name a container plane"
            if asked == "ephemeral"
            else "declare `lifecycle` on a container context, or drop `execution.lifecycle`"
        )
    return (
        Finding(
            code=code,
            severity="warn",
            summary=summary,
            why=why,
            next=next_,
            place=scene.loaded.place(("execution", "lifecycle")) if declared else None,
            category="execution",
        ),
    )


# --- contexts and this host ----------------------------------------------------------------------


def unsupported_contexts(scene: Scene) -> frozenset[str]:
    """Contexts whose `only_on` or `only_arch` this host does not meet."""
    host = scene.host
    return frozenset(
        name
        for name, context in scene.planes.contexts.items()
        if (context.only_on is not None and host.os not in context.only_on)
        or (context.only_arch is not None and not allows_arch(context.only_arch, host.arch))
    )


def platform_findings(scene: Scene, unsupported: frozenset[str]) -> Iterator[Finding]:
    """Contexts of the path that this host cannot be: a blocker; other used contexts: a warning."""
    selected = {task.context.name for task in scene.path} | {scene.planes.execution.default_context}
    has_workflow = scene.selection.workflow is not None
    used = selected if has_workflow else selected | _used_contexts(scene)
    for name in sorted(unsupported):
        if name not in used:
            continue
        context = scene.planes.contexts[name]
        is_selected = name in selected or not scene.path
        limits = [
            f"`{key}: [{', '.join(allowed)}]`"
            for key, allowed in (("only_on", context.only_on), ("only_arch", context.only_arch))
            if allowed is not None
        ]
        hint = ""
        if scene.host.os == "windows" and "linux" in (context.only_on or ()):
            hint = " (WSL is a linux host)"
        yield Finding(
            code="OTA_CONTEXT_HOST_PLATFORM_UNSUPPORTED",
            severity="error" if is_selected else "warn",
            summary=f"Unsupported host platform for context: {name}",
            why=f"it declares {' and '.join(limits)}; this host is {scene.host.os}/{scene.host.arch}",
            next=f"work on a supported host{hint}, or give the path another context",
            place=scene.loaded.place(("execution", "contexts", name)),
            category="execution",
            owner="host",
            evidence=Evidence(
                observed=f"{scene.host.os}/{scene.host.arch}",
                expected=", ".join((*(context.only_on or ()), *(context.only_arch or ()))),
                source="host",
            ),
        )


def _used_contexts(scene: Scene) -> set[str | None]:
    planes = scene.planes
    tasks = scene.contract.tasks.values()
    return {planes.context_name(task, plane) for task in tasks for plane in planes.planes_of(task)}


def path_refusals(scene: Scene) -> Iterator[Finding]:
    """Why a run of the path would be refused before anything starts."""
    for task in scene.path:
        yield from (finding for finding in task.refusals if finding.code in _PATH_REFUSALS)


# --- backends ------------------------------------------------------------------------------------


Field = tuple[str, ...]
Engines = dict[tuple[str, ...], Field]
"""Lists of candidates, each with the field that asks for it."""


def backend_findings(scene: Scene, mode: Plane, *, sees_images: bool = False) -> tuple[Finding, ...]:
    """Engines, remote CLIs and compose managers that the path, or the diagnosed plane, relies on.

    `sees_images`: also the images of the path, on the engines that answer.
    """
    return (
        *_container_findings(scene, _engines(scene, mode), sees_images=sees_images),
        *_managers(scene, services_of(scene)),
        *_remotes(scene, mode),
    )


def path_backend_findings(scene: Scene, services: Iterable[str]) -> tuple[Finding, ...]:
    """What the tasks of the path and these services stand on, and nothing of the contract beside them."""
    return (
        *_container_findings(scene, _engines_of_path(scene), sees_images=True),
        *_managers(scene, services),
    )


def services_of(scene: Scene) -> tuple[str, ...]:
    """The services a diagnosis is about."""
    from ota.diagnose.services import services_in_scope

    return services_in_scope(scene)


def _container_findings(scene: Scene, wanted: Engines, *, sees_images: bool) -> Iterator[Finding]:
    for engines, field in wanted.items():
        answering, found = answering_engine(scene, engines, field)
        yield from found
        images = {image: own for each, image, own in _images_of_path(scene) if each == engines}
        if answering and images and sees_images:
            from ota.diagnose.images import image_findings  # paid only by paths through containers

            yield from image_findings(scene, answering, images)


def _images_of_path(scene: Scene) -> Iterator[tuple[tuple[str, ...], str, Field]]:
    """Engines, image and field of each task of the path that runs in a container."""
    for task in scene.path:
        if isinstance(task.body, ContainerLaunchBody):
            launch = task.body.launch
            engines = (launch.engine,) if launch.engine is not None else DEFAULT_ENGINES
            yield engines, launch.image, ("tasks", task.name, "launch")
        elif task.context.container is not None:
            container = task.context.container
            yield container.engines, container.image, field_of_container(task.context.name)


def _engines_of_path(scene: Scene) -> Engines:
    lists: Engines = {}
    for engines, _, field in _images_of_path(scene):
        lists.setdefault(engines, field)
    return lists


def _engines(scene: Scene, mode: Plane) -> Engines:
    """The candidate lists of the container planes that matter."""
    planes = scene.planes
    lists = _engines_of_path(scene)
    if mode == "container":
        for name in container_contexts(scene):
            settings = planes.context_of(name, "container").container
            engines = (settings.engines if settings is not None else None) or DEFAULT_ENGINES
            lists.setdefault(engines, field_of_container(name))
    default = planes.contexts.get(planes.execution.default_context or "")
    is_preferred = planes.execution.preferred == "container" or (
        default is not None and default.backend == "container"
    )
    if is_preferred and not lists:
        context = default if default is not None else planes.root_context("container")
        settings = context.container
        engines = (settings.engines if settings is not None else None) or DEFAULT_ENGINES
        lists[engines] = field_of_container(planes.execution.default_context if default is not None else None)
    return lists


def field_of_container(context: str | None) -> tuple[str, ...]:
    """Where a container context, or the root shorthand, is declared."""
    named = ("execution", "contexts", context) if context is not None else ("execution", "backends")
    return (*named, "container")


def container_contexts(scene: Scene) -> tuple[str | None, ...]:
    """Declared container contexts, and None for a configured root shorthand."""
    named = tuple(name for name, context in scene.planes.contexts.items() if context.backend == "container")
    return named or ((None,) if scene.planes.has_shorthand("container") else ())


def remote_contexts(scene: Scene) -> tuple[str | None, ...]:
    """Declared remote contexts, and None for a configured root shorthand."""
    named = tuple(name for name, context in scene.planes.contexts.items() if context.backend == "remote")
    return named or ((None,) if scene.planes.has_shorthand("remote") else ())


def _managers(scene: Scene, services: Iterable[str]) -> Iterator[Finding]:
    """The CLI of compose managers whose services count here."""
    missing: dict[str, tuple[Severity, str]] = {}
    for name in services:
        service = scene.contract.services[name]
        control = control_of(service, scene.planes)
        if not isinstance(control, ComposeControl):
            continue
        from ota.services.compose import compose_commands, engine_found  # paid only by who has such services

        engine = engine_found(control, scene)
        is_there = any(_is_there(scene, words[0]) for words in compose_commands(engine))
        if not is_there and (service.required or engine not in missing):
            missing[engine] = ("error" if service.required else "warn", name)
    for engine, (severity, name) in missing.items():
        yield _host_finding(
            scene,
            ("services", name, "manager"),
            "OTA_BACKEND_CLI_MISSING",
            f"Missing execution backend CLI: {engine}",
            f"services are managed by compose, and no {engine} is on the PATH",
            f"install {engine} with its compose plugin, then rerun `{scene.rerun}`",
            severity=severity,
            expected=engine,
        )


def _remotes(scene: Scene, mode: Plane) -> Iterator[Finding]:
    planes = scene.planes
    on_path = {task.context.name for task in scene.path if task.context.plane == "remote"}
    for name in remote_contexts(scene):
        settings = planes.context_of(name, "remote").remote
        provider = settings.provider if settings is not None else None
        if settings is None or provider is None:
            continue
        matters = mode == "remote" or planes.execution.preferred == "remote" or name in on_path
        field = ("execution", "contexts", name, "remote") if name else ("execution", "backends", "remote")
        if matters:
            yield from _provider(scene, provider, field)
        example = _TARGET_EXAMPLES.get(provider)
        target = settings.target or ""
        is_odd = not target.startswith("pod/") if provider == "kubectl" else "@" not in target
        if example is not None and target and is_odd:
            yield Finding(
                code="OTA_REMOTE_TARGET_SUSPICIOUS",
                severity="warn",
                summary=f"Suspicious remote target for {provider}: {target}",
                why=f"{provider} targets usually look like `{example}`",
                next=f"write the target as `{example}`, or leave it when your {provider} knows it",
                place=scene.loaded.place((*field, "target")),
                category="remote",
                evidence=Evidence(observed=target, expected=example, source="contract"),
            )


def _provider(scene: Scene, provider: str, field: tuple[str, ...]) -> Iterator[Finding]:
    extension = scene.contract.extensions.get(provider)
    if extension is not None and extension.kind == "backend_provider" and extension.api_version == 1:
        return
    if provider not in REMOTE_CLIS:
        yield Finding(
            code="OTA_REMOTE_BACKEND_PROVIDER_UNSUPPORTED",
            summary=f"Unsupported remote execution backend provider: {provider}",
            why=f"known are {', '.join(sorted(REMOTE_CLIS))}, and `backend_provider` extensions of version 1",
            next=f"name a known provider, then rerun `{scene.rerun}`",
            place=scene.loaded.place((*field, "provider")),
            category="remote",
            owner="remote_backend",
        )
    elif not _is_there(scene, REMOTE_CLIS[provider]):
        cli = REMOTE_CLIS[provider]
        yield _host_finding(
            scene,
            field,
            "OTA_BACKEND_CLI_MISSING",
            f"Missing execution backend CLI: {cli}",
            f"`{cli}` is not on the PATH, and the remote backend needs it",
            f"install {cli}, then rerun `{scene.rerun}`",
            expected=cli,
        )


def _is_there(scene: Scene, name: str) -> bool:
    return find_executable(name, scene.environ, scene.loaded.root, host_os=scene.host.os) is not None


def _host_finding(
    scene: Scene,
    field: tuple[str, ...],
    code: str,
    summary: str,
    why: str,
    next_: str,
    *,
    severity: Severity = "error",
    expected: str = "",
) -> Finding:
    return Finding(
        code=code,
        severity=severity,
        summary=summary,
        why=why,
        next=next_,
        place=scene.loaded.place(field),
        category="execution",
        owner="host",
        evidence=Evidence(observed="missing" if expected else "", expected=expected, source="host"),
    )


# --- planes that are only partly seen --------------------------------------------------------------


def partial_findings(scene: Scene) -> Iterator[Finding]:
    """Native mode: what this look from the host cannot know about other planes."""
    preferred = scene.planes.execution.preferred
    for plane, contexts in (("container", container_contexts(scene)), ("remote", remote_contexts(scene))):
        if not contexts and preferred != plane:
            continue
        named = ", ".join(f"`{name}`" for name in contexts if name is not None)
        yield Finding(
            code=f"OTA_{plane.upper()}_DOCTOR_PARTIAL",
            severity="info",
            summary=f"{plane.capitalize()} execution contexts are only partially evaluated in native mode",
            why=f"what is on this host says nothing about {named or f'the {plane} plane'}",
            next=f"`ota doctor{scene.target} --mode {plane}` and "
            f"`ota execution plan{scene.target} --mode {plane}` look at that plane",
            category="remote" if plane == "remote" else "execution",
        )


def plane_findings(scene: Scene, mode: Plane) -> Iterator[Finding]:
    """Container or remote mode: is the plane configured, and what of it is not looked into."""
    contexts = container_contexts(scene) if mode == "container" else remote_contexts(scene)
    if not contexts:
        missing = "container.image" if mode == "container" else "remote.provider"
        yield Finding(
            code=f"OTA_{mode.upper()}_MODE_NOT_CONFIGURED",
            summary=f"{mode.capitalize()} execution is not configured",
            why=f"no context, and no root backend, declares `{missing}`",
            next=f"declare a {mode} context under `execution.contexts`, or rerun "
            f"`ota doctor{scene.target} --mode native`",
            place=scene.loaded.place(("execution",)),
            category="execution" if mode == "container" else "remote",
        )
        return
    named = ", ".join(f"`{name}`" for name in contexts if name is not None) or f"the {mode} plane"
    if mode == "remote":
        yield Finding(
            code="OTA_REMOTE_PLANE_NOT_EVALUATED",
            summary=f"Requirements inside {named} are not evaluated",
            why="this build does not look into remote planes, and what is on the host does not count there",
            next=f"`ota execution plan{scene.target} --mode remote` shows that plane; "
            f"`ota doctor{scene.target} --mode native` looks at the host",
            category="remote",
            owner="remote_target",
        )
    skipped = _host_bound(scene)
    if skipped:
        yield Finding(
            code=f"OTA_{mode.upper()}_DOCTOR_HOST_SCOPE_NOTE",
            severity="info",
            summary=f"Host-bound readiness checks are not evaluated in {mode} mode",
            why=f"left out: {', '.join(skipped)}",
            next=f"`ota doctor{scene.target} --mode native` evaluates them",
            category="execution" if mode == "container" else "remote",
        )


def _host_bound(scene: Scene) -> list[str]:
    kinds = []
    if scene.contract.env.vars:
        kinds.append("environment variables")
    if scene.contract.checks:
        kinds.append("checks")
    if scene.readiness.probes or scene.readiness.surfaces:
        kinds.append("workflow probes and surfaces")
    if any(service.healthcheck for service in scene.contract.services.values()):
        kinds.append("service healthchecks")
    return kinds
