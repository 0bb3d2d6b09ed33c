"""Reading contract texts in tests: parse only, or parse and prove."""

from pathlib import Path

import ota.contract.shorthand  # noqa: F401  registers the shorthand spellings
from ota.contract.load import Loaded, load_bytes
from ota.contract.model import Contract
from ota.contract.parse import parse
from ota.errors import ContractError, Finding
from ota.source.tree import compose

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
HEAD = "version: 1\nproject: {name: demo}\n"


def parsed(text: str) -> Contract:
    """The records of a contract that has no parse finding; rules are not asked."""
    contract, findings = parse(compose("ota.yaml", text.encode()), Contract)
    assert contract is not None, findings
    return contract


def parse_findings(text: str) -> tuple[Finding, ...]:
    """Every parse finding of a contract that has at least one."""
    contract, findings = parse(compose("ota.yaml", text.encode()), Contract)
    assert contract is None
    assert findings
    return findings


def loaded(text: str) -> Loaded:
    """The contract, proven by the rules."""
    return load_bytes(text.encode(), Path("/repo/ota.yaml"), "ota.yaml")


def codes(text: str) -> list[str]:
    """The codes of the errors of a contract, in file order; empty when it is valid."""
    try:
        loaded(text)
    except ContractError as error:
        return [finding.code for finding in error.findings if finding.severity == "error"]
    return []
