"""Rules of env variables, sources and profiles, each broken alone."""

import pytest

from contract.rules.table import Case, prove


def variable(text: str, name: str = "A") -> str:
    """A contract with one declared variable."""
    return f"env: {{vars: {{{name}: {{{text}}}}}}}\n"


def sources(text: str) -> str:
    """A contract with these sources."""
    return f"env: {{sources: [{text}]}}\n"


def profile(text: str, name: str = "p") -> str:
    """A contract with one profile."""
    return f"env: {{profiles: {{{name}: {{{text}}}}}}}\n"


def render(text: str, more: str = "") -> str:
    """A profile that renders a dotenv file."""
    return profile(f"render: {{dotenv: {{{text}}}}}{more}")


P = "env.profiles.p."
VALID = profile("env_files: [a.env]")
DOTENV = render("path: .env.local")

CASES = (
    Case(
        "V150",
        "env.sources[0].path",
        sources('{kind: dotenv, path: ""}'),
        sources("{kind: dotenv, path: .env}"),
    ),
    Case("V150", P + "sources[0].path", profile('sources: [{kind: json, path: ""}]'), VALID),
    Case(
        "V151",
        "env.sources[1]",
        sources("{kind: dotenv, path: .env}, {kind: dotenv, path: .env}"),
        sources("{kind: dotenv, path: .env}, {kind: properties, path: .env}"),
    ),
    Case("V152", 'env.vars.""', variable("required: true", '""'), variable("required: true")),
    Case("V153", "env.vars.A.default", variable("secret: true, default: x"), variable("secret: true")),
    Case(
        "V154",
        "env.vars.PATH.prepend[0]",
        variable('prepend: [""]', "PATH"),
        variable("prepend: [bin]", "PATH"),
    ),
    Case("V155", "env.vars.A.append", variable("append: [bin]"), variable("append: [bin]", "PATH")),
    Case("V156", 'env.profiles.""', profile("env: {A: b}", '""'), VALID),
    Case("V157", P + "env_files[0]", profile("env_files: [../a.env]"), VALID),
    Case("V157", P + "sources[0].path", profile("sources: [{kind: json, path: /etc/x}]"), VALID),
    Case("V157", P + "render.dotenv.path", render("path: /tmp/x"), DOTENV),
    Case(
        "V157",
        P + "render.dotenv.template",
        render("path: a, template: ../b"),
        render("path: a, template: b"),
    ),
    Case(
        "V157",
        P + "render.files[0].path",
        profile("render: {files: [{path: ../a, format: json, sources: [b]}]}"),
        profile("render: {files: [{path: a, format: json, sources: [b]}]}"),
    ),
    Case(
        "V157",
        P + "render.files[0].sources[0]",
        profile("render: {files: [{path: a, format: toml, sources: ['C:b']}]}"),
        profile("render: {files: [{path: a, format: toml, sources: [b]}]}"),
    ),
    Case("V158", P + "render.dotenv.template", render("path: .env, template: ./.env"), DOTENV),
    Case(
        "V159",
        P + "render.dotenv.path",
        render("path: .env", ", env_files: [./.env]"),
        render("path: .env", ", env_files: [.env.more]"),
    ),
    Case(
        "V160",
        P + "render.files[0].sources",
        profile("render: {files: [{path: a, format: json}]}"),
        profile("render: {files: [{path: a, format: json, sources: [b]}]}"),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_env_rule_is_broken_alone(case: Case) -> None:
    prove(case)
