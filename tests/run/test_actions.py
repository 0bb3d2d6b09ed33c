"""Typed bodies as a user runs them: one line per part, the first failure counts, nothing half made."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.edge

NETWORK = "effects: {network: true, network_kind: dependency_hydration, writes: [web, vendor]}"


def contract(tasks: str, *toolchains: str) -> str:
    declared = ", ".join(f'{name}: {{version: "*"}}' for name in toolchains)
    return f"""
version: 1
project: {{name: typed}}
toolchains: {{{declared}}}
env:
  vars:
    TOKEN: {{secret: true, required: false}}
tasks:
{tasks}
"""


def stand_ins(repo, *names: str, body: str = "") -> dict[str, str]:
    """Programs on PATH that write down how they were called; the variables to run ota with."""
    for name in names:
        script = (
            "#!/bin/sh\n"
            'case "$1" in --version|version|-version) echo "9.9.9"; exit 0;; esac\n'
            f'echo "${{PWD##*/}}: {name} $*" >> "{repo.path}/called"\n{body}\n'
        )
        repo.write({f"bin/{name}": script})
        (repo.path / "bin" / name).chmod(0o755)
    return {"PATH": f"{repo.path}/bin:{os.environ['PATH']}"}


def notes(result) -> list[str]:
    detail = result.json["receipt"]["steps"][-1].get("detail", "")
    return [part.strip() for part in detail.split(";")][1:]  # the first says why the step runs


def everything_kept(repo) -> bytes:
    """Every byte ota stored."""
    return b"".join(path.read_bytes() for path in (repo.path / ".ota").rglob("*") if path.is_file())


# --- files --------------------------------------------------------------------------------------

FILES = contract("""
  setup:
    action:
      kind: ensure_bundle
      steps:
        - {kind: ensure_directory, path: data/cache}
        - {kind: copy_if_missing, from: env.example, to: .env}
        - kind: ensure_env_file
          path: .env
          vars: {SECRET: {random: {bytes: 24}}, HOST: {value: here}, OLD: {mode: remove}}
        - {kind: ensure_file, path: data/key, random: {encoding: base64}}
    effects: {writes: [.env, data]}
  show: {run: "cat .env data/key", depends_on: [setup]}
  steps:
    prepare:
      kind: sequence
      steps:
        - {kind: ensure_directory, path: one}
        - {kind: ensure_file, path: one/two, value: three}
    effects: {writes: [one]}
""")


@pytest.fixture
def files(project):
    return project({"ota.yaml": FILES, "env.example": "# app\nSECRET=\nOLD=1\n"})


def test_a_bundle_tells_each_part_and_a_second_run_changes_nothing(files, assert_schema):
    first = files.run("run", "setup", "--json")
    assert_schema(first.json, "run")
    assert notes(first) == [
        "created data/cache",
        "copied env.example to .env",
        "updated .env",
        "created data/key",
    ]
    state = {name: files.read(name) for name in (".env", "data/key")}
    second = files.run("run", "setup", "--stream")
    assert second.out.splitlines() == ["kept data/cache", "kept .env", "kept .env", "kept data/key"]
    assert {name: files.read(name) for name in state} == state


def test_a_sequence_runs_its_steps_in_order(files):
    assert files.run("run", "steps", "--stream").out == "created one\ncreated one/two\n"
    assert files.read("one/two") == "three"


@pytest.mark.parametrize("options", [("--stream", "--log", "--receipt"), ("--json", "--log"), ("--log",)])
def test_generated_values_are_shown_and_kept_nowhere(files, options):
    """In the run that makes them, and in the next, which finds them made."""
    results = [files.run("run", "show", *options), files.run("run", "show", *options)]
    secrets = [files.read(".env").splitlines()[1].removeprefix("SECRET="), files.read("data/key")]
    assert [len(each) for each in secrets] == [48, 44]
    for result in results:
        assert result.code == 0
        for secret in secrets:
            assert secret not in result.out + result.err
    kept = everything_kept(files)
    assert b"SECRET=***" in kept
    for secret in secrets:
        assert secret.encode() not in kept


def test_a_secret_taken_from_the_environment_is_written_and_not_shown(project):
    repo = project(
        {
            "ota.yaml": contract("""
  setup:
    action: {kind: ensure_env_file, path: .env, vars: {TOKEN: {from_env: TOKEN}}}
    effects: {writes: [.env]}
  show: {run: "cat .env", depends_on: [setup]}
