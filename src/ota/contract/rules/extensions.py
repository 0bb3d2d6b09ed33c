"""Rules of `extensions`. Which extension a remote provider may be: `ota.contract.rules.execution`.

Source: contract specification 18; appendix A, V085 to V088.
"""

from collections.abc import Iterator

from ota.contract.rules.base import Rule, Subject, Violation
from ota.contract.rules.phrases import empty_keys
from ota.contract.rules.values import empty_text


def names(subject: Subject) -> Iterator[Violation]:
    """V085."""
    yield from empty_keys("V085", ("extensions",), "the contract", subject.contract.extensions)


def command(subject: Subject) -> Iterator[Violation]:
    """V086."""
    for name, extension in sorted(subject.contract.extensions.items()):
        yield from empty_text("V086", ("extensions", name, "command"), extension.command)


def api_version(subject: Subject) -> Iterator[Violation]:
    """V087."""
    for name, extension in sorted(subject.contract.extensions.items()):
        if extension.api_version < 1:
            yield Violation(
                rule="V087",
                path=("extensions", name, "api_version"),
                summary=f"extension `{name}` declares `api_version: {extension.api_version}`",
                why="it must be greater than zero",
                next="write `api_version: 1`",
            )


def activation(subject: Subject) -> Iterator[Violation]:
    """V088."""
    for name, extension in sorted(subject.contract.extensions.items()):
        if extension.activation is not None and extension.kind != "backend_provider":
            yield Violation(
                rule="V088",
                path=("extensions", name, "activation"),
                summary=f"extension `{name}` declares `activation`",
                why=f"it is only for backend providers, and this is a `{extension.kind}`",
                next="remove `activation`, or write `kind: backend_provider`",
            )


RULES: tuple[Rule, ...] = (names, command, api_version, activation)
