"""Whose a found container, volume or network is, by proof and not by likeness. Pure.

Proof is the whole label set with this repository's token. What only looks like ours is ambiguous: it is
shown and left alone. What says that it is somebody else's is foreign and not even shown.

Source: runtime specification 5, 6.3, 7.2, 21.1; commands specification 13.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from msgspec import Struct

from ota.backends.container.identity import (
    EPHEMERAL_PREFIX,
    LABEL_FAMILY,
    LABEL_KIND,
    LABEL_LIFECYCLE,
    LABEL_MANAGED,
    LABEL_REPO,
    has_legacy_name,
    is_ephemeral,
    is_isolation_volume,
    is_managed,
    is_owned,
    is_persistent,
)
from ota.backends.container.inventory import FoundContainer, FoundNetwork, FoundVolume, Inventory

OwnerLife = Literal["alive", "dead", "unknown"]
Whereabouts = Literal["here", "twin", "elsewhere", "gone"]
"""Of a folder that is mounted as a workspace: this checkout; another one with the same token, which is
a copy; another folder; none that exists any more."""

ContainerVerdict = Literal["current", "drifted", "orphaned", "live", "ambiguous", "foreign"]
VolumeVerdict = Literal["current", "drifted", "ambiguous", "foreign"]


class Expected(Struct, frozen=True, kw_only=True):
    """What the contract, as it is now, would make on one engine."""

    containers: frozenset[str] = frozenset()
    """Names of persistent containers."""
    families: frozenset[str] = frozenset()
    """Of structured container launches."""
    volumes: frozenset[str] = frozenset()


class Claimant(Struct, frozen=True, kw_only=True):
    """The repository that asks what is its own."""

    token: str
    """Empty when it never made anything."""
    expected: Expected
    life_of: Callable[[Mapping[str, str]], OwnerLife]
    """Whether the owner in the labels of an ephemeral container runs."""
    whereabouts: Callable[[str], Whereabouts]


class ContainerClaim(Struct, frozen=True, kw_only=True):
    found: FoundContainer
    verdict: ContainerVerdict
    reason: str = ""
    """Why it is ambiguous."""


class VolumeClaim(Struct, frozen=True, kw_only=True):
    found: FoundVolume
    verdict: VolumeVerdict
    reason: str = ""


class Claims(Struct, frozen=True, kw_only=True):
    """What of one engine is to be removed, and what is not."""

    containers: tuple[ContainerClaim, ...] = ()
    volumes: tuple[VolumeClaim, ...] = ()
    networks: tuple[FoundNetwork, ...] = ()
    """Ours, and nobody is on them but what is to be removed."""
    networks_in_use: tuple[FoundNetwork, ...] = ()
    """Ours, and somebody is on them: compose adopted them."""
    attached: tuple[FoundContainer, ...] = ()
    """Not provably ours by themselves, but they mount a volume that is, and say nothing else."""

    def containers_that_are(self, *verdicts: ContainerVerdict) -> tuple[FoundContainer, ...]:
        """The containers of these verdicts."""
        return tuple(each.found for each in self.containers if each.verdict in verdicts)

    def volumes_that_are(self, *verdicts: VolumeVerdict) -> tuple[FoundVolume, ...]:
        """The volumes of these verdicts."""
        return tuple(each.found for each in self.volumes if each.verdict in verdicts)

    @property
    def ambiguous_containers(self) -> tuple[ContainerClaim, ...]:
        """To be shown and left."""
        taken = {each.id for each in self.attached}
        return tuple(
            each for each in self.containers if each.verdict == "ambiguous" and each.found.id not in taken
        )

    @property
    def ambiguous_volumes(self) -> tuple[VolumeClaim, ...]:
        """To be shown and left."""
        return tuple(each for each in self.volumes if each.verdict == "ambiguous")


def judge(inventory: Inventory, claimant: Claimant) -> Claims:
    """Sort everything an engine holds."""
    containers = tuple(_container(found, claimant) for found in inventory.containers)
    volumes = tuple(_volume(found, claimant) for found in inventory.volumes)
    owned = {each.found.name for each in volumes if each.verdict in ("current", "drifted")}
    attached = tuple(_attached(containers, owned, claimant))
    going = {each.found.id for each in containers if each.verdict in ("current", "drifted", "orphaned")}
    going |= {each.id for each in attached}
    networks = [each for each in inventory.networks if is_owned(each.labels, claimant.token)]
    in_use = tuple(
        each for each in networks if any(user.id not in going for user in inventory.joined(each.name))
    )
    return Claims(
        containers=containers,
        volumes=volumes,
        networks=tuple(each for each in networks if each not in in_use),
        networks_in_use=in_use,
        attached=attached,
    )


# --- containers --------------------------------------------------------------------------------------


def _container(found: FoundContainer, claimant: Claimant) -> ContainerClaim:
    labels = found.labels
    if is_owned(labels, claimant.token):
        if is_ephemeral(labels) or (
            LABEL_LIFECYCLE not in labels and found.name.startswith(EPHEMERAL_PREFIX)
        ):
            return _ephemeral(found, claimant)
        if is_persistent(labels):
            return _persistent(found, claimant)
        return _ambiguous(found, f"it carries this repository's token and no known `{LABEL_LIFECYCLE}`")
    repo = labels.get(LABEL_REPO, "")
    where = claimant.whereabouts(found.workspace) if found.workspace is not None else None
    if repo:
        return _labelled(found, repo, where, claimant)
    return _unlabelled(found, where, claimant)


def _ephemeral(found: FoundContainer, claimant: Claimant) -> ContainerClaim:
    life = claimant.life_of(found.labels)
    if life == "alive":
        return ContainerClaim(found=found, verdict="live")
    if life == "dead" or found.is_stopped:
        return ContainerClaim(found=found, verdict="orphaned")
    return _ambiguous(found, "it runs, and does not say for which process")


def _persistent(found: FoundContainer, claimant: Claimant) -> ContainerClaim:
    if found.workspace is not None and claimant.whereabouts(found.workspace) == "twin":
        why = f"it serves {found.workspace}, a copy of this checkout with the same token"
        return _ambiguous(found, why)
    family = found.labels.get(LABEL_FAMILY, "")
    is_current = found.name in claimant.expected.containers or family in claimant.expected.families
    return ContainerClaim(found=found, verdict="current" if is_current else "drifted")


def _labelled(
    found: FoundContainer, repo: str, where: Whereabouts | None, claimant: Claimant
) -> ContainerClaim:
    if repo == claimant.token:
        return _ambiguous(found, f"it carries this repository's token and not `{LABEL_MANAGED}=true`")
    if where == "here" or found.name in claimant.expected.containers:
        return _ambiguous(found, f"it serves this checkout under another token, `{repo[:16]}`")
    return ContainerClaim(found=found, verdict="foreign")


def _unlabelled(found: FoundContainer, where: Whereabouts | None, claimant: Claimant) -> ContainerClaim:
    """Nobody's token: from an earlier version, or of a look at a checkout that has none yet."""
    if is_managed(found.labels) and is_ephemeral(found.labels) and claimant.life_of(found.labels) == "alive":
        return ContainerClaim(found=found, verdict="foreign")
    looks_made_here = has_legacy_name(found.name) or found.name.startswith(EPHEMERAL_PREFIX)
    if is_managed(found.labels) and where in (None, "here", "gone"):
        return _ambiguous(found, f"it is managed by ota and carries no `{LABEL_REPO}`")
    if looks_made_here and where == "here":
        return _ambiguous(found, "it has the name of an earlier version and mounts this checkout, unlabelled")
    return ContainerClaim(found=found, verdict="foreign")


