"""`ota receipt` captures the readiness, keeps it, and compares it with what was kept."""

import json
import shutil

import pytest

from ota.cli.flags import SELECTORS
from ota.evidence.archive import FOLDER, KEPT, POINTER, retire

pytestmark = pytest.mark.edge

READY = """version: 1
project: {name: shop, type: application}
metadata: {owner: ada}
tasks:
  setup: {run: "true"}
  build: {run: "true"}
  lint: {run: "true"}
workflows:
  default: app
  app: {setup: {task: setup}, run: {task: build}}
  docs: {run: {task: lint}}
"""
MISSING = "no-such-tool-anywhere"
BROKEN = f'{READY}tools:\n  {MISSING}: ">=10"\n'
IGNORED = ".ota/\n"


@pytest.fixture
def repo(project):
    return project({"ota.yaml": READY, ".gitignore": IGNORED})


def archives(repo):
    return sorted(each.name for each in (repo.path / FOLDER).glob("repo-receipt-*.json"))


def captured(repo, *flags):
    done = repo.run("receipt", "--json", *flags)
    assert done.err == ""
    return done.json


def compared(repo, assert_schema, *flags, code=0):
    done = repo.run("receipt", "--json", "--baseline", *flags)
    assert (done.code, done.err) == (code, "")
    assert_schema(done.json, "receipt")
    return done.json


def test_a_capture_says_what_doctor_says_and_writes_nothing(repo, assert_schema):
    doctor = repo.run("doctor", "--json").json
    done = repo.run("receipt", "--json", "--mode", "native")
    assert (done.code, done.err) == (0, "")
    document = done.json
    assert_schema(document, "receipt")
    assert document["mode"] == "receipt"
    assert document["findings"] == doctor["findings"]
    assert document["summary"] == doctor["summary"] | {"step_count": 1}
    assert (document["workflow"], document["task"]) == (doctor["workflow"], "build")
    receipt = document["receipt"]
    assert [(each["label"], each["stage_family"], each["status"]) for each in receipt["steps"]] == [
        ("readiness", "receipt", "READY")
    ]
    assert receipt["backend"] == "native"
    assert not {"status", "runtime", "started_at", "archive_path", "contract_snapshot_hash"} & {
        *receipt,
        *document,
    }
    assert not (repo.path / FOLDER).exists()
    text = repo.run("receipt").out
    assert text.startswith("RECEIPT ./ota.yaml")
    assert "Project: shop (application)" in text
    assert "Metadata: owner=ada" in text
    assert "1. READY  readiness" in text
    assert "`ota receipt --archive` keeps this receipt" in text


def test_a_repository_that_is_not_ready_is_archived_as_such(repo, assert_schema):
    repo.write({"ota.yaml": BROKEN})
    done = repo.run("receipt", "--json", "--archive")
    assert (done.code, done.err) == (1, "")
    assert_schema(done.json, "receipt")
    (name,) = archives(repo)
    assert done.out == repo.read(f"{FOLDER}/{name}"), "the archive is what was printed, byte for byte"
    assert done.json["archive_path"] == f"{FOLDER}/{name}"
    assert done.json["archive_context"] == {
        "schema_version": 1,
        "kind": "readiness",
        "lane_kind": "workflow",
        "lane_name": "app",
    }
    receipt = done.json["receipt"]
    assert receipt["steps"][0]["status"] == "NOT READY"
    assert receipt["blocked"] == [f"Missing tool: {MISSING}"]
    assert receipt["next_steps"] == [receipt["next"]]
    assert (repo.path / receipt["contract_snapshot_ref"]).is_file()
    text = repo.run("receipt")
    assert text.code == 1
    assert f"Blocked\n  - Missing tool: {MISSING}" in text.out
    shown = repo.run("receipt", "--show", "latest", "--json")
    assert (shown.code, shown.out) == (1, done.out)
    history = captured(repo, "--history")
    assert [(each["ok"], "status" in each) for each in history["archives"]] == [(False, False)]