""")
        }
    )
    result = repo.run("run", "show", "--stream", "--log", "--receipt", env={"TOKEN": "hunter2-hunter2"})
    assert result.code == 0, result
    assert repo.read(".env") == "TOKEN=hunter2-hunter2\n"
    assert "hunter2" not in result.out + result.err
    assert b"hunter2" not in everything_kept(repo)


def test_what_was_done_before_a_failure_stays_and_the_failure_is_told(project, assert_schema):
    repo = project(
        {
            "ota.yaml": contract("""
  setup:
    action:
      kind: ensure_bundle
      steps:
        - {kind: ensure_directory, path: made}
        - {kind: ensure_directory, path: taken}
        - {kind: ensure_directory, path: never}
    effects: {writes: [made, taken, never]}
"""),
            "taken": "a file",
        }
    )
    result = repo.run("run", "setup", "--json")
    assert result.code == 1
    assert_schema(result.json, "run")
    assert "`taken` exists and is not a directory" in result.out
    assert (repo.path / "made").is_dir()
    assert not (repo.path / "never").exists()
    assert repo.read("taken") == "a file"
    assert "Next:" in repo.run("run", "setup").err


def test_a_full_disk_leaves_the_old_file_and_no_other(project, tiny_disk):
    lines = "".join(f"KEY_{number}={'x' * 100}\n" for number in range(200))
    repo = project(
        {
            "ota.yaml": contract("""
  setup:
    action: {kind: ensure_env_file, path: disk/.env, vars: {NEW: {value: "1"}}}
    effects: {writes: [disk]}
""")
        }
    )
    tiny_disk(repo.path / "disk", 32)
    repo.write({"disk/.env": lines})
    result = repo.run("run", "setup")
    assert result.code == 1
    assert "the disk is full" in result.err
    assert repo.read("disk/.env") == lines
    assert os.listdir(repo.path / "disk") == [".env"]


def test_a_read_only_folder_is_told_and_left(project, tiny_disk):
    repo = project(
        {
            "ota.yaml": contract("""
  setup:
    action: {kind: ensure_file, path: disk/deep/new, value: "1"}
    effects: {writes: [disk]}
""")
        }
    )
    tiny_disk(repo.path / "disk", 32)
    subprocess.run(["mount", "-o", "remount,ro", str(repo.path / "disk")], check=True)
    result = repo.run("run", "setup")
    assert result.code == 1
    assert "read-only" in result.err
    assert "Traceback" not in result.err


# --- commands -----------------------------------------------------------------------------------

EVERY_SOURCE = """
  deps:
    requirements:
      toolchains: [node, python, ruby, go, rust, java, dotnet]
      tools: {composer: "*", helm: "*", maven: "*", gradle: "*"}
    effects: {network: true, network_kind: dependency_hydration, writes: [web, vendor]}
    prepare:
      kind: sequence
      steps:
