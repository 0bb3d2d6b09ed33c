"""Rules of mode branches, default modes and orchestrators, each broken alone."""

import pytest

from contract.rules.table import Case, prove

CONTEXTS = (
    "execution: {contexts: {host: {backend: native}, "
    "box: {backend: container, lifecycle: ephemeral, container: {image: n}}, "
    "far: {backend: remote, remote: {provider: ssh, target: a@b}}}}\n"
)
IMAGE_ONLY = "execution: {backends: {container: {image: n}}}\n"
MISE = "orchestrators: {mise: {kind: mise}}\n"


def task(text: str, more: str = "") -> str:
    return f"tasks:\n  t: {{{text}}}\n  other: {{run: make}}\n{more}"


def modes(text: str, body: str = "run: make, ", more: str = CONTEXTS) -> str:
    return task(f"{body}execution: {{modes: {{{text}}}}}", more)


def use(mode: str, body: str, more: str = MISE) -> str:
    return task(f"{body}, execution: {{orchestrator: {{ref: mise, mode: {mode}}}}}", more)


E = "tasks.t.execution."
SEQUENCE = (
    "prepare: {kind: sequence, steps: [{kind: ensure_directory, path: a}, "
    "{kind: tool_bootstrap, tool: uv, source: {kind: pip}}]}, "
    "effects: {network: true, network_kind: tool_bootstrap}, requirements: {toolchains: [python]}"
)
PYTHON = MISE + 'toolchains: {python: {version: "3.12"}}\n'

CASES = (
    Case(
        "V300", E[:-1], task("run: make, execution: {}"), task("run: make, execution: {default_mode: native}")
    ),
    Case(
        "V301",
        E + "default_mode",
        task("run: make, execution: {default_mode: container}"),
        task("run: make, execution: {default_mode: container}", CONTEXTS),
    ),
    Case(
        "V302",
        E + "default_mode",
        task("run: make, execution: {default_mode: container}", IMAGE_ONLY),
        task("run: make, lifecycle: ephemeral, execution: {default_mode: container}", IMAGE_ONLY),
    ),
    Case(
        "V303",
        E + "default_mode",
        task("run: make, execution: {default_mode: remote}"),
        task("run: make, execution: {default_mode: remote}", CONTEXTS),
    ),
    Case(
        "V304",
        E + "default_mode",
        task("execution: {default_mode: native, modes: {container: {run: a}}}", CONTEXTS),
        task("execution: {default_mode: container, modes: {container: {run: a}}}", CONTEXTS),
    ),
    Case(
        "V305",
        E + "modes.container.context",
        modes("container: {context: bxo}"),
        modes("container: {context: box}"),
    ),
    Case(
        "V305", E + "modes.native.context", modes('native: {context: ""}'), modes("native: {context: host}")
    ),
    Case(
        "V306", E + "modes.native.context", modes("native: {context: box}"), modes("native: {context: host}")
    ),
    Case(
        "V307",
        E + "modes.native.lifecycle",
        modes("native: {lifecycle: ephemeral}"),
        modes("container: {lifecycle: persistent}"),
    ),
    Case(
        "V307",
        E + "modes.remote.lifecycle",
        modes("remote: {lifecycle: persistent}"),
        modes("container: {lifecycle: persistent}"),
    ),
    Case("V308", E + "modes.native.script", modes("native: {run: a, script: b}"), modes("native: {run: a}")),
    Case("V309", E + "modes.native", modes("native: {env: {A: b}}", ""), modes("native: {run: a}", "")),
    Case("V310", E + "orchestrator.ref", use("exec", "run: make", ""), use("exec", "run: make")),
    Case(
        "V310",
        E + "modes.native.orchestrator.ref",
        modes("native: {orchestrator: {ref: mies, mode: exec}}", more=MISE),
        modes("native: {orchestrator: {ref: mise, mode: exec}}", more=MISE),
    ),
    Case(
        "V311",
        E + "orchestrator.mode",
        use("task", "launch: {kind: command, exe: a}"),
        use("task", "run: make"),
    ),
    Case(
        "V311",
        E + "orchestrator.mode",
        use("task", "action: {kind: ensure_directory, path: a}"),
        use("task", "run: m"),
    ),
    Case(
        "V311",
        E + "orchestrator.mode",
        use("exec", "action: {kind: ensure_directory, path: a}"),
        use("exec", "run: m"),
    ),
    Case("V311", E + "orchestrator.mode", use("exec", SEQUENCE, PYTHON), use("exec", "run: make", PYTHON)),
    Case(
        "V311",
        E + "orchestrator.mode",
        use("subcommand", "run: make"),
        use("subcommand", "command: {exe: a}"),
    ),
    Case(
        "V312",
        E + "modes.native.depends_on[0]",
        modes("native: {depends_on: [ohter]}"),
        modes("native: {depends_on: [other]}"),
    ),
    Case(
        "V313",
        "tasks.t.lifecycle",
        task("run: make, lifecycle: ephemeral", CONTEXTS),
        task("run: make, context: box, lifecycle: persistent", CONTEXTS),
    ),
    Case(
        "V313",
        "tasks.t.lifecycle",
        task("run: make, context: far, lifecycle: persistent", CONTEXTS),
        task("run: make, lifecycle: persistent, execution: {modes: {container: {context: box}}}", CONTEXTS),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_branch_rule_is_broken_alone(case: Case) -> None:
    prove(case)


def test_a_default_mode_without_a_branch_uses_the_task_body() -> None:
    fragment = task(
        "run: npm test, execution: {default_mode: native, "
        "modes: {container: {context: box, command: {exe: npm, args: [test, --, --ci]}}}}",
        CONTEXTS,
    )
    prove(Case("V304", E + "default_mode", fragment.replace("run: npm test, ", ""), fragment))
