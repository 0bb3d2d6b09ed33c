"""Who is inside a persistent container: any number of runs, or one that takes the container away.

Source: runtime specification 7; commands specification 2.11.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ota.errors import Finding, HostError
from ota.system.clock import SYSTEM_CLOCK, Clock, Deadline
from ota.system.locks import ResourceLock, SharedUse

_LOCK_LIMIT_S = 180.0
"""Another run may be creating the container, and fetching its image first."""

_TURN_S = 0.5
_CLEAN_POLL_S = 0.05


class Leases:
    """The locks of one repository's persistent containers."""

    def __init__(
        self, root: Path, clock: Clock = SYSTEM_CLOCK, should_stop: Callable[[], bool] = lambda: False
    ) -> None:
        self._folder = root / ".ota" / "state" / "locks"
        self._clock = clock
        self._should_stop = should_stop

    def enter(self, container: str) -> SharedUse | None:
        """Be inside until released; None while the container is being taken away.

        Raises:
            HostError: the lock file cannot be opened.
        """
        return SharedUse.begin(self._path(container))

    def try_alone(self, container: str) -> SharedUse | None:
        """The right to take the container away; None while a run is inside.

        Raises:
            HostError: the lock file cannot be opened.
        """
        return SharedUse.try_alone(self._path(container))

    @contextmanager
    def making(self) -> Iterator[None]:
        """Something is being made on an engine: `ota clean` does not begin meanwhile, and is waited for.

        Without it clean could take away a volume that was seen a moment ago, and the engine would make
        another one of that name, without labels.

        Raises:
            HostError: `OTA_LOCK_HELD`: clean is still at it, or the user asked to stop waiting.
        """
        try:
            use = self._await_clean()
        except HostError as error:
            if error.findings[0].code == "OTA_LOCK_HELD":
                raise
            use = None  # where no lock can be made, clean can make none either
        try:
            yield
        finally:
            if use is not None:
                use.release()

    def try_cleaning(self) -> SharedUse | None:
        """The right to clean; None while a run is making something.

        Raises:
            HostError: the lock file cannot be opened.
        """
        return SharedUse.try_alone(self._cleaning)

    def _await_clean(self) -> SharedUse:
        deadline = Deadline.after(self._clock, _LOCK_LIMIT_S)
        while True:
            use = SharedUse.begin(self._cleaning)
            if use is not None:
                return use
            if deadline.is_over(self._clock) or self._should_stop():
                raise HostError(_cleaning_goes_on())
            self._clock.sleep(_CLEAN_POLL_S)

    @property
    def _cleaning(self) -> Path:
        return self._folder / "cleaning.lock"

    def _path(self, container: str) -> Path:
        return self._folder / f"inside-{container}.lock"

    @contextmanager
    def reconciling(self, container: str, what: str) -> Iterator[None]:
        """One run at a time looks at the container and makes it what it should be.

        Raises:
            HostError: `OTA_LOCK_HELD`: another run is still at it, or the user asked to stop waiting.
        """
        lock = self._wait(self._folder / f"container-{container}.lock", what)
        try:
            yield
        finally:
            lock.__exit__()

    def _wait(self, path: Path, what: str) -> ResourceLock:
        deadline = Deadline.after(self._clock, _LOCK_LIMIT_S)
        while True:
            try:
                return ResourceLock(path, what=what, limit_s=_TURN_S, clock=self._clock).__enter__()
            except HostError as error:
                is_held = error.findings[0].code == "OTA_LOCK_HELD"
                if not is_held or deadline.is_over(self._clock) or self._should_stop():
                    raise


def _cleaning_goes_on() -> Finding:
    return Finding(
        code="OTA_LOCK_HELD",
        summary="`ota clean` is removing what this repository has on container engines",
        why="nothing is made there before it is done",
        next="run the command again when `ota clean` is over",
        category="execution",
        owner="host",
    )