"""
SOURCES = {
    "{kind: node_package_manager, cwd: web, manager: pnpm, mode: install, frozen_lockfile: true}": (
        "web: pnpm install --frozen-lockfile"
    ),
    "{kind: bundler, cwd: ., path: vendor/gems}": (
        "repo: bundle config set --local path vendor/gems\nrepo: bundle install"
    ),
    "{kind: composer, cwd: web}": "web: composer install --no-interaction",
    "{kind: uv, cwd: .}": "repo: uv sync",
    "{kind: poetry, cwd: .}": "repo: poetry install --no-interaction",
    "{kind: helm, cwd: web}": "web: helm dependency update",
    "{kind: go_modules, cwd: .}": "repo: go mod download",
    "{kind: cargo, cwd: .}": "repo: cargo fetch",
    "{kind: maven, cwd: .}": "repo: mvn dependency:resolve --batch-mode",
    "{kind: gradle, cwd: .}": "repo: gradle dependencies --no-daemon --console=plain",
    "{kind: dotnet_restore, cwd: .}": "repo: dotnet restore",
}
TOOLCHAINS = ("node", "python", "ruby", "go", "rust", "java", "dotnet")
PROGRAMS = (
    *("node", "npm", "pnpm", "python", "python3", "pip", "uv", "poetry", "ruby", "bundle", "composer"),
    *("helm", "go", "cargo", "rustc", "java", "mvn", "gradle", "dotnet"),
)


def test_every_package_source_runs_its_manager_where_it_says(project):
    steps = "".join(
        f"        - {{kind: dependency_hydration, medium: package_dependencies, source: {source}}}\n"
        for source in SOURCES
    )
    repo = project({"ota.yaml": contract(EVERY_SOURCE + steps, *TOOLCHAINS), "web/package.json": "{}"})
    env = stand_ins(repo, *PROGRAMS)
    result = repo.run("run", "deps", "--stream", env=env)
    assert result.code == 0, result
    assert repo.read("called").splitlines() == "\n".join(SOURCES.values()).splitlines()
    assert result.out.splitlines()[:2] == ["ran pnpm install in web", "ran bundle install"]


BOOTSTRAP = contract(
    """
  browsers:
    requirements: {toolchains: [node]}
    effects: {network: true, network_kind: tool_bootstrap}
    prepare:
      kind: tool_bootstrap
      tool: playwright_browsers
      source: {kind: node_package_manager, cwd: ., manager: npm}
      browsers: [chromium]
""",
    "node",
)


def test_a_tool_is_brought_by_the_project_s_own_dependencies(project):
    repo = project({"ota.yaml": BOOTSTRAP})
    result = repo.run("run", "browsers", "--stream", env=stand_ins(repo, "node", "npm"))
    assert result.code == 0, result
    assert repo.read("called") == "repo: npm exec --no -- playwright install chromium\n"
    assert result.out == "installed playwright browsers\n"


FAILING = contract(
    f"""
  deps:
    requirements: {{toolchains: [node, go]}}
    {NETWORK}
    prepare:
      kind: sequence
      steps:
        - {{kind: ensure_directory, path: first}}
        - kind: dependency_hydration
          medium: package_dependencies
          source: {{kind: node_package_manager, cwd: web, manager: yarn, mode: install}}
        - {{kind: ensure_directory, path: last}}
""",
    "node",
    "go",
)


WRITES_FIRST = """
version: 1
project: {name: fresh}
env:
  vars: {TOKEN: {required: true, allowed: [made]}}
  sources: [{kind: dotenv, path: .env, must_exist: true}]
tools: {helm: "*"}
tasks:
  deps:
    requirements: {tools: {helm: "*"}}
    effects: {network: true, network_kind: dependency_hydration, writes: [charts]}
    prepare:
      kind: sequence
      steps:
        - {kind: ensure_file, path: .env, value: "TOKEN=WRITTEN"}
        - {kind: dependency_hydration, medium: package_dependencies, source: {kind: helm, cwd: .}}
