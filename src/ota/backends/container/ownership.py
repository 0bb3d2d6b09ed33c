"""What a repository knows of its own on engines: its ownership token, and which engines it used.

Two small files under `.ota/state`, and the labels of containers that one run owns. The token proves
which containers, volumes and networks are this repository's; the list of engines says where `ota clean`
has to look. What cannot be read is reported and proves nothing: it is never treated as absent, or a
second token would disown the first one's things.

Source: runtime specification 5, 6.3, 21.1; commands specification 1.14; json-and-receipts specification 6.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from ota.backends.container.identity import LABEL_OWNER_PID, LABEL_OWNER_START
from ota.errors import Finding, HostError
from ota.system.clock import SYSTEM_CLOCK, Clock
from ota.system.files import private_directory, read_bytes, remove_file, write_atomic
from ota.system.locks import ResourceLock
from ota.system.process_table import observe_pid_namespace, observe_process
from ota.system.processes import Identity, boot_id, observe_identity

OwnerLife = Literal["alive", "dead", "unknown"]

_TOKEN = re.compile(r"[0-9a-f]{16}")
# A name is looked up on PATH and started: a path or an option would be somebody's trick.
_ENGINE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LIMIT_BYTES = 64 * 1024
_LOCK_LIMIT_S = 10.0


def token_path(root: Path) -> Path:
    """Where the ownership token of a repository is."""
    return root / ".ota" / "state" / "ownership-id"


def engines_path(root: Path) -> Path:
    """Where the engines a repository has used are listed."""
    return root / ".ota" / "state" / "managed-engines"


def _legacy(path: Path) -> Path:
    """Where earlier versions kept the same file: `.ota/<name>`."""
    return path.parent.parent / path.name


# --- the token ---------------------------------------------------------------------------------------


def read_token(root: Path) -> str | None:
    """The repository's token, None when it never made anything on an engine. Writes nothing.

    Raises:
        HostError: a token file is there and cannot be understood.
    """
    path = token_path(root)
    for candidate in (path, _legacy(path)):
        text = _text_of(candidate)
        if text:
            return _checked_token(text, candidate)
    return None


def ensure_token(root: Path, clock: Clock = SYSTEM_CLOCK) -> str:
    """The repository's token, made on first need; runs that start at once agree on one.

    Raises:
        HostError: it cannot be read, or a new one cannot be written.
    """
    path = token_path(root)
    text = _text_of(path)
    if text and not os.path.lexists(_legacy(path)):
        return _checked_token(text, path)
    found = read_token(root)
    try:
        return _settle(path, root, clock)
    except HostError:
        if found is None:
            raise
        return found  # what a checkout made is still its own when its state can no longer be written


def _settle(path: Path, root: Path, clock: Clock) -> str:
    """Put the token where it belongs, made if there is none."""
    with _lock(path, "read the ownership token", clock):
        token = read_token(root) or os.urandom(8).hex()  # another run may have been faster
        if _text_of(path) != token:
            write_atomic(path, f"{token}\n".encode(), is_durable=True)
        remove_file(_legacy(path))
    return token


def _checked_token(text: str, path: Path) -> str:
    if _TOKEN.fullmatch(text) is None:
        raise HostError(
            Finding(
                code="OTA_OWNERSHIP_UNREADABLE",
                summary=f"cannot read the ownership token in {path}",
                why="it does not hold 16 lower-case hex digits, so nothing on an engine can be proven to be "
                "this repository's",
                next=f"restore {path}, or remove it: what its token owned is then left for you to remove",
                category="execution",
                owner="host",
            )
        )
    return text


# --- the engines -------------------------------------------------------------------------------------


def read_engines(root: Path) -> tuple[str, ...]:
    """The engines this repository may have something on, sorted. Writes nothing.

    Raises:
        HostError: the list is there and cannot be understood.
    """
    path = engines_path(root)
    return tuple(sorted(_engines_in(path) | _engines_in(_legacy(path))))


def record_engine(root: Path, engine: str, clock: Clock = SYSTEM_CLOCK) -> None:
    """Remember, before something is made there, that this repository uses an engine.

    Raises:
        HostError: it cannot be written.
    """
    path = engines_path(root)
    if engine in _engines_in(path) and not os.path.lexists(_legacy(path)):
        return
    with _lock(path, "record a container engine", clock):
        _write_engines(path, {*read_engines(root), engine})


def forget_engines(root: Path, engines: Iterable[str], clock: Clock = SYSTEM_CLOCK) -> None:
    """Take off the list the engines that were searched and hold nothing any more.

    An engine that another run recorded meanwhile stays. The list goes with its last entry.

    Raises:
        HostError: it cannot be written.
    """
    path, gone = engines_path(root), set(engines)
    if gone.isdisjoint(read_engines(root)) and not os.path.lexists(_legacy(path)):
        return
    with _lock(path, "update the list of container engines", clock):
        _write_engines(path, set(read_engines(root)) - gone)


def _write_engines(path: Path, engines: set[str]) -> None:
    if engines:
        write_atomic(path, "".join(f"{name}\n" for name in sorted(engines)).encode(), is_durable=True)
    else:
        remove_file(path)
    remove_file(_legacy(path))


def _engines_in(path: Path) -> set[str]:
    lines = {line.strip() for line in _text_of(path).splitlines()} - {""}
    wrong = sorted(line for line in lines if _ENGINE.fullmatch(line) is None)
    if wrong:
        raise HostError(
            Finding(
                code="OTA_OWNERSHIP_UNREADABLE",
                summary=f"cannot read the list of container engines in {path}",
                why=f"it holds {wrong[0]!r}, which is no name of an engine",
                next=f"correct {path}: one engine per line, such as `docker`",
                category="execution",
                owner="host",
            )
        )
    return lines


# --- files -------------------------------------------------------------------------------------------


def _text_of(path: Path) -> str:
    """The stripped text of a state file; empty when it is absent."""
    if not os.path.lexists(path):
        return ""
    try:
        # replaced characters fit no token and no engine: they are refused where the text is read
        return read_bytes(path, limit_bytes=_LIMIT_BYTES).decode("utf-8", "replace").strip()
    except HostError as error:
        if error.findings[0].code == "OTA_FILE_MISSING":
            return ""  # moved away between the two looks
        raise


def _lock(path: Path, what: str, clock: Clock) -> ResourceLock:
    private_directory(path.parent)
    lock = path.parent / "locks" / f"{path.name}.lock"
    return ResourceLock(lock, what=what, limit_s=_LOCK_LIMIT_S, clock=clock)


# --- the owner of an ephemeral container -------------------------------------------------------------


def owner_life(labels: Mapping[str, str]) -> OwnerLife:
    """Whether the ota process that made an ephemeral container still runs.

    With its start time in the labels, a later process that got its pid does not count as the owner. An owner
    whose pid was counted elsewhere, on another machine or inside a container, cannot be looked up here.
    """
    pid = _number(labels.get(LABEL_OWNER_PID, ""))
    ticks, _, where = labels.get(LABEL_OWNER_START, "").partition("/")
    if pid is None or where not in ("", _here()):
        return "unknown"
    facts = observe_process(pid)
    if facts is None:
        return "alive" if _is_hidden(pid) else "dead"
    start = _number(ticks)
    is_owner = not facts.is_dead and start in (None, facts.start_ticks)
    return "alive" if is_owner else "dead"


def owner_start(owner: Identity | None = None) -> str:
    """When and where this process, or another owner, started: `<ticks>/<boot>/<pid namespace>`."""
    identity = owner or observe_identity(os.getpid())
    return f"{identity.start_ticks}/{_here()}" if identity is not None else ""


def _here() -> str:
    return f"{boot_id()}/{observe_pid_namespace()}"


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 and int(text) > 0 else None


def _is_hidden(pid: int) -> bool:
    """Whether a process that cannot be looked at exists: it belongs to somebody else."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True
