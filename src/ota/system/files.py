"""Files that survive crashes: atomic writes, private folders, append-only lines, bounded reads.

Every refusal of the operating system becomes a `HostError` that names the action and the path.
It knows no file format.

Source: json-and-receipts specification 6 (rules for files under `.ota/`).
"""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

from ota.errors import Finding, HostError, Severity

PRIVATE_DIRECTORY = 0o700
PRIVATE_FILE = 0o600
READ_LIMIT_BYTES = 64 * 1024 * 1024

_CODES = {
    errno.EROFS: ("OTA_FILE_READ_ONLY", "the file system is mounted read-only"),
    errno.ENOSPC: ("OTA_FILE_DISK_FULL", "the disk is full"),
    errno.EFBIG: ("OTA_FILE_DISK_FULL", "the file would grow beyond what this user may write"),
    errno.EACCES: ("OTA_FILE_PERMISSION", "this user may not do that"),
    errno.EPERM: ("OTA_FILE_PERMISSION", "this user may not do that"),
    errno.ENOTDIR: ("OTA_FILE_NOT_A_DIRECTORY", "something on the way is not a directory"),
    errno.EEXIST: ("OTA_FILE_NOT_A_DIRECTORY", "something that is not a directory is in the way"),
    errno.EISDIR: ("OTA_FILE_IS_A_DIRECTORY", "it is a directory"),
    errno.ENOENT: ("OTA_FILE_MISSING", "it does not exist"),
    errno.ELOOP: ("OTA_FILE_FAILED", "its symbolic links go round in circles"),
    errno.ENAMETOOLONG: ("OTA_FILE_FAILED", "the name is too long"),
}
if hasattr(errno, "EDQUOT"):
    _CODES[errno.EDQUOT] = ("OTA_FILE_DISK_FULL", "the quota of this user is used up")

_NEXT = {
    "OTA_FILE_READ_ONLY": "make {there} writable, or work in a copy of the repository that is",
    "OTA_FILE_DISK_FULL": "free some space on the disk that holds {there}",
    "OTA_FILE_PERMISSION": "check the owner and mode of {there}: `ls -ld {shell_there}`",
    "OTA_FILE_NOT_A_DIRECTORY": "move {obstacle} away, or make it a directory",
    "OTA_FILE_IS_A_DIRECTORY": "move the directory {path} away",
    "OTA_FILE_MISSING": "check that {path} is spelled right and exists",
    "OTA_FILE_DIRECTORY_MISSING": "create {folder}, or correct the path",
    "OTA_FILE_TOO_LARGE": "check whether {path} is the file you mean",
    "OTA_FILE_NOT_REGULAR": "replace {path} by a regular file",
    "OTA_FILE_FAILED": "look at {there}: `ls -ld {shell_there}`",
}


def file_finding(code: str, *, action: str, path: Path, why: str, severity: Severity = "error") -> Finding:
    """A finding about one file: what ota tried, where, and what stood in the way."""
    return Finding(
        code=code,
        summary=f"cannot {action} {path}",
        why=why,
        next=_next(code, path),
        severity=severity,
        category="execution",
        owner="host",
    )


def _next(code: str, path: Path) -> str:
    """The advice, about what is there: a file that could not be made is nothing one can look at."""
    from shlex import quote  # paid only by those who fail

    there = next((each for each in (path, *path.parents) if os.path.lexists(each)), path)
    advice = _NEXT.get(code, _NEXT["OTA_FILE_FAILED"])
    return advice.format(
        path=path, folder=path.parent, obstacle=_obstacle(path), there=there, shell_there=quote(str(there))
    )


def _obstacle(path: Path) -> Path:
    """The first thing on the way to a path that is there and no directory; the path where nothing is."""
    return next((each for each in (*reversed(path.parents), path) if _is_no_directory(each)), path)


def _is_no_directory(path: Path) -> bool:
    try:
        return not stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        return path.is_symlink()  # one that leads nowhere
    except OSError:
        return False


def refused(error: OSError, *, action: str, path: Path) -> HostError:
    """The `HostError` that says what the operating system refused."""
    reason = error.strerror or type(error).__name__
    code, why = _CODES.get(error.errno or 0, ("OTA_FILE_FAILED", ""))
    if code == "OTA_FILE_MISSING" and action == "write":
        code, why = "OTA_FILE_DIRECTORY_MISSING", f"there is no directory {path.parent}"
    return HostError(file_finding(code, action=action, path=path, why=f"{why} ({reason})" if why else reason))


def private_directory(path: Path) -> Path:
    """Make `path` a directory only its owner may enter, like whatever is missing above it.

    Raises:
        HostError: it cannot be made, or something else is there.
    """
    try:
        # `parents=True` would leave what it makes on the way open to everybody
        for missing in reversed([each for each in path.parents if not each.exists()]):
            missing.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
        path.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
        if stat.S_IMODE(path.stat().st_mode) != PRIVATE_DIRECTORY:
            _tighten(path)
    except OSError as error:
        raise refused(error, action="create the directory", path=path) from error
    return path


def _tighten(path: Path) -> None:
    """A folder of someone else keeps its mode: what matters is only whether ota can write there."""
    if path.stat().st_uid == os.getuid():
        path.chmod(PRIVATE_DIRECTORY)