"""


def test_what_a_sequence_writes_first_counts_for_the_commands_after_it(project):
    """As in a fresh checkout: copy the settings, then install with what they say."""
    repo = project({"ota.yaml": WRITES_FIRST.replace("WRITTEN", "made")})
    env = stand_ins(repo, "helm", body="echo got $TOKEN")
    preview = repo.run("run", "deps", "--dry-run", "--json", env=env)
    assert (preview.code, preview.json["preview_status"]) == (0, "RUNNABLE WITH WARNINGS")
    assert "got made" in repo.run("run", "deps", "--stream", env=env).out.splitlines()


def test_no_command_starts_with_the_wrong_values_that_were_written_first(project):
    repo = project({"ota.yaml": WRITES_FIRST.replace("WRITTEN", "other")})
    result = repo.run("run", "deps", "--stream", env=stand_ins(repo, "helm", body="echo got $TOKEN"))
    assert result.code == 1
    assert "Environment is not ready" in result.err and "got" not in result.out


def test_the_first_command_that_fails_ends_the_task_with_its_code(project, assert_schema):
    repo = project({"ota.yaml": FAILING, "web/package.json": "{}"})
    env = stand_ins(repo, "node", "yarn", "go", body="echo lockfile is broken >&2; exit 23")
    result = repo.run("run", "deps", "--json", env=env)
    assert result.code == 23
    assert_schema(result.json, "run")
    assert result.json["receipt"]["steps"][0]["exit_code"] == 23
    assert (repo.path / "first").is_dir()
    assert not (repo.path / "last").exists()
    assert notes(result)[-1] == "`yarn install` ended with code 23"
    assert "lockfile is broken" in repo.run("run", "deps", env=env).err


def test_a_program_that_is_not_there_is_named_with_what_to_install(project):
    repo = project({"ota.yaml": FAILING, "web/package.json": "{}"})
    env = stand_ins(repo, "node", "go")
    result = repo.run("run", "deps", env=env)
    assert result.code == 127
    assert "yarn: not found" in result.err
    assert "install yarn" in result.err


def test_a_missing_working_directory_is_told_before_anything_starts(project):
    repo = project({"ota.yaml": FAILING})
    result = repo.run("run", "deps", env=stand_ins(repo, "node", "yarn", "go"))
    assert result.code == 1
    assert "the directory `web` does not exist" in result.err
    assert not (repo.path / "called").exists()


def test_an_interrupt_during_a_command_ends_it_and_the_parts_after_it(project, assert_schema):
    repo = project({"ota.yaml": FAILING, "web/package.json": "{}"})
    live = repo.start(
        "run", "deps", "--json", env=stand_ins(repo, "node", "yarn", "go", body="echo begun; sleep 300")
    )
    live.wait_for("begun")
    live.signal(signal.SIGINT)
    result = live.finish()
    assert result.code == 130
    assert_schema(result.json, "run")
    assert result.json["status"] == "interrupted"
    assert not (repo.path / "last").exists()


def test_npm_itself_installs_a_lockfile(project):
    package = {"name": "web", "version": "1.0.0"}
    lock = {**package, "lockfileVersion": 3, "packages": {"": package}}
    repo = project(
        {
            "ota.yaml": contract(
                f"""
  deps:
    requirements: {{toolchains: [node]}}
    {NETWORK}
    prepare:
      kind: dependency_hydration
      medium: package_dependencies
      source: {{kind: node_package_manager, cwd: web, manager: npm, mode: ci}}
""",
                "node",
            ),
            "web/package.json": json.dumps(package),
            "web/package-lock.json": json.dumps(lock),
        }
    )
    if subprocess.run(["sh", "-c", "command -v npm"], capture_output=True).returncode != 0:
        pytest.skip("npm is not installed here")
    result = repo.run("run", "deps", "--json", env={"npm_config_offline": "true"})
    assert result.code == 0, result
    assert notes(result)[-1] == "ran npm ci in web"


VENV = contract(
    """
  venv:
    requirements: {toolchains: [python]}
    action: {kind: ensure_virtualenv, path: .venv}
    effects: {writes: [.venv]}
  exact:
    requirements: {toolchains: [python]}
    action: {kind: ensure_virtualenv, path: .venv, python: "2.7"}
    effects: {writes: [.venv]}
