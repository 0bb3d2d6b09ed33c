"""Rules of `command`, `launch` and `compose` bodies.

Prepare bodies are in `prepare`, actions in `actions`.

Source: contract specification 15.3; appendix A V315 to V335.
"""

from collections.abc import Iterator

from ota.contract.grammar import check_repo_path, is_empty, is_loopback_only
from ota.contract.listeners import effective_listeners
from ota.contract.model.bodies import (
    Command,
    ComposeBody,
    LaunchCommand,
    LaunchCompose,
    LaunchContainer,
    RuntimeProjection,
)
from ota.contract.model.runtime import Runtime
from ota.contract.model.tasks import Variant
from ota.contract.planes import runtime_on, runtimes_of
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.holders import Holder, compose_bodies, holders, prepare_bodies, prepare_steps
from ota.contract.rules.phrases import listed
from ota.contract.rules.values import empty_text, refused_text
from ota.contract.rules.wording import broken

_INSIDE = "write a path relative to the contract, inside the repository"

BIND_FLAGS = {
    "uvicorn": ("--host", "--port"),
    "rails": ("-b", "--binding", "-p", "--port"),
    "nextjs": ("-H", "--hostname", "-p", "--port"),
}

EXEC_KINDS = ("exec", "run", "attach")
COMPOSE_FLAGS = {
    "args": EXEC_KINDS,
    "workdir": EXEC_KINDS,
    "exe": EXEC_KINDS,
    "tty": ("exec", "run"),
    "detach": ("exec", "up"),
    "rm": ("run",),
    "build": ("run",),
    "service_ports": ("run",),
    "force_recreate": ("up",),
    "force": ("rm",),
    "follow": ("logs",),
    "remove_volumes": ("down",),
    "timeout_seconds": ("down",),
}
"""Which compose kinds know a key; `service` and `services` are V330 to V332."""

_ARGV_KEYS = ("args", "workdir", "exe")


def _launches(
    subject: Subject,
) -> Iterator[tuple[Holder, FieldPath, LaunchCommand | LaunchCompose | LaunchContainer]]:
    for holder in holders(subject):
        if not isinstance(holder.record, Variant) and holder.record.launch is not None:
            yield holder, (*holder.path, "launch"), holder.record.launch


def _container_launches(subject: Subject) -> Iterator[tuple[Holder, FieldPath, LaunchContainer]]:
    for holder, path, launch in _launches(subject):
        if isinstance(launch, LaunchContainer):
            yield holder, path, launch


def _argv_bodies(subject: Subject) -> Iterator[tuple[Holder, FieldPath, Command | LaunchCommand]]:
    """`command` and `launch.kind: command`: what starts one executable."""
    for holder in holders(subject):
        if holder.record.command is not None:
            yield holder, (*holder.path, "command"), holder.record.command
    for holder, path, launch in _launches(subject):
        if isinstance(launch, LaunchCommand):
            yield holder, path, launch


def _runtimes(holder: Holder) -> list[Runtime]:
    """The runtimes that go with a body, one per plane on which it runs."""
    found = [runtime_on(holder.task, plane) for plane in holder.planes]
    return [runtime for runtime in found if runtime is not None]


def empty_exe(subject: Subject) -> Iterator[Violation]:
    """V315."""
    for _, path, body in _argv_bodies(subject):
        yield from empty_text("V315", (*path, "exe"), body.exe)
    for _, path, compose in compose_bodies(subject):
        yield from empty_text("V315", (*path, "exe"), compose.exe)


def working_directory(subject: Subject) -> Iterator[Violation]:
    """V316. Working directories of adapter inputs are V383."""
    for _, path, body in _argv_bodies(subject):
        yield from refused_text("V316", (*path, "cwd"), body.cwd, check_repo_path, _INSIDE)
    for _, path, prepare in prepare_bodies(subject):
        for place, step in prepare_steps(path, prepare):
            where = (*place, "source", "cwd")
            yield from refused_text("V316", where, step.source.cwd, check_repo_path, _INSIDE)


def empty_image(subject: Subject) -> Iterator[Violation]:
    """V318."""
    for _, path, launch in _container_launches(subject):
        yield from empty_text("V318", (*path, "image"), launch.image)


