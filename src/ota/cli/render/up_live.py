"""What is seen while `ota up` is on its way: a line per phase and observation, and what it waits for.

On a terminal the wait is one living line; elsewhere it is plain lines. Everything goes to standard
error. Child output is shown where it was asked for, and while ota stays with the run task.

Source: commands specification 1.11, 3.1, 3.2; runtime specification 10.7, 20.1.
"""

from typing import Literal

from ota.cli.render.spinner import Spinner
from ota.cli.render.style import Style, Tone
from ota.contract.durations import render_elapsed
from ota.execute.events import (
    AlreadyRunning,
    EndpointConfirmed,
    EndpointPlanned,
    Event,
    LeftRunning,
    PhaseEnded,
    PhaseStarted,
    ReadinessExhausted,
    RunEnded,
    RunNote,
    ServiceReady,
    ServiceStarted,
    StepStarted,
    Waiting,
)
from ota.system.sinks import OutputSink, TextSink

Stream = Literal["stdout", "stderr"]


class UpDisplay:
    """Shows a path coming up."""

    def __init__(
        self,
        *,
        out: OutputSink,
        err: OutputSink,
        told: TextSink,
        style: Style,
        streams: bool,
        is_quiet: bool,
        spins: bool,
    ) -> None:
        """`streams`: child output is shown from the beginning; `is_quiet`: nothing is shown at all."""
        self._sinks = {"stdout": out, "stderr": err}
        self._told = told
        self._style = style
        self._streams = streams
        self._is_quiet = is_quiet
        self._began_at: dict[str, float] = {}
        self._is_mid_line = False
        self._spinner = Spinner(told.write, "Preparing environment...", width=style.width) if spins else None

    @property
    def no_room(self) -> OSError | None:
        """Why a file did not take all that tasks printed."""
        losses = (sink.no_room for sink in self._sinks.values())
        return next((loss for loss in losses if loss is not None), None)

    def output(self, step: str, task: str, stream: Stream, data: bytes) -> None:
        if self._streams and not self._is_quiet:
            self._sinks[stream].write(data)
            self._is_mid_line = not data.endswith(b"\n")

    def event(self, event: Event) -> None:
        if self._is_quiet:
            return
        match event:
            case PhaseStarted(phase=phase, subject=subject, monotonic_s=monotonic_s):
                self._began_at[phase] = monotonic_s
                self._begin(phase, subject)
            case PhaseEnded():
                self._end(event)
            case Waiting(text=text):
                self._wait(text)
            case RunEnded():
                self._stop_spinning()
                if self._is_mid_line:
                    self._told.write("\n")
                    self._is_mid_line = False
            case _:
                self._observe(event)

    def _begin(self, phase: str, subject: str) -> None:
        if phase == "attach":
            self._stop_spinning()
            self._streams = True
            self._say(f"{self._mark} {self._strong(f'staying with {subject} until Ctrl-C')}")
            return
        told = f"{phase} ({subject})" if subject else phase
        self._say(f"{self._mark} {self._strong(told)}")
        if self._spinner is not None:
            self._spinner.doing(phase)
            self._spinner.start()

    def _end(self, event: PhaseEnded) -> None:
        elapsed = render_elapsed(event.monotonic_s - self._began_at.get(event.phase, event.monotonic_s))
        tone: Tone = "success" if event.status == "READY" else "error"
        if event.status == "INTERRUPTED":
            tone = "interrupted"
        if event.phase == "attach":
            self._stop_spinning()
        self._say(self._style.paint(f"  {event.phase}: {event.status.lower()} ({elapsed})", tone))

    def _observe(self, event: Event) -> None:
        match event:
            case StepStarted(relation=relation, task=task, parent=parent) if relation != "requested":
                self._say(f"  {task} ({relation} of {parent})")
            case ServiceStarted(step=step, how="already_running"):
                self._say(f"  {step} is already running")
            case ServiceReady(step=step, elapsed_ms=elapsed_ms):
                self._say(self._style.paint(f"  {step} is ready ({elapsed_ms} ms)", "success"))
            case AlreadyRunning(step=step, detail=detail):
                self._say(f"  {step} is already running: {detail}")
            case EndpointPlanned(endpoints=endpoints, was_discovered=False) if endpoints:
                self._say(f"  Endpoint (planned) {endpoints[0].text}")
            case EndpointConfirmed(endpoint=endpoint):
                self._say(self._style.paint(f"  External: {endpoint.text}", "success"))
            case ReadinessExhausted(step=step, attempts=attempts):
                self._say(self._style.paint(f"  {step} was not ready after {attempts} attempts", "error"))
            case LeftRunning(step=step, who=who):
                self._say(f"  {step} keeps running ({who})")
            case RunNote(text=text, is_warning=True):
                self._say(self._style.paint(f"Warning: {text}", "warn"))
            case _:
                pass

    def _wait(self, text: str) -> None:
        if self._spinner is not None:
            self._spinner.doing(self._style.tamed(text))
        else:
            self._say(self._style.paint(f"  {text}", "skipped"))

    def _say(self, text: str) -> None:
        if self._spinner is not None:
            self._spinner.clear()
        opening = "\n" if self._is_mid_line else ""
        self._is_mid_line = False
        self._told.write(f"{opening}{self._style.tamed(text)}\n")

    def _stop_spinning(self) -> None:
        if self._spinner is not None:
            self._spinner.stop()
            self._spinner = None

    @property
    def _mark(self) -> str:
        return "▸" if self._style.is_rich else ">"

    def _strong(self, text: str) -> str:
        return self._style.paint(text, "strong")
