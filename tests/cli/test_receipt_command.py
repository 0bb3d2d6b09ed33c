"""`ota receipt --show` and `--history` show what was archived, with or without a valid contract."""

import json

import pytest

from ota.evidence.archive import FOLDER

pytestmark = pytest.mark.edge

CONTRACT = """version: 1
project: {name: shop}
env: {vars: {TOKEN: {secret: true, required: true}}, sources: [{kind: dotenv, path: .env}]}
tasks:
  prepare: {run: "true"}
  good: {run: "echo fine", depends_on: [prepare]}
  bad: {run: "exit 3"}
"""


@pytest.fixture
def repo(project):
    return project({"ota.yaml": CONTRACT, ".env": "TOKEN=hunter2\n"})


def archives(repo):
    return sorted(each.name for each in (repo.path / FOLDER).glob("repo-receipt-*.json"))


def test_an_archived_run_is_shown(repo, assert_schema):
    run = repo.run("run", "good", "--archive")
    assert run.code == 0
    (name,) = archives(repo)
    assert f"Receipt: {FOLDER}/{name}" in run.err
    shown = repo.run("receipt", "--show", "latest", "--json")
    assert (shown.code, shown.err) == (0, "")
    assert_schema(shown.json, "receipt")
    assert shown.json == json.loads(repo.read(f"{FOLDER}/{name}"))
    assert shown.json["mode"] == "receipt"
    assert shown.json["archive_path"] == f"{FOLDER}/{name}"
    text = repo.run("receipt", "--show", "latest").out
    assert text.startswith("RECEIPT ./ota.yaml")
    assert "1. READY  prepare (depends_on for `good`" in text
    assert "2. READY  good (requested task" in text
    assert "hunter2" not in text + shown.out


def test_a_failed_run_is_shown_as_failed(repo):
    assert repo.run("run", "bad", "--archive").code == 3
    done = repo.run("receipt", "--show", "latest")
    assert done.code == 1
    assert "failed" in done.out
    assert "exit 3" in done.out


def test_the_newest_or_a_named_one(repo):
    repo.run("run", "good", "--archive")
    repo.run("run", "bad", "--archive")
    first, second = archives(repo)
    assert repo.run("receipt", "--show", "latest", "--json").json["archive_path"].endswith(second)
    for name in (first, f"{FOLDER}/{first}", str(repo.path / FOLDER / first)):
        assert repo.run("receipt", "--show", name, "--json").json["archive_path"].endswith(first)


def test_history_lists_newest_first_and_names_damaged_files(repo, assert_schema):
    repo.run("run", "good", "--archive")
    repo.run("run", "bad", "--archive")
    repo.write({f"{FOLDER}/repo-receipt-20200101-000000-000Z.json": "{"})
    done = repo.run("receipt", "--history", "--json")
    assert (done.code, done.err) == (0, "")
    assert_schema(done.json, "receipt")
    assert done.json["summary"] == {"archive_count": 2, "invalid_archive_count": 1}
    assert [each["status"] for each in done.json["archives"]] == ["failed", "success"]
    assert [each["ok"] for each in done.json["archives"]] == [False, True]
    text = repo.run("receipt", "--history").out
    assert text.startswith("RECEIPT HISTORY ./ota.yaml")
    assert "Skipped Archives" in text
    assert "repo-receipt-20200101-000000-000Z.json: not JSON" in text


PATH = """version: 1
project: {name: shop}
tasks:
  setup: {run: "true"}
  build: {run: "true"}
  lint: {run: "true"}
workflows:
  default: app
  app: {description: the shop, setup: {task: setup}, run: {task: build}}
  docs: {setup: {task: lint}}
"""
CARRIERS = {
    "tasks": ("tasks", None),
    "doctor": ("doctor", "build"),
    "check": ("check", "build"),
    "execution plan": ("execution-plan", "build"),
    "receipt": ("receipt", "build"),
    "up": ("up", "build"),
    "up --dry-run": ("up", "build"),
}


