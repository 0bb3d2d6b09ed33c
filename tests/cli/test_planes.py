"""Branches, inherited contexts and task names with colons, as the commands show them."""

import pytest

from cli.transcripts import assert_transcript
from ota.cli.catalogue import COMMANDS
from ota.cli.completion import candidates

pytestmark = pytest.mark.edge

TWO_PLANES = """version: 1
project: {name: shop}
execution:
  default_context: app
  contexts:
    host: {backend: native}
    app: {backend: container, lifecycle: ephemeral, container: {image: "node:24-bookworm"}}
tasks:
  start:
    execution:
      default_mode: container
      modes:
        native:
          context: host
          env: {DB_URL: "postgres://127.0.0.1/app"}
          run: npm run dev
          runtime: {kind: service, listeners: {http: {http: 3000}}}
        container:
          context: app
          lifecycle: persistent
          env: {DB_URL: "postgres://postgres/app", SERVER_ADDRESS: 0.0.0.0}
          script: |
            npm ci
            npm run dev
          runtime:
            kind: service
            listeners:
              http:
                protocol: http
                bind: {address: 0.0.0.0, port: {mode: fixed, value: 3000}}
                project: {host: {address: 127.0.0.1, port: {mode: auto}, path: /}}
"""

MIXED_FAMILY = """version: 1
project: {name: shop}
execution:
  default_context: app
  contexts:
    host: {backend: native}
    app:
      extends: host
      backend: container
      lifecycle: ephemeral
      container: {image: "node:24-bookworm"}
tasks: {dev: {run: touch started}}
"""

COLONS = """version: 1
project: {name: shop}
tasks:
  "compose:up": {run: "echo up"}
  "clean:start": {run: "echo start", depends_on: ["compose:up"]}
  "probe:api": {run: "echo probe"}
"""


@pytest.mark.proves("S002-49")
def test_branch_differences_can_be_reviewed(project, assert_schema):
    repo = project({"ota.yaml": TWO_PLANES})
    assert_transcript("branches", repo, "tasks")
    listed = repo.run("tasks", "--json").json
    assert_schema(listed, "tasks")
    topology = repo.run("execution", "topology", "--json").json
    assert_schema(topology, "execution-topology")
    (task,), (declared,) = listed["tasks"], topology["tasks"]
    native, container = task["modes"]
    assert (native["context"], native["run"]) == ("host", "npm run dev")
    assert native["env"] == {"DB_URL": "postgres://127.0.0.1/app"}
    assert (container["context"], container["lifecycle"]) == ("app", "persistent")
    assert container["script"] == "npm ci\nnpm run dev\n"
    assert container["env"]["SERVER_ADDRESS"] == "0.0.0.0"
    assert native["has_runtime"] and container["has_runtime"]
    for branch, detailed in zip(task["modes"], declared["modes"], strict=True):
        runtime = detailed.pop("runtime")
        assert detailed == branch
        assert runtime["listeners"]["http"]["bind_port_value"] == 3000


FAMILY_READERS = [each for each in COMMANDS if each.name not in ("schema", "version", "completion")]


@pytest.mark.proves("S002-41")
@pytest.mark.parametrize("command", FAMILY_READERS, ids=[each.name for each in FAMILY_READERS])
def test_a_child_context_of_another_family_is_refused_with_that_one_error(project, command):
    repo = project({"ota.yaml": MIXED_FAMILY})
    task = ["dev"] if command.takes_inputs else []
    done = repo.run(*command.name.split(), *task)
    assert (done.code, done.out) == (1, "")
    assert done.err.count("ERROR") == 1
    assert "Field: execution.contexts.app" in done.err
    assert "`app`" in done.err
    assert "`host`" in done.err
    assert not (repo.path / "started").exists()
    assert not (repo.path / ".ota").exists()


@pytest.mark.proves("S002-22")
def test_task_names_with_colons_work_everywhere(project, assert_schema, monkeypatch):
    repo = project({"ota.yaml": COLONS})
    done = repo.run("run", "clean:start", "--json")
    assert done.code == 0
    assert_schema(done.json, "run")
    assert [step["label"] for step in done.json["receipt"]["steps"]] == ["compose:up", "clean:start"]
    listed = repo.run("tasks", "--json").json
    assert [each["name"] for each in listed["tasks"]] == ["clean:start", "compose:up", "probe:api"]
    assert listed["tasks"][0]["depends_on"] == ["compose:up"]
    assert "Command: `ota run probe:api`" in repo.run("tasks", "--use").out
    monkeypatch.chdir(repo.path)
    assert [value for value, _ in candidates(["run", ""])] == ["clean:start", "compose:up", "probe:api"]
    assert [value for value, _ in candidates(["run", "compose:"])] == ["compose:up"]
