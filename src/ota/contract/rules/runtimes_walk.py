"""Where runtimes stand, and where a listener of one was written.

Owns the walk only; rules are in `runtime`, `exposure` and `runtime_readiness`.

Source: contract specification 15.9.
"""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from ota.contract.listeners import effective_listeners
from ota.contract.model.execution import SharedBackend
from ota.contract.model.runtime import Listener, Runtime
from ota.contract.model.scalars import Plane
from ota.contract.model.tasks import Task
from ota.contract.rules.base import FieldPath, Subject


class DeclaredRuntime(Struct, frozen=True, kw_only=True):
    """One runtime as written, with the planes on which it applies."""

    task_name: str
    task: Task
    path: FieldPath
    runtime: Runtime
    planes: tuple[Plane, ...]
    """Empty when every plane has a runtime of its own."""
    listeners: Mapping[str, Listener]
    """With surfaces attached, in name order."""

    def listener_path(self, name: str, *rest: str) -> FieldPath:
        """Where a listener's field is written: under `listeners`, or under the attached surface."""
        if name in self.runtime.listeners:
            return (*self.path, "listeners", name, *rest)
        attached = next((each for each in self.runtime.surfaces if each.name == name), None)
        if attached is not None and (attached.bind is not None or attached.project is not None):
            return (*self.path, "surfaces", name, *rest)
        return (*self.path, "surfaces")


def declared_runtimes(subject: Subject) -> tuple[DeclaredRuntime, ...]:
    """Every runtime of every task, once each."""
    return subject.collected(_declared_runtimes)


def _declared_runtimes(subject: Subject) -> Iterator[DeclaredRuntime]:
    for name, task, path in subject.tasks():
        modes = task.execution.modes if task.execution is not None else {}
        found: list[tuple[FieldPath, Runtime | None, tuple[Plane, ...]]] = []
        if task.runtime is not None:
            own = {plane for plane, branch in modes.items() if branch.runtime is not None}
            planes = tuple(plane for plane in subject.planes.planes_of(task) if plane not in own)
            found.append(((*path, "runtime"), task.runtime, planes))
        for plane, branch in sorted(modes.items()):
            found.append(((*path, "execution", "modes", plane, "runtime"), branch.runtime, (plane,)))
        for place, runtime, planes in found:
            if runtime is not None:
                yield DeclaredRuntime(
                    task_name=name,
                    task=task,
                    path=place,
                    runtime=runtime,
                    planes=planes,
                    listeners=effective_listeners(runtime, subject.contract.surfaces),
                )


def bound_backend(subject: Subject, declared: DeclaredRuntime) -> SharedBackend | None:
    """The shared backend a runtime binds, when it is declared."""
    return subject.planes.execution.shared_backends.get(declared.runtime.backend_binding or "")


def listeners_on(subject: Subject, plane: Plane) -> Iterator[tuple[DeclaredRuntime, str, Listener]]:
    """Every listener of every runtime that applies on a plane."""
    for declared in declared_runtimes(subject):
        if plane in declared.planes:
            for name, listener in declared.listeners.items():
                yield declared, name, listener
