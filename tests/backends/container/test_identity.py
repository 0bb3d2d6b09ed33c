"""Names, seeds, digests and labels of containers and volumes."""

import re

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ota.backends.container import identity
from ota.backends.container.identity import ContainerIdentity, Publication

HEX = re.compile(r"[0-9a-f]{16}")

BASE = ContainerIdentity(
    root="/srv/shop",
    engine="docker",
    image="node:24-bookworm",
    task="dev",
    context="app",
    publications=(
        Publication(bind_port=3000, address="127.0.0.1", mode="fixed", host_port=3000, protocol="http"),
    ),
    isolated_paths=("node_modules",),
    memory_bytes=1 << 30,
)

publications = st.builds(
    Publication,
    bind_port=st.integers(1, 65535),
    address=st.sampled_from(["127.0.0.1", "0.0.0.0", "::1"]),
    mode=st.just("fixed"),
    host_port=st.integers(1, 65535),
    protocol=st.sampled_from(["http", "https", "tcp"]),
)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
identities = st.builds(
    ContainerIdentity,
    root=texts.map(lambda text: f"/{text}"),
    engine=st.sampled_from(["docker", "podman"]),
    image=texts,
    task=texts,
    context=st.none() | texts,
    shared=st.none() | texts,
    publications=st.lists(publications, max_size=3).map(identity.ordered),
    isolated_paths=st.lists(texts, max_size=3, unique=True).map(sorted).map(tuple),
    memory_bytes=st.none() | st.integers(1, 1 << 40),
)


@given(identities)
def test_names_are_deterministic_and_of_their_form(who: ContainerIdentity) -> None:
    again = replace(who)
    assert who.persistent_name == again.persistent_name
    assert HEX.fullmatch(who.persistent_name.removeprefix("ota-"))
    assert HEX.fullmatch(who.ephemeral_name(7).removeprefix("ota-ephemeral-"))
    assert [each.name for each in who.volumes] == [each.name for each in again.volumes]
    assert all(HEX.fullmatch(each.name.removeprefix("ota-isolated-")) for each in who.volumes)


@given(st.lists(st.text(max_size=4), max_size=4), st.lists(st.text(max_size=4), max_size=4))
def test_two_lists_of_parts_have_one_digest_only_when_they_are_equal(
    left: list[str], right: list[str]
) -> None:
    assert (identity.stable_digest(*left) == identity.stable_digest(*right)) == (left == right)


@given(identities, identities)
def test_containers_of_equal_names_have_the_same_image_engine_and_folder(
    left: ContainerIdentity, right: ContainerIdentity
) -> None:
    if left.persistent_name == right.persistent_name:
        assert (left.root, left.engine, left.image) == (right.root, right.engine, right.image)


@given(st.lists(publications, max_size=4), st.randoms())
def test_the_order_of_declared_publications_means_nothing(
    declared: list[Publication], chance: object
) -> None:
    shuffled = [*declared]
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert identity.ordered(declared) == identity.ordered(shuffled)


def test_the_seed_reads_as_the_specification_spells_it() -> None:
    assert BASE.seed == "app|3000:127.0.0.1:fixed:3000:http|node_modules|memory:1073741824"
    assert replace(BASE, shared="core").seed.startswith("shared:core|context:app|3000:")
    assert replace(BASE, shared="core", context=None).seed.startswith("shared:core|3000:")
    assert replace(BASE, context=None).seed == ""


def test_an_automatic_host_port_is_not_part_of_who_the_container_is() -> None:
    auto = Publication(bind_port=80, address="127.0.0.1", mode="auto", host_port=None, protocol="tcp")
    assert auto.text == "80:127.0.0.1:auto:auto:tcp"
    assert replace(auto, host_port=4711).text == auto.text


def test_tasks_of_one_context_with_equal_shapes_share_one_container() -> None:
    other = replace(BASE, task="test")
    assert other.persistent_name == BASE.persistent_name
    assert other.shape == BASE.shape
    assert other.family != BASE.family


def test_every_dimension_of_equivalence_changes_the_shape_and_never_the_family() -> None:
    changed = {
        "image": "node:26",
        "engine": "podman",
        "publications": (),
        "isolated_paths": (),
        "memory_bytes": None,
        "networks": ("local_default",),
        "user": "1000:1000",
        "platform": "linux/arm64",
    }
    for name, value in changed.items():
        drifted = replace(BASE, **{name: value})
        assert drifted.shape != BASE.shape, name
        assert drifted.family == BASE.family, name


def test_a_container_that_drifted_in_user_or_network_is_found_under_its_own_name() -> None:
    for changed in (replace(BASE, user="0:0"), replace(BASE, networks=("net",))):
        assert changed.persistent_name == BASE.persistent_name


def test_the_volumes_of_a_context_do_not_depend_on_run_task_or_lifecycle() -> None:
    other = replace(BASE, task="setup", publications=(), memory_bytes=None)
    assert other.volumes == BASE.volumes
    assert BASE.volumes[0].mount_point == "/workspace/node_modules"
    assert BASE.ephemeral_name(1) != BASE.ephemeral_name(2)
    assert BASE.ephemeral_name(1, "setup") != BASE.ephemeral_name(1, "dev")


def test_another_folder_image_engine_context_or_path_has_another_volume() -> None:
    changes = (
        {"root": "/x"},
        {"image": "x"},
        {"engine": "podman"},
        {"context": "b"},
        {"isolated_paths": ("x",)},
    )
    names = {replace(BASE, **change).volumes[0].name for change in changes}
    assert len(names | {BASE.volumes[0].name}) == len(changes) + 1


def test_labels_are_the_specified_ones() -> None:
    assert identity.persistent_labels("t", family="f", shape="s") == {
        "dev.ota.managed": "true",
        "dev.ota.repo": "t",
        "dev.ota.lifecycle": "persistent",
        "dev.ota.persistent.family": "f",
        "dev.ota.persistent.shape": "s",
    }
    assert identity.ephemeral_labels("t", owner_pid=7, owner_start="99", run_id="r") == {
        "dev.ota.managed": "true",
        "dev.ota.repo": "t",
        "dev.ota.lifecycle": "ephemeral",
        "dev.ota.owner_pid": "7",
        "dev.ota.owner_start": "99",
        "dev.ota.run": "r",
    }
    assert identity.volume_labels("t", BASE.volumes[0]) == {
        "dev.ota.managed": "true",
        "dev.ota.repo": "t",
        "dev.ota.kind": "dependency-isolation",
        "dev.ota.path": "node_modules",
        "dev.ota.context": "app",
    }


def test_ownership_is_proved_by_the_whole_label_set_and_a_known_token() -> None:
    assert identity.is_owned({"dev.ota.managed": "true", "dev.ota.repo": "t"}, "t")
    assert not identity.is_owned({"dev.ota.managed": "true", "dev.ota.repo": "u"}, "t")
    assert not identity.is_owned({"dev.ota.managed": "True", "dev.ota.repo": "t"}, "t")
    assert not identity.is_owned({"dev.ota.repo": "t"}, "t")
    assert not identity.is_owned({"dev.ota.managed": "true", "dev.ota.repo": ""}, "")


def test_a_path_that_is_no_utf8_still_has_a_name() -> None:
    assert HEX.fullmatch(replace(BASE, root="/srv/\udcff").persistent_name.removeprefix("ota-"))
