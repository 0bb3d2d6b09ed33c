"""Members of a monorepo: which one a command is about, and how several are told."""

import pytest

pytestmark = pytest.mark.edge

ROOT = """version: 1
project: {name: shop}
workspace: {type: monorepo, members: [apps/web, api]}
env: {vars: {STAGE: {default: root}}}
checks: [{name: made, kind: file, path: made, severity: warn}]
tasks:
  where: {run: 'echo "$STAGE in $(basename "$PWD")"'}
  lint: {run: echo lint}
workflows: {default: all, all: {setup: {task: lint}}}
"""
WEB = """project: {name: web}
env: {vars: {STAGE: {default: web}}}
tasks: {test: {run: test -f fine}}
"""
API = """project: {name: api}
execution: {contexts: {host: {backend: native}}}
services: {db: {required: false, endpoints: {host: {address: 127.0.0.1, port: 9}}}}
tasks: {test: {run: 'exit 7'}}
"""
SECOND = "[member api]"


@pytest.fixture
def shop(project):
    """A root with two members; tests of `apps/web` pass and those of `api` fail."""
    return project(
        {"ota.yaml": ROOT, "apps/web/ota.yaml": WEB, "apps/web/fine": "", "api/ota.yaml": API, "made": ""}
    )


# --- one member ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "cwd"),
    [
        (("--member", "apps/web"), "."),
        (("--member", "web"), "api"),
        (("apps/web",), "."),
        ((), "apps/web"),
    ],
)
def test_a_member_acts_in_its_directory_on_the_contract_over_the_roots(shop, words, cwd):
    done = shop.run("run", "where", *words, cwd=cwd)
    assert done.code == 0
    assert "web in web\n" in done.err
    assert f"Path:        {shop.path.resolve()}/apps/web\n" in done.err
    assert ("[member apps/web]" in done.err) == ("--member" in words)
    assert (shop.path / "apps/web/.ota").is_dir()
    assert not (shop.path / ".ota").exists()


def test_inherited_paths_are_the_members_own(project):
    root = ROOT.replace("env: {vars:", "env: {sources: [{kind: dotenv, path: .env}], vars:").replace(
        "run: echo lint", "env_files: [src/env], run: echo $HERE"
    )
    repo = project(
        {
            "ota.yaml": root.replace("default: root", "required: true"),
            ".env": "STAGE=of root\n",
            "src/env": "HERE=in-root\n",
            "apps/web/ota.yaml": "project: {name: web}\n",
            "apps/web/.env": "STAGE=of web\n",
            "apps/web/src/env": "HERE=in-web\n",
            "api/ota.yaml": API,
        }
    )
    assert "of web in web\n" in repo.run("run", "where", "--member", "web").err
    assert "in-web\n" in repo.run("run", "lint", "--member", "web").err
    assert "of root in repo\n" in repo.run("run", "where").err


def test_the_root_itself_is_run_without_its_members(shop):
    done = shop.run("run", "where")
    assert "root in repo\n" in done.err
    assert not (shop.path / "api/.ota").exists()


@pytest.mark.parametrize(
    "words",
    [
        "tasks",
        "workflows",
        "services",
        "env",
        "execution plan",
        "execution topology",
        "check",
        "doctor",
        "explain",
    ],
)
def test_a_report_on_one_member_says_whose_it_is(shop, words):
    text = shop.run(*words.split(), "--member", "api")
    assert text.out.splitlines()[0].endswith("./ota.yaml [member api]")
    document = shop.run(*words.split(), "--member", "api", "--json").json
    assert (document["path"], document["member"]) == ("./ota.yaml", "api")
    assert "members" not in document


def test_what_to_do_next_keeps_the_member(shop):
    shown = shop.run("tasks", "--use", "--member", "web").out
    assert "`ota run test --member apps/web`" in shown
    told = shop.run("tasks", "--use", "--json").json
    assert [each["use"] for each in told["tasks"]] == ["ota run lint", "ota run where"]
    assert told["members"][1]["tasks"][1]["use"] == "ota run test --member api"
    assert "`ota tasks --use --member api`" in shop.run("validate", "--member", "api").out
    assert "`ota up --member api`" in shop.run("check", "--member", "api").out
    failed = shop.run("run", "test", "--member", "api")
    assert failed.code == 7
    assert "ota run test --member api" in failed.err
    assert "`ota run lint --member api" in shop.run("execution", "plan", "--member", "api").out


