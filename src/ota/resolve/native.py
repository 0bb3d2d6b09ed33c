"""Activations of native prerequisites that this build cannot put before a check and a body.

It wraps them in POSIX shells; in any other a wrapped body would be another command, and without its
activation another environment. So they are refused by name before anything starts, on every system.

Source: contract specification 8 (`activation`), V145, V146.
"""

from collections.abc import Iterator

from ota.contract.model import Contract
from ota.contract.model.requirements import NativeActivation
from ota.errors import Finding
from ota.resolve.scope import TaskScope

POSIX_SHELLS = ("sh", "bash", "zsh")


def activation_of(contract: Contract, name: str, system: str) -> NativeActivation | None:
    """What a prerequisite declares for a system."""
    declared = contract.native_prerequisites.get(name)
    platform = declared.platforms.get(system) if declared is not None else None
    return platform.activation if platform is not None else None


def is_supported(activation: NativeActivation) -> bool:
    """Whether a check and a body can be wrapped in it."""
    return activation.kind == "command" and (activation.shell or "sh") in POSIX_SHELLS


def activation_refusals(ts: TaskScope, names: tuple[str, ...]) -> Iterator[Finding]:
    """Those among the prerequisites a native task selects."""
    if ts.choice.plane != "native":
        return
    system = ts.scope.host.os
    for name in names:
        activation = activation_of(ts.scope.contract, name, system)
        if activation is None or is_supported(activation):
            continue
        field = ("native_prerequisites", name, "platforms", system, "activation")
        what = f"kind `{activation.kind}`" if activation.kind != "command" else f"shell `{activation.shell}`"
        yield Finding(
            code="OTA_NATIVE_ACTIVATION_UNSUPPORTED",
            title="Activation is not carried out by this build",
            summary=f"native prerequisite `{name}` is activated on {system} by {what}",
            why=f"this build activates in {', '.join(POSIX_SHELLS)}; without its activation what task "
            f"`{ts.name}` runs would see another environment",
            next=f"declare `{'.'.join(field)}` with `kind: command` and one of these shells, or remove it",
            place=ts.scope.loaded.place(field),
            category="environment",
        )
