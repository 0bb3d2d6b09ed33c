"""Rules of native prerequisites, each broken alone."""

import pytest

from contract.rules.table import Case, errors, prove

CHECKS = (
    "checks:\n"
    "  - {name: there, kind: precondition, severity: error, run: which cc}\n"
    "  - {name: file, kind: file, severity: error, path: a}\n"
    "  - {name: up, kind: health, severity: error, run: 'true'}\n"
)


def linux(text: str, check: str = ", check: there", rest: str = CHECKS) -> str:
    """A prerequisite with one linux entry."""
    return f"native_prerequisites: {{cc: {{platforms: {{linux: {{{text}{check}}}}}}}}}\n{rest}"


def windows(text: str, check: str = ", check: there") -> str:
    """The same for windows."""
    return linux(text, check).replace("linux", "windows", 1)


def activation(text: str) -> str:
    """A linux entry with an activation."""
    return linux(f"apt: [gcc], activation: {{{text}}}")


def requires(text: str, rest: str = "") -> str:
    """A linux entry that requires more."""
    return linux(f"apt: [gcc], requires: {{{text}}}") + rest


VALID = linux("apt: [gcc]")
P = "native_prerequisites.cc"
L = P + ".platforms.linux"
W = P + ".platforms.windows"
TWO = (
    "native_prerequisites:\n"
    "  a: {platforms: {linux: {note: x, check: there, activation: {kind: command, shell: sh, run: one}}}}\n"
    "  b: {platforms: {%s: {note: x, check: there, activation: {kind: command, shell: sh, run: two}}}}\n"
    "tasks: {t: {run: x, requirements: {native: [a, b]}}}\n" + CHECKS
)

CASES = (
    Case("V132", 'native_prerequisites.""', VALID.replace("cc:", '"":'), VALID),
    Case(
        "V132",
        P + ".description",
        VALID.replace("{platforms", '{description: "", platforms'),
        VALID.replace("{platforms", "{description: a compiler, platforms"),
    ),
    Case("V095", P + ".platforms.beos", VALID.replace("linux", "beos"), VALID),
    Case("V134", P + ".platforms", "native_prerequisites: {cc: {check: there}}\n" + CHECKS, VALID),
    Case("V135", L, linux("apt: []"), VALID),
    *(
        Case("V135", L, linux("", "check: there"), linux(text))
        for text in ("xcode_clt: true", "install: ./get", "note: ask", "packages: [gcc]")
    ),
    Case("V136", L + ".check", linux("apt: [gcc]", ", check: nope"), VALID),
    Case("V136", L + ".check", linux("apt: [gcc]", ', check: ""'), VALID),
    Case("V136", P + ".check", VALID.replace("{platforms", "{check: nope, platforms"), VALID),
    Case("V137", L + ".check", linux("apt: [gcc]", ", check: file"), VALID),
    Case(
        "V138",
        L + ".check",
        linux("apt: [gcc]", ""),
        linux("apt: [gcc]", "").replace("{platforms", "{check: there, platforms"),
    ),
    Case("V138", W + ".check", windows("note: x", ""), windows("visual_studio_build_tools: true", "")),
    Case("V138", W + ".check", windows("winget: [x]", ""), windows("visual_studio: {components: [a]}", "")),
    Case("V139", L + ".apt[0]", linux('apt: [""]'), VALID),
    Case("V139", L + ".brew[1]", linux("brew: [gcc, gcc]"), linux("brew: [gcc, make]")),
    Case("V140", L + ".visual_studio", linux("apt: [x], visual_studio: {}"), windows("visual_studio: {}")),
    Case(
        "V140",
        L + ".visual_studio_build_tools",
        linux("apt: [x], visual_studio_build_tools: true"),
        windows("visual_studio_build_tools: true"),
    ),
    Case(
        "V141",
        L + ".requires.toolchains[0]",
        requires("toolchains: [go]"),
        requires("toolchains: [go]", 'toolchains: {go: {version: "1"}}\n'),
    ),
    Case(
        "V142",
        L + ".requires.tools[0]",
        requires("tools: [jq]"),
        requires("tools: [jq]", "tools: {jq: '*'}\n"),
    ),
    Case(
        "V142",
        L + ".requires.tools[0]",
        requires("tools: [cargo]", "toolchains: {rust: {version: stable}}\n"),
        requires("tools: [cargo], toolchains: [rust]", "toolchains: {rust: {version: stable}}\n"),
    ),
    Case(
        "V143", L + ".requires.env[0]", requires("env: [X]"), requires("env: [X]", "env: {vars: {X: {}}}\n")
    ),
    Case("V144", L + ".requires.checks[0]", requires("checks: [nope]"), requires("checks: [there]")),
    Case("V144", L + ".requires.checks[0]", requires("checks: [up]"), requires("checks: [file]")),
    Case(
        "V145",
        L + ".activation",
        activation("kind: visual_studio_dev_shell"),
        activation("kind: command, shell: sh, run: . env"),
    ),
    Case(
        "V145",
        W + ".activation.arch",
        windows("note: x, activation: {kind: visual_studio_dev_shell, arch: mips}"),
        windows("note: x, activation: {kind: visual_studio_dev_shell, arch: arm64}"),
    ),
    Case(
        "V145",
        W + ".activation.run",
        windows("note: x, activation: {kind: visual_studio_dev_shell, run: x}"),
        windows("note: x, activation: {kind: visual_studio_dev_shell}"),
    ),
    Case("V146", L + ".activation.run", activation("kind: command, shell: sh"), VALID),
    Case(
        "V146",
        L + ".activation.arch",
        activation("kind: command, shell: sh, run: x, arch: x64"),
        activation("kind: command, shell: sh, run: x"),
    ),
    Case("V147", L + ".install", linux('install: ""'), linux("install: ./get")),
    Case("V147", L + ".note", linux('apt: [gcc], note: ""'), VALID),
    Case("V148", "tasks.t.requirements.native[1]", TWO % "linux", TWO % "macos"),
    Case(
        "V148",
        "tasks.t.requirements.native[1]",
        TWO % "linux",
        (TWO % "linux").replace("run: two", "run: one"),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_native_prerequisite_rule_is_broken_alone(case: Case) -> None:
    prove(case)


def test_required_tools_with_a_version_need_no_declaration() -> None:
    assert errors(requires("tools: {jq: '1'}")) == []
