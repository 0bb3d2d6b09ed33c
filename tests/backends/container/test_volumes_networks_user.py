"""Isolated paths, compose networks and the owner of files, on real Docker and Podman."""

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from ota.backends.container import user as user_module
from ota.backends.container import volumes as volumes_module
from ota.errors import HostError
from ota.system.host import HostFacts
from support.container_bench import Bench, MakeBench, changed
from support.engines import BUSYBOX, COMPOSE_COMMANDS, MakeComposeProject

pytestmark = pytest.mark.engine


def inspect_volume(bench: Bench, name: str) -> dict[str, object]:
    found = msgspec.json.decode(bench.raw.run("volume", "inspect", name).stdout)[0]
    assert isinstance(found, dict)
    return found


# -- isolated paths ------------------------------------------------------------------------------------------


@pytest.mark.proves("S000-145", "S001-08", "S001-153")
def test_an_isolated_path_is_a_volume_over_the_checkout(bench: Bench) -> None:
    (bench.root / "node_modules").mkdir()
    (bench.root / "node_modules" / "host").write_text("a binary of the host\n")
    (bench.root / "source").write_text("one")
    work = bench.work(
        "ls node_modules; cat source; echo mine >node_modules/inside", isolated_paths=("node_modules",)
    )
    ran = bench.ephemeral(work)
    assert ran.out == "one"
    assert ran.prepared.isolated == ("/workspace/node_modules",)
    assert os.listdir(bench.root / "node_modules") == ["host"]


@pytest.mark.proves("S000-146", "S000-149", "S000-150")
def test_the_volume_is_the_same_for_every_run_and_lifecycle_and_says_whose_it_is(bench: Bench) -> None:
    work = bench.work(
        "echo installed >>node_modules/x; cat node_modules/x", isolated_paths=("./node_modules/",)
    )
    assert bench.ephemeral(work).out == "installed\n"
    assert bench.persistent(changed(work)).out == "installed\ninstalled\n"
    (name,) = bench.owned()["volume"]
    labels = inspect_volume(bench, name)["Labels"]
    assert labels == {
        "dev.ota.managed": "true",
        "dev.ota.kind": "dependency-isolation",
        "dev.ota.repo": (bench.root / ".ota/state/ownership-id").read_text().strip(),
        "dev.ota.path": "node_modules",
        "dev.ota.context": "app",
    }


def test_volumes_that_are_there_cost_one_call(bench: Bench) -> None:
    work = bench.work("true", isolated_paths=("node_modules", ".cache"))
    bench.ephemeral(work)
    engine = bench.engine
    bench.ephemeral_run(changed(work), engine=engine).prepare()
    assert [call[0] for call in engine.count.calls] == ["ps", "volume", "create"]


@pytest.mark.parametrize("user", ["1000:1000", "1000", "app"])
def test_a_new_volume_belongs_to_who_uses_it(bench: Bench, user: str) -> None:
    work = bench.work(
        "echo ok >node_modules/x && stat -c %u node_modules node_modules/x",
        isolated_paths=("node_modules",),
        user=user,
    )
    assert bench.ephemeral(work).out == "1000\n1000\n"
    assert [name for name in bench.names() if name.startswith("ota-ephemeral")] == bench.names()
    assert len(bench.names()) == 1


def test_a_volume_whose_making_was_cut_short_gets_its_owner_at_the_next_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = bench.work(
        "echo ok >node_modules/x; cat node_modules/x", isolated_paths=("node_modules",), user="1000:1000"
    )

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(volumes_module, "_give", killed)
        with pytest.raises(KeyboardInterrupt):
            bench.ephemeral_run(work).prepare()
    assert len(bench.owned()["volume"]) == 1
    assert bench.ephemeral(changed(work)).out == "ok\n"