def write_atomic(path: Path, content: bytes, *, mode: int = PRIVATE_FILE, is_durable: bool = False) -> None:
    """Replace `path` by `content` in one step: a reader sees the old file or the new one, never half.

    `is_durable` also waits for the disk, for files whose loss in a power cut would mislead.

    Raises:
        HostError: nothing was replaced, and no temporary file is left.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _cloexec(), mode)
        try:
            try:
                write_all(descriptor, content)
                if is_durable:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if is_durable:
            _sync_directory(path.parent)
    except OSError as error:
        raise refused(error, action="write", path=path) from error


def write_of_user(path: Path, content: bytes) -> None:
    """`write_atomic` for a file that is the user's: through links to what they mean, its mode kept.

    Raises:
        HostError: something else than a file is there, or one that nobody may write; it is as it was.
    """
    try:
        real = path.resolve()
        mode = _writable_mode(real, path) if os.path.lexists(real) else 0o644
    except OSError as error:
        raise refused(error, action="write", path=path) from error
    except RuntimeError as error:  # how Python 3.11 and 3.12 tell of links that go round in circles
        loop = OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        raise refused(loop, action="write", path=path) from error
    write_atomic(real, content, mode=mode)


def _writable_mode(real: Path, path: Path) -> int:
    facts = real.stat()
    if stat.S_ISDIR(facts.st_mode):
        code, why = "OTA_FILE_IS_A_DIRECTORY", "it is a directory"
    elif not stat.S_ISREG(facts.st_mode):
        code, why = "OTA_FILE_NOT_REGULAR", f"it is {_kind(facts.st_mode)}"
    elif not facts.st_mode & 0o222 or not os.access(real, os.W_OK):
        code, why = "OTA_FILE_PERMISSION", "it is write-protected"
    else:
        return stat.S_IMODE(facts.st_mode)
    raise HostError(file_finding(code, action="write", path=path, why=why))


def _kind(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "a named pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def is_there(path: Path) -> bool:
    """Whether something is at a path that may be no path at all: too long, behind a locked door, with NUL."""
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True


def _sync_directory(path: Path) -> None:
    """Make a rename survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | _cloexec())
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, content: bytes) -> None:
    """Write every byte: a single `write` may take fewer on a nearly full disk."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def read_bytes(path: Path, *, limit_bytes: int = READ_LIMIT_BYTES) -> bytes:
    """The content of a regular file of at most `limit_bytes`.

    Opens without blocking, so that a named pipe in the way is an answer and not a hang.

    Raises:
        HostError: missing, unreadable, not a regular file, or larger than the limit.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _cloexec() | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb", buffering=0):
            _require_regular(path, os.fstat(descriptor), limit_bytes)
            content = _read_at_most(descriptor, limit_bytes + 1)
    except OSError as error:
        raise refused(error, action="read", path=path) from error
    if len(content) > limit_bytes:
        raise HostError(_too_large(path, limit_bytes))
    return content


def _read_at_most(descriptor: int, limit_bytes: int) -> bytes:
    parts: list[bytes] = []
    missing = limit_bytes
    while missing > 0 and (part := os.read(descriptor, min(missing, 1 << 20))):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _require_regular(path: Path, facts: os.stat_result, limit_bytes: int) -> None:
    if stat.S_ISDIR(facts.st_mode):
        raise HostError(
            file_finding("OTA_FILE_IS_A_DIRECTORY", action="read", path=path, why="it is a directory")
        )
    if not stat.S_ISREG(facts.st_mode):
        raise HostError(
            file_finding(
                "OTA_FILE_NOT_REGULAR", action="read", path=path, why=f"it is {_kind(facts.st_mode)}"
            )
        )
    if facts.st_size > limit_bytes:
        raise HostError(_too_large(path, limit_bytes))


def _too_large(path: Path, limit_bytes: int) -> Finding:
    return file_finding(
        "OTA_FILE_TOO_LARGE", action="read", path=path, why=f"it is larger than {limit_bytes} bytes"
    )


def remove_file(path: Path) -> bool:
    """Remove a file; False when it was gone already.

    Raises:
        HostError: it is there and cannot be removed.
    """
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise refused(error, action="remove", path=path) from error
    return True


class LineFile:
    """A file that only grows, one whole line at a time, readable by its owner only."""

    def __init__(self, path: Path, *, mode: int = PRIVATE_FILE) -> None:
        """Open `path` for appending, creating it.

        Raises:
            HostError: it cannot be opened.
        """
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _cloexec(), mode)
        except OSError as error:
            raise refused(error, action="open for appending", path=path) from error

    def append(self, line: bytes) -> None:
        """Add one line with one write, so that a crash or another writer never splits it.

        Raises:
            HostError: the line is not on disk, or only a part of it is (the disk was full).
        """
        record = line + b"\n"
        try:
            written = os.write(self._descriptor, record)
            if written != len(record):
                write_all(self._descriptor, record[written:])
        except OSError as error:
            raise refused(error, action="append to", path=self.path) from error

    def close(self) -> None:
        """Let go of the file; harmless when done twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> "LineFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _cloexec() -> int:
    return getattr(os, "O_CLOEXEC", 0)


def repository_reader(root: Path) -> Callable[[str], bytes | None]:
    """Reads files below `root` by their relative name; None for one that does not exist.

    Raises (when called):
        HostError: it exists and cannot be read.
    """

    def read(name: str) -> bytes | None:
        path = root / name
        return read_bytes(path) if os.path.lexists(path) else None

    return read


def write_new(path: Path, content: bytes, *, mode: int = PRIVATE_FILE) -> bool:
    """Write a file that must not exist yet, whole or not at all; False when the name is taken.

    Raises:
        HostError: it could not be written; nothing is left.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _cloexec(), mode)
        try:
            try:
                write_all(descriptor, content)
            finally:
                os.close(descriptor)
            os.link(temporary, path)  # unlike a rename, a link never replaces
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError:
        return False
    except OSError as error:
        raise refused(error, action="write", path=path) from error
    return True
