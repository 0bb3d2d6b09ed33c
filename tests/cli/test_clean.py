"""`ota clean` as people and programs see it; the engine is a folder."""

import os

import pytest

from ota.backends.container import ownership
from ota.backends.container.identity import IsolatedVolume, ephemeral_labels, persistent_labels, volume_labels
from ota.system.journal import open_journal
from support.fake_engine import FakeEngine
from support.project import OTA
from support.schemas import assert_schema

pytestmark = pytest.mark.edge

CONTRACT = """version: 1
project: {name: shop}
execution:
  default_context: app
  contexts:
    app:
      backend: container
      lifecycle: persistent
      container: {image: "node:24"}
tasks:
  build: {run: "true"}
"""


@pytest.fixture
def docker(tmp_path):
    return FakeEngine(tmp_path)


@pytest.fixture
def repo(project, docker):
    """A repository with a container, a volume, and things that only look like its own."""
    made = project({"ota.yaml": CONTRACT})
    token = ownership.ensure_token(made.path)
    ownership.record_engine(made.path, "docker")
    volume = volume_labels(token, IsolatedVolume(name="v", path="deps", context="app"))
    docker.volume("ota-isolated-a", volume)
    docker.container("ota-a", persistent_labels(token, family="f", shape="s"), volumes=["ota-isolated-a"])
    docker.container("ota-legacy", {}, workspace=made.path)
    docker.volume("ota-isolated-x", {"dev.ota.managed": "true", "dev.ota.kind": "dependency-isolation"})
    docker.container("ota-theirs", persistent_labels("f" * 16, family="f", shape="s"))
    return made


def test_the_text_tells_what_went_what_stayed_and_why(repo, docker):
    done = repo.run("clean", env=docker.environment)
    assert done.code == 0, done
    assert done.out.splitlines() == [
        "Cleaned ./ota.yaml",
        "  - removed drifted persistent containers: 1",
        "  - removed drifted dependency-isolation volumes: 1",
        "  - skipped ambiguous containers: 1",
        "  - skipped ambiguous volumes: 1",
        "  - queried engines: docker",
        "  - kept in .ota/state/managed-engines: docker",
        "",
        "Left alone, because nothing proves that they are this repository's:",
        "  - docker ota-legacy: it has the name of an earlier version and mounts this checkout, unlabelled",
        "    if it is yours: `docker rm -f ota-legacy`",
        "  - docker ota-isolated-x: it is managed by ota and carries no `dev.ota.repo`",
        "    if it is yours: `docker volume rm ota-isolated-x`",
    ]
    assert done.err == ""
    assert docker.names("container") == ["ota-legacy", "ota-theirs"]
    assert docker.names("volume") == ["ota-isolated-x"]


def test_the_document_counts_and_adds_up(repo, docker):
    done = repo.run("clean", "--json", env=docker.environment)
    assert done.code == 0, done
    assert_schema(done.json, "clean")
    summary = done.json["summary"]
    removed = {name: count for name, count in summary.items() if name.startswith("removed_") and count}
    assert removed == {
        "removed_drift_persistent_containers": 1,
        "removed_drift_dependency_isolation_volumes": 1,
    }
    assert (summary["total_removed"], summary["total_skipped_ambiguous"]) == (2, 2)
    assert done.json["queried_engines"] == ["docker"]
    assert [each["resource_name"] for each in done.json["skipped"]] == ["ota-legacy", "ota-isolated-x"]
    assert done.json["kept_engines"] == ["docker"]


def test_nothing_to_clean_is_said(project, docker):
    repo = project({"ota.yaml": CONTRACT})
    done = repo.run("clean", env=docker.environment)
    assert (done.code, done.out) == (0, "No cleanup needed for ./ota.yaml\n  - queried engines: docker\n")
    document = repo.run("clean", "--json", env=docker.environment).json
    assert_schema(document, "clean")
    assert document["summary"]["total_removed"] == 0
    assert not (repo.path / ".ota").exists(), "a repository without state stays without"


