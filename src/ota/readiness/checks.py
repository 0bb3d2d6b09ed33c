"""Declared checks, asked once: a command, a probe, a file fact, env assertions, changed files.

Answers whether each holds and why not. What an answer means (a skipped task, a blocker, an
advisory) is its caller's business; one attempt at a listener or URL is `ota.readiness.named`'s.

Source: contract specification 14; decisions D4, D19.
"""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from ota.contract.durations import parse_check_timeout
from ota.contract.model.checks import ChangedFiles, Check, EnvAssertion, EnvCheck, HostRule
from ota.errors import HostError
from ota.readiness.asker import Asker
from ota.resolve.probes import ProbeProblem, ResolvedProbe
from ota.system.clock import SYSTEM_CLOCK, Clock, Deadline
from ota.system.cutting import CUT, cut, last_line

if TYPE_CHECKING:
    from ota.backends.native import Activation

DEFAULT_LIMIT_S = 60.0
"""For a command without a declared timeout: nothing waits for ever."""
_TURN_S = 0.05
_KEPT_BYTES = 16_384


class CheckResult(Struct, frozen=True, kw_only=True):
    """Whether a check holds, and the fact behind it."""

    holds: bool
    why: str = ""
    is_timed_out: bool = False
    is_unevaluable: bool = False
    """Nothing could be asked: neither a success nor a failure."""
    asked: str = ""
    """The command, address or path."""
    next: str = ""
    """A remedy that only the one who asked knows."""


class CheckScene(Struct, frozen=True, kw_only=True):
    """Where checks are asked."""

    root: Path
    env: Mapping[str, str]
    """The process environment of commands, and the resolved values for env assertions."""
    run_id: str
    should_stop: Callable[[], bool] = lambda: False
    clock: Clock = SYSTEM_CLOCK
    probes: Mapping[str, ResolvedProbe | ProbeProblem] = {}
    """The named probes that the checks refer to."""
    asker: Asker | None = None
    """On whose behalf containers may be entered for an answer; None: probes are asked from this host only."""


def evaluate(check: Check, scene: CheckScene, *, activation: "Activation | None" = None) -> CheckResult:
    """Ask one check. Never raises for what the host says. `activation` prepares a command's environment."""
    if check.probe is not None:
        return _probe(check, check.probe, scene)
    match check.kind:
        case "file":
            return _file(check, scene)
        case "env":
            return _env(check.env or EnvCheck(), scene)
        case "changed_files":
            return _changed_files(check.changed_files or ChangedFiles(paths=()), scene)
        case _:
            return _command(check, scene, activation)


# --- probe ---------------------------------------------------------------------------------------


def _probe(check: Check, name: str, scene: CheckScene) -> CheckResult:
    from ota.readiness.named import ask  # sockets cost, and most checks ask none

    unknown = ProbeProblem(name=name, why=f"probe `{name}` is not resolved here", next="ota check")
    timeout_s = parse_check_timeout(check.timeout).ms / 1000 if check.timeout is not None else None
    answer = ask(scene.probes.get(name, unknown), timeout_s=timeout_s, asker=scene.asker)
    return CheckResult(
        holds=answer.holds,
        why=answer.why,
        is_timed_out=answer.is_timed_out,
        is_unevaluable=answer.is_unevaluable,
        asked=answer.target,
        next=answer.next,
    )


# --- command -------------------------------------------------------------------------------------


def _command(check: Check, scene: CheckScene, activation: "Activation | None") -> CheckResult:
    from ota.backends.native import activated_argv

    limit_s = parse_check_timeout(check.timeout).ms / 1000 if check.timeout is not None else DEFAULT_LIMIT_S
    argv = activated_argv(check.run or "", scene.env.get("PATH"), activation)
    code, output = ask_command(argv, scene, limit_s)
    asked = check.run or ""
    if code is None:
        return CheckResult(
            holds=False, why=f"did not end within {limit_s:g} s", is_timed_out=True, asked=asked
        )
    last = last_line(output)
    why = f"exited {code}" + (f": {last}" if last else "")
    return CheckResult(holds=code == 0, why="" if code == 0 else why, asked=asked)


