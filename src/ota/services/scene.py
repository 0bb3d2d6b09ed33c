"""What bringing services up needs to know of the run that asks for it.

Source: runtime specification 13.1; decision D12.
"""

from collections.abc import Callable
from typing import Literal, Protocol

from ota.env.masking import Masker
from ota.readiness.asker import Asker
from ota.readiness.checks import CheckScene, ask_command

ASK_LIMIT_S = 10.0
"""For a question to an engine or a compose command: they stop answering in the middle of a call."""
START_LIMIT_S = 600.0
"""For a start command: it may have an image to fetch, and it must end some time."""

How = Literal["started", "already_running", "not_managed"]


class ServiceScene(Asker, frozen=True, kw_only=True):
    """Where services are started, in the contract's directory, and asked.

    `run_id` owns questions, which end with the run; never a start command, whose service is to stay.
    """

    what: str
    """What the run does, for whoever waits for the same service: `run dev`."""
    masker: Callable[[], Masker] = lambda: Masker(())
    """Knows the secrets that what is started may print."""
    start_limit_s: float = START_LIMIT_S

    def ask(self, argv: tuple[str, ...], limit_s: float = ASK_LIMIT_S) -> tuple[int | None, str]:
        """Exit code and output of a question; no code when the time was up."""
        scene = CheckScene(
            root=self.root,
            env=self.environ,
            run_id=self.run_id,
            should_stop=self.should_stop,
            clock=self.clock,
        )
        return ask_command(argv, scene, limit_s)


class Watcher(Protocol):
    """Who is told while a service comes up. Called in the thread that brings it up."""

    def started(self, how: How, detail: str, stop: str = "") -> None:
        """The start command ended well, or was not needed; `detail` says which command, or who answers.

        `stop` is the command that stops again what was started, where there is one.
        """
        ...

    def output(self, data: bytes) -> None:
        """What the start command printed."""
        ...

    def waiting(self, text: str) -> None:
        """An attempt failed; what is being waited for, in words."""
        ...
