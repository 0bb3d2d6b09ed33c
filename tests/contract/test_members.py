"""A member's effective contract: its own tree over the root's, and findings in the file that is to blame."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yaml.nodes import Node

from contract.reading import FIXTURES, HEAD
from ota.contract.load import load, may_be_member
from ota.contract.members import Monorepo, load_located, read_monorepo, require_monorepo, root_declaring
from ota.contract.merge import merged
from ota.errors import ContractError, ContractUnreadableError, Finding, PlanError
from ota.source.tree import Tree, compose, plain_value

ROOT = (
    HEAD
    + "workspace: {type: monorepo, members: [apps/web, ./services/api/]}\n"
    + """env:
  vars:
    STAGE: {default: dev, description: Where it runs}
    PORT: {default: "1"}
execution:
  default_context: box
  contexts:
    box: {backend: container, lifecycle: ephemeral, container: {image: node}, env: {A: root, B: root}}
checks:
  - {name: git, kind: precondition, severity: error, run: git --version}
  - {name: disk, kind: precondition, severity: error, run: df}
tasks:
  test: {description: All tests, run: make test, env: {A: "1"}}
  lint: {run: make lint}
"""
)
EVERYTHING = (FIXTURES / "contracts" / "everything.yaml").read_text(encoding="utf-8")
WEB = """project: {name: web}
env: {vars: {STAGE: {default: web}}}
execution: {contexts: {box: {env: {A: web}}}}
checks:
  - {name: disk, kind: precondition, severity: error, run: df -h}
  - {name: node, kind: precondition, severity: error, run: node -v}
tasks:
  test: {script: npm test}
"""


def layers(root: str, member: str) -> tuple[Tree, Tree]:
    return (
        compose("ota.yaml", root.encode(), is_layer=True),
        compose("web/ota.yaml", member.encode(), is_layer=True),
    )


def value(tree: Tree) -> object:
    return plain_value(tree.root)


def show(path: Path) -> str:
    return "/".join(path.parts[-2:]) if path.parent.name in ("web", "api") else path.name


@pytest.fixture
def monorepo(tmp_path: Path) -> Path:
    """A root with two members; the path of the root's contract."""
    write(tmp_path, {"ota.yaml": ROOT, "apps/web/ota.yaml": WEB, "services/api/ota.yaml": "tasks: {}\n"})
    return tmp_path / "ota.yaml"


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def read(path: Path) -> Monorepo:
    found = read_monorepo(path, show)
    assert found is not None
    return found


# --- laying one tree over another ----------------------------------------------------------------

KEYS = st.sampled_from(["tasks", "services", "env", "checks", "project", "a", "b", "x-c"])
SCALARS = st.integers(0, 9) | st.sampled_from(["one", "two"])
VALUES = st.recursive(
    SCALARS | st.lists(SCALARS, max_size=2),
    lambda inner: st.dictionaries(KEYS, inner, max_size=3) | st.lists(inner, max_size=2),
    max_leaves=6,
)
CONTRACTS = st.dictionaries(KEYS, VALUES, max_size=5)


def yaml(value: object) -> bytes:
    """JSON is YAML."""
    import json

    return json.dumps(value).encode()


def layer(value: object, file: str = "f") -> Tree:
    return compose(file, yaml(value), is_layer=True)


def laid(root: object, member: object) -> object:
    return value(merged(layer(root), layer(member)))


@given(CONTRACTS)
def test_a_member_that_says_nothing_has_the_roots_contract(root: dict[str, object]) -> None:
    assert laid(root, {}) == root
    assert laid({}, root) == root


@given(CONTRACTS, CONTRACTS)
def test_laying_a_member_over_itself_changes_nothing(
    root: dict[str, object], member: dict[str, object]
) -> None:
    once = laid(root, member)
    assert laid(once, member) == once


