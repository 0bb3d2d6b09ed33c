"""What `extends` means, on random maps: a child states or inherits, deep inside every map."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolve.planning import loaded, plan_json

WORDS = st.sampled_from(["a", "b", "c"])
MAPS = st.dictionaries(st.sampled_from(["A", "B", "C"]), WORDS)
SIZES = st.sampled_from(["1GiB", "2GiB", "3GiB"])


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


CONTEXTS = optional(
    lifecycle=st.sampled_from(["persistent", "ephemeral"]),
    only_arch=st.lists(st.sampled_from(["x64", "arm64"]), min_size=1, max_size=2, unique=True),
    env=MAPS,
    container=optional(
        image=WORDS,
        engines=st.lists(st.sampled_from(["docker", "podman"]), min_size=1, max_size=2, unique=True),
        resources=st.fixed_dictionaries({"memory": optional(minimum=st.just("1GiB"), default=SIZES)}),
    ),
    requirements=optional(tools=MAPS, runtimes=MAPS),
    attachments=optional(isolated_paths=st.lists(WORDS, max_size=2, unique=True)),
)


def merged(base: Any, child: Any) -> Any:
    """The rule in one line per kind: maps merge, everything else of the child replaces."""
    if isinstance(base, dict) and isinstance(child, dict):
        both = {**base, **child}
        return {
            key: merged(base[key], child[key]) if key in base and key in child else both[key] for key in both
        }
    return child


def declared(contexts: dict[str, Any]) -> dict[str, Any]:
    import json

    contract = loaded(f"execution: {json.dumps({'default_context': 'leaf', 'contexts': contexts})}")
    document = plan_json(contract)
    (leaf,) = [each for each in document["declared_execution"]["contexts"] if each["name"] == "leaf"]
    return {"declared": leaf, "resolved": document["resolved"]}


@pytest.mark.proves("S002-34")
@given(CONTEXTS, CONTEXTS, CONTEXTS)
@settings(max_examples=60, deadline=None)
def test_a_chain_equals_the_maps_merged_by_hand(
    root: dict[str, Any], middle: dict[str, Any], leaf: dict[str, Any]
) -> None:
    # The base is a whole container context on this host; what the others leave out they must inherit.
    root = merged({"lifecycle": "ephemeral", "container": {"image": "base"}}, root)
    root = {**root, "backend": "container", "only_arch": ["x64"]}
    middle = {key: value for key, value in middle.items() if key != "only_arch"}
    leaf = {**leaf, "only_arch": ["x64", "arm64"]}
    inherited = declared(
        {"root": root, "middle": {"extends": "root", **middle}, "leaf": {"extends": "middle", **leaf}}
    )
    by_hand = declared({"leaf": merged(merged(root, middle), leaf)})
    assert inherited == by_hand
