"""Every declared fact of every example as documents: valid against the schemas, and deterministic."""

from pathlib import Path

import pytest

from contract.reading import FIXTURES
from ota.contract.model.scalars import PLANES
from ota.errors import ContractError, PlanError
from ota.resolve.documents.env import env_report
from ota.resolve.documents.execution_plan import execution_plan_document
from ota.resolve.documents.preview import preview_document
from ota.resolve.documents.services import services_document
from ota.resolve.documents.tasks import TaskFilter, tasks_document
from ota.resolve.documents.workflows import workflows_document
from ota.resolve.plan import Request
from ota.resolve.planner import plan_run
from resolve.planning import LINUX, MAC, founding, loaded, plan_json, task_json, topology_json
from support.schemas import assert_schema


def is_valid(path: Path) -> bool:
    try:
        loaded(path.read_text(encoding="utf-8"))
    except ContractError:
        return False
    return True


EXAMPLES = [path for path in sorted(FIXTURES.glob("*/*.yaml")) if is_valid(path)]
"""Without those that show a refusal."""


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_example_gives_valid_documents(path: Path) -> None:
    contract = loaded(path.read_text(encoding="utf-8"))
    for host in (LINUX, MAC):
        assert_schema(tasks_document(contract, host), "tasks")
        assert_schema(tasks_document(contract, host, TaskFilter(show_internal=True, with_use=True)), "tasks")
    assert_schema(services_document(contract), "services")
    topology_json(contract)
    document = workflows_document(contract, LINUX)
    assert [each["name"] for each in document["workflows"]] == sorted(contract.contract.workflows.entries)
    assert_schema(env_report(contract, LINUX, {}, lambda _: None).document, "env")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_task_of_every_example_plans_and_previews_on_every_plane(path: Path) -> None:
    contract = loaded(path.read_text(encoding="utf-8"))
    for name in contract.contract.tasks:
        for mode in (None, *PLANES):
            request = Request(task=name, mode=mode)
            plan = plan_run(contract, request, LINUX)
            assert list(plan.steps.values())[-1].relation != "depends_on"
            preview = preview_document(contract, plan, LINUX, {}, lambda _: None)
            assert_schema(preview, "run")
            assert preview["execution_started"] is False
            assert preview["ok"] is (preview["preview_status"] != "BLOCKED")
            try:
                document = execution_plan_document(contract, request, LINUX)
            except PlanError as error:
                assert error.findings
                continue
            assert_schema(document, "execution-plan")
            assert document["resolved"] == preview["resolved"]


def test_documents_are_the_same_each_time() -> None:
    first, second = (
        topology_json(loaded((FIXTURES / "founding/shared-backend.yaml").read_text())) for _ in range(2)
    )
    assert str(first) == str(second)


# --- tasks ---------------------------------------------------------------------------------------

VISIBLE = """
tasks:
  build: {run: make, depends_on: [setup, lint], after_always: [clean]}
  clean: {run: make clean, internal: true}
  lint: {run: make lint, safe_for_agent: true}
  setup: {run: make setup, internal: true}
  all: {aggregate: {tasks: [setup, lint]}}
agent: {safe_tasks: [lint], default_task: lint, verify_after_changes: [lint, setup]}
workflows:
  default: app
  app: {setup: {task: setup}, run: {task: build}}
"""


def test_internal_tasks_vanish_from_lists_and_references() -> None:
    document = tasks_document(loaded(VISIBLE), LINUX)
    assert [task["name"] for task in document["tasks"]] == ["all", "build", "lint"]
    assert task_json(document, "build")["depends_on"] == ["lint"]
    assert task_json(document, "build")["after_always"] == []
    assert task_json(document, "all")["aggregate"] == {"tasks": ["lint"]}
    assert document["agent"]["verify_after_changes"] == ["lint"]
    assert "setup_task" not in document["workflow"]
    assert document["workflow"]["run_task"] == "build"


@pytest.mark.proves("S000-54")
def test_internal_tasks_are_marked_where_they_are_shown() -> None:
    document = tasks_document(loaded(VISIBLE), LINUX, TaskFilter(show_internal=True))
    assert_schema(document, "tasks")
    assert task_json(document, "setup")["internal"] is True
    assert "internal" not in task_json(document, "lint")
    assert task_json(document, "build")["depends_on"] == ["setup", "lint"]


def test_safety_backend_and_workflow_filter_the_list() -> None:
    contract = loaded(
        """
execution:
  contexts:
    host: {backend: native}
    app: {backend: container, lifecycle: ephemeral, container: {image: "node:24"}}
tasks:
  fmt: {run: fmt, context: host, safe_for_agent: true}
  ship: {run: ship, context: app, depends_on: [fmt]}
  stray: {run: stray, context: host}
workflows:
  app: {run: {task: ship}}
"""
    )

    def names(**wanted) -> list[str]:
        document = tasks_document(contract, LINUX, TaskFilter(**wanted))
        assert_schema(document, "tasks")
        return [task["name"] for task in document["tasks"]]

    assert names(safety="safe") == ["fmt"]
    assert names(safety="unsafe") == ["ship", "stray"]
    assert names(via="container") == ["ship"]
    assert names(workflow="app") == ["fmt", "ship"]
    with pytest.raises(PlanError, match="unknown workflow"):
        names(workflow="ap")


