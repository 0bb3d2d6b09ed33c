"""Version requirements, and how the output of a tool is read as a version.

Owns the requirement grammar (`>=3.12,<3.14`, `^22.12.0`, `*`), the comparison, and finding the version in
what `<tool> --version` printed. Starts nothing: `ota.requirements.probes` does.

Source: contract specification 0.3; doctor specification 6.

Two places say slightly different things, and this module takes both: `||` between branches and comparators
parted by a blank (doctor 6) are accepted beside the comma of contract 0.3. Where they disagree on a written
part that the installed version lacks (`22.0` against `22`), contract 0.3 holds: an exact clause wants it.
"""

import re
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from ota.contract.grammar import GrammarError

Operator = Literal["", ">=", ">", "<=", "<", "^", "~"]

Parts = tuple[int, ...]


class VersionError(GrammarError):
    """A version requirement that does not follow the grammar."""


class Clause(Struct, frozen=True):
    """One comparison. The empty operator is the exact clause."""

    operator: Operator
    version: str
    """As written, without a leading `v`: it may carry a suffix such as `-tem`, which never compares."""
    parts: Parts

    def __str__(self) -> str:
        return f"{self.operator}{self.version}"


class VersionRequirement(Struct, frozen=True, kw_only=True):
    """What is asked for: any branch whose clauses all hold."""

    text: str
    """The canonical form; parsing it gives an equal record."""
    branches: tuple[tuple[Clause, ...], ...] = ()
    """An empty branch is `*`: any version will do."""
    channel: str = ""
    """`stable`, `beta` or `nightly`; then there are no branches."""

    @property
    def is_presence_only(self) -> bool:
        """Only the executable is asked for; its version does not matter."""
        return any(not branch for branch in self.branches)


# --- parsing ------------------------------------------------------------------------------------------------

LONGEST_REQUIREMENT = 200

_CLAUSE = re.compile(r"(>=|<=|==|=|>|<|\^|~)?\s*([^\s,|<>=^~]+)")
_VERSION = re.compile(r"[vV]?([0-9]{1,18}(?:\.[0-9]{1,18})*)((?:[-+_]|[A-Za-z])[0-9A-Za-z.+_-]*)?")
_CHANNEL = re.compile(r"(stable|beta|nightly)(?:-[0-9]{4}-[0-9]{2}-[0-9]{2})?")


def parse_requirement(text: str, *, channels: bool = False) -> VersionRequirement:
    """Read a requirement. `channels` allows `stable`, `beta` and `nightly`: rust toolchains only.

    Raises:
        VersionError: with the reason, for text outside the grammar.
    """
    stripped = text.strip()
    if not stripped:
        raise VersionError("it is empty; write a version, a range such as `>=3.12,<3.14`, or `*`")
    if len(stripped) > LONGEST_REQUIREMENT:
        raise VersionError(f"it is longer than {LONGEST_REQUIREMENT} characters")
    if _CHANNEL.fullmatch(stripped):
        if not channels:
            raise VersionError(f"`{stripped}` is a channel name; only the rust toolchain has channels")
        return VersionRequirement(text=stripped, channel=stripped)
    branches = tuple(_parse_branch(branch) for branch in stripped.split("||"))
    canonical = " || ".join(",".join(map(str, branch)) or "*" for branch in branches)
    return VersionRequirement(text=canonical, branches=branches)


def _parse_branch(text: str) -> tuple[Clause, ...]:
    stripped = text.strip()
    if stripped == "*":
        return ()
    if not stripped:
        raise VersionError("nothing stands on one side of `||`")
    return tuple(clause for piece in stripped.split(",") for clause in _parse_comparators(piece))


def _parse_comparators(piece: str) -> list[Clause]:
    """The comparators between two commas: one, or several that each bring their operator."""
    clauses: list[Clause] = []
    position = len(piece) - len(piece.lstrip())
    if position == len(piece):
        raise VersionError("a comma stands without a comparison beside it")
    while position < len(piece):
        match = _CLAUSE.match(piece, position)
        if match is None:
            raise VersionError(f"`{piece.strip()}` is not an operator and a version")
        if clauses and not match[1]:
            raise VersionError(
                f"`{match[2]}` follows a comparison without an operator; part them with a comma"
            )
        clauses.append(_clause(match[1] or "", match[2]))
        position = match.end()
        while position < len(piece) and piece[position].isspace():
            position += 1
    return clauses


