"""Rules of task requirements, each broken alone."""

import pytest

from contract.rules.table import Case, prove

MORE = """execution: {contexts: {host: {backend: native}, other: {backend: native}}}
toolchains: {node: {version: "22", package_managers: {pnpm: "9"}}}
native_prerequisites:
  libs: {check: pre, platforms: {linux: {apt: [libpq-dev]}}}
env: {vars: {A: {}}}
checks:
- {name: pre, kind: precondition, severity: error, run: "true"}
- {name: alive, kind: health, severity: warn, run: "true"}
"""


def needs(text: str) -> str:
    return f"tasks:\n  t: {{run: make, requirements: {{{text}}}}}\n{MORE}"


def any_of(*entries: str) -> str:
    return needs(f"any_of: [{', '.join(entries)}]")


R = "tasks.t.requirements."
FINE = needs('tools: {jq: "*"}')
NATIVE = "{when: {backend: native}, env: [A]}"

CASES = (
    Case("V480", R + 'tools.""', needs('tools: {"": "1"}'), FINE),
    Case("V480", R + "tools.jq.version", needs('tools: {jq: ""}'), FINE),
    Case(
        "V480",
        R + "runtimes.php.version",
        needs('runtimes: {php: {version: " "}}'),
        needs('runtimes: {php: "8"}'),
    ),
    Case("V480", R + "tools.jq.only_on[0]", needs('tools: {jq: {version: "1", only_on: [dos]}}'), FINE),
    Case(
        "V480",
        R + "any_of[0].tools.jq.version",
        any_of('{when: {backend: native}, tools: {jq: ""}}'),
        any_of(NATIVE),
    ),
    Case("V481", R + "toolchains[0]", needs("toolchains: [nose]"), needs("toolchains: [node]")),
    Case(
        "V482", R + "tools.pnpm", needs('tools: {pnpm: "9"}'), needs('tools: {pnpm: "9"}, toolchains: [node]')
    ),
    Case("V483", R + "env[0]", needs("env: [B]"), needs("env: [A]")),
    Case("V484", R + "native[0]", needs("native: [lib]"), needs("native: [libs]")),
    Case("V485", R + "checks[0]", needs("checks: [rpe]"), needs("checks: [pre]")),
    Case("V486", R + "checks[0]", needs("checks: [alive]"), needs("checks: [pre]")),
    Case("V487", R + "any_of[0]", any_of("{when: {backend: native}}"), any_of(NATIVE)),
    Case("V488", R + "any_of[0].when", any_of("{env: [A]}"), any_of(NATIVE)),
    Case(
        "V489",
        R + "any_of[0].when.context",
        any_of("{when: {context: hots}, env: [A]}"),
        any_of("{when: {context: host}, env: [A]}"),
    ),
    Case(
        "V489",
        R + "any_of[0].when.context",
        any_of("{when: {context: host, backend: container}, env: [A]}"),
        any_of("{when: {context: host, backend: native}, env: [A]}"),
    ),
    Case(
        "V490",
        R + "any_of[1].when",
        any_of(NATIVE, NATIVE),
        any_of(NATIVE, "{when: {backend: container}, env: [A]}"),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_requirement_rule_is_broken_alone(case: Case) -> None:
    prove(case)
