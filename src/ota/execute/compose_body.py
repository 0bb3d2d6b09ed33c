"""Compose bodies and launches as commands of this host.

Project, files, profiles and env files are what the task's variables say (`COMPOSE_*`, which its adapter
inputs became). They are given as flags, because not every compose command reads all of these variables.

Source: contract specification 15.3 (`compose`, `launch.kind: compose`); decision D12.
"""

import os
from collections.abc import Callable, Mapping
from shlex import join
from typing import Literal

from ota.contract.model.bodies import ComposeBody, LaunchCompose
from ota.execute.context import RunContext
from ota.execute.service_plane import NativePlane
from ota.readiness.ladder import TranslatedWorkload, WorkloadView
from ota.readiness.wait import Gate
from ota.resolve.endpoints import Endpoint
from ota.resolve.plan import ArgvBody, ComposeLaunchBody, ComposeTaskBody, ShellBody
from ota.resolve.service_plan import ComposeControl
from ota.services.compose import ComposeChoices
from ota.services.scene import ServiceScene
from ota.system.workload import Workload

STOP_S = 3
"""What the services of an attached launch get to end, within the grace that compose itself gets."""


def composed(
    context: RunContext, body: ComposeTaskBody | ComposeLaunchBody, variables: Mapping[str, str]
) -> ShellBody | ArgvBody:
    """The command of a compose body, with the compose command that answers here.

    Raises:
        HostError: there is none.
    """
    scene = scene_of(context, context.environ)
    asked = body.compose if isinstance(body, ComposeTaskBody) else body.launch
    command = ComposeChoices().choose(asked.engine or "docker", scene)
    control = control_of(asked.engine or "docker", variables)
    if isinstance(asked, ComposeBody):
        words = control.argv(command.words, *compose_words(asked))
        is_interactive = asked.tty is True or asked.kind == "attach"
        return ArgvBody(
            exe=words[0],
            args=words[1:],
            interaction="required" if is_interactive else "auto",
            # a command with the terminal to itself is not read; without `tty` there is none to give
            is_launch=not is_interactive,
        )
    if asked.detach:
        # what was started goes on by itself; its log keeps the task, and whoever waits for it, in front
        up = control.argv(command.words, "up", "-d", *asked.services)
        logs = control.argv(command.words, "logs", "-f", *asked.services)
        # the shell stays: it says how it was interrupted, whatever the log command makes of that
        return ShellBody(kind="run", text=f"{join(up)} && {{ {join(logs)}; }}")
    words = control.argv(command.words, *launch_words(asked))
    return ArgvBody(exe=words[0], args=words[1:], is_launch=True)


def scene_of(context: RunContext, environ: Mapping[str, str]) -> ServiceScene:
    """Where engines and compose commands are asked for this run."""
    return ServiceScene(
        root=context.root,
        environ=environ,
        run_id=context.run_id,
        what=context.what,
        should_stop=lambda: context.interrupts.since(context.epoch) is not None,
        clock=context.clock,
    )


def control_of(engine: Literal["docker", "podman"], variables: Mapping[str, str]) -> ComposeControl:
    """The project that a task's variables name."""
    return ComposeControl(
        project=variables.get("COMPOSE_PROJECT_NAME", ""),
        service="",
        engine=engine,
        files=_listed(variables.get("COMPOSE_FILE", ""), os.pathsep),
        env_files=_listed(variables.get("COMPOSE_ENV_FILES", ""), ","),
        profiles=_listed(variables.get("COMPOSE_PROFILES", ""), ","),
    )


def _listed(text: str, separator: str) -> tuple[str, ...]:
    return tuple(each for each in text.split(separator) if each)


def launch_words(launch: LaunchCompose) -> tuple[str, ...]:
    """An attached `up`."""
    return ("up", "-t", str(STOP_S), *launch.services)


def compose_words(body: ComposeBody) -> tuple[str, ...]:
    """Verb, flags, service and command, after the compose command itself."""
    flags: list[str] = []
    for is_asked, words in (
        (body.kind in ("exec", "run") and body.tty is not True, ("-T",)),
        (body.detach, ("-d",)),
        (body.rm, ("--rm",)),
        (body.build, ("--build",)),
        (body.service_ports, ("--service-ports",)),
        (body.force_recreate, ("--force-recreate",)),
        (body.force, ("-f",)),
        (body.follow, ("--follow",)),
        (body.remove_volumes, ("-v",)),
        (body.timeout_seconds is not None, ("-t", str(body.timeout_seconds))),
        (body.workdir is not None, ("-w", body.workdir or "")),
    ):
        if is_asked:
            flags += words
    # attaching means to run a command in a service on the terminal
    verb = "exec" if body.kind == "attach" else body.kind
    target = () if body.service is None else (body.service, body.exe or "", *(body.args or ()))
    return (verb, *flags, *target, *(body.services or ()))


class ComposePlane(NativePlane):
    """Services that an engine publishes on this host: their sockets are none of the task's own processes."""

    closed_at_once: Literal["note", "fail"] = "fail"
    is_translated = True

    def gates(self, endpoint: Endpoint, workload: Workload) -> tuple[Gate, ...]:
        return ()

    def view(self, workload: Workload, has_printed: Callable[[], bool]) -> WorkloadView:
        return TranslatedWorkload(
            exit_code=lambda: None,
            bound=lambda: None,
            published=lambda port: (None, ""),
            answers_inside=lambda port: None,
            has_printed=has_printed,
        )
