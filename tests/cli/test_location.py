"""Where the contract is, told in one way however it was named."""

import os
import subprocess

import pytest

pytestmark = pytest.mark.edge

HERE = "version: 1\nproject: {name: shop}\ntasks: {where: {run: 'echo at $OTA_WORKSPACE'}}\n"


@pytest.mark.parametrize("form", ["path", "file", "variable"])
def test_a_path_with_dots_names_the_repository_like_any_other(project, form):
    repo = project({"ota.yaml": HERE, "a/b/keep": ""})
    args = {"path": ["run", "where", "../.."], "file": ["--file", "../../ota.yaml", "run", "where"]}
    done = repo.run(
        *args.get(form, ["run", "where"]),
        cwd="a/b",
        env={"OTA_FILE": "../../ota.yaml"} if form == "variable" else {},
    )
    assert done.code == 0
    assert f"at {repo.path.resolve()}\n" in done.err
    assert f"Path:        {repo.path.resolve()}\n" in done.err


def test_a_linked_contract_belongs_to_the_folder_of_the_link(project):
    repo = project({"real/shared.yaml": HERE})
    os.symlink("real/shared.yaml", repo.path / "ota.yaml")
    assert f"at {repo.path.resolve()}\n" in repo.run("run", "where").err


@pytest.mark.parametrize(
    "words",
    [
        ("validate",),
        ("tasks", "--json"),
        ("run", "where"),
        ("doctor",),
        ("schema", "--output", "x"),
        ("receipt", "--history"),
        ("validate", "--file", "x"),
        ("up", "--stop"),
    ],
)
def test_a_deleted_current_directory_is_told_and_is_no_bug(project, words):
    repo = project({"gone/keep": ""})
    done = from_deleted(repo, *words)
    assert done.returncode == 1
    assert "the current directory cannot be read" in done.stdout + done.stderr


def test_a_named_contract_is_listed_from_a_deleted_directory(project):
    repo = project({"ota.yaml": HERE, "gone/keep": ""})
    done = from_deleted(repo, "tasks", str(repo.path))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"`ota tasks --use {repo.path}`" in done.stdout


def from_deleted(repo, *words):
    """Run ota in a shell whose directory was removed under it."""
    argv = repo.run("--version").argv[:-1]
    script = 'rm -r ../gone; exec "$@"'
    return subprocess.run(
        ["sh", "-c", script, "sh", *argv, *words],
        cwd=repo.path / "gone",
        env=repo.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
