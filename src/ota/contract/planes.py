"""Which plane, context and lifecycle a task gets. The one answer, for rules and for plans.

Pure contract facts: the operator's choice comes in as an argument, the host not at all.

Source: contract specification 11.4, 15.5; runtime specification 1.3 to 1.6; decision D1.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from ota.contract.inherit import merged_contexts, overlay
from ota.contract.model import Contract
from ota.contract.model.execution import Context, Execution
from ota.contract.model.runtime import Runtime
from ota.contract.model.scalars import PLANES, Lifecycle, Plane
from ota.contract.model.tasks import Branch, Task

SHORTHAND_CONTEXT = "app"
"""The name under which the root shorthand is reported."""

PlaneSource = Literal[
    "override",
    "inherited parent backend",
    "task default mode",
    "task",
    "contract default context",
    "contract preferred",
    "task mode branch",
    "default",
]
LifecycleSource = Literal["override", "task mode branch", "task", "context", "contract lifecycle"]

BODY_KEYS = ("run", "script", "command", "compose", "prepare", "launch", "action", "aggregate")
BRANCH_BODY_KEYS = ("run", "script", "command", "compose", "prepare", "launch")
VARIANT_BODY_KEYS = ("run", "script", "command", "compose")


class ContextChoice(Struct, frozen=True, kw_only=True):
    """One plane with everything its context says. `context` is merged and holds root defaults."""

    plane: Plane
    plane_source: PlaneSource
    name: str | None
    """None: no context is declared for this plane (plain native, or nothing configured)."""
    context: Context
    lifecycle: Lifecycle | None
    lifecycle_source: LifecycleSource | None


class Planes:
    """Answers for one contract; merged contexts are computed once."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.execution = contract.execution or Execution()
        self.stated: Mapping[str, Context] = merged_contexts(self.execution.contexts)
        """Merged contexts as the contract states them, without root defaults."""
        self.contexts: Mapping[str, Context] = {
            name: self._with_root_defaults(context) for name, context in self.stated.items()
        }

    def _with_root_defaults(self, context: Context) -> Context:
        """Root `lifecycle` and `backends` fill what a context omits (D2)."""
        if context.backend in (None, "native"):
            return context
        return overlay(self.root_context(context.backend), context)

    def root_context(self, plane: Plane) -> Context:
        """The root shorthand as a context of this plane."""
        backends = self.execution.backends
        return Context(
            backend=plane,
            lifecycle=self.execution.lifecycle if plane != "native" else None,
            container=backends.container if backends and plane == "container" else None,
            remote=backends.remote if backends and plane == "remote" else None,
        )

    def has_shorthand(self, plane: Plane) -> bool:
        """Whether the root shorthand configures this plane."""
        root = self.root_context(plane)
        return {
            "native": True,
            "container": root.container is not None and root.container.image is not None,
            "remote": root.remote is not None and root.remote.provider is not None,
        }[plane]

    def plane_of(self, task: Task, asked: Plane | None = None) -> tuple[Plane, PlaneSource]:
        """The task's plane and the rule that chose it (contract specification 11.4, step 1)."""
        if asked is not None:
            return asked, "override"
        if task.execution is not None and task.execution.default_mode is not None:
            return task.execution.default_mode, "task default mode"
        own = self.contexts.get(task.context) if task.context is not None else None
        if own is not None and own.backend is not None:
            return own.backend, "task"
        default = self.contexts.get(self.execution.default_context or "")
        if default is not None and default.backend is not None:
            return default.backend, "contract default context"
        if self.execution.preferred is not None:
            return self.execution.preferred, "contract preferred"
        if task.execution is not None:
            for plane in PLANES:
                if plane in task.execution.modes:
                    return plane, "task mode branch"
        return "native", "default"

    def context_name(self, task: Task, plane: Plane) -> str | None:
        """The context of a task on a plane; `app` for the root shorthand; None when there is none."""
        branch = branch_of(task, plane)
        candidates = (branch.context if branch else None, task.context, self.execution.default_context)
        for name in (*candidates, *self.contexts):
            if name is not None and name in self.contexts and self.contexts[name].backend == plane:
                return name
        if self.execution.preferred == plane:
            return SHORTHAND_CONTEXT
        return None

    def context_of(self, name: str | None, plane: Plane) -> Context:
        """The merged context, or the root shorthand's."""
        return self.contexts.get(name or "") or self.root_context(plane)

    def choose(
        self, task: Task, *, asked: Plane | None = None, asked_lifecycle: Lifecycle | None = None
    ) -> ContextChoice:
        """Plane, context and lifecycle of a task for this request."""
        plane, source = self.plane_of(task, asked)
        name = self.context_name(task, plane)
        binding = self.binding_of(task, plane)
        shared = self.execution.shared_backends.get(binding or "")
        if shared is not None and shared.context in self.contexts:
            name = shared.context
        lifecycle, lifecycle_source = self.lifecycle_of(task, plane, name, asked_lifecycle)
        if shared is not None and asked_lifecycle is None and plane == "container":
            lifecycle = shared.lifecycle
        return ContextChoice(
            plane=plane,
            plane_source=source,
            name=name,
            context=self.context_of(name, plane),
            lifecycle=lifecycle,
            lifecycle_source=lifecycle_source,
        )

    def lifecycle_of(
        self, task: Task, plane: Plane, context_name: str | None, asked: Lifecycle | None = None
    ) -> tuple[Lifecycle | None, LifecycleSource | None]:
        """CLI, branch, task, context, root: the first that speaks (runtime specification 1.5)."""
        if asked is not None:
            return asked, "override"
        if plane == "native":
            return None, None
        branch = branch_of(task, plane)
        if branch is not None and branch.lifecycle is not None:
            return branch.lifecycle, "task mode branch"
        if plane == "container" and task.lifecycle is not None:
            return task.lifecycle, "task"
        own = self.stated.get(context_name or "")
        if own is not None and own.lifecycle is not None:
            return own.lifecycle, "context"
        if self.execution.lifecycle is not None:
            return self.execution.lifecycle, "contract lifecycle"
        return None, None

    def binding_of(self, task: Task, plane: Plane) -> str | None:
        """The shared backend a task binds on this plane."""
        runtime = runtime_on(task, plane)
        return runtime.backend_binding if runtime is not None else None

    def planes_of(self, task: Task) -> tuple[Plane, ...]:
        """Every plane the contract says this task runs on: its default and its branches."""
        default, _ = self.plane_of(task)
        branches = task.execution.modes if task.execution is not None else {}
        found = {default, *branches} if has_base_body(task) or default in branches else {*branches}
        return tuple(plane for plane in PLANES if plane in (found or {default}))


