"""Cleaning with an engine that fails, lies and loses things: what goes, what stays, what is told."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ota.backends.container import ownership
from ota.backends.container.clean_report import Cleaned
from ota.backends.container.cleaning import clean_repository, whereabouts
from ota.backends.container.engine import engine_of
from ota.backends.container.expected import ExpectedState
from ota.backends.container.identity import (
    IsolatedVolume,
    ephemeral_labels,
    network_labels,
    persistent_labels,
    volume_labels,
)
from ota.backends.container.inventory import observe_inventory
from ota.backends.container.leases import Leases
from ota.backends.container.stale import clean_stale
from ota.errors import HostError
from ota.system.clock import FakeClock
from ota.system.journal import open_journal
from support.fake_engine import FakeEngine

pytestmark = pytest.mark.edge

NOBODY = {"dev.ota.managed": "true"}
NOTHING = ExpectedState(candidates=(), by_engine={})


class Repository:
    """A checkout that used an engine."""

    def __init__(self, root: Path, *engines: str) -> None:
        self.root = root
        root.mkdir()
        self.token = ownership.ensure_token(root)
        for engine in engines:
            ownership.record_engine(root, engine)
        self.persistent = persistent_labels(self.token, family="f", shape="s")
        self.volume = volume_labels(self.token, IsolatedVolume(name="v", path="deps", context="app"))

    def clean(self, *fakes: FakeEngine, expected: ExpectedState = NOTHING) -> Cleaned:
        """`ota clean` with these engines on PATH; no others."""
        path = os.pathsep.join(str(each.bin) for each in fakes) or "/nowhere"
        return clean_repository(self.root, expected, {"PATH": path}, FakeClock())


@pytest.fixture
def docker(tmp_path: Path) -> FakeEngine:
    return FakeEngine(tmp_path)


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repo", "docker")


def failure_codes(cleaned: Cleaned) -> list[str]:
    for each in cleaned.failures:
        assert each.finding.why
        assert each.finding.next
    return [each.finding.code for each in cleaned.failures]


def verbs(fake: FakeEngine) -> list[str]:
    return [
        " ".join(call[:2]) if call[0] in ("volume", "network", "container") else call[0]
        for call in fake.calls()
    ]


# --- what goes and what it costs ---------------------------------------------------------------------


def test_containers_go_before_the_volumes_they_mount(docker: FakeEngine, repo: Repository) -> None:
    docker.volume("ota-isolated-a", repo.volume)
    docker.container("ota-a", repo.persistent, volumes=["ota-isolated-a"])
    docker.container("ota-ephemeral-a", ephemeral_labels(repo.token, owner_pid=2**22 + 1))
    docker.network("a_default", network_labels(repo.token))
    cleaned = repo.clean(docker)
    assert not cleaned.failures
    assert [docker.names(kind) for kind in ("container", "volume", "network")] == [[], [], []]
    counts = cleaned.counts
    assert (counts.drift_containers, counts.drift_volumes) == (1, 1)
    assert (counts.orphaned_containers, counts.networks) == (1, 1)
    assert counts.removed == 4
    assert cleaned.queried == ("docker",)
    assert not ownership.engines_path(repo.root).exists()
    assert ownership.read_token(repo.root) == repo.token, "the token is kept"


@pytest.mark.parametrize("failures", [3, 1000])
def test_a_list_that_fails_because_something_went_is_asked_for_again(
    docker: FakeEngine, repo: Repository, failures: int
) -> None:
    """And never taken for an answer: what could not be seen is not claimed to be gone."""
    docker.volume("ota-isolated-v", repo.volume)
    docker.misbehave(unlisted=failures)
    cleaned = repo.clean(docker)
    is_done = failures == 3
    assert docker.names("volume") == ([] if is_done else ["ota-isolated-v"])
    assert (cleaned.counts.removed, bool(cleaned.failures)) == ((1, False) if is_done else (0, True))
    assert ("docker" in cleaned.kept_engines) is not is_done


def test_two_hundred_resources_cost_calls_by_the_batch(docker: FakeEngine, repo: Repository) -> None:
    for n in range(100):
        docker.volume(f"ota-isolated-{n}", repo.volume)
        docker.container(f"ota-{n}", repo.persistent, volumes=[f"ota-isolated-{n}"])
    cleaned = repo.clean(docker)
    assert cleaned.counts.removed == 200
    assert docker.names("container") == docker.names("volume") == []
    assert len(docker.calls()) <= 12, verbs(docker)


def test_lists_are_broad_and_labels_are_read_from_inspection(docker: FakeEngine, repo: Repository) -> None:
    docker.volume("ota-isolated-a", repo.volume)
    repo.clean(docker)
    assert not [call for call in docker.calls() if "--filter" in call]
    assert "volume inspect" in verbs(docker)
    assert ["volume", "rm", "ota-isolated-a"] in docker.calls(), "without force"
    assert docker.names("volume") == []


def test_a_second_clean_finds_nothing_to_do(docker: FakeEngine, repo: Repository) -> None:
    docker.volume("ota-isolated-a", repo.volume)
    repo.clean(docker)
    before = len(docker.calls())
    cleaned = repo.clean(docker)
    assert cleaned.counts.removed == 0
    assert not cleaned.failures
    assert {call[-1] for call in docker.calls()[before:]}.isdisjoint({"rm"})


def test_podman_that_removes_nothing_when_one_is_missing_is_asked_again(tmp_path: Path) -> None:
    podman = FakeEngine(tmp_path, "podman")
    repo = Repository(tmp_path / "repo", "podman")
    gone = podman.container("ota-a", repo.persistent)
    podman.container("ota-b", repo.persistent)
    # it goes away after the list that removal itself starts from
    engine = engine_of("podman", {"PATH": str(podman.bin)})
    assert engine is not None
    assert len(observe_inventory(engine).containers) == 2
    podman.misbehave(vanish=[gone])
    cleaned = repo.clean(podman)
    assert podman.names("container") == []
    assert not cleaned.failures


# --- what goes wrong ---------------------------------------------------------------------------------


def test_an_engine_that_is_down_is_a_failure_and_stays_on_the_list(
    docker: FakeEngine, repo: Repository
) -> None:
    docker.container("ota-a", repo.persistent)
    docker.misbehave(down="Cannot connect to the Docker daemon. Is the docker daemon running?")
    cleaned = repo.clean(docker)
    assert failure_codes(cleaned) == ["OTA_CLEAN_ENGINE_UNAVAILABLE"]
    assert cleaned.failures[0].reason == "engine_unavailable"
    assert "managed-engines" in cleaned.failures[0].finding.why
    assert ownership.read_engines(repo.root) == ("docker",)


def test_an_engine_that_is_gone_is_a_failure_and_stays_on_the_list(repo: Repository) -> None:
    cleaned = repo.clean()
    assert failure_codes(cleaned) == ["OTA_CLEAN_ENGINE_UNAVAILABLE"]
    assert str(ownership.engines_path(repo.root)) in cleaned.failures[0].finding.next
    assert ownership.read_engines(repo.root) == ("docker",)


def test_what_answers_is_cleaned_although_another_engine_is_down(docker: FakeEngine, tmp_path: Path) -> None:
    podman = FakeEngine(tmp_path, "podman")
    repo = Repository(tmp_path / "repo", "docker", "podman")
    for fake in (docker, podman):
        fake.container("ota-a", repo.persistent)
    podman.misbehave(down="cannot connect to podman")
    cleaned = repo.clean(docker, podman)
    assert (docker.names("container"), podman.names("container")) == ([], ["ota-a"])
    assert cleaned.counts.removed == 1
    assert [each.engine for each in cleaned.failures] == ["podman"]
    assert cleaned.kept_engines == ("podman",)


def test_without_evidence_every_engine_here_is_asked_and_one_answer_is_enough(
    docker: FakeEngine, tmp_path: Path
) -> None:
    podman = FakeEngine(tmp_path, "podman")
    podman.misbehave(down="cannot connect to podman")
    repo = Repository(tmp_path / "repo")
    cleaned = repo.clean(docker, podman)
    assert not cleaned.failures
    assert cleaned.queried == ("docker",)
    docker.misbehave(down="no")
    assert failure_codes(repo.clean(docker, podman)) == ["OTA_CLEAN_ENGINE_UNAVAILABLE"] * 2
    assert not repo.clean().failures, "no engine, nothing to ask"


def test_of_the_engines_of_a_context_one_answer_is_enough(docker: FakeEngine, tmp_path: Path) -> None:
    repo = Repository(tmp_path / "repo")
    expected = ExpectedState(candidates=(("podman", "docker"),), by_engine={})
    assert not repo.clean(docker, expected=expected).failures
    docker.misbehave(down="no")
    assert [each.engine for each in repo.clean(docker, expected=expected).failures] == ["podman", "docker"]


def test_what_could_not_be_removed_is_told_with_the_engines_words(
    docker: FakeEngine, repo: Repository
) -> None:
    docker.container("ota-a", repo.persistent)
    docker.container("ota-b", repo.persistent)
    docker.misbehave(stuck=["ota-a"])
    cleaned = repo.clean(docker)
    assert docker.names("container") == ["ota-a"]
    assert cleaned.counts.removed == 1
    [failure] = cleaned.failures
    assert (failure.reason, failure.name, failure.kind) == ("other", "ota-a", "persistent_container")
    assert failure.finding.why == "Error response from daemon: cannot remove ota-a: device or resource busy"
    assert cleaned.kept_engines == ("docker",)


def test_a_volume_that_a_strangers_container_mounts_stays_and_so_does_the_container(
    docker: FakeEngine, repo: Repository
) -> None:
    docker.volume("ota-isolated-a", repo.volume)
    docker.container("debugging", {}, volumes=["ota-isolated-a"])
    cleaned = repo.clean(docker)
    assert docker.names("container") == ["debugging"]
    assert docker.names("volume") == ["ota-isolated-a"]
    [failure] = cleaned.failures
    assert failure.name == "ota-isolated-a"
    assert "docker rm -f debugging" in failure.finding.next
    assert verbs(docker).count("volume rm") == 5, "it may only just be in use"


def test_a_container_attached_to_our_volume_goes_with_it(docker: FakeEngine, repo: Repository) -> None:
    docker.volume("ota-isolated-a", repo.volume)
    docker.container("ota-legacy", {}, volumes=["ota-isolated-a"], workspace=repo.root)
    cleaned = repo.clean(docker)
    assert cleaned.counts.attached_containers == 1
    assert docker.names("container") == docker.names("volume") == []


def test_an_engine_that_dies_while_removing_is_told(docker: FakeEngine, repo: Repository) -> None:
    docker.container("ota-a", repo.persistent)
    docker.volume("ota-isolated-a", repo.volume)
    docker.misbehave(down_on="rm")
    cleaned = repo.clean(docker)
    assert [each.reason for each in cleaned.failures] == ["engine_unavailable"]
    assert cleaned.failures[0].action == "remove"
    assert cleaned.counts.removed == 0
    assert cleaned.kept_engines == ("docker",)


@pytest.mark.parametrize(
    "said", ["{cut", "[1]", '[{"Id": null}]', "", '[{"Id": "x", "Config": []}]', "[" * 5000]
)
def test_an_answer_that_cannot_be_understood_removes_nothing(
    docker: FakeEngine, repo: Repository, said: str
) -> None:
    docker.container("ota-a", repo.persistent)
    docker.misbehave(inspect=said)
    cleaned = repo.clean(docker)
    assert failure_codes(cleaned) == ["OTA_CLEAN_ENGINE_UNAVAILABLE"]
    assert cleaned.kept_engines == ("docker",)
    assert docker.names("container") == ["ota-a"]


def test_a_token_that_cannot_be_read_stops_before_any_engine(docker: FakeEngine, repo: Repository) -> None:
    ownership.token_path(repo.root).write_text("?")
    with pytest.raises(HostError) as caught:
        repo.clean(docker)
    assert caught.value.findings[0].code == "OTA_OWNERSHIP_UNREADABLE"
    assert docker.calls() == []


# --- what is left alone ------------------------------------------------------------------------------


def test_ambiguous_things_are_shown_left_and_keep_the_engine_on_the_list(
    docker: FakeEngine, repo: Repository
) -> None:
    docker.container("ota-legacy", {}, workspace=repo.root)
    docker.volume("ota-isolated-x", {**NOBODY, "dev.ota.kind": "dependency-isolation"})
    cleaned = repo.clean(docker)
    assert {each.name for each in cleaned.skipped} == {"ota-legacy", "ota-isolated-x"}
    assert all(each.why for each in cleaned.skipped)
    assert (cleaned.counts.ambiguous_containers, cleaned.counts.ambiguous_volumes) == (1, 1)
    assert cleaned.counts.removed == 0
    assert docker.names("container") == ["ota-legacy"]
    assert ownership.read_engines(repo.root) == ("docker",)


def test_a_living_run_blocks_before_any_engine_is_asked(docker: FakeEngine, repo: Repository) -> None:
    docker.container("ota-a", repo.persistent)
    journal = open_journal(repo.root, run_id="run-1", task="dev")
    cleaned = repo.clean(docker)
    assert failure_codes(cleaned) == ["OTA_CLEAN_ACTIVE_EXECUTION"]
    assert cleaned.failures[0].reason == "active_execution_conflict"
    assert "run-1" in cleaned.failures[0].finding.why
    assert "dev" in cleaned.failures[0].finding.why
    assert docker.calls() == []
    journal.close()
    assert not repo.clean(docker).failures


def test_a_container_of_a_living_owner_blocks_and_nothing_is_removed(
    docker: FakeEngine, repo: Repository
) -> None:
    docker.container("ota-a", repo.persistent)
    docker.container("ota-ephemeral-a", ephemeral_labels(repo.token, owner_pid=os.getpid()))
    cleaned = repo.clean(docker)
    assert failure_codes(cleaned) == ["OTA_CLEAN_ACTIVE_EXECUTION"]
    assert cleaned.failures[0].name == "ota-ephemeral-a"
    assert docker.names("container") == ["ota-a", "ota-ephemeral-a"]


def test_a_persistent_container_with_a_run_inside_blocks(docker: FakeEngine, repo: Repository) -> None:
    docker.container("ota-a", repo.persistent)
    docker.container("ota-b", repo.persistent)
    inside = Leases(repo.root).enter("ota-b")
    assert inside is not None
    cleaned = repo.clean(docker)
    assert failure_codes(cleaned) == ["OTA_CLEAN_ACTIVE_EXECUTION"]
    assert cleaned.failures[0].name == "ota-b"
    assert docker.names("container") == ["ota-a", "ota-b"]
    inside.release()
    assert repo.clean(docker).counts.removed == 2


def test_a_run_that_is_making_something_blocks_and_one_that_begins_later_waits(
    docker: FakeEngine, repo: Repository
) -> None:
    docker.volume("ota-isolated-a", repo.volume)
    leases = Leases(repo.root, FakeClock())
    with leases.making(), leases.making():
        assert failure_codes(repo.clean(docker)) == ["OTA_CLEAN_ACTIVE_EXECUTION"]
        assert docker.names("volume") == ["ota-isolated-a"]
    cleaning = leases.try_cleaning()
    assert cleaning is not None
    with pytest.raises(HostError) as caught, leases.making():
        pytest.fail("entered while clean goes on")
    assert caught.value.findings[0].code == "OTA_LOCK_HELD"
    cleaning.release()
    assert repo.clean(docker).counts.removed == 1


def test_another_repository_is_not_even_seen(docker: FakeEngine, repo: Repository, tmp_path: Path) -> None:
    other = Repository(tmp_path / "other", "docker")
    docker.container("ota-a", other.persistent, volumes=["ota-isolated-a"])
    docker.volume("ota-isolated-a", other.volume)
    cleaned = repo.clean(docker)
    assert (cleaned.counts.removed, cleaned.skipped, cleaned.failures) == (0, (), ())
    assert docker.names("container") == ["ota-a"]
    assert docker.names("volume") == ["ota-isolated-a"]


def test_where_a_workspace_is(tmp_path: Path) -> None:
    here = Repository(tmp_path / "here")
    copy = tmp_path / "copy"
    (tmp_path / "link").symlink_to(here.root)
    ownership.token_path(copy).parent.mkdir(parents=True)
    ownership.token_path(copy).write_text(here.token)
    places = {
        name: whereabouts(str(tmp_path / name), here.root, here.token)
        for name in ("here", "link", "copy", "none")
    }
    assert places == {"here": "here", "link": "here", "copy": "twin", "none": "gone"}
    assert whereabouts(str(Repository(tmp_path / "other").root), here.root, here.token) == "elsewhere"
    assert whereabouts(str(copy), here.root, "") == "elsewhere"


# --- stale -------------------------------------------------------------------------------------------


def stale(*fakes: FakeEngine, is_dry_run: bool = False) -> Any:
    return clean_stale(
        {"PATH": os.pathsep.join(str(each.bin) for each in fakes)}, is_dry_run=is_dry_run, clock=FakeClock()
    )


def test_stale_are_stopped_containers_of_any_repository(docker: FakeEngine) -> None:
    labels = persistent_labels("f" * 16, family="f", shape="s")
    dead, alive = ({**ephemeral_labels("e" * 16, owner_pid=pid)} for pid in (2**22 + 1, os.getpid()))
    docker.container("ota-a", labels, "exited")
    docker.container("ota-b", labels, "running")
    docker.container("ota-ephemeral-c", dead, "created")
    docker.container("ota-ephemeral-d", alive, "exited")
    docker.container("ota-legacy", {}, "dead")
    docker.container("ota-web-1", {"com.docker.compose.project": "ota"}, "exited")
    docker.container("web", {}, "exited")
    preview = stale(docker, is_dry_run=True)
    assert [(each.name, each.ownership) for each in preview.matched] == [
        ("ota-a", "label"),
        ("ota-ephemeral-c", "label"),
        ("ota-legacy", "legacy_name"),
    ]
    assert preview.removed == 0
    assert len(docker.names("container")) == 7
    done = stale(docker)
    assert done.matched == preview.matched
    assert done.removed == 3
    assert docker.names("container") == ["ota-b", "ota-ephemeral-d", "ota-web-1", "web"]


def test_stale_skips_an_engine_that_is_down_and_fails_when_none_answers(
    docker: FakeEngine, tmp_path: Path
) -> None:
    podman = FakeEngine(tmp_path, "podman")
    podman.misbehave(down="cannot connect to podman")
    assert stale(docker, podman).engines == ("docker",)
    assert not stale(docker, podman).failures
    docker.misbehave(down="no")
    assert [each.reason for each in stale(docker, podman).failures] == ["engine_unavailable"] * 2


def test_a_stale_container_that_stays_is_a_failure(docker: FakeEngine) -> None:
    docker.container("ota-a", NOBODY, "exited")
    docker.container("ota-b", NOBODY, "exited")
    docker.misbehave(stuck=["ota-b"])
    done = stale(docker)
    assert done.removed == 1
    assert [(each.name, each.kind) for each in done.failures] == [("ota-b", "stale_containers")]


def test_fakes_keep_their_word(docker: FakeEngine) -> None:
    docker.container("a", {"x": "y"})
    assert json.loads((docker.home / "container").iterdir().__next__().read_text())["Config"]["Labels"] == {
        "x": "y"
    }
