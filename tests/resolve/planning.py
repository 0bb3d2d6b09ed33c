"""Planning in tests: a contract's text in, plans and documents out, on a host of the test's choosing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contract.reading import FIXTURES, HEAD
from ota.contract.load import Loaded, load_bytes
from ota.errors import Finding
from ota.resolve.documents.execution_plan import execution_plan_document
from ota.resolve.documents.topology import topology_document
from ota.resolve.plan import Plan, Request, TaskPlan
from ota.resolve.planner import plan_run
from ota.system.host import HostFacts
from support.schemas import assert_schema

LINUX = HostFacts(os="linux", arch="x64", uid=1000, gid=1000, home="/home/dev", user="dev")
MAC = HostFacts(os="macos", arch="arm64", uid=501, gid=20, home="/Users/dev", user="dev")
ROOT = Path("/repo")


def loaded(text: str) -> Loaded:
    """A valid contract; `version` and `project` are added when the text leaves them out."""
    full = text if text.lstrip().startswith(("version:", "#")) else HEAD + text
    return load_bytes(full.encode(), ROOT / "ota.yaml", "./ota.yaml")


def founding(name: str) -> Loaded:
    """One of the founding examples."""
    return loaded((FIXTURES / "founding" / f"{name}.yaml").read_text(encoding="utf-8"))


def plan(source: str | Loaded, task: str, host: HostFacts = LINUX, **asked: Any) -> Plan:
    """The plan of one task."""
    contract = loaded(source) if isinstance(source, str) else source
    return plan_run(contract, Request(task=task, **asked), host)


def task_plan(source: str | Loaded, task: str, host: HostFacts = LINUX, **asked: Any) -> TaskPlan:
    """The requested task's own plan."""
    return plan(source, task, host, **asked).requested_step.task


def refused(source: str | Loaded, task: str, host: HostFacts = LINUX, **asked: Any) -> Finding:
    """The one refusal of a plan."""
    found = plan(source, task, host, **asked).refusals()
    assert len(found) == 1, found
    return found[0]


def plan_json(source: str | Loaded, task: str | None = None, **asked: Any) -> dict[str, Any]:
    """The `execution plan` document, checked against its schema."""
    contract = loaded(source) if isinstance(source, str) else source
    document = execution_plan_document(contract, Request(task=task, **asked), LINUX)
    assert_schema(document, "execution-plan")
    return document


def topology_json(source: str | Loaded) -> dict[str, Any]:
    """The `execution topology` document, checked against its schema."""
    contract = loaded(source) if isinstance(source, str) else source
    document = topology_document(contract, LINUX)
    assert_schema(document, "execution-topology")
    return document


def task_json(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """One task of a document."""
    (found,) = [task for task in document["tasks"] if task["name"] == name]
    return dict(found)
