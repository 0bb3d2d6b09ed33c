"""Rules of extensions, each broken alone."""

import pytest

from contract.rules.table import Case, prove


def extension(text: str, name: str = "x") -> str:
    """A contract with one extension."""
    return f"extensions: {{{name}: {{{text}}}}}\n"


FIELDS = "kind: check_provider, command: ./x, api_version: 1"
VALID = extension(FIELDS)

CASES = (
    Case("V085", 'extensions.""', extension(FIELDS, '""'), VALID),
    Case("V086", "extensions.x.command", VALID.replace("./x", '""'), VALID),
    Case("V087", "extensions.x.api_version", VALID.replace("api_version: 1", "api_version: 0"), VALID),
    Case(
        "V088",
        "extensions.x.activation",
        VALID.replace("}}", ", activation: {provider_managed_cleanup: true}}}"),
        extension(
            "kind: backend_provider, command: ./x, api_version: 1, "
            "activation: {provider_managed_cleanup: true}"
        ),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_extension_rule_is_broken_alone(case: Case) -> None:
    prove(case)
