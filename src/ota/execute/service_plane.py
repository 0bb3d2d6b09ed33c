"""What differs between planes while a service is watched: whose socket it is, how far its answer reached.

The attendant of a service asks its plane; it knows none itself. Natively the workload is a tree of
processes of this host, and an open connection is the workload's own. How a container answers these
questions is `ota.execute.container_service`'s.

Source: runtime specification 10, 11, 20.3; lessons, "Ready means ready".
"""

import signal
from collections.abc import Callable, Collection
from typing import Literal, Protocol

from msgspec import Struct

from ota.errors import Finding
from ota.execute.events import Failure
from ota.readiness.ladder import NativeWorkload, WorkloadView
from ota.readiness.probes import OwnListenerProbe
from ota.readiness.results import ProbeResult, failed, passed
from ota.readiness.wait import Gate
from ota.resolve.endpoints import Endpoint
from ota.resolve.plan import RuntimePlan, StepPlan
from ota.system.discovery import PortDiscovery, WorkloadProcesses
from ota.system.ports import find_port_holder, port_taken_finding, preflight_bind
from ota.system.processes import Identity, is_alive, owned_processes, session_members
from ota.system.sockets import AttemptDeadline
from ota.system.workload import Workload


class ServicePlane(Protocol):
    """Where a service runs, while it runs."""

    @property
    def closed_at_once(self) -> Literal["note", "fail"]:
        """What a connection that is accepted and closed at once means (`TcpProbe`)."""
        ...

    @property
    def is_translated(self) -> bool:
        """Whether an engine stands between bind and host address."""
        ...

    def gates(self, endpoint: Endpoint, workload: Workload) -> tuple[Gate, ...]:
        """What must hold beside the declared probe, so that a stranger's answer is never the task's."""
        ...

    def discovery(self, workload: Workload, started_at: float) -> PortDiscovery | None:
        """How ports that only the start decides are found; None where they are always known."""
        ...

    def view(self, workload: Workload, has_printed: Callable[[], bool]) -> WorkloadView:
        """The workload as the reachability ladder looks at it."""
        ...

    def stop(self, workload: Workload) -> None:
        """End a service that did not become ready."""
        ...

    def lost_port(self) -> Failure | None:
        """Whether a service that ended by itself had lost its port to somebody faster."""
        ...


class NativePlane:
    """Processes of this host."""

    closed_at_once: Literal["note", "fail"] = "note"
    is_translated = False

    def __init__(self, run_id: str, step: StepPlan, runtime: RuntimePlan) -> None:
        self._run_id = run_id
        self._step = step
        self._runtime = runtime

    def gates(self, endpoint: Endpoint, workload: Workload) -> tuple[Gate, ...]:
        probe = OwnListenerProbe(
            host=endpoint.host_address,
            port=endpoint.host_port,
            pids=lambda: _session_of(workload),
            other_pids=lambda: self._owned(workload),
        )
        return (Gate(name=endpoint.listener, probe=probe),)

    def discovery(self, workload: Workload, started_at: float) -> PortDiscovery | None:
        return PortDiscovery(
            WorkloadProcesses(pids=lambda: self._pids(workload), exit_code=lambda: None),
            subject=f"task `{self._step.task.name}`",
            started_at=started_at,
        )

    def view(self, workload: Workload, has_printed: Callable[[], bool]) -> WorkloadView:
        return NativeWorkload(
            pids=lambda: self._pids(workload), exit_code=lambda: None, has_printed=has_printed
        )

    def stop(self, workload: Workload) -> None:
        workload.request_stop(signal.SIGTERM)

    def lost_port(self) -> Failure | None:
        taken = taken_port(self._step, self._runtime)
        return None if taken is None else port_failure(self._step, *taken, show_output=True)

    def _pids(self, workload: Workload) -> Collection[int]:
        return {*_session_of(workload), *self._owned(workload)}

    def _owned(self, workload: Workload) -> Collection[int]:
        """What the run's marker proves, wherever it moved; nothing of a workload is older than its leader."""
        leader = workload.leader
        owned = owned_processes(self._run_id, (leader,), since_ticks=leader.start_ticks)
        return [each.pid for each in owned]


def _session_of(workload: Workload) -> Collection[int]:
    """Where most services stay; found at a tenth of the cost of looking everywhere."""
    return [each.pid for each in session_members(workload.leader.pid)]


def taken_port(step: StepPlan, runtime: RuntimePlan) -> tuple[Finding, str] | None:
    """The first fixed bind port somebody else holds: who, the ways out, and the field that asks for it.

    Asked before the body starts: afterwards a stranger's answer could not be told from the task's.
    """
    for listener in runtime.listeners:
        if listener.bind_port is None or preflight_bind(listener.bind_address, listener.bind_port) != "taken":
            continue
        finding = port_taken_finding(
            listener.bind_address,
            listener.bind_port,
            find_port_holder(listener.bind_address, listener.bind_port),
            subject=f"task `{step.task.name}`, listener `{listener.name}`",
        )
        owner = "bind.port" if listener.projection is None else "project.host.port"
        return finding, f"tasks.{step.task.name}.runtime.listeners.{listener.name}.{owner}"
    return None


def port_failure(step: StepPlan, finding: Finding, field: str, *, show_output: bool = False) -> Failure:
    """A run that cannot have its port, in the words of the finding that names the holder."""
    return Failure(
        origin="host_publication",
        title=finding.title,
        task=step.task.name,
        detail=finding.summary,
        field=field,
        why=(finding.why,),
        next=(finding.next,),
        findings=(finding,),
        show_output=show_output,
    )


class LeaderProbe(Struct, frozen=True, kw_only=True):
    """The process the task started is still there: the first rung, asked last."""

    leader: Identity
    timeout_s: float = 2.0

    @property
    def target(self) -> str:
        return f"process {self.leader.pid}"

    def attempt(self, _deadline: AttemptDeadline | None = None) -> ProbeResult:
        if is_alive(self.leader):
            return passed("content", "alive")
        return failed("nothing", "failed", "the process the task started has ended")
