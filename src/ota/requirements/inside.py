"""Asking the inside of a container for runtimes and tools: one script for all of them, one call.

Owns the script and the reading of what it prints. Who runs it, and where, is the caller's; the rules for
names, forms and versions are those of this host (`probes`), so a tool means the same on both sides.

Source: runtime specification 18 (version probe); decision D32; lessons, "Engine talk".
"""

import os
from collections.abc import Sequence
from shlex import quote

from ota.requirements.probes import Answer, ProbeOutcome, Wanted, executables_of, judged, version_forms
from ota.requirements.versions import VersionError, VersionRequirement, parse_requirement

TOOL_LIMIT_S = 5
"""For one form of one tool, where the image has `timeout`; the call as a whole is bounded by its caller."""
_TIMED_OUT = 124

# Only what POSIX gives: an image may have nothing but busybox. `command -v` and not `which`.
_HEAD = f"""\
_l=; command -v timeout >/dev/null 2>&1 && _l='timeout {TOOL_LIMIT_S}'
_find() {{ for _n in "$@"; do _p=$(command -v "$_n" 2>/dev/null) && return 0; done; return 1; }}
_say() {{ printf '\\n%s %s\\n' "$_mark" "$*"; }}
_ask() {{
  _i=$1; shift; _k=0
  for _f in "$@"; do
    _o=$($_l "$_p" $_f 2>&1 </dev/null); _c=$?
    if [ "$_c" -eq 0 ]; then _say said "$_i" "$_k" 0; printf '%.8000s\\n' "$_o"; return; fi
    if [ "$_k" -eq 0 ]; then _c0=$_c; _o0=$_o; fi
    [ "$_c" -eq {_TIMED_OUT} ] && break
    _k=$((_k+1))
  done
  _say said "$_i" 0 "$_c0"; printf '%.8000s\\n' "$_o0"
}}
"""


class InsideQuestion:
    """Everything that is wanted in one container, as one shell script."""

    def __init__(self, wanted: Sequence[Wanted], *, mark: str = "") -> None:
        """`mark` begins the lines of the script's own; by default a random one no tool can print."""
        self.wanted = tuple(wanted)
        self._mark = mark or f"ota-{os.urandom(8).hex()}"

    @property
    def script(self) -> str:
        """For `sh -c`; ends 0 whatever is missing."""
        lines = [f"_mark={self._mark}", _HEAD.rstrip()]
        for index, wanted in enumerate(self.wanted):
            names = " ".join(quote(name) for name in executables_of(wanted.name))
            forms = " ".join(quote(" ".join(form)) for form in version_forms(executables_of(wanted.name)[0]))
            asking = f"; _ask {index} {forms}" if _needs_version(wanted) else ""
            lines.append(f'if _find {names}; then _say found {index} "$_n" "$_p"{asking}; fi')
        return "\n".join((*lines, "_say done"))

    def outcomes(self, printed: str) -> tuple[ProbeOutcome, ...] | None:
        """What each of `wanted` came to; None when the script did not get to its end."""
        found: dict[int, tuple[str, str]] = {}
        said: dict[int, tuple[int, int, str]] = {}
        is_done = False
        for part in printed.split(f"\n{self._mark} ")[1:]:
            line, _, text = part.partition("\n")
            match line.split(" ", 3):
                case ["found", index, name, path]:
                    found[int(index)] = (name, path)
                case ["said", index, form, code]:
                    said[int(index)] = (int(form), int(code), text)
                case ["done"]:
                    is_done = True
        if not is_done:
            return None
        return tuple(
            _outcome(wanted, found.get(index), said.get(index)) for index, wanted in enumerate(self.wanted)
        )


def _needs_version(wanted: Wanted) -> bool:
    requirement = _requirement(wanted)
    return isinstance(requirement, VersionRequirement) and not requirement.is_presence_only


def _requirement(wanted: Wanted) -> VersionRequirement | VersionError:
    try:
        return parse_requirement(wanted.version, channels=wanted.is_channel_allowed)
    except VersionError as error:
        return error


def _outcome(
    wanted: Wanted, found: tuple[str, str] | None, said: tuple[int, int, str] | None
) -> ProbeOutcome:
    if found is None:
        return ProbeOutcome(wanted=wanted, status="missing")
    name, path = found
    requirement = _requirement(wanted)
    if isinstance(requirement, VersionError):
        return ProbeOutcome(wanted=wanted, status="mismatch", executable=path, detail=requirement.reason)
    if said is None:
        return ProbeOutcome(wanted=wanted, status="satisfied", executable=path)
    form, code, text = said
    forms = version_forms(executables_of(wanted.name)[0])
    is_timed_out = code == _TIMED_OUT
    answer = Answer(
        command=" ".join((name, *forms[form])),
        exit_code=None if is_timed_out else code,
        stdout=text,
        is_timed_out=is_timed_out,
    )
    return judged(wanted, requirement, path, name, answer)
