"""Why an action could not be carried out, as a finding.

Source: contract specification 15.3; commands specification 1.8.
"""

from msgspec import Struct

from ota.errors import Finding, OtaError


class ActionFailedError(OtaError):
    """An action could not be carried out; what it had changed before stays."""


class Unsupported(Struct, frozen=True, kw_only=True):
    """What this build refuses by name, before anything starts."""

    what: str
    why: str
    next: str


def needs_engine(what: str) -> Unsupported:
    """A step that is a container engine's."""
    return Unsupported(
        what=what,
        why="this build does not drive container engines yet",
        next="run the engine command in a `run` body, in a task of its own",
    )


def kind_of(part: Struct) -> str:
    """The kind as the contract spells it; a list's element is the kind it belongs to."""
    tag = part.__struct_config__.tag
    return str(tag) if tag is not None else "ensure_git_checkouts"


def failed(part: Struct, why: str, next_: str = "") -> ActionFailedError:
    """A refusal that names the kind, the fact, and what to do."""
    return ActionFailedError(
        Finding(
            code="OTA_ACTION_FAILED",
            summary=f"`{kind_of(part)}` could not be carried out",
            why=why,
            next=next_ or "correct the path or its permissions, then run the task again",
            category="execution",
            owner="host",
        )
    )
