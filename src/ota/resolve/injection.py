"""The variables ota sets itself for one task, from its plan, whose ports may have become known since.

The same records are shown, injected and stored, so a printed URL is the injected one.

Source: contract specification appendix B.1; runtime specification 3.2, 10.6.
"""

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from ota.contract.grammar import env_suffix
from ota.resolve.endpoints import endpoints_of
from ota.resolve.plan import ContainerLaunchBody, RuntimePlan, TaskPlan
from ota.system.host import HostFacts

CONTAINER_WORKSPACE = "/workspace"


class Injection(Struct, frozen=True, kw_only=True):
    """What wins over every declared value, and what only fills gaps."""

    values: Mapping[str, str]
    fallbacks: Mapping[str, str]


def injection(task: TaskPlan, root: Path, host: HostFacts) -> Injection:
    """Both maps of one task."""
    values = {
        "OTA_WORKSPACE": workspace_of(task, root),
        "OTA_HOST_WORKSPACE": str(root),
        "OTA_HOST_HOME": host.home,
    }
    if host.uid >= 0:
        values["OTA_HOST_UID"] = str(host.uid)
        values["OTA_HOST_GID"] = str(host.gid)
    for each in task.inputs:
        values[f"OTA_INPUT_{env_suffix(each.name)}"] = each.value
    for target in task.targets:
        if target.override_input is None and target.effective_url is not None:
            values[f"OTA_TARGET_{env_suffix(target.name)}"] = target.effective_url
    if task.runtime is None:
        return Injection(values=values, fallbacks={})
    values.update(public_variables(task.runtime))
    is_native = task.context.plane == "native" and not isinstance(task.body, ContainerLaunchBody)
    return Injection(values=values, fallbacks=bind_fallbacks(task.runtime, is_native=is_native))


def workspace_of(task: TaskPlan, root: Path) -> str:
    """Where the checkout is on the plane that runs the body."""
    match task.context.plane:
        case "native":
            return str(root)
        case "container":
            return CONTAINER_WORKSPACE
        case "remote":
            return (task.context.remote.cwd if task.context.remote is not None else None) or "."


def public_variables(runtime: RuntimePlan) -> dict[str, str]:
    """`OTA_PUBLIC_*` of every projection whose port is known."""
    values: dict[str, str] = {}
    for endpoint in endpoints_of(runtime).projected:
        if endpoint.is_primary:
            values["OTA_PUBLIC_URL"] = endpoint.text
            values["OTA_PUBLIC_HOST"] = endpoint.host_address
            values["OTA_PUBLIC_PORT"] = str(endpoint.host_port)
        values[f"OTA_PUBLIC_URL_{env_suffix(endpoint.listener)}"] = endpoint.text
    return values


def bind_fallbacks(runtime: RuntimePlan, *, is_native: bool) -> dict[str, str]:
    """Where the body should listen, in every spelling servers commonly read; only fills gaps."""
    values: dict[str, str] = {}
    for listener in runtime.listeners:
        values[f"OTA_BIND_ADDRESS_{env_suffix(listener.name)}"] = listener.bind_address
        if listener.bind_port is not None:
            values[f"OTA_BIND_PORT_{env_suffix(listener.name)}"] = str(listener.bind_port)
    primary = next((each for each in runtime.listeners if each.name == runtime.primary), None)
    if primary is None:
        return values
    address = primary.bind_address
    values["OTA_BIND_ADDRESS"] = address
    if is_native and primary.projection is not None:
        address = primary.projection.address
    for name in ("HOST", "HOSTNAME", "BIND_ADDRESS", "SERVER_ADDRESS"):
        values[name] = address
    if primary.bind_port is not None:
        for name in ("OTA_BIND_PORT", "PORT", "BIND_PORT", "SERVER_PORT"):
            values[name] = str(primary.bind_port)
    return values
