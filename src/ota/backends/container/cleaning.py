"""`ota clean`: what is provably this repository's goes, everything else stays and is told.

First every engine that matters is asked and everything is judged; only then is anything removed. Nothing
is removed while a run of the repository lives. An engine that does not answer stays on the list of engines
to look at, and so does one that holds what could not be judged.

Source: runtime specification 21.1; commands specification 13.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from ota.backends.container.claims import Claimant, Claims, Whereabouts, judge
from ota.backends.container.clean_report import (
    Cleaned,
    CleanFailure,
    Counts,
    ResourceKind,
    Skipped,
    absent_engine,
    container_conflict,
    engine_lost,
    making_conflict,
    not_removed,
    run_conflict,
    total,
    unsearched,
)
from ota.backends.container.engine import Engine, engine_of
from ota.backends.container.expected import ExpectedState
from ota.backends.container.identity import LABEL_OWNER_PID
from ota.backends.container.inventory import Inventory, Kind, observe_inventory
from ota.backends.container.leases import Leases
from ota.backends.container.ownership import (
    engines_path,
    forget_engines,
    owner_life,
    read_engines,
    read_token,
    token_path,
)
from ota.backends.container.removal import remove
from ota.errors import Finding, HostError
from ota.system.clock import SYSTEM_CLOCK, Clock
from ota.system.journal import RunStep, journal_path, read_journal
from ota.system.locks import SharedUse
from ota.system.process_table import carries_marker
from ota.system.reconcile import living_runs

LOCAL_ENGINES = ("docker", "podman")


def clean_repository(
    root: Path, expected: ExpectedState, environ: Mapping[str, str], clock: Clock = SYSTEM_CLOCK
) -> Cleaned:
    """Remove what this repository has on engines; what stood in the way is in `failures`.

    Raises:
        HostError: the ownership token or the list of engines cannot be read or written.
    """
    blocking = next((run for run in living_runs(root) if _is_in_the_way(root, run)), None)
    if blocking is not None:
        return Cleaned(failures=(run_conflict(blocking),), kept_engines=read_engines(root))
    with _Alone(root, clock) as alone:
        return _clean(root, _Survey(root, expected, environ, clock), alone, clock)


def _clean(root: Path, survey: "_Survey", alone: "_Alone", clock: Clock) -> Cleaned:
    conflict = alone.conflict or next(survey.conflicts(), None) or alone.take(survey.judged)
    if conflict is not None:
        return Cleaned(failures=(conflict,), queried=survey.answered, kept_engines=read_engines(root))
    removals = [_Removals(engine, inventory, claims) for engine, inventory, claims in survey.judged]
    for each in removals:
        each.carry_out()
    forget_engines(root, (each.engine.name for each in removals if each.is_done), clock)
    return Cleaned(
        counts=total(each.counts for each in removals),
        queried=survey.answered,
        skipped=tuple(skipped for each in removals for skipped in each.skipped),
        failures=(*survey.failures(), *(failure for each in removals for failure in each.failures)),
        kept_engines=read_engines(root),
    )


class _Alone:
    """The right to take things away: a run that starts now waits, instead of finding half of them.

    Where no lock can be made, no run could have made one either.
    """

    def __init__(self, root: Path, clock: Clock) -> None:
        self._root = root
        self._leases = Leases(root, clock)
        self._held: list[SharedUse] = []
        self.conflict: CleanFailure | None = None

    def __enter__(self) -> Self:
        # a repository without state stays without, and no run of it has made anything
        if token_path(self._root).parent.is_dir():
            with suppress(HostError):
                self.conflict = None if self._hold(self._leases.try_cleaning()) else making_conflict()
        return self

    def take(self, judged: Sequence[tuple[Engine, Inventory, Claims]]) -> CleanFailure | None:
        """Every persistent container that is to be removed; the one that a run is in, if any."""
        for engine, _, claims in judged:
            for found in claims.containers_that_are("current", "drifted"):
                with suppress(HostError):
                    if not self._hold(self._leases.try_alone(found.name)):
                        return container_conflict(engine.name, found.name)
        return None

    def _hold(self, lease: SharedUse | None) -> bool:
        if lease is not None:
            self._held.append(lease)
        return lease is not None

    def __exit__(self, *_: object) -> None:
        for lease in self._held:
            lease.release()


def _is_in_the_way(root: Path, run: RunStep) -> bool:
    """A living run is, unless this very command is its task and it has nothing in an engine."""
    if not carries_marker(os.getpid(), run.run_id):
        return True
    try:
        return bool(read_journal(journal_path(root, run.run_id)).containers)
    except HostError:
        return True


def whereabouts(folder: str, root: Path, token: str) -> Whereabouts:
    """What a folder that is mounted as a workspace is to the checkout at `root`."""
    mounted = Path(folder)
    try:
        if mounted.samefile(root):
            return "here"
        return "twin" if token and read_token(mounted) == token else "elsewhere"
    except OSError:
        return "gone"
    except HostError:
        return "elsewhere"


class _Survey:
    """Every engine that matters, asked once, and whose everything there is."""

    def __init__(self, root: Path, expected: ExpectedState, environ: Mapping[str, str], clock: Clock) -> None:
        self._root = root
        self._expected = expected
        self._recorded = read_engines(root)
        self._token = read_token(root) or ""
        self.judged: list[tuple[Engine, Inventory, Claims]] = []
        self._silent: dict[str, Finding] = {}
        for name in self._names(environ):
            engine = engine_of(name, environ, clock=clock)
            if engine is None:
                self._silent[name] = absent_engine(name)
            else:
                self._ask(engine)

    @property
    def answered(self) -> tuple[str, ...]:
        """The engines that answered."""
        return tuple(engine.name for engine, _, _ in self.judged)

    def _names(self, environ: Mapping[str, str]) -> tuple[str, ...]:
        """Recorded and declared engines; without either, whatever is on this machine."""
        declared = [name for group in self._expected.candidates for name in group]
        named = tuple(dict.fromkeys((*self._recorded, *declared)))
        return named or tuple(name for name in LOCAL_ENGINES if engine_of(name, environ) is not None)

    def _ask(self, engine: Engine) -> None:
        try:
            inventory = observe_inventory(engine)
        except HostError as error:
            self._silent[engine.name] = error.findings[0]
            return
        claimant = Claimant(
            token=self._token,
            expected=self._expected.on(engine.name),
            life_of=owner_life,
            whereabouts=lambda folder: whereabouts(folder, self._root, self._token),
        )
        self.judged.append((engine, inventory, judge(inventory, claimant)))

    def conflicts(self) -> Iterator[CleanFailure]:
        """Containers of runs that go on without a journal here, such as those of a moved checkout."""
        for engine, _, claims in self.judged:
            for found in claims.containers_that_are("live"):
                yield container_conflict(
                    engine.name, found.name, owner_pid=int(found.labels[LABEL_OWNER_PID])
                )

    def failures(self) -> Iterator[CleanFailure]:
        """Silent engines that matter: recorded ones, and those of a context none of whose engines answers."""
        answered = set(self.answered)
        matter = list(self._recorded)
        for group in self._expected.candidates:
            if not answered.intersection(group):
                matter += group
        if not self._recorded and not self._expected.candidates and not answered:
            matter += self._silent  # best effort, and nobody answered
        for name in dict.fromkeys(matter):
            if name in self._silent:
                recorded_in = engines_path(self._root) if name in self._recorded else None
                yield unsearched(name, self._silent[name], recorded_in=recorded_in)


class _Removals:
    """What is done about the claims on one engine: containers first, then what they used."""

    def __init__(self, engine: Engine, inventory: Inventory, claims: Claims) -> None:
        self.engine = engine
        self._inventory = inventory
        self._claims = claims
        self._counted: dict[str, int] = {}
        self._gone: set[str] = set()
        """Ids of what was there when the engine was asked, and is not any more."""
        self._has_network = any(claims.networks_in_use)
        self.failures: list[CleanFailure] = []

    def carry_out(self) -> None:
        """Remove; an engine that stops answering is not asked for more."""
        claims = self._claims
        containers = {
            "current_containers": claims.containers_that_are("current"),
            "drift_containers": claims.containers_that_are("drifted"),
            "orphaned_containers": claims.containers_that_are("orphaned"),
            "attached_containers": claims.attached,
        }
        by_id = {name: {each.id: each.name for each in found} for name, found in containers.items()}
        volumes = {
            "current_volumes": claims.volumes_that_are("current"),
            "drift_volumes": claims.volumes_that_are("drifted"),
        }
        by_name = {name: {each.name: each.name for each in found} for name, found in volumes.items()}
        networks = {"networks": {each.name: each.name for each in claims.networks}}
        for kind, groups in (("container", by_id), ("volume", by_name), ("network", networks)):
            if not self._remove(kind, groups):  # type: ignore[arg-type]  # the three kinds
                return

    def _remove(self, kind: Kind, groups: Mapping[str, Mapping[str, str]]) -> bool:
        """Whether the engine still answers."""
        names = {handle: name for group in groups.values() for handle, name in group.items()}
        if not names:
            return True
        removal = remove(self.engine, kind, names)
        gone = set(removal.removed)
        self._gone |= gone
        for counter, group in groups.items():
            self._counted[counter] = len(gone & group.keys())
        shown: ResourceKind = "dependency_isolation_volume" if kind == "volume" else "persistent_container"
        for kept in removal.kept:
            if kind == "network":
                self._has_network = True  # somebody joined it meanwhile: theirs to end with
            else:
                self.failures.append(self._kept(kind, shown, names[kept.handle], kept.detail))
        if removal.lost is not None:
            self.failures.append(engine_lost(self.engine.name, shown, removal.lost))
        return removal.lost is None

    def _kept(self, kind: Kind, shown: ResourceKind, name: str, detail: str) -> CleanFailure:
        engine = self.engine.name
        mounting = self._inventory.mounting(name) if kind == "volume" else ()
        users = [each for each in mounting if each.id not in self._gone]
        next_step = f"see what holds it: `{engine} {kind} inspect {name}`, then run `ota clean` again"
        if users:
            holders = " ".join(each.name for each in users)
            next_step = f"remove what mounts it: `{engine} rm -f {holders}`, then run `ota clean` again"
        return not_removed(engine, shown, name, detail, next_step)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left on this engine that the repository has to come back for."""
        return not self.failures and not self.skipped and not self._has_network

    @property
    def counts(self) -> Counts:
        """What was removed and what was left."""
        return Counts(
            **self._counted,
            ambiguous_containers=len(self._claims.ambiguous_containers),
            ambiguous_volumes=len(self._claims.ambiguous_volumes),
        )

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What may be ours and was left."""
        engine = self.engine.name
        return (
            *(
                Skipped(engine=engine, kind="persistent_container", name=each.found.name, why=each.reason)
                for each in self._claims.ambiguous_containers
            ),
            *(
                Skipped(
                    engine=engine, kind="dependency_isolation_volume", name=each.found.name, why=each.reason
                )
                for each in self._claims.ambiguous_volumes
            ),
        )
