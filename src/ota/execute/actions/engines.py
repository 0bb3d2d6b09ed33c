"""Steps that ask a container engine: a network, an image, the volume of a Compose service, images to fetch.

What they make is the user's, on purpose: it carries no label of ota, outlives the run, and `ota clean`
leaves it. Questions are bounded calls of the engine; what changes something is a command of the step, so
that its output is seen and an interrupt reaches it.

Source: contract specification 15.3 (`action`, `container_images`); decision D12.
"""

import json
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from ota.backends.container.engine import CALL_LIMIT_S, Engine, EngineAnswer, ask, engine_of
from ota.contract.model.bodies import (
    BuildContainerImage,
    DependencyHydration,
    EnsureContainerNetwork,
    ResetComposeServiceVolume,
)
from ota.execute.actions.children import ChildEndedError, Children
from ota.execute.actions.failure import ActionFailedError, failed
from ota.execute.actions.places import inner_directory, inner_target
from ota.execute.compose_body import control_of
from ota.resolve.service_plan import ComposeControl
from ota.services.compose import ComposeChoices, ComposeCommand
from ota.services.scene import ServiceScene
from ota.system.locks import ResourceLock

EnginePart = EnsureContainerNetwork | BuildContainerImage | ResetComposeServiceVolume

_PROJECT = "com.docker.compose.project"
_SERVICE = "com.docker.compose.service"
_VOLUME = "com.docker.compose.volume"
_HELP_LIMIT_S = 5.0


def apply_engine_part(children: Children, part: EnginePart) -> str:
    """Carry the step out; what was done, in one line.

    Raises:
        ActionFailedError: the engine refused, or what is there is not what the step may touch.
        ChildEndedError: a command failed or was interrupted.
    """
    match part:
        case EnsureContainerNetwork():
            return _ensure_network(children, part)
        case BuildContainerImage():
            file = inner_target(children.root, part.file, part)
            # whole paths: a folder is never taken for an address or an option
            context = inner_directory(children.root, part.context, part).resolve()
            argv = (part.provider, "build", "-f", str(file), "-t", part.tag, str(context))
            children.run(argv, children.root)
            return f"built image {part.tag}"
        case ResetComposeServiceVolume():
            return _reset_volume(children, part)


def pull_images(children: Children, part: DependencyHydration) -> str:
    """Fetch the images of the targets; those that are built here have none to fetch.

    Raises:
        ActionFailedError: a path leads out of the repository, or no compose command answers.
        ChildEndedError: the images could not be fetched.
    """
    source, targets = part.source, part.targets or ()
    cwd = inner_directory(children.root, source.cwd, part)
    files = source.files or ((source.file,) if source.file is not None else ())
    for path in (*files, *(source.env_files or ())):
        inner_target(children.root, f"{source.cwd or '.'}/{path}", part)
    scene = children.scene
    command = ComposeChoices().choose(source.engine or "docker", scene)
    control = _stated(children, source.engine or "docker", files, source.env_files)
    _, known = scene.ask((*command.words, "pull", "--help"), _HELP_LIMIT_S)
    flags = ("--ignore-buildable",) if "--ignore-buildable" in known else ()
    children.run(control.argv(command.words, "pull", *flags, *targets), cwd)
    return f"fetched images with {command.text} pull: {', '.join(targets)}"


def _stated(
    children: Children,
    engine: Literal["docker", "podman"],
    files: tuple[str, ...] | None,
    env_files: tuple[str, ...] | None,
) -> ComposeControl:
    """What the step states, and for the rest what the task's variables say."""
    control = control_of(engine, children.env)
    return replace(control, files=files or control.files, env_files=env_files or control.env_files)


# --- engine --------------------------------------------------------------------------------------


def _engine(scene: ServiceScene, name: str, part: EnginePart) -> Engine:
    engine = engine_of(name, scene.environ, should_stop=scene.should_stop, clock=scene.clock)
    if engine is None:
        raise failed(part, f"`{name}` is not on PATH", f"install {name}, then run the task again")
    return engine


def _refused(engine: Engine, answer: EngineAnswer, part: EnginePart) -> ActionFailedError:
    return failed(
        part,
        f"`{engine.name} {' '.join(answer.args[:2])}`: {answer.detail}",
        f"see that `{engine.name} info` answers, then run the task again",
    )


def _told(engine: Engine, part: EnginePart, *args: str) -> str:
    answer = ask(engine, *args)
    if not answer.is_ok:
        raise _refused(engine, answer, part)
    return answer.stdout


def _ensure_network(children: Children, part: EnsureContainerNetwork) -> str:
    scene = children.scene
    engine = _engine(scene, part.provider, part)
    kept, made = f"kept network {part.name}", f"created network {part.name}"
    if _networks(engine, part):
        return kept
    lock = children.root / ".ota" / "state" / "locks" / "container-networks.lock"
    with ResourceLock(lock, what="ensure_container_network", limit_s=CALL_LIMIT_S, clock=scene.clock):
        if _networks(engine, part):
            return kept
        created = ask(engine, "network", "create", "--", part.name)
        there = _networks(engine, part)
        if not created.is_ok:
            if there:  # somebody else made it meanwhile
                return kept
            raise _refused(engine, created, part)
        own = created.stdout.strip()
        if len(there) < 2 or own not in there:
            return made
        # Docker lets two have one name when they are made at the same moment: the older one stays
        stamps = _told(engine, part, "network", "inspect", "--format", "{{.Created}} {{.ID}}", *there)
        if min(stamps.splitlines(), default=own).endswith(own):
            return made
        ask(engine, "network", "rm", own)
        return kept


