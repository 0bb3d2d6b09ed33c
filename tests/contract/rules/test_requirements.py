"""Rules of runtimes, tools, toolchains and orchestrators, each broken alone."""

import pytest

from contract.rules.table import Case, errors, only, prove


def runtime(text: str, name: str = "node") -> str:
    """A contract with one runtime."""
    return f"runtimes: {{{name}: {text}}}\n"


def tool(text: str, name: str = "jq") -> str:
    """A contract with one tool."""
    return f"tools: {{{name}: {text}}}\n"


def acquired(text: str, name: str = "jq") -> str:
    """A contract with one tool that says how to get it."""
    return tool(f'{{version: "1", acquisition: {{{text}}}}}', name)


def toolchain(name: str, text: str) -> str:
    """A contract with one toolchain."""
    return f"toolchains: {{{name}: {{{text}}}}}\n"


def orchestrator(text: str, name: str = "m") -> str:
    """A contract with one orchestrator."""
    return f"orchestrators: {{{name}: {{{text}}}}}\n"


NODE = runtime('"22"')
JQ = tool('"*"')
RUST = toolchain("rust", "version: stable")
MISE = orchestrator("kind: mise")
COREPACK = "provider: corepack, package: pnpm, version: 10.11.0"
COMMAND = "provider: command, shell: sh, run: ./get"
ASSET = "provider: release_asset, source_config: {asset_by_platform: {linux_x64: %s}}"
URL = '"https://example.test/jq-{version}"'
A = "tools.jq.acquisition"

