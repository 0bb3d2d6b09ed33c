"""`tools/proofs.py`: rows proved, unproved, failing, and claims that name no row."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.edge

TOOL = Path(__file__).resolve().parents[2] / "tools" / "proofs.py"
CHECKLIST = """# Rows

| id | statement | spec place | issue | proof |
|---|---|---|---|---|
| A-1 | shown | x | 2 | y |
| A-2 | shown and broken, `a\\|b` | x | 2 | y |
| A-3 | nobody claims this | x | 2 | y |
| A-4, B-1 | later | x | 3 | y |

| other | table |
|---|---|
| A-9 | is no row |
"""
RECORD = {
    "closing": "2 passed, 1 failed",
    "tests": [
        {"test": "t::one", "rows": ["A-1", "A-2"], "outcome": "passed"},
        {"test": "t::two", "rows": ["A-2"], "outcome": "failed"},
        {"test": "t::three", "rows": ["A-9"], "outcome": "passed"},
        {"test": "t::four", "rows": ["A-3"], "outcome": "not run"},
    ],
}


@pytest.fixture
def run(tmp_path):
    """Run a copy of the tool beside a checklist and a recorded test run."""
    copy = tmp_path / "checkout" / "tools" / "proofs.py"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(TOOL.read_bytes())
    (tmp_path / "spec").mkdir()
    (tmp_path / "spec" / "checklist-a.md").write_text(CHECKLIST)
    record = tmp_path / "checkout" / "build" / "tests" / "record.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps(RECORD))

    def run(*args):
        command = [sys.executable, str(copy), "--reuse", "yes", *args]
        return subprocess.run(command, capture_output=True, text=True)

    return run


def test_rows_are_counted_and_listed_by_what_their_tests_showed(run):
    done = run("--issue", "2")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "3 rows of issue 2: 1 proved, 1 unproved, 1 failing",
        "1 marks that name no row",
        "",
        "Proved",
        "  A-1  shown",
        "",
        "Unproved",
        "  A-3  nobody claims this",
        "",
        "Failing",
        "  A-2  t::two",
        "",
        "Marks that name no row",
        "  A-9  t::three",
    ]


def test_another_issue_has_rows_of_its_own_and_one_statement_may_have_two_ids(run):
    done = run("--issue", "3").stdout
    assert done.startswith("2 rows of issue 3: 0 proved, 2 unproved, 0 failing\n")
    assert "  A-4  later\n  B-1  later\n" in done


def test_a_folder_without_checklists_is_refused(run, tmp_path):
    done = run("--folder", str(tmp_path))
    assert done.returncode == 1
    assert "no checklist-*.md in" in done.stderr
