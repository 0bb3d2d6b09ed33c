"""Podman with storage, networks and settings of its own, so that containers of the user play no part.

Measured with Podman 4.3 of Debian 12. `crun` is its default there; `runc` is what Docker uses too. Podman
asks for 1048576 open files whatever the host allows and, before that, limits itself to 32768 processes.
Without the right to raise limits (CAP_SYS_RESOURCE, often absent in a sandbox) every container then fails to
start with "error setting rlimit", unless the limits are named here and lie within both.
"""

import json
import resource
from collections.abc import Mapping

from engine_host import EngineError, Home, ask, end, helpers_of

SETTINGS = """\
[containers]
default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]

[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{home}/tmp"
# The default, shared memory, has one fixed name per machine: it would be shared with the user's containers.
lock_type = "file"

[network]
network_backend = "netavark"
network_config_dir = "{home}/networks"
"""
STORAGE = """\
[storage]
driver = "{driver}"
graphroot = "{home}/storage"
runroot = "{home}/run"
"""


def limit(which: int, most: int) -> int:
    hard = resource.getrlimit(which)[1]
    return most if hard == resource.RLIM_INFINITY else min(most, hard)


def configure(home: Home) -> dict[str, str]:
    """Write the settings and try them; the environment that selects them."""
    settings = home.path / "containers.conf"
    storage = home.path / "storage.conf"
    environment = {"CONTAINERS_CONF": str(settings), "CONTAINERS_STORAGE_CONF": str(storage)}
    if settings.exists() and storage.exists() and observe(environment):
        return environment
    settings.write_text(
        SETTINGS.format(
            home=home.podman,
            files=limit(resource.RLIMIT_NOFILE, 1048576),
            processes=limit(resource.RLIMIT_NPROC, 32768),
        )
    )
    # `overlay` cannot lie on another overlay (a container as build machine); `vfs` copies, and always works.
    for driver in ("overlay", "vfs"):
        storage.write_text(STORAGE.format(home=home.podman, driver=driver))
        if observe(environment):
            return environment
    done = ask("podman", "info", environment=environment)
    raise EngineError(
        "podman does not work here", done.stderr.strip()[-800:], "run `podman info` with `engines env`"
    )


def clear(home: Home, environment: Mapping[str, str]) -> None:
    """Remove what Podman holds, while it still can undo mounts, networks and port rules by itself."""
    if environment:
        for words in (
            ("pod", "rm", "--all", "--force"),
            ("rm", "--all", "--force", "--time", "0", "--volumes"),
            ("network", "prune", "--force"),
        ):
            ask("podman", *words, environment=environment)
    for pid, started in helpers_of(home.podman):
        end(pid, started, 5.0)


def observe(environment: Mapping[str, str]) -> dict[str, str] | None:
    if not environment:
        return None
    done = ask("podman", "info", "--format", "json", environment=environment, limit_s=20)
    try:
        facts = json.loads(done.stdout)
    except ValueError:
        return None
    if done.returncode != 0:
        return None
    host = facts["host"]
    return {
        "version": facts["version"]["Version"],
        "runtime": host["ociRuntime"]["name"],
        "storage": facts["store"]["graphDriverName"],
        "cgroups": host["cgroupVersion"],
        "network": host["networkBackend"],
    }