def ask_command(argv: tuple[str, ...], scene: CheckScene, limit_s: float) -> tuple[int | None, str]:
    """Exit code and output; None when the time was up, and then the whole tree is gone."""
    import signal  # this and what follows is paid by those who start something

    from ota.system.processes import end_processes, owned_processes
    from ota.system.spawn import SpawnError, SpawnRequest
    from ota.system.workload import Workload

    kept = bytearray()
    # A chain of ids: the child belongs to the run, and to this one question, which ends with all it started.
    question = f"check-{os.urandom(6).hex()}"
    run_id = f"{scene.run_id}:{question}" if scene.run_id else question
    request = SpawnRequest(
        argv=argv, cwd=scene.root, env=scene.env, run_id=run_id, output="capture", stdin="devnull"
    )
    deadline = Deadline.after(scene.clock, limit_s)
    try:
        with Workload(request, clock=scene.clock) as workload:
            while True:
                end = workload.supervise(
                    lambda _stream, data: kept.extend(data[: max(0, _KEPT_BYTES - len(kept))]),
                    limit_s=_TURN_S,
                )
                if end is not None:
                    return end.exit_code, _text(kept)
                if deadline.is_over(scene.clock) or scene.should_stop():
                    workload.stop(signal.SIGKILL, grace_s=0.0)
                    break
        # What took a session of its own is found by the marker.
        end_processes(
            owned_processes(question),
            grace_s=0.0,
            clock=scene.clock,
            again=lambda: owned_processes(question),
        )
        return None, _text(kept)
    except SpawnError as error:
        return error.exit_code, error.findings[0].summary


def _text(kept: bytearray) -> str:
    return kept.decode("utf-8", "replace") + (CUT if len(kept) == _KEPT_BYTES else "")


# --- file ----------------------------------------------------------------------------------------


def _file(check: Check, scene: CheckScene) -> CheckResult:
    path = scene.root / (check.path or "")
    expected = check.expect or "exists"
    try:
        found = (
            "directory"
            if path.is_dir()
            else "file"
            if path.is_file()
            else "other"
            if path.exists()
            else "missing"
        )
    except OSError as error:
        return CheckResult(holds=False, why=f"{check.path}: {error.strerror}")
    holds = found != "missing" if expected == "exists" else found == expected
    why = "" if holds else f"{check.path} is {_article(found)}"
    return CheckResult(holds=holds, why=why, asked=check.path or "")


def _article(found: str) -> str:
    return {"missing": "missing", "other": "neither file nor directory"}.get(found, f"a {found}")


# --- env -----------------------------------------------------------------------------------------


def _env(check: EnvCheck, scene: CheckScene) -> CheckResult:
    values = scene.env
    if check.path is not None:
        loaded = _dotenv_values(check.path, scene)
        if isinstance(loaded, str):
            return CheckResult(holds=False, why=loaded)
        values = loaded
    broken = [text for each in check.assertions if (text := _broken(each, values.get(each.key)))]
    return CheckResult(holds=not broken, why="; ".join(broken))


def _dotenv_values(path: str, scene: CheckScene) -> Mapping[str, str] | str:
    from ota.env.dotenv import read_dotenv
    from ota.system.files import read_bytes

    try:
        loaded = read_dotenv(read_bytes(scene.root / path), path)
    except HostError as error:
        return f"{path}: {error.findings[0].why or error.findings[0].summary}"
    if loaded.is_broken:
        return f"{path}: {loaded.findings[0].summary}"
    return loaded.values


