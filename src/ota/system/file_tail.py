"""A file that somebody else is writing: read as far as it has grown.

What goes on after ota prints to such a file, which is bounded in size: when it has grown long enough it is
moved away, and another one takes its place.

Source: runtime specification 13.1.
"""

import os
from collections.abc import Callable
from pathlib import Path

_PIECE_BYTES = 65_536
_PIECES_AT_ONCE = 256


class FileTail:
    """Reads a file as far as it has grown, and then the one that took its place."""

    def __init__(self, path: Path, on_output: Callable[[bytes], None]) -> None:
        self._path = path
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
            if data:
                self._on_output(data)
            elif not self._turned():
                return

    def _turned(self) -> bool:
        """Whether there is another file by now, which is read from here on."""
        try:
            if os.path.samestat(os.fstat(self._descriptor), self._path.stat()):
                return False
            another = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # somebody removed it
            return False
        os.close(self._descriptor)
        self._descriptor = another
        return True
