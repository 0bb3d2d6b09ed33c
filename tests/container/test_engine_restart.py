"""A real engine that is restarted under a task: told as that, and nothing is left of the task."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from container.conftest import contract
from support.engine_faults import put_before
from support.engines import BUSYBOX, Engine
from support.waiting import wait_until

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(os.geteuid() != 0, reason="an engine of one's own needs root"),
]


class OwnDocker:
    """A Docker daemon for one test, without networks, in a folder that is short enough for its sockets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"unix://{folder}/s"
        self._daemon: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        places = ("--data-root", f"{self.folder}/data", "--exec-root", f"{self.folder}/exec")
        own = ("-p", f"{self.folder}/pid", "-H", self.address)
        no_network = ("--bridge=none", "--iptables=false", "--ip-masq=false")
        with (self.folder / "log").open("ab") as log:
            self._daemon = subprocess.Popen(
                # `--bridge=none` takes `docker0` away from whoever has it, hence a network of its own
                ["unshare", "--net", "dockerd", *places, *own, *no_network],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(lambda: self.run("version").returncode == 0, "the daemon", 30)

    def stop(self) -> None:
        if self._daemon is not None:
            self._daemon.terminate()
            self._daemon.wait(30)
            self._daemon = None

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["docker", "-H", self.address, *args], capture_output=True, text=True)


@pytest.fixture
def own_docker(docker: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnDocker]:
    """A running daemon that has the image and is where `docker` goes."""
    folder = Path(tempfile.mkdtemp(prefix="ota-d", dir="/tmp"))
    own = OwnDocker(folder)
    try:
        docker.run("save", "-o", f"{folder}/image.tar", BUSYBOX)
        own.start()
        assert own.run("load", "-q", "-i", f"{folder}/image.tar").returncode == 0
        monkeypatch.setenv("DOCKER_HOST", own.address)
        yield own
    finally:
        own.stop()
        for mounted in (folder / "exec", folder / "data"):
            subprocess.run(f"umount -R {mounted}/* 2>/dev/null", shell=True, check=False)
        shutil.rmtree(folder)


def test_an_engine_that_is_restarted_under_a_task_is_named(own_docker, project, assert_schema):
    tasks = {"wait": {"run": "echo begun; sleep 600"}, "hi": {"run": "echo hi"}}
    repo = project({"ota.yaml": json.dumps(contract("docker", tasks))})
    live = repo.start("run", "wait", "--stream")
    live.wait_for("begun")
    own_docker.stop()
    own_docker.start()
    ended = live.finish(60)
    assert ended.code != 0
    assert "Container engine went away" in ended.err
    assert "docker stopped answering while task `wait` ran" in ended.err
    assert "docker went away while the task ran, and is back" in ended.err
    assert "left behind: nothing" in ended.err
    assert own_docker.run("ps", "-aq").stdout == ""
    document = repo.run("run", "hi", "--json").json
    assert_schema(document, "run")
    assert document["stdout"] == "hi\n"


def test_one_lost_answer_about_a_task_that_ended_by_itself_changes_nothing(
    contained, docker, tmp_path, monkeypatch
):
    repo = contained({"t": {"run": "echo said; exit 3"}})
    lost = 'case $1 in start) touch "$NOTES/on" ;; inspect) rm "$NOTES/on" 2>/dev/null && exit 1 ;; esac'
    put_before(docker, tmp_path / "faulty", lost, monkeypatch)
    result = repo.run("run", "t")
    assert not (tmp_path / "faulty" / "on").exists()
    assert result.code == 3
    assert "went away" not in result.err
    assert "stopped answering" not in result.err