def test_an_engine_that_does_not_answer_is_a_classified_failure(repo, docker):
    docker.misbehave(down="Cannot connect to the Docker daemon. Is the docker daemon running?")
    done = repo.run("clean", env=docker.environment)
    assert done.code == 1
    assert done.out == ""
    assert "could not look for this repository's state in docker" in done.err
    assert "Cannot connect to the Docker daemon" in done.err
    document = repo.run("clean", "--json", env=docker.environment).json
    assert_schema(document, "clean")
    assert (document["reason"], document["engine"], document["action"]) == (
        "engine_unavailable",
        "docker",
        "list",
    )
    assert document["resource_name"] is None
    assert "Cannot connect" in document["details"]
    assert ownership.read_engines(repo.path) == ("docker",)


def test_what_was_done_before_something_stood_in_the_way_is_told(repo, docker):
    docker.misbehave(stuck=["ota-a"])
    done = repo.run("clean", "--json", env=docker.environment)
    assert done.code == 1
    assert_schema(done.json, "clean")
    assert done.json["reason"] == "other"
    failed = [(each["resource_kind"], each["resource_name"]) for each in done.json["failures"]]
    assert failed == [
        ("persistent_container", "ota-a"),
        ("dependency_isolation_volume", "ota-isolated-a"),
    ]
    assert done.json["removed"]["total_removed"] == 0
    docker.misbehave()
    assert repo.run("clean", "--json", env=docker.environment).json["summary"]["total_removed"] == 2


def test_a_living_run_is_a_conflict(repo, docker):
    journal = open_journal(repo.path, run_id="20260131T120000Z-dev-5f0c1e", task="dev")
    done = repo.run("clean", env=docker.environment)
    assert done.code == 1
    assert "Clean is blocked" in done.err
    assert "20260131T120000Z-dev-5f0c1e" in done.err
    document = repo.run("clean", "--json", env=docker.environment).json
    assert_schema(document, "clean")
    assert document["reason"] == "active_execution_conflict"
    journal.close()
    assert docker.names("container") == ["ota-a", "ota-legacy", "ota-theirs"]


def test_a_task_may_clean_its_own_repository(docker, repo):
    on_host = CONTRACT.replace("default_context: app", "default_context: host")
    on_host = on_host.replace("    app:", "    host: {backend: native}\n    app:")
    repo.write({"ota.yaml": on_host.replace('run: "true"', f"run: '{' '.join(OTA)} clean'")})
    done = repo.run("run", "build", env={"PATH": f"{docker.bin}:{os.environ['PATH']}"})
    assert done.code == 0, done
    assert "Cleaned ./ota.yaml" in done.err
    assert docker.names("container") == ["ota-legacy", "ota-theirs"]


def test_a_contract_that_does_not_load_is_the_usual_failure(project, docker):
    repo = project({"ota.yaml": "version: 1\n"})
    done = repo.run("clean", "--json", env=docker.environment)
    assert done.code == 1
    assert_schema(done.json, "clean")
    missing = project().run("clean", "--json", env=docker.environment)
    assert missing.code == 1
    assert_schema(missing.json, "clean")
    assert docker.calls() == []


def test_a_token_that_cannot_be_read_is_a_failure_document(repo, docker):
    ownership.token_path(repo.path).write_text("?")
    done = repo.run("clean", "--json", env=docker.environment)
    assert done.code == 1
    assert_schema(done.json, "clean")
    assert "OTA_OWNERSHIP_UNREADABLE" in done.json["error"]


# --- which engines are asked -----------------------------------------------------------------------------

ON_HOST = """version: 1
project: {name: shop}
tasks: {build: {run: "true"}}
"""


@pytest.fixture
def podman(tmp_path):
    return FakeEngine(tmp_path, "podman")


def asked_by_clean(repo, *engines):
    """What `ota clean` says, and the names of the engines it really asked."""
    before = [len(each.calls()) for each in engines]
    done = repo.run("clean", "--json", env=engines[0].environment)
    assert_schema(done.json, "clean")
    asked = [each.name for each, calls in zip(engines, before, strict=True) if len(each.calls()) > calls]
    return done, asked


