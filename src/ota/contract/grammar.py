"""The value grammar of a contract: sizes, ports, names, paths, addresses, platforms, semantic versions.

Pure text in, value or reason out. A `parse_` function returns the value or raises `GrammarError`; a
`check_` function returns why the text is refused, or None. Neither knows fields, files or findings: the
caller adds the place. Durations live in `ota.contract.durations`, version requirements in
`ota.requirements.versions`.

Source: contract specification 0.2; runtime specification 3.2 (suffix), 9 (memory).
"""

import re
from collections.abc import Iterable

from msgspec import Struct


class GrammarError(ValueError):
    """A value that does not follow the grammar. `reason` reads on after "`field` is invalid:"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


# --- text ---------------------------------------------------------------------------------------------------


def is_empty(text: str) -> bool:
    """Empty means empty after trimming."""
    return not text.strip()


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate someone most likely meant, or None when none is close enough to suggest.

    The distance counts an adjacent swap as one edit. Case and `-`/`_` do not count, so `minimumVersion`
    and `minimum-version` both find `minimum_version`. Equal distances: the first candidate wins.
    """
    wanted = _folded(word)
    if not wanted or len(wanted) > _LONGEST_WORD:
        return None
    limit = max(1, len(wanted) // 3)
    best: str | None = None
    best_distance = limit + 1
    for candidate in candidates:
        folded = _folded(candidate)
        if abs(len(folded) - len(wanted)) >= best_distance or len(folded) > _LONGEST_WORD:
            continue
        distance = _edit_distance(wanted, folded)
        if distance < best_distance and distance < max(len(wanted), len(folded)):
            best, best_distance = candidate, distance
    return best


_LONGEST_WORD = 80


def _folded(word: str) -> str:
    return word.casefold().replace("-", "").replace("_", "")


def _edit_distance(left: str, right: str) -> int:
    """Insertions, deletions, replacements and adjacent swaps that turn one word into the other."""
    before: list[int] = []
    above = list(range(len(right) + 1))
    for row, char in enumerate(left, start=1):
        current = [row]
        for column, other in enumerate(right, start=1):
            cost = min(above[column] + 1, current[-1] + 1, above[column - 1] + (char != other))
            if row > 1 and column > 1 and char == right[column - 2] and left[row - 2] == other:
                cost = min(cost, before[column - 2] + 1)
            current.append(cost)
        before, above = above, current
    return above[-1]


# Patterns are compiled when first used: `re` keeps them, and most commands need none.

# --- names and tokens ---------------------------------------------------------------------------------------

_ENV_KEY = r"[A-Za-z_][A-Za-z0-9_]*"
_INPUT_NAME = r"[a-z][a-z0-9_]*"
_STATE_TOKEN = r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*"
_SHELL_SAFE = r"[A-Za-z0-9@/._+~-]+"


def check_env_key(text: str) -> str | None:
    """The name of an environment variable."""
    if re.fullmatch(_ENV_KEY, text):
        return None
    return _empty_or(text, "use letters, digits and `_`, not starting with a digit")


def check_input_name(text: str) -> str | None:
    """The name of a task input."""
    if re.fullmatch(_INPUT_NAME, text):
        return None
    return _empty_or(text, "use lower-case letters, digits and `_`, starting with a letter")


def check_state_token(text: str) -> str | None:
    """The name of a piece of external state."""
    if re.fullmatch(_STATE_TOKEN, text):
        return None
    return _empty_or(
        text, "use lower-case letters and digits with single inner `-` or `_`, starting with a letter"
    )


def check_shell_safe_token(text: str) -> str | None:
    """A word that is handed to a package manager as it is."""
    if re.fullmatch(_SHELL_SAFE, text):
        return None
    return _empty_or(text, "only letters, digits and `@ / . _ + ~ -` are allowed")


def env_suffix(name: str) -> str:
    """`web:http` becomes `WEB_HTTP`: the tail of an injected variable's name."""
    return "".join(char.upper() if char.isascii() and char.isalnum() else "_" for char in name)


def _empty_or(text: str, reason: str) -> str:
    return "it is empty" if is_empty(text) else reason


# --- memory -------------------------------------------------------------------------------------------------

_MEMORY_UNITS = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}
_MEMORY_SHAPE = r"([0-9]+)([A-Za-z]*)"
_SUPPORTED_UNITS = "supported units are B, KiB, MiB, GiB and TiB; a bare integer is bytes"
_DECIMAL_UNITS = {"k": "KiB", "kb": "KiB", "m": "MiB", "mb": "MiB", "g": "GiB", "gb": "GiB", "t": "TiB"}
_DECIMAL_UNITS["tb"] = "TiB"
MEMORY_LIMIT_BYTES = (1 << 63) - 1
"""What a container engine can be asked for: a signed 64-bit number of bytes."""