def branch_of(task: Task, plane: Plane) -> Branch | None:
    """The task's mode branch for a plane."""
    return task.execution.modes.get(plane) if task.execution is not None else None


def runtime_on(task: Task, plane: Plane) -> Runtime | None:
    """The runtime that applies on a plane: the branch's as a whole, else the task's."""
    branch = branch_of(task, plane)
    return branch.runtime if branch is not None and branch.runtime is not None else task.runtime


def runtimes_of(task: Task) -> dict[str, Runtime]:
    """Every runtime a task declares, by the field path below the task where it stands."""
    found: dict[str, Runtime] = {}
    if task.runtime is not None:
        found["runtime"] = task.runtime
    if task.execution is not None:
        for plane, branch in sorted(task.execution.modes.items()):
            if branch.runtime is not None:
                found[f"execution.modes.{plane}.runtime"] = branch.runtime
    return found


def stated_bodies(record: Struct, keys: tuple[str, ...]) -> tuple[str, ...]:
    """The body keys a task, branch or variant states."""
    return tuple(key for key in keys if getattr(record, key) is not None)


def has_base_body(task: Task) -> bool:
    """Whether the task has a body of its own or through an OS variant."""
    # `run` first: it is what most tasks have, and this is asked of every task of the largest contracts
    return (
        task.run is not None
        or bool(stated_bodies(task, BODY_KEYS))
        or any(stated_bodies(variant, VARIANT_BODY_KEYS) for variant in task.variants)
    )


def is_service(task: Task) -> bool:
    """Whether any runtime of the task is a service."""
    return bool(runtimes_of(task))
