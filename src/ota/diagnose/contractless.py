"""A repository without a contract: what its files and this host already tell. Nothing of it is run.

Source: doctor specification 14; commands specification 4.2.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from ota.diagnose.report import Group, Verdict, grouped, in_order, verdict_of
from ota.errors import Evidence, Finding, Severity
from ota.requirements.executables import find_executable
from ota.requirements.probes import Prober, Wanted
from ota.system.side_by_side import side_by_side

WRITE_ONE = (
    "write an `ota.yaml` that begins with `version: 1` and `project: {name: ...}`, then `ota validate`"
)
ENGINES = ("docker", "podman")
_COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_MOST_BYTES = 1 << 20


class Stack(Struct, frozen=True, kw_only=True):
    """One kind of repository, known by a file at its root."""

    name: str
    files: tuple[str, ...]
    """Exact names, or `*.suffix`."""
    tool: str
    kind: str = "tool"


STACKS: tuple[Stack, ...] = (
    Stack(name="Rust", files=("Cargo.toml",), tool="cargo"),
    Stack(name="Node.js", files=("package.json",), tool="node", kind="runtime"),
    Stack(name="Go", files=("go.mod",), tool="go", kind="runtime"),
    Stack(
        name="Python",
        files=("pyproject.toml", "requirements.txt", "setup.py", "Pipfile"),
        tool="python",
        kind="runtime",
    ),
    Stack(name="Java (Maven)", files=("pom.xml",), tool="maven"),
    Stack(
        name="Java (Gradle)",
        files=("build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts"),
        tool="java",
        kind="runtime",
    ),
    Stack(name="Ruby", files=("Gemfile",), tool="ruby", kind="runtime"),
    Stack(name="PHP", files=("composer.json",), tool="php", kind="runtime"),
    Stack(name=".NET", files=("global.json", "*.sln", "*.csproj", "*.fsproj"), tool="dotnet", kind="runtime"),
    Stack(name="Make", files=("Makefile", "GNUmakefile"), tool="make"),
)


class Contractless(Struct, frozen=True, kw_only=True):
    """Findings about a folder that has no contract yet."""

    findings: tuple[Finding, ...]
    verdict: Verdict
    groups: tuple[Group, ...]


def inspect(root: Path, searched: str, env: Mapping[str, str]) -> Contractless:
    """Look at the files of `root` and at this host. `searched` says how far a contract was looked for."""
    found = [_missing(searched), *_signals(root, env)]
    findings = in_order(found)
    return Contractless(findings=findings, verdict=verdict_of(findings), groups=grouped(findings))


def _missing(searched: str) -> Finding:
    return Finding(
        code="OTA_CONTRACTLESS_REPO_CONTRACT_MISSING",
        summary="No `ota.yaml` found",
        why=searched,
        next=WRITE_ONE,
        owner="repo_signals",
        evidence=Evidence(observed="missing", expected="ota.yaml", source="detect"),
    )


def _signals(root: Path, env: Mapping[str, str]) -> Iterator[Finding]:
    try:
        names = sorted(entry.name for entry in root.iterdir())
    except OSError as error:
        yield Finding(
            code="OTA_CONTRACTLESS_SIGNAL_INSPECTION_FAILED",
            severity="warn",
            summary="Could not inspect repo signals",
            why=f"{root}: {error.strerror}",
            next="make the folder readable, then rerun `ota doctor`",
            owner="repo_signals",
        )
        return
    detected = [(stack, file) for stack in STACKS if (file := _match(stack, names))]
    jobs = [lambda stack=stack, file=file: tuple(_stack(root, env, stack, file)) for stack, file in detected]
    for findings in side_by_side(jobs):
        yield from findings
    compose = next((name for name in _COMPOSE_FILES if name in names), None)
    if compose is not None:
        yield from _compose(root, env, compose)
    if not detected and compose is None:
        yield _signal("No repo signals detected", "no file of a known stack stands at the root", "")


def _match(stack: Stack, names: list[str]) -> str:
    for pattern in stack.files:
        if pattern.startswith("*"):
            found = next((name for name in names if name.endswith(pattern[1:])), "")
        else:
            found = pattern if pattern in names else ""
        if found:
            return found
    return ""


def _stack(root: Path, env: Mapping[str, str], stack: Stack, file: str) -> Iterator[Finding]:
    yield _signal(f"Detected {stack.name} repo", f"`{file}` stands at the root", file)
    wanted = Wanted(kind="runtime" if stack.kind == "runtime" else "tool", name=stack.tool, version=">=0")
    outcome = Prober(env, root).probe(wanted)
    if outcome.status == "missing":
        yield _tool(
            "error",
            "MISSING",
            f"Missing host tool: {stack.tool}",
            f"`{file}` asks for it, and it is not on the PATH",
            f"install {stack.tool}, then rerun `ota doctor`",
        )
        return
    version = f" {outcome.version}" if outcome.version else ""
    yield _tool(
        "info",
        "AVAILABLE",
        f"Host tool available: {stack.tool}{version}",
        f"found at {outcome.executable}",
        WRITE_ONE,
        observed=outcome.version,
        command=outcome.command,
        path=outcome.executable,
    )


def _compose(root: Path, env: Mapping[str, str], file: str) -> Iterator[Finding]:
    services = _compose_services(root / file)
    listed = ", ".join(services) or "none could be read"
    yield _signal(f"Detected Docker Compose services: {listed}", f"`{file}` declares them", file)
    there = next((engine for engine in ENGINES if find_executable(engine, env, root) is not None), None)
    if there is not None:
        yield _tool(
            "info",
            "AVAILABLE",
            f"Host tool available: {there}",
            "a container engine is on the PATH",
            WRITE_ONE,
        )
        return
    from ota.diagnose.engines import missing_engine  # paid only by folders that compose

    yield missing_engine(
        ENGINES,
        f"`{file}` needs an engine, and none is on the PATH",
        "install docker or podman, then rerun `ota doctor`",
        owner="repo_signals",
    )


def _compose_services(path: Path) -> tuple[str, ...]:
    """Service names by line structure: any YAML that a person writes, and no more than that."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            lines = file.read(_MOST_BYTES).splitlines()
    except OSError:
        return ()
    found: list[str] = []
    is_inside, indent = False, 0
    for line in lines:
        bare = line.split(" #")[0].rstrip()
        if not bare.strip() or bare.lstrip().startswith("#"):
            continue
        depth = len(bare) - len(bare.lstrip())
        if depth == 0:
            is_inside, indent = bare == "services:", 0
        elif is_inside and bare.endswith(":") and depth == (indent or depth):
            indent = depth
            found.append(bare.strip()[:-1].strip("'\""))
    return tuple(sorted(found))


def _signal(summary: str, why: str, file: str) -> Finding:
    return Finding(
        code="OTA_CONTRACTLESS_SIGNAL",
        severity="info",
        summary=summary,
        why=why,
        next=WRITE_ONE,
        owner="repo_signals",
        evidence=Evidence(observed=file, source="detect", path=file),
    )


def _tool(
    severity: Severity,
    state: str,
    summary: str,
    why: str,
    next_: str,
    *,
    observed: str = "",
    command: str = "",
    path: str = "",
) -> Finding:
    return Finding(
        code=f"OTA_CONTRACTLESS_HOST_TOOL_{state}",
        severity=severity,
        summary=summary,
        why=why,
        next=next_,
        category="environment",
        owner="repo_signals",
        evidence=Evidence(observed=observed, source="host", command=command, path=path),
    )
