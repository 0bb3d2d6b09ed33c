"""Real dependency trees in isolated paths: npm's `node_modules` and pip's `.venv`, from the real registries.

The host installs for itself and fills the packages' caches; the container installs from those caches,
because a build machine's containers may see no registry.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.container_project import ContainerProject, image_from_host
from support.engines import Engine

# Two package managers, and an image of a hundred megabytes: one engine is enough of that.
pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

MakeContainerProject = Callable[..., ContainerProject]

# The founding example, with npm for pnpm and pip beside it.
CONTRACT = """version: 1
project: {name: web}
execution:
  default_context: app
  contexts:
    app:
      backend: container
      lifecycle: persistent
      container:
        image: IMAGE
        engines: [ENGINE]
      attachments:
        isolated_paths:
          - node_modules
          - .venv
      requirements:
        runtimes:
          node: "*"
        tools:
          npm: "*"
tasks:
  setup:
    internal: true
    depends_on: [setup:python]
    run: npm ci --offline --no-audit --no-fund --cache .npm-cache
  setup:python:
    internal: true
    run: |
      set -e
      python3 -m venv .venv
      .venv/bin/python -m pip install --no-index --find-links wheels --disable-pip-version-check markupsafe
  dev:
    run: node_modules/.bin/esbuild --version
  check:
    lifecycle: ephemeral
    run: .venv/bin/python -c 'import markupsafe._speedups as it; print(it.__file__)'
"""
PACKAGE = '{"name": "web", "version": "1.0.0", "dependencies": {"esbuild": "0.25.5"}}\n'


def host(*argv: str, cwd: Path) -> None:
    """Run a registry's client on the host; where it reaches no registry there is nothing to test with."""
    try:
        done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=180)
    except subprocess.TimeoutExpired:
        pytest.skip(f"`{argv[0]}` reaches no registry within three minutes")
    if done.returncode != 0:
        pytest.skip(f"`{' '.join(argv)}` reaches no registry: {done.stderr[-300:]}")


@pytest.fixture
def image(docker: Engine, tmp_path: Path) -> Iterator[str]:
    """node with npm, and this Python, in an image."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("needs node and npm")
    package = Path(npm).resolve().parents[1]
    python = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    wrappers = {
        "/bin/npm": f'#!/bin/sh\nexec {node} {package}/bin/npm-cli.js "$@"\n',
        "/bin/python3": f'#!/bin/sh\nexec {python} "$@"\n',
    }
    folders = [package, Path(sysconfig.get_path("stdlib"))]
    tag = image_from_host(docker, [Path(node), python, *folders], wrappers, tmp_path)
    yield tag
    docker.run("rmi", "-f", tag)


def test_npm_and_pip_trees_of_host_and_container_are_kept_apart(
    docker: Engine, on_engine: MakeContainerProject, image: str
) -> None:
    repo = on_engine(docker)
    repo.write(CONTRACT.replace("IMAGE", image), **{"package.json": PACKAGE})
    npm = ("npm", "install", "--no-audit", "--no-fund", "--omit-lockfile-registry-resolved=false")
    host(*npm, "--cache", ".npm-cache", cwd=repo.path)
    pip = (sys.executable, "-m", "pip", "download", "-q", "--only-binary", ":all:", "-d", "wheels")
    host(*pip, "markupsafe", cwd=repo.path)
    # what an installation for another platform looks like from in here
    (repo.path / "node_modules" / "esbuild" / "bin" / "esbuild").write_text("built for the host\n")
    (repo.path / ".venv").mkdir()
    (repo.path / ".venv" / "of-host").touch()

    repo.run("setup", timeout=400.0)
    assert repo.run("dev", "--stream").out == "0.25.5\n"
    assert "/workspace/.venv/lib/" in repo.run("check", "--stream").out
    assert set(repo.mounts()) == {"/workspace/node_modules", "/workspace/.venv"}
    broken = (repo.path / "node_modules" / "esbuild" / "bin" / "esbuild").read_text()
    assert broken == "built for the host\n"
    assert os.listdir(repo.path / ".venv") == ["of-host"]

    # the trees outlive the container, and go with clean
    docker.run("rm", "-f", *repo.containers)
    assert repo.run("dev", "--stream").out == "0.25.5\n"
    done = repo.project.run("clean", "--json")
    assert done.json["summary"]["removed_current_dependency_isolation_volumes"] == 2
    assert repo.owned() == {"container": [], "volume": [], "network": []}
    assert (repo.path / "node_modules" / "esbuild").is_dir()
