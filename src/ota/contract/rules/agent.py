"""Rules of `agent`: tasks it names, its boundary, its bootstrap.

Source: contract specification 17; appendix A V550 to V562.
"""

import re
from collections.abc import Iterator

from ota.contract.grammar import check_boundary_path, is_empty, normalise_boundary_path, paths_overlap
from ota.contract.model.agent import Agent, BootstrapSource
from ota.contract.rules.base import FieldPath, Rule, Subject, Violation
from ota.contract.rules.phrases import listed
from ota.contract.rules.values import empty_entries, empty_text, refused_text, unknown
from ota.contract.rules.wording import broken, unknown_all

_AGENT: FieldPath = ("agent",)
_PINNED = r"v(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)"
_REVISION = r"[0-9a-f]{40}"


def unknown_task(subject: Subject) -> Iterator[Violation]:
    """V550."""
    agent, tasks = subject.contract.agent, subject.contract.tasks
    if agent is None:
        return
    for key in ("entrypoint", "default_task"):
        name = getattr(agent, key)
        if name is not None:
            yield from unknown(subject, "V550", (*_AGENT, key), "task", name, tasks)
    for key in ("safe_tasks", "verify_after_changes"):
        yield from unknown_all(subject, "V550", (*_AGENT, key), "task", getattr(agent, key), tasks)


def nothing_to_run(subject: Subject) -> Iterator[Violation]:
    """V551."""
    agent, workflows = subject.contract.agent, subject.contract.workflows
    default = workflows.entries.get(workflows.default or "")
    if agent is None or default is None or default.run is not None:
        return
    if agent.default_task is None and agent.entrypoint is None:
        yield broken(
            "V551",
            _AGENT,
            f"has nothing to run: default workflow `{workflows.default}` has no run task",
            "`agent` declares neither `default_task` nor `entrypoint`",
            f"add `workflows.{workflows.default}.run.task`, or `agent.default_task`",
        )


def path_lists(agent: Agent) -> Iterator[tuple[FieldPath, tuple[str, ...]]]:
    """Every list of boundary paths an agent block has."""
    yield (*_AGENT, "writable_paths"), agent.writable_paths
    yield (*_AGENT, "protected_paths"), agent.protected_paths
    yield from sensitive_lists(agent)


def sensitive_lists(agent: Agent) -> Iterator[tuple[FieldPath, tuple[str, ...]]]:
    """`exceptions.sensitive_writes` and its legacy spelling."""
    if agent.exceptions is not None:
        for key in ("sensitive_writes", "acknowledged_sensitive_writable_paths"):
            yield (*_AGENT, "exceptions", key), getattr(agent.exceptions, key) or ()


def empty_path(subject: Subject) -> Iterator[Violation]:
    """V552."""
    for path, entries in path_lists(subject.contract.agent or Agent()):
        yield from empty_entries("V552", path, entries)


def boundary_path(subject: Subject) -> Iterator[Violation]:
    """V553. An empty entry is V552."""
    for path, entries in path_lists(subject.contract.agent or Agent()):
        for index, text in enumerate(entries):
            if not is_empty(text):
                yield from refused_text(
                    "V553",
                    (*path, index),
                    text,
                    check_boundary_path,
                    "write a normalised path below the contract, such as `src`",
                )


def writable_and_protected(subject: Subject) -> Iterator[Violation]:
    """V554."""
    agent = subject.contract.agent or Agent()
    protected = {_normal(path) for path in agent.protected_paths} - {None}
    for index, path in enumerate(agent.writable_paths):
        if _normal(path) in protected:
            yield broken(
                "V554",
                (*_AGENT, "writable_paths", index),
                f"is protected as well: `{path}`",
                "one path is either writable or protected",
                "remove it from one of the two lists",
            )


def _normal(path: str) -> str | None:
    return normalise_boundary_path(path) if check_boundary_path(path) is None else None


def sensitive_write(subject: Subject) -> Iterator[Violation]:
    """V555."""
    agent = subject.contract.agent or Agent()
    writable = [path for path in agent.writable_paths if _normal(path) is not None]
    for path, entries in sensitive_lists(agent):
        for index, text in enumerate(entries):
            if _normal(text) is not None and not any(paths_overlap(text, root) for root in writable):
                yield broken(
                    "V555",
                    (*path, index),
                    f"must overlap a writable path: `{text}`",
                    f"writable: {listed(writable) or 'nothing'}",
                    "remove the entry, or make the path writable",
                )


