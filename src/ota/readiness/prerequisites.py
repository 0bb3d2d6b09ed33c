"""Native prerequisites: host packages that no tool version can express, proven by their checks.

Owns which check proves one on this system, how an activation wraps what is asked and run, and the one
finding of a missing one; `ota run` and the diagnoses ask here. It installs nothing.

Source: contract specification 8; doctor specification 5.
"""

from collections.abc import Collection, Iterable
from typing import Literal

from msgspec import Struct

from ota.backends.native import Activation
from ota.contract.model import Contract
from ota.contract.model.checks import Check
from ota.contract.model.requirements import NativePlatform
from ota.env.masking import Masker
from ota.errors import Evidence, Finding, Place
from ota.readiness.checks import CheckScene, evaluate
from ota.resolve.native import activation_of, is_supported


class Prerequisite(Struct, frozen=True, kw_only=True):
    """A selected prerequisite, with the check that proves it on one system."""

    name: str
    platform: NativePlatform
    check: Check
    is_required: bool

    @property
    def field(self) -> tuple[str, ...]:
        """Where it is declared."""
        return ("native_prerequisites", self.name)


def prerequisites_on(contract: Contract, names: Collection[str], system: str) -> tuple[Prerequisite, ...]:
    """Those of `names` that have a check for this system which can be asked, once each."""
    by_name = {check.name: check for check in reversed(contract.checks)} if names else {}
    found: list[Prerequisite] = []
    for name in dict.fromkeys(names):
        declared = contract.native_prerequisites.get(name)
        platform = declared.platforms.get(system) if declared is not None else None
        if declared is None or platform is None:
            continue
        check = by_name.get(platform.check or declared.check or "")
        if check is not None and (platform.activation is None or is_supported(platform.activation)):
            found.append(
                Prerequisite(name=name, platform=platform, check=check, is_required=declared.required)
            )
    return tuple(found)


def activation_on(contract: Contract, names: Iterable[str], system: str) -> Activation | None:
    """What wraps the body of a task that selects these; rules let only one be declared per system."""
    for name in names:
        activation = activation_of(contract, name, system)
        if activation is not None and is_supported(activation):  # a plan refuses the others
            return Activation(shell=activation.shell or "sh", text=activation.run or "")
    return None


def prerequisite_finding(
    prerequisite: Prerequisite,
    scene: CheckScene,
    *,
    rerun: str,
    place: Place | None,
    masker: Masker,
    activation: Activation | None = None,
) -> Finding | None:
    """Ask one prerequisite through its check; None when it is there."""
    result = evaluate(prerequisite.check, scene, activation=activation)
    if result.holds:
        return None
    state: Literal["TIMED_OUT", "MISSING"] = "TIMED_OUT" if result.is_timed_out else "MISSING"
    words = "Native prerequisite timed out" if result.is_timed_out else "Missing native prerequisite"
    return Finding(
        code=f"OTA_NATIVE_PREREQUISITE_{state}",
        severity="error" if prerequisite.is_required else "warn",
        summary=f"{words}: {prerequisite.name}",
        why=masker.mask(f"check `{prerequisite.check.name}`: {result.why}"),
        next=f"{_guidance(prerequisite)}, then rerun `{rerun}`",
        place=place,
        category="environment",
        owner="host",
        evidence=Evidence(
            observed=masker.mask(result.why), source="host", command=prerequisite.check.run or ""
        ),
    )


def _guidance(prerequisite: Prerequisite) -> str:
    platform = prerequisite.platform
    for command, packages in (
        ("sudo apt-get install", platform.apt),
        ("brew install", platform.brew),
        ("winget install", platform.winget),
        ("choco install", platform.choco),
        ("scoop install", platform.scoop),
    ):
        if packages:
            return f"`{command} {' '.join(packages)}`"
    if platform.install:
        return f"`{platform.install}`"
    if platform.xcode_clt:
        return "`xcode-select --install`"
    if platform.packages:
        return f"install {', '.join(platform.packages)}"
    return platform.note or f"install {prerequisite.name}"