def test_a_preview_of_a_member_is_valid_and_says_whose_it_is(shop, assert_schema):
    for words in (("run", "test"), ("up",)):
        document = shop.run(*words, "--member", "api", "--dry-run", "--json").json
        assert document["member"] == "api"
        assert_schema(document, words[0])


@pytest.mark.parametrize(
    ("member", "code"), [("nobody", "OTA_MEMBER_UNKNOWN"), ("shop", "OTA_MEMBER_UNKNOWN")]
)
def test_an_undeclared_member_is_refused_by_name(shop, member, code, assert_schema):
    done = shop.run("tasks", "--member", member)
    assert done.code == 1
    assert f"member `{member}` is not declared" in done.err
    document = shop.run("tasks", "--member", member, "--json").json
    assert code in document["error"]
    assert document["member"] == member
    assert_schema(document, "tasks")


def test_a_member_of_an_ordinary_repository_needs_a_monorepo_root(project):
    done = project({"ota.yaml": "version: 1\nproject: {name: a}\n"}).run("run", "x", "--member", "api")
    assert done.code == 1
    assert "needs a monorepo root contract" in done.err


@pytest.mark.parametrize(
    "words",
    [
        ("run", "test", "--member", "web", "--member", "web"),
        ("tasks", "--member", "web", "--member", "./apps/web"),
    ],
)
def test_a_member_given_twice_is_a_usage_error(shop, words):
    done = shop.run(*words)
    assert done.code == 2
    assert "was provided more than once" in done.err


@pytest.mark.parametrize("words", ["validate", "env", "execution plan", "execution topology"])
def test_one_member_only_where_there_is_one_answer(shop, words):
    assert shop.run(*words.split(), "--member", "web", "--member", "api").code == 2


def test_members_and_their_tasks_are_completed(shop):
    def completed(*words, cwd="."):
        return shop.run("--", "ota", *words, cwd=cwd, env={"COMPLETE": "bash"}).out.split()

    assert completed("run", "test", "--member", "") == ["apps/web", "api"]
    assert completed("tasks", "--member=a", cwd="api") == ["--member=apps/web", "--member=api"]
    assert completed("run", "--member", "web", "t") == ["test"]
    assert completed("run", "t", cwd="api") == ["test"]
    assert completed("run", "t") == []


# --- several members -----------------------------------------------------------------------------


def test_members_run_in_the_given_order_until_one_fails(shop, assert_schema):
    done = shop.run("run", "test", "--member", "web", "--member", "api", "--member", "apps/web/../../api")
    assert done.code == 1  # before anything ran: the last one is no member
    assert not (shop.path / "apps/web/.ota").exists()
    done = shop.run("run", "test", "--member", "api", "--member", "web", "--json", "--quiet")
    assert (done.code, done.json["exit_code"]) == (7, 7)
    assert [(each["member"], each["status"]) for each in done.json["members"]] == [("api", "failed")]
    done = shop.run("run", "test", "--member", "web", "--member", "api", "--json", "--quiet")
    assert [each["member"] for each in done.json["members"]] == ["apps/web", "api"]
    assert_schema(done.json, "run")
    assert "receipt" not in done.json


@pytest.mark.parametrize("words", [("--who=x",), ("x",)])
def test_words_that_one_member_does_not_take_are_refused_before_another_runs(shop, words):
    greet = "project: {name: m}\ntasks: {greet: {run: touch greeted%s}}\n"
    shop.write({"api/ota.yaml": greet % ", inputs: {who: {}}", "apps/web/ota.yaml": greet % ""})
    done = shop.run("run", "greet", "--member", "api", "--member", "web", *words)
    assert (done.code, f"unexpected argument '{words[0][:5]}' found" in done.err) == (2, True)
    assert not (shop.path / "api/greeted").exists()


def test_a_refusal_for_one_of_several_members_stands_among_the_results(shop, assert_schema):
    (shop.path / "api/ota.yaml").write_text("project: {name: api}\n", encoding="utf-8")
    words = ("run", "test", "--member", "web", "--member", "api")
    done = shop.run(*words, "--json", "--quiet")
    assert done.code == 1
    first, second = done.json["members"]
    assert (first["ok"], second["ok"], second["member"]) == (True, False, "api")
    assert "unknown task `test`" in second["error"]
    assert_schema(done.json, "run")
    text = shop.run(*words).err
    assert (
        text.index("RUN test [member apps/web]")
        < text.index("RUN test [member api]")
        < text.index("unknown task")
    )


