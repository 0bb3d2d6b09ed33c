"""A file that somebody else is writing: read as far as it has grown, and cleaned of secrets in place.

What a command prints goes to such a file when what it leaves running is to go on printing after ota
has gone: a pipe would break then.

Source: runtime specification 13.1; decision D14.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_PIECE_BYTES = 65_536
_PIECES_AT_ONCE = 256
_MASKED_LIMIT_BYTES = 16 * 1024 * 1024


class FileTail:
    """Reads a file as far as it has grown."""

    def __init__(self, path: Path, on_output: Callable[[bytes], None]) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._on_output = on_output

    def __enter__(self) -> "FileTail":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; harmless when done twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def skip_to_end(self) -> None:
        """What is there already is not passed on."""
        os.lseek(self._descriptor, 0, os.SEEK_END)

    def read(self) -> None:
        """Pass on what is new; a writer that never stops does not keep ota here."""
        for _ in range(_PIECES_AT_ONCE):
            data = os.read(self._descriptor, _PIECE_BYTES)
            if not data:
                return
            self._on_output(data)


def mask_file(path: Path, mask: Callable[[bytes], bytes]) -> None:
    """Take secrets out of what was written so far; a file that cannot be read or is huge stays as it is."""
    with suppress(OSError):
        if path.stat().st_size > _MASKED_LIMIT_BYTES:
            return
        content = path.read_bytes()
        masked = mask(content)
        if masked != content:
            # in place: a server may have the file open, and goes on at its end
            descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
            try:
                os.write(descriptor, masked)
            finally:
                os.close(descriptor)
