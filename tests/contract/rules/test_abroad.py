"""Rules that need another contract, each broken alone beside real files: members, repositories, producers."""

from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from contract.rules.table import Case, contract
from ota.contract.load import load
from ota.contract.members import read_monorepo
from ota.errors import ContractError, Finding

FIXED = "{protocol: http, bind: {address: 127.0.0.1, port: {mode: fixed, value: 8080}}HOST}"
SEEN = FIXED.replace(
    "HOST", ", project: {host: {address: 127.0.0.1, port: {mode: fixed, value: 8080}, path: /v1}}"
)
AUTO = FIXED.replace("HOST", ", project: {host: {address: 127.0.0.1, port: {mode: auto}}}")
ADMIN = FIXED.replace("HOST", "").replace("8080", "9090")
SHARED = """execution:
  contexts: {box: {backend: container, lifecycle: persistent, container: {image: n}}}
  shared_backends:
    here: {scope: local, backend: native, lifecycle: persistent}
    inside: {scope: local, backend: container, lifecycle: persistent, context: box}
"""


def service(name: str, listeners: str, more: str = "") -> str:
    runtime = f"runtime: {{kind: service, listeners: {{{listeners}}}{more}}}"
    return f"  {name}: {{launch: {{kind: command, exe: ./{name}}}, {runtime}}}\n"


OTHER = (
    "tasks:\n"
    + service("api", f"http: {SEEN}")
    + service("two", f"http: {SEEN}, admin: {ADMIN}")
    + service("loose", f"http: {AUTO}")
    + service("bound", f"http: {FIXED.replace('HOST', '')}", ", backend_binding: here")
    + "  plain: {run: make}\n  worker: {run: ./w, runtime: {kind: service}}\n"
)
FILES = {
    "apps/web/ota.yaml": OTHER + SHARED,
    "apps/broken/ota.yaml": "tasks: {a: {run: a, depends_on: [gone]}}\n",
    "../backend/ota.yaml": "version: 1\nproject: {name: backend}\n" + OTHER + SHARED,
    "../lost/readme": "",
    "../ota.workspace.yaml": "version: 1\nworkspace: {name: all}\n"
    "repos: {backend: {path: backend}, gone: {path: nowhere}, lost: {path: lost}, odd: {source: {repo: x}}, "
    f"named: {{path: backend, contract: backend/ota.yaml}}, long: {{path: {'x' * 300}}}}}\n",
}
ROOT = "workspace: {type: monorepo, members: [apps/web, apps/broken]}\n"
BOUND = ", runtime: {kind: service, backend_binding: WHERE, listeners: {own: OWN}}".replace(
    "OWN", FIXED.replace("HOST", "").replace("8080", "7070")
)
T = "tasks.t.targets.a"
P = "services.db.producer"


def target(text: str, more: str = ROOT, task: str = "") -> str:
    return f"{more}tasks:\n  t: {{run: make{task}, targets: {{a: {{service: {{{text}}}}}}}}}\n"


def producer(text: str) -> str:
    return f"services: {{db: {{producer: {{{text}}}}}}}\n"


def sharing(member: str, binding: str, view: str = "topology") -> str:
    """A caller on a shared backend."""
    context = ", context: box" if binding == "inside" else ""
    bound = context + BOUND.replace("WHERE", binding)
    return target(f"task: {member}, member: web, address_view: {view}", ROOT + SHARED, bound)


def proved(case: Case, *rows: str) -> ParameterSet:
    return pytest.param(case, marks=pytest.mark.proves(*rows))


def activated(mode: str) -> str:
    return target(f"task: api, member: web, {HOST}").replace("}}", f"}}, activation: {{mode: {mode}}}}}", 1)


HOST = "address_view: host"
MEMBER = target(f"task: api, member: web, {HOST}")
REPO = target("task: api, repo: backend", "")
DB = producer("repo: backend, task: api")