CASES = (
    Case("V090", 'runtimes.""', runtime('"22"', '""'), NODE),
    Case("V090", 'tools.""', tool('"*"', '""'), JQ),
    Case("V091", "runtimes.node.version", runtime('""'), NODE),
    Case("V091", "tools.jq.version", tool('{version: " "}'), JQ),
    Case("V092", "runtimes.node.provider", runtime('{version: "22", provider: ""}'), NODE),
    Case(
        "V092",
        "runtimes.node.platforms.linux.provider",
        runtime('{version: "22", platforms: {linux: {provider: ""}}}'),
        runtime('{version: "22", platforms: {linux: {provider: volta}}}'),
    ),
    Case(
        "V093",
        "runtimes.java.distribution",
        runtime('{version: "21", distribution: ""}', "java"),
        runtime('{version: "21", distribution: temurin}', "java"),
    ),
    Case(
        "V094",
        "runtimes.node.only_on[1]",
        runtime('{version: "22", only_on: [linux, beos]}'),
        runtime('{version: "22", only_on: [linux, macos]}'),
    ),
    Case("V094", "tools.jq.only_on", tool('{version: "1", only_on: []}'), JQ),
    Case("V094", "toolchains.rust.only_on[1]", RUST.replace("}}", ", only_on: [linux, linux]}}"), RUST),
    Case("V095", "tools.jq.platforms.beos", tool('{version: "1", platforms: {beos: {version: "2"}}}'), JQ),
    Case(
        "V096",
        "tools.jq.platforms.macos",
        tool('{version: "1", only_on: [linux], platforms: {macos: {version: "2"}}}'),
        tool('{version: "1", only_on: [linux], platforms: {linux: {version: "2"}}}'),
    ),
    Case(
        "V097",
        "runtimes.node.platforms.linux.version",
        runtime('{version: "22", platforms: {linux: {version: ""}}}'),
        NODE,
    ),
    Case(
        "V097",
        "toolchains.rust.platforms.linux.version",
        RUST.replace("}}", ', platforms: {linux: {version: ""}}}}'),
        RUST,
    ),
    Case(
        "V098", A + ".package", acquired('provider: apt, package: ""'), acquired("provider: apt, package: jq")
    ),
    Case("V098", A + ".run", acquired('provider: command, shell: sh, run: ""'), acquired(COMMAND)),
    Case("V099", A + ".version", acquired("provider: corepack, package: pnpm"), acquired(COREPACK)),
    Case(
        "V100",
        A + ".package",
        acquired("provider: corepack, package: pnpm; rm, version: 10.11.0"),
        acquired("provider: corepack, package: '@scope/x', version: 10.11.0"),
    ),
    Case("V101", "tools.node.acquisition", acquired(COREPACK, "node"), acquired(COREPACK)),
    Case("V101", A, acquired(COREPACK.replace("pnpm", "node")), acquired(COREPACK)),
    Case("V102", A + ".run", acquired(COREPACK + ", run: ./x"), acquired(COREPACK)),
    Case("V103", A + ".package", acquired(COMMAND + ", package: jq"), acquired(COMMAND)),
    Case("V104", A + ".shell", acquired("provider: command, run: ./get"), acquired(COMMAND)),
    Case(
        "V105",
        A + ".source_config.asset_by_platform",
        acquired("provider: release_asset"),
        acquired(ASSET % URL),
    ),
    Case(
        "V105",
        A + ".source_config.asset_by_platform.linux_x64",
        acquired(ASSET % "{archive: {format: zip, executable_path: jq}}"),
        acquired(ASSET % f"{{url: {URL}, archive: {{format: zip, executable_path: jq}}}}"),
    ),
    Case("V105", A + ".version", acquired(ASSET % URL + ', version: "1"'), acquired(ASSET % URL)),
    *(
        Case(
            "V106",
            A + ".version",
            acquired(f'provider: {provider}, version: "1"'),
            acquired(f"provider: {provider}, package: jq"),
        )
        for provider in ("apt", "brew", "winget", "choco", "scoop")
    ),
    Case(
        "V107",
        A + ".source_config",
        acquired("provider: apt, source_config: {}"),
        acquired("provider: apt, source_config: {repository: x}"),
    ),
    Case(
        "V107",
        A + ".source_config",
        acquired("provider: release_asset, source_config: {}"),
        acquired(ASSET % URL),
    ),
    Case("V107", A + ".source_config", acquired(COMMAND + ", source_config: {a: b}"), acquired(COMMAND)),
    *(
        Case(
            "V108",
            A + ".source_config.asset_by_platform.linux_x64.archive",
            acquired(ASSET % f"{{url: {URL}, archive: {archive}}}"),
            acquired(ASSET % f"{{url: {URL}, archive: {{format: tar_gz, executable_path: bin/jq}}}}"),
        )
        for archive in ("{format: rar, executable_path: jq}", "{format: zip}", "zip")
    ),
    Case("V110", 'toolchains.""', toolchain('""', 'version: "1"'), RUST),
    Case("V111", "toolchains.perl", toolchain("perl", 'version: "5"'), RUST),
    Case("V112", "toolchains.rust.version", toolchain("rust", 'version: ""'), RUST),
    Case("V113", "toolchains.rust.provider", RUST.replace("}}", ", provider: brew}}"), RUST),
    Case(
        "V114",
        "toolchains.go.fulfillment.source",
        toolchain("go", 'version: "1.24", fulfillment: {source: brew}'),
        toolchain("go", 'version: "1.24", fulfillment: {source: mise}'),
    ),
    *(
        Case(
            "V115",
            f"toolchains.go.{field}",
            toolchain("go", f'version: "1.24", {field}: {value}'),
            RUST.replace("}}", f", {field}: {value}}}}}"),
        )
        for field, value in (("profile", "minimal"), ("components", "[clippy]"), ("targets", "[x]"))
    ),
    Case("V116", "toolchains.rust.profile", RUST.replace("}}", ', profile: ""}}'), RUST),
    Case("V116", "toolchains.rust.components[0]", RUST.replace("}}", ', components: [""]}}'), RUST),
    Case(
        "V117",
        "toolchains.rust.components",
        RUST.replace("}}", ", components: [clippy], fulfillment: {source: mise, mode: run}}}"),
        RUST.replace("}}", ", components: [clippy], fulfillment: {source: rustup, mode: run}}}"),
    ),
    *(
        Case(
            "V118",
            "toolchains.rust.version",
            toolchain("rust", f"version: '{version}', fulfillment: {{mode: run}}"),
            toolchain("rust", f"version: '{fine}', fulfillment: {{mode: run}}"),
        )
        for version, fine in ((">=1.90", "1.94.0"), ("*", "stable"), ("1.x", "nightly"), ("1 94", "1.94"))
    ),
    *(
        Case(
            "V119",
            "toolchains.python.version",
            toolchain("python", f"version: '{version}', fulfillment: {{mode: run}}"),
            toolchain("python", f"version: '{fine}', fulfillment: {{mode: run}}"),
        )
        for version, fine in (("3", "3.12"), (">=3.12", "3.12.10"), ("3.12,<4", "3.13"))
    ),
    *(
        Case(
            "V120",
            f"toolchains.{name}.package_managers.npm",
            toolchain(name, 'version: "3.12", package_managers: {npm: "1"}'),
            toolchain("node", 'version: "24", package_managers: {npm: "11"}'),
        )
        for name in ("python", "ruby", "go", "java", "rust", "dotnet")
    ),
    Case("V121", "runtimes.node", NODE + toolchain("node", 'version: "22"'), NODE),
    Case(
        "V121",
        "tools.pnpm",
        tool('"10"', "pnpm") + toolchain("node", 'version: "22", package_managers: {pnpm: "10"}'),
        tool('"10"', "pnpm") + toolchain("node", 'version: "22"'),
    ),
    Case(
        "V122",
        "tasks.t.requirements.runtimes.node",
        toolchain("node", 'version: "22"')
        + 'tasks: {t: {run: x, requirements: {toolchains: [node], runtimes: {node: "22"}}}}\n',
        toolchain("node", 'version: "22"') + "tasks: {t: {run: x, requirements: {toolchains: [node]}}}\n",
    ),
    Case("V125", 'orchestrators.""', orchestrator("kind: mise", '""'), MISE),
    Case("V126", "orchestrators.m.config_files[0]", orchestrator('kind: mise, config_files: [""]'), MISE),
    Case(
        "V127",
        "orchestrators.m.launcher.exe",
        orchestrator('kind: mise, launcher: {exe: ""}'),
        orchestrator("kind: mise, launcher: {exe: wsl, args: [mise]}"),
    ),
    Case(
        "V127",
        "orchestrators.m.launcher.args[0]",
        orchestrator('kind: mise, launcher: {exe: wsl, args: [""]}'),
        MISE,
    ),
    Case(
        "V128",
        "orchestrators.m.activation.trust",
        orchestrator("kind: devbox, activation: {trust: true}"),
        orchestrator("kind: mise, activation: {trust: true}"),
    ),
    Case(
        "V129",
        "orchestrators.m.prepare.install",
        orchestrator("kind: devenv, prepare: {install: true}"),
        orchestrator("kind: devbox, prepare: {install: true}"),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_requirement_rule_is_broken_alone(case: Case) -> None:
    prove(case)


@pytest.mark.parametrize(
    ("name", "stated", "owned"),
    [
        ("rust", "components: [rustfmt, clippy]", ("cargo", "rustfmt", "clippy")),
        ("node", "package_managers: {yarn: '4'}", ("node", "yarn")),
        ("java", "", ("javac",)),
        ("python", "package_managers: {uv: '0.8'}", ("uv",)),
        ("ruby", "package_managers: {bundler: '2'}", ("bundler",)),
        ("dotnet", "", ("dotnet",)),
    ],
)
def test_a_toolchain_owns_what_its_installation_brings(
    name: str, stated: str, owned: tuple[str, ...]
) -> None:
    declared = toolchain(name, 'version: "3.12"' + (f", {stated}" if stated else ""))
    for each in owned:
        found = only(declared + tool('"*"', each))
        assert (found.code, found.place and found.place.field) == ("OTA_V121", f"tools.{each}")
        assert f"toolchains.{name}" in found.next


def test_a_toolchain_does_not_own_managers_it_does_not_list() -> None:
    assert errors(toolchain("python", 'version: "3.12"') + tool('"*"', "uv")) == []


def test_the_other_spelling_of_release_asset_is_the_same_provider() -> None:
    assert errors(acquired(ASSET.replace("release_asset", "release-asset") % URL)) == []


def test_a_platform_overlay_is_held_to_the_same_rules() -> None:
    text = tool('{version: "1", platforms: {linux: {acquisition: {provider: command, shell: sh}}}}')
    assert errors(text) == [("V104", "tools.jq.platforms.linux.acquisition.run")]


def test_a_context_overlay_is_held_to_the_same_rules() -> None:
    text = (
        "execution: {contexts: {c: {backend: native, requirements: "
        '{runtimes: {node: ""}, tools: {jq: {version: "1", only_on: [beos]}}}}}}\n'
    )
    where = "execution.contexts.c.requirements"
    assert sorted(errors(text)) == [
        ("V091", f"{where}.runtimes.node.version"),
        ("V094", f"{where}.tools.jq.only_on[0]"),
    ]


def test_an_unsupported_toolchain_lists_the_shipped_ones() -> None:
    found = only(toolchain("nodejs", 'version: "22"'))
    assert "`rust`" in found.why and "`dotnet`" in found.why
    assert "`node`" in found.next