""",
    "python",
)


def uv(repo, body: str) -> dict[str, str]:
    return stand_ins(
        repo,
        "uv",
        body=f'shift; for last; do :; done\n"{sys.executable}" -m venv --without-pip "$last"\n{body}',
    )


def test_an_environment_is_made_once(project):
    repo = project({"ota.yaml": VENV})
    env = uv(repo, "")
    assert repo.run("run", "venv", "--stream", env=env).out == "created .venv\n"
    assert repo.run("run", "venv", "--stream", env=env).out == "kept .venv\n"
    assert repo.read("called") == "repo: uv venv .venv\n"


def test_an_environment_of_another_python_or_none_is_refused(project):
    repo = project({"ota.yaml": VENV, "called": ""})
    env = uv(repo, "")
    assert repo.run("run", "venv", env=env).code == 0
    result = repo.run("run", "exact", env=env)
    assert result.code == 1
    assert "`.venv` has Python 3." in result.err and "not 2.7" in result.err
    (repo.path / ".venv/bin/python").unlink()
    assert "no working python" in repo.run("run", "venv", env=env).err
    repo.write({"other/ota.yaml": VENV, "other/.venv/notes": "mine"})
    other = repo.run("run", "venv", env=env, cwd="other")
    assert "is no virtual environment" in other.err
    assert repo.read("other/.venv/notes") == "mine"


def test_an_environment_that_could_not_be_finished_is_gone_again(project):
    repo = project({"ota.yaml": VENV})
    assert repo.run("run", "venv", env=uv(repo, "exit 4")).code == 4
    assert not (repo.path / ".venv").exists()


# --- git ----------------------------------------------------------------------------------------


@pytest.fixture
def source(project):
    """A repository to clone: two commits on main, a tag at the first, a branch ahead."""
    repo = project({"file": "one\n"}, name="source", git=True)
    repo.git("tag", "v1")
    repo.write({"file": "two\n"})
    repo.git("commit", "-qam", "second")
    repo.git("checkout", "-q", "-b", "feature")
    repo.write({"file": "three\n"})
    repo.git("commit", "-qam", "third")
    repo.git("checkout", "-q", "main")
    return repo


def checkout(project, source: str, *, path: str = "libs/x", more: str = ""):
    text = f"""
  get:
    action: {{kind: ensure_git_checkout, path: {path}, source: {source}{more}}}
    effects: {{workspace_writes: [{path}]}}