def _networks(engine: Engine, part: EnsureContainerNetwork) -> tuple[str, ...]:
    """Those of exactly this name; an inspection would take it for the beginning of an id as well."""
    listed = _told(engine, part, "network", "ls", "--no-trunc", "--format", "{{.ID}} {{.Name}}")
    pairs = (line.split(maxsplit=1) for line in listed.splitlines())
    return tuple(pair[0] for pair in pairs if pair[1:] == [part.name])


# --- volume of a compose service ------------------------------------------------------------------


class _Project(Struct, frozen=True, kw_only=True):
    """How compose names what the step is about."""

    name: str
    volume: str


def _reset_volume(children: Children, part: ResetComposeServiceVolume) -> str:
    family = part.compose
    base = family.cwd if family is not None and family.cwd is not None else "."
    cwd = inner_directory(children.root, base, part)
    control = _stated(
        children,
        part.provider,
        family.files if family is not None else None,
        family.env_files if family is not None else None,
    )
    if family is not None:
        for path in (*(family.files or ()), *(family.env_files or ())):
            inner_target(children.root, f"{base}/{path}", part)
        control = replace(
            control,
            project=family.project_name or control.project,
            profiles=family.profiles or control.profiles,
        )
    control = replace(control, service=part.service)
    scene = children.scene
    command = ComposeChoices().choose(part.provider, scene)
    engine = _engine(scene, command.engine, part)
    answer = children.ask(control.argv(command.words, "config", "--format", "json"), cwd)
    project = _project(answer.text if answer.is_yes else "", control, command, part)
    volume = _own_volume(engine, project, part)
    was_running = bool(_containers(engine, project, part, "--filter", "status=running"))
    if was_running:
        children.run(control.stop_argv(command.words), cwd)
    if containers := _containers(engine, project, part, "-a"):
        _told(engine, part, "rm", "-f", *containers)
    start = control.start_argv(command.words)
    if volume:
        try:
            children.run((command.engine, "volume", "rm", volume), children.root)
        except ChildEndedError as error:
            if was_running and error.end.interrupt is None:
                children.run(start, cwd)  # what ran goes on, with the volume that stayed
            raise
    if was_running:
        children.run(start, cwd)
    done = f"removed volume {volume}" if volume else f"there was no volume {part.volume} to remove"
    after = "started again" if was_running else "not started, as it was not running"
    return f"{done}; service {part.service} {after}"


def _project(
    text: str, control: ComposeControl, command: ComposeCommand, part: ResetComposeServiceVolume
) -> _Project:
    """What compose itself calls project and volume; by its convention where it cannot be asked."""
    try:
        config: Any = json.loads(text)
        volumes = config.get("volumes") or {}
        services = config.get("services") or {}
        if part.service not in services:
            raise failed(
                part,
                f"the Compose project has no service `{part.service}`",
                "correct `service`, or name its profile in `compose.profiles`",
            )
        if part.volume not in volumes:
            raise failed(part, f"the Compose project declares no volume `{part.volume}`", "correct `volume`")
        name = str(config["name"])
        return _Project(name=name, volume=str(volumes[part.volume].get("name") or f"{name}_{part.volume}"))
    except (ValueError, KeyError, AttributeError, TypeError):
        pass
    if not control.project:
        raise failed(
            part,
            f"`{command.text} config` does not tell which project this is",
            "set `compose.project_name` of the step, and see that the Compose files are correct",
        )
    return _Project(name=control.project, volume=f"{control.project}_{part.volume}")


def _own_volume(engine: Engine, project: _Project, part: ResetComposeServiceVolume) -> str:
    """The volume when it is there; empty when not.

    Raises:
        ActionFailedError: one of that name is there, and compose did not make it for this project.
    """
    if project.volume not in _told(engine, part, "volume", "ls", "--format", "{{.Name}}").splitlines():
        return ""
    try:
        (found,) = json.loads(_told(engine, part, "volume", "inspect", project.volume))
        labels = found.get("Labels") or {}
    except (ValueError, AttributeError) as error:
        raise failed(part, f"{engine.name} says nothing of volume `{project.volume}` to go by") from error
    if labels.get(_PROJECT) == project.name and labels.get(_VOLUME) == part.volume:
        return project.volume
    raise failed(
        part,
        f"volume `{project.volume}` carries no label that says it is `{part.volume}` of Compose project "
        f"`{project.name}`; it may hold somebody else's data, and was left alone",
        f"remove it yourself with `{engine.name} volume rm {project.volume}` if it is to go",
    )


def _containers(
    engine: Engine, project: _Project, part: ResetComposeServiceVolume, *which: str
) -> tuple[str, ...]:
    labels = (f"label={_PROJECT}={project.name}", f"label={_SERVICE}={part.service}")
    filters = (word for label in labels for word in ("--filter", label))
    return tuple(_told(engine, part, "ps", "--format", "{{.ID}}", *which, *filters).split())
