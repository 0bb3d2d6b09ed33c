"""Rules of the agent block, each broken alone."""

import pytest

from contract.rules.table import Case, prove

TASKS = "tasks: {t: {run: make}}\n"


def agent(text: str, more: str = TASKS) -> str:
    return f"agent: {{{text}}}\n{more}"


def bootstrap(text: str) -> str:
    return agent(f"bootstrap: {{{text}}}")


def pin(text: str) -> str:
    return bootstrap(f"ota: {{source: {{{text}}}}}")


FINE = agent("notes: a")
FLOW = TASKS + "workflows: {default: w, w: {}}\n"
PINNED = pin("kind: version, version: v1.6.26")
SOURCE = "agent.bootstrap.ota.source."
BOUNDARY = "writable_paths: [src], protected_paths: [src/gen]"
INFERRED = agent("inferred_boundary: {provenance: {writable_paths: [detected]}}")
CANARY = agent("refusal_canaries: [{task: t}]")

CASES = (
    *(
        Case("V550", f"agent.{key}", agent(f"{key}: x"), agent(f"{key}: t"))
        for key in ("entrypoint", "default_task")
    ),
    *(
        Case("V550", f"agent.{key}[0]", agent(f"{key}: [x]"), agent(f"{key}: [t]"))
        for key in ("safe_tasks", "verify_after_changes")
    ),
    Case("V551", "agent", agent("notes: a", FLOW), agent("default_task: t", FLOW)),
    *(
        Case("V552", f"agent.{key}[0]", agent(f'{key}: [""]'), agent(f"{key}: [a]"))
        for key in ("writable_paths", "protected_paths")
    ),
    *(
        Case("V553", f"agent.{key}[0]", agent(f"{key}: [{path}]"), agent(f"{key}: [a]"))
        for key, path in (("writable_paths", "../a"), ("protected_paths", "/a"), ("writable_paths", "."))
    ),
    Case(
        "V554",
        "agent.writable_paths[0]",
        agent("writable_paths: [./src/], protected_paths: [src]"),
        agent(BOUNDARY),
    ),
    Case(
        "V555",
        "agent.exceptions.sensitive_writes[0]",
        agent(BOUNDARY + ", exceptions: {sensitive_writes: [ota.yaml]}"),
        agent("writable_paths: [ota.yaml], exceptions: {sensitive_writes: [ota.yaml]}"),
    ),
    Case(
        "V556",
        "agent.inferred_boundary.provenance.writable_paths[0]",
        agent('inferred_boundary: {provenance: {writable_paths: [""]}}'),
        INFERRED,
    ),
    Case("V557", "agent.inferred_boundary", agent("inferred_boundary: {reviewed: true}"), INFERRED),
    Case("V558", "agent.bootstrap", bootstrap(""), PINNED),
    Case("V559", "agent.bootstrap.ota", bootstrap("ota: {note: a}"), PINNED),
    Case("V560", "agent.bootstrap.ota.note", bootstrap('ota: {note: "", sh: get-ota v1.6.26}'), PINNED),
    Case("V561", SOURCE + "version", pin("kind: version, version: '1.6'"), PINNED),
    Case("V561", SOURCE + "rev", pin("kind: git_rev, rev: abc"), pin("kind: git_rev, rev: " + "a1" * 20)),
    Case("V561", SOURCE + "branch", pin("kind: branch"), pin("kind: branch, branch: main")),
    Case("V562", "agent.refusal_canaries[0]", agent("refusal_canaries: [{}]"), CANARY),
    Case("V562", "agent.refusal_canaries[0].task", agent("refusal_canaries: [{task: x}]"), CANARY),
    Case("V562", "agent.refusal_canaries[0].workflow", agent("refusal_canaries: [{workflow: x}]"), CANARY),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_agent_rule_is_broken_alone(case: Case) -> None:
    prove(case)
