"""How a body in a container ended: what the client said, what the engine saw, and what that means.

Pure. The exit code of the client is not enough: it cannot tell an out-of-memory kill from another one,
and says nothing when the client itself was ended.

Source: runtime specification 12; json-and-receipts specification 4.7.
"""

from msgspec import Struct

from ota.backends.container.ephemeral import Termination
from ota.execute.events import ServiceTerminated, TerminationCause
from ota.execute.process import INTERRUPT_CODES, BodyEnd

_KILLED = 137
TAKEN_CODES = (_KILLED, 125, 255)
"""With which an engine's client ends when somebody takes the container away: that of the kill, or its own."""
_SIGNALLED = (_KILLED, 143)
"""Of what an engine ends when it goes down itself."""


class ServiceEvidence(Struct, frozen=True, kw_only=True):
    """Everything that is known when a service in a container has ended."""

    step: str
    container: str
    is_persistent: bool
    was_ready: bool
    end: BodyEnd
    """As the attached client ended."""
    state: Termination | None
    """None: the engine could not say."""
    is_oom_killed: bool = False

    @property
    def exit_code(self) -> int | None:
        """The workload's own code; None when nobody saw it."""
        if self.is_persistent:
            return self.end.exit_code
        if self.state is None or self.state.is_running is not False:
            return None
        return self.state.exit_code


def ended_by_itself(exit_code: int, state: Termination) -> bool:
    """Whether a body's code is its own, as far as an engine knows that once gave no answer about it."""
    if state.is_running is not False or state.exit_code != exit_code:
        return False
    return state.oom_killed or exit_code not in _SIGNALLED


def may_be_taken(exit_code: int, state: Termination) -> bool:
    """Whether a container that ended may be about to vanish: who removes one kills it first."""
    if exit_code not in TAKEN_CODES or state.oom_killed:
        return False
    return exit_code == _KILLED or state.exit_code != exit_code


def terminated(evidence: ServiceEvidence) -> ServiceTerminated | None:
    """The record of a service that ended; None for one that failed to start in the ordinary way."""
    code = evidence.exit_code
    cause = _cause(evidence, code)
    is_ordinary = not evidence.was_ready and cause == "exited_non_zero"
    if is_ordinary and not evidence.is_persistent:
        return None
    return ServiceTerminated(
        step=evidence.step,
        cause=cause,
        after_readiness=evidence.was_ready,
        target="service workload in persistent container" if evidence.is_persistent else "container",
        container=evidence.container,
        exit_code=code,
    )


def _cause(evidence: ServiceEvidence, code: int | None) -> TerminationCause:
    if evidence.is_oom_killed:
        return "oom_killed"
    if evidence.end.interrupt is not None and (code is None or code in (0, _KILLED, *INTERRUPT_CODES)):
        # 137 is ota's own doing: who does not end when asked to is killed for it
        return "interrupted"
    if code is None:
        return "unknown"
    if code in INTERRUPT_CODES and (evidence.was_ready or evidence.end.interrupt is not None):
        return "interrupted"
    return "exited" if code == 0 else "exited_non_zero"