def _clause(operator: str, version: str) -> Clause:
    if version == "*":
        raise VersionError("`*` stands alone; it cannot be combined")
    match = _VERSION.fullmatch(version)
    if match is None:
        raise VersionError(_why_not_a_version(version))
    parts = tuple(int(part) for part in match[1].split("."))
    canonical: Operator = "" if operator in ("", "=", "==") else operator  # type: ignore[assignment]
    return Clause(canonical, match[1] + (match[2] or ""), parts)


def _why_not_a_version(version: str) -> str:
    wildcard = re.fullmatch(r"[vV]?([0-9]+(?:\.[0-9]+)*)(?:\.[xX*])+", version)
    if wildcard:
        return f"`{version}` has a wildcard part; write `{wildcard[1]}`, which accepts every further part"
    if _CHANNEL.fullmatch(version):
        return f"`{version}` is a channel name and cannot be compared"
    if re.fullmatch(r"[vV]?[0-9.]+", version):
        return f"`{version}` has an empty or too long part; write numbers parted by single dots"
    return f"`{version}` is not a version; write numbers parted by dots, such as `3.12`"


# --- comparing ----------------------------------------------------------------------------------------------

_DOTTED_RUN = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18})+")
_DIGIT_RUN = re.compile(r"[0-9]{1,18}")


def numeric_parts(text: str) -> Parts | None:
    """The first dotted digit run of a text, else its first digit run, else None.

    `go1.24.2` is (1, 24, 2), `3.13.0rc1` is (3, 13, 0), `nghttp2/1.52.0` is (1, 52, 0), `21-ea` is (21,).
    """
    match = _DOTTED_RUN.search(text) or _DIGIT_RUN.search(text)
    return tuple(int(part) for part in match[0].split(".")) if match else None


def accepts(requirement: VersionRequirement, installed: str) -> bool:
    """Does the installed version satisfy the requirement? Text without a digit satisfies only `*`."""
    if requirement.channel:
        return _channel_of(installed) == requirement.channel.split("-")[0]
    if requirement.is_presence_only:
        return True
    parts = numeric_parts(installed)
    return parts is not None and accepts_parts(requirement, parts)


def accepts_parts(requirement: VersionRequirement, installed: Parts) -> bool:
    """The same for a version that is already numbers; a channel accepts none."""
    return any(all(_holds(clause, installed) for clause in branch) for branch in requirement.branches)


def satisfies(requirement: VersionRequirement, name: str, installed: str) -> bool:
    """`accepts`, knowing that Java 8 and older call themselves `1.8`: `8` and `1.8` both name them."""
    if accepts(requirement, installed):
        return True
    if name not in ("java", "javac") or requirement.channel:
        return False
    parts = numeric_parts(installed)
    return parts is not None and parts[0] == 1 and len(parts) > 1 and accepts_parts(requirement, parts[1:])


def _holds(clause: Clause, installed: Parts) -> bool:
    wanted = clause.parts
    match clause.operator:
        case "":
            return installed[: len(wanted)] == wanted
        case ">=":
            return _compare(installed, wanted) >= 0
        case ">":
            return _compare(installed, wanted) > 0
        case "<=":
            return _compare(installed, wanted) <= 0
        case "<":
            return _compare(installed, wanted) < 0
        case "^":
            return _compare(installed, wanted) >= 0 and _compare(installed, _caret_limit(wanted)) < 0
        case "~":
            return _compare(installed, wanted) >= 0 and _compare(installed, _tilde_limit(wanted)) < 0


def _compare(left: Parts, right: Parts) -> int:
    width = max(len(left), len(right))
    padded_left = left + (0,) * (width - len(left))
    padded_right = right + (0,) * (width - len(right))
    return (padded_left > padded_right) - (padded_left < padded_right)


def _caret_limit(parts: Parts) -> Parts:
    """The next increment of the left-most part that is not zero; of the first when all are."""
    index = next((at for at, part in enumerate(parts) if part), 0)
    return (*parts[:index], parts[index] + 1)


def _tilde_limit(parts: Parts) -> Parts:
    return (parts[0], parts[1] + 1) if len(parts) > 1 else (parts[0] + 1,)


