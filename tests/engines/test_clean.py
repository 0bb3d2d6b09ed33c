"""`ota clean` on real engines: what labels prove goes, and nothing else does.

State is made here by hand with the names and labels of runs, so that every bait can stand beside it.
"""

import json
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from ota.backends.container import ownership
from ota.backends.container.identity import (
    ContainerIdentity,
    ephemeral_labels,
    identify,
    network_labels,
    persistent_labels,
    volume_labels,
)
from ota.contract.load import load
from ota.resolve.plan import Request
from ota.resolve.planner import plan_run
from ota.system.host import observe_host
from ota.system.journal import open_journal
from support.engines import BUSYBOX, TEST_LABEL, Engine
from support.project import Project
from support.schemas import assert_schema

pytestmark = pytest.mark.engine

CONTRACT = """version: 1
project: {{name: shop}}
execution:
  default_context: app
  contexts:
    app:
      backend: container
      lifecycle: persistent
      container: {{image: {image}, engines: [{engine}]}}
      attachments: {{isolated_paths: [{path}]}}
    check:
      backend: container
      lifecycle: ephemeral
      container: {{image: {image}, engines: [{engine}]}}
      attachments: {{isolated_paths: [.cache]}}
tasks:
  dev: {{run: "true"}}
  test: {{context: check, run: "true"}}
"""


def contract(engine: Engine, *, image: str = BUSYBOX, path: str = "deps") -> str:
    return CONTRACT.format(engine=engine.name, image=image, path=path)


class Checkout:
    """A repository that has state on an engine."""

    def __init__(self, engine: Engine, project: Project) -> None:
        self.engine = engine
        self.project = project
        self.token = ownership.ensure_token(project.path)
        ownership.record_engine(project.path, engine.name)

    def identity(self, task: str = "dev") -> ContainerIdentity:
        """What a run of this task makes now."""
        loaded = load(self.project.path / "ota.yaml", "ota.yaml")
        where = plan_run(loaded, Request(task=task), observe_host()).requested_step.task.context
        assert where.container is not None
        return identify(where, where.container, root=loaded.root, engine=self.engine.name, task=task)

    def make_volumes(self, task: str = "dev") -> list[str]:
        """The isolation volumes of a task."""
        for each in self.identity(task).volumes:
            self.volume(each.name, volume_labels(self.token, each))
        return [each.name for each in self.identity(task).volumes]

    def make_persistent(self, task: str = "dev") -> str:
        """The running persistent container of a task, with its volumes."""
        who = self.identity(task)
        labels = persistent_labels(self.token, family=who.family, shape=who.shape)
        volumes = self.make_volumes(task)
        mounts = [f"{name}:{each.mount_point}" for name, each in zip(volumes, who.volumes, strict=True)]
        mounts.append(f"{self.project.path}:/workspace")
        return self.container(who.persistent_name, labels, *mounts, verb="run")

    def container(self, name: str, labels: Mapping[str, str], *mounts: str, verb: str = "create") -> str:
        """Any container; `run` starts it."""
        words = [word for each in mounts for word in ("-v", each)]
        detached = ["-d", "--init"] if verb == "run" else []
        self.engine.run(
            verb, *detached, "--name", name, *_labels(self.engine, labels), *words, BUSYBOX, "sleep", "600"
        )
        return name

    def volume(self, name: str, labels: Mapping[str, str]) -> str:
        """Any volume."""
        self.engine.run("volume", "create", *_labels(self.engine, labels), name)
        return name

    def clean(self, code: int = 0, **options: object) -> dict:  # type: ignore[type-arg]
        """`ota clean --json`."""
        done = self.project.run("clean", "--json", **options)  # type: ignore[arg-type]
        assert done.code == code, done
        assert_schema(done.json, "clean")
        return done.json

    def skipped(self, document: dict, *names: str) -> dict[str, str]:  # type: ignore[type-arg]
        """Why these were left; other tests may have ambiguous things on the same engine."""
        return {
            each["resource_name"]: each["why"]
            for each in document["skipped"]
            if each["resource_name"] in names
        }