CASES = (
    Case("V219", P + ".repo", producer("repo: nobody, task: api"), DB),
    Case("V219", P + ".repo", producer("repo: gone, task: api"), DB),
    Case("V219", P + ".task", producer("repo: backend, task: ipa"), DB),
    Case("V219", P + ".task", producer("repo: backend, task: plain"), DB),
    Case("V219", P + ".task", producer("repo: backend, task: worker"), DB),
    Case("V219", P + ".listener", producer("repo: backend, task: api, listener: grpc"), DB),
    Case(
        "V219", P, producer("repo: backend, task: two"), producer("repo: backend, task: two, listener: http")
    ),
    Case("V220", P + ".task", producer("repo: backend, task: loose"), DB),
    proved(
        Case("V395", T + ".service.repo", target(f"task: api, member: web, repo: backend, {HOST}"), REPO),
        "S002-89",
        "S004-02",
    ),
    Case("V396", T + ".service.task", target(f"task: ipa, member: web, {HOST}"), MEMBER),
    Case("V396", T + ".service.task", target("task: ipa, repo: backend", ""), REPO),
    Case("V397", T + ".service.member", target(f"task: api, member: web, {HOST}", ""), MEMBER),
    Case("V397", T + ".service.member", target(f"task: a, member: broken, {HOST}"), MEMBER),
    proved(Case("V397", T + ".service.member", target(f"task: api, member: wbe, {HOST}"), MEMBER), "S002-85"),
    proved(
        Case("V397", T + ".service.repo", target("task: api, repo: backnd", ""), REPO), "S002-89", "S004-02"
    ),
    proved(Case("V397", T + ".service.repo", target("task: api, repo: web"), MEMBER), "S002-89", "S004-02"),
    Case("V397", T + ".service.repo", target("task: api, repo: gone", ""), REPO),
    *(
        Case("V397", T + ".service.repo", target(f"task: api, {key} backnd", ""), REPO)
        for key in ("repo  :", '"repo" :', "'repo'  :", '"re\\u0070o":', "? repo :")
    ),
    Case("V397", T + ".service.repo", target("task: api, repo: long", ""), REPO),
    Case("V397", T + ".service.repo", target("task: api, repo: lost", ""), REPO),
    Case(
        "V397", T + ".service.repo", target("task: api, repo: odd", ""), target("task: api, repo: named", "")
    ),
    Case("V398", T + ".service.task", target(f"task: plain, member: web, {HOST}"), MEMBER),
    Case("V398", T + ".service.task", target("task: plain, repo: backend", ""), REPO),
    Case("V399", T + ".service.listener", target(f"task: api, member: web, listener: grpc, {HOST}"), MEMBER),
    Case("V399", T + ".service.task", target(f"task: worker, member: web, {HOST}"), MEMBER),
    Case("V399", T + ".service.task", target("task: worker, repo: backend", ""), REPO),
    Case(
        "V400",
        T + ".service",
        target(f"task: two, member: web, {HOST}"),
        target(f"task: two, member: web, listener: http, {HOST}"),
    ),
    Case("V412", T + ".service.task", target(f"task: loose, member: web, {HOST}"), MEMBER),
    *(
        proved(
            Case(
                "V411",
                T + ".service.address_view",
                target(f"task: api, repo: backend, address_view: {view}", ""),
                REPO,
            ),
            "S002-90",
            "S004-03",
        )
        for view in ("topology", "internal")
    ),
    proved(
        Case("V412", T + ".service.task", target("task: loose, repo: backend", ""), REPO),
        "S002-91",
        "S004-04",
    ),
    *(
        proved(Case("V413", T + ".activation.mode", activated(mode), activated("manual")), "S002-86")
        for mode in ("ensure_started", "restart_ready", "ensure_running", "ensure_ready")
    ),
    *(
        proved(
            Case("V414", T + ".service", sharing("api", "here", view), sharing("bound", "here", view)),
            "S002-87",
        )
        for view in ("topology", "internal")
    ),
    Case(
        "V414", T + ".service", sharing("bound", "inside", "internal"), sharing("bound", "here", "internal")
    ),
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of the contract, with everything beside it that a contract may name."""
    folder = tmp_path / "repo"
    folder.mkdir()
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def told(folder: Path, fragment: str) -> tuple[Finding, ...]:
    """The errors of a contract where it has neighbours."""
    path = folder / "ota.yaml"
    path.write_text(contract(fragment), encoding="utf-8")
    try:
        loaded = load(path, "ota.yaml")
        loaded.require_reach()
    except ContractError as error:
        return tuple(each for each in error.findings if each.severity == "error")
    loaded.remember()
    return ()


def fields(findings: tuple[Finding, ...]) -> list[tuple[str, str]]:
    return [(each.code, each.place.field if each.place else "") for each in findings]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_rule_about_another_contract_is_broken_alone(case: Case, root: Path) -> None:
    assert fields(told(root, case.broken)) == [(f"OTA_{case.rule}", case.field)]
    assert fields(told(root, case.valid)) == []


def test_a_repository_without_a_workspace_file_cannot_be_named(root: Path) -> None:
    (root.parent / "ota.workspace.yaml").unlink()
    (found,) = told(root, REPO)
    assert (found.code, "no ota.workspace.yaml was found" in found.why) == ("OTA_V397", True)


def test_why_a_neighbour_is_no_contract_is_told_with_its_place(root: Path) -> None:
    (found,) = told(root, target(f"task: a, member: broken, {HOST}"))
    assert "could not load `member: broken`" in found.summary
    assert "unknown task `gone`" in found.why
    assert "(apps/broken/ota.yaml:1)" in found.why


def test_what_a_neighbour_says_now_counts_although_the_contract_is_remembered(root: Path) -> None:
    assert told(root, MEMBER) == ()
    (root / "apps/web/ota.yaml").write_text("tasks: {api: {run: make}}\n", encoding="utf-8")
    with pytest.raises(ContractError) as caught:
        load(root / "ota.yaml", "ota.yaml")
    assert fields(caught.value.findings) == [("OTA_V398", T + ".service.task")]


def test_own_errors_and_those_about_others_are_told_at_once(root: Path) -> None:
    found = told(root, target(f"task: ipa, member: web, {HOST}", task=", depends_on: [gone]"))
    assert [code for code, _ in fields(found)] == ["OTA_V276", "OTA_V396"]


def test_a_member_names_its_siblings_through_the_root_above_it(root: Path) -> None:
    told(root, ROOT + "tasks: {}\n")
    (root / "apps/broken/ota.yaml").write_text(
        target(f"task: ipa, member: web, {HOST}", ""), encoding="utf-8"
    )
    monorepo = read_monorepo(root / "ota.yaml", lambda path: str(path.relative_to(root)))
    assert monorepo is not None
    with pytest.raises(ContractError) as caught:
        monorepo.load("apps/broken")
    (found,) = caught.value.findings
    assert (found.code, found.member) == ("OTA_V396", "apps/broken")