@given(CONTRACTS, CONTRACTS)
def test_every_key_of_both_is_there_and_the_member_wins_over_scalars(
    root: dict[str, object], member: dict[str, object]
) -> None:
    both = laid(root, member)
    assert isinstance(both, dict)
    assert set(both) == set(root) | set(member)
    for key, stated in member.items():
        if not isinstance(stated, dict | list) or (isinstance(stated, list) and key != "checks"):
            assert both[key] == stated
    assert {key: both[key] for key in set(root) - set(member)} == {
        key: root[key] for key in set(root) - set(member)
    }


@given(CONTRACTS, CONTRACTS)
def test_every_scalar_keeps_the_file_it_is_written_in(
    root: dict[str, object], member: dict[str, object]
) -> None:
    tree = merged(layer(root, "root"), layer(member, "member"))
    sources = {"root": scalars(layer(root).root), "member": scalars(layer(member).root)}
    for node in nodes(tree.root):
        place = tree.at(node.start_mark, ())
        assert (node.value, place.column) in sources[place.file]


def nodes(node: Node) -> list[Node]:
    children = node.value if isinstance(node.value, list) else []
    flat = [each for child in children for each in (child if isinstance(child, tuple) else (child,))]
    return [found for child in flat for found in nodes(child)] if isinstance(node.value, list) else [node]


def scalars(node: Node) -> set[tuple[str, int]]:
    return {(each.value, each.start_mark.column + 1) for each in nodes(node)}


def test_entries_of_tasks_are_replaced_whole_and_other_maps_are_merged(monorepo: Path) -> None:
    web = read(monorepo).load("apps/web").contract
    assert web.project.name == "web"
    assert web.tasks["test"].script == "npm test"
    assert (web.tasks["test"].run, web.tasks["test"].description) == (None, None)
    assert web.tasks["lint"].run == "make lint"
    assert web.env.vars["STAGE"].default == "web"
    assert web.env.vars["STAGE"].description == "Where it runs"
    assert web.execution is not None
    assert web.execution.contexts["box"].env == {"A": "web", "B": "root"}
    assert web.workspace is None


def test_checks_are_laid_over_each_other_by_name(monorepo: Path) -> None:
    web = read(monorepo).load("apps/web").contract
    assert [(each.name, each.run) for each in web.checks] == [
        ("git", "git --version"),
        ("disk", "df -h"),
        ("node", "node -v"),
    ]


def test_nothing_written_behind_a_key_leaves_what_is_inherited() -> None:
    root, member = layers(ROOT, "tasks:\nenv: ~\n")
    assert value(merged(root, member)) == {
        key: each
        for key, each in value(root).items()
        if key != "workspace"  # type: ignore[attr-defined]
    }


def test_places_name_the_file_a_field_comes_from(monorepo: Path) -> None:
    loaded = read(monorepo).load("apps/web")
    own = loaded.place(("tasks", "test"))
    assert (own.file, own.line, own.column) == ("web/ota.yaml", 8, 3)
    inherited = loaded.place(("tasks", "lint", "run"))
    assert (inherited.file, inherited.line) == ("ota.yaml", 17)


def test_a_broken_field_is_told_where_it_is_written(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "ota.yaml": HEAD + "workspace: {type: monorepo, members: [web]}\n"
            "tasks: {a: {run: a, depends_on: [gone]}, gone: {run: b}, c: {run: c, depends_on: [never]}}\n",
            "web/ota.yaml": "tasks:\n  b: {run: b, depends_on: [nowhere]}\n",
        },
    )
    found = errors(tmp_path / "ota.yaml", "web")
    assert [(each.place.file, each.place.line) for each in found if each.place] == [
        ("ota.yaml", 4),
        ("web/ota.yaml", 2),
    ]
    assert {each.member for each in found} == {"web"}


def errors(path: Path, member: str) -> tuple[Finding, ...]:
    with pytest.raises(ContractError) as caught:
        read(path).load(member)
    return caught.value.findings