def _labels(engine: Engine, labels: Mapping[str, str]) -> list[str]:
    marked = {**labels, TEST_LABEL: engine.token}
    return [word for name, value in marked.items() for word in ("--label", f"{name}={value}")]


def unique(kind: str) -> str:
    return f"{kind}{uuid.uuid4().hex[:16]}"


def there(engine: Engine) -> set[str]:
    """Every container, volume and network of this test session."""
    return {name for names in engine.found(f"{TEST_LABEL}={engine.token}").values() for name in names}


MakeCheckout = Callable[..., Checkout]


@pytest.fixture
def checkout(project: Callable[..., Project]) -> MakeCheckout:
    def make(engine: Engine, text: str | None = None, name: str = "repo") -> Checkout:
        return Checkout(engine, project({"ota.yaml": text or contract(engine)}, name=name))

    return make


def removed(document: dict) -> dict[str, int]:  # type: ignore[type-arg]
    """The counters that are not zero, shortened."""
    summary = document["summary"]
    return {
        name.removeprefix("removed_"): count
        for name, count in summary.items()
        if name.startswith("removed_") and count
    }


# --- current -----------------------------------------------------------------------------------------


@pytest.mark.proves("S000-147")
@pytest.mark.proves("S000-148")
@pytest.mark.proves("S001-38")
@pytest.mark.proves("S001-40")
def test_current_state_of_persistent_and_ephemeral_contexts_goes(
    engine: Engine, checkout: MakeCheckout
) -> None:
    repo = checkout(engine)
    made = {repo.make_persistent("dev"), *repo.make_volumes("test")}
    made |= {each.name for each in repo.identity("dev").volumes}
    assert made <= there(engine)
    document = repo.clean()
    assert not made & there(engine)
    assert removed(document) == {
        "current_persistent_containers": 1,
        "current_dependency_isolation_volumes": 2,
    }
    assert document["queried_engines"] == [engine.name]
    assert not ownership.engines_path(repo.project.path).exists()
    assert ownership.read_token(repo.project.path) == repo.token


def test_a_repository_path_with_blanks_quotes_and_umlauts_is_cleaned(
    engine: Engine, checkout: MakeCheckout
) -> None:
    repo = checkout(engine, name='it\'s "wörk" $HOME')
    made = {repo.make_persistent(), *(each.name for each in repo.identity().volumes)}
    assert removed(repo.clean())["current_persistent_containers"] == 1
    assert not made & there(engine)


# --- drifted -----------------------------------------------------------------------------------------


@pytest.mark.proves("S000-44")
@pytest.mark.proves("S000-152")
@pytest.mark.proves("S000-154")
@pytest.mark.proves("S001-39")
@pytest.mark.parametrize(
    "change", [{"image": "ota-test/kv"}, {"path": "other"}], ids=["image", "isolated path"]
)
def test_state_of_an_earlier_contract_goes(
    engine: Engine, checkout: MakeCheckout, change: dict[str, str]
) -> None:
    repo = checkout(engine)
    made = {repo.make_persistent(), *(each.name for each in repo.identity().volumes)}
    repo.project.write({"ota.yaml": contract(engine, **change)})
    document = repo.clean()
    assert not made & there(engine)
    assert removed(document)["drift_dependency_isolation_volumes"] == 1
    assert document["summary"]["total_removed"] == 2


@pytest.mark.proves("S000-151")
def test_state_of_a_checkout_that_was_moved_goes(engine: Engine, checkout: MakeCheckout) -> None:
    repo = checkout(engine)
    made = {repo.make_persistent(), *(each.name for each in repo.identity().volumes)}
    moved = repo.project.path.with_name("moved")
    repo.project.path.rename(moved)
    repo.project.path = moved
    document = repo.clean()
    assert not made & there(engine)
    assert removed(document) == {
        "drift_persistent_containers": 1,
        "drift_dependency_isolation_volumes": 1,
    }


