"""Which command carries out which declaration: a table, field by field."""

import msgspec
import pytest

from ota.contract.model.bodies import DependencyHydration, DependencySource, LocalProject, ToolBootstrap
from ota.execute.actions import unsupported_action
from ota.execute.actions.packages import addresses_of, commands_of, credentials_in, shown_command


def hydration(kind: str, **fields: object) -> DependencyHydration:
    source = msgspec.convert({"kind": kind, "cwd": ".", **fields}, DependencySource)
    return DependencyHydration(medium="package_dependencies", source=source)


def bootstrap(
    tool: str, kind: str, source: dict[str, object] | None = None, **fields: object
) -> ToolBootstrap:
    made = msgspec.convert({"kind": kind, **(source or {})}, DependencySource)
    return ToolBootstrap(tool=tool, source=made, **fields)  # type: ignore[arg-type]


NODE = "node_package_manager"
HYDRATIONS = [
    (hydration(NODE, manager="npm", mode="ci"), "npm ci"),
    (hydration(NODE, manager="npm", mode="install"), "npm install"),
    (hydration(NODE, manager="npm", mode="install", force=True), "npm install --force"),
    (hydration(NODE, manager="npm", mode="ci", force=False), "npm ci"),
    (hydration(NODE, manager="pnpm", mode="install"), "pnpm install"),
    (
        hydration(NODE, manager="pnpm", mode="install", frozen_lockfile=True, filter="./api..."),
        "pnpm install --filter ./api... --frozen-lockfile",
    ),
    (
        hydration(NODE, manager="pnpm", mode="install", frozen_lockfile=False),
        "pnpm install --no-frozen-lockfile",
    ),
    (hydration(NODE, manager="yarn", mode="install"), "yarn install"),
    (hydration(NODE, manager="yarn", mode="install", frozen_lockfile=True), "yarn install --frozen-lockfile"),
    (hydration(NODE, manager="yarn", mode="install", frozen_lockfile=False), "yarn install"),
    (hydration(NODE, manager="yarn", mode="install", inline_builds=True), "yarn install --inline-builds"),
    (
        hydration(NODE, manager="yarn", mode="install", inline_builds=True, frozen_lockfile=True),
        "yarn install --immutable --inline-builds",
    ),
    (hydration(NODE, manager="bun", mode="install"), "bun install"),
    (hydration(NODE, manager="bun", mode="install", frozen_lockfile=True), "bun install --frozen-lockfile"),
    (hydration("composer"), "composer install --no-interaction"),
    (hydration("uv"), "uv sync"),
    (hydration("uv", mode="sync", offline=True), "uv sync --offline"),
    (
        hydration("uv", default_index="https://a/simple", indexes=["https://b/simple", "https://c/simple"]),
        "uv sync --default-index https://a/simple --index https://b/simple --index https://c/simple",
    ),
    (
        hydration("uv", mode="pip_requirements", requirements_file="requirements/dev.txt"),
        "uv pip install --requirements requirements/dev.txt",
    ),
    (hydration("uv", mode="pip_local_project", local_project=LocalProject(path=".")), "uv pip install ."),
    (
        hydration(
            "uv",
            mode="pip_local_project",
            local_project=LocalProject(path=".", editable=True, extras=("dev", "docs"), groups=("test",)),
        ),
        "uv pip install --editable .[dev,docs] --group test",
    ),
    (
        hydration(
            "uv",
            mode="pip_local_project",
            local_project=LocalProject(path="libs/core", groups=("test",), lockfile="requirements.lock"),
        ),
        "uv pip install ./libs/core --group ./libs/core/pyproject.toml:test --constraints requirements.lock",
    ),
    (
        hydration(
            "uv", mode="pip_local_project", local_project=LocalProject(path=".", lockfile="pylock.dev.toml")
        ),
        "uv pip install . --requirements pylock.dev.toml",
    ),
    (hydration("poetry"), "poetry install --no-interaction"),
    (hydration("poetry", groups=["dev", "ci"]), "poetry install --no-interaction --with dev,ci"),
    (
        hydration("poetry", groups=["dev"], group_mode="only", no_root=True),
        "poetry install --no-interaction --only dev --no-root",
    ),
    (hydration("helm"), "helm dependency update"),
    (hydration("go_modules"), "go mod download"),
    (hydration("cargo"), "cargo fetch"),
    (hydration("maven"), "mvn dependency:resolve --batch-mode"),
    (
        hydration("maven", wrapper=True, mode="go_offline", skip_tests=True),
        "./mvnw dependency:go-offline --batch-mode -DskipTests",
    ),
    (hydration("gradle"), "gradle dependencies --no-daemon --console=plain"),
    (hydration("gradle", wrapper=True), "./gradlew dependencies --no-daemon --console=plain"),
    (hydration("dotnet_restore"), "dotnet restore"),
    (
        hydration("dotnet_restore", config_file="NuGet.config", sources=["https://a", "local"]),
        "dotnet restore --configfile NuGet.config --source https://a --source local",
    ),
]
BOOTSTRAPS = [
    (bootstrap("uv", "pip"), "pip install uv"),
    (bootstrap("uv", "pip", {"exe": "pip3.12"}), "pip3.12 install uv"),
    (bootstrap("uv", "pip", {"exe": ".venv/bin/python3"}), ".venv/bin/python3 -m pip install uv"),
    (bootstrap("playwright_browsers", "poetry", {"cwd": "."}), "poetry run playwright install"),
    (
        bootstrap(
            "playwright_browsers", NODE, {"manager": "npm"}, browsers=("chromium", "firefox"), with_deps=True
        ),
        "npm exec --no -- playwright install --with-deps chromium firefox",
    ),
    (
        bootstrap("playwright_browsers", NODE, {"manager": "npm", "filter": "web"}),
        "npm exec --no --workspace web -- playwright install",
    ),
    (
        bootstrap("playwright_browsers", NODE, {"manager": "pnpm", "filter": "web"}),
        "pnpm --filter web exec playwright install",
    ),
    (bootstrap("cypress_browsers", NODE, {"manager": "pnpm"}), "pnpm exec cypress install"),
    (bootstrap("cypress_browsers", NODE, {"manager": "yarn"}), "yarn run cypress install"),
    (
        bootstrap("cypress_browsers", NODE, {"manager": "yarn", "filter": "web"}),
        "yarn workspace web run cypress install",
    ),
    (bootstrap("cypress_browsers", NODE, {"manager": "bun"}), "bunx --no-install cypress install"),
]


