"""Records of `agent` and `extensions`. Source: contract specification 17 and 18."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from ota.contract.model.scalars import OpenValue


class AgentExceptions(Struct, frozen=True, kw_only=True):
    sensitive_writes: tuple[str, ...] | None = None
    acknowledged_sensitive_writable_paths: tuple[str, ...] | None = None


class RefusalCanary(Struct, frozen=True, kw_only=True):
    task: str | None = None
    workflow: str | None = None


class BoundaryProvenance(Struct, frozen=True, kw_only=True):
    writable_paths: tuple[str, ...] = ()
    protected_paths: tuple[str, ...] = ()


class InferredBoundary(Struct, frozen=True, kw_only=True):
    reviewed: bool = False
    provenance: BoundaryProvenance | None = None


class BootstrapSource(Struct, frozen=True, kw_only=True):
    kind: Literal["version", "git_rev", "branch"]
    version: str | None = None
    rev: str | None = None
    branch: str | None = None


class BootstrapOta(Struct, frozen=True, kw_only=True):
    note: str | None = None
    source: BootstrapSource | None = None
    sh: str | None = None
    powershell: str | None = None


class Bootstrap(Struct, frozen=True, kw_only=True):
    ota: BootstrapOta | None = None


class Agent(Struct, frozen=True, kw_only=True):
    posture: Literal["readiness_strict", "contract_authoring", "infra_authoring"] = "readiness_strict"
    entrypoint: str | None = None
    default_task: str | None = None
    safe_tasks: tuple[str, ...] = ()
    verify_after_changes: tuple[str, ...] = ()
    writable_paths: tuple[str, ...] = ()
    protected_paths: tuple[str, ...] = ()
    exceptions: AgentExceptions | None = None
    refusal_canaries: tuple[RefusalCanary, ...] = ()
    inferred_boundary: InferredBoundary | None = None
    bootstrap: Bootstrap | None = None
    notes: str | tuple[str, ...] | None = None


class ExtensionActivation(Struct, frozen=True, kw_only=True):
    provider_managed_cleanup: bool = False


class Extension(Struct, frozen=True, kw_only=True):
    kind: Literal["check_provider", "export_provider", "backend_provider"]
    command: str
    api_version: int = 1
    description: str | None = None
    activation: ExtensionActivation | None = None
    config: Mapping[str, OpenValue] = {}
