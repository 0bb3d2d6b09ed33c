"""What every part of one run shares: who watches, the clock, the signals, the journal, the options."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from ota.contract.load import Loaded
from ota.env.masking import Masker
from ota.execute.lease import Lease
from ota.execute.logs import LogFiles
from ota.execute.stream import EventStream
from ota.resolve.plan import Plan
from ota.system.clock import Clock
from ota.system.host import HostFacts
from ota.system.interrupts import Interrupts
from ota.system.journal import Journal
from ota.system.spawn import Stream

if TYPE_CHECKING:
    from ota.backends.container.engine import Engine
    from ota.backends.container.work import Prepared

ReadFile = Callable[[str], bytes | None]
"""Bytes of a repository-relative file; None when there is none."""


class RunOptions(Struct, frozen=True, kw_only=True):
    """How a run shows and keeps what happens. None of it changes what runs."""

    jobs: int = 1
    keep_logs: bool = False
    terminal_streams: tuple[Stream, ...] = ()
    """Which of ota's outputs are terminals: the child gets pseudo-terminals for them."""
    has_terminal: bool = False
    """Standard input and output are one real terminal, which an interactive command may have."""
    stdin: Literal["inherit", "devnull"] = "inherit"


class RunContext:
    """One run in progress."""

    def __init__(
        self,
        *,
        plan: Plan,
        loaded: Loaded,
        run_id: str,
        options: RunOptions,
        stream: EventStream,
        masker: Masker,
        interrupts: Interrupts,
        clock: Clock,
        journal: Journal,
        host: HostFacts,
        environ: Mapping[str, str],
        read_file: ReadFile,
        logs: LogFiles | None,
        what: str,
    ) -> None:
        """`what`: the command without `ota`, as it is told to whoever waits for the same thing."""
        self.plan = plan
        self.what = what
        self.leases: dict[str, Lease] = {}
        """Services, by step, that are stopped or let go when somebody else of the run says so."""
        self.loaded = loaded
        self.run_id = run_id
        self.options = options
        self.stream = stream
        self.masker = masker
        self.interrupts = interrupts
        self.epoch = 0
        """A stop signal counts from the moment the run began: also one that came between two steps."""
        self.clock = clock
        self.journal = journal
        self.host = host
        self.environ = environ
        self.read_file = read_file
        self.logs = logs
        self._learning = Lock()
        self._engines: dict[tuple[str, ...], Engine] = {}
        self._finding_engine = Lock()
        self.looked_into: dict[str, Prepared] = {}
        """Containers that stay, by name, as a look for requirements came by them before the body did."""

    def learn_secrets(self, values: Iterable[str]) -> Masker:
        """Mask these values too, in everything the run shows or keeps from now on; from any thread."""
        with self._learning:
            self.masker = self.masker.with_more(values)
            return self.masker

    def engine(self, names: tuple[str, ...]) -> "Engine":
        """The container engine of these names, looked for once in a run.

        Raises:
            HostError: none of them is on PATH.
        """
        from ota.backends.container.engine import find_engine  # paid only by runs that use one

        with self._finding_engine:
            if names not in self._engines:
                self._engines[names] = find_engine(
                    names,
                    self.environ,
                    should_stop=lambda: self.interrupts.since(self.epoch) is not None,
                    clock=self.clock,
                )
            return self._engines[names]

    @property
    def root(self) -> Path:
        """The contract's directory."""
        return self.loaded.root