@pytest.mark.parametrize(("part", "command"), [*HYDRATIONS, *BOOTSTRAPS], ids=lambda value: str(value)[:60])
def test_a_declaration_becomes_one_command(part, command):
    assert [" ".join(argv) for argv in commands_of(part)] == [command]


def test_gems_are_installed_where_later_commands_find_them():
    assert commands_of(hydration("bundler", path="vendor/gems")) == (
        ("bundle", "config", "set", "--local", "path", "vendor/gems"),
        ("bundle", "install"),
    )


def test_every_package_source_has_a_command():
    kinds = set(msgspec.inspect.type_info(DependencySource).fields[0].type.values)
    shown = {part.source.kind for part, _ in HYDRATIONS} | {"bundler"}
    assert kinds - shown == {"docker_compose", "pip"}


@pytest.mark.parametrize(
    ("address", "secrets"),
    [
        ("https://user:pa55word@host/simple", ("pa55word",)),
        ("https://ghp_token@github.com/a/b.git", ("ghp_token",)),
        ("https://host/simple", ()),
        ("ssh://git@host/a.git", ()),
        ("git@host:a/b.git", ()),
        ("https://host/a@b", ()),
    ],
)
def test_what_an_address_carries_is_a_secret(address, secrets):
    assert credentials_in(address) == secrets


def test_the_shown_command_and_the_flags_keep_addresses_apart():
    part = hydration("uv", default_index="https://u:pw@a/simple", indexes=["https://b"])
    assert shown_command(commands_of(part)[0]) == "uv sync"
    assert addresses_of(part) == ("https://u:pw@a/simple", "https://b")


@pytest.mark.parametrize(
    ("part", "what"),
    [
        (hydration("composer", compose={"kind": "run", "service": "php"}), "compose service `php"),
        (
            hydration(
                "uv", mode="pip_local_project", local_project=LocalProject(path=".", lockfile="api/uv.lock")
            ),
            "lockfile: api/uv.lock",
        ),
    ],
)
def test_what_is_not_carried_out_or_cannot_be_said_is_named(part, what):
    unsupported = unsupported_action(part)
    assert unsupported is not None
    assert what in unsupported.what
    assert unsupported.why and unsupported.next
