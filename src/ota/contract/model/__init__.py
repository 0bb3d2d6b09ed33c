"""The typed contract: one record per concept, one module per section, and the root, `Contract`.

Records are what the parser read, complete and typed, not yet proven valid; `ota.contract.rules`
proves them. Nothing here touches the host.

Source: contract specification, whole.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from ota.contract.model.agent import Agent, Extension
from ota.contract.model.checks import Check
from ota.contract.model.env import Env
from ota.contract.model.execution import Execution
from ota.contract.model.readiness import Readiness, Surface
from ota.contract.model.requirements import (
    NativePrerequisite,
    Orchestrator,
    RuntimeRequirement,
    Toolchain,
    ToolRequirement,
)
from ota.contract.model.scalars import OpenValue
from ota.contract.model.services import Service
from ota.contract.model.tasks import Task
from ota.contract.model.workflows import Workflows


class Project(Struct, frozen=True, kw_only=True):
    name: str
    description: str | None = None
    type: str | None = None


class MonorepoWorkspace(Struct, frozen=True, kw_only=True):
    type: Literal["monorepo"]
    members: tuple[str, ...]

    @property
    def directories(self) -> tuple[str, ...]:
        """The declared members, each once, spelled in one way."""
        from ota.contract.grammar import member_directory  # paid by monorepos only

        return tuple(dict.fromkeys(name for name in map(member_directory, self.members) if name))

    def named(self, asked: str) -> str | None:
        """The member somebody means: its directory, or the last part of one that no other ends in."""
        from ota.contract.grammar import member_directory

        directory = member_directory(asked)
        if directory in self.directories:
            return directory
        ending = [name for name in self.directories if name.rpartition("/")[2] == directory]
        return ending[0] if len(ending) == 1 else None


class Contract(Struct, frozen=True, kw_only=True):
    """One `ota.yaml`."""

    version: int
    project: Project
    metadata: Mapping[str, OpenValue] = {}
    workspace: MonorepoWorkspace | None = None
    toolchains: Mapping[str, Toolchain] = {}
    orchestrators: Mapping[str, Orchestrator] = {}
    runtimes: Mapping[str, RuntimeRequirement] = {}
    tools: Mapping[str, ToolRequirement] = {}
    native_prerequisites: Mapping[str, NativePrerequisite] = {}
    env: Env = Env()
    surfaces: Mapping[str, Surface] = {}
    execution: Execution | None = None
    services: Mapping[str, Service] = {}
    readiness: Readiness = Readiness()
    checks: tuple[Check, ...] = ()
    tasks: Mapping[str, Task] = {}
    workflows: Workflows = Workflows()
    agent: Agent | None = None
    extensions: Mapping[str, Extension] = {}
    exports: Mapping[str, OpenValue] = {}
    policies: Mapping[str, OpenValue] = {}
    artifacts: OpenValue = None
    governance: OpenValue = None
    resource_bindings: OpenValue = None
    effect_definitions: OpenValue = None
    secret_requirements: OpenValue = None


LATER_LAYERS = ("artifacts", "governance", "resource_bindings", "effect_definitions", "secret_requirements")
"""Top-level keys of later layers: accepted, kept, not interpreted (contract specification 20)."""
LATER_TASK_LAYERS = ("runtime_boundary", "requires_artifacts", "replay_inputs", "witnessed_observations")
LATER_WORKFLOW_LAYERS = ("runtime_boundary", "proof")
