"""What the contract itself gives to think about: no tasks, advice, the agent's boundary, effects of the path.

Source: doctor specification 9 (tasks surface, advisories), 13; contract specification appendix A (W rules).
"""

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from ota.diagnose.scene import Scene
from ota.errors import Finding, Severity

_LIBRARIES = ("sdk", "library", "lib", "package", "module", "plugin")
_ADVISORIES: Mapping[str, str] = {
    "OTA_W01": "OTA_CONTRACT_ADVISORY_DEPENDS_ON_BOUNDARY",
    "OTA_W02": "OTA_CONTRACT_ADVISORY_LIKELY_UNUSED_ATTACHMENT",
    "OTA_W03": "OTA_CONTRACT_ADVISORY_ISOLATED_YARN_RELEASE_SHADOW",
    "OTA_W04": "OTA_CONTRACT_ADVISORY_TASK_MUTATES_MANAGED_ISOLATED_PATH",
    "OTA_W05": "OTA_CONTRACT_ADVISORY_LEGACY_NODE_RUNTIME_TOOL_SPLIT",
    "OTA_W06": "OTA_CONTRACT_ADVISORY_SENSITIVE_AGENT_WRITABLE_PATH",
    "OTA_W07": "OTA_CONTRACT_ADVISORY_SENSITIVE_WRITE_EXCEPTION",
    "OTA_W08": "OTA_CONTRACT_ADVISORY_AGENT_BOOTSTRAP_UNPINNED",
    "OTA_W09": "OTA_CONTRACT_ADVISORY_AGENT_SAFE_TASK_NETWORK",
    "OTA_W10": "OTA_CONTRACT_ADVISORY_SERVICE_OPAQUE_SHELL_START",
    "OTA_W11": "OTA_CONTRACT_ADVISORY_REPLACEABLE_FINITE_SHELL_COMMAND",
    "OTA_W12": "OTA_CONTRACT_ADVISORY_ENSURE_GIT_CHECKOUT_MOVING_HEAD",
    "OTA_W13": "OTA_CONTRACT_ADVISORY_REPLACEABLE_DEPENDENCY_HYDRATION",
    "OTA_W18": "OTA_CONTRACT_ADVISORY_LEGACY_STANDALONE_POETRY",
}
_TOLD_ELSEWHERE = ("OTA_W15", "OTA_W16")
"""Services and remote targets have findings of their own here."""


def contract_findings(scene: Scene) -> Iterator[Finding]:
    """Everything about the contract as it stands."""
    yield from _tasks(scene)
    yield from _advice(scene)
    yield from _boundary(scene)
    yield from _effects(scene)


def _tasks(scene: Scene) -> Iterator[Finding]:
    if scene.contract.tasks:
        return
    kind = (scene.contract.project.type or "").lower()
    severity: Severity = "warn" if kind in _LIBRARIES else "error"
    yield Finding(
        code="OTA_TASKS_MISSING",
        severity=severity,
        summary="No tasks defined in contract",
        why="without tasks there is nothing that people, CI or agents could run",
        next=f"add one: `tasks: {{test: {{run: <command>}}}}`, then rerun `{scene.rerun}`",
        place=scene.loaded.place(("tasks",)),
    )


def _advice(scene: Scene) -> Iterator[Finding]:
    in_path = {task.name for task in scene.path} if scene.selection.workflow is not None else None
    for finding in scene.loaded.warnings:
        if finding.code in _TOLD_ELSEWHERE:
            continue
        if finding.code == "OTA_W09" and in_path is not None and _task_of(finding) not in in_path:
            continue
        yield replace(finding, code=_code(finding), title="")


def _code(finding: Finding) -> str:
    if finding.code == "OTA_W09" and "external" in f"{finding.summary} {finding.why}":
        return "OTA_CONTRACT_ADVISORY_AGENT_SAFE_TASK_EXTERNAL_STATE"
    return _ADVISORIES.get(finding.code, finding.code)


def _task_of(finding: Finding) -> str:
    field = finding.place.field if finding.place is not None else ""
    return field.removeprefix("tasks.").split(".")[0] if field.startswith("tasks.") else ""


def _boundary(scene: Scene) -> Iterator[Finding]:
    agent = scene.contract.agent
    if agent is None or agent.inferred_boundary is None or agent.inferred_boundary.reviewed:
        return
    yield Finding(
        code="OTA_AGENT_BOUNDARY_UNREVIEWED",
        severity="warn",
        summary="The agent's boundary was inferred and nobody reviewed it",
        why="`agent.inferred_boundary.reviewed` is not true",
        next="review `agent.writable_paths` and `agent.protected_paths`, "
        "then set `agent.inferred_boundary.reviewed: true`",
        place=scene.loaded.place(("agent", "inferred_boundary")),
        owner="agent_safety",
    )


def _effects(scene: Scene) -> Iterator[Finding]:
    """What running the selected workflow will touch beyond this checkout."""
    if scene.selection.workflow is None:
        return
    network: list[str] = []
    hydration: list[str] = []
    external: list[str] = []
    for task in scene.path:
        effects = scene.contract.tasks[task.name].effects
        if effects is None:
            continue
        if effects.network and effects.network_kind == "dependency_hydration":
            hydration.append(task.name)
        elif effects.network:
            network.append(task.name)
        if effects.external_state:
            external.append(task.name)
    told: tuple[tuple[str, Severity, str, list[str]], ...] = (
        ("NETWORK_REQUIRED", "info", "needs the network", network),
        ("DEPENDENCY_HYDRATION", "info", "fetches dependencies", hydration),
        ("EXTERNAL_STATE", "warn", "changes state outside this checkout", external),
    )
    for state, severity, words, tasks in told:
        if tasks:
            yield Finding(
                code=f"OTA_SELECTED_TASK_PATH_{state}",
                severity=severity,
                summary=f"Workflow `{scene.selection.name}` {words}",
                why=f"declared by {', '.join(f'`{name}`' for name in dict.fromkeys(tasks))}",
                next=f"`{scene.command_of(tasks[0])} --dry-run` shows what would happen",
                place=scene.loaded.place(("tasks", tasks[0], "effects")),
            )