def _broken(assertion: EnvAssertion, value: str | None) -> str:
    """Why an assertion does not hold; empty when it does. Values may be secret and are not shown."""
    key = assertion.key
    if assertion.state == "missing":
        return f"{key} is present" if value is not None else ""
    if value is None:
        return f"{key} is missing"
    if assertion.equals is not None:
        return "" if value == assertion.equals else f"{key} differs from the expected value"
    if assertion.not_equals is not None:
        return f"{key} has a value it must not have" if value in assertion.not_equals else ""
    if assertion.host is not None:
        return _host_broken(key, value.strip(), assertion.host)
    if assertion.url_host is not None:
        return _host_broken(key, _url_host(value), assertion.url_host)
    return ""


def _url_host(value: str) -> str:
    """The host of a URL or DSN: `jdbc:postgresql://u:p@db:5432/x`, `redis://[::1]`, `host=db port=5432`."""
    _, separator, rest = value.strip().partition("://")
    if not separator:
        named = re.search(
            r"(?:^|[\s;,])(?:host|server|data source)\s*=\s*'?([^\s;,']+)", value, re.IGNORECASE
        )
        return without_port(named[1]) if named is not None else ""
    authority = re.split(r"[/?#;]", rest, maxsplit=1)[0].rpartition("@")[2]
    return without_port(authority.split(",")[0])


def without_port(host: str) -> str:
    """`db:5432` and `[::1]:5432` without the port and the brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    name, colon, port = host.rpartition(":")
    return name if colon and ":" not in name and (port.isdigit() or not port) else host


def _host_broken(key: str, host: str, rule: HostRule) -> str:
    plain = without_port(host).lower().removesuffix(".")
    if not plain:
        return f"{key} names no host"
    if rule.allowed is not None:
        listed = ", ".join(rule.allowed)
        allowed = {without_port(each.strip()).lower().removesuffix(".") for each in rule.allowed}
        return "" if plain in allowed else f"the host of {key} is not one of {listed}"
    return f"the host of {key} is a loopback address" if is_loopback(plain) else ""


def is_loopback(host: str) -> bool:
    """`localhost`, `127.*`, `::1` in any spelling."""
    if host == "localhost" or host.startswith("127."):
        return True
    if ":" not in host:
        return False
    from ipaddress import IPv6Address

    try:
        address = IPv6Address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped
    return address.is_loopback or (mapped is not None and mapped.is_loopback)


# --- changed files -------------------------------------------------------------------------------


def _changed_files(check: ChangedFiles, scene: CheckScene) -> CheckResult:
    spans = [f"{check.base_ref}...{check.head_ref}"] if check.base_ref and check.head_ref else ["HEAD"]
    asked = [("git", "diff", "--name-only", "-z", *spans, "--")]
    if check.include_untracked:
        asked.append(("git", "ls-files", "--others", "--exclude-standard", "-z"))
    changed: list[str] = []
    for argv in asked:
        code, output = ask_command(argv, scene, DEFAULT_LIMIT_S)
        if code != 0:
            return CheckResult(holds=False, why=f"`{' '.join(argv[:2])}` failed: {cut(output.strip(), 200)}")
        changed += [name for name in output.split("\0") if name]
    patterns = [re.compile(glob_pattern(glob)) for glob in check.paths]
    hit = next((name for name in changed if any(each.fullmatch(name) for each in patterns)), None)
    return CheckResult(holds=hit is not None, why="" if hit else "no changed file matches")


def glob_pattern(glob: str) -> str:
    """A repository glob as a pattern: `**` crosses folders, `*` and `?` do not; a folder means all below."""
    parts: list[str] = []
    rest = glob.removeprefix("./")
    while rest:
        if rest.startswith("**/"):
            parts.append("(?:.*/)?")
            rest = rest[3:]
        elif rest.startswith("**"):
            parts.append(".*")
            rest = rest[2:]
        else:
            parts.append({"*": "[^/]*", "?": "[^/]"}.get(rest[0], re.escape(rest[0])))
            rest = rest[1:]
    return "".join(parts) + "(?:/.*)?"
