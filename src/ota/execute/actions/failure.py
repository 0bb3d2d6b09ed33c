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


def of_hosts_engine(what: str) -> Unsupported:
    """A step that is for the host's container engine, in a task that runs in a container."""
    return Unsupported(
        what=what,
        why="it asks the container engine, which is on the host; inside the container there is none",
        next="give it a task of its own with a native context, and name that task in `depends_on`",
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
