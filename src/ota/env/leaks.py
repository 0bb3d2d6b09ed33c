"""Looking for secret values in files: the proof that what ota keeps holds none.

What counts as an occurrence is `masking`'s. Files are read in pieces, links are not followed, and what
cannot be read is told: the claim "no secret in there" does not cover it.

Source: decisions D14; json-and-receipts specification 1.1 (secrets).
"""

import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from msgspec import Struct

from ota.env.masking import Masker

_CHUNK_BYTES = 1 << 20


class Leak(Struct, frozen=True):
    """Where a secret value was found. Never what was found."""

    path: str
    line: int
    column: int
    """1-based, in bytes."""


class Scan(Struct, frozen=True, kw_only=True):
    """What looking through files found."""

    leaks: tuple[Leak, ...] = ()
    unreadable: tuple[str, ...] = ()
    """Files that could not be looked through; the claim "no secret in there" does not cover them."""


def scan(masker: Masker, paths: Iterable[Path], *, limit: int = 100) -> Scan:
    """Look through files, and through all files below directories, for secret values.

    Links are not followed: what they point at is not ours. At most `limit` places are reported.
    """
    leaks: list[Leak] = []
    unreadable: list[str] = []
    for path in _files(paths, unreadable):
        if len(leaks) >= limit or not masker.longest_bytes:
            break
        try:
            leaks += _leaks_in(masker, path)
        except OSError:
            unreadable.append(str(path))
    return Scan(leaks=tuple(leaks[:limit]), unreadable=tuple(unreadable))


def _leaks_in(masker: Masker, path: Path) -> Iterator[Leak]:
    """Read in pieces that overlap by one secret, so that a piece's edge hides nothing."""
    kept, lines_before, column_before, seen_until = b"", 0, 0, -1
    offset = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            window = kept + chunk
            for start, end in masker.spans(window):
                if offset + end > seen_until:
                    line = lines_before + window.count(b"\n", 0, start) + 1
                    newline = window.rfind(b"\n", 0, start)
                    column = start - newline if newline >= 0 else column_before + start + 1
                    yield Leak(str(path), line, column)
                    seen_until = offset + end
            cut = max(0, len(window) - (masker.longest_bytes - 1))
            lines_before += window.count(b"\n", 0, cut)
            newline = window.rfind(b"\n", 0, cut)
            column_before = cut - newline - 1 if newline >= 0 else column_before + cut
            kept = window[cut:]
            offset += cut


def _files(paths: Iterable[Path], unreadable: list[str]) -> Iterator[Path]:
    """Regular files among and below `paths`, in name order. A fifo would block; a link leads elsewhere."""
    from os import walk

    for path in paths:
        if _is_a(stat.S_ISREG, path):
            yield path
        elif _is_a(stat.S_ISDIR, path):
            for folder, folders, names in walk(path, onerror=lambda e: unreadable.append(str(e.filename))):
                folders.sort()
                yield from (p for name in sorted(names) if _is_a(stat.S_ISREG, p := Path(folder, name)))


def _is_a(kind: Callable[[int], bool], path: Path) -> bool:
    try:
        return kind(path.lstat().st_mode)
    except OSError:
        return False
