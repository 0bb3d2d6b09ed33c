"""Looking for what ota kept: what is not there is nothing, and what cannot be read is told.

`Path.exists` is no question for that: behind a folder that nobody may enter it fails, or says no.

Source: json-and-receipts specification 6 (unreadable state is unproven, not absent).
"""

import errno
from pathlib import Path

from ota.errors import HostError
from ota.system.files import read_bytes, refused

_NOTHING = (FileNotFoundError, NotADirectoryError)
"""Below what is no folder nothing can be."""


def read_if_there(path: Path) -> bytes | None:
    """The content of a file; None when there is none.

    Raises:
        HostError: whether there is one cannot be told, or it cannot be read.
    """
    try:
        return read_bytes(path)
    except HostError as error:
        if isinstance(error.__cause__, _NOTHING):
            return None
        raise
    except ValueError as error:  # a NUL byte in a name from a damaged file
        raise refused(OSError(errno.EINVAL, str(error)), action="read", path=path.parent) from error


def names_in(folder: Path) -> tuple[str, ...]:
    """What lies in a folder, sorted; nothing when there is none.

    Raises:
        HostError: it cannot be read.
    """
    try:
        return tuple(sorted(each.name for each in folder.iterdir()))
    except _NOTHING:
        return ()
    except OSError as error:
        raise refused(error, action="read", path=folder) from error
