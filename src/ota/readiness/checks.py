"""One declared check, asked once: a command, a file fact, env assertions, changed files.

Answers whether it holds and why not. What an answer means (a skipped task, a blocker, an
advisory) is its caller's business; probes of listeners and URLs are `ota.readiness.probes`.

Source: contract specification 14; decisions D4, D19.
"""

import re
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from ota.backends.native import shell_argv
from ota.contract.durations import parse_check_timeout
from ota.contract.model.checks import ChangedFiles, Check, EnvAssertion, EnvCheck, HostRule
from ota.env.dotenv import read_dotenv
from ota.errors import HostError
from ota.system.clock import SYSTEM_CLOCK, Clock, Deadline
from ota.system.spawn import SpawnError, SpawnRequest
from ota.system.workload import Workload

DEFAULT_LIMIT_S = 60.0
"""For a command without a declared timeout: nothing waits for ever."""
_TURN_S = 0.05
_KEPT_BYTES = 16_384


class CheckResult(Struct, frozen=True, kw_only=True):
    """Whether a check holds, and the fact behind it."""

    holds: bool
    why: str = ""
    is_timed_out: bool = False


class CheckScene(Struct, frozen=True, kw_only=True):
    """Where checks are asked."""

    root: Path
    env: Mapping[str, str]
    """The process environment of commands, and the resolved values for env assertions."""
    run_id: str
    should_stop: Callable[[], bool] = lambda: False
    clock: Clock = SYSTEM_CLOCK


def evaluate(check: Check, scene: CheckScene) -> CheckResult:
    """Ask a check that needs no listener. Never raises for what the host says."""
    match check.kind:
        case "file":
            return _file(check, scene)
        case "env":
            return _env(check.env or EnvCheck(), scene)
        case "changed_files":
            return _changed_files(check.changed_files or ChangedFiles(paths=()), scene)
        case _:
            return _command(check, scene)


# --- command -------------------------------------------------------------------------------------


def _command(check: Check, scene: CheckScene) -> CheckResult:
    limit_s = parse_check_timeout(check.timeout).ms / 1000 if check.timeout is not None else DEFAULT_LIMIT_S
    argv = shell_argv(check.run or "", scene.env.get("PATH"))
    code, output = _asked(argv, scene, limit_s)
    if code is None:
        return CheckResult(holds=False, why=f"did not end within {limit_s:g} s", is_timed_out=True)
    last = next((line for line in reversed(output.splitlines()) if line.strip()), "")
    why = f"exited {code}" + (f": {last[:200]}" if last else "")
    return CheckResult(holds=code == 0, why="" if code == 0 else why)


def _asked(argv: tuple[str, ...], scene: CheckScene, limit_s: float) -> tuple[int | None, str]:
    """Exit code and output; None when the time was up, and then the whole tree is gone."""
    kept = bytearray()
    request = SpawnRequest(
        argv=argv, cwd=scene.root, env=scene.env, run_id=scene.run_id, output="capture", stdin="devnull"
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
                    return end.exit_code, kept.decode("utf-8", "replace")
                if deadline.is_over(scene.clock) or scene.should_stop():
                    workload.stop(signal.SIGKILL, grace_s=0.0)
                    return None, kept.decode("utf-8", "replace")
    except SpawnError as error:
        return error.exit_code, error.findings[0].summary


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
    return CheckResult(holds=holds, why="" if holds else f"{check.path} is {_article(found)}")


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
    try:
        return urlsplit(value).hostname or ""
    except ValueError:
        return ""


def _host_broken(key: str, host: str, rule: HostRule) -> str:
    if not host:
        return f"{key} names no host"
    if rule.allowed is not None:
        return "" if host in rule.allowed else f"the host of {key} is not one of {', '.join(rule.allowed)}"
    plain = host.strip("[]").lower()
    is_loopback = plain in ("localhost", "::1") or plain.startswith("127.")
    return f"the host of {key} is a loopback address" if is_loopback else ""


# --- changed files -------------------------------------------------------------------------------


def _changed_files(check: ChangedFiles, scene: CheckScene) -> CheckResult:
    spans = [f"{check.base_ref}...{check.head_ref}"] if check.base_ref and check.head_ref else ["HEAD"]
    asked = [("git", "diff", "--name-only", "-z", *spans, "--")]
    if check.include_untracked:
        asked.append(("git", "ls-files", "--others", "--exclude-standard", "-z"))
    changed: list[str] = []
    for argv in asked:
        code, output = _asked(argv, scene, DEFAULT_LIMIT_S)
        if code != 0:
            return CheckResult(holds=False, why=f"`{' '.join(argv[:2])}` failed: {output.strip()[:200]}")
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
