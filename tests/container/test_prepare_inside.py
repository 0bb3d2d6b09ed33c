"""`prepare` in a container context: package managers run inside, files land in the checkout as the user's."""

import os
import subprocess

import pytest

pytestmark = pytest.mark.engine

ROOT = {"toolchains": {"node": {"version": "*"}}}
EFFECTS = {"network": True, "network_kind": "dependency_hydration", "writes": ["web", "made"]}
NPM = {
    "kind": "dependency_hydration",
    "medium": "package_dependencies",
    "source": {"kind": "node_package_manager", "manager": "npm", "mode": "ci", "cwd": "web"},
}
STAND_INS = {
    "bin/node": "#!/bin/sh\necho v22.0.0\n",
    "bin/npm": '#!/bin/sh\necho "$PWD: npm $*"; mkdir -p node_modules; test -n "$BROKEN" && exit 23; '
    "echo installed >node_modules/by-npm\n",
    "web/package.json": "{}",
}


def setup(*steps, **more):
    return {
        "setup": {
            "requirements": {"toolchains": ["node"]},
            "effects": EFFECTS,
            "prepare": {"kind": "sequence", "steps": list(steps)},
            "env": more,
        },
        "look": {"run": "cat web/node_modules/by-npm made/before made/after"},
    }


@pytest.fixture
def prepared(contained):
    def make(steps, *, lifecycle="ephemeral", **more):
        repo = contained(
            setup(*steps, **more),
            lifecycle=lifecycle,
            root=ROOT,
            env={"PATH": "$OTA_WORKSPACE/bin:$PATH"},
            attachments={"isolated_paths": ["web/node_modules"]},
        )
        repo.project.write(STAND_INS)
        for name in ("bin/node", "bin/npm"):
            (repo.path / name).chmod(0o755)
        return repo

    return make


GIT = {"kind": "ensure_git_checkout", "path": "made/git", "source": {"git": "./upstream"}}
FILES = [{"kind": "ensure_file", "path": f"made/{name}", "value": name} for name in ("before", "after")]


@pytest.mark.parametrize("lifecycle", ["ephemeral", "persistent"])
def test_dependencies_are_made_inside_and_files_in_the_checkout(prepared, assert_schema, lifecycle):
    repo = prepared([FILES[0], NPM, FILES[1], GIT], lifecycle=lifecycle)
    upstream = ("-C", str(repo.path / "upstream"))
    for words in (("init", "-q", upstream[1]), (*upstream, "commit", "-q", "--allow-empty", "-m", "x")):
        subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@y", *words], check=True)
    document = repo.run("run", "setup", "--json", timeout=100).json
    assert_schema(document, "run")
    assert document["ok"] is True, document
    assert document["stdout"].splitlines() == [
        "created made/before",
        "/workspace/web: npm ci",
        "ran npm ci in web",
        "created made/after",
        document["stdout"].splitlines()[-1],
    ]
    assert document["stdout"].splitlines()[-1].startswith("checked out made/git at ")
    assert (repo.path / "made/git/.git").is_dir()
    assert list((repo.path / "web/node_modules").iterdir()) == [], "the volume has it, not the checkout"
    assert repo.run("run", "look", "--json", timeout=100).json["stdout"] == "installed\nbeforeafter"
    assert (repo.path / "made/before").stat().st_uid == os.getuid()
    broken = prepared([NPM], lifecycle=lifecycle, BROKEN="1").run("run", "setup", timeout=100)
    assert broken.code == 23
    assert "`npm ci` ended with code 23" in broken.err
