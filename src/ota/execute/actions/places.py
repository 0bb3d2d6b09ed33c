"""Names inside the repository, held by open directories so that no write can leave it.

A path is walked one name at a time, links by hand, and the last directory stays open: renaming a
folder or planting a link between the look and the write changes nothing. What is in the files is
`files`' matter.

Source: contract specification 15.3 (paths of actions), 0.2 (RP).
"""

import errno
import os
import stat
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from ota.errors import HostError
from ota.execute.actions.failure import failed
from ota.system.clock import Clock, Deadline
from ota.system.files import READ_LIMIT_BYTES, refused, write_all
from ota.system.locks import try_lock

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_LINKS = 40
"""As the kernel counts before it speaks of a loop."""
_MOST_CHANGES = 100
"""How often a name may turn into something else while it is being opened."""
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
"""What file systems without hard links answer."""
_LOCK_LIMIT_S = 10.0
_LOCK_POLL_S = 0.01


class OutsideError(Exception):
    """The path leads out of the repository."""


class Spot:
    """One name in one opened directory of the repository. The name itself is never a link."""

    def __init__(self, directory: int, name: str, shown: Path) -> None:
        self._directory = directory
        self._name = name
        self._shown = shown

    def facts(self) -> os.stat_result | None:
        """What stands there; None for nothing."""
        try:
            return os.stat(self._name, dir_fd=self._directory, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def read(self) -> bytes:
        """The content of a regular file.

        Raises:
            HostError: missing, not regular, unreadable or too large.
        """
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(self._name, flags, dir_fd=self._directory)
            try:
                facts = os.fstat(descriptor)
                if stat.S_ISDIR(facts.st_mode):
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
                if not stat.S_ISREG(facts.st_mode):
                    raise OSError(errno.EINVAL, "it is a pipe, a socket or a device")
                if facts.st_size > READ_LIMIT_BYTES:
                    raise OSError(errno.EINVAL, f"it is larger than {READ_LIMIT_BYTES} bytes")
                with os.fdopen(descriptor, "rb", closefd=False) as file:
                    return file.read(READ_LIMIT_BYTES)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise refused(error, action="read", path=self._shown) from error

    def create(self, content: bytes, *, mode: int) -> bool:
        """Make a new file, whole or not at all; False when the name was taken meanwhile.

        `mode` is subject to the umask, as for any program.

        Raises:
            HostError: it could not be written, and nothing is left of it.
        """

        def settle(temporary: str) -> bool:
            try:  # unlike a rename, a link never replaces
                os.link(temporary, self._name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                return self._settle_without_links(content, mode)
            return True

        return self._write(content, mode, None, settle)

    def _settle_without_links(self, content: bytes, mode: int) -> bool:
        """For file systems that have no hard links (FAT, some network mounts)."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(self._name, flags, mode, dir_fd=self._directory)
        except FileExistsError:
            return False
        try:
            write_all(descriptor, content)
        except BaseException:
            os.unlink(self._name, dir_fd=self._directory)
            raise
        finally:
            os.close(descriptor)
        return True

    def replace(self, content: bytes, *, like: os.stat_result) -> None:
        """Put a new file in the place of the one described by `like`, with its mode and owner.

        Raises:
            HostError: the old file is still there, whole.
        """

        def settle(temporary: str) -> bool:
            os.replace(temporary, self._name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
            return True

        self._write(content, 0o600, like, settle)

    def _write(
        self, content: bytes, mode: int, like: os.stat_result | None, settle: Callable[[str], bool]
    ) -> bool:
        temporary = f".ota-{os.getpid()}-{os.urandom(6).hex()}.tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(temporary, flags, mode, dir_fd=self._directory)
            try:
                try:
                    write_all(descriptor, content)
                    if like is not None:
                        _resemble(descriptor, like)
                finally:
                    os.close(descriptor)
                return settle(temporary)
            finally:
                with suppress(FileNotFoundError):  # a rename took it
                    os.unlink(temporary, dir_fd=self._directory)
        except OSError as error:
            raise refused(error, action="write", path=self._shown) from error

    def make_directory(self) -> bool:
        """Make a directory; False when the name was taken meanwhile.

        Raises:
            HostError: it could not be made.
        """
        try:
            os.mkdir(self._name, dir_fd=self._directory)
        except FileExistsError:
            return False
        except OSError as error:
            raise refused(error, action="create the directory", path=self._shown) from error
        return True

    @contextmanager
    def alone(self, clock: Clock) -> Iterator[None]:
        """Keep other runs of ota from changing files of this folder meanwhile.

        The lock is on the folder itself, so nothing is left behind; where the file system has no
        locks it goes without.
        """
        descriptor = os.open(".", _DIRECTORY, dir_fd=self._directory)
        try:
            with suppress(HostError):
                deadline = Deadline.after(clock, _LOCK_LIMIT_S)
                while not try_lock(descriptor, self._shown) and not deadline.is_over(clock):
                    clock.sleep(_LOCK_POLL_S)
            yield
        finally:
            os.close(descriptor)


def _resemble(descriptor: int, like: os.stat_result) -> None:
    """Mode and owner of the old file; the owner only where this user may give files away."""
    made = os.fstat(descriptor)
    if (made.st_uid, made.st_gid) != (like.st_uid, like.st_gid):
        with suppress(PermissionError):
            os.fchown(descriptor, like.st_uid, like.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(like.st_mode))


@contextmanager
def open_spot(root: Path, name: str, part: Struct, *, make_parents: bool = False) -> Iterator[Spot | None]:
    """The place that `name` means, links inside the repository followed; None when a folder is missing.

    Raises:
        ActionFailedError: the name leads out of the repository, or through something that is no folder.
        HostError: the operating system refused.
    """
    walk = _Walk(root, make_parents=make_parents)
    try:
        try:
            last = walk.along(name)
        except OutsideError as error:
            raise failed(
                part,
                f"`{name}` leads out of the repository through a symbolic link",
                f"name a path inside the repository, or remove the link: `ls -l {name}`",
            ) from error
        except NotADirectoryError as error:
            raise failed(part, f"something on the way to `{name}` is not a directory") from error
        except OSError as error:
            raise refused(error, action="reach", path=root / name) from error
        yield None if last is None else Spot(walk.directory, last, root / name)
    finally:
        walk.close()


class _Walk:
    """Opens one directory after the other, beginning at the root, never leaving it."""

    def __init__(self, root: Path, *, make_parents: bool) -> None:
        self._root = root
        self._make_parents = make_parents
        self._opened: list[int] = []
        self._links = 0
        self._changes = 0

    @property
    def directory(self) -> int:
        """The directory the walk has come to."""
        return self._opened[-1]

    def close(self) -> None:
        """Let go of every directory."""
        while self._opened:
            os.close(self._opened.pop())

    def along(self, path: str) -> str | None:
        """Walk to the last directory; the last name in it, None when a directory is missing."""
        self._opened.append(os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        names = deque(_names(path))
        while names:
            name = names.popleft()
            if name == "..":
                self._back()
            elif (target := self._link(name)) is not None:
                names.extendleft(reversed(self._inside(target)))
            elif not names:
                return name
            elif not self._enter(name):
                return None
        return "."

    def _back(self) -> None:
        if len(self._opened) == 1:
            raise OutsideError
        os.close(self._opened.pop())

    def _link(self, name: str) -> str | None:
        """Where the link `name` points; None when it is none."""
        try:
            target = os.readlink(name, dir_fd=self.directory)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT):
                return None
            raise
        self._links += 1
        if self._links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        return target

    def _inside(self, target: str) -> list[str]:
        """The names of a link's target; an absolute one starts again at the root of the repository."""
        if not target.startswith("/"):
            return _names(target)
        for start in (self._root, self._root.resolve()):
            with suppress(ValueError):
                names = _names(str(Path(target).relative_to(start)))
                while len(self._opened) > 1:
                    os.close(self._opened.pop())
                return names
        raise OutsideError

    def _enter(self, name: str) -> bool:
        """Open the directory `name`; False when it is missing and not to be made."""
        while True:
            try:
                self._opened.append(os.open(name, _DIRECTORY, dir_fd=self.directory))
                return True
            except FileNotFoundError:
                if not self._make_parents:
                    return False
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=self.directory)
            self._changes += 1
            if self._changes > _MOST_CHANGES:
                raise OSError(errno.EBUSY, "the folders on the way keep changing")


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name not in ("", ".")]