def test_a_key_written_twice_in_a_member_is_still_refused(monorepo: Path) -> None:
    write(monorepo.parent, {"apps/web/ota.yaml": "tasks: {a: {run: a}}\ntasks: {b: {run: b}}\n"})
    (found,) = errors(monorepo, "apps/web")
    assert (found.code, found.place and found.place.line) == ("OTA_P08", 2)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_a_member_writes_is_loaded_or_refused(monorepo: Path, data: st.DataObject) -> None:
    lines = EVERYTHING.splitlines(keepends=True)
    start, length = data.draw(st.integers(0, len(lines))), data.draw(st.integers(0, 40))
    noise = data.draw(
        st.text(max_size=20) | st.sampled_from(["? a\n", "- b\n", "*x\n", "tasks: [1]\n", "\t"])
    )
    text = "".join(lines[start : start + length])
    (monorepo.parent / "apps/web/ota.yaml").write_bytes((text + noise).encode("utf-8", "surrogatepass"))
    try:
        read(monorepo).load("apps/web")
    except ContractError as error:
        assert all(each.code and each.summary for each in error.findings)


# --- which contract is whose member --------------------------------------------------------------


def test_a_member_declares_no_workspace_of_its_own(monorepo: Path) -> None:
    write(monorepo.parent, {"apps/web/ota.yaml": "workspace: {type: monorepo, members: [a]}\n"})
    (found,) = errors(monorepo, "apps/web")
    assert (found.code, found.place and found.place.file) == ("OTA_V013", "web/ota.yaml")


def test_a_member_without_a_contract_is_told_at_its_entry(monorepo: Path) -> None:
    (monorepo.parent / "services/api/ota.yaml").unlink()
    (found,) = errors(monorepo, "services/api")
    assert (found.code, found.member) == ("OTA_V014", "services/api")
    assert found.place is not None
    assert found.place.field == "workspace.members[1]"


def test_a_member_of_a_name_that_no_folder_can_have_is_missing(tmp_path: Path) -> None:
    write(tmp_path, {"ota.yaml": HEAD + f"workspace: {{type: monorepo, members: [{'x' * 300}]}}\n"})
    assert [each.code for each in errors(tmp_path / "ota.yaml", "x" * 300)] == ["OTA_V014"]


def test_a_member_outside_the_root_is_refused(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "root/ota.yaml": HEAD + "workspace: {type: monorepo, members: [../out]}\n",
            "out/ota.yaml": "tasks: {}\n",
        },
    )
    assert [each.code for each in errors(tmp_path / "root/ota.yaml", "../out")] == ["OTA_V014"]


def test_a_member_that_a_link_leads_out_of_the_root_is_refused(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "root/ota.yaml": HEAD + "workspace: {type: monorepo, members: [in, out]}\n",
            "root/kept/ota.yaml": "tasks: {}\n",
            "out/ota.yaml": "tasks: {}\n",
        },
    )
    (tmp_path / "root/in").symlink_to("kept")
    (tmp_path / "root/out").symlink_to("../out")
    assert read(tmp_path / "root/ota.yaml").load("in").contract.tasks == {}
    (found,) = errors(tmp_path / "root/ota.yaml", "out")
    assert (found.code, found.why) == ("OTA_V014", "a member lies below the root's directory")


def test_an_overlay_is_loaded_over_the_root_that_declares_it(monorepo: Path) -> None:
    path = monorepo.parent / "apps/web/ota.yaml"
    assert may_be_member(path)
    loaded = load_located(path, show)
    assert loaded.contract.tasks["lint"].run == "make lint"
    assert (loaded.root, loaded.shown, loaded.member) == (path.parent, "web/ota.yaml", None)


def test_a_contract_below_a_root_that_does_not_declare_it_stands_alone(monorepo: Path) -> None:
    write(monorepo.parent, {"apps/other/ota.yaml": HEAD, "apps/web/deep/ota.yaml": HEAD})
    for name in ("apps/other", "apps/web/deep"):
        path = monorepo.parent / name / "ota.yaml"
        assert root_declaring(path, show) is None
        assert not load_located(path, show).contract.tasks


