"""Sets the acceptance rows of a checklist against the tests that prove them.

A checklist is a Markdown file `checklist-*.md` with tables that have the columns `id` and `issue`. A test
claims rows with `@pytest.mark.proves("S001-07")`. A row is proved when at least one of its tests passed and
none failed; a skipped test proves nothing.

    python tools/proofs.py [--folder DIR] [--issue N] [--reuse yes]

Without `--folder` the checklists are looked for in `docs/` and in `spec` folders beside the checkout.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LAST_RECORD = ROOT / "build" / "tests" / "record.json"
OWN_RECORD = ROOT / "build" / "tests" / "proofs.json"
PATTERN = "checklist-*.md"
SHOWN_WIDTH = 100


@dataclass(frozen=True)
class Row:
    """One statement of a checklist."""

    id: str
    statement: str
    issue: str


@dataclass
class Claims:
    """The tests that claim one row, by outcome."""

    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def find_folder(named: str) -> Path | None:
    """The folder given, or the first place near the checkout that holds a checklist."""
    if named:
        return Path(named)
    near = [ROOT / "docs", ROOT.parent / "spec", *sorted(ROOT.parent.glob("*/spec"))]
    return next((folder for folder in near if any(folder.glob(PATTERN))), None)


def cells(line: str) -> list[str]:
    """The cells of one table line; `\\|` inside a cell is a bar."""
    bar = "\0"
    return [cell.strip().replace(bar, "|") for cell in line.strip().strip("|").replace("\\|", bar).split("|")]


def read_rows(text: str) -> Iterator[Row]:
    """Every row of every table that has the columns `id` and `issue`, once for each of its ids."""
    columns: list[str] = []
    for line in text.splitlines():
        if not line.lstrip().startswith("|"):
            columns = []
            continue
        values = cells(line)
        if not columns:
            columns = [value.lower() for value in values]
        elif {"id", "issue"} <= set(columns) and not set(line) <= set("|-: "):
            row = dict(zip(columns, values, strict=False))
            for name in row["id"].split(","):
                yield Row(name.strip().strip("`"), row.get("statement", ""), row["issue"])


def read_claims(record: Path) -> dict[str, Claims]:
    """Row id to the tests that name it."""
    claims: dict[str, Claims] = {}
    for test in json.loads(record.read_text(encoding="utf-8"))["tests"]:
        for row in test["rows"]:
            claim = claims.setdefault(row, Claims())
            if test["outcome"] == "passed":
                claim.passed.append(test["test"])
            elif test["outcome"] == "failed":
                claim.failed.append(test["test"])
    return claims


def run_marked_tests() -> None:
    """Run the tests that claim a row, with engines if some are up; its output goes to standard error."""
    command = [sys.executable, "-m", "pytest", "-n", "auto", "-m", "proves", f"--record={OWN_RECORD}"]
    OWN_RECORD.unlink(missing_ok=True)
    subprocess.run(command, cwd=ROOT, stdout=sys.stderr)


def shortened(text: str) -> str:
    return text if len(text) <= SHOWN_WIDTH else text[: SHOWN_WIDTH - 1] + "…"


def tests_of(claim: Claims) -> list[str]:
    return claim.passed + claim.failed


def print_list(title: str, lines: list[str]) -> None:
    if lines:
        print(f"\n{title}")
        for line in lines:
            print(f"  {line}")


def report(rows: list[Row], claims: dict[str, Claims], issue: str, known: set[str]) -> int:
    """Print counts and lists; 1 when a claim is false (its test fails, or the row does not exist)."""
    nobody = Claims()
    by_row = [(row, claims.get(row.id, nobody)) for row in rows]
    proved = [row for row, claim in by_row if claim.passed and not claim.failed]
    failing = [row for row, claim in by_row if claim.failed]
    unproved = [row for row, claim in by_row if not claim.passed and not claim.failed]
    unknown = sorted(set(claims) - known)
    owed = f" of issue {issue}" if issue else ""
    print(f"{len(rows)} rows{owed}: {len(proved)} proved, {len(unproved)} unproved, {len(failing)} failing")
    print(f"{len(unknown)} marks that name no row")
    print_list("Proved", [f"{row.id}  {shortened(row.statement)}" for row in proved])
    print_list("Unproved", [f"{row.id}  {shortened(row.statement)}" for row in unproved])
    print_list("Failing", [f"{row.id}  {', '.join(claims[row.id].failed)}" for row in failing])
    print_list("Marks that name no row", [f"{row}  {', '.join(tests_of(claims[row]))}" for row in unknown])
    return 1 if failing or unknown else 0


def main() -> int:
    given = os.environ
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--folder", default=given.get("OTA_INPUT_FOLDER", ""), help="where checklist-*.md are"
    )
    parser.add_argument("--issue", default=given.get("OTA_INPUT_ISSUE", ""), help="only rows of this issue")
    parser.add_argument("--reuse", default=given.get("OTA_INPUT_REUSE", "no"), choices=("yes", "no"))
    options = parser.parse_args()

    folder = find_folder(options.folder)
    files = sorted(folder.glob(PATTERN)) if folder else []
    if not files:
        print(f"no {PATTERN} in {folder or 'docs/ or a spec folder beside the checkout'}", file=sys.stderr)
        print("Next: give the folder with --folder", file=sys.stderr)
        return 1
    if options.reuse == "no":
        run_marked_tests()
    record = LAST_RECORD if options.reuse == "yes" else OWN_RECORD
    if not record.is_file():
        print(f"no test run is recorded in {record.relative_to(ROOT)}", file=sys.stderr)
        return 1
    rows = [row for file in files for row in read_rows(file.read_text(encoding="utf-8"))]
    owed = [row for row in rows if not options.issue or row.issue == options.issue]
    return report(owed, read_claims(record), options.issue, {row.id for row in rows})


if __name__ == "__main__":
    sys.exit(main())