@pytest.mark.proves("S003-27")
def test_every_document_carries_the_workflow_in_effect(project, assert_schema):
    repo = project({"ota.yaml": PATH})
    told = {}
    for command, (schema, task) in CARRIERS.items():
        for workflow, effective in ((None, task), ("docs", "lint" if task is not None else None)):
            selected = ["--workflow", workflow] if workflow is not None else []
            done = repo.run(*command.split(), "--json", *selected)
            document = done.json
            assert_schema(document, schema)
            assert document["workflow"]["name"] == (workflow or "app"), command
            at = document["execution"] if command == "up --dry-run" else document
            assert at.get("task") == effective, command
            told[command, workflow] = document
    for workflow, task in ((None, "build"), ("docs", "lint")):
        document, receipt = told["up", workflow], told["up", workflow]["receipt"]
        assert (receipt["workflow"], receipt["task"]) == (document["workflow"], task)
    assert repo.run("run", "lint", "--workflow", "docs", "--archive").code == 0
    archived = repo.run("receipt", "--show", "latest", "--json").json
    assert_schema(archived, "receipt")
    assert archived["workflow"] == archived["receipt"]["workflow"]
    assert archived["workflow"] == told["execution plan", "docs"]["workflow"]
    assert (archived["task"], archived["receipt"]["task"]) == ("lint", "lint")
    assert (
        archived["archive_context"] | {"lane_kind": "workflow", "lane_name": "docs"}
        == (archived["archive_context"])
    )


def test_the_text_names_the_workflow_and_the_task(project):
    repo = project({"ota.yaml": PATH})
    shown = "Execution\n  Workflow: app - the shop\n  Task: build\n"
    assert shown in repo.run("up", "--receipt").out
    assert shown in repo.run("run", "build", "--archive", "--receipt").err
    assert shown in repo.run("receipt", "--show", "latest").out


def test_a_task_outside_every_workflow_has_none(project):
    repo = project({"ota.yaml": PATH})
    receipt = repo.run("run", "lint", "--json", "--archive").json["receipt"]
    assert "workflow" not in receipt
    assert receipt["task"] == "lint"
    archived = repo.run("receipt", "--show", "latest", "--json").json
    assert "workflow" not in archived
    assert "lane_kind" not in archived["archive_context"]


@pytest.mark.parametrize("text", ["{", "version: 2\n", None])
def test_evidence_that_is_asked_for_needs_no_valid_contract(repo, text):
    repo.run("run", "good", "--archive")
    if text is None:
        (repo.path / "ota.yaml").unlink()
    else:
        repo.write({"ota.yaml": text})
    assert repo.run("receipt", "--show", "latest").code == 0
    assert repo.run("receipt", "--history", "--json").json["summary"]["archive_count"] == 1
    assert repo.run("receipt").code == 1
    named = repo.run("receipt", "--history", "--file", "ota.yaml", "--json")
    assert (named.code, named.json["summary"]["archive_count"]) == (0, 1)


@pytest.mark.parametrize(
    ("words", "archives_will_do"),
    [
        (("--file", "a/ota.yaml"), True),
        (("a",), True),
        (("--file", "a"), False),
        (("--file", "none/x.yaml"), False),
    ],
    ids=str,
)
def test_a_contract_that_is_not_there_has_no_history_and_not_that_of_another(
    repo, assert_schema, words, archives_will_do
):
    repo.run("run", "good", "--archive")
    (repo.path / "a").mkdir()
    done = repo.run("receipt", "--history", *words, "--json")
    assert (done.code, done.json["ok"], "[OTA_CONTRACT_" in done.json["error"]) == (1, False, True), done
    assert_schema(done.json, "receipt")
    (repo.path / "a/.ota/receipts").mkdir(parents=True)
    beside = repo.run("receipt", "--history", *words, "--json")
    assert beside.code == (0 if archives_will_do else 1)
    if archives_will_do:
        assert beside.json["summary"]["archive_count"] == 0, "those beside it, not those from here"