def parse_memory(text: str) -> int:
    """A memory size in bytes: a positive integer and an optional binary unit.

    Raises:
        GrammarError: empty, zero, a fraction, a sign, an unknown or decimal unit, or more than engines take.
    """
    stripped = text.strip()
    if not stripped:
        raise GrammarError(f"the size is empty; {_SUPPORTED_UNITS}")
    shape = re.fullmatch(_MEMORY_SHAPE, stripped)
    if shape is None:
        raise GrammarError(_why_not_a_size(stripped))
    digits, unit = shape.groups()
    factor = _MEMORY_UNITS.get(unit.lower())
    if factor is None:
        meant = _DECIMAL_UNITS.get(unit.lower())
        hint = f"; write `{digits}{meant}`" if meant else ""
        raise GrammarError(f"`{unit}` is not a supported unit{hint}; {_SUPPORTED_UNITS}")
    # int() refuses very long digit strings with an error of its own; nineteen digits hold any legal size.
    significant = digits.lstrip("0")
    if not significant:
        raise GrammarError(f"the size must be greater than zero; {_SUPPORTED_UNITS}")
    if len(significant) > 19 or int(significant) * factor > MEMORY_LIMIT_BYTES:
        raise GrammarError(f"the size is too large; {_SUPPORTED_UNITS}")
    return int(significant) * factor


def format_memory(size_bytes: int) -> str:
    """The shortest exact form: `4GiB`, `1536MiB`, `1000B`."""
    for unit, factor in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size_bytes and size_bytes % factor == 0:
            return f"{size_bytes // factor}{unit}"
    return f"{size_bytes}B"


def _why_not_a_size(text: str) -> str:
    if text[0] in "+-":
        return f"a size has no sign; {_SUPPORTED_UNITS}"
    if re.fullmatch(r"[0-9]*[.,][0-9]*\s*[A-Za-z]*", text):
        return f"a size is a whole number, without fractions; {_SUPPORTED_UNITS}"
    if re.fullmatch(r"[0-9]+\s+[A-Za-z]+", text):
        return f"no blank belongs between number and unit; {_SUPPORTED_UNITS}"
    return f"it is not a number with a unit; {_SUPPORTED_UNITS}"


# --- ports and statuses -------------------------------------------------------------------------------------


def check_port(value: int) -> str | None:
    """A TCP port."""
    return None if 1 <= value <= 65535 else "a port is between 1 and 65535"


def check_http_status(value: int) -> str | None:
    """An HTTP status code."""
    return None if 100 <= value <= 599 else "an HTTP status is between 100 and 599"


# --- paths --------------------------------------------------------------------------------------------------

_DRIVE = r"[A-Za-z]:"


def check_repo_path(text: str) -> str | None:
    """A path that stays inside the repository; `.` is the repository itself."""
    reason = check_relative_path(text)
    if reason is None and ".." in text.replace("\\", "/").split("/"):
        return "`..` would leave the repository"
    return reason


def check_relative_path(text: str) -> str | None:
    """A path that starts nowhere absolute; it may leave the repository through `..`."""
    if is_empty(text):
        return "it is empty"
    if "\0" in text:
        return "a path has no NUL byte"
    if text[0] in "/\\":
        return "it is absolute; write it relative to the contract"
    if re.match(_DRIVE, text):
        return "it has a drive prefix; write it relative to the contract"
    return None


def check_boundary_path(text: str) -> str | None:
    """A repository path that names something below the root, so `.` alone is refused."""
    reason = check_repo_path(text)
    if reason is None and not _segments(text):
        return "it names the whole repository; name a path inside it"
    return reason


def normalise_boundary_path(text: str) -> str:
    """`./a//b/.` becomes `a/b`.

    Raises:
        GrammarError: not a boundary path.
    """
    reason = check_boundary_path(text)
    if reason is not None:
        raise GrammarError(reason)
    return "/".join(_segments(text))


def member_directory(text: str) -> str:
    """A member of a monorepo, spelled in one way: `./a/` and `a` are one directory."""
    return "/".join(part for part in text.strip().replace("\\", "/").split("/") if part not in ("", "."))