def test_secrets_are_in_no_capture(repo):
    secret = "hunter2-and-more"
    declared = "env: {vars: {TOKEN: {secret: true}}, sources: [{kind: dotenv, path: .env}]}\n"
    check = f"checks: [{{name: told, kind: health, severity: error, run: 'echo {secret}; exit 1'}}]\n"
    repo.write({"ota.yaml": READY + declared, ".env": f"TOKEN={secret}\n"})
    document = captured(repo, "--archive")
    assert document["receipt"]["env"] == {"TOKEN": "***"}
    repo.write({"ota.yaml": READY.replace("setup: {task: setup}, ", "") + declared + check})
    done = repo.run("receipt", "--json", "--archive", "--workflow", "docs")
    assert secret not in done.out + done.err
    kept = [path.read_text() for path in (repo.path / ".ota/receipts").iterdir()]
    assert not any(secret in text for text in kept)


def test_a_promoted_baseline_shows_what_is_new_and_the_gate_stops_it(repo, assert_schema):
    kept = captured(repo, "--archive", "--promote-baseline")
    promoted = kept["promoted_baseline"]
    pointer = json.loads(repo.read(f"{FOLDER}/{POINTER}"))
    assert promoted["path"] == f"{FOLDER}/{POINTER}"
    assert pointer == {
        "kind": "repo_receipt_baseline",
        "archive_file": archives(repo)[0],
        "contract_identity": "ota.yaml#workflow:app",
        "promoted_at": promoted["promoted_at"],
    }
    same = compared(repo, assert_schema, "promoted", "--fail-on-new-blockers")
    assert same["gate"] == {"rule": "fail_on_new_blockers", "passed": True, "new_blocker_count": 0}
    assert same["baseline"]["source"] == "promoted"
    assert same["baseline"]["promoted_at"] == promoted["promoted_at"]
    assert same["summary"]["comparison"]["contract_snapshot_changed"] is False
    assert "contract_changes" not in same

    repo.write({"ota.yaml": BROKEN})
    before = archives(repo)
    document = compared(repo, assert_schema, "promoted")
    assert (document["ok"], document["baseline"]["ok"], document["current"]["ok"]) == (False, True, False)
    assert [each["summary"] for each in document["introduced"]] == [f"Missing tool: {MISSING}"]
    assert document["summary"]["introduced"] | {"info_count": 0} == {
        "count": 1,
        "error_count": 1,
        "warn_count": 0,
        "info_count": 0,
    }
    comparison = document["summary"]["comparison"]
    assert (comparison["readiness_change"], comparison["identity_changed"]) == ("regressed", False)
    assert comparison["correlation"] == "likely_related"
    assert document["likely_related_changes"] == [
        {"path": f"tools.{MISSING}", "status": "add", "target": ">=10", "category": "toolchain"}
    ]
    gated = compared(repo, assert_schema, "promoted", "--fail-on-new-blockers", code=1)
    assert (gated["gate"]["passed"], gated["gate"]["new_blocker_count"]) == (False, 1)
    assert gated["gate"]["blocking_summary"] == f"Missing tool: {MISSING}"
    assert archives(repo) == before, "comparing writes nothing"
    text = repo.run("receipt", "--baseline", "promoted", "--fail-on-new-blockers")
    assert text.code == 1
    assert text.out.startswith("RECEIPT DIFF ./ota.yaml")
    assert "Drift: identity unchanged; readiness regressed; contract changed" in text.out
    assert "Gate: fail on new blockers -> blocked (1 new blocker)" in text.out
    assert f"Introduced Findings\n  - ERROR  Missing tool: {MISSING}" in text.out
    assert f"added `tools.{MISSING}`: >=10" in text.out


