"""Rules of task variants and inputs.

Source: contract specification 15.5, 15.6; appendix A V282 to V285, V288 to V291.
"""

from collections.abc import Iterator

from ota.contract.grammar import check_input_name, is_empty
from ota.contract.model.tasks import Input, Variant
from ota.contract.planes import VARIANT_BODY_KEYS, stated_bodies
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.phrases import listed
from ota.contract.rules.values import empty_text, system_tokens
from ota.contract.rules.wording import broken

VARIANT_OVERLAYS = ("env", "env_files", "env_bindings", "inputs", "requirements", "adapter_inputs")


def _variants(subject: Subject) -> Iterator[tuple[FieldPath, Variant]]:
    for _, task, path in subject.tasks():
        for index, variant in enumerate(task.variants):
            yield (*path, "variants", index), variant


def variant_system(subject: Subject) -> Iterator[Violation]:
    """V282."""
    for path, variant in subject.collected(_variants):
        if variant.when.os is None:
            yield broken(
                "V282",
                (*path, "when", "os"),
                "is missing",
                "a variant needs `when.os`: linux, macos or windows",
                "say for which system this variant is",
            )
        else:
            yield from system_tokens("V282", (*path, "when", "os"), (variant.when.os,))


def duplicate_variant(subject: Subject) -> Iterator[Violation]:
    """V283."""
    for _, task, path in subject.tasks():
        seen: set[str] = set()
        for index, variant in enumerate(task.variants):
            system = variant.when.os
            if system is not None and system in seen:
                yield broken(
                    "V283",
                    (*path, "variants", index, "when", "os"),
                    f"is a second variant for `{system}`",
                    "each system has at most one variant",
                    "merge the two variants",
                )
            seen.add(system or "")


def invalid_variant(subject: Subject) -> Iterator[Violation]:
    """V284."""
    for path, variant in subject.collected(_variants):
        bodies = stated_bodies(variant, VARIANT_BODY_KEYS)
        if len(bodies) > 1:
            yield broken(
                "V284",
                (*path, bodies[1]),
                "is a second body",
                f"found {listed(bodies)}; a variant has at most one body",
                f"keep one of {listed(bodies)}",
            )
        elif not bodies and not any(getattr(variant, key) for key in VARIANT_OVERLAYS):
            yield broken(
                "V284",
                path,
                "changes nothing",
                f"a variant has one of {listed(VARIANT_BODY_KEYS)}, or an overlay",
                "declare what differs on this system, or remove the variant",
            )


def empty_variant_shell(subject: Subject) -> Iterator[Violation]:
    """V285."""
    for path, variant in subject.collected(_variants):
        yield from empty_text("V285", (*path, "run"), variant.run)
        yield from empty_text("V285", (*path, "script"), variant.script)


def _inputs(subject: Subject) -> Iterator[tuple[FieldPath, str, Input]]:
    for _, task, path in subject.tasks():
        if not task.inputs and not task.variants:
            continue
        levels = [((*path, "inputs"), task.inputs)]
        levels += [((*path, "variants", i, "inputs"), each.inputs) for i, each in enumerate(task.variants)]
        for place, inputs in levels:
            for name, declared in sorted(inputs.items()):
                yield (*place, name), name, declared


def input_name(subject: Subject) -> Iterator[Violation]:
    """V288."""
    for path, name, _ in subject.collected(_inputs):
        reason = check_input_name(name)
        if reason is not None:
            yield broken(
                "V288",
                path,
                f"is not an input name: `{name}`",
                reason,
                "write the name in lowercase snake_case, such as `base_url`",
            )


def empty_default(subject: Subject) -> Iterator[Violation]:
    """V289."""
    for path, _, declared in subject.collected(_inputs):
        yield from empty_text("V289", (*path, "default"), declared.default)


def empty_allowed(subject: Subject) -> Iterator[Violation]:
    """V290."""
    for path, _, declared in subject.collected(_inputs):
        for index, value in enumerate(declared.allowed or ()):
            yield from empty_text("V290", (*path, "allowed", index), value)


def default_not_allowed(subject: Subject) -> Iterator[Violation]:
    """V291. An empty default is V289."""
    for path, _, declared in subject.collected(_inputs):
        default, allowed = declared.default, declared.allowed
        if default is None or not allowed or is_empty(default) or default in allowed:
            continue
        yield broken(
            "V291",
            (*path, "default"),
            f"is not an allowed value: `{default}`",
            f"allowed: {listed(allowed)}",
            f"choose one of {listed(allowed)}, or add `{default}` to `allowed`",
        )


RULES: tuple[Rule, ...] = (
    variant_system,
    duplicate_variant,
    invalid_variant,
    empty_variant_shell,
    input_name,
    empty_default,
    empty_allowed,
    default_not_allowed,
)
