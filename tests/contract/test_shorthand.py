"""Short and long spellings give equal records."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.reading import FIXTURES, HEAD, parsed
from ota.contract.model import Contract


def contract(sections: dict[str, Any]) -> Contract:
    # JSON is YAML, and a writer of its own would only test itself.
    return parsed(json.dumps({"version": 1, "project": {"name": "demo"}, **sections}))


def service(listeners: dict[str, Any]) -> Contract:
    return contract({"tasks": {"a": {"run": "x", "runtime": {"kind": "service", "listeners": listeners}}}})


def full_listener(protocol: str, port: int) -> dict[str, Any]:
    host: dict[str, Any] = {
        "address": "127.0.0.1",
        "port": {"mode": "fixed", "value": port},
        "primary": False,
    }
    if protocol == "http":
        host["path"] = "/"
    return {
        "protocol": protocol,
        "bind": {"address": "127.0.0.1", "port": {"mode": "fixed", "value": port}},
        "project": {"host": host},
    }


names = st.text("abcdefghijklmnopqrstuvwxyz_-", min_size=1, max_size=12).filter(
    lambda name: not name.startswith("x-")
)
versions = st.sampled_from(["22", ">=3.12,<3.14", "*", "^22.12.0", "~1.8", "3.10"])
planes = st.sampled_from(["native", "container", "remote"])


@given(st.dictionaries(names, st.tuples(st.sampled_from(["http", "tcp"]), st.integers(1, 65535)), min_size=1))
def test_listener_shorthand_equals_the_full_form(ports: dict[str, tuple[str, int]]) -> None:
    short = service({name: {protocol: port} for name, (protocol, port) in ports.items()})
    full = service({name: full_listener(protocol, port) for name, (protocol, port) in ports.items()})
    assert short == full


@given(st.integers(1, 65535))
def test_an_http_listener_without_a_path_has_the_root_path(port: int) -> None:
    stated, silent = full_listener("http", port), full_listener("http", port)
    del silent["project"]["host"]["path"]
    del silent["project"]["host"]["primary"]
    assert service({"h": stated}) == service({"h": silent})


@given(st.dictionaries(names, versions))
def test_a_version_equals_its_requirement(wanted: dict[str, str]) -> None:
    full = {name: {"version": version, "required": True} for name, version in wanted.items()}
    assert contract({"runtimes": wanted, "tools": wanted}) == contract({"runtimes": full, "tools": full})


@given(st.lists(names, unique=True))
def test_a_list_of_surfaces_equals_the_map(attached: list[str]) -> None:
    def task(surfaces: object) -> Contract:
        return contract({"tasks": {"a": {"run": "x", "runtime": {"kind": "service", "surfaces": surfaces}}}})

    assert task(attached) == task({name: {} for name in attached}) == task(dict.fromkeys(attached))


@pytest.mark.parametrize("mode", ["none", "run"])
def test_flat_fulfillment_equals_its_mode(mode: str) -> None:
    def toolchain(fulfillment: object) -> Contract:
        return contract({"toolchains": {"node": {"version": "22", "fulfillment": fulfillment}}})

    assert toolchain(mode) == toolchain({"mode": mode})


def test_a_scoped_version_keeps_the_detail_of_the_base_and_a_scoped_mapping_does_not() -> None:
    made = contract(
        {"tasks": {"a": {"run": "x", "requirements": {"tools": {"jq": "1", "just": {"version": "1"}}}}}}
    )
    requirements = made.tasks["a"].requirements
    assert requirements is not None
    assert requirements.tools["jq"].required is None
    assert requirements.tools["just"].required is True


def test_release_asset_has_two_spellings() -> None:
    def tool(provider: str) -> Contract:
        acquisition = {"provider": provider, "source_config": {"asset_by_platform": {"linux_x64": "u"}}}
        return contract({"tools": {"task": {"version": "3", "acquisition": acquisition}}})

    assert tool("release-asset") == tool("release_asset")


def test_a_volume_is_named_or_sourced() -> None:
    def launch(key: str) -> Contract:
        volume = {key: "data", "target": "/data"}
        return contract(
            {"tasks": {"a": {"launch": {"kind": "container", "image": "nginx", "volumes": [volume]}}}}
        )

    assert launch("name") == launch("source")


def test_an_env_requirement_may_be_empty() -> None:
    assert contract({"env": {"vars": {"A": {}}}}) == contract({"env": {"vars": {"A": None}}})


def test_both_forms_of_an_exposed_endpoint() -> None:
    made = contract({"workflows": {"w": {"exposes": ["http://127.0.0.1:3000", {"surface": "web"}]}}})
    exposed = made.workflows.entries["w"].exposes
    assert [(each.url, each.surface) for each in exposed] == [("http://127.0.0.1:3000", None), (None, "web")]


@pytest.mark.parametrize("written", ["3.10", '"3.10"', "'3.10'", "|-\n    3.10\n"])
def test_the_spelling_of_a_scalar_does_not_matter(written: str) -> None:
    assert parsed(HEAD + f"runtimes:\n  python: {written}\n").runtimes["python"].version == "3.10"


def test_flow_and_block_style_give_equal_contracts() -> None:
    import yaml

    text = (FIXTURES / "contracts" / "everything.yaml").read_text(encoding="utf-8")
    root = yaml.compose(text)
    root.flow_style = True
    flow = yaml.serialize(root)
    assert flow.startswith("{")
    assert parsed(flow) == parsed(text)
