"""What is whose: proof, bait that only looks like ours, and what is somebody else's."""

import pytest
from msgspec.structs import replace

from ota.backends.container.claims import Claimant, Claims, Expected, Whereabouts, judge
from ota.backends.container.identity import (
    IsolatedVolume,
    ephemeral_labels,
    network_labels,
    persistent_labels,
    volume_labels,
)
from ota.backends.container.inventory import FoundContainer, FoundNetwork, FoundVolume, Inventory

OURS, THEIRS = "0123456789abcdef", "fedcba9876543210"
HERE, COPY, OTHER, GONE = "/srv/shop", "/srv/shop-copy", "/srv/else", "/srv/moved"
PLACES: dict[str, Whereabouts] = {HERE: "here", COPY: "twin", OTHER: "elsewhere", GONE: "gone"}

CLAIMANT = Claimant(
    token=OURS,
    expected=Expected(
        containers=frozenset({"ota-now"}),
        families=frozenset({"launch:db"}),
        volumes=frozenset({"ota-isolated-now"}),
    ),
    life_of=lambda labels: {"1": "alive", "2": "dead"}.get(labels.get("dev.ota.owner_pid", ""), "unknown"),  # type: ignore[return-value]
    whereabouts=lambda folder: PLACES[folder],
)
PERSISTENT = persistent_labels(OURS, family="f", shape="s")
VOLUME = volume_labels(OURS, IsolatedVolume(name="v", path="node_modules", context="app"))


def container(name: str = "ota-x", **fields: object) -> FoundContainer:
    defaults = {"id": f"id-{name}", "name": name, "labels": PERSISTENT, "status": "running"}
    return FoundContainer(**{**defaults, **fields})


def claims(*containers: FoundContainer, volumes: tuple[FoundVolume, ...] = ()) -> Claims:
    return judge(Inventory(containers=containers, volumes=volumes), CLAIMANT)


def verdict(found: FoundContainer) -> str:
    return claims(found).containers[0].verdict


def volume_verdict(name: str, labels: dict[str, str]) -> str:
    return claims(volumes=(FoundVolume(name=name, labels=labels),)).volumes[0].verdict


def without(labels: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in labels.items() if name not in names}


def test_a_proven_container_is_current_by_name_and_drifted_otherwise() -> None:
    assert verdict(container("ota-now", workspace=HERE)) == "current"
    assert verdict(container("ota-old", workspace=HERE)) == "drifted"
    assert verdict(container("ota-old", workspace=GONE)) == "drifted", "the checkout was moved"
    assert verdict(container("any-name")) == "drifted", "a name proves nothing, and hides nothing"


def test_a_launch_container_is_current_while_its_task_is() -> None:
    assert (
        verdict(container("n8n", labels=persistent_labels(OURS, family="launch:db", shape="s"))) == "current"
    )
    assert (
        verdict(container("n8n", labels=persistent_labels(OURS, family="launch:x", shape="s"))) == "drifted"
    )


@pytest.mark.parametrize(
    ("pid", "status", "expected"),
    [
        (1, "running", "live"),
        (1, "exited", "live"),  # its run is looking at how it ended
        (1, "created", "live"),
        (2, "running", "orphaned"),
        (2, "exited", "orphaned"),
        (3, "running", "ambiguous"),
        (3, "", "ambiguous"),
        (3, "exited", "orphaned"),
    ],
)
def test_an_ephemeral_container_goes_only_when_its_run_is_provably_over(
    pid: int, status: str, expected: str
) -> None:
    labels = ephemeral_labels(OURS, owner_pid=pid)
    assert verdict(container("ota-ephemeral-x", labels=labels, status=status)) == expected
    unlabelled = without(labels, "dev.ota.lifecycle")
    assert verdict(container("ota-ephemeral-x", labels=unlabelled, status=status)) == expected


BAIT = {
    "another token": (container(labels=persistent_labels(THEIRS, family="f", shape="s")), "foreign"),
    "another token, our name": (
        container("ota-now", labels=persistent_labels(THEIRS, family="f", shape="s")),
        "ambiguous",
    ),
    "another token, our workspace": (
        container(labels=persistent_labels(THEIRS, family="f", shape="s"), workspace=HERE),
        "ambiguous",
    ),
    "another token, dead owner": (container(labels=ephemeral_labels(THEIRS, owner_pid=2)), "foreign"),
    "no token": (container(labels=without(PERSISTENT, "dev.ota.repo")), "ambiguous"),
    "no token, here": (container(labels=without(PERSISTENT, "dev.ota.repo"), workspace=HERE), "ambiguous"),
    "no token, elsewhere": (
        container(labels=without(PERSISTENT, "dev.ota.repo"), workspace=OTHER),
        "foreign",
    ),
    "empty token": (container(labels={**PERSISTENT, "dev.ota.repo": ""}), "ambiguous"),
    "not managed": (container(labels=without(PERSISTENT, "dev.ota.managed")), "ambiguous"),
    "managed spelled otherwise": (container(labels={**PERSISTENT, "dev.ota.managed": "True"}), "ambiguous"),
    "no lifecycle": (container("ota-now", labels=without(PERSISTENT, "dev.ota.lifecycle")), "ambiguous"),
    "a copy of the checkout": (container(workspace=COPY), "ambiguous"),
    "unlabelled, here": (container(labels={}, workspace=HERE), "ambiguous"),
    "unlabelled ephemeral, here": (container("ota-ephemeral-x", labels={}, workspace=HERE), "ambiguous"),
    "unlabelled, elsewhere": (container("ota-now", labels={}, workspace=OTHER), "foreign"),
    "unlabelled, no workspace": (container("ota-now", labels={}), "foreign"),
    "somebody's own": (container("web", labels={}, workspace=HERE), "foreign"),
}