def _attached(
    containers: Iterable[ContainerClaim], owned: set[str], claimant: Claimant
) -> Iterable[FoundContainer]:
    """Ambiguous ones that a volume of ours speaks for. A running one without an owner is left alone."""
    for claim in containers:
        found = claim.found
        speaks_for_another = found.labels.get(LABEL_REPO, claimant.token) != claimant.token
        if claim.verdict != "ambiguous" or speaks_for_another or not owned.intersection(found.volumes):
            continue
        if not is_ephemeral(found.labels) and not is_owned(found.labels, claimant.token):
            yield found


def _ambiguous(found: FoundContainer, reason: str) -> ContainerClaim:
    return ContainerClaim(found=found, verdict="ambiguous", reason=reason)


# --- volumes -----------------------------------------------------------------------------------------


def _volume(found: FoundVolume, claimant: Claimant) -> VolumeClaim:
    labels, is_expected = found.labels, found.name in claimant.expected.volumes
    repo = labels.get(LABEL_REPO, "")
    if is_owned(labels, claimant.token) and is_isolation_volume(labels):
        return VolumeClaim(found=found, verdict="current" if is_expected else "drifted")
    if repo and repo == claimant.token:
        missing = LABEL_KIND if is_managed(labels) else LABEL_MANAGED
        return _unproven(found, f"it carries this repository's token and no known `{missing}`")
    if repo:
        if is_expected:
            return _unproven(found, f"it has the name of this checkout's under another token, `{repo[:16]}`")
        return VolumeClaim(found=found, verdict="foreign")
    if is_managed(labels) or LABEL_KIND in labels:
        return _unproven(found, f"it is managed by ota and carries no `{LABEL_REPO}`")
    if is_expected:
        return _unproven(found, "it has the name of this checkout's and no labels")
    return VolumeClaim(found=found, verdict="foreign")


def _unproven(found: FoundVolume, reason: str) -> VolumeClaim:
    return VolumeClaim(found=found, verdict="ambiguous", reason=reason)
