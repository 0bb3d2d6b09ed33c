"""Fixtures every test may use, the leak check that watches every test, and the record of what tests prove."""

import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from support.leaks import MARK, Starts, left_behind
from support.project import SOURCE, Project
from support.schemas import assert_schema as check_schema

pytest_plugins = ["support.parallel", "support.engines"]

# Children of tests import the code of this checkout, installed or not.
os.environ["PYTHONPATH"] = str(SOURCE)
# And they keep what they compile, whatever the caller's shell says: each start of ota would pay for it anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

MakeProject = Callable[..., Project]


starts = Starts()


@pytest.fixture(autouse=True)
def no_process_left_behind() -> Iterator[None]:
    """Fail the test that leaves a process behind; the leftover is killed."""
    mark = uuid.uuid4().hex
    os.environ[MARK] = mark
    starts.forget()
    yield
    del os.environ[MARK]
    if starts.before is not None and (left := left_behind(mark, starts.before)):
        pytest.fail("processes left behind:\n  " + "\n  ".join(left), pytrace=False)


@pytest.fixture
def project(tmp_path: Path, no_process_left_behind: None) -> Iterator[MakeProject]:
    """Make a repository in a folder: `project({"ota.yaml": ...}).run("validate", "--json")`."""
    made: list[Project] = []

    def make(
        files: Mapping[str, str | bytes] | None = None, *, name: str = "repo", git: bool = False
    ) -> Project:
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        path = tmp_path / (name if not made else f"{name}-{len(made) + 1}")
        path.mkdir()
        new = Project(path, home)
        made.append(new)
        new.write(files or {})
        if git:
            new.git("init", "-q")
            new.git("add", "-A")
            new.git("commit", "-q", "--allow-empty", "-m", "first")
        return new

    yield make
    for each in made:
        each.discard()


@pytest.fixture
def assert_schema() -> Callable[[object, str], None]:
    """Check a document against the published schema of a command: `assert_schema(result.json, "run")`."""
    return check_schema


ROWS = "proves"

# What a run of the suite showed, for `ota run proofs` and for the closing line of CI.


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", metavar="FILE", help="write the result and the proved rows to FILE (JSON)")


# Before the selection by marks is made.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs the real command, and give each test's rows to its reports.

    Reports are the one thing that also comes from tests in other processes.
    """
    for item in items:
        if "project" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.edge)
        if rows := {str(row) for mark in item.iter_markers("proves") for row in mark.args}:
            item.user_properties.append((ROWS, sorted(rows)))


class Recorder:
    """Counts outcomes, and keeps the outcome of every test that carries a `proves` mark."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[str, list[str]] = {}
        self._outcomes: dict[str, str] = {}
        self._broken: set[str] = set()

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._broken.add(report.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # One test reports three times (setup, call, teardown): the worst of them is its outcome.
        if report.outcome != "passed" or (report.when == "call" and report.nodeid not in self._outcomes):
            self._outcomes[report.nodeid] = report.outcome
        for name, value in report.user_properties:
            if name == ROWS and isinstance(value, list):
                self._rows[report.nodeid] = value

    def pytest_sessionfinish(self) -> None:
        outcomes = list(self._outcomes.values())
        failed = outcomes.count("failed") + len(self._broken)
        tests: list[dict[str, Any]] = [
            {"test": test, "rows": rows, "outcome": self._outcomes.get(test, "not run")}
            for test, rows in sorted(self._rows.items())
        ]
        record = {"closing": f"{outcomes.count('passed')} passed, {failed} failed", "tests": tests}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        partial.replace(self._path)


def pytest_configure(config: pytest.Config) -> None:
    # How long an example takes says more about the machine than about the code.
    hypothesis.settings.register_profile(
        "suite", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("suite")
    path = config.getoption("--record")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(Path(path)), "recorder")
