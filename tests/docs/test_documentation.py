"""The documentation shows what the commands print, lists every code and variable, draws the real house."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ota.cli.catalogue import COMMANDS
from support.schemas import assert_schema, validator

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
COMPOSED = ("OTA_PORT_DISCOVERY_", "OTA_TOOL_", "OTA_RUNTIME_")
# Beginnings of variable names, which the source compares with.
BEGINNINGS = {"OTA_INPUT_", "OTA_TARGET_", "OTA_PUBLIC_", "OTA_BIND_", "OTA_HOST_"}


def tool(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


transcripts = tool("transcripts")


def documents():
    return [
        pytest.param(schema, text, id=f"{page.stem}-{index}-{schema}")
        for page in PAGES
        for index, (schema, text) in enumerate(transcripts.shown_documents(page.read_text(encoding="utf-8")))
    ]


@pytest.mark.edge
@pytest.mark.parametrize("name", ["command_reference"])
def test_generated_tables_are_current(name):
    argv = [sys.executable, str(ROOT / "tools" / f"{name}.py"), "--check"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


def test_every_command_has_a_section():
    text = (DOCS / "commands.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"^## `ota ([\w ]+)`\n\n<!-- command: \1 -->$", text, re.M))
    assert shown == {each.name for each in COMMANDS if not each.is_hidden}


def shown_pieces():
    """Each transcript and document by itself, so that a failure names one."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for kind, pattern in (("transcript", transcripts.TRANSCRIPT), ("document", transcripts.DOCUMENT)):
            for index, match in enumerate(pattern.finditer(text)):
                found.append(pytest.param(match[0], id=f"{page.stem}-{kind}-{index}"))
    return found


@pytest.mark.edge
@pytest.mark.slow
@pytest.mark.parametrize("piece", shown_pieces())
def test_what_is_shown_is_what_the_commands_print(piece):
    assert transcripts.current(piece) == piece


@pytest.mark.parametrize(("schema", "text"), documents())
def test_a_shown_document_is_valid(schema, text):
    document = json.loads(text)
    if schema == "workflows":  # it has no schema of its own; its entries have
        entry = validator("shared").evolve(schema={"$ref": "shared.json#/$defs/workflow"})
        assert [error.message for each in document["workflows"] for error in entry.iter_errors(each)] == []
    else:
        assert_schema(document, schema)


def test_every_code_and_variable_of_the_source_is_documented():
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    named = set(re.findall(r'"(OTA_[A-Z0-9_]+)"', source)) - BEGINNINGS
    codes = set(re.findall(r"^\| `(OTA_\w+)`", (DOCS / "findings.md").read_text(encoding="utf-8"), re.M))
    rows = "\n".join((DOCS / name).read_text(encoding="utf-8") for name in ("running.md", "commands.md"))
    variables = set(re.findall(r"\b(OTA_[A-Z0-9_]+)\b", rows))
    assert sorted(named - codes - variables) == []


def test_codes_that_are_composed_are_listed_for_every_case():
    listed = set(re.findall(r"`(OTA_\w+)`", (DOCS / "findings.md").read_text(encoding="utf-8")))
    cases = {
        "OTA_PORT_DISCOVERY_": ("AMBIGUOUS", "PROCESS_EXITED", "TIMED_OUT", "INSPECTION_FAILED"),
        "OTA_TOOL_": ("MISSING", "PROBE_FAILED", "VERSION_UNPARSEABLE", "VERSION_MISMATCH"),
        "OTA_RUNTIME_": ("MISSING", "PROBE_FAILED", "VERSION_UNPARSEABLE", "VERSION_MISMATCH"),
    }
    assert set(cases) == set(COMPOSED)
    assert [head + tail for head, tails in cases.items() for tail in tails if head + tail not in listed] == []


def test_the_list_of_rooms_is_the_list_of_folders():
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    drawn = set(re.findall(r"^\| `(\w+(?:\.py|/))` \|", text, re.M))
    package = ROOT / "src" / "ota"
    rooms = {f"{each.name}/" for each in package.iterdir() if (each / "__init__.py").is_file()}
    assert drawn == rooms | {"errors.py"}


def test_every_file_that_the_architecture_names_exists():
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:src|tests|tools|docs|bench|examples)/[\w./-]+)`", text)
    assert named
    assert [each for each in named if not (ROOT / each).exists()] == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("done in 17 ms", "done in 2311 ms"),
        ("at 2031-02-03T04:05:06.789Z", "at 2026-11-22T08:51:35.318Z"),
        ("20261122T085132Z-test-e2e-2e2641/x", "20250101T000000Z-test-e2e-ffffff/x"),
        ("after 1 s http", "after 901 ms http"),
        ("a\nweb waits for http (refused, 1 s of 9 s)\nb", "a\nb"),
    ],
)
def test_what_differs_from_run_to_run_is_made_steady(one, other):
    told = [transcripts.steady(text, Path("/tmp/x"), {}) for text in (one, other)]
    assert told[0] == told[1]