def test_the_nearest_root_that_declares_a_contract_is_its_root(monorepo: Path) -> None:
    inner = HEAD + "workspace: {type: monorepo, members: [web]}\n"
    write(monorepo.parent, {"apps/ota.yaml": inner})
    found = root_declaring(monorepo.parent / "apps/web/ota.yaml", show)
    assert found is not None
    assert found.path == monorepo.parent / "apps/ota.yaml"


def test_a_broken_contract_above_that_never_names_this_one_is_no_trouble(tmp_path: Path) -> None:
    write(tmp_path, {"ota.yaml": "workspace: {type: monorepo, members: 3}\nnope\n", "a/zz/ota.yaml": HEAD})
    path = tmp_path / "a/zz/ota.yaml"
    assert may_be_member(path)
    assert load_located(path, show).contract.project.name == "demo"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file somebody else's")
def test_a_root_that_somebody_else_put_above_says_nothing(monorepo: Path) -> None:
    os.chown(monorepo, 12345, -1)
    path = monorepo.parent / "apps/web/ota.yaml"
    assert root_declaring(path, show) is None
    os.chown(path, 12345, -1)  # a whole checkout of somebody else's is one checkout
    assert root_declaring(path, show) is not None


def test_a_member_of_a_broken_root_is_refused_by_the_roots_error(tmp_path: Path) -> None:
    root = "workspace: {type: monorepo, members: [b]}\nversion: 1\nproject: 3\n"
    write(tmp_path, {"ota.yaml": root, "b/ota.yaml": HEAD})
    with pytest.raises(ContractUnreadableError) as caught:
        load_located(tmp_path / "b/ota.yaml", show)
    place = caught.value.findings[0].place
    assert place is not None
    assert (place.file, place.field) == ("ota.yaml", "project")


@pytest.mark.parametrize("asked", ["apps/web", "./apps/web/", "web"])
@pytest.mark.parametrize("located", ["ota.yaml", "services/api/ota.yaml"])
def test_a_member_is_named_by_its_directory_or_its_last_part(
    monorepo: Path, asked: str, located: str
) -> None:
    found = require_monorepo(monorepo.parent / located, show, asked)
    loaded = found.load(found.require(asked))
    assert (loaded.member, loaded.root) == ("apps/web", monorepo.parent / "apps/web")
    assert loaded.shown == "ota.yaml"


def test_an_undeclared_member_is_refused_by_name(monorepo: Path) -> None:
    with pytest.raises(PlanError) as caught:
        read(monorepo).require("wbe")
    (found,) = caught.value.findings
    assert (found.code, found.summary) == ("OTA_MEMBER_UNKNOWN", "member `wbe` is not declared")
    assert "`apps/web`, `services/api`" in found.why
    assert "did you mean `web`?" in found.next


def test_a_last_part_that_two_members_share_names_neither(tmp_path: Path) -> None:
    root = HEAD + "workspace: {type: monorepo, members: [a/x, b/x]}\n"
    write(tmp_path, {"ota.yaml": root, "a/x/ota.yaml": "{}\n", "b/x/ota.yaml": "{}\n"})
    with pytest.raises(PlanError) as caught:
        read(tmp_path / "ota.yaml").require("x")
    assert caught.value.findings[0].next == "name one of `a/x`, `b/x`"


def test_a_member_of_what_is_no_monorepo_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"ota.yaml": HEAD})
    with pytest.raises(PlanError) as caught:
        require_monorepo(tmp_path / "ota.yaml", show, "web")
    assert caught.value.findings[0].code == "OTA_MONOREPO_REQUIRED"
    assert "monorepo root contract" in caught.value.findings[0].summary


def test_only_a_root_has_members(monorepo: Path) -> None:
    assert load(monorepo, "ota.yaml").members == ("apps/web", "services/api")
    assert read(monorepo).load("apps/web").members == ()
