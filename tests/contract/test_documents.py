"""The examples of the founding documents, and the snippets of the specification's appendix C.

A fixture holds the example as written; what it leaves to its surroundings stands under `# supplied`.
"""

from pathlib import Path

import pytest

from contract.reading import FIXTURES, HEAD, codes, loaded
from ota.contract.inherit import merged_contexts
from ota.contract.model import Contract
from ota.contract.model.execution import Context
from ota.contract.planes import Planes
from ota.errors import ContractError
from resolve.planning import founding, plan_json

FOUNDING = FIXTURES / "founding"
APPENDIX = FIXTURES / "appendix"

INVALID = {
    "execution-contexts-alone": ["OTA_V057"],
    "honest-topology": ["OTA_V271"],
    "invalid-extends": ["OTA_V043"],
}
"""Examples that show a refusal, or that are excerpts and are refused without what they leave out."""


def read(name: str, folder: Path = FOUNDING) -> str:
    return (folder / f"{name}.yaml").read_text(encoding="utf-8")


def contract_of(name: str) -> Contract:
    return loaded(read(name)).contract


def changed(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


def contexts_of(contract: Contract) -> dict[str, Context]:
    assert contract.execution is not None
    return merged_contexts(contract.execution.contexts)


@pytest.mark.parametrize("path", sorted(FOUNDING.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_read_as_the_documents_say(path: Path) -> None:
    assert codes(path.read_text(encoding="utf-8")) == INVALID.get(path.stem, [])


@pytest.mark.proves("S001-13")
def test_the_execution_contexts_example_parses() -> None:
    contract = contract_of("execution-contexts")
    assert contract.execution is not None
    assert contract.execution.default_context == "app"
    assert sorted(contract.execution.contexts) == ["app", "host", "host-dev"]


@pytest.mark.proves("S001-15")
def test_the_execution_contexts_example_needs_its_compose_manager() -> None:
    assert codes(read("execution-contexts")) == []
    with pytest.raises(ContractError) as caught:
        loaded(read("execution-contexts-alone"))
    (finding,) = caught.value.findings
    assert finding.code == "OTA_V057"
    assert finding.place is not None
    assert finding.place.field.startswith("execution.contexts.app.attachments.compose")
    assert "`local`" in finding.summary


def test_a_child_context_merges_the_requirements_of_its_parent() -> None:
    child = contexts_of(contract_of("execution-contexts"))["host-dev"]
    assert child.backend == "native"
    assert child.requirements is not None
    assert sorted(child.requirements.tools) == ["docker", "lsof", "npm", "poetry"]
    assert {name: need.version for name, need in child.requirements.runtimes.items()} == {
        "python": ">=3.12,<3.14",
        "node": "^22.12.0",
    }


@pytest.mark.proves("S001-19")
def test_the_split_host_context_example_validates_with_colons_in_names() -> None:
    contract = contract_of("split-host-context")
    assert list(contract.tasks) == ["setup:config-basic", "build", "test:frontend"]


@pytest.mark.proves("S001-24")
def test_the_tasks_workloads_services_example_validates() -> None:
    contract = contract_of("tasks-workloads-services")
    assert list(contract.tasks) == ["compose:up", "setup", "db:integration", "dev"]
    assert list(contract.services) == ["postgres"]


@pytest.mark.proves("S001-44")
def test_the_isolated_paths_example_validates_as_it_stands() -> None:
    contract = contract_of("isolated-paths")
    app = contexts_of(contract)["app"]
    assert app.attachments is not None
    assert app.attachments.isolated_paths == ("node_modules",)


@pytest.mark.proves("S001-83")
def test_the_expanded_listener_example_validates_below_a_service_task() -> None:
    assert codes(read("expanded-listener")) == []


def test_the_expanded_listener_is_the_shorthand() -> None:
    assert contract_of("expanded-listener").tasks == contract_of("http-shorthand").tasks


@pytest.mark.proves("S001-93")
def test_the_task_owned_projection_example_validates_in_a_container_context() -> None:
    runtime = contract_of("task-owned-projection").tasks["dev"].runtime
    assert runtime is not None
    hosts = {name: listener.host for name, listener in runtime.listeners.items()}
    assert {name: host.primary for name, host in hosts.items() if host} == {"http": True, "metrics": False}


@pytest.mark.proves("S001-96")
def test_the_task_owned_projection_needs_exactly_one_primary() -> None:
    text = read("task-owned-projection")
    primary = "              primary: true\n"
    assert codes(changed(text, primary, "")) == ["OTA_V433"]
    second = text.rindex("              port:\n")
    assert codes(text[:second] + primary + text[second:]) == ["OTA_V434"]


@pytest.mark.proves("S003-117")
def test_the_literal_url_probe_example_validates_without_a_default_workflow() -> None:
    contract = contract_of("literal-url-probe")
    assert contract.workflows.default is None
    assert list(contract.workflows.entries) == ["backend"]
    assert contract.readiness.probes["backend-ready"].headers == {"x-ota-probe": "external"}


@pytest.mark.proves("S000-47")
def test_a_task_is_visible_unless_it_says_internal() -> None:
    tasks = contract_of("isolated-paths").tasks
    assert tasks["setup"].internal is True
    assert tasks["dev"].internal is False


@pytest.mark.proves("S000-66")
@pytest.mark.proves("S000-67")
@pytest.mark.proves("S001-55")
def test_a_container_context_declares_memory() -> None:
    app = contexts_of(contract_of("container-memory"))["app"]
    assert app.container is not None
    assert app.container.resources is not None
    memory = app.container.resources.memory
    assert (memory.minimum, memory.default) == ("2GiB", "2GiB")
    for line in ("            minimum: 2GiB\n", "            default: 2GiB\n"):
        assert codes(changed(read("container-memory"), line, "")) == []


@pytest.mark.proves("S000-130")
def test_a_task_declares_a_workload() -> None:
    runtime = contract_of("http-shorthand").tasks["dev"].runtime
    assert runtime is not None
    assert runtime.kind == "service"
    assert codes(changed(read("http-shorthand"), "kind: service", "kind: job")) == ["OTA_P03"]


@pytest.mark.proves("S001-48")
def test_shorthand_covers_fixed_loopback_http_and_tcp_listeners() -> None:
    for name, listener, protocol, port in (
        ("http-shorthand", "web", "http", 3000),
        ("tcp-shorthand", "redis", "tcp", 6379),
    ):
        (task,) = contract_of(name).tasks.values()
        assert task.runtime is not None
        made = task.runtime.listeners[listener]
        assert made.protocol == protocol
        assert (made.bind.address, made.bind.port.mode, made.bind.port.value) == ("127.0.0.1", "fixed", port)
        assert made.host is not None
        assert (made.host.address, made.host.port.mode, made.host.port.value) == ("127.0.0.1", "fixed", port)
        assert made.host.path == ("/" if protocol == "http" else None)


BOX = "execution: {contexts: {box: {backend: container, lifecycle: persistent, container: {image: n}}}}\n"
LISTENER = "protocol: http, bind: {address: 0.0.0.0, port: {mode: fixed, value: 3000}}"


@pytest.mark.proves("S001-49")
@pytest.mark.parametrize(
    ("context", "listeners"),
    [
        pytest.param("", f"h: {{{LISTENER}}}", id="custom-bind-address"),
        pytest.param(
            "context: box, ",
            f"h: {{{LISTENER}, project: {{host: {{address: 127.0.0.1, port: {{mode: fixed, value: 80}}}}}}}}",
            id="container-publication",
        ),
        pytest.param(
            "",
            f"h: {{{LISTENER}, project: {{host: {{address: 127.0.0.1, port: {{mode: auto}}}}}}}}",
            id="auto-host-port",
        ),
        pytest.param(
            "",
            f"h: {{{LISTENER}, project: {{host: {{address: 127.0.0.1, port: {{mode: auto}}, path: /app}}}}}}",
            id="path",
        ),
        pytest.param(
            "",
            f"h: {{{LISTENER}, project: {{host: {{address: '::1', port: {{mode: auto}}, primary: true}}}}}}, "
            "g: {http: 3001}",
            id="primary-and-several",
        ),
    ],
)
def test_the_full_listener_form_covers_what_shorthand_cannot(context: str, listeners: str) -> None:
    task = f"tasks: {{a: {{run: x, {context}runtime: {{kind: service, listeners: {{{listeners}}}}}}}}}\n"
    assert codes(HEAD + BOX + task) == []


@pytest.mark.proves("S001-69")
def test_a_container_task_may_leave_its_host_port_to_ota() -> None:
    listener = contract_of("container-bind-host-url").tasks["dev"]
    assert listener.runtime is not None
    host = listener.runtime.listeners["http"].host
    assert host is not None
    assert host.port.mode == "auto"


@pytest.mark.proves("S001-159")
def test_the_execution_context_foundation_is_accepted() -> None:
    contract = contract_of("tasks-workloads-services")
    assert contract.execution is not None
    assert contract.execution.default_context == "app"
    assert contract.execution.contexts["app"].requirements is not None
    assert contract.tasks["compose:up"].context == "host"
    assert contract.tasks["dev"].requires_services == ("postgres",)


@pytest.mark.proves("S002-35")
def test_a_child_context_may_omit_or_repeat_the_backend_of_its_parent() -> None:
    text = read("pattern-3")
    assert codes(text) == []
    repeated = changed(
        text, "      extends: node-base\n", "      extends: node-base\n      backend: container\n"
    )
    assert codes(repeated) == []
    assert contexts_of(loaded(repeated).contract) == contexts_of(loaded(text).contract)


def test_pattern_3_inherits_the_image_and_keeps_memory_apart() -> None:
    contexts = contexts_of(contract_of("pattern-3"))
    for name in ("development", "verify"):
        container = contexts[name].container
        assert container is not None
        assert container.image == "node:24-bookworm"
    development, verify = contexts["development"].container, contexts["verify"].container
    assert development is not None
    assert development.resources is not None
    assert (development.resources.memory.minimum, development.resources.memory.default) == ("2GiB", "3GiB")
    assert verify is not None
    assert verify.resources is None


def test_the_host_and_app_example_chooses_planes() -> None:
    contract = contract_of("default-context-first")
    planes = Planes(contract)
    chosen = {name: planes.choose(task) for name, task in contract.tasks.items()}
    assert {name: (choice.plane, choice.name) for name, choice in chosen.items()} == {
        "setup": ("container", "app"),
        "test": ("container", "app"),
        "compose:up": ("native", "host"),
    }
    assert chosen["test"].lifecycle == "persistent"
    assert chosen["test"].context.container is not None
    assert chosen["test"].context.container.image == "node:24-bookworm"


def test_the_honest_topology_example_validates_once_it_has_a_body() -> None:
    text = changed(
        read("honest-topology"), "    context: app\n", "    context: app\n    run: ./gradlew bootRun\n"
    )
    assert codes(text) == []


def test_the_two_spellings_of_attached_surfaces_stand_side_by_side() -> None:
    tasks = contract_of("structured-launch").tasks
    for name in ("quickstart", "packaged"):
        runtime = tasks[name].runtime
        assert runtime is not None
        assert [attachment.name for attachment in runtime.surfaces] == ["backend"]


# --- appendix C ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("c01", ["OTA_V043"]),
        ("c02", ["OTA_V022"]),
        ("c03", []),
        ("c04", ["OTA_P05"]),
        ("c05", ["OTA_V433", "OTA_V437"]),
        ("c06", []),
        ("c07", ["OTA_V408"]),
        ("c08", ["OTA_V082"]),
        ("c09", ["OTA_V233"]),
        ("c10", ["OTA_V173", "OTA_V184"]),
        ("c11", []),
        ("c12", []),
    ],
)
def test_a_snippet_of_appendix_c_is_judged_as_it_says(name: str, expected: list[str]) -> None:
    assert sorted(codes(read(name, APPENDIX))) == expected


def test_c3_replaces_lists_and_merges_maps() -> None:
    ci = contexts_of(loaded(read("c03", APPENDIX)).contract)["ci"]
    assert ci.env == {"A": "1", "B": "2"}
    assert ci.attachments is not None
    assert ci.attachments.isolated_paths == (".venv",)
    assert ci.container is not None
    assert ci.container.image == "python:3.12"
    assert ci.container.resources is not None
    assert (ci.container.resources.memory.minimum, ci.container.resources.memory.default) == ("1GiB", "2GiB")


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        pytest.param("c02", "  preferred: container\n", "", [], id="c02-without-preferred"),
        pytest.param("c05", "    context: box\n", "", ["OTA_V433"], id="c05-native"),
        pytest.param("c07", "address_view: internal", "address_view: host", [], id="c07-host-view"),
        pytest.param("c08", "{http: {http: 8080}}", "{http: {http: 8081}}", [], id="c08-other-port"),
        pytest.param("c12", "DATABASE_URL: {secret: true}", "DATABASE_URL: {}", ["OTA_V378"], id="c12-url"),
        pytest.param(
            "c12", "DB_PASS: {required: true, secret: true}", "DB_PASS: {}", ["OTA_V379"], id="c12-password"
        ),
    ],
)
def test_the_neighbour_of_a_snippet_is_judged_as_it_says(
    name: str, old: str, new: str, expected: list[str]
) -> None:
    assert codes(changed(read(name, APPENDIX), old, new)) == expected


# --- what the plan makes of workflows --------------------------------------------------------------


@pytest.mark.proves("S003-69")
@pytest.mark.proves("S003-63")
def test_the_default_workflow_is_the_baseline_of_the_plan() -> None:
    document = plan_json(founding("workflow-readiness"))
    assert document["workflow"]["name"] == "app"
    assert document["workflow"]["default"] is True
    assert document["task"] == "dev"
    other = changed(
        read("workflow-readiness"),
        "workflows:\n  default: app\n",
        "workflows:\n  default: other\n  other: {run: {task: setup}}\n",
    )
    assert plan_json(other)["task"] == "setup"


@pytest.mark.proves("S003-64")
def test_without_a_default_workflow_the_plan_takes_the_repo_wide_path() -> None:
    text = changed(read("workflow-readiness"), "  default: app\n", "")
    assert codes(text) == []
    document = plan_json(text)
    assert document.get("workflow") is None
    assert plan_json(text, workflow="app")["workflow"]["name"] == "app"