def test_old_debt_passes_the_gate(repo, assert_schema):
    repo.write({"ota.yaml": BROKEN})
    assert repo.run("receipt", "--archive", "--promote-baseline").code == 1
    document = compared(repo, assert_schema, "promoted", "--fail-on-new-blockers")
    assert (document["ok"], document["gate"]["passed"]) == (False, True)
    assert [each["summary"] for each in document["unchanged"]] == [f"Missing tool: {MISSING}"]
    assert document["summary"]["comparison"]["readiness_change"] == "unchanged"
    text = repo.run("receipt", "--baseline", "promoted").out
    assert "Unchanged Findings" in text
    repo.write({"ota.yaml": READY})
    mended = compared(repo, assert_schema, "latest")
    assert [each["summary"] for each in mended["resolved"]] == [f"Missing tool: {MISSING}"]
    assert mended["summary"]["comparison"]["readiness_change"] == "improved"


def test_latest_is_the_newest_capture_of_this_contract_and_workflow(repo, assert_schema, tmp_path):
    none = repo.run("receipt", "--baseline", "latest")
    assert (none.code, none.out) == (1, "")
    assert "no readiness capture to compare with" in none.err
    assert "`ota receipt --archive` keeps a capture" in none.err
    repo.run("run", "build", "--archive")
    assert "executions are no baseline" in repo.run("receipt", "--baseline", "latest").err
    app = captured(repo, "--archive")["archive_path"]
    docs = captured(repo, "--archive", "--workflow", "docs")["archive_path"]
    repo.run("run", "build", "--archive")
    repo.write({f"{FOLDER}/repo-receipt-29990101-000000-000Z.json": "{"})
    chosen = compared(repo, assert_schema, "latest")
    assert (chosen["baseline"]["archive_path"], chosen["baseline"]["source"]) == (app, "latest")
    assert compared(repo, assert_schema, "latest", "--workflow", "docs")["baseline"]["archive_path"] == docs

    moved = tmp_path / "elsewhere"
    shutil.move(repo.path, moved)
    repo.path.mkdir()
    there = compared(repo, assert_schema, "latest", str(moved))
    assert there["baseline"]["archive_path"] == app
    assert there["summary"]["comparison"]["identity_changed"] is False

    (moved / app).unlink()
    other = compared(repo, assert_schema, "latest", str(moved))
    comparison = other["summary"]["comparison"]
    assert comparison["identity_changed"] is True
    assert comparison["baseline_identity_label"] == "ota.yaml#workflow:docs"
    assert "Drift: identity changed" in repo.run("receipt", "--baseline", "latest", str(moved)).out


def test_a_baseline_is_given_as_a_file(repo, assert_schema, tmp_path):
    name = captured(repo, "--archive")["archive_path"].rpartition("/")[2]
    away = tmp_path / "baseline.json"
    shutil.copy(repo.path / FOLDER / name, away)
    document = compared(repo, assert_schema, str(away))
    assert document["baseline"]["source"] == "file"
    assert document["baseline"]["selection_path"] == str(away)
    assert document["baseline"]["archive_path"] == f"{FOLDER}/{name}"
    assert compared(repo, assert_schema, name)["baseline"]["archived_at"]
    content = json.loads(away.read_text())
    content["findings"] = [{"severity": "strange"}]
    bad = {
        "absent.json": (None, "cannot read"),
        "damaged.json": ("{", "not JSON"),
        "list.json": ("[]", "not a receipt archive"),
        "findings.json": (json.dumps(content), "not a readiness capture"),
    }
    for file, (text, why) in bad.items():
        if text is not None:
            repo.write({file: text})
        done = repo.run("receipt", "--baseline", file, "--json")
        assert (done.code, done.err) == (1, ""), file
        assert_schema(done.json, "receipt")
        assert file in done.json["error"], file
        told = repo.run("receipt", "--baseline", file)
        assert "No baseline to compare with" in told.err, why
    repo.run("run", "build", "--archive")
    execution = next(each for each in archives(repo) if each != name)
    assert "only readiness captures are compared" in repo.run("receipt", "--baseline", execution).err