def path_within(inner: str, outer: str) -> bool:
    """Is `inner` the same as `outer`, or below it? By whole segments: `ab` is not within `a`."""
    inner_parts, outer_parts = _segments(inner), _segments(outer)
    return inner_parts[: len(outer_parts)] == outer_parts


def paths_overlap(left: str, right: str) -> bool:
    """Is either path within the other?"""
    return path_within(left, right) or path_within(right, left)


def _segments(text: str) -> list[str]:
    return [part for part in text.replace("\\", "/").split("/") if part not in ("", ".")]


# --- addresses ----------------------------------------------------------------------------------------------


def is_loopback_only(address: str) -> bool:
    """Can only the same machine (or the same container) reach this address?"""
    bare = address.strip().lower()
    if bare.startswith("[") and bare.endswith("]"):
        bare = bare[1:-1]
    return bare in ("localhost", "::1") or bare.startswith("127.")


# --- platforms ----------------------------------------------------------------------------------------------

OS_TOKENS = ("linux", "macos", "windows")
_ARCH_TOKEN = r"[A-Za-z0-9_-]+"
_ARCH_ALIASES = {"x86_64": "x64", "amd64": "x64", "x86-64": "x64", "aarch64": "arm64"}
_CONTAINER_PLATFORM = r"linux/[A-Za-z0-9_-]+(?:/[A-Za-z0-9_.-]+)?"


def check_os_token(text: str) -> str | None:
    """One of the operating systems a contract can name."""
    return None if text in OS_TOKENS else f"supported platforms are {', '.join(OS_TOKENS)}"


def check_arch_token(text: str) -> str | None:
    """A processor architecture such as `x64` or `arm64`."""
    if re.fullmatch(_ARCH_TOKEN, text):
        return None
    return _empty_or(text, "use a token such as `x64` or `arm64`")


def canonical_arch(text: str) -> str:
    """One spelling per architecture: `x86_64` and `amd64` are `x64`, `aarch64` is `arm64`."""
    lower = text.strip().lower()
    return _ARCH_ALIASES.get(lower, lower)


def allows_arch(allowed: Iterable[str], arch: str) -> bool:
    """Whether `only_arch` names an architecture, in any of its spellings."""
    return arch in map(canonical_arch, allowed)


def check_container_platform(text: str) -> str | None:
    """What an engine takes as `--platform`."""
    if re.fullmatch(_CONTAINER_PLATFORM, text):
        return None
    return _empty_or(text, "write `linux/<arch>` or `linux/<arch>/<variant>`, such as `linux/arm64`")


# --- semantic versions --------------------------------------------------------------------------------------

_SEMVER = (
    r"(0|[1-9][0-9]{0,17})\.(0|[1-9][0-9]{0,17})\.(0|[1-9][0-9]{0,17})"
    r"(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)


class SemVer(Struct, frozen=True):
    """A semantic version; build metadata is dropped because it never orders."""

    major: int
    minor: int
    patch: int
    prerelease: tuple[str, ...] = ()


def parse_semver(text: str) -> SemVer:
    """`1.6.16`, `1.7.0-rc.1`.

    Raises:
        GrammarError: not three numeric parts with optional pre-release and build.
    """
    match = re.fullmatch(_SEMVER, text.strip())
    if match is None:
        raise GrammarError("give a semantic version such as `1.6.16`")
    prerelease = tuple(match[4].split(".")) if match[4] else ()
    if any(part.isdigit() and len(part) > 1 and part[0] == "0" for part in prerelease):
        raise GrammarError("a numeric pre-release part has no leading zero")
    return SemVer(int(match[1]), int(match[2]), int(match[3]), prerelease)


def compare_semver(left: SemVer, right: SemVer) -> int:
    """Negative, zero or positive as `left` is older, equal or newer; a pre-release is older."""
    left_key, right_key = _semver_key(left), _semver_key(right)
    return (left_key > right_key) - (left_key < right_key)


def _semver_key(version: SemVer) -> tuple[int, int, int, bool, tuple[tuple[int, int, str], ...]]:
    # Numeric parts are digits only, at most as long as the text: compare by length first, so no int() limit.
    parts = tuple((0, len(part), part) if part.isdigit() else (1, 0, part) for part in version.prerelease)
    return (version.major, version.minor, version.patch, not version.prerelease, parts)
