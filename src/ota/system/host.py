"""Facts about this machine and this user, and the only reader of the process environment.

It observes; it does not judge whether the host fits a contract.

Source: contract specification (`only_on`, `only_arch` tokens); runtime specification 3.3.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

_ARCHITECTURES = {
    "x86_64": "x64",
    "amd64": "x64",
    "aarch64": "arm64",
    "arm64": "arm64",
    "i386": "x86",
    "i686": "x86",
    "armv6l": "arm",
    "armv7l": "arm",
}


class HostFacts(Struct, frozen=True, kw_only=True):
    """What the resolver may know about the machine."""

    os: str
    """`linux`, `macos` or `windows`; another system under its own name."""
    arch: str
    """`x64`, `arm64`, `x86`, `arm`; another architecture under its own name."""
    uid: int
    """-1 where users have no number."""
    gid: int
    home: str
    user: str


def environ() -> Mapping[str, str]:
    """The environment ota was started with, live and not to be changed."""
    return os.environ


def observe_host() -> HostFacts:
    """Ask the operating system once; no process is started."""
    home, user = _home_and_user()
    return HostFacts(
        os=os_token(sys.platform),
        arch=arch_token(_machine()),
        uid=os.getuid() if hasattr(os, "getuid") else -1,
        gid=os.getgid() if hasattr(os, "getgid") else -1,
        home=home,
        user=user,
    )


def os_token(platform: str) -> str:
    """The contract's word for what Python calls the platform."""
    if platform.startswith("linux"):
        return "linux"
    return {"darwin": "macos", "win32": "windows", "cygwin": "windows"}.get(platform, platform)


def arch_token(machine: str) -> str:
    """The contract's word for what the kernel calls the machine."""
    return _ARCHITECTURES.get(machine.lower(), machine.lower())


def observe_cpu_count() -> int:
    """Processors this process may use, at least one."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def observe_hostname() -> str:
    """The name of this machine."""
    return os.uname().nodename if hasattr(os, "uname") else environ().get("COMPUTERNAME", "")


def _machine() -> str:
    return os.uname().machine if hasattr(os, "uname") else environ().get("PROCESSOR_ARCHITECTURE", "")


def _home_and_user() -> tuple[str, str]:
    variables = environ()
    home = variables.get("HOME") or variables.get("USERPROFILE", "")
    user = variables.get("USER") or variables.get("LOGNAME") or variables.get("USERNAME", "")
    if home and user:
        return home, user
    account_home, account_user = _account()
    return home or account_home or str(Path("/")), user or account_user


def _account() -> tuple[str, str]:
    """Home and name from the account database: cron and containers set neither variable."""
    try:
        import pwd

        entry = pwd.getpwuid(os.getuid())
    except (ImportError, KeyError):
        return "", str(os.getuid()) if hasattr(os, "getuid") else ""
    return entry.pw_dir, entry.pw_name
