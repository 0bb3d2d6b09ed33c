"""Rules of prepare bodies, each broken alone."""

import pytest

from contract.rules.table import Case, prove

NET = "network: true, network_kind: "
PACKAGES = NET + "dependency_hydration"
CHAINS = """toolchains:
  node: {version: "22"}
  python: {version: "3.12"}
  ruby: {version: "3"}
  java: {version: "21"}
  rust: {version: "1.80"}
"""


def hydrate(
    source: str, effects: str = PACKAGES + ", writes: [dep]", more: str = CHAINS, extra: str = ""
) -> str:
    body = f"kind: dependency_hydration, medium: package_dependencies, source: {{{source}}}"
    return f"tasks:\n  t: {{prepare: {{{body}}}, effects: {{{effects}}}{extra}}}\n{more}"


def images(source: str = "file: c.yml", targets: str = "[db]", kind: str = "docker_compose") -> str:
    inner = f"source: {{kind: {kind}, cwd: ., {source}}}, targets: {targets}"
    body = f"kind: dependency_hydration, medium: container_images, {inner}"
    rest = f'effects: {{{NET}container_image_hydration}}, requirements: {{tools: {{docker: "*"}}}}'
    return f"tasks:\n  t: {{prepare: {{{body}}}, {rest}}}\n"


def bootstrap(text: str, more: str = CHAINS) -> str:
    body = f"prepare: {{kind: tool_bootstrap, {text}}}"
    return f"tasks:\n  t: {{{body}, effects: {{{NET}tool_bootstrap}}}}\n{more}"


def node(text: str) -> str:
    return hydrate(f"kind: node_package_manager, cwd: ., {text}")


def uv(text: str) -> str:
    return hydrate(f"kind: uv, cwd: .{text}")


NPM = node("manager: npm, mode: ci")
CARGO = hydrate("kind: cargo, cwd: .")
DOCKER = 'tools: {docker: "*"}\n'
WRAPPED = "kind: cargo, cwd: ., compose: {kind: exec, service: app}"
UV = bootstrap("tool: uv, source: {kind: pip}")
PLAYWRIGHT = bootstrap("tool: playwright_browsers, source: {kind: poetry, cwd: .}, browsers: [chromium]")
S = "tasks.t.prepare.source"