def container_launch_plane(subject: Subject) -> Iterator[Violation]:
    """V319."""
    for holder, path, _ in _container_launches(subject):
        other = [plane for plane in holder.planes if plane != "native"]
        if other:
            yield broken(
                "V319",
                (*path, "kind"),
                f"is `container`, but the task runs on {', '.join(other)}",
                "`launch.kind: container` asks the host's engine, so it is native only",
                "run the task in a native context, or use `launch.kind: command` inside the container",
            )


def container_launch_surfaces(subject: Subject) -> Iterator[Violation]:
    """V320."""
    for holder, path, _ in _container_launches(subject):
        runtimes = _runtimes(holder)
        if not runtimes or any(not runtime.surfaces for runtime in runtimes):
            found = "attaches no surface" if runtimes else "is no service"
            yield broken(
                "V320",
                path,
                f"needs runtime.surfaces; the task {found}",
                "a launched container is published through the surfaces of its service runtime",
                "declare `runtime: {kind: service, surfaces: {...}}`",
            )


def launch_removal(subject: Subject) -> Iterator[Violation]:
    """V321."""
    for _, path, launch in _container_launches(subject):
        if launch.remove:
            yield broken(
                "V321",
                (*path, "remove"),
                "cannot be true for a service container",
                "the container stays and is replaced only when it is provably ours",
                "remove `remove`",
            )


def launch_volume(subject: Subject) -> Iterator[Violation]:
    """V322."""
    for _, path, launch in _container_launches(subject):
        for index, volume in enumerate(launch.volumes):
            yield from empty_text("V322", (*path, "volumes", index, "source"), volume.source)
            yield from empty_text("V322", (*path, "volumes", index, "target"), volume.target)


def launch_publication(subject: Subject) -> Iterator[Violation]:
    """V323."""
    for holder, path, _ in _container_launches(subject):
        told: set[str] = set()
        for runtime in _runtimes(holder):
            listeners = effective_listeners(runtime, subject.contract.surfaces)
            for attachment in runtime.surfaces:
                listener = listeners.get(attachment.name)
                if listener is None or attachment.name in told:
                    continue
                host = listener.host
                if host is None:
                    why = "it declares no `project.host`"
                elif host.port.mode != "fixed" or host.port.value is None:
                    why = "its host port is not fixed"
                elif is_loopback_only(listener.bind.address):
                    why = f"it binds the loopback address `{listener.bind.address}` inside the container"
                else:
                    continue
                told.add(attachment.name)
                yield broken(
                    "V323",
                    path,
                    f"cannot publish surface `{attachment.name}`",
                    why,
                    f"override surface `{attachment.name}` with `bind.address: 0.0.0.0` and "
                    "a fixed host port",
                )


def _projections(
    subject: Subject,
) -> Iterator[tuple[Holder, FieldPath, Command | LaunchCommand, RuntimeProjection]]:
    for holder, path, body in _argv_bodies(subject):
        if body.runtime_projection is not None:
            yield holder, path, body, body.runtime_projection


def projected_listener(subject: Subject) -> Iterator[Violation]:
    """V324."""
    for holder, path, _, projection in _projections(subject):
        runtimes = _runtimes(holder) or list(runtimes_of(holder.task).values())
        why = "the task is no service"
        for runtime in runtimes:
            listener = effective_listeners(runtime, subject.contract.surfaces).get(projection.listener)
            if listener is None:
                why = f"the task declares no listener `{projection.listener}`"
                break
            if listener.bind.port.mode != "fixed" or listener.bind.port.value is None:
                why = f"listener `{projection.listener}` binds `{listener.bind.port.mode}`"
                break
        else:
            if runtimes:
                continue
        yield broken(
            "V324",
            (*path, "runtime_projection", "listener"),
            "needs a fixed listener",
            why,
            "name a listener with `bind.port.mode: fixed` and a value",
        )


def conflicting_flags(subject: Subject) -> Iterator[Violation]:
    """V325."""
    for _, path, body, projection in _projections(subject):
        flags = BIND_FLAGS[projection.adapter]
        for index, argument in enumerate(body.args):
            flag = argument.partition("=")[0]
            short = next((f for f in flags if len(f) == 2 and argument[:2] == f), None)
            if flag in flags or short is not None:
                yield broken(
                    "V325",
                    (*path, "args", index),
                    f"carries `{flag if flag in flags else short}` beside `runtime_projection`",
                    f"adapter `{projection.adapter}` derives {listed(flags)} from the listener",
                    f"remove `{argument}` and its value, or `runtime_projection`",
                )
                break