@pytest.mark.proves("S000-45")
def test_every_local_engine_is_asked_only_where_nothing_names_one(project, docker, podman):
    repo = project({"ota.yaml": ON_HOST})
    done, asked = asked_by_clean(repo, docker, podman)
    assert (done.code, asked) == (0, ["docker", "podman"])
    assert done.json["queried_engines"] == ["docker", "podman"]

    named = "container: {image: x, engines: [docker]}"
    context = "execution: {contexts: {app: {backend: container, lifecycle: persistent, " + named + "}}}\n"
    repo.write({"ota.yaml": ON_HOST + context})
    done, asked = asked_by_clean(repo, docker, podman)
    assert (done.code, asked) == (0, ["docker"]), "the contract names one"

    repo.write({"ota.yaml": ON_HOST})
    ownership.ensure_token(repo.path)
    ownership.record_engine(repo.path, "podman")
    podman.container("ota-kept", {}, workspace=repo.path)
    done, asked = asked_by_clean(repo, docker, podman)
    assert (done.code, asked) == (0, ["podman"]), "an earlier run recorded one"


@pytest.mark.proves("S000-45")
def test_without_evidence_an_engine_that_does_not_answer_is_no_failure_while_another_does(
    project, docker, podman
):
    repo = project({"ota.yaml": ON_HOST})
    docker.misbehave(down="Cannot connect to the Docker daemon. Is the docker daemon running?")
    done, asked = asked_by_clean(repo, docker, podman)
    assert (done.code, asked) == (0, ["docker", "podman"])
    assert done.json["queried_engines"] == ["podman"]
    podman.misbehave(down="no")
    done, asked = asked_by_clean(repo, docker, podman)
    assert (done.code, asked) == (1, ["docker", "podman"])
    assert done.json["reason"] == "engine_unavailable"


# --- stale -------------------------------------------------------------------------------------------


def test_stale_needs_no_contract_and_a_dry_run_removes_nothing(project, docker):
    nowhere = project()
    docker.container("ota-a", persistent_labels("f" * 16, family="f", shape="s"), "exited")
    docker.container("ota-legacy", {}, "exited")
    docker.container("ota-ephemeral-live", ephemeral_labels("e" * 16, owner_pid=os.getpid()), "exited")
    done = nowhere.run("clean", "--stale", "--dry-run", env=docker.environment)
    assert done.code == 0, done
    assert done.out.splitlines() == [
        "Dry run stale ota-managed containers (2)",
        "  - docker ota-a",
        "  - docker ota-legacy (by its name alone: an earlier version made it)",
        "  - queried engines: docker",
    ]
    document = nowhere.run("clean", "--stale", "--dry-run", "--json", env=docker.environment).json
    assert_schema(document, "clean")
    assert document["summary"] == {"matched_count": 2, "removed_count": 0, "would_remove_count": 2}
    document = nowhere.run("clean", "--stale", "--json", env=docker.environment).json
    assert_schema(document, "clean")
    assert document["summary"] == {"matched_count": 2, "removed_count": 2, "would_remove_count": 0}
    assert docker.names("container") == ["ota-ephemeral-live"]


def test_stale_without_any_engine_that_answers_is_a_failure(project, docker):
    docker.misbehave(down="no")
    done = project().run("clean", "--stale", "--json", env=docker.environment)
    assert done.code == 1
    assert_schema(done.json, "clean")
    assert done.json["reason"] == "engine_unavailable"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("clean", "--dry-run"), "'--dry-run' needs '--stale'"),
        (("clean", "--stale", "."), "the argument '--stale' cannot be used with 'PATH'"),
        (("clean", "--stale", "--file", "ota.yaml"), "the argument '--stale' cannot be used with '--file'"),
        (("clean", "--all"), "unexpected argument '--all'"),
    ],
)
def test_a_wrong_command_line_is_told_and_touches_nothing(repo, docker, words, said):
    done = repo.run(*words, env=docker.environment)
    assert done.code == 2
    assert said in done.err
    assert "Usage: ota clean" in done.err
    assert docker.calls() == []