def test_use_is_the_command_to_type() -> None:
    contract = loaded(
        """
tasks:
  bump: {run: x, inputs: {release_kind: {required: true, allowed: [patch, minor]}, note: {default: n}}}
  name it: {run: x, inputs: {to: {required: true}}}
"""
    )
    document = tasks_document(contract, LINUX, TaskFilter(with_use=True))
    assert task_json(document, "bump")["use"] == "ota run bump --release-kind patch"
    assert task_json(document, "name it")["use"] == "ota run 'name it' --to <to>"


@pytest.mark.proves("S000-105")
def test_mode_branches_are_listed() -> None:
    document = tasks_document(founding("two-honest-planes"), LINUX)
    assert_schema(document, "tasks")
    start = task_json(document, "start")
    assert [mode["mode"] for mode in start["modes"]] == ["native", "container"]
    native, container = start["modes"]
    assert native["context"] == "host"
    assert native["env"] == {"DB_URL": "jdbc:postgresql://127.0.0.1:5432/app"}
    assert container["lifecycle"] == "persistent"
    assert container["run"] == native["run"] == "mvn spring-boot:run"
    assert container["has_runtime"] is False


@pytest.mark.proves("S002-139")
def test_a_structured_launch_stays_structured() -> None:
    contract = founding("structured-launch")
    for document in (tasks_document(contract, LINUX), topology_json(contract)):
        quickstart, packaged = task_json(document, "quickstart"), task_json(document, "packaged")
        assert quickstart["kind"] == "command"
        assert quickstart["launch"] == {"kind": "command", "exe": "npx", "args": ["n8n"]}
        assert packaged["kind"] == "container"
        assert packaged["launch"]["image"] == "docker.n8n.io/n8nio/n8n"
        assert packaged["launch"]["volumes"] == [
            {"kind": "named", "source": "n8n_data", "target": "/home/node/.n8n"}
        ]
        assert "run" not in quickstart


def test_secret_values_never_stand_in_a_listing() -> None:
    contract = loaded(
        """
env: {vars: {TOKEN: {secret: true}}}
tasks:
  a:
    run: x
    env: {TOKEN: hunter2}
    execution: {modes: {native: {env: {TOKEN: hunter3}}}}
"""
    )
    text = str(tasks_document(contract, LINUX)) + str(topology_json(contract))
    assert "hunter" not in text
    assert "***" in text


def test_variants_show_their_bodies_and_the_one_in_effect() -> None:
    contract = loaded(
        """
tasks:
  open:
    run: xdg-open .
    variants:
      - {when: {os: macos}, run: open .}
      - {when: {os: windows}, env: {A: b}}
"""
    )
    entry = task_json(tasks_document(contract, MAC), "open")
    assert entry["selected_variant_os"] == "macos"
    assert entry["variants"][0] == {"os": "macos", "kind": "run", "run": "open ."}
    assert "selected_variant_os" not in task_json(tasks_document(contract, LINUX), "open")


# --- workflows and services ----------------------------------------------------------------------


def test_a_workflow_resolves_what_it_exposes() -> None:
    contract = loaded(
        """
surfaces: {web: {kind: http, port: 3000, path: /app}}
tasks:
  setup: {run: x}
  dev: {run: x, runtime: {kind: service, surfaces: [web]}}
workflows:
  default: local
  local:
    intent: local_development
    setup: {task: setup}
    run: {task: dev}
    exposes: ["http://127.0.0.1:9000/", {surface: web}]
    readiness: {surfaces: [web]}
"""
    )
    document = workflows_document(contract, LINUX)
    (workflow,) = document["workflows"]
    assert document["default"] == "local"
    assert workflow["default"] is True
    assert workflow["exposes"] == ["http://127.0.0.1:9000/", "http://127.0.0.1:3000/app"]
    assert workflow["expose_surfaces"] == ["web"]
    assert plan_json(contract)["task"] == "dev"


def test_services_show_declared_facts() -> None:
    contract = loaded(
        """
execution: {contexts: {host: {backend: native}}}
services:
  legacy: {provider: brew, start: s, stop: t, healthcheck: h, timeout: 1500}
  postgres:
    required: true
    manager: {kind: compose, name: local, file: c.yaml, service: postgres}
    endpoints: {host: {address: 127.0.0.1, port: 5432}}
    readiness: {from: host, kind: tcp, timeout: 3s}
"""
    )
    document = services_document(contract)
    assert_schema(document, "services")
    legacy, postgres = document["services"]
    assert legacy["timeout"] == 2
    assert postgres["manager"] == {
        "kind": "compose",
        "name": "local",
        "file": "c.yaml",
        "service": "postgres",
        "start": "docker compose -f c.yaml -p local up -d postgres",
        "stop": "docker compose -f c.yaml -p local stop postgres",
    }
    assert postgres["endpoints"] == {"host": {"address": "127.0.0.1", "port": 5432}}
    assert postgres["readiness"] == {"from": "host", "kind": "tcp", "timeout": "3s"}
