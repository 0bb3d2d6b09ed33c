"""Container engines of a diagnosis: whether one of those that are named answers, and the words for none.

Source: doctor specification 8 (container engines).
"""

from collections.abc import Sequence

from ota.diagnose.scene import Scene
from ota.errors import Evidence, Finding, Owner, Place
from ota.readiness.checks import CheckScene, ask_command
from ota.requirements.executables import find_executable
from ota.system.cutting import cut

_LIMIT_S = 5.0


def answering_engine(
    scene: Scene, engines: tuple[str, ...], field: tuple[str, ...]
) -> tuple[str, tuple[Finding, ...]]:
    """The first that answers; none, and why."""
    root, place, rerun = scene.loaded.root, scene.loaded.place(field), f"then rerun `{scene.rerun}`"
    there = [
        engine
        for engine in engines
        if find_executable(engine, scene.environ, root, host_os=scene.host.os) is not None
    ]
    if not there:
        why = f"none of {', '.join(engines)} is on the PATH"
        return "", (missing_engine(engines, why, f"install {engines[0]}, {rerun}", place=place),)
    asked = CheckScene(root=root, env=scene.environ, run_id=scene.run_id, should_stop=scene.should_stop)
    said = ""
    for engine in there:
        code, output = ask_command((engine, "info"), asked, _LIMIT_S)
        if code == 0:
            return engine, ()
        said = said or _said(engine, code, output)
    silent = silent_engine(
        there[0],
        scene.masker.mask(said),
        f"start {there[0]} until `{there[0]} info` succeeds, {rerun}",
        place=place,
        evidence=Evidence(source="host", command=f"{there[0]} info"),
    )
    return "", (silent,)


def _said(engine: str, code: int | None, output: str) -> str:
    how = f"did not answer within {_LIMIT_S:g} s" if code is None else f"exited {code}"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    told = next((line for line in lines if "rror" in line), lines[-1] if lines else "")
    return f"`{engine} info` {how}" + (f": {cut(told, 200)}" if told else "")


# --- the words ---------------------------------------------------------------------------------------


def missing_engine(
    engines: Sequence[str], why: str, next_: str, *, place: Place | None = None, owner: Owner = "host"
) -> Finding:
    """None of the engines is on this host."""
    listed = ", ".join(engines)
    return Finding(
        code="OTA_CONTAINER_BACKEND_CLI_MISSING",
        summary=f"Missing container execution backend CLI: {listed}",
        why=why,
        next=next_,
        place=place,
        category="execution",
        owner=owner,
        evidence=Evidence(observed="missing", expected=listed, source="host"),
    )


def silent_engine(
    engine: str,
    why: str,
    next_: str,
    *,
    place: Place | None,
    evidence: Evidence,
    owner: Owner = "host",
) -> Finding:
    """An engine is on this host and does not answer."""
    return Finding(
        code="OTA_CONTAINER_BACKEND_UNAVAILABLE",
        summary=f"Container execution backend unavailable: {engine}",
        why=why,
        next=next_,
        place=place,
        category="execution",
        owner=owner,
        evidence=evidence,
    )
