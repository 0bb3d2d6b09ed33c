"""What `ota up` will do: the phases of one path, made of the steps that `ota run` would run.

Records only. `ota.resolve.up` makes them; `ota.execute.up` carries them out, and a preview shows them.

Source: commands specification 3; runtime specification 14.3; contract specification 16.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from ota.errors import Finding
from ota.resolve.plan import ArgvBody, ContainerLaunchBody, Plan, ShellBody, TaskPlan
from ota.resolve.scope import Selection

Phase = Literal[
    "prepare",
    "preconditions",
    "provisioning",
    "services",
    "setup",
    "run",
    "post-up diagnosis",
    "attach",
]
"""`provisioning`: the preconditions once more, after setup ran early to mend them."""


class RequiredInstance(Struct, frozen=True, kw_only=True):
    """Another instance of the workflow that has to be up before this one."""

    name: str
    task: TaskPlan
    """Its run task, which runs while it is up."""


def may_be_let_go(task: TaskPlan) -> bool:
    """Whether this build would find the task again that it left running, and could end it."""
    if isinstance(task.body, ContainerLaunchBody):
        return True
    return task.context.plane in ("native", "container") and isinstance(task.body, ShellBody | ArgvBody)


class UpPlan(Struct, frozen=True, kw_only=True):
    """One path from a checkout to ready. Step ids name steps of `plan`."""

    plan: Plan
    """All steps of all phases. Its requested step is what the path is about, when it runs anything."""
    selection: Selection
    prepare: str | None = None
    setup: str | None = None
    run: str | None = None
    """The service task that is activated; a finite run task is never run by `up`."""
    has_own_readiness: bool = True
    """Whether the run task itself says when it is ready; otherwise the path's readiness is waited for."""
    attach: str | None = None
    task: str | None = None
    """The effective task: the run task, also a finite one, else the setup task."""
    services: tuple[str, ...] = ()
    """What has to be ready before setup; each brings what it depends on."""
    phase_of: Mapping[str, Phase] = {}
    """Of each step."""
    path: tuple[TaskPlan, ...] = ()
    """Every task whose needs count as preconditions, each on its plane."""
    skipped: tuple[str, ...] = ()
    """What the path names and `up` provably does not do, in words."""
    requires: tuple[RequiredInstance, ...] = ()
    """What the selected instance asks for, in its order."""
    refusals: tuple[Finding, ...] = ()
    """Of the path as a whole; those of its tasks are theirs."""

    @property
    def name(self) -> str:
        """What is brought up, in words."""
        if self.selection.name is None:
            return "this repository"
        instance = f"@{self.selection.instance_name}" if self.selection.instance_name else ""
        return f"workflow `{self.selection.name}{instance}`"
