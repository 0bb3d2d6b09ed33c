"""What came of cleaning, as data: counts, what was left and why, what stood in the way.

Source: commands specification 13; json-and-receipts specification 3.15.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from msgspec import Struct

from ota.errors import Finding
from ota.system.journal import RunStep

Reason = Literal["engine_unavailable", "active_execution_conflict", "other"]
ResourceKind = Literal["persistent_container", "dependency_isolation_volume", "stale_containers"]


class Counts(Struct, frozen=True, kw_only=True):
    """What was removed and what was left, by kind."""

    current_containers: int = 0
    drift_containers: int = 0
    attached_containers: int = 0
    """Removed only because they still mounted a volume that was removed."""
    current_volumes: int = 0
    drift_volumes: int = 0
    orphaned_containers: int = 0
    """Ephemeral ones whose run is dead."""
    networks: int = 0
    """Made by ota, with nobody on them."""
    ambiguous_containers: int = 0
    ambiguous_volumes: int = 0

    @property
    def removed(self) -> int:
        """Everything that is gone."""
        every: int = sum(getattr(self, name) for name in self.__struct_fields__)
        return every - self.skipped

    @property
    def skipped(self) -> int:
        """Everything that was left because it is not provably ours."""
        return self.ambiguous_containers + self.ambiguous_volumes


def total(counts: Iterable[Counts]) -> Counts:
    """The sum of each count."""
    every = tuple(counts)
    return Counts(**{name: sum(getattr(each, name) for each in every) for name in Counts.__struct_fields__})


class Skipped(Struct, frozen=True, kw_only=True):
    """One thing that may be ours and was left."""

    engine: str
    kind: ResourceKind
    name: str
    why: str


class CleanFailure(Struct, frozen=True, kw_only=True):
    """One thing that stood in the way."""

    reason: Reason
    engine: str
    """Empty when no engine is to blame."""
    action: Literal["list", "remove"]
    kind: ResourceKind
    name: str | None
    finding: Finding


class Cleaned(Struct, frozen=True, kw_only=True):
    """What came of cleaning one repository."""

    counts: Counts = Counts()
    queried: tuple[str, ...] = ()
    """Engines that answered."""
    skipped: tuple[Skipped, ...] = ()
    failures: tuple[CleanFailure, ...] = ()
    kept_engines: tuple[str, ...] = ()
    """Engines that stay on the repository's list."""


class StaleContainer(Struct, frozen=True, kw_only=True):
    """One stopped container that some ota made."""

    engine: str
    name: str
    ownership: Literal["label", "legacy_name"]


class StaleCleaned(Struct, frozen=True, kw_only=True):
    """What came of looking for stale containers."""

    engines: tuple[str, ...] = ()
    """Engines that answered."""
    matched: tuple[StaleContainer, ...] = ()
    removed: int = 0
    failures: tuple[CleanFailure, ...] = ()


# --- what stands in the way --------------------------------------------------------------------------


def run_conflict(run: RunStep) -> CleanFailure:
    """A run that goes on may use anything of the repository."""
    what = f"run {run.run_id} of task {run.task}, process {run.ota.pid}, since {run.started_at}"
    if run.stop:
        what = f"task {run.task}, left running on purpose since {run.started_at}"
    why = f"a run of this repository is still going on: {what}"
    return _conflict("", None, why, run.ota.pid, stop=run.stop)


def container_conflict(engine: str, name: str, owner_pid: int = 0) -> CleanFailure:
    """A container that a run is in, or whose owner lives without a journal here."""
    whose = f"belongs to process {owner_pid}, which is still running" if owner_pid else "has a run inside"
    return _conflict(engine, name, f"container {name} in {engine} {whose}", owner_pid)


def making_conflict() -> CleanFailure:
    """A run that only just began."""
    return _conflict("", None, "a run of this repository is making a container at this moment", 0)


def _conflict(engine: str, name: str | None, why: str, pid: int, *, stop: str = "") -> CleanFailure:
    command = stop or (f"kill -INT {pid}" if pid else "")
    way = f", or stop it with `{command}`" if command else " or stop it"
    return CleanFailure(
        reason="active_execution_conflict",
        engine=engine,
        action="remove",
        kind="persistent_container",
        name=name,
        finding=_finding(
            "OTA_CLEAN_ACTIVE_EXECUTION",
            "nothing was cleaned: a live execution uses this repository",
            why,
            f"let it finish{way}, then run `ota clean` again",
            title="Clean is blocked",
        ),
    )


def absent_engine(name: str) -> Finding:
    """The engine's command line is not there."""
    return _finding(
        "OTA_CONTAINER_BACKEND_CLI_MISSING",
        f"container engine `{name}` is missing",
        f"`{name}` was not found on PATH",
        f"install {name}, or put it on PATH",
        title="Container engine is missing",
    )


def unsearched(engine: str, cause: Finding, *, recorded_in: Path | None) -> CleanFailure:
    """Not "nothing to clean": an engine that was not searched may hold anything of this repository.

    `recorded_in` is the list of engines when the repository is known to have used this one.
    """
    why = f"{cause.summary}: {cause.why}" if cause.why else cause.summary
    next_step = cause.next
    if recorded_in is not None:
        why += f"; this repository used {engine}, so it stays in .ota/state/managed-engines"
        next_step += f"; if {engine} is gone for good, take it off {recorded_in}"
    return CleanFailure(
        reason="engine_unavailable",
        engine=engine,
        action="list",
        kind="persistent_container",
        name=None,
        finding=_finding(
            "OTA_CLEAN_ENGINE_UNAVAILABLE",
            f"could not look for this repository's state in {engine}",
            why,
            next_step,
        ),
    )


def engine_lost(engine: str, kind: ResourceKind, cause: Finding) -> CleanFailure:
    """It answered before, and not while things were being removed."""
    return CleanFailure(
        reason="engine_unavailable", engine=engine, action="remove", kind=kind, name=None, finding=cause
    )


def not_removed(engine: str, kind: ResourceKind, name: str, why: str, next_step: str) -> CleanFailure:
    """One thing that is still there."""
    shown = "volume" if kind == "dependency_isolation_volume" else "container"
    return CleanFailure(
        reason="other",
        engine=engine,
        action="remove",
        kind=kind,
        name=name,
        finding=_finding(
            "OTA_CLEAN_NOT_REMOVED", f"{engine} could not remove {shown} {name}", why, next_step
        ),
    )


def _finding(code: str, summary: str, why: str, next_: str, title: str = "Cleanup is incomplete") -> Finding:
    return Finding(
        code=code, title=title, summary=summary, why=why, next=next_, category="execution", owner="host"
    )
