"""Advice about task bodies: shell where the contract has a word for it. Warns, never fails.

Reads command text to suggest better declarations only; nothing is ever decided by it.

Source: contract specification appendix A, W04, W10 to W12.
"""

import re
from collections.abc import Iterator

from ota.contract.grammar import check_boundary_path, normalise_boundary_path
from ota.contract.model.bodies import EnsureGitCheckout, EnsureGitCheckouts, EnsureGitTemplate, GitSource
from ota.contract.planes import runtime_on
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.holders import Holder, holders, single_actions
from ota.contract.rules.wording import advice

GLUE = (
    ("compose", "docker", r"\bdocker[- ]compose\b[^\n|;&]*\s(?:-f|-p|--env-file|--file|--profile)\b"),
    ("bake", "docker", r"\bdocker buildx bake\b[^\n|;&]*\s(?:-f|--file)\b"),
    ("helm", "helm", r"\bhelm\b[^\n|;&]*\s(?:-f|--values|--namespace|-n)\b"),
    ("systemctl", "systemctl", r"\bsystemctl\b"),
    ("env file", ".env", r">>?\s*\.env\b|\bsed -i\b[^\n]*\s\.env\b|\bcp\b[^\n]*\s\.env\s*(?:$|[;&|\n])"),
    ("file test", " -", r"(?:\btest|\[)\s+-[efdsr]\s"),
    ("env test", "$", r"(?:\btest|\[)\s+-[nz]\s+\"?\$"),
)
"""Shell idioms the contract has a declaration for: kind, a text it must hold, its pattern.

Patterns are compiled on first use: most contracts need none of them."""

INSTEAD = {
    "compose": "declare `adapter_inputs.overlays.compose` and a `compose` body",
    "bake": "declare `adapter_inputs.overlays.bake`",
    "helm": "declare `adapter_inputs.overlays.helm`",
    "systemctl": "declare a service with `manager.host: {kind: systemd, ...}`",
    "env file": "use the action `ensure_env_file` or `copy_if_missing`",
    "file test": "declare a `kind: file` check and name it in `when.checks` or `requirements.checks`",
    "env test": "declare `requirements.env`, or a `kind: env` check",
}


def _shell(subject: Subject) -> Iterator[tuple[Holder, FieldPath, str]]:
    for holder in holders(subject):
        for key in ("run", "script"):
            text = getattr(holder.record, key)
            if text:
                yield holder, (*holder.path, key), text


def deleted_isolated_path(subject: Subject) -> Iterator[Violation]:
    """W04."""
    for holder, path, text in subject.collected(_shell):
        if "rm" not in text or "container" not in holder.planes:
            continue
        attachments = subject.planes.choose(holder.task, asked="container").context.attachments
        isolated = attachments.isolated_paths if attachments is not None else None
        for entry in isolated or ():
            if check_boundary_path(entry) is None and _deletes(text, normalise_boundary_path(entry)):
                yield advice(
                    "W04",
                    path,
                    f"deletes the isolated path `{entry}`",
                    "it is the mount point of a managed volume, which cannot be removed from inside",
                    f"delete its content (`{entry}/*`), or let `ota clean` remove the volume",
                )


def _deletes(text: str, path: str) -> bool:
    return bool(re.search(rf"\brm\s+(?:-\S+\s+)+(?:\S+\s+)*?(?:\./)?{re.escape(path)}/?(?=$|[\s;&|])", text))


def shell_service(subject: Subject) -> Iterator[Violation]:
    """W10."""
    for holder, path, _ in subject.collected(_shell):
        if any(runtime_on(holder.task, plane) is not None for plane in holder.planes):
            yield advice(
                "W10",
                path,
                "starts a service through a shell",
                "`launch` starts the process itself, without a shell between it and its signals",
                "write `launch: {kind: command, exe: ..., args: [...]}`",
            )


def shell_glue(subject: Subject) -> Iterator[Violation]:
    """W11, once per body."""
    for _, path, text in subject.collected(_shell):
        for kind, needle, idiom in GLUE:
            if needle in text and re.search(idiom, text):
                yield advice(
                    "W11",
                    path,
                    f"does by hand what the contract can declare ({kind})",
                    "declared, it is checked, planned and reported",
                    INSTEAD[kind],
                )
                break


def moving_checkout(subject: Subject) -> Iterator[Violation]:
    """W12."""
    for path, source in _sources(subject):
        if source.ref is None:
            yield advice(
                "W12",
                path,
                "has no `ref`",
                "the checkout is whatever the default branch is that day",
                "add a tag or commit as `ref`",
            )


def _sources(subject: Subject) -> Iterator[tuple[FieldPath, GitSource]]:
    for path, step in single_actions(subject):
        if isinstance(step, EnsureGitCheckout | EnsureGitTemplate):
            yield (*path, "source"), step.source
        elif isinstance(step, EnsureGitCheckouts):
            for index, checkout in enumerate(step.checkouts):
                yield (*path, "checkouts", index, "source"), checkout.source


RULES: tuple[Rule, ...] = (deleted_isolated_path, shell_service, shell_glue, moving_checkout)
