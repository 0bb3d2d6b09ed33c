"""Fixed ports of native tasks that somebody else holds at this moment.

Neither diagnosis nor preview knows whether they will be free by the time the task starts: a warning. What a
container publishes is looked for by `ota.diagnose.containers`.

Source: doctor specification 7; runtime specification 13.4.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from ota.diagnose.scene import Scene
from ota.errors import Evidence, Finding
from ota.resolve.plan import ListenerPlan


def native_port_findings(scene: Scene, *, ours_count: bool = False) -> Iterator[Finding]:
    """One per port of the path. What a run of this repository holds is up already; it counts on request."""
    asked: set[tuple[str, int]] = set()
    for task in scene.path:
        if task.context.plane != "native" or task.runtime is None:
            continue
        for listener in task.runtime.listeners:
            if listener.bind_port is None or (listener.bind_address, listener.bind_port) in asked:
                continue
            asked.add((listener.bind_address, listener.bind_port))
            finding = _taken(scene, task.name, listener, listener.bind_port, ours_count=ours_count)
            if finding is not None:
                yield finding


def _taken(scene: Scene, task: str, listener: ListenerPlan, port: int, *, ours_count: bool) -> Finding | None:
    from ota.system.ports import find_port_holder, port_taken_finding, preflight_bind  # only for fixed ports

    address = listener.bind_address
    if preflight_bind(address, port) != "taken":
        return None
    holder = find_port_holder(address, port)
    if not ours_count and holder is not None and holder.repo == str(scene.loaded.root):
        return None
    found = port_taken_finding(address, port, holder, subject=f"task `{task}`, listener `{listener.name}`")
    return replace(
        found,
        severity="warn",
        title="",
        summary=f"Port {port} on {address} is taken: task `{task}` cannot listen there now",
        why=scene.masker.mask(found.why),
        place=scene.loaded.place(("tasks", task, "runtime", "listeners", listener.name)),
        evidence=Evidence(observed="taken", expected="free", source="host"),
    )