def compose_launch_runtime(subject: Subject) -> Iterator[Violation]:
    """V326."""
    for holder, path, launch in _launches(subject):
        if isinstance(launch, LaunchCompose) and not _runtimes(holder):
            yield broken(
                "V326",
                path,
                "needs a service runtime",
                "`launch.kind: compose` starts something that keeps running",
                "declare `runtime: {kind: service, listeners: {...}}`, or use a `compose` body",
            )


def compose_required(subject: Subject) -> Iterator[Violation]:
    """V330."""
    for _, path, compose in compose_bodies(subject):
        if compose.kind in EXEC_KINDS:
            for key in ("service", "exe"):
                value = getattr(compose, key)
                if value is None or (key == "service" and is_empty(value)):
                    yield broken(
                        "V330",
                        (*path, key),
                        "is missing",
                        f"compose `{compose.kind}` needs `service` and `exe`",
                        f"add `{key}`",
                    )


def compose_service(subject: Subject) -> Iterator[Violation]:
    """V331."""
    yield from _foreign_keys(subject, "V331", ("service",), EXEC_KINDS)


def compose_services(subject: Subject) -> Iterator[Violation]:
    """V332."""
    kinds = ("up", "build", "stop", "restart", "ps", "rm", "logs")
    yield from _foreign_keys(subject, "V332", ("services",), kinds)


def compose_argv(subject: Subject) -> Iterator[Violation]:
    """V333."""
    yield from _foreign_keys(subject, "V333", _ARGV_KEYS, EXEC_KINDS)


def _foreign_keys(
    subject: Subject, rule: str, keys: tuple[str, ...], kinds: tuple[str, ...]
) -> Iterator[Violation]:
    for _, path, compose in compose_bodies(subject):
        if compose.kind not in kinds:
            for key in keys:
                if getattr(compose, key) is not None:
                    yield _foreign_key(rule, path, compose, key, kinds)


def compose_flags(subject: Subject) -> Iterator[Violation]:
    """V334."""
    for _, path, compose in compose_bodies(subject):
        for key, kinds in COMPOSE_FLAGS.items():
            if key not in _ARGV_KEYS and getattr(compose, key) is not None and compose.kind not in kinds:
                yield _foreign_key("V334", path, compose, key, kinds)


def _foreign_key(
    rule: str, path: FieldPath, compose: ComposeBody, key: str, kinds: tuple[str, ...]
) -> Violation:
    return broken(
        rule,
        (*path, key),
        f"is not allowed for compose `{compose.kind}`",
        f"`{key}` belongs to {listed(kinds)}",
        f"remove `{key}`",
    )


def compose_engine(subject: Subject) -> Iterator[Violation]:
    """V335. Native paths without scoped requirements use the global tools, so those count too."""
    for holder, path, compose in compose_bodies(subject):
        engines = (compose.engine,) if compose.engine is not None else ("docker", "podman")
        if not any(engine in declared_tools(subject, holder) for engine in engines):
            yield broken(
                "V335",
                path,
                "declares no engine requirement",
                f"a compose body needs {' or '.join(f'`requirements.tools.{engine}`' for engine in engines)}",
                f'declare `requirements: {{tools: {{{engines[0]}: "*"}}}}`',
            )


def declared_tools(subject: Subject, holder: Holder) -> set[str]:
    """Tools a body may count on: its task's, its variant's, its contexts', and the global ones."""
    found = set(subject.contract.tools)
    scopes = [holder.task.requirements]
    if isinstance(holder.record, Variant):
        scopes.append(holder.record.requirements)
    for scope in scopes:
        if scope is not None:
            found.update(scope.tools)
            for alternative in scope.any_of:
                found.update(alternative.tools)
    for plane in holder.planes:
        requirements = subject.planes.choose(holder.task, asked=plane).context.requirements
        if requirements is not None:
            found.update(requirements.tools)
    return found


RULES: tuple[Rule, ...] = (
    empty_exe,
    working_directory,
    empty_image,
    container_launch_plane,
    container_launch_surfaces,
    launch_removal,
    launch_volume,
    launch_publication,
    projected_listener,
    conflicting_flags,
    compose_launch_runtime,
    compose_required,
    compose_service,
    compose_services,
    compose_argv,
    compose_flags,
    compose_engine,
)