def _listeners(first, second):
    def one(name, number, primary):
        given = f", primary: {primary}" if primary else ""
        host = f"{{address: 127.0.0.1, port: {{mode: fixed, value: {number}}}{given}}}"
        bind = f"{{address: 127.0.0.1, port: {{mode: fixed, value: {number}}}}}"
        return f"        {name}: {{protocol: http, bind: {bind}, project: {{host: {host}}}}}\n"

    return (
        "version: 1\nproject: {name: shop}\ntasks:\n  dev:\n    launch: {kind: command, exe: serve}\n"
        f"    runtime:\n      kind: service\n      listeners:\n"
        f"{one('http', 3000, first)}{one('metrics', 3001, second)}"
    )


@pytest.mark.proves("S000-117", "S001-126")
@pytest.mark.parametrize("is_archived", [False, True], ids=["nothing archived", "archived"])
@pytest.mark.parametrize("primaries", [("", ""), ("true", "true")], ids=["no primary", "two primaries"])
def test_a_wrong_listener_is_told_by_field_as_validate_and_run_do(
    repo, assert_schema, primaries, is_archived
):
    if is_archived:
        repo.run("run", "good", "--archive")
    repo.write({"ota.yaml": _listeners(*primaries)})
    validated, run, done = repo.run("validate"), repo.run("run", "dev"), repo.run("receipt")
    assert (done.code, done.out) == (1, "")
    assert validated.err.split("\nNext:")[0] in done.err
    told = [line for line in run.err.split("\nNext:")[0].splitlines() if "ERROR" not in line]
    assert [line for line in told if line not in done.err] == []
    assert "Field: tasks.dev.runtime.listeners" in done.err
    assert "could not be loaded" not in done.err
    assert "Operation failed" not in done.err
    assert "`ota receipt --history` lists what is archived" in done.err
    document = repo.run("receipt", "--json")
    assert (document.code, document.err) == (1, "")
    assert_schema(document.json, "receipt")
    assert document.json["errors"] == repo.run("validate", "--json").json["errors"]
    assert document.json["errors"][0].startswith("tasks.dev.runtime.listeners: ")


def test_without_archives(repo, assert_schema):
    done = repo.run("receipt", "--show", "latest")
    assert (done.code, done.out) == (1, "")
    assert "no receipts yet" in done.err
    assert "`ota run <task> --archive` or `ota receipt --archive`" in done.err
    document = repo.run("receipt", "--show", "latest", "--json")
    assert (document.code, document.err) == (1, "")
    assert_schema(document.json, "validate")
    listed = repo.run("receipt", "--history")
    assert (listed.code, listed.err) == (0, "")
    assert "No receipts yet." in listed.out


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b"{}",
        b'{"receipt": 7}',
        b"\xff\xfe",
        b'{"ok": true, "receipt": {}}',
        b'{"ok": 1, "receipt": {"steps": [1, {}], "runtime": [], "contract_identity": 3, "next_steps": [4]}}',
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("flags", [(), ("--json",)], ids=["text", "json"])
def test_any_file_is_answered_without_a_crash(repo, content, flags):
    repo.write({"strange.json": content})
    done = repo.run("receipt", "--show", "strange.json", *flags)
    assert done.code in (0, 1)
    assert "Traceback" not in done.err
    assert "bug" not in done.err
    assert done.out or done.err


def test_a_missing_file_is_named(repo):
    done = repo.run("receipt", "--show", "nowhere.json")
    assert (done.code, done.out) == (1, "")
    assert "nowhere.json" in done.err
    assert "`ota receipt --history`" in done.err


def test_no_contract_and_no_archives(project):
    done = project({}).run("receipt")
    assert done.code == 1
    assert "no ota.yaml was found" in done.err
