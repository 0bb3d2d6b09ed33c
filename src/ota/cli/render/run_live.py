"""What is seen while a run happens: child output, step lines, planned and confirmed endpoints.

Child bytes pass through unchanged; with several jobs whole lines carry their task's name. What
ota itself says goes to standard error.

Source: runtime specification 10.7, 20.1; commands specification 1.6, 2.5; decision D20.
"""

from typing import Literal

from ota.cli.render.style import Style, Tone
from ota.execute.events import (
    BodyStarted,
    EndpointConfirmed,
    EndpointPlanned,
    Event,
    ReadinessExhausted,
    RunEnded,
    RunNote,
    ServiceBegan,
    ServiceEnded,
    ServiceReady,
    ServiceStarted,
    StepEnded,
    StepStarted,
    Waiting,
)
from ota.system.sinks import OutputSink, TextSink

Stream = Literal["stdout", "stderr"]
_LINE_LIMIT = 64 * 1024
_PREFIX_TONES: tuple[Tone, ...] = ("key", "brand", "interrupted", "success", "warn")


class LiveDisplay:
    """Shows a run on the terminal, or nowhere but in its report."""

    def __init__(
        self,
        *,
        out: OutputSink | None,
        err: OutputSink | None,
        told: TextSink,
        style: Style,
        is_prefixed: bool,
        shows_steps: bool,
        shows_banners: bool,
    ) -> None:
        """`out` and `err` take child output, None keeps it off; `told` takes what ota says."""
        self._sinks = {"stdout": out, "stderr": err}
        self._told = told
        self._style = style
        self._is_prefixed = is_prefixed
        self._shows_steps = shows_steps
        self._shows_banners = shows_banners
        self._partial: dict[tuple[str, Stream], tuple[str, bytes]] = {}
        self._tones: dict[str, Tone] = {}
        self._is_mid_line = False

    @property
    def no_room(self) -> OSError | None:
        """Why a file did not take all that tasks printed."""
        losses = (sink.no_room for sink in self._sinks.values() if sink is not None)
        return next((loss for loss in losses if loss is not None), None)

    def output(self, step: str, task: str, stream: Stream, data: bytes) -> None:
        sink = self._sinks[stream]
        if sink is None:
            return
        if self._is_prefixed:
            self._write_lines(step, task, stream, data)
            return
        sink.write(data)
        self._is_mid_line = not data.endswith(b"\n")

    def event(self, event: Event) -> None:
        match event:
            case BodyStarted() if self._shows_banners:
                # 1 ms of the report's modules, while the child is at work anyway
                import ota.cli.render.run_text
                import ota.evidence.summary  # noqa: F401
            case StepStarted(relation=relation, task=task, parent=parent) if self._shows_steps:
                role = "" if relation == "requested" else f" ({relation} of {parent})"
                self._say(self._style.paint(f"{'▸' if self._style.is_rich else '>'} {task}{role}", "strong"))
            case StepEnded(step=step):
                self._flush_lines(step)
            case ServiceBegan(step=step, required_by=task) if self._shows_banners:
                self._say(
                    self._style.paint(f"{'▸' if self._style.is_rich else '>'} {step} (for {task})", "strong")
                )
            case ServiceStarted(step=step, how="already_running") if self._shows_banners:
                self._say(f"{step} is already running")
            case ServiceReady(step=step, elapsed_ms=elapsed_ms) if self._shows_banners:
                self._say(self._style.paint(f"{step} is ready ({elapsed_ms} ms)", "success"))
            case ServiceEnded(step=step):
                self._flush_lines(step)
            case EndpointPlanned(endpoints=endpoints, was_discovered=False) if (
                self._shows_banners and endpoints
            ):
                icon = "🦦 " if self._style.is_rich else ""
                self._say(f"{icon}Endpoint (planned) {endpoints[0].text}")
            case EndpointConfirmed(endpoint=endpoint) if self._shows_banners:
                self._say(self._style.paint(f"External: {endpoint.text}", "success"))
                if endpoint.internal is not None:
                    self._say(f"Internal: {endpoint.internal}")
            case Waiting(text=text) if self._shows_banners:
                self._say(self._style.paint(text, "skipped"))
            case ReadinessExhausted(step=step, attempts=attempts):
                self._say(
                    self._style.paint(f"{step} was not ready after {attempts} attempts: stopping it", "error")
                )
            case RunEnded() if self._is_mid_line and self._shows_banners:
                # the report that follows begins a line of its own
                self._told.write("\n")
                self._is_mid_line = False
            case RunNote(text=text, is_warning=True):
                self._say(self._style.paint(f"Warning: {text}", "warn"))
            case _:
                pass

    def _say(self, text: str) -> None:
        opening = "\n" if self._is_mid_line else ""
        self._is_mid_line = False
        self._told.write(f"{opening}{self._style.tamed(text)}\n")

    # -- lines of several tasks ------------------------------------------------------------------

    def _write_lines(self, step: str, task: str, stream: Stream, data: bytes) -> None:
        _, held = self._partial.pop((step, stream), (task, b""))
        pending = held + data
        *lines, rest = pending.split(b"\n")
        for line in lines:
            self._write_line(task, stream, line)
        if len(rest) > _LINE_LIMIT:
            self._write_line(task, stream, rest)
        elif rest:
            self._partial[step, stream] = (task, rest)

    def _flush_lines(self, step: str) -> None:
        for stream in ("stdout", "stderr"):
            task, rest = self._partial.pop((step, stream), ("", b""))
            if rest:
                self._write_line(task, stream, rest)

    def _write_line(self, task: str, stream: Stream, line: bytes) -> None:
        sink = self._sinks[stream]
        if sink is not None:
            tone = self._tones.setdefault(task, _PREFIX_TONES[len(self._tones) % len(_PREFIX_TONES)])
            prefix = self._style.paint(f"{task} | ", tone).encode()
            sink.write(prefix + line + b"\n")
