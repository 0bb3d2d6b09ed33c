"""One step's body: environment first, then the shell, argv or action it is.

Source: runtime specification 2 (10), 3; contract specification 15.3.
"""

from typing import TYPE_CHECKING

from msgspec.structs import replace

from ota.backends.native import spawn_request
from ota.execute.context import RunContext
from ota.execute.environment import StepEnvironment, environment_failure, environment_of
from ota.execute.events import BodyStarted, Failure
from ota.execute.output import StepOutput
from ota.execute.process import Attendant, BodyEnd, NoAttendant, forward, run_process
from ota.execute.requirements import native_activation
from ota.resolve.plan import (
    ActionBody,
    AggregateBody,
    ArgvBody,
    ComposeLaunchBody,
    ComposeTaskBody,
    ContainerLaunchBody,
    PrepareBody,
    RuntimePlan,
    ShellBody,
    StepPlan,
)
from ota.system.spawn import OutputMode, StdinMode

if TYPE_CHECKING:
    from ota.execute.service_plane import NativePlane


def run_body(context: RunContext, step: StepPlan) -> BodyEnd:
    """Run the body of a step to its end. Never raises for what the body does."""
    epoch = context.epoch
    body, is_inside = step.task.body, step.task.context.plane == "container"
    if isinstance(body, ContainerLaunchBody) or (is_inside and isinstance(body, ShellBody | ArgvBody)):
        from ota.execute.container import run_in_container  # paid only by runs that use an engine

        return run_in_container(context, step, body, epoch)
    environment = environment_of(context, step)
    if environment.findings:
        return BodyEnd(exit_code=1, failure=environment_failure(step, environment), was_started=False)
    output = StepOutput(
        step.id, step.task.name, masker=environment.masker, stream=context.stream, logs=context.logs
    )
    if isinstance(body, ComposeTaskBody | ComposeLaunchBody):
        from ota.execute.compose_body import composed  # paid only by runs that use Compose

        child = composed(context, body, environment.variables)
        return _run_child(context, step, child, environment, output, epoch)
    match body:
        case AggregateBody():
            context.stream.emit(BodyStarted(step=step.id, pid=None))
            return BodyEnd(exit_code=0, output=output)
        case ActionBody() | PrepareBody():
            context.stream.emit(BodyStarted(step=step.id, pid=None, env=environment.shown))
            return _run_action(context, step, environment, output, epoch)
        case ShellBody() | ArgvBody():
            return _run_child(context, step, body, environment, output, epoch)
        case _:
            raise AssertionError(f"admission let {body!r} pass")


def _run_child(
    context: RunContext,
    step: StepPlan,
    body: ShellBody | ArgvBody,
    environment: StepEnvironment,
    output: StepOutput,
    epoch: int,
) -> BodyEnd:
    runtime = step.task.runtime
    lease = context.leases.get(step.id)
    attendant: Attendant = NoAttendant()
    if runtime is not None:
        from ota.execute.leased import leased
        from ota.execute.service import ServiceAttendant
        from ota.execute.service_plane import port_failure, taken_port

        # who publishes for compose may be its own services, up already
        is_composed = isinstance(step.task.body, ComposeLaunchBody)
        taken = None if is_composed else taken_port(step, runtime)
        if taken is not None:
            return BodyEnd(exit_code=1, failure=port_failure(step, *taken), was_started=False)
        plane = _plane(lease.run_id if lease is not None else context.run_id, step, runtime)
        watching = ServiceAttendant(context, step, runtime, output, plane)
        attendant = leased(context, step.id, watching, runtime, output, forward)
    mode, stdin, refusal = _interaction(context, step, body)
    if refusal is not None:
        return BodyEnd(exit_code=1, failure=refusal, was_started=False)
    request = spawn_request(
        body,
        root=context.root,
        env=environment.variables,
        task=step.task.name,
        run_id=context.run_id,
        output=mode,
        terminal_streams=context.options.terminal_streams,
        stdin=stdin,
        activation=native_activation(context, step),
    )

    if isinstance(step.task.body, ComposeTaskBody | ComposeLaunchBody):
        # what an engine starts for itself (conmon, name servers) serves others and carries no marker
        request = replace(request, run_id=None)
    if lease is not None:
        request = lease.placed(request, environment.masker)

    def started(pid: int) -> None:
        context.stream.emit(
            BodyStarted(step=step.id, pid=pid, env=environment.shown, is_service=runtime is not None)
        )

    try:
        return run_process(
            context,
            request,
            step=step.id,
            task=step.task.name,
            output=output,
            attendant=attendant,
            on_started=started,
            epoch=epoch,
        )
    finally:
        if lease is not None:
            lease.close()


def _plane(run_id: str, step: StepPlan, runtime: RuntimePlan) -> "NativePlane":
    if isinstance(step.task.body, ComposeLaunchBody):
        from ota.execute.compose_body import ComposePlane

        return ComposePlane(run_id, step, runtime)
    from ota.execute.service_plane import NativePlane

    return NativePlane(run_id, step, runtime)


def _interaction(
    context: RunContext, step: StepPlan, body: ShellBody | ArgvBody
) -> tuple[OutputMode, StdinMode, Failure | None]:
    """Who has the terminal (contract specification 15.3, `command.interaction`)."""
    options = context.options
    wish = body.interaction if isinstance(body, ArgvBody) and not body.is_launch else None
    stdin: StdinMode = "devnull" if wish == "forbidden" else options.stdin
    if wish == "required" and not options.has_terminal:
        return "capture", stdin, no_terminal(step)
    if wish in ("auto", "required") and options.has_terminal and not options.keep_logs:
        return "inherit", stdin, None
    return ("terminal" if options.terminal_streams and wish != "forbidden" else "capture"), stdin, None


def no_terminal(step: StepPlan) -> Failure:
    """A command that needs a terminal, and there is none."""
    return Failure(
        origin="admission",
        title="A terminal is required",
        task=step.task.name,
        detail=f"task `{step.task.name}` declares `interaction: required`",
        field=f"tasks.{step.task.name}.command.interaction",
        why=("standard input and output are not a terminal",),
        next=("run it in a terminal",),
    )


def _run_action(
    context: RunContext, step: StepPlan, environment: StepEnvironment, output: StepOutput, epoch: int
) -> BodyEnd:
    from ota.execute.actions import ActionFailedError, run_action  # paid only by runs that have such bodies

    body = step.task.body
    assert isinstance(body, ActionBody | PrepareBody)
    action = body.action if isinstance(body, ActionBody) else body.prepare
    try:
        return run_action(context, step, action, environment, output, epoch)
    except ActionFailedError as error:
        output.finish()
        finding = error.findings[0]
        failure = Failure(
            origin="task",
            title="Task Failed",
            task=step.task.name,
            detail=finding.summary,
            why=(finding.why,),
            next=(finding.next,),
            findings=error.findings,
        )
        return BodyEnd(exit_code=1, failure=failure, output=output)