"""
    return project({"ota.yaml": contract(text)}, name="consumer")


def leftovers(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.endswith(".ota-partial")]


@pytest.mark.parametrize(
    ("ref", "content"),
    [
        ("main", "two"),
        ("feature", "three"),
        ("v1", "one"),
        ("refs/tags/v1", "one"),
        ("{commit}", "one"),
        ("{short}", "one"),
    ],
)
@pytest.mark.parametrize("address", ["../source", "file://{path}"])
def test_a_checkout_is_at_the_branch_tag_or_commit_it_names(project, source, ref, content, address):
    commit = source.git("rev-parse", "v1").strip()
    ref = ref.format(commit=commit, short=commit[:8])
    repo = checkout(project, f'{{git: "{address.format(path=source.path)}", ref: "{ref}"}}')
    result = repo.run("run", "get", "--stream")
    assert result.code == 0, result
    head = subprocess.check_output(
        ["git", "-C", repo.path / "libs/x", "rev-parse", "--short", "HEAD"], text=True
    )
    assert result.out == f"checked out libs/x at {head}"
    assert repo.read("libs/x/file").strip() == content
    assert leftovers(repo.path / "libs") == []
    assert repo.run("run", "get", "--stream").out == f"kept libs/x at {head}"


def test_without_a_ref_the_source_s_own_branch_is_checked_out_beside_the_repository(project, source):
    repo = checkout(project, "{git: ../source}", path="../beside")
    assert repo.run("run", "get").code == 0
    assert repo.read("../beside/file") == "two\n"


def test_remotes_are_added_corrected_and_otherwise_left(project, source):
    repo = checkout(
        project,
        "{git: ../source, ref: main}",
        more=", remotes: [{name: fork, git: 'https://host.invalid/fork.git'}]",
    )
    repo.run("run", "get")
    git = ["git", "-C", str(repo.path / "libs/x")]
    subprocess.run([*git, "remote", "set-url", "origin", "/else/where"], check=True)
    subprocess.run([*git, "remote", "set-url", "fork", "/else/where"], check=True)
    subprocess.run([*git, "remote", "add", "own", "/my/own"], check=True)
    result = repo.run("run", "get", "--stream")
    assert result.out.endswith(", set remote origin, fork\n")
    listed = subprocess.check_output([*git, "remote", "-v"], text=True)
    assert f"origin\t{source.path} (fetch)" in listed
    assert "fork\thttps://host.invalid/fork.git (fetch)" in listed
    assert "own\t/my/own (fetch)" in listed


def test_a_clean_checkout_follows_a_new_ref_even_one_that_came_later(project, source):
    repo = checkout(project, "{git: ../source, ref: v1}")
    repo.run("run", "get")
    source.write({"file": "four\n"})
    source.git("commit", "-qam", "fourth")
    source.git("tag", "v2")
    repo.write({"ota.yaml": repo.read("ota.yaml").replace("ref: v1", "ref: v2")})
    assert repo.run("run", "get", "--stream").out.startswith("moved libs/x to ")
    assert repo.read("libs/x/file") == "four\n"


def test_local_changes_are_never_overwritten(project, source):
    repo = checkout(project, "{git: ../source, ref: v1}")
    repo.run("run", "get")
    repo.write({"libs/x/file": "my work\n"})
    assert repo.run("run", "get").code == 0
    repo.write({"ota.yaml": repo.read("ota.yaml").replace("ref: v1", "ref: feature")})
    result = repo.run("run", "get")
    assert result.code == 1
    assert "`libs/x` has local changes" in result.err
    assert repo.read("libs/x/file") == "my work\n"


def test_a_commit_that_no_branch_holds_is_not_left_behind(project, source):
    repo = checkout(project, "{git: ../source, ref: v1}")
    repo.run("run", "get")
    git = ["git", "-C", str(repo.path / "libs/x"), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    repo.write({"libs/x/file": "my work\n"})
    subprocess.run([*git, "commit", "-qam", "mine"], check=True)
    mine = subprocess.check_output([*git, "rev-parse", "HEAD"], text=True)
    result = repo.run("run", "get")
    assert result.code == 1
    assert "which no branch holds" in result.err
    assert subprocess.check_output([*git, "rev-parse", "HEAD"], text=True) == mine


@pytest.mark.parametrize("taken", ["libs/x", "libs/x/file"])
def test_something_else_in_the_place_of_a_checkout_is_refused(project, source, taken):
    repo = checkout(project, "{git: ../source, ref: main}")
    repo.write({taken: "mine\n"})
    result = repo.run("run", "get")
    assert result.code == 1
    assert "is no git checkout" in result.err
    assert repo.read(taken) == "mine\n"


@pytest.mark.parametrize(
    ("git_source", "code", "why"),
    [
        ("{git: ../nowhere, ref: main}", 128, "does not exist"),
        ("{git: ../source, ref: nowhere}", 1, "no branch, tag or commit"),
        ("{git: ../source, ref: --force}", 1, "no branch, tag or commit"),
    ],
)
def test_a_source_or_ref_that_is_not_there_leaves_nothing(project, source, git_source, code, why):
    repo = checkout(project, git_source)
    result = repo.run("run", "get")
    assert result.code == code
    assert why in result.err
    assert os.listdir(repo.path / "libs") == []


def test_a_git_hook_s_variables_do_not_lead_git_astray(project, source):
    repo = checkout(project, "{git: ../source, ref: v1}")
    before = source.git("rev-parse", "HEAD", "feature")
    env = {"GIT_DIR": str(source.path / ".git"), "GIT_WORK_TREE": str(source.path), "GIT_INDEX_FILE": "index"}
    assert repo.run("run", "get", env=env).code == 0
    assert repo.read("libs/x/file") == "one\n"
    assert source.git("rev-parse", "HEAD", "feature") == before
    assert source.git("status", "--porcelain") == ""


HANGING = """
real=$(command -v -p git)
case "$1" in
  clone) "$real" "$@"; echo cloned; sleep 300;;
  *) exec "$real" "$@";;
esac
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_clone_leaves_no_half_of_it(project, source, number):
    repo = checkout(project, "{git: ../source, ref: v1}")
    live = repo.start("run", "get", "--stream", env=stand_ins(repo, "git", body=HANGING))
    live.wait_for("cloned")
    assert leftovers(repo.path / "libs") != []
    live.signal(number)
    assert live.finish().code == 128 + number
    assert os.listdir(repo.path / "libs") == []


