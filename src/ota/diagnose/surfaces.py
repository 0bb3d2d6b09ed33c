"""Workflow surfaces: whether the run task answers where it publishes them.

Nothing is started for it. Asked once, unless somebody is bringing it up at this moment: a living run
of ota that includes the task, or a young process that holds the port and does not answer yet.

Source: doctor specification 9 (workflow surfaces); contract specification 10, 16.
"""

from ota.diagnose.scene import Scene
from ota.errors import Evidence, Finding
from ota.readiness.named import ProbeAnswer, ask, probe_of
from ota.readiness.timing import Timing
from ota.readiness.wait import Attempt, Gate, Ready, StopReason, wait_ready
from ota.resolve.probes import ProbeProblem, ResolvedSurface, resolve_surface
from ota.system.clock import seconds_since

INTERVAL_MS = 200
RETRIES = 120
MOST_TIMED_OUT = 30
WINDOW_S = 90.0
"""The most that is waited; who began longer ago is not on the way up any more."""
_TIMED_OUT = ("connect_timed_out", "no_answer")


def surface_findings(scene: Scene, name: str, *, is_signal: bool) -> tuple[Finding, ...]:
    """Ask one surface; nothing when it answers as declared."""
    workflow = scene.selection.workflow
    run_task = workflow.run.task if workflow is not None and workflow.run is not None else None
    if run_task is None:
        problem = ProbeProblem(
            name=name,
            why=f"workflow `{scene.selection.name}` has no run task that publishes it",
            next=f"set `workflows.{scene.selection.name}.run.task`",
        )
        return (_finding(scene, name, "UNEVALUABLE", problem.why, problem.next, is_signal=is_signal),)
    resolved = resolve_surface(scene.scope, name, run_task)
    if isinstance(resolved, ProbeProblem):
        return (_finding(scene, name, "UNEVALUABLE", resolved.why, resolved.next, is_signal=is_signal),)
    return _awaited(scene, name, resolved, is_signal=is_signal)


def _awaited(scene: Scene, name: str, surface: ResolvedSurface, *, is_signal: bool) -> tuple[Finding, ...]:
    first = ask(surface.probe)
    if first.holds:
        return ()
    target = surface.probe.target
    if is_signal or not _is_coming_up(scene, surface, first):
        state = "TIMED_OUT" if first.is_timed_out else "FAILED"
        next_ = f"start or repair it with `{scene.command_of(surface.task)}`"
        return (_finding(scene, name, state, first.why, next_, target, is_signal=is_signal),)
    return _waited(scene, name, surface)


def _is_coming_up(scene: Scene, surface: ResolvedSurface, first: ProbeAnswer) -> bool:
    """Whether there is a reason to ask again.

    A port that refuses belongs to nobody, so only a run of ota can be about to open it.
    """
    from ota.contract.graph import TaskGraph
    from ota.system.ports import find_port_holder
    from ota.system.reconcile import living_runs

    graph = TaskGraph(scene.contract.tasks)
    for run in living_runs(scene.loaded.root):
        if _is_recent(run.started_at, scene) and surface.task in graph.closure([run.task], activated=True):
            return True
    if first.result is None or first.result.reached == "nothing":
        return False
    holder = find_port_holder(surface.probe.host, surface.probe.port)
    return holder is not None and holder.since is not None and _is_recent(holder.since, scene)


def _is_recent(stamp: str, scene: Scene) -> bool:
    age_s = seconds_since(stamp, scene.clock)
    return age_s is not None and age_s <= WINDOW_S


def _waited(scene: Scene, name: str, surface: ResolvedSurface) -> tuple[Finding, ...]:
    probe = surface.probe
    timing = Timing(
        interval_s=(surface.interval_ms or INTERVAL_MS) / 1000,
        retries=surface.retries or RETRIES,
        timeout_s=probe.timeout_ms / 1000,
        start_period_s=surface.start_period_ms / 1000,
    )
    began_s = scene.clock.monotonic_s()
    timed_out = [0]

    def count(attempt: Attempt) -> None:
        timed_out[0] += attempt.result.cause in _TIMED_OUT

    def stop() -> StopReason | None:
        if scene.should_stop():
            return StopReason(kind="deadline", detail="interrupted")
        if timed_out[0] >= MOST_TIMED_OUT or scene.clock.monotonic_s() - began_s > WINDOW_S:
            return StopReason(kind="deadline", detail="out of time")
        return None

    gate = Gate(name=name, probe=probe_of(probe))
    outcome = wait_ready([gate], timing, clock=scene.clock, stop=stop, on_attempt=count)
    if isinstance(outcome, Ready):
        return ()
    last = outcome.last[-1].result if outcome.last else None
    state = "TIMED_OUT" if last is not None and last.cause in _TIMED_OUT else "FAILED"
    why = f"{probe.target}: {last.detail if last is not None else 'no answer'}, {outcome.probes} attempts"
    next_ = (
        f"it may still be booting: give it a moment, or read the output of `{scene.command_of(surface.task)}`"
    )
    return (_finding(scene, name, state, why, next_, probe.target, is_signal=False),)


def _finding(
    scene: Scene, name: str, state: str, why: str, next_: str, target: str = "", *, is_signal: bool
) -> Finding:
    lane = "SIGNAL_SURFACE" if is_signal else "SURFACE"
    words = {
        "FAILED": "Surface readiness failed",
        "TIMED_OUT": "Surface readiness timed out",
        "UNEVALUABLE": "Surface readiness could not be evaluated",
    }
    return Finding(
        code=f"OTA_WORKFLOW_{lane}_READINESS_{state}",
        severity="info" if is_signal else "error",
        summary=f"{words[state]}: {name}",
        why=scene.masker.mask(why),
        next=f"{next_}, then rerun `{scene.rerun}`",
        place=scene.loaded.place(("surfaces", name)),
        category="execution",
        owner="repo_contract",
        evidence=Evidence(observed=scene.masker.mask(why), expected="ready", source="host", command=target),
    )