def _channel_of(installed: str) -> str:
    return next((channel for channel in ("nightly", "beta") if f"-{channel}" in installed), "stable")


# --- reading what a tool printed ----------------------------------------------------------------------------

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
# Lines with digits that never are the version: JVM options being announced, warnings, licences, build dates.
_NOISE = re.compile(
    r"\W*(?:picked up |(?:\S+ )?(?:warn(?:ing)?|notice|deprecated|info)\b|copyright|built on|\(node:)",
    re.IGNORECASE,
)
# `kubectl version` as YAML or JSON: build date, major and minor come before the version in the document.
_GIT_VERSION = re.compile(r"\bgitVersion\"?: *\"?(v[0-9][^\s\",]{0,80})")
_TRIM = re.compile(r"^[^0-9A-Za-z.-]+|[^0-9A-Za-z.-]+$")
_SEPARATORS = re.compile(r"[^0-9A-Za-z.+_~-]+")
_READ_LINES = 200
_READ_LINE_WIDTH = 1000
_READ_CHARACTERS = 65_536


def observed_version(stdout: str, stderr: str = "", *, names: Iterable[str] = ()) -> str | None:
    """The version a tool reported, as it wrote it without a leading `v`; None when it wrote none.

    Standard output is read before standard error. The line is the first that names the tool and holds a
    digit, else the first that holds one (elixir prints its runtime's version first). In that line a dotted
    number outside brackets comes before one inside, and both before a bare number
    (`gcc (crosstool-NG 1.25.0) 12.1.0` is 12.1.0, `This is perl 5, version 36 (v5.36.0)` is 5.36.0).
    """
    wanted = tuple(name.casefold() for name in names if len(name) > 1)
    document = _GIT_VERSION.search(stdout[:_READ_CHARACTERS])
    if document:
        return _clean(document[1])
    for stream in (stdout, stderr):
        line = _version_line(stream[:_READ_CHARACTERS], wanted)
        if line is not None:
            return _version_in(line, wanted)
    return None


def plain_text(output: str) -> str:
    """Output without terminal control sequences, every line end a newline."""
    return _ANSI.sub("", output).replace("\r\n", "\n").replace("\r", "\n")


def _version_line(stream: str, names: tuple[str, ...]) -> str | None:
    lines = plain_text(stream).split("\n")[:_READ_LINES]
    numbered = [line[:_READ_LINE_WIDTH] for line in lines if _DIGIT_RUN.search(line[:_READ_LINE_WIDTH])]
    # When every line looks like noise one still is the answer: kotlinc writes `info: kotlinc-jvm 1.9.10`.
    telling = [line for line in numbered if not _NOISE.match(line)] or [
        line for line in numbered if "Picked up " not in line
    ]
    named = (line for line in telling if any(name in line.casefold() for name in names))
    return next(named, telling[0] if telling else None)


def _version_in(line: str, names: tuple[str, ...]) -> str | None:
    for name in names:
        # `swift-driver version: 1.87.1 Apple Swift version 5.9`: the name's own words win.
        own = re.search(rf"(?<![\w-]){re.escape(name)} \(?version:? +(\S*[0-9]\S*)", line, re.IGNORECASE)
        if own:
            return _clean(own[1])
    distribution = re.search(r"\bDistrib (\S*[0-9]\S*)", line)  # MariaDB's client leads with the protocol's
    if distribution:
        return _clean(distribution[1])
    outside = re.sub(r"(?<!\S)\([^()]*\)", " ", line).split()
    everywhere = line.split()
    for shape in (_DOTTED_RUN, _DIGIT_RUN):
        for words in (outside, everywhere):
            found = next((word for word in words if shape.search(word)), None)
            if found is not None:
                return _clean(found)
    return None


def _clean(word: str) -> str:
    """`"17.0.9"` is 17.0.9, `v22.3.0` is 22.3.0, `nginx/1.22.1` and `v=7.0.15` lose what stands before."""
    trimmed = _TRIM.sub("", word)
    pieces = [piece for piece in _SEPARATORS.split(trimmed) if _DIGIT_RUN.search(piece)]
    dotted = [piece for piece in pieces if _DOTTED_RUN.search(piece)]
    best = (dotted or pieces or [trimmed])[0].strip("._~+-")
    return re.sub(r"^[vV]+(?=[0-9])", "", best)