def test_what_a_killed_run_left_of_a_clone_is_removed_by_the_next_and_a_living_one_s_is_not(project, source):
    repo = checkout(project, "{git: ../source, ref: v1}")
    env = stand_ins(repo, "git", body=HANGING)
    killed = repo.start("run", "get", "--stream", env=env)
    killed.wait_for("cloned")
    os.kill(killed.pid, signal.SIGKILL)
    killed.finish()
    (abandoned,) = leftovers(repo.path / "libs")
    living = repo.start("run", "get", "--stream", env=env)
    living.wait_for("cloned")
    (partial,) = leftovers(repo.path / "libs")
    assert partial != abandoned
    assert repo.run("run", "get").code == 0
    assert repo.read("libs/x/file") == "one\n"
    assert leftovers(repo.path / "libs") == [partial]
    living.signal(signal.SIGTERM)
    living.finish()
    assert os.listdir(repo.path / "libs") == ["x"]


def test_several_checkouts_are_made_in_order_each_with_its_line(project, source):
    repo = project(
        {
            "ota.yaml": contract("""
  get:
    action:
      kind: ensure_git_checkouts
      checkouts:
        - {path: a, source: {git: ../source, ref: v1}}
        - {path: b, source: {git: ../source, ref: feature}}
        - {path: c, source: {git: ../nowhere, ref: v1}}
        - {path: d, source: {git: ../source, ref: v1}}
    effects: {writes: [a, b, c, d]}
""")
        },
        name="consumer",
    )
    result = repo.run("run", "get", "--stream")
    assert result.code == 128
    assert [line.rpartition(" ")[0] for line in result.out.splitlines()] == [
        "checked out a at",
        "checked out b at",
    ]
    assert (repo.read("a/file"), repo.read("b/file")) == ("one\n", "three\n")
    assert not (repo.path / "d").exists()


def test_a_template_becomes_a_repository_of_its_own_and_stays(project, source):
    repo = project(
        {
            "ota.yaml": contract("""
  get:
    action: {kind: ensure_git_template, path: app, source: {git: ../source, ref: v1}}
    effects: {writes: [app]}
""")
        },
        name="consumer",
    )
    assert repo.run("run", "get", "--stream").out.startswith("created app from ")
    assert repo.read("app/file") == "one\n"
    git = ["git", "-C", str(repo.path / "app")]
    assert subprocess.run([*git, "rev-parse", "--verify", "HEAD"], capture_output=True).returncode != 0
    assert subprocess.check_output([*git, "remote"]) == b""
    repo.write({"app/file": "mine\n"})
    assert repo.run("run", "get", "--stream").out == "kept app\n"
    assert repo.read("app/file") == "mine\n"


def test_a_template_is_not_made_outside_the_repository(project, source, tmp_path):
    repo = project(
        {
            "ota.yaml": contract("""
  get:
    action: {kind: ensure_git_template, path: link/app, source: {git: ../source, ref: v1}}
    effects: {writes: [link]}
""")
        },
        name="consumer",
    )
    (tmp_path / "elsewhere").mkdir()
    (repo.path / "link").symlink_to(tmp_path / "elsewhere")
    result = repo.run("run", "get")
    assert result.code == 1
    assert "out of the repository" in result.err
    assert os.listdir(tmp_path / "elsewhere") == []


# --- refused ------------------------------------------------------------------------------------

WRAPPED = contract("""
  wrapped:
    requirements: {tools: {docker: "*"}}
    effects: {network: true, network_kind: dependency_hydration, writes: [vendor]}
    prepare:
      kind: dependency_hydration
      medium: package_dependencies
      source: {kind: composer, cwd: ., compose: {kind: run, service: php}}
""")


def test_a_package_manager_inside_a_compose_service_is_refused_by_name_before_anything_starts(
    project, assert_schema
):
    repo = project({"ota.yaml": WRAPPED})
    result = repo.run("run", "wrapped")
    assert result.code == 1
    assert "compose service `php`" in result.err
    document = repo.run("run", "wrapped", "--json").json
    assert_schema(document, "run")
    assert document["status"] == "blocked"
