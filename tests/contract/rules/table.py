"""Tables of rules: contracts that break exactly one rule, each beside a neighbour that breaks none."""

from pathlib import Path
from typing import NamedTuple

from ota.contract.load import load_bytes
from ota.errors import ContractError, Finding


class Case(NamedTuple):
    """One way to break a rule. Fragments are contracts without `version` and `project`."""

    rule: str
    field: str
    broken: str
    valid: str

    def __str__(self) -> str:
        return f"{self.rule} {self.field}"


def contract(fragment: str) -> str:
    """The fragment with the two required keys, unless it states them."""
    stated = {line.split(":")[0] for line in fragment.splitlines()}
    head = "" if "version" in stated else "version: 1\n"
    return head + ("" if "project" in stated else "project: {name: demo}\n") + fragment


def told(fragment: str) -> tuple[Finding, ...]:
    """Everything loading this contract says."""
    try:
        return load_bytes(contract(fragment).encode(), Path("/repo/ota.yaml"), "ota.yaml").warnings
    except ContractError as error:
        return error.findings


def errors(fragment: str) -> list[tuple[str, str]]:
    """Codes and fields of everything that blocks, in file order."""
    return [
        (finding.code.removeprefix("OTA_"), finding.place.field if finding.place else "")
        for finding in told(fragment)
        if finding.severity == "error"
    ]


def prove(case: Case) -> None:
    """The broken contract breaks this rule at this field and no other; the neighbour breaks none."""
    assert errors(case.broken) == [(case.rule, case.field)], told(case.broken)
    assert errors(case.valid) == [], told(case.valid)


def only(fragment: str) -> Finding:
    """The one error of a contract, whole."""
    found = [finding for finding in told(fragment) if finding.severity == "error"]
    assert len(found) == 1, found
    return found[0]
