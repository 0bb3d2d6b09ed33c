"""Typed bodies on the container plane: what is refused by name before anything starts, and why."""

import json
from types import SimpleNamespace

import pytest

from ota.contract.model.bodies import DependencyHydration, DependencySource, EnsureFile, ToolBootstrap
from ota.execute.actions.inside import covering, thrown_away, unsupported_inside

NPM = {
    "kind": "dependency_hydration",
    "medium": "package_dependencies",
    "source": {"kind": "node_package_manager", "manager": "npm", "mode": "ci", "cwd": "."},
}


@pytest.mark.parametrize(
    ("path", "within"),
    [
        ("node_modules", "node_modules"),
        ("./node_modules/.bin/x", "node_modules"),
        ("node_modules_old/x", ""),
        ("a/node_modules", ""),
        ("web/dist/x", "web/dist"),
    ],
)
def test_a_path_is_isolated_when_it_is_or_lies_below_an_isolated_one(path, within):
    assert covering(path, ("node_modules", "web/dist")) == within


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (
            {"kind": "ensure_file", "path": "deps/.keep", "value": "x"},
            "`ensure_file` on `deps/.keep`",
        ),
        ({"kind": "copy_if_missing", "from": "deps/a", "to": "b"}, "`copy_if_missing` on `deps/a`"),
        (
            {"kind": "ensure_git_checkout", "path": "../beside", "source": {"git": "x", "ref": "y"}},
            "outside the checkout",
        ),
        ({"kind": "ensure_virtualenv", "path": ".venv", "provider": "uv"}, "the host's own Python"),
        (
            {"kind": "ensure_container_network", "name": "x", "provider": "docker"},
            "the container engine, which is on the host",
        ),
    ],
    ids=["isolated", "isolated source", "outside", "virtualenv", "engine"],
)
def test_what_a_container_would_not_see_is_refused_by_name(project, step, told):
    setup = {
        "requirements": {"toolchains": ["node", "python"], "tools": {"docker": "*"}},
        "effects": {"network": True, "network_kind": "dependency_hydration", "writes": ["deps"]},
        "prepare": {"kind": "sequence", "steps": [step, NPM]},
    }
    app = {
        "backend": "container",
        "lifecycle": "ephemeral",
        "container": {"image": "x", "engines": ["nerdctl"]},
        "attachments": {"isolated_paths": ["deps"]},
    }
    contract = {
        "version": 1,
        "project": {"name": "inside"},
        "toolchains": {name: {"version": "*"} for name in ("node", "python")},
        "execution": {"default_context": "app", "contexts": {"app": app}},
        "tasks": {"setup": setup},
    }
    repo = project({"ota.yaml": json.dumps(contract)})
    result = repo.run("run", "setup")
    assert result.code == 1
    assert told in result.err
    assert "Next:" in result.err
    assert not (repo.path / ".ota" / "state" / "ownership-id").exists()


def test_a_compose_body_stays_on_the_host_and_the_way_there_is_told(project):
    body = "{kind: ps, engine: docker}"
    app = "{backend: container, lifecycle: ephemeral, container: {image: x, engines: [nerdctl]}}"
    contract = (
        "version: 1\nproject: {name: inside}\nexecution:\n  default_context: app\n"
        f"  contexts: {{app: {app}}}\ntasks:\n"
        f"  ps: {{compose: {body}, requirements: {{tools: {{docker: '*'}}}}}}\n"
    )
    result = project({"ota.yaml": contract}).run("run", "ps")
    assert result.code == 1
    assert "task `ps` has a body `compose` and resolves to the container plane" in result.err
    assert "set `tasks.ps.context` to a context with `backend: native`" in result.err


UV = ToolBootstrap(tool="uv", source=DependencySource(kind="pip"))
OWN_UV = ToolBootstrap(tool="uv", source=DependencySource(kind="pip", exe=".venv/bin/pip"))
BROWSERS = ToolBootstrap(tool="playwright_browsers", source=DependencySource(kind="node_package_manager"))
FILE = EnsureFile(path="made/x", value="x")


def hydration(kind, **more):
    return DependencyHydration(medium="package_dependencies", source=DependencySource(kind=kind, **more))


def task(lifecycle="ephemeral"):
    return SimpleNamespace(context=SimpleNamespace(lifecycle=lifecycle, container=None))


@pytest.mark.parametrize(
    ("parts", "lifecycle", "is_refused"),
    [
        ((UV, FILE, hydration("uv")), "ephemeral", True),
        ((UV, FILE, FILE, hydration("uv")), "ephemeral", True),
        ((UV, FILE, hydration("uv")), "persistent", False),
        ((FILE, UV, hydration("uv"), FILE), "ephemeral", False),
        ((OWN_UV, FILE, hydration("uv")), "ephemeral", False),
    ],
    ids=["parted", "by two", "persistent", "together", "in the checkout"],
)
def test_a_tool_that_would_not_be_there_for_its_users_is_refused(parts, lifecycle, is_refused):
    refused = unsupported_inside(parts, task(lifecycle))
    assert (refused is not None) is is_refused
    if refused is not None:
        assert refused.what == "tool_bootstrap` of `uv"
        assert "`ensure_file`" in refused.why
        assert "`ensure_file`" in refused.next


@pytest.mark.parametrize(
    ("batch", "env", "told"),
    [
        (
            (hydration("cargo"),),
            {},
            "what `cargo fetch` fetched: kept nowhere but in the ephemeral container",
        ),
        ((hydration("cargo"),), {"CARGO_HOME": "/workspace/.cargo"}, ""),
        ((hydration("go_modules"),), {"HOME": "/workspace/.home"}, ""),
        ((hydration("node_package_manager"),), {}, ""),
        ((BROWSERS,), {}, "set `PLAYWRIGHT_BROWSERS_PATH` to a path below /workspace"),
        ((UV, hydration("uv")), {}, ""),
        ((UV,), {}, "put it into the image"),
    ],
)
def test_what_goes_with_an_ephemeral_container_is_told(batch, env, told):
    warnings = list(thrown_away(task(), batch, env))
    assert bool(warnings) is bool(told)
    assert told in "".join(warnings)
    assert not list(thrown_away(task("persistent"), batch, env))