def inner_directory(root: Path, name: str | None, part: Struct) -> Path:
    """The folder a command works in: it exists, and it is inside the repository.

    Raises:
        ActionFailedError: it does not, or it is not.
    """
    if name is None:
        return root
    path = root / name
    if not path.is_dir():
        raise failed(part, f"the directory `{name}` does not exist", f"create `{name}`, or correct `cwd`")
    if not path.resolve().is_relative_to(root.resolve()):
        raise failed(part, f"`{name}` leads out of the repository through a symbolic link")
    return path


def inner_target(root: Path, name: str, part: Struct) -> Path:
    """The real path of what a command is to make inside the repository.

    Raises:
        ActionFailedError: links lead out of the repository.
    """
    target = outer_target(root, name, part)
    if not target.is_relative_to(root.resolve()):
        raise failed(part, f"`{name}` leads out of the repository through a symbolic link")
    return target


def outer_target(root: Path, name: str, part: Struct) -> Path:
    """The real path of what a command is to make, wherever it is.

    Raises:
        ActionFailedError: its links go round in circles.
    """
    try:
        return (root / name).resolve()
    except (OSError, RuntimeError) as error:
        raise failed(part, f"the links of `{name}` go round in circles") from error


def remove_tree(path: Path, *, keep_itself: bool = False) -> None:
    """Remove a directory this run has made, as far as it can be removed; a link is only unlinked."""
    import shutil

    if path.is_symlink():
        path.unlink(missing_ok=True)
    elif keep_itself:
        with suppress(OSError):
            for each in path.iterdir():
                remove_tree(each)
    elif path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