def test_runs_that_need_a_new_volume_at_once_make_it_once(bench: Bench) -> None:
    work = bench.work("echo ok >node_modules/$$", isolated_paths=("node_modules",), user="1000:1000")
    codes: list[int] = []
    runs = [bench.ephemeral_run(changed(work)) for _ in range(4)]

    def go(index: int) -> None:
        codes.append(bench.enter(runs[index].prepare()).code)

    threads = [threading.Thread(target=go, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert codes == [0, 0, 0, 0] and len(bench.owned()["volume"]) == 1


def test_a_volume_of_that_name_that_is_not_ours_is_refused(bench: Bench) -> None:
    work = bench.work("true", isolated_paths=("node_modules",))
    bench.ephemeral_run(work).prepare()
    (name,) = bench.owned()["volume"]
    bench.raw.remove(bench.owned())
    bench.raw.run("volume", "create", "--label", f"dev.ota.test={bench.raw.token}", name)
    with pytest.raises(HostError) as refused:
        bench.ephemeral_run(changed(work)).prepare()
    (finding,) = refused.value.findings
    assert finding.code == "OTA_CONTAINER_VOLUME_FAILED" and f"volume rm {name}" in finding.next
    assert bench.names() == []


# A service that ends at once when it is told to.
SERVICE = {"image": BUSYBOX, "stop_grace_period": "0s", "init": True}


# -- compose networks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", list(COMPOSE_COMMANDS))
@pytest.mark.parametrize("lifecycle", ["ephemeral", "persistent"])
@pytest.mark.proves("S001-169")
def test_a_service_of_compose_answers_by_name(
    bench_on: MakeBench, compose_project: MakeComposeProject, command: str, lifecycle: str
) -> None:
    bench = bench_on(COMPOSE_COMMANDS[command])
    service = {**SERVICE, "command": ["sh", "-c", "while true; do echo pong | nc -l -p 7; done"]}
    project = compose_project(command, {"services": {"echo": service}})
    project.run("up", "-d")
    work = bench.work("for i in 1 2 3 4 5 6 7 8; do nc -w 1 echo 7 && exit; sleep 0.5; done",
                      compose_projects=(project.name,))  # fmt: skip
    ran = getattr(bench, lifecycle)(work)
    assert ran.out == "pong\n"
    assert ran.prepared.networks == (f"{project.name}_default",)


@pytest.mark.parametrize("command", list(COMPOSE_COMMANDS))
def test_a_network_made_before_compose_is_adopted_by_it(
    bench_on: MakeBench, compose_project: MakeComposeProject, command: str
) -> None:
    bench = bench_on(COMPOSE_COMMANDS[command])
    project = compose_project(command, {"services": {"one": {**SERVICE, "command": ["sleep", "600"]}}})
    ran = bench.persistent(bench.work("true", compose_projects=(project.name,)))
    network = f"{project.name}_default"
    assert any(network in note for note in ran.prepared.notes)
    assert bench.owned()["network"] == [network]
    project.run("up", "-d")
    assert network in bench.raw.inspect(project.container("one"))[0]["NetworkSettings"]["Networks"]
    assert bench.persistent(bench.work("true", compose_projects=(project.name,))).prepared.was == "reused"
    bench.raw.remove({"container": bench.names()})
    project.run("down", check=False)


def test_a_reused_container_joins_what_one_task_needs_and_is_kept_for_the_others(bench: Bench) -> None:
    first = bench.persistent(bench.work("true", task="lint"))
    project = f"otatest-{bench.token}"
    second = bench.persistent(bench.work("true", task="test", networks=(project,)))
    third = bench.persistent(bench.work("true", task="lint"))
    assert {ran.prepared.name for ran in (first, second, third)} == {first.prepared.name}
    assert third.prepared.was == "reused"
    networks = bench.raw.inspect(first.prepared.name)[0]["NetworkSettings"]["Networks"]
    assert f"{project}_default" in networks


def test_several_networks_are_all_joined(bench: Bench) -> None:
    projects = (f"otatest-a{bench.token}", f"otatest-b{bench.token}")
    prepared = bench.ephemeral_run(bench.work("true", compose_projects=projects)).prepare()
    assert set(bench.raw.inspect(prepared.name)[0]["NetworkSettings"]["Networks"]) >= {
        f"{project}_default" for project in projects
    }


# -- whose files ---------------------------------------------------------------------------------------------


@pytest.fixture
def invoked_by_1000(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """As if user 1000 ran ota on a rootful engine: the engine itself is still asked as root."""
    facts = HostFacts(os="linux", arch="x64", uid=1000, gid=1000, home="/home/x", user="x")

    def arrange() -> None:
        monkeypatch.setattr(user_module, "observe_host", lambda: facts)
        monkeypatch.setattr(user_module, "is_rootless", lambda *_: False)
        shutil.chown(bench.root, 1000, 1000)

    return arrange


def owners(root: Path) -> set[int]:
    return {path.stat().st_uid for path in root.iterdir() if path.name != ".ota"}


@pytest.mark.parametrize("lifecycle", ["ephemeral", "persistent"])
def test_files_made_in_the_checkout_belong_to_who_ran_ota(
    bench: Bench, invoked_by_1000: Callable[[], None], lifecycle: str
) -> None:
    invoked_by_1000()
    work = bench.work(
        'id -u; echo x >made; mkdir dir; echo y >"$HOME/z" && cat "$HOME/z"; echo m >deps/m',
        isolated_paths=("deps",),
    )
    ran = getattr(bench, lifecycle)(work)
    assert ran.out == "1000\ny\n" and ran.err == ""
    assert "1000:1000" in ran.prepared.user.note
    (bench.root / "deps").rmdir()  # made here, as this user, before the engine could
    assert owners(bench.root) == {1000}


def test_a_declared_home_is_left_alone(bench: Bench, invoked_by_1000: Callable[[], None]) -> None:
    invoked_by_1000()
    assert bench.ephemeral('echo "$HOME"', {"HOME": "/workspace"}).out == "/workspace\n"


def test_the_users_of_contract_and_image_come_first(
    bench: Bench, invoked_by_1000: Callable[[], None], image_of_nobody: str
) -> None:
    invoked_by_1000()
    assert bench.ephemeral(bench.work("id -u", user="0:0")).out == "0\n"
    own = bench.ephemeral(bench.work("id -u", image=image_of_nobody))
    assert own.out == "65534\n" and "user of the image" in own.prepared.user.note


@pytest.fixture
def image_of_nobody(bench: Bench) -> object:
    """Busybox that runs as nobody."""
    name = bench.raw.start(BUSYBOX, "sleep", "600")
    tag = f"ota-test/nobody:{bench.token}"
    bench.raw.run("commit", "--change", "USER nobody", name, tag)
    bench.raw.run("rm", "-f", name)
    yield tag
    bench.raw.run("rmi", "-f", tag, check=False)


def test_a_volume_belongs_to_the_user_of_the_image(bench: Bench, image_of_nobody: str) -> None:
    work = bench.work("echo ok >deps/x && stat -c %u deps", image=image_of_nobody, isolated_paths=("deps",))
    assert bench.ephemeral(work).out == "65534\n"
