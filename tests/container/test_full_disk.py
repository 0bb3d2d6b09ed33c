"""An engine whose disk is full: the run says so, leaves nothing, and the next one goes on."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from container.conftest import contract
from support.engines import BUSYBOX, Engine

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting a tiny disk needs root"),
]


@pytest.fixture
def tiny_podman(podman: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Podman with a storage of its own on a small disk, which has the image; the disk's folder."""
    disk, image = tmp_path / "disk", tmp_path / "image.tar"
    podman.run("save", "-q", "-o", str(image), BUSYBOX)
    for folder in (disk, tmp_path / "run", tmp_path / "tmp"):
        folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], check=True)
    storage, conf = tmp_path / "storage.conf", tmp_path / "containers.conf"
    storage.write_text(f'[storage]\ndriver = "overlay"\ngraphroot = "{disk}/s"\nrunroot = "{tmp_path}/run"\n')
    lines = Path(podman.environment["CONTAINERS_CONF"]).read_text().splitlines()
    own = [f'tmp_dir = "{tmp_path}/tmp"' if line.startswith("tmp_dir") else line for line in lines]
    conf.write_text("\n".join(own) + "\n")
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(storage))
    monkeypatch.setenv("CONTAINERS_CONF", str(conf))
    try:
        subprocess.run(["podman", "load", "-q", "-i", str(image)], check=True, capture_output=True)
        yield disk
        listed = subprocess.run(["podman", "ps", "-aq"], check=True, capture_output=True, text=True)
        assert listed.stdout == ""
    finally:
        subprocess.run(["umount", "-R", str(disk)], check=True)


def test_a_full_disk_under_the_engine_is_named_and_leaves_nothing(tiny_podman, project, assert_schema):
    repo = project({"ota.yaml": json.dumps(contract("podman", {"hi": {"run": "echo hi"}}))})
    filler = tiny_podman / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="space"):
        while True:
            file.write(b"x" * 65536)
    full = repo.run("run", "hi")
    assert full.code == 1
    assert "podman could not create a container" in full.err
    assert "no space is left where it keeps its data" in full.err
    assert "`podman system df`" in full.err
    assert "left behind: nothing" in full.err
    filler.unlink()
    document = repo.run("run", "hi", "--json").json
    assert_schema(document, "run")
    assert document["stdout"] == "hi\n"