CASES = (
    Case("V340", "tasks.t.prepare.steps", "tasks: {t: {prepare: {kind: sequence, steps: []}}}\n", CARGO),
    Case("V341", "tasks.t.effects.network", hydrate("kind: cargo, cwd: .", ""), CARGO),
    Case("V341", "tasks.t.effects.network_kind", hydrate("kind: cargo, cwd: .", "network: true"), CARGO),
    Case("V341", "tasks.t.effects.network_kind", UV.replace("tool_bootstrap}}", "broad}}"), UV),
    Case("V342", S, hydrate("kind: cargo, cwd: .", more=""), CARGO),
    Case(
        "V342",
        S,
        hydrate("kind: cargo, cwd: .", more=""),
        hydrate("kind: cargo, cwd: .", extra=", requirements: {toolchains: [rust]}"),
    ),
    Case("V342", S, hydrate(WRAPPED), hydrate(WRAPPED, more=DOCKER)),
    Case(
        "V342",
        S,
        hydrate("kind: maven, cwd: ."),
        hydrate("kind: maven, cwd: ., wrapper: true"),
    ),
    Case(
        "V342",
        S,
        hydrate("kind: composer, cwd: ."),
        hydrate("kind: composer, cwd: .", more='tools: {composer: "*"}\n'),
    ),
    Case("V342", S, images().replace('docker: "*"', 'make: "*"'), images()),
    Case("V342", S, bootstrap("tool: uv, source: {kind: pip}", ""), UV),
    Case(
        "V343",
        S,
        hydrate("kind: bundler, cwd: ., path: gems", PACKAGES),
        hydrate("kind: bundler, cwd: ., path: gems"),
    ),
    Case("V344", S + ".kind", images("", kind="cargo").replace("., }", ".}"), images()),
    Case("V344", S, images("engine: docker"), images()),
    Case("V344", "tasks.t.prepare.targets", images(targets="[]"), images()),
    Case("V344", S + ".manager", images("file: c.yml, manager: npm"), images()),
    Case("V344", S + ".kind", hydrate("kind: pip"), CARGO),
    Case("V344", S + ".cwd", hydrate("kind: cargo"), CARGO),
    Case("V344", S + ".filter", hydrate("kind: cargo, cwd: ., filter: a"), CARGO),
    Case("V344", S + ".mode", hydrate("kind: maven, cwd: ., wrapper: true, mode: ci"), CARGO),
    Case("V345", S + ".manager", node("mode: install"), NPM),
    Case("V345", S + ".mode", node("manager: npm"), NPM),
    Case("V345", S + ".mode", node("manager: pnpm, mode: ci"), NPM),
    Case("V345", S + ".mode", node("manager: npm, mode: sync"), NPM),
    Case(
        "V345",
        S + ".frozen_lockfile",
        node("manager: npm, mode: ci, frozen_lockfile: true"),
        node("manager: pnpm, mode: install, frozen_lockfile: true"),
    ),
    Case(
        "V345",
        S + ".inline_builds",
        node("manager: bun, mode: install, inline_builds: true"),
        node("manager: yarn, mode: install, inline_builds: true"),
    ),
    Case(
        "V345",
        S + ".force",
        node("manager: pnpm, mode: install, force: true"),
        node("manager: npm, mode: ci, force: true"),
    ),
    Case(
        "V345",
        S + ".filter",
        node("manager: npm, mode: ci, filter: a"),
        node("manager: pnpm, mode: install, filter: a"),
    ),
    Case(
        "V346",
        S + ".requirements_file",
        uv(", mode: pip_requirements"),
        uv(", mode: pip_requirements, requirements_file: r.txt"),
    ),
    Case("V346", S + ".requirements_file", uv(", requirements_file: r.txt"), uv("")),
    Case(
        "V346",
        S + ".local_project",
        uv(", mode: pip_local_project"),
        uv(", mode: pip_local_project, local_project: {path: .}"),
    ),
    Case("V346", S + ".wrapper", uv(", wrapper: true"), uv(", offline: true")),
    Case("V347", S + ".path", hydrate("kind: bundler, cwd: ."), hydrate("kind: bundler, cwd: ., path: gems")),
    Case(
        "V347",
        S + ".path",
        hydrate("kind: bundler, cwd: ."),
        hydrate("kind: bundler, cwd: ., compose: {kind: exec, service: app}", more=DOCKER),
    ),
    Case(
        "V348", S + ".kind", bootstrap("tool: cypress_browsers, source: {kind: poetry, cwd: .}"), PLAYWRIGHT
    ),
    Case("V348", S + ".wrapper", bootstrap("tool: uv, source: {kind: pip, wrapper: true}"), UV),
    Case(
        "V348",
        "tasks.t.prepare.browsers",
        bootstrap("tool: uv, source: {kind: pip}, browsers: [firefox]"),
        PLAYWRIGHT,
    ),
    Case(
        "V348", "tasks.t.prepare.with_deps", bootstrap("tool: uv, source: {kind: pip}, with_deps: true"), UV
    ),
    Case("V316", S + ".cwd", hydrate("kind: cargo, cwd: ../a"), CARGO),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_prepare_rule_is_broken_alone(case: Case) -> None:
    prove(case)


def test_a_sequence_of_several_kinds_may_say_broad() -> None:
    steps = (
        "{kind: dependency_hydration, medium: package_dependencies, source: {kind: cargo, cwd: .}}, "
        "{kind: tool_bootstrap, tool: uv, source: {kind: pip}}"
    )
    text = f"tasks:\n  t: {{prepare: {{kind: sequence, steps: [{steps}]}}, effects: {{NETWORK}}}}\n{CHAINS}"
    prove(
        Case(
            "V341",
            "tasks.t.effects.network",
            text.replace("NETWORK", ""),
            text.replace("NETWORK", "network: true"),
        )
    )