def test_previews_of_several_members_are_one_document(shop, assert_schema):
    done = shop.run("run", "test", "--member", "web", "--member", "api", "--dry-run", "--json")
    assert (done.json["task"], done.json["dry_run"], len(done.json["members"])) == ("test", True, 2)
    assert_schema(done.json, "run")


@pytest.mark.parametrize("command", ["tasks", "workflows", "services"])
def test_a_listing_of_a_root_holds_every_member(shop, command, assert_schema):
    text = shop.run(command).out
    headers = [line for line in text.splitlines() if line.startswith(command.upper())]
    assert [each.removeprefix(f"{command.upper()} ") for each in headers] == [
        "./ota.yaml",
        "./ota.yaml [member apps/web]",
        "./ota.yaml [member api]",
    ]
    document = shop.run(command, "--json").json
    assert [each["member"] for each in document["members"]] == ["apps/web", "api"]
    assert all(command in each for each in document["members"])
    asked = shop.run(command, "--json", "--member", "api", "--member", "web").json
    assert (asked[command], [each["member"] for each in asked["members"]]) == ([], ["api", "apps/web"])
    if command != "workflows":
        assert_schema(document, command)
        assert_schema(asked, command)


@pytest.mark.parametrize("command", ["doctor", "check"])
def test_a_diagnosis_of_a_root_is_as_bad_as_its_worst_member(shop, command, assert_schema):
    document = shop.run(command, "--json").json
    assert_schema(document, command)
    assert document["ok"]
    assert document["summary"]["verdict"] == "risky"
    counted = [*document["findings"], *(found for each in document["members"] for found in each["findings"])]
    assert document["summary"]["warn_count"] == sum(each["severity"] == "warn" for each in counted)
    (shop.path / "api/ota.yaml").write_text(
        "checks: [{name: made, kind: file, path: made, severity: error}]\n", encoding="utf-8"
    )
    done = shop.run(command, "--json")
    assert (done.code, done.json["ok"], done.json["summary"]["verdict"]) == (1, False, "not_ready")
    assert done.json["summary"]["primary_blocker"]["severity"] == "error"
    assert [each["ok"] for each in done.json["members"]] == [True, False]
    assert shop.run(command).out.count(f"{command.upper()} ./ota.yaml") == 3
    asked = shop.run(command, "--json", "--member", "web", "--member", "api").json
    assert_schema(asked, command)


def test_members_are_explained_when_they_are_asked_for(shop, assert_schema):
    assert "members" not in shop.run("explain", "--json").json
    document = shop.run("explain", "--json", "--member", "web", "--member", "api").json
    assert_schema(document, "explain")
    assert document["summary"]["step_count"] == sum(
        each["summary"]["step_count"] for each in document["members"]
    )


def test_up_brings_the_root_and_its_members_up(shop, assert_schema):
    done = shop.run("up", "--json")
    assert_schema(done.json, "up")
    assert (done.json["status"], done.json["phase"]) == ("READY", "aggregate")
    assert done.json["root"]["status"] == "READY"
    assert [(each["member"], each["status"]) for each in done.json["members"]] == [
        ("apps/web", "READY"),
        ("api", "READY"),
    ]
    (shop.path / "api/ota.yaml").write_text("tasks: {lint: {run: exit 4}}\n", encoding="utf-8")
    done = shop.run("up", "--json")
    assert_schema(done.json, "up")
    assert (done.code, done.json["ok"], done.json["status"]) == (1, False, "SETUP FAILED")
    text = shop.run("up")
    assert f"UP ./ota.yaml {SECOND}" in text.out
    assert f"UP ./ota.yaml {SECOND}" in text.err
    assert_schema(shop.run("up", "--dry-run", "--json").json, "up")


