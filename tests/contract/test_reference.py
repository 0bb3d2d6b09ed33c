"""The contract reference is current, names every section, mode and code, and shows only what is true."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from contract.reading import HEAD, codes
from ota.contract.model import Contract
from ota.contract.parse import annotations_of

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"<!-- ota\.yaml(?:: *([^>]*?))? -->\n```yaml\n(.*?)```", REFERENCE, re.S)
PORT_MODES = REFERENCE.split("### Port modes\n")[1].split("\n### ")[0]


@pytest.mark.edge
def test_schema_and_key_tables_are_current() -> None:
    argv = [sys.executable, str(ROOT / "tools" / "contract_reference.py"), "--check"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


def refusal(announced: str) -> list[str]:
    return re.findall(r"OTA_\w+", announced)


@pytest.mark.parametrize(("announced", "text"), SNIPPETS)
def test_a_snippet_is_judged_as_announced(announced: str, text: str) -> None:
    assert codes(HEAD + text if "part" in announced else text) == refusal(announced)


def test_every_fenced_contract_is_announced() -> None:
    # The only other fence is the comment line that tells an editor where the schema is.
    assert REFERENCE.count("```yaml\n") == len(SNIPPETS) + 1


@pytest.mark.parametrize("section", sorted(annotations_of(Contract)))
def test_every_section_is_named(section: str) -> None:
    assert f"`{section}`" in REFERENCE or f"`{section}." in REFERENCE


def test_the_table_of_codes_holds_each_code_once_and_none_that_does_not_exist() -> None:
    source = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in ("contract", "source")
        for path in (ROOT / "src" / "ota" / folder).rglob("*.py")
    )
    known = {f"OTA_{rule}" for rule in re.findall(r'"([PVW]\d{2,3})"', source)}
    known |= {f"OTA_{rule}" for rule in re.findall(r'rule="([A-Z_0-9]+)"', source)}
    known |= set(re.findall(r'"(OTA_[A-Z_0-9]+)"', source))
    listed = re.findall(r"^\| `(OTA_\w+)` \|", REFERENCE, re.M)
    assert sorted(listed) == sorted(known)


@pytest.mark.proves("S000-158")
@pytest.mark.parametrize("side", ["bind.port.mode", "project.host.port.mode"])
@pytest.mark.parametrize("mode", ["fixed", "auto"])
def test_port_modes_are_explained_per_plane(side: str, mode: str) -> None:
    header = next(line for line in PORT_MODES.splitlines() if line.startswith("| | "))
    assert header == "| | native | container | remote |"
    assert f"| `{side}: {mode}` |" in PORT_MODES
    for each in ("fixed", "discover", "auto"):
        assert f"* `{each}`: " in PORT_MODES
    assert "| `bind.port.mode: discover` |" in PORT_MODES
    shown = [announced for announced, text in SNIPPETS if text in PORT_MODES]
    assert [refusal(announced) for announced in shown] == [[], [], ["OTA_V436"]]


# What the table of port modes says, asked of the validator.

CONTEXTS = (
    "execution: {contexts: {native: {backend: native}, "
    "container: {backend: container, lifecycle: persistent, container: {image: i}}, "
    "remote: {backend: remote, remote: {provider: ssh, target: a@b}}}}\n"
)


@pytest.mark.proves("S000-158")
@pytest.mark.parametrize(
    ("bind", "host", "native", "container", "remote"),
    [
        ("mode: fixed, value: 80", "mode: fixed, value: 80", True, True, True),
        ("mode: fixed, value: 80", "mode: fixed, value: 81", False, True, True),
        ("mode: fixed, value: 80", "mode: auto", True, True, False),
        ("mode: discover", "mode: auto", True, False, False),
        ("mode: discover", "mode: fixed, value: 80", False, False, False),
        ("mode: auto", "mode: auto", False, False, False),
    ],
)
def test_the_table_of_port_modes_is_what_the_validator_does(
    bind: str, host: str, native: bool, container: bool, remote: bool
) -> None:
    for plane, allowed in (("native", native), ("container", container), ("remote", remote)):
        listener = (
            f"{{protocol: http, bind: {{address: 0.0.0.0, port: {{{bind}}}}}, "
            f"project: {{host: {{address: 127.0.0.1, port: {{{host}}}}}}}}}"
        )
        task = f"{{run: x, context: {plane}, runtime: {{kind: service, listeners: {{h: {listener}}}}}}}"
        assert (codes(HEAD + CONTEXTS + f"tasks: {{a: {task}}}\n") == []) is allowed, plane


@pytest.mark.proves("S000-158")
@pytest.mark.parametrize(("plane", "allowed"), [("native", True), ("container", False), ("remote", True)])
def test_the_table_is_right_about_loopback(plane: str, allowed: bool) -> None:
    listener = (
        "{protocol: http, bind: {address: 127.0.0.1, port: {mode: fixed, value: 80}}, "
        "project: {host: {address: 127.0.0.1, port: {mode: fixed, value: 80}}}}"
    )
    task = f"{{run: x, context: {plane}, runtime: {{kind: service, listeners: {{h: {listener}}}}}}}"
    assert (codes(HEAD + CONTEXTS + f"tasks: {{a: {task}}}\n") == []) is allowed