def test_a_promoted_baseline_that_does_not_fit_is_refused(repo):
    def told():
        done = repo.run("receipt", "--baseline", "promoted")
        assert (done.code, done.out) == (1, "")
        return done.err

    assert "no baseline was promoted" in told()
    name = captured(repo, "--archive", "--promote-baseline", "--workflow", "docs")["archive_path"]
    assert "it is of `ota.yaml#workflow:docs`, this is `ota.yaml#workflow:app`" in told()
    (repo.path / name).unlink()
    assert "the promoted baseline is gone" in told()
    repo.write({f"{FOLDER}/{POINTER}": '{"kind": 7}'})
    assert "not a baseline pointer" in told()


def test_the_baseline_outlives_the_retention(tmp_path):
    folder = tmp_path / FOLDER
    folder.mkdir(parents=True)
    names = [f"repo-receipt-20260101-0000{second:02d}-000Z.json" for second in range(KEPT + 5)]
    for name in names:
        (folder / name).write_text("{}")
    (folder / POINTER).write_text(json.dumps({"archive_file": names[1]}))
    retire(tmp_path)
    left = sorted(each.name for each in folder.glob("repo-receipt-*"))
    assert left == [names[1], *names[5:]]


def test_a_capture_that_cannot_be_kept_is_not_said_to_be(repo, assert_schema):
    repo.write({".ota/receipts": "in the way"})
    done = repo.run("receipt", "--archive", "--promote-baseline", "--json")
    assert (done.code, done.err) == (1, "")
    assert_schema(done.json, "receipt")
    assert "error" in done.json
    assert repo.run("receipt", "--json").code == 0
    (repo.path / ".ota/receipts").unlink()
    (repo.path / FOLDER / POINTER).mkdir(parents=True)
    assert repo.run("receipt", "--archive", "--promote-baseline").code == 1
    assert archives(repo) == [], "an archive that says it was promoted, and was not"


def test_the_contract_of_an_archive_is_shown_when_its_bytes_are_what_their_name_says(repo, assert_schema):
    assert "no archive has a contract snapshot" in repo.run("receipt", "--snapshot", "latest").err
    kept = captured(repo, "--archive", "--promote-baseline")
    reordered = "# a comment\nproject: {type: application, name: shop}\nversion: 1\n"
    repo.write({"ota.yaml": reordered + READY.partition("\n")[2].partition("\n")[2]})
    again = captured(repo, "--archive")
    assert again["receipt"]["contract_snapshot_hash"] == kept["receipt"]["contract_snapshot_hash"]
    repo.write({"ota.yaml": READY + "tools: {git: '*'}\n"})
    changed = captured(repo, "--archive")["receipt"]
    assert changed["contract_snapshot_hash"] != kept["receipt"]["contract_snapshot_hash"]
    repo.write({"ota.yaml": "{"})
    told = {}
    ways = {
        "latest": "receipt_archive",
        "promoted": "receipt_archive",
        archives(repo)[0]: "receipt_archive",
        changed["contract_snapshot_ref"]: "snapshot_archive",
    }
    for chosen, kind in ways.items():
        done = repo.run("receipt", "--snapshot", chosen, "--json")
        assert (done.code, done.err) == (0, "")
        assert_schema(done.json, "receipt")
        assert done.json["selection_kind"] == kind
        assert done.json["summary"]["input_count"] == len(done.json["snapshot"])
        told[chosen] = done.json
    assert told["latest"]["snapshot_hash"] == changed["contract_snapshot_hash"]
    assert told["promoted"]["snapshot"]["project"] == {"name": "shop", "type": "application"}
    assert '"name": "shop"' in repo.run("receipt", "--snapshot", "promoted").out
    (repo.path / told["promoted"]["snapshot_path"]).write_text("{}\n")
    for chosen in ("promoted", told["promoted"]["snapshot_path"]):
        done = repo.run("receipt", "--snapshot", chosen)
        assert (done.code, done.out) == (1, "")
        assert "is not the snapshot its name says" in done.err


