"""Targets whose producer is in another contract: the address of that contract's listener, no more."""

import pytest

pytestmark = pytest.mark.edge

PORT = "port: {mode: fixed, value: 4173}"
WEB = f"""project: {{name: web}}
tasks:
  serve:
    run: echo serving
    runtime:
      kind: service
      listeners:
        http: {{protocol: http, bind: {{address: ADDRESS, {PORT}}},
               project: {{host: {{address: ADDRESS, {PORT}, path: /app}}}}}}
"""
ROOT = """version: 1
project: {name: shop}
workspace: {type: monorepo, members: [web, e2e]}
execution:
  contexts: {box: {backend: container, lifecycle: ephemeral, container: {image: n, engines: [docker]}}}
"""


def check(where: str, more: str = "", view: str = "address_view: host") -> str:
    """A task that prints what it was told of `web`'s listener."""
    service = f"service: {{task: serve, {where}, {view}}}"
    return f"""tasks:
  check:
    run: echo "told $OTA_TARGET_WEB"
    targets: {{web: {{{service}{more}}}}}
"""


@pytest.fixture
def shop(project):
    """A monorepo whose member `e2e` looks at its sibling `web`."""
    return project(
        {
            "ota.yaml": ROOT,
            "web/ota.yaml": WEB.replace("ADDRESS", "127.0.0.1"),
            "e2e/ota.yaml": "project: {name: e2e}\n" + check("member: web"),
        }
    )


def test_the_host_view_of_a_member_is_the_address_it_publishes(shop, assert_schema):
    done = shop.run("run", "check", "--member", "e2e", "--json", "--quiet")
    assert done.code == 0
    assert "told http://127.0.0.1:4173/app" in done.json["stdout"]
    assert "Target web:  web:serve.http" in shop.run("run", "check", cwd="e2e").err
    assert_schema(done.json, "run")
    (step,) = done.json["receipt"]["steps"]
    (resolved,) = step["target_resolutions"]
    assert resolved["effective_url"] == "http://127.0.0.1:4173/app"
    assert resolved["service_ref"]["member"] == "web"


def test_the_root_names_its_members_as_well(shop):
    (shop.path / "ota.yaml").write_text(ROOT + check("member: web"), encoding="utf-8")
    assert "told http://127.0.0.1:4173/app" in shop.run("run", "check").err


def test_the_address_follows_the_members_own_contract(shop):
    (shop.path / "web/ota.yaml").write_text(
        WEB.replace("ADDRESS", "127.0.0.1").replace("4173", "4174"), encoding="utf-8"
    )
    assert "told http://127.0.0.1:4174/app" in shop.run("run", "check", cwd="e2e").err


def test_a_container_is_told_the_engines_name_of_the_host_or_why_it_cannot_be(shop):
    contract = "project: {name: e2e}\n" + check("member: web").replace(
        "run: echo", "context: box\n    run: echo"
    )
    (shop.path / "e2e/ota.yaml").write_text(contract, encoding="utf-8")
    done = shop.run("run", "check", "--dry-run", "--json", cwd="e2e")
    assert done.code == 1
    assert "listens on loopback only" in str(done.json["blockers"])
    (shop.path / "web/ota.yaml").write_text(WEB.replace("ADDRESS", "0.0.0.0"), encoding="utf-8")
    done = shop.run("run", "check", "--dry-run", "--json", cwd="e2e")
    assert "OTA_TARGET_UNRESOLVED" not in str(done.json)


def test_a_member_that_has_to_be_started_first_is_refused_with_how_to(shop):
    sharing = "execution: {shared_backends: {one: {scope: local, backend: native, lifecycle: persistent}}}\n"
    own = "{kind: service, backend_binding: one, listeners: {own: {tcp: 4180}}}"
    web = WEB.replace("ADDRESS", "127.0.0.1").replace(
        "kind: service", "kind: service\n      backend_binding: one"
    )
    ensured = check("member: web", ", activation: {mode: ensure_ready}", "address_view: topology")
    ensured = ensured.replace("targets:", f"runtime: {own}\n    targets:")
    (shop.path / "web/ota.yaml").write_text(sharing + web, encoding="utf-8")
    (shop.path / "e2e/ota.yaml").write_text("project: {name: e2e}\n" + sharing + ensured, encoding="utf-8")
    done = shop.run("run", "check", cwd="e2e")
    assert done.code == 1
    assert "asks to activate the producer of target `web`" in done.err
    assert "`ota run serve --member web`" in done.err
    manual = ensured.replace("ensure_ready", "manual")
    (shop.path / "e2e/ota.yaml").write_text("project: {name: e2e}\n" + sharing + manual, encoding="utf-8")
    done = shop.run("env", "--task", "check", "--json", cwd="e2e")
    told = {each["name"]: each["value"] for each in done.json["env"]}
    assert told["OTA_TARGET_WEB"] == "http://127.0.0.1:4173"  # bound there, on the backend they share


def test_the_host_view_of_a_repository_is_found_through_the_workspace_file(project):
    repo = project(
        {
            "ota.workspace.yaml": "version: 1\nworkspace: {name: all}\nrepos: {web: {path: web}}\n",
            "web/ota.yaml": "version: 1\n" + WEB.replace("ADDRESS", "127.0.0.1"),
            "e2e/ota.yaml": "version: 1\nproject: {name: e2e}\n" + check("repo: web"),
        }
    )
    assert "told http://127.0.0.1:4173/app" in repo.run("run", "check", cwd="e2e").err
    (repo.path / "ota.workspace.yaml").unlink()
    refused = repo.run("validate", "--json", cwd="e2e")
    assert (refused.code, "OTA_V397" in refused.json["errors"][0]) == (1, True)


@pytest.mark.parametrize(
    ("where", "gone"),
    [
        ("repo: web", {"web/ota.yaml": None}),
        ("repo: web", {"ota.workspace.yaml": None}),
        ("repo: web", {"web/ota.yaml": "tasks: {{"}),
        ("member: web", {"web/ota.yaml": None}),
        ("member: web", {"web/ota.yaml": WEB.replace("kind: service", "kind: nothing")}),
    ],
    ids=str,
)
def test_a_contract_that_cannot_be_had_stands_in_the_way_of_its_users_alone(
    project, assert_schema, where, gone
):
    other = "  other: {run: echo done}\n"
    is_repo = where.startswith("repo")
    head, web = ("version: 1\n", "version: 1\n" + WEB) if is_repo else ("", WEB)
    files = {
        "ota.workspace.yaml": "version: 1\nworkspace: {name: all}\nrepos: {web: {path: web}}\n",
        "web/ota.yaml": web.replace("ADDRESS", "127.0.0.1"),
        "e2e/ota.yaml": head + "project: {name: e2e}\n" + check(where) + other,
        **({} if is_repo else {"ota.yaml": ROOT}),
    }
    repo = project(files)
    assert repo.run("run", "other", cwd="e2e").code == 0
    for name, text in gone.items():
        if text is None:
            (repo.path / name).unlink()
        else:
            repo.write({name: text})
    other = repo.run("run", "other", cwd="e2e")
    assert (other.code, "done" in other.err) == (0, True), other
    assert repo.run("tasks", cwd="e2e").code == 0
    done = repo.run("run", "check", "--json", cwd="e2e")
    assert_schema(done.json, "run")
    assert (done.code, f"could not load `{where}`" in str(done.json)) == (1, True), done
    valid = repo.run("validate", cwd="e2e")
    assert (valid.code, f"could not load `{where}`" in valid.err, "OTA_V397" in valid.err) == (1, True, True)