@pytest.mark.proves("S000-153")
def test_state_on_an_engine_the_contract_left_goes(
    docker: Engine, podman: Engine, checkout: MakeCheckout
) -> None:
    repo = checkout(docker)
    made = {repo.make_persistent(), *(each.name for each in repo.identity().volumes)}
    repo.project.write({"ota.yaml": contract(podman)})
    document = repo.clean()
    assert not made & there(docker)
    assert document["queried_engines"] == ["docker", "podman"]
    assert removed(document) == {
        "drift_persistent_containers": 1,
        "drift_dependency_isolation_volumes": 1,
    }


def test_both_engines_are_cleaned_by_one_command(
    docker: Engine, podman: Engine, checkout: MakeCheckout
) -> None:
    repo = checkout(docker)
    repo.make_persistent()
    ownership.record_engine(repo.project.path, "podman")
    second = Checkout(podman, repo.project)
    second.container(unique("ota-"), persistent_labels(repo.token, family="f", shape="s"))
    document = repo.clean()
    assert document["summary"]["total_removed"] == 3
    assert not there(docker) | there(podman)


# --- bait --------------------------------------------------------------------------------------------


@pytest.fixture
def bait(engine: Engine, checkout: MakeCheckout) -> Iterator[Callable[[Checkout], set[str]]]:
    """Things with almost the labels of a checkout; all of them must still be there afterwards."""
    made: set[str] = set()

    def lay(repo: Checkout) -> set[str]:
        who = repo.identity()
        labels = persistent_labels(repo.token, family=who.family, shape=who.shape)
        volume = volume_labels(repo.token, who.volumes[0])
        other = {"dev.ota.repo": "f" * 16}
        for wrong in (
            {**labels, **other},
            {name: value for name, value in labels.items() if name != "dev.ota.repo"},
            {name: value for name, value in labels.items() if name != "dev.ota.managed"},
            {**labels, "dev.ota.managed": "yes"},
            {**labels, "dev.ota.repo": repo.token[:-1]},
            {**ephemeral_labels("f" * 16, owner_pid=2**22 + 1)},
        ):
            made.add(repo.container(unique("ota-"), wrong))
        for wrong in (
            {**volume, **other},
            {name: value for name, value in volume.items() if name != "dev.ota.repo"},
            {name: value for name, value in volume.items() if name != "dev.ota.managed"},
            {name: value for name, value in volume.items() if name != "dev.ota.kind"},
            {},
        ):
            made.add(repo.volume(unique("ota-isolated-"), wrong))
        network = unique("ota-net-")
        engine.run("network", "create", *_labels(engine, network_labels("f" * 16)), network)
        made.add(network)
        return made

    yield lay
    assert made <= there(engine), "bait was taken"


@pytest.mark.proves("S000-46")
@pytest.mark.proves("S001-41")
@pytest.mark.proves("S001-43")
def test_bait_is_never_taken_and_the_ambiguous_is_told(
    engine: Engine, checkout: MakeCheckout, bait: Callable[[Checkout], set[str]]
) -> None:
    repo = checkout(engine)
    laid = bait(repo)
    mine = {repo.make_persistent(), *(each.name for each in repo.identity().volumes)}
    document = repo.clean()
    assert laid <= there(engine)
    assert not mine & there(engine)
    assert document["summary"]["total_removed"] == 2
    told = repo.skipped(document, *laid)
    assert len(told) == 6, told
    assert all(told.values())
    summary = document["summary"]
    assert summary["skipped_ambiguous_persistent_containers"] >= 3
    assert summary["skipped_ambiguous_dependency_isolation_volumes"] >= 3


@pytest.mark.proves("S000-90")
def test_the_list_of_engines_stays_while_something_ambiguous_is_there(
    engine: Engine, checkout: MakeCheckout
) -> None:
    repo = checkout(engine)
    legacy = repo.container(unique("ota-"), {}, f"{repo.project.path}:/workspace")
    repo.make_volumes()
    document = repo.clean()
    assert legacy in there(engine)
    assert legacy in repo.skipped(document, legacy)
    assert ownership.engines_path(repo.project.path).read_text() == f"{engine.name}\n"
    engine.run("rm", "-f", legacy)
    if not [each for each in repo.clean()["skipped"] if each["resource_name"] != legacy]:
        assert not ownership.engines_path(repo.project.path).exists()


