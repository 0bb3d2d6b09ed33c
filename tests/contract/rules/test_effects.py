"""Rules of effects and the agent boundary, each broken alone."""

import pytest

from contract.rules.table import Case, only, prove

AGENT = "agent: {writable_paths: [dist, secrets], protected_paths: [secrets/prod]}\n"


def effects(text: str) -> str:
    return f"tasks:\n  t: {{run: make, effects: {{{text}}}}}\n"


def safe(text: str, more: str = AGENT) -> str:
    """An agent-safe task that reaches `inner`."""
    inner = f"  inner: {{run: make, effects: {{{text}}}}}\n"
    return f"tasks:\n  t: {{run: make, safe_for_agent: true, depends_on: [inner]}}\n{inner}{more}"


E = "tasks.t.effects."
INNER = "tasks.inner.effects."
FINE = effects("writes: [dist], network: true")

CASES = (
    Case(
        "V470",
        E + "network_kind",
        effects("network_kind: broad"),
        effects("network: true, network_kind: broad"),
    ),
    Case("V471", E + "writes[0]", effects("writes: [../a]"), FINE),
    Case("V471", E + "writes[0]", effects("writes: [.]"), FINE),
    Case("V472", E + "writes[1]", effects("writes: [a/b, ./a//b]"), effects("writes: [a/b, a]")),
    Case(
        "V473",
        E + "workspace_writes[0]",
        effects("workspace_writes: [/a]"),
        effects("workspace_writes: [../a]"),
    ),
    Case(
        "V474",
        E + "external_state[0]",
        effects("external_state: [Queue]"),
        effects("external_state: [my-queue]"),
    ),
    Case(
        "V475", E + "external_state[1]", effects("external_state: [a, a]"), effects("external_state: [a, b]")
    ),
    *(
        Case(
            "V476",
            E + "adapter_state[0]",
            effects(f'adapter_state: ["{text}"]'),
            effects('adapter_state: ["compose:images"]'),
        )
        for text in ("compose", "Compose:images", "compose:", "compose:a:b")
    ),
    Case("V477", INNER + "writes[0]", safe("writes: [secrets]"), safe("writes: [secrets/dev]")),
    Case("V478", INNER + "writes[0]", safe("writes: [src]"), safe("writes: [src]", "")),
    Case("V479", INNER + "workspace_writes[0]", safe("workspace_writes: [../a]"), safe("writes: [dist]")),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_effect_rule_is_broken_alone(case: Case) -> None:
    prove(case)


def test_a_breach_names_the_safe_task_that_reaches_it() -> None:
    assert "agent-safe task `t` reaches it: t -> inner" in only(safe("writes: [src]")).why


def test_tasks_outside_agent_safe_closures_may_write_anywhere() -> None:
    unsafe = safe("writes: [src], workspace_writes: [../a]").replace(
        "safe_for_agent: true", "safe_for_agent: false"
    )
    prove(Case("V478", INNER + "writes[0]", safe("writes: [src]"), unsafe))
