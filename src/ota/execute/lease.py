"""A service that another part of the run wants ready, and then has stopped or let go.

`ota run` runs a service until it ends. `ota up` needs it ready while it looks at the rest, and decides
later what becomes of it: the holder of a lease waits for `standing` and sets `wish`; the attendant of
the service (`ota.execute.leased`) tells the one and does the other.

Source: runtime specification 14.3 (run), 15.4; commands specification 3.
"""

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from ota.env.masking import Masker
from ota.errors import Finding, HostError
from ota.system.processes import Identity
from ota.system.spawn import SpawnRequest
from ota.system.workload import Workload

if TYPE_CHECKING:
    from ota.backends.container.body import Marks
    from ota.backends.kept_output import KeptOutput
    from ota.execute.kept import KeptContainer

Standing = Literal["starting", "ready", "over"]
Wish = Literal["stop", "let go"]


class Lease:
    """Shared by whoever wants the service and by the thread that supervises it."""

    def __init__(
        self,
        run_id: str,
        *,
        log: Path | None = None,
        key: str = "",
        keep: "Callable[[Lease], None] | None" = None,
    ) -> None:
        """`run_id`: the service's own. `log`: where its output is kept, when it may go on after ota.

        `key` is its name in the repository. `keep` puts a service that is let go on the record. It may raise
        HostError: then the service is stopped, and `trouble` says why.
        """
        self.run_id = run_id
        """Its processes carry this marker, so that they can be told from what other steps left."""
        self.log = log
        self.key = key
        self.news = Event()
        """Set whenever `standing` changed."""
        self.standing: Standing = "starting"
        self.wish: Wish | None = None
        self.was_released = False
        """The service ended, or went on, because its holder wished so."""
        self.was_let_go = False
        self.trouble: Finding | None = None
        self.leader: Identity | None = None
        self.intent = 0
        """Its number in the journal."""
        self.container: KeptContainer | None = None
        """Where it runs, unless it is a process of this host."""
        self.keeper: Identity | None = None
        """Who is to own it there, when it goes on after ota."""
        self._keep = keep
        self._kept: KeptOutput | None = None
        self._wake: Callable[[], None] = lambda: None

    # -- the holder's side -----------------------------------------------------------------------

    def ask(self, wish: Wish) -> None:
        """Have it ended or let go; the supervising thread does it at once. From any thread."""
        self.wish = wish
        self._wake()

    # -- the attendant's side --------------------------------------------------------------------

    def placed(self, request: SpawnRequest, masker: Masker) -> SpawnRequest:
        """The request of a child of its own: one that is part of this run, or can be let go later.

        Raises:
            HostError: the output of one that may go on cannot be kept.
        """
        if self.log is None:
            marked = request.run_id is not None  # what an engine starts for others carries no marker
            return replace(request, run_id=f"{request.run_id}:{self.run_id}") if marked else request
        from ota.backends.kept_output import KeptOutput  # paid only by what may go on

        self._kept = KeptOutput(self.log, masker)
        return replace(
            request,
            run_id=self.run_id,
            outlives=True,
            output="file",
            output_descriptor=self._kept.write_end,
            stdin="devnull",
        )

    def start_keeper(self, masker: Masker) -> Identity | None:
        """Who is to own the container that is about to be made; None when it is not to go on after ota.

        Raises:
            HostError: it cannot be started.
        """
        self.close()
        if self.log is None:
            return None
        from ota.backends.kept_output import KeptOutput  # paid only by what may go on

        self._kept = KeptOutput(self.log, masker, may_own=True)
        self.keeper = self._kept.keeper
        return self.keeper

    def placed_before(self, request: SpawnRequest, marks: "Marks | None") -> SpawnRequest:
        """The request of an engine's client, whose output the keeper gets, if there is one.

        Raises:
            HostError: the keeper has ended.
        """
        if self._kept is None:
            return request
        self._kept.tell_marks(*((marks.prefix, marks.end) if marks is not None else (b"", b"")))
        return replace(request, output="file", output_descriptor=self._kept.write_end, stdin="devnull")

    def give_to_keeper(self, journal: Path) -> None:
        """The keeper owns what this journal announces.

        Raises:
            HostError: it did not hear.
        """
        assert self._kept is not None and self.container is not None
        self._kept.give(journal, Path(self.container.lock) if self.container.lock else None)

    def began(self, workload: Workload) -> None:
        """The child exists."""
        self.leader = workload.leader
        self._wake = workload.wake
        if self._kept is not None:
            self._kept.handed_over()

    def printed(self) -> bytes:
        """What it printed since the last call, when that goes to its log."""
        return self._kept.read() if self._kept is not None else b""

    @property
    def is_deaf(self) -> bool:
        """Whether what the child prints reaches nobody any more, because its keeper has ended."""
        return self._kept is not None and self._kept.is_over

    def printed_last(self) -> bytes:
        """The rest of that up to now; later output is for the log alone."""
        return self._kept.finish() if self._kept is not None else b""

    def close(self) -> None:
        """This run has nothing to do with its output any more."""
        if self._kept is not None:
            self._kept.__exit__()
            self._kept = None

    def stands(self, standing: Standing) -> None:
        """Something was observed."""
        if self.standing != standing:
            self.standing = standing
            self.news.set()

    def hand_over(self) -> bool:
        """Put it on the record; False when that failed."""
        assert self.leader is not None and self._keep is not None
        try:
            self._keep(self)
        except HostError as error:
            self.trouble = error.findings[0]
            return False
        self.was_let_go = True
        return True
