"""Environment sources and variables as the path needs them.

Source: doctor specification 9 (env); contract specification 9; policy-and-provisioning specification 4.
"""

from collections.abc import Iterator

from ota.diagnose.scene import Scene
from ota.env.resolution import EnvEntry, ResolvedEnv
from ota.errors import Evidence, Finding


def source_findings(scene: Scene) -> tuple[Finding, ...]:
    """Declared sources and env files that cannot be read: facts about files, whatever the plane."""
    return tuple(
        finding for resolved in _resolved(scene) for finding in resolved.findings if _is_about_files(finding)
    )


def variable_findings(scene: Scene) -> tuple[Finding, ...]:
    """Required values that are missing, and values that are not allowed, each variable once."""
    found: dict[tuple[str, str], Finding] = {}
    for resolved in _resolved(scene):
        for entry in resolved.entries:
            for finding in _entry(scene, entry):
                found.setdefault((finding.code, finding.summary), finding)
    return tuple(found.values())


def _resolved(scene: Scene) -> list[ResolvedEnv]:
    """What the path's tasks would get; without a path, the contract's own variables."""
    tasks = [scene.env_of(task) for task in scene.path]
    return tasks or [scene.env]


def _is_about_files(finding: Finding) -> bool:
    return finding.code not in ("OTA_ENV_MISSING", "OTA_ENV_INVALID")


def missing_variable(name: str) -> str:
    """What is said of a required variable without a value."""
    return f"Missing environment variable: {name}"


def _entry(scene: Scene, entry: EnvEntry) -> Iterator[Finding]:
    name = entry.name
    is_declared = name in scene.contract.env.vars
    place = scene.loaded.place(("env", "vars", name)) if is_declared else None
    if entry.status == "missing" and entry.blocked_by is None:
        yield Finding(
            code="OTA_ENV_MISSING",
            summary=missing_variable(name),
            why="it is required, and no layer, declared source, default or the shell gives it a value",
            next=f"`ota env{scene.target} --why {name}` shows where it may come from; {entry.next}, "
            f"then rerun `{scene.rerun}`",
            place=place,
            category="environment",
            owner="host",
            evidence=Evidence(observed="missing", expected="a value", source="host"),
        )
    elif entry.status == "invalid":
        listed = ", ".join(f"`{value}`" for value in entry.allowed)
        said = "its value" if entry.secret else f"`{entry.value}`"
        yield Finding(
            code="OTA_ENV_INVALID",
            summary=f"Invalid environment value: {name}",
            why=f"{said} (from {entry.source}) is not one of {listed}",
            next=f"{entry.next}, then rerun `{scene.rerun}`",
            place=place,
            category="environment",
            owner="host",
            evidence=Evidence(
                observed="" if entry.secret else entry.value or "",
                expected=", ".join(entry.allowed),
                source="host",
            ),
        )