def test_a_members_name_cannot_steer_the_terminal(project):
    name = "a\x1b[31mb"
    root = ROOT.replace("[apps/web, api]", '["a\\e[31mb", api]')
    repo = project({"ota.yaml": root, f"{name}/ota.yaml": WEB, "api/ota.yaml": API})
    for words in (
        ("tasks",),
        ("up",),
        ("run", "where", "--member", name, "--member", "api"),
        ("tasks", "--member", name),
    ):
        done = repo.run(*words)
        assert done.code == 0, done
        assert "\x1b" not in done.out + done.err


def test_nothing_is_done_when_the_contract_of_any_member_is_wrong(shop, assert_schema):
    (shop.path / "api/ota.yaml").unlink()
    (shop.path / "apps/web/ota.yaml").write_text("tasks: {a: {run: a, depends_on: [b]}}\n", encoding="utf-8")
    done = shop.run("up", "--json")
    assert done.code == 1
    assert not (shop.path / ".ota").exists()
    assert done.json["errors"][0].startswith("monorepo member apps/web: tasks.a.depends_on[0]: ")
    assert "(./apps/web/ota.yaml:1:" in done.json["errors"][0]
    assert done.json["errors"][1].startswith("monorepo member api: workspace.members[1]: ")
    assert "OTA_V014" in done.json["errors"][1]


def test_validating_a_root_validates_every_member(shop, assert_schema):
    good = shop.run("validate", "--json")
    assert (good.code, good.json["ok"]) == (0, True)
    assert_schema(good.json, "validate")
    (shop.path / "api/ota.yaml").write_text("tasks: {a: {run: a, depends_on: [b]}}\n", encoding="utf-8")
    done = shop.run("validate", "--json")
    assert done.code == 1
    assert_schema(done.json, "validate")
    assert [each.startswith("monorepo member api: tasks.a") for each in done.json["errors"]] == [True]
    text = shop.run("validate").err
    assert "monorepo member api: task `a`" in text
    assert "./api/ota.yaml:1:" in text
    assert shop.run("validate", "--member", "web").code == 0
    assert shop.run("tasks").code == 1


def test_a_warning_that_members_inherit_is_told_once(project):
    line = "depends_on: [lint]"
    root = ROOT.replace("echo lint", "echo lint, context: box").replace("where: {", f"where: {{{line}, ")
    root += (
        "execution: {contexts: {box: {backend: container, lifecycle: ephemeral, container: {image: n}}}}\n"
    )
    repo = project({"ota.yaml": root, "apps/web/ota.yaml": WEB, "api/ota.yaml": API})
    document = repo.run("validate", "--json").json
    assert document["summary"]["warn_count"] == len(document["warnings"])
    assert len(set(document["warnings"])) == len(document["warnings"])
    assert not [each for each in document["warnings"] if "(./ota.yaml" in each and "member" in each]


def test_clean_asks_for_each_member(shop, assert_schema):
    grouped = shop.run("clean", "--json", env={"PATH": "/nowhere"})
    assert_schema(grouped.json, "clean")
    assert [each["member"] for each in grouped.json["workspace"]["members"]] == ["apps/web", "api"]
    asked = shop.run("clean", "--json", "--member", "api", env={"PATH": "/nowhere"})
    assert_schema(asked.json, "clean")
    assert [each["member"] for each in asked.json["members"]] == ["api"]
    assert shop.run("clean", "--stale", "--member", "api").code == 2


def test_stopping_at_a_root_looks_at_every_member(shop, assert_schema):
    done = shop.run("up", "--stop", "--json")
    assert_schema(done.json, "up")
    assert [each["member"] for each in done.json["members"]] == ["apps/web", "api"]
    assert done.json["summary"]["failed_count"] == 0
    (shop.path / "ota.yaml").write_text(f"{ROOT}\n{{broken", encoding="utf-8")
    done = shop.run("up", "--stop", "--json")
    assert (done.code, done.json["summary"]["failed_count"]) == (1, 1)
    assert_schema(done.json, "up")
    text = shop.run("up", "--stop").out
    assert "cannot tell which members ./ota.yaml has" in text
    assert "Nothing was left running" not in text
    shop.write({".ota/state/workloads/%zz.json": "{}"})
    both = shop.run("up", "--stop")
    told, _, following = both.out.partition("Next:")
    first, second = (each for each in told.splitlines() if each.startswith("  - "))
    assert (both.code, first.startswith("  - cannot tell which members")) == (1, True), both
    assert second.startswith("  - %zz.json: cannot tell whether task")
    assert following.count("\n  - ") == 2
