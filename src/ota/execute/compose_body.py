"""Compose bodies and launches as commands of this host.

Project, files, profiles and env files reach compose through its own variables (`COMPOSE_*`), which the
adapter inputs of the task became; here are the verb, its flags and the service.

Source: contract specification 15.3 (`compose`, `launch.kind: compose`); decision D12.
"""

from collections.abc import Callable
from shlex import join
from typing import Literal

from ota.contract.model.bodies import ComposeBody, LaunchCompose
from ota.execute.context import RunContext
from ota.execute.service_plane import NativePlane
from ota.readiness.ladder import TranslatedWorkload, WorkloadView
from ota.readiness.wait import Gate
from ota.resolve.endpoints import Endpoint
from ota.resolve.plan import ArgvBody, ComposeLaunchBody, ComposeTaskBody, ShellBody, StepPlan
from ota.services.compose import ComposeChoices
from ota.services.scene import ServiceScene
from ota.system.workload import Workload

STOP_S = 3
"""What the services of an attached launch get to end, within the grace that compose itself gets."""


def composed(
    context: RunContext, step: StepPlan, body: ComposeTaskBody | ComposeLaunchBody
) -> ShellBody | ArgvBody:
    """The command of a compose body, with the compose command that answers here.

    Raises:
        HostError: there is none.
    """
    scene = ServiceScene(
        root=context.root,
        environ=context.environ,
        run_id=context.run_id,
        what=context.what,
        should_stop=lambda: context.interrupts.since(context.epoch) is not None,
        clock=context.clock,
    )
    if isinstance(body, ComposeTaskBody):
        engine = body.compose.engine or "docker"
        words = (*ComposeChoices().choose(engine, scene).words, *compose_words(body.compose))
        is_interactive = body.compose.tty is True or body.compose.kind == "attach"
        return ArgvBody(
            exe=words[0],
            args=words[1:],
            interaction="required" if is_interactive else "auto",
            # a command with the terminal to itself is not read; without `tty` there is none to give
            is_launch=not is_interactive,
        )
    launch = body.launch
    command = ComposeChoices().choose(launch.engine or "docker", scene).words
    if launch.detach:
        # what was started goes on by itself; its log keeps the task, and whoever waits for it, in front
        up, logs = (*command, "up", "-d", *launch.services), (*command, "logs", "-f", *launch.services)
        return ShellBody(kind="run", text=f"{join(up)} && exec {join(logs)}")
    words = (*command, *launch_words(launch))
    return ArgvBody(exe=words[0], args=words[1:], is_launch=True)


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