@pytest.mark.parametrize("bait", BAIT)
def test_a_container_that_only_looks_like_ours_is_never_taken(bait: str) -> None:
    found, expected = BAIT[bait]
    claim = claims(found).containers[0]
    assert claim.verdict == expected
    assert bool(claim.reason) == (expected == "ambiguous")


def test_without_a_token_nothing_is_ours() -> None:
    nobody = replace(CLAIMANT, token="")
    found = container("ota-now", labels={**PERSISTENT, "dev.ota.repo": ""})
    assert judge(Inventory(containers=(found,)), nobody).containers[0].verdict == "ambiguous"
    theirs = container("ota-x", labels=persistent_labels(THEIRS, family="f", shape="s"))
    assert judge(Inventory(containers=(theirs,)), nobody).containers[0].verdict == "foreign"


def test_a_volume_is_ours_by_its_whole_label_set() -> None:
    assert volume_verdict("ota-isolated-now", VOLUME) == "current"
    assert volume_verdict("ota-isolated-old", VOLUME) == "drifted"
    assert volume_verdict("any", VOLUME) == "drifted"
    assert volume_verdict("ota-isolated-x", {**VOLUME, "dev.ota.repo": THEIRS}) == "foreign"
    assert volume_verdict("ota-isolated-x", {}) == "foreign"


@pytest.mark.parametrize("missing", ["dev.ota.managed", "dev.ota.kind", "dev.ota.repo"])
def test_a_volume_with_one_label_missing_is_shown_and_left(missing: str) -> None:
    assert volume_verdict("ota-isolated-x", without(VOLUME, missing)) == "ambiguous"


def test_a_volume_of_our_name_without_our_token_is_shown_and_left() -> None:
    assert volume_verdict("ota-isolated-now", {}) == "ambiguous"
    assert volume_verdict("ota-isolated-now", {**VOLUME, "dev.ota.repo": THEIRS}) == "ambiguous"


def test_containers_that_mount_our_volume_go_with_it_unless_they_are_somebody_elses() -> None:
    volume = FoundVolume(name="ota-isolated-now", labels=VOLUME)
    mounts = {"volumes": ("ota-isolated-now",)}
    legacy = container("ota-legacy", labels={}, workspace=HERE, **mounts)
    managed = container("ota-managed", labels={"dev.ota.managed": "true"}, **mounts)
    mine = container("debug", labels={}, **mounts)
    theirs = container("ota-now", labels={**PERSISTENT, "dev.ota.repo": THEIRS}, workspace=HERE, **mounts)
    copy = container("ota-copy", workspace=COPY, **mounts)
    running = container("ota-ephemeral-x", labels=ephemeral_labels(OURS, owner_pid=3), **mounts)
    sorted_ = claims(legacy, managed, mine, theirs, copy, running, volumes=(volume,))
    assert sorted_.attached == (legacy, managed)
    assert {each.found.name for each in sorted_.ambiguous_containers} == {
        "ota-now",
        "ota-copy",
        "ota-ephemeral-x",
    }


def test_a_network_goes_when_it_is_ours_and_nobody_is_on_it() -> None:
    ours = FoundNetwork(name="a_default", labels=network_labels(OURS))
    used = FoundNetwork(name="b_default", labels=network_labels(OURS))
    theirs = FoundNetwork(name="c_default", labels=network_labels(THEIRS))
    on_it = container("b-db-1", labels={}, status="exited", networks=("b_default",))
    going = container("ota-a", networks=("a_default", "b_default"))
    found = judge(Inventory(containers=(on_it, going), networks=(ours, used, theirs)), CLAIMANT)
    assert found.networks == (ours,)
    assert found.networks_in_use == (used,)


def test_a_look_of_somebody_at_a_checkout_without_a_token_is_nothing_to_show_while_it_lasts() -> None:
    for pid, told in ((1, "foreign"), (2, "ambiguous")):
        labels = ephemeral_labels("", owner_pid=pid)
        assert verdict(container("ota-doctor-x", labels=labels)) == told
