"""No numbered rule is forgotten: a table case breaks each, or it is said here why it is no pure rule."""

import importlib
from pathlib import Path

import pytest

from contract.rules.table import Case


def numbers(text: str) -> tuple[str, ...]:
    """`1-3 5` as `V001 V002 V003 V005`."""
    found: list[str] = []
    for part in text.split():
        first, _, last = part.partition("-")
        found += [f"V{number:03}" for number in range(int(first), int(last or first) + 1)]
    return tuple(found)


RULES = numbers(
    "1-14 20-62 65-83 85-88 90-108 110-122 125-129 132 134-148 150-160 "
    "165-176 178-192 195 197-203 205-243 245-264 "
    "270-296 300-313 315-316 318-326 330-335 340-348 355-369 370-380 382-384 390-414 420-447 450-464 470-490 "
    "500-503 505-522 524-525 530-538 550-562"
)
"""Every number of the appendix; the gaps are reserved."""

NOT_PURE = {
    "V004": "a newer minimum version is told at load, before any rule",
    "V005": "detection says it when it writes ownership",
    "V013": "needs the member's own file; told where it is loaded",
    "V014": "needs the member's own file; told where it is loaded",
    "V422": "a worker without listeners is allowed; it draws advice only",
    "V249": "a file check without `expect` means `exists`",
}


def cases() -> dict[str, int]:
    """How many cases of the tables break each rule."""
    found: dict[str, int] = {}
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        if path.name == Path(__file__).name:
            continue
        module = importlib.import_module(f"contract.rules.{path.stem}")
        for stated in getattr(module, "CASES", ()):
            case = stated if isinstance(stated, Case) else stated.values[0]  # a case that carries a mark
            assert isinstance(case, Case)
            found[case.rule] = found.get(case.rule, 0) + 1
    return found


CASES_PER_RULE = cases()


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_is_broken_by_a_case_or_said_not_to_be_pure(rule: str) -> None:
    assert (rule in CASES_PER_RULE) != (rule in NOT_PURE)


def test_no_case_breaks_a_number_that_is_reserved() -> None:
    assert sorted(set(CASES_PER_RULE) - set(RULES)) == []