@pytest.mark.proves("S000-155")
@pytest.mark.proves("S001-42")
def test_another_repository_of_the_same_project_name_is_untouched(
    engine: Engine, checkout: MakeCheckout
) -> None:
    mine, theirs = checkout(engine), checkout(engine, name="other")
    assert mine.project.read("ota.yaml") == theirs.project.read("ota.yaml")
    assert mine.token != theirs.token
    for repo in (mine, theirs):
        repo.make_persistent()
    names = {theirs.identity().persistent_name, *(each.name for each in theirs.identity().volumes)}
    mine.clean()
    assert there(engine) == names
    theirs.clean()
    assert not there(engine)


def test_a_copy_of_a_checkout_does_not_take_the_containers_of_the_original(
    engine: Engine, checkout: MakeCheckout, project: Callable[..., Project]
) -> None:
    original = checkout(engine)
    name = original.make_persistent()
    copy = project(name="copy")
    shutil.rmtree(copy.path)
    shutil.copytree(original.project.path, copy.path)
    done = copy.run("clean", "--json")
    assert name in there(engine)
    assert name in {each["resource_name"] for each in (done.json["skipped"])}


@pytest.mark.parametrize("is_running", [True, False])
def test_a_strangers_container_on_our_volume_stays_with_the_volume(
    engine: Engine, checkout: MakeCheckout, is_running: bool
) -> None:
    repo = checkout(engine)
    repo.make_persistent()
    [volume] = [each.name for each in repo.identity().volumes]
    stranger = repo.container(unique("mine-"), {}, f"{volume}:/x", verb="run" if is_running else "create")
    document = repo.clean(code=1)
    assert {stranger, volume} <= there(engine)
    assert (document["reason"], document["resource_kind"]) == ("other", "dependency_isolation_volume")
    assert document["resource_name"] == volume
    assert f"`{engine.name} rm -f {stranger}`" in document["next"][0], "and not what is gone by now"
    engine.run("rm", "-f", stranger)
    assert repo.clean()["summary"]["total_removed"] == 1


# --- living and dead runs ----------------------------------------------------------------------------


def test_a_living_run_keeps_everything(engine: Engine, checkout: MakeCheckout) -> None:
    repo = checkout(engine)
    name = repo.make_persistent()
    journal = open_journal(repo.project.path, run_id="run-1", task="dev")
    document = repo.clean(code=1)
    assert document["reason"] == "active_execution_conflict"
    assert name in there(engine)
    journal.close()
    assert repo.clean()["summary"]["total_removed"] == 2


def test_a_container_of_a_living_owner_keeps_everything_and_of_a_dead_one_goes(
    engine: Engine, checkout: MakeCheckout
) -> None:
    repo = checkout(engine)
    name = repo.make_persistent()
    live = repo.container(unique("ota-ephemeral-"), ephemeral_labels(repo.token, owner_pid=os.getpid()))
    document = repo.clean(code=1)
    assert (document["reason"], document["resource_name"]) == ("active_execution_conflict", live)
    assert {name, live} <= there(engine)
    engine.run("rm", "-f", live)
    reused = ephemeral_labels(repo.token, owner_pid=os.getpid(), owner_start="1")
    dead = repo.container(unique("ota-ephemeral-"), reused, verb="run")
    document = repo.clean()
    assert document["summary"]["removed_orphaned_ephemeral_containers"] == 1
    assert dead not in there(engine)


def test_networks_of_ours_go_when_nobody_is_on_them(engine: Engine, checkout: MakeCheckout) -> None:
    repo = checkout(engine)
    unused, used = unique("ota-net-"), unique("ota-net-")
    for name in (unused, used):
        engine.run("network", "create", *_labels(engine, network_labels(repo.token)), name)
    on_it = unique("mine-")
    engine.run("create", "--name", on_it, "--network", used, *_labels(engine, {}), BUSYBOX, "true")
    document = repo.clean()
    assert document["summary"]["removed_networks"] == 1
    assert there(engine) == {used, on_it}
    engine.run("rm", "-f", on_it)
    assert repo.clean()["summary"]["removed_networks"] == 1


