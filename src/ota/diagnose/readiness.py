"""Which checks, probes and surfaces a diagnosis asks, and the findings their answers make.

A workflow with readiness of its own is judged by exactly that, plus the checks its tasks name as
requirements; otherwise every check counts. What is in the signal lane is told, and blocks nothing.

Source: doctor specification 9 (checks), 16; commands specification 9; contract specification 14, 16.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from posixpath import normpath
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from ota.contract.model.checks import Check
from ota.diagnose.scene import Scene
from ota.errors import Evidence, Finding, Severity
from ota.readiness.checks import CheckResult, CheckScene, evaluate
from ota.resolve.probes import ProbeProblem, ResolvedProbe, resolve_probe

if TYPE_CHECKING:
    from ota.readiness.named import ProbeAnswer

Job = Callable[[], tuple[Finding, ...]]
"""Asks something and tells what is wrong with the answer."""


class ReadinessItems(Struct, frozen=True, kw_only=True):
    """What is asked, gates and signals apart."""

    checks: tuple[Check, ...] = ()
    probes: tuple[str, ...] = ()
    surfaces: tuple[str, ...] = ()
    signal_checks: tuple[Check, ...] = ()
    signal_probes: tuple[str, ...] = ()
    signal_surfaces: tuple[str, ...] = ()


# --- selection -----------------------------------------------------------------------------------


def select_items(scene: Scene) -> ReadinessItems:
    """Each item once: a probe that a selected check asks is not asked again for the workflow."""
    declared = scene.readiness
    signal = declared.signal
    has_own = bool(declared.checks or declared.probes or declared.surfaces)
    signals = tuple(check for check in _first_of_name(scene) if check.name in signal.checks)
    required = required_checks(scene)
    if has_own:
        wanted = {*declared.checks, *required}
        checks = tuple(check for check in _first_of_name(scene) if check.name in wanted)
    else:
        checks = tuple(
            check
            for check in scene.contract.checks
            if check.name not in signal.checks and _is_wanted(scene, check, required)
        )
    asked = {check.probe for check in (*checks, *signals)}
    gates = tuple(name for name in dict.fromkeys(declared.probes) if name not in asked)
    return ReadinessItems(
        checks=checks,
        probes=gates,
        surfaces=tuple(dict.fromkeys(declared.surfaces)),
        signal_checks=tuple(check for check in signals if check not in checks),
        signal_probes=tuple(
            name for name in dict.fromkeys(signal.probes) if name not in asked and name not in gates
        ),
        signal_surfaces=tuple(
            name for name in dict.fromkeys(signal.surfaces) if name not in declared.surfaces
        ),
    )


def without_checks(items: ReadinessItems, names: Collection[str]) -> ReadinessItems:
    """The same without checks that something else asks."""
    return replace(items, checks=tuple(check for check in items.checks if check.name not in names))


def required_checks(scene: Scene) -> frozenset[str]:
    """Checks that tasks of the path name as requirements, or through a native prerequisite."""
    return frozenset(name for task in scene.path for name in task.required_checks)


def precondition_items(scene: Scene) -> ReadinessItems:
    """The facts `ota up` needs before it starts anything."""
    required = required_checks(scene)
    return ReadinessItems(
        checks=tuple(
            check
            for check in _first_of_name(scene)
            if check.name in required
            or (check.kind == "precondition" and _is_wanted(scene, check, required) and _is_own(scene, check))
        )
    )


def _is_own(scene: Scene, check: Check) -> bool:
    declared = scene.readiness
    has_own = bool(declared.checks or declared.probes or declared.surfaces)
    return not has_own or check.name in declared.checks


def _is_wanted(scene: Scene, check: Check, required: frozenset[str]) -> bool:
    """Where a path says what it needs, only the preconditions it names are gates."""
    return check.kind != "precondition" or not scene.is_narrowed or check.name in required


def _first_of_name(scene: Scene) -> Iterator[Check]:
    seen: set[str] = set()
    for check in scene.contract.checks:
        if check.name not in seen:
            seen.add(check.name)
            yield check


# --- asking --------------------------------------------------------------------------------------


def readiness_jobs(scene: Scene, items: ReadinessItems) -> list[Job]:
    """One job per item: checks in declaration order, probes, surfaces, then the signals."""
    named = {check.probe for check in (*items.checks, *items.signal_checks) if check.probe is not None}
    probes = {name: resolve_probe(scene.scope, name) for name in named}
    values = scene.env.process
    asked = CheckScene(
        root=scene.loaded.root,
        env=values,
        run_id=scene.run_id,
        should_stop=scene.should_stop,
        clock=scene.clock,
        probes=probes,
        asker=scene.asker,
    )
    owners = {name: probe.owner for name, probe in probes.items()}
    return [
        *(partial(_check, scene, check, asked, check.severity, owners) for check in items.checks),
        *(partial(_probe, scene, name, is_signal=False) for name in items.probes),
        *(partial(_surface, scene, name, is_signal=False) for name in items.surfaces),
        *(partial(_check, scene, check, asked, "info", owners) for check in items.signal_checks),
        *(partial(_probe, scene, name, is_signal=True) for name in items.signal_probes),
        *(partial(_surface, scene, name, is_signal=True) for name in items.signal_surfaces),
    ]


def starts_commands(items: ReadinessItems) -> bool:
    """Whether asking means starting a process."""
    return any(
        check.run is not None or check.kind == "changed_files"
        for check in (*items.checks, *items.signal_checks)
    )


def runs_something(scene: Scene, check: Check) -> bool:
    """Whether asking it runs a command, on this host or in a container."""
    if check.run is not None:
        return True
    resolved = resolve_probe(scene.scope, check.probe) if check.probe is not None else None
    return isinstance(resolved, ResolvedProbe) and resolved.where is not None


def _check(
    scene: Scene, check: Check, asked: CheckScene, severity: Severity, owners: dict[str, str]
) -> tuple[Finding, ...]:
    result = evaluate(check, asked)
    if result.holds:
        return ()
    return (check_finding(scene, check, result, severity, owners.get(check.probe or "", "")),)


# --- findings of checks --------------------------------------------------------------------------


def check_finding(
    scene: Scene, check: Check, result: CheckResult, severity: Severity, owner: str = ""
) -> Finding:
    """What a check that does not hold means."""
    what = "File check" if check.kind == "file" else "Probe check" if check.probe is not None else "Check"
    if result.is_unevaluable:
        headline, code = f"{what} could not be evaluated: {check.name}", "OTA_CHECK_UNEVALUABLE"
    elif result.is_timed_out:
        headline = f"{what} timed out: {check.name}"
        code = "OTA_FILE_CHECK_TIMED_OUT" if check.kind == "file" else "OTA_CHECK_TIMED_OUT"
    else:
        headline = f"{what} failed: {check.name}"
        code = "OTA_FILE_CHECK_FAILED" if check.kind == "file" else "OTA_CHECK_FAILED"
    why = scene.masker.mask(result.why)
    index = next(i for i, each in enumerate(scene.contract.checks) if each is check)
    is_command = check.run is not None
    return Finding(
        code=code,
        severity=severity,
        summary=headline,
        why=f"`{_first_line(check.run or '')}` {why}" if is_command else why,
        next=_next(scene, check, result, owner),
        place=scene.loaded.place(("checks", index)),
        category="execution",
        owner="repo_contract",
        evidence=Evidence(
            observed=why,
            expected=_expected(check),
            source="host",
            command=scene.masker.mask(result.asked) if check.kind != "file" else "",
            path=check.path or "",
        ),
    )


def _first_line(text: str) -> str:
    lines = text.strip().splitlines() or [""]
    return lines[0][:120] + ("..." if len(lines) > 1 or len(lines[0]) > 120 else "")


def _expected(check: Check) -> str:
    match check.kind:
        case "file":
            return check.expect or "exists"
        case "env" | "changed_files":
            return ""
        case _:
            return "ready" if check.probe is not None else "exit 0"


def _next(scene: Scene, check: Check, result: CheckResult, owner: str) -> str:
    rerun = f"rerun `{scene.rerun}`"
    if result.next:
        return f"{result.next}, then {rerun}"
    if check.probe is not None:
        return f"{_start(scene, owner)}, then {rerun}"
    if check.kind == "file":
        return _file_next(scene, check.path or "", check.expect or "exists", rerun)
    if check.kind == "env":
        where = check.env.path if check.env is not None and check.env.path is not None else None
        return f"correct `{where}`, then {rerun}" if where else f"`ota env` shows the values; then {rerun}"
    if check.kind == "changed_files":
        return f"`git status` shows what changed; then {rerun}"
    tested = _tested_file(check.run or "")
    if tested:
        return _file_next(scene, tested, "exists", rerun)
    if result.is_timed_out:
        return f"raise `timeout` of check `{check.name}`, or make its command end sooner, then {rerun}"
    return f"run `{_first_line(check.run or '')}` by hand, mend what it says, then {rerun}"


def _tested_file(command: str) -> str:
    """The path of a command that only tests for a file."""
    words = command.split()
    if len(words) == 3 and words[:2] == ["test", "-f"]:
        return words[2].strip("'\"")
    if len(words) == 4 and words[:2] == ["[", "-f"] and words[3] == "]":
        return words[2].strip("'\"")
    return ""


def _file_next(scene: Scene, path: str, expected: str, rerun: str) -> str:
    if expected == "missing":
        return f"remove `{path}`, then {rerun}"
    maker = scene.scope.file_makers.get(normpath(path))
    if maker is not None:
        return f"run `{maker.command}`, which makes `{path}`, then {rerun}"
    workflow = scene.selection.workflow
    named = workflow.setup.task if workflow is not None and workflow.setup is not None else "setup"
    if named in scene.contract.tasks:
        return f"run `{scene.command_of(named)}` to create `{path}`, then {rerun}"
    what = "the directory " if expected == "directory" else ""
    return f"create {what}`{path}`, then {rerun}"


def _start(scene: Scene, owner: str) -> str:
    """How to get somebody to answer."""
    kind, _, name = owner.partition(" ")
    match kind:
        case "task":
            return f"start it with `{scene.command_of(name)}`"
        case "service":
            return f"start service `{name}`"
        case _:
            return "start what answers there"


# --- workflow probes -----------------------------------------------------------------------------


def _probe(scene: Scene, name: str, *, is_signal: bool) -> tuple[Finding, ...]:
    from ota.readiness.named import ask

    resolved = resolve_probe(scene.scope, name)
    answer = ask(resolved, asker=scene.asker)
    return () if answer.holds else (probe_finding(scene, name, resolved, answer, is_signal=is_signal),)


def probe_finding(
    scene: Scene, name: str, resolved: ResolvedProbe | ProbeProblem, answer: "ProbeAnswer", *, is_signal: bool
) -> Finding:
    """What an unanswered probe of a workflow means."""
    lane = "SIGNAL_PROBE" if is_signal else "PROBE"
    is_inside = isinstance(resolved, ResolvedProbe) and resolved.where is not None
    if answer.is_unevaluable:
        headline, state = f"Probe could not be evaluated: {name}", "UNEVALUABLE"
    elif answer.is_timed_out:
        headline, state = f"Probe timed out: {name}", "TIMED_OUT"
    else:
        headline, state = f"Probe failed: {name}", "FAILED"
    return Finding(
        code=f"OTA_WORKFLOW_{lane}_{state}",
        severity="info" if is_signal else "error",
        summary=headline,
        why=scene.masker.mask(answer.why),
        next=f"{answer.next or _start(scene, resolved.owner)}, then rerun `{scene.rerun}`",
        place=scene.loaded.place(("readiness", "probes", name)),
        category="execution",
        owner="repo_contract",
        evidence=Evidence(
            observed=scene.masker.mask(answer.observed),
            expected="ready",
            source="container_target" if is_inside else "host",
            command=answer.target,
        ),
    )


def _surface(scene: Scene, name: str, *, is_signal: bool) -> tuple[Finding, ...]:
    from ota.diagnose.surfaces import surface_findings

    return surface_findings(scene, name, is_signal=is_signal)


def every_finding(found: Iterable[Iterable[Finding]]) -> tuple[Finding, ...]:
    """One after another."""
    return tuple(finding for findings in found for finding in findings)
