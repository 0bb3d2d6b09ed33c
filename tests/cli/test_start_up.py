"""What a command imports. Time is not asserted anywhere; this keeps it from growing unseen."""

import subprocess
import sys
from pathlib import Path

import pytest

CONTRACT = """
version: 1
project: {name: demo}
tasks:
  noop: {run: ":"}
  noop-command: {command: {exe: "true"}}
"""
NEVER = (
    "asyncio",
    "inspect",
    "difflib",
    "multiprocessing",
    "subprocess",
    "runpy",
    "http",
    "socket",
    "unittest",
)
LEFT_OUT = ("msgspec.inspect", "msgspec._json_schema", "ipaddress", "yaml.reader", "yaml.resolver")
READING = ("yaml", "ota.source.tree", "ota.contract.parse", "ota.contract.proof", "ota.contract.rules")
OF_SOME_TASKS = (
    "ota.readiness",
    "ota.requirements",
    "ota.execute.service",
    "ota.execute.actions",
    "ota.env.dotenv",
    "ota.diagnose",
)
SOURCE = Path(__file__).resolve().parents[2] / "src"


def imported(folder: Path, *arguments: str) -> set[str]:
    """Every module that one command line imports in an environment of what ota needs to run."""
    development = folder / "not-installed"
    development.mkdir(exist_ok=True)
    # msgspec takes it when it is there, and it is: other tools of this environment need it
    (development / "typing_extensions.py").write_text("raise ImportError")
    script = f"{SOURCE}/ota/__main__.py"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", script, *arguments],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{development}:{SOURCE}", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


def among(modules: set[str], unwanted: tuple[str, ...]) -> set[str]:
    return {name for name in modules for room in unwanted if name == room or name.startswith(room + ".")}


@pytest.fixture
def warm(tmp_path: Path) -> Path:
    """A repository whose contract an earlier run has proven."""
    (tmp_path / "ota.yaml").write_text(CONTRACT)
    imported(tmp_path, "run", "noop")
    return tmp_path


def test_the_version_needs_neither_records_nor_yaml(tmp_path: Path) -> None:
    modules = imported(tmp_path, "--version")
    assert not among(modules, ("msgspec", "yaml", "typing", "re", "pathlib", *NEVER))


def test_help_needs_no_contract(tmp_path: Path) -> None:
    assert not among(imported(tmp_path, "--help"), ("yaml", "ota.contract", "ota.execute", *NEVER))


def test_a_plain_run_of_a_known_contract_imports_only_what_it_uses(warm: Path) -> None:
    modules = imported(warm, "run", "noop")
    assert "ota.execute.run" in modules
    assert not among(modules, (*NEVER, *READING, *OF_SOME_TASKS, *LEFT_OUT))


def test_a_command_adds_only_the_look_for_its_program(warm: Path) -> None:
    added = imported(warm, "run", "noop-command") - imported(warm, "run", "noop")
    assert all(name.startswith("ota.requirements") for name in added if name.startswith("ota."))


@pytest.mark.parametrize("line", ["validate", "validate --json", "tasks", "tasks --json", "workflows"])
def test_a_known_contract_is_not_read_again(line: str, warm: Path) -> None:
    modules = imported(warm, *line.split())
    assert not among(modules, (*NEVER, *READING, *LEFT_OUT, "ota.execute"))


def test_proving_a_contract_does_not_import_what_runs_it(tmp_path: Path) -> None:
    (tmp_path / "ota.yaml").write_text(CONTRACT)
    modules = imported(tmp_path, "validate")
    assert "ota.contract.rules" in modules
    assert not among(modules, (*NEVER, *LEFT_OUT, "ota.execute", "ota.resolve", "ota.readiness"))


STARTING = ("ota.system.spawn", "ota.system.workload", "ota.system.processes", "ota.system.journal")
OF_CHECKS = ("ota.env.dotenv", "ota.backends", "ota.readiness.named", *NEVER)


def test_a_diagnosis_that_starts_nothing_pays_for_no_process(tmp_path: Path) -> None:
    file = "checks: [{name: here, kind: file, severity: error, path: ota.yaml}]\n"
    (tmp_path / "ota.yaml").write_text(CONTRACT + file)
    checked = imported(tmp_path, "check")
    assert not among(checked, ("threading", "ota.requirements", "ota.resolve.planner", *OF_CHECKS, *STARTING))
    unused = (
        "ota.requirements.versions",
        "ota.system.workload",
        "ota.backends",
        "ota.resolve.documents.preview",
    )
    assert not among(imported(tmp_path, "doctor"), unused)