EXCLUSIVE = ("--archive", "--baseline latest", "--history", "--snapshot latest", "--show latest")
LOOKS_BACK = ("--history", "--snapshot latest", "--show latest")
REFUSED = [
    *((one, two) for one in EXCLUSIVE for two in EXCLUSIVE if one != two),
    *((each, "--promote-baseline") for each in EXCLUSIVE[1:]),
    *((each, flag) for each in LOOKS_BACK for flag in ("--mode native", "--workflow app", "--persistent")),
]


def test_what_does_not_belong_together_is_a_usage_error_in_any_order(repo):
    from ota.cli.catalogue import COMMANDS
    from ota.cli.flags import parse
    from ota.errors import UsageError

    command = next(each for each in COMMANDS if each.name == "receipt")
    for pair in REFUSED:
        for order in (pair, pair[::-1]):
            with pytest.raises(UsageError):
                parse(command, " ".join(order).split())
    for flag in SELECTORS:
        assert flag in command.flags
    for alone, needed in (("--promote-baseline", "--archive"), ("--fail-on-new-blockers", "--baseline")):
        done = repo.run("receipt", alone)
        assert (done.code, done.out) == (2, "")
        assert f"a required argument was not provided: '{alone}' needs '{needed}'" in done.err
        assert "Usage: ota receipt" in done.err
    done = repo.run("receipt", "--unheard-of")
    assert "unexpected argument '--unheard-of'" in done.err


@pytest.mark.parametrize("flags", [(), ("--archive",), ("--baseline", "latest")])
def test_a_contract_that_cannot_be_loaded_is_a_failure_on_standard_output(repo, assert_schema, flags):
    repo.write({"ota.yaml": "version: 1\nproject: {name: shop}\ntasks: {a: {}}\n"})
    done = repo.run("receipt", "--json", *flags)
    assert (done.code, done.err, done.json["ok"]) == (1, "", False)
    assert_schema(done.json, "receipt")
    assert done.json["errors"]
    assert not (repo.path / FOLDER).exists()


def test_another_plane_is_captured_when_it_is_asked_for(repo, assert_schema):
    context = "{backend: container, lifecycle: ephemeral, container: {image: i:1}}"
    image = f"execution: {{contexts: {{app: {context}}}}}\n"
    repo.write({"ota.yaml": READY + image})
    done = repo.run("receipt", "--json", "--mode", "container", env={"PATH": "/nowhere"})
    assert done.code == 1
    assert_schema(done.json, "receipt")
    receipt = done.json["receipt"]
    assert [receipt[key] for key in ("backend", "context", "lifecycle", "image")] == [
        "container",
        "app",
        "ephemeral",
        "i:1",
    ]
    assert "target" not in receipt


def test_a_member_of_a_monorepo_is_captured_in_its_own_directory(project, assert_schema):
    root = "version: 1\nproject: {name: mono}\nworkspace: {type: monorepo, members: [services/api]}\n"
    repo = project(
        {
            "ota.yaml": root + "tasks: {test: {run: 'true'}}\n",
            "services/api/ota.yaml": "version: 1\nproject: {name: api}\ntasks: {serve: {run: 'true'}}\n",
        }
    )
    done = repo.run("receipt", "--member", "api", "--archive", "--promote-baseline", "--json")
    assert (done.code, done.err) == (0, "")
    assert_schema(done.json, "receipt")
    assert done.json["member"] == "services/api"
    (kept,) = (repo.path / "services/api" / FOLDER).glob("repo-receipt-*.json")
    assert kept.read_text() == done.out
    assert not (repo.path / FOLDER).exists()
    for words in (("--member", "api"), ("services/api",)):
        document = repo.run("receipt", *words, "--baseline", "promoted", "--json").json
        assert_schema(document, "receipt")
        assert document["summary"]["comparison"]["identity_changed"] is False
    assert repo.run("receipt", "--member", "api", "--history").code == 2
