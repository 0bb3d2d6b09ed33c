"""Ota signalled or killed at every step of a container's life: what was the run's goes, bait stays."""

import os
import signal
import subprocess
import threading

import pytest

from container.conftest import HTTPD, READY, listener, service
from ota.system.journal import CONTAINER_FAULT_POINTS
from support.engines import BUSYBOX, wait_until
from support.servers import free_port

pytestmark = [pytest.mark.engine, pytest.mark.slow]

TASKS = {"hi": {"run": "echo begun; sleep 2"}, "ok": {"run": "echo fine"}}
POINTS = (*CONTAINER_FAULT_POINTS, "started.after", "ended.before")


def bait(repo) -> list[str]:
    """Containers with almost our labels: another token, no token, no label at all."""
    ephemeral = ("--label", "dev.ota.managed=true", "--label", "dev.ota.lifecycle=ephemeral")
    options = [
        (*ephemeral, "--label", "dev.ota.repo=0123456789abcdef", "--label", "dev.ota.owner_pid=1"),
        ephemeral,
        (),
    ]
    return [repo.engine.start(BUSYBOX, "sleep", "600", options=each) for each in options]


def active(repo) -> list[str]:
    folder = repo.path / ".ota/state/active"
    return sorted(os.listdir(folder)) if folder.exists() else []


def inside(repo) -> str:
    return "".join(repo.engine.run("exec", name, "ps").stdout for name in repo.containers("persistent"))


@pytest.mark.parametrize(
    ("lifecycle", "point"),
    [
        *(("ephemeral", point) for point in POINTS),
        # one that stays is made under a lock of its own, and belongs to no single run
        *(("persistent", point) for point in POINTS if not point.startswith("create")),
    ],
)
def test_a_killed_run_leaves_nothing_after_its_guardian(contained, lifecycle, point):
    repo = contained(TASKS, lifecycle=lifecycle)
    live = repo.start("run", "hi", env={"OTA_FAULT": f"{point}:KILL"})
    assert live.finish(60).code == -signal.SIGKILL
    wait_until(lambda: not active(repo), "the guardian", 30)
    assert repo.containers() == []
    assert "sleep 2" not in inside(repo)


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP"])
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.dealt
def test_a_signalled_run_cleans_up_after_itself(contained, point, name):
    repo = contained(TASKS)
    result = repo.run("run", "hi", env={"OTA_FAULT": f"{point}:{name}"})
    number = getattr(signal, f"SIG{name}")
    assert result.code in (0, 128 + number)
    assert repo.containers() == []
    assert active(repo) == []


@pytest.mark.proves("S000-38")
@pytest.mark.proves("S000-40")
def test_without_a_guardian_the_next_command_removes_what_a_killed_run_left(contained):
    repo = contained(TASKS)
    strangers = bait(repo)
    live = repo.start("run", "hi", "--stream")
    live.wait_for("begun")
    # the guardian first: nobody is left to clean but the next command
    for pid in os.listdir("/proc"):
        if pid.isdigit() and command_of(pid) == "ota-guardian" and parent_of(pid) == live.pid:
            os.kill(int(pid), signal.SIGKILL)
    live.kill()
    assert len(repo.containers()) == 1
    repo.engine.run("pause", repo.containers()[0], check=False)
    repo.engine.run("unpause", repo.containers()[0], check=False)
    result = repo.run("run", "ok")
    assert result.code == 0
    assert "1 container" in result.err or "reclaimed 1 orphaned ephemeral container" in result.err
    assert repo.containers() == []
    assert [repo.inspect(each)["State"]["Running"] for each in strangers] == [True] * 3


def command_of(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""


def parent_of(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


@pytest.mark.proves("S000-42")
@pytest.mark.proves("S000-43")
def test_a_legacy_container_goes_only_when_it_holds_the_port_that_is_needed(contained):
    port, other = free_port(), free_port()
    repo = contained({"web": service(HTTPD, READY, http=listener(host=port)), "ok": {"run": "true"}})
    repo.run("run", "ok")

    def legacy(name: str, host_port: int, token: str) -> str:
        labels = {"dev.ota.managed": "true", "dev.ota.repo": token, "dev.ota.test": repo.engine.token}
        words = [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]
        publish = ("-p", f"127.0.0.1:{host_port}:8080/tcp")
        repo.engine.run("run", "-d", "--init", "--name", name, *words, *publish, BUSYBOX, "sleep", "600")
        return name

    mark = repo.engine.token[:8]
    holder = legacy(f"ota-ephemeral-legacy-{mark}", port, repo.token)
    bystander = legacy(f"ota-ephemeral-other-{mark}", other, repo.token)
    live = repo.start("run", "web", "--stream")
    live.wait_for("External: ")
    live.signal(signal.SIGINT)
    assert "reclaimed 1 orphaned ephemeral container" in live.finish().err
    assert repo.engine.run("inspect", holder, check=False).returncode != 0
    assert repo.inspect(bystander)["State"]["Running"]
    foreign = legacy(f"ota-ephemeral-foreign-{mark}", port, "0123456789abcdef")
    assert repo.run("run", "web").code == 1
    assert repo.inspect(foreign)["State"]["Running"]


def test_a_hurried_user_still_gets_everything_removed(contained):
    repo = contained({"deaf": {"run": "trap '' INT TERM HUP; echo begun; while :; do sleep 1; done"}})
    live = repo.start("run", "deaf", "--stream")
    live.wait_for("begun")
    for _ in range(3):
        live.signal(signal.SIGINT)
    assert live.finish(30).code == 130
    assert repo.containers() == []


@pytest.fixture
def read_only():
    """Make a folder read-only, also for root."""
    mounted = []

    def make(path) -> None:
        for words in (("--bind", str(path), str(path)), ("-o", "remount,ro,bind", str(path))):
            if subprocess.run(["mount", *words], capture_output=True).returncode != 0:
                pytest.skip("nothing can be mounted here")
            mounted.append(path) if words[0] == "--bind" else None

    yield make
    for path in mounted:
        subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_read_only_checkout_runs_once_it_has_its_token(contained, read_only):
    repo = contained({"hi": {"run": "cat seen"}})
    repo.project.write({"seen": "hi\n"})
    repo.run("run", "hi")  # the token is made while it can be
    read_only(repo.path)
    result = repo.run("run", "hi")
    assert result.code == 0, result
    assert "hi\n" in result.err
    assert repo.containers() == []


def test_many_runs_killed_at_once_leave_nothing(contained):
    repo = contained(TASKS)
    lives = [repo.start("run", "hi", "--stream") for _ in range(4)]
    for live in lives:
        live.wait_for("begun")
    threads = [threading.Thread(target=live.kill) for live in lives]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: not active(repo), "the guardians", 40)
    assert repo.containers() == []