def empty_provenance(subject: Subject) -> Iterator[Violation]:
    """V556."""
    agent = subject.contract.agent
    inferred = agent.inferred_boundary if agent is not None else None
    if inferred is not None and inferred.provenance is not None:
        path = (*_AGENT, "inferred_boundary", "provenance")
        for key in ("writable_paths", "protected_paths"):
            yield from empty_entries("V556", (*path, key), getattr(inferred.provenance, key))


def no_provenance(subject: Subject) -> Iterator[Violation]:
    """V557."""
    agent = subject.contract.agent
    inferred = agent.inferred_boundary if agent is not None else None
    if inferred is None:
        return
    provenance = inferred.provenance
    if provenance is None or not (provenance.writable_paths or provenance.protected_paths):
        yield broken(
            "V557",
            (*_AGENT, "inferred_boundary"),
            "has no provenance",
            "an inferred boundary says where it was inferred from",
            "declare `provenance.writable_paths` or `provenance.protected_paths`",
        )


def bootstrap(subject: Subject) -> Iterator[Violation]:
    """V558, V559, V560."""
    agent = subject.contract.agent
    if agent is None or agent.bootstrap is None:
        return
    ota = agent.bootstrap.ota
    path = (*_AGENT, "bootstrap")
    if ota is None:
        yield broken(
            "V558", path, "says nothing of ota", "it tells how to get ota", "declare `bootstrap.ota`"
        )
        return
    commands = [text for text in (ota.sh, ota.powershell) if text is not None and not is_empty(text)]
    if ota.source is None and not commands:
        yield broken(
            "V559",
            (*path, "ota"),
            "names no way to get ota",
            "it needs `source`, `sh` or `powershell`",
            "pin a release with `source: {kind: version, version: vX.Y.Z}`",
        )
    yield from empty_text("V560", (*path, "ota", "note"), ota.note)


def bootstrap_pin(subject: Subject) -> Iterator[Violation]:
    """V561."""
    agent = subject.contract.agent
    ota = agent.bootstrap.ota if agent is not None and agent.bootstrap is not None else None
    if ota is None or ota.source is None:
        return
    key = {"version": "version", "git_rev": "rev", "branch": "branch"}[ota.source.kind]
    why = _pin_problem(ota.source)
    if why is not None:
        yield broken(
            "V561",
            (*_AGENT, "bootstrap", "ota", "source", key),
            "is not a usable pin",
            why,
            {
                "version": "write a release such as `v1.6.26`",
                "rev": "write the full hash of a commit",
                "branch": "name the branch",
            }[key],
        )


def _pin_problem(source: BootstrapSource) -> str | None:
    match source.kind:
        case "version":
            is_pinned = bool(re.fullmatch(_PINNED, source.version or ""))
            return None if is_pinned else "`kind: version` needs a version vX.Y.Z"
        case "git_rev":
            is_pinned = bool(re.fullmatch(_REVISION, source.rev or ""))
            return None if is_pinned else "`kind: git_rev` needs 40 hexadecimal digits"
        case _:
            return "`kind: branch` needs a branch" if is_empty(source.branch or "") else None


def refusal_canary(subject: Subject) -> Iterator[Violation]:
    """V562."""
    agent = subject.contract.agent or Agent()
    for index, canary in enumerate(agent.refusal_canaries):
        path = (*_AGENT, "refusal_canaries", index)
        if (canary.task is None) == (canary.workflow is None):
            yield broken(
                "V562",
                path,
                "must name exactly one of `task` and `workflow`",
                "a canary is one lane that must be refused",
                "keep one of the two",
            )
        elif canary.task is not None:
            known = subject.contract.tasks
            yield from unknown(subject, "V562", (*path, "task"), "task", canary.task, known)
        elif canary.workflow is not None:
            workflows = subject.contract.workflows.entries
            where = (*path, "workflow")
            yield from unknown(subject, "V562", where, "workflow", canary.workflow, workflows)


RULES: tuple[Rule, ...] = (
    unknown_task,
    nothing_to_run,
    empty_path,
    boundary_path,
    writable_and_protected,
    sensitive_write,
    empty_provenance,
    no_provenance,
    bootstrap,
    bootstrap_pin,
    refusal_canary,
)