# --- how engines are asked ---------------------------------------------------------------------------


def recorder(engine: Engine, folder: Path, before: str = "") -> tuple[dict[str, str | None], Path]:
    """A program before the engine's own on PATH that writes down every call."""
    log = folder / "calls"
    real = shutil.which(engine.name)
    program = folder / "bin" / engine.name
    program.parent.mkdir(exist_ok=True)
    program.write_text(
        f"#!/bin/sh\nfor word; do printf '%s\\037' \"$word\"; done >>'{log}'; echo >>'{log}'\n"
        f'{before}\nexec {real} "$@"\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return {"PATH": f"{program.parent}:{os.environ['PATH']}"}, log


def calls(log: Path) -> list[list[str]]:
    return [line.split("\037")[:-1] for line in log.read_text().splitlines()]


LYING = """
for word; do
  case "$word" in
    --filter|-f) case "$1" in rm) ;; *) exit 0 ;; esac ;;
  esac
done
"""


@pytest.mark.proves("S000-156")
def test_lists_are_not_filtered_and_labels_are_read_by_inspection(
    engine: Engine, checkout: MakeCheckout, tmp_path: Path
) -> None:
    repo = checkout(engine)
    [volume] = repo.make_volumes()
    env, log = recorder(engine, tmp_path, LYING)
    repo.clean(env=env)
    assert volume not in there(engine)
    made = calls(log)
    assert ["volume", "ls", "-q"] in made
    assert not [each for each in made if "--filter" in each]
    inspected = next(index for index, each in enumerate(made) if each[:2] == ["volume", "inspect"])
    taken = next(index for index, each in enumerate(made) if each[:2] == ["volume", "rm"])
    assert volume in made[inspected]
    assert inspected < taken


def test_two_hundred_resources_cost_no_call_each(
    engine: Engine, checkout: MakeCheckout, tmp_path: Path
) -> None:
    repo = checkout(engine)
    labels = persistent_labels(repo.token, family="f", shape="s")
    volume = volume_labels(repo.token, repo.identity().volumes[0])
    made = {repo.volume(unique("ota-isolated-"), volume) for _ in range(170)}
    made |= {repo.container(unique("ota-"), labels) for _ in range(30)}
    env, log = recorder(engine, tmp_path)
    document = repo.clean(env=env, timeout=120.0)
    assert document["summary"]["total_removed"] == 200
    assert not made & there(engine)
    assert len(calls(log)) <= 20, json.dumps(calls(log))[:2000]


# --- stale -------------------------------------------------------------------------------------------


def test_stale_finds_stopped_containers_of_any_repository(
    engine: Engine, checkout: MakeCheckout, project: Callable[..., Project], tmp_path: Path
) -> None:
    repo = checkout(engine)
    stopped = repo.container(unique("ota-"), persistent_labels("f" * 16, family="f", shape="s"), verb="run")
    legacy = repo.container(unique("ota-"), {}, verb="run")
    running = repo.container(unique("ota-"), persistent_labels("f" * 16, family="f", shape="s"), verb="run")
    engine.run("kill", stopped, legacy)
    # only what this test made may be seen: another test's stopped container is its own
    token = f"--filter label={TEST_LABEL}={engine.token}"
    env, _ = recorder(engine, tmp_path, f'[ "$1" = ps ] && exec {shutil.which(engine.name)} "$@" {token}\n')
    done = project(name="nowhere").run("clean", "--stale", "--dry-run", "--json", env=env)
    assert done.code == 0, done
    assert_schema(done.json, "clean")
    found = {
        each["name"]: each["ownership"] for each in done.json["containers"] if each["engine"] == engine.name
    }
    assert found == {stopped: "label", legacy: "legacy_name"}
    assert {stopped, legacy, running} <= there(engine)
