"""`tools/docs_check.py` notices what is not true."""

import importlib.util
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "docs_check.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("docs_check", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def document(tool, tmp_path, monkeypatch):
    """Write a document into a checkout of its own; returns its blocks and its path."""
    monkeypatch.setattr(tool, "ROOT", tmp_path)

    def write(text):
        file = tmp_path / "README.md"
        file.write_text(text)
        return list(tool.blocks(file)), file

    return write


def _yaml(announced, body):
    return f"{announced}\n```yaml\n{body}\n```\n"


WHOLE = "version: 1\nproject: {name: x}\ntasks: {t: {run: 'true'}}"


@pytest.mark.parametrize(
    ("announced", "body", "complaint"),
    [
        ("<!-- ota.yaml -->", WHOLE, None),
        ("<!-- ota.yaml -->", WHOLE.replace("run", "rum"), "README.md:2: OTA_P01"),
        ("<!-- ota.yaml: part -->", "tasks: {t: {run: 'true'}}", None),
        ("<!-- ota.yaml: part, OTA_P01 -->", "taks: {}", None),
        ("<!-- ota.yaml: OTA_P01 -->", WHOLE, "is said to be refused with OTA_P01, but gives no error"),
        ("No announcement.", "anything: [goes", None),
    ],
)
def test_announced_contracts_are_loaded(tool, document, announced, body, complaint):
    [block], _ = document(_yaml(announced, body))
    told = "\n".join(tool.wrong_contract_block(block))
    assert (complaint in told) if complaint else told == ""


def test_unknown_commands_and_flags_are_told(tool, document, monkeypatch):
    helps = {("validate",): "Usage: ota validate [--json]", (): "--plain", ("run",): "Usage: ota run"}
    monkeypatch.setattr(tool, "help_of", lambda words: helps.get(words, ""))
    shown = (
        "$ ota validate --json --plain\nVALID\n$ ./ota validate --yaml\n$ ota fly\n$ ota run t --its-own x\n"
    )
    [block], _ = document(f"```console\n{shown}```\n")
    assert list(tool.wrong_command(block)) == [
        "README.md:1: `ota validate` has no flag --yaml",
        "README.md:1: `ota fly` is no command",
    ]


def test_links_that_lead_nowhere_are_told(tool, document):
    text = "# The `top`, here\n[a](README.md#the-top-here) [b](https://example.com#x) [c](gone.md) [d](#up)\n"
    _, file = document(text)
    assert list(tool.wrong_link(file)) == [
        "README.md: the link to gone.md leads nowhere",
        "README.md: this page has no section #up",
    ]


@pytest.mark.parametrize(
    ("code", "exists"),
    [("OTA_TOOL_GONE", True), ("OTA_V043", True), ("OTA_TOOL_OTHER", False), ("OTA_V044", False)],
)
def test_a_code_made_of_pieces_exists_when_its_pieces_do(tool, tmp_path, monkeypatch, code, exists):
    source = 'x("tool", "GONE", "V043", code=f"OTA_{kind.upper()}_{what}"); y(code=f"OTA_{rule}")\n'
    (tmp_path / "src" / "ota").mkdir(parents=True)
    (tmp_path / "src" / "ota" / "x.py").write_text(source)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "findings.md").write_text(f"| `{code}` | x |\n")
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    monkeypatch.setattr(tool, "SOURCE", tmp_path / "src")
    assert (list(tool.wrong_codes()) == []) is exists
