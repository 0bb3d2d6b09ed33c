"""The example applications do what their contracts say, through the real command."""

import json
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from support.fake_engine import engines_with_every_image

pytestmark = pytest.mark.edge

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture
def example(project):
    """A copy of an example, as a repository to run ota in."""

    def copy(name):
        made = project(name=name)
        left_out = shutil.ignore_patterns("data", "archives", "settings.env", ".ota", "__pycache__")
        shutil.copytree(EXAMPLES / name, made.path, dirs_exist_ok=True, ignore=left_out)
        return made

    return copy


@pytest.mark.slow
def test_the_demonstration_passes():
    # A time limit below the test's own, so that a hang shows what was printed.
    done = subprocess.run(
        [sys.executable, "-I", str(ROOT / "tools" / "demo.py")], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("DEMO PASSED\n")


def test_backup_packs_under_the_given_name_and_reads_it_back(example):
    backup = example("backup")
    packed = backup.run("run", "pack", "--name", "monday", "--level", "9")
    assert packed.code == 0, packed
    assert (backup.path / "archives" / "monday.tar.gz").is_file()
    assert re.search(r"^BACKUP_LABEL=[0-9a-f]{8}$", backup.read("settings.env"), re.M)
    assert backup.run("run", "verify").code == 0


def test_backup_refuses_a_level_that_is_not_allowed_before_anything_happens(example):
    backup = example("backup")
    refused = backup.run("run", "pack", "--level", "7")
    assert refused.code == 1
    assert "level" in refused.err
    assert not (backup.path / "archives").exists()


def test_backup_is_skipped_when_there_is_nothing_to_pack(example):
    backup = example("backup")
    shutil.rmtree(backup.path / "documents")
    skipped = backup.run("run", "pack")
    assert skipped.code == 0
    assert "skipped" in skipped.err
    assert not (backup.path / "archives").exists()


def test_backup_does_all_under_one_name_and_keeps_the_newest(example):
    backup = example("backup")
    for name in ("a", "b", "c"):
        result = backup.run("run", "pack", "--name", name, env={"BACKUP_KEEP": "1"})
        assert result.code == 0, result
    assert [each.name for each in (backup.path / "archives").iterdir()] == ["c.tar.gz"]
    assert backup.run("run", "all").code == 0


@pytest.mark.skipif(not shutil.which("node"), reason="needs Node")
def test_the_port_a_node_service_chose_is_found_and_confirmed(example):
    hello = example("hello-node")
    assert hello.run("run", "test").code == 0
    service = hello.start("run", "serve", "--stream")
    service.wait_for("External:")
    url = re.search(r"External:\s*`?(http://[^\s`]+)", service.out + service.err)[1]
    with urllib.request.urlopen(f"{url}?name=Ada", timeout=10) as answer:
        assert answer.read() == b"Hello, Ada!\n"
    service.signal(signal.SIGINT)
    assert service.finish().code == 130


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/ota.yaml")), ids=lambda path: path.parent.name)
def test_every_task_of_an_example_can_be_previewed(example, assert_schema, tmp_path, path):
    engines = engines_with_every_image(tmp_path)
    repo = example(path.parent.name)
    names = [task["name"] for task in repo.run("tasks", "--json").json["tasks"]]
    assert names
    for name in names:
        preview = repo.run("run", name, "--dry-run", "--json", env=engines)
        assert preview.code == 0, preview
        assert_schema(preview.json, "run")
        assert json.loads(preview.out)["execution_started"] is False
    assert not (repo.path / ".ota").exists()


SERVICES = re.compile(r"^services:\n((?:(?: .*)?\n)+)", re.M)
# What an application needs beside itself; nothing that is an application, or the way into one.
SUPPORTING = {"postgres", "cache"}


@pytest.mark.proves("S000-157")
def test_a_containerised_application_is_a_workload_of_its_task_and_no_service(example, assert_schema):
    bulletin = example("bulletin")
    assert bulletin.run("validate").code == 0
    assert bulletin.run("services", "--json").json["services"] == []
    topology = bulletin.run("execution", "topology", "--json").json
    assert_schema(topology, "execution-topology")
    assert [each["backend"] for each in topology["declared_execution"]["contexts"]] == ["container"]
    [serve] = [task for task in topology["tasks"] if task["name"] == "serve"]
    [listener] = serve["runtime"]["listeners"].values()
    assert listener["host_projection"]["address"] == "127.0.0.1"


@pytest.mark.proves("S000-157")
def test_services_of_examples_and_documentation_are_never_the_application():
    pages = [*EXAMPLES.rglob("*.yaml"), ROOT / "README.md", *EXAMPLES.rglob("*.md"), *ROOT.glob("docs/*.md")]
    shown = {
        name
        for page in pages
        for block in SERVICES.findall(page.read_text(encoding="utf-8"))
        for name in re.findall(r"^  ([\w-]+):", block, re.M)
    }
    assert shown
    assert shown <= SUPPORTING
