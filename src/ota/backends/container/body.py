"""The text a container's shell gets: traps, marks, PATH, HOME, and then the body as it was written.

Signals reach every process of the body from outside (`signalling`), so the shell itself must outlive what
it waits for: were it the first to go, the container would end under programs that are still closing down.
A body with a memory limit, or in a container that stays, runs in a shell of its own, below one that remains
to say what only somebody inside can see: whether the kernel killed something for want of memory, which not
every engine notices, and what the body started that is still running.

Source: runtime specification 3.1, 3.3, 7.3, 12.2; lessons, "Nothing left behind" (footprint).
"""

import re

from msgspec import Struct

from ota.backends.native import posix_quoted

BODY_VARIABLE = "OTA_BODY"
"""In the environment of everything a body starts: finds it inside a container that stays."""
WRITABLE_HOME = "/tmp/ota-home"

_TRAPS = "trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM"
_OUTLIVE = "trap : HUP INT TERM"  # the code of what it waits for counts
_OPEN, _CLOSE = "\x02", "\x03"
# Builtins only: no image is too small for it. cgroups 2 first, then 1.
_OOM_COUNT = (
    "__ota_oom() { for f in /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do "
    '[ -r "$f" ] || continue; while read -r k v; do '
    '[ "$k" = oom_kill ] && { echo "$v"; return; }; done <"$f"; done; }'
)
# Living processes with the body's mark, but for this shell. What looked for them has ended by then, and is
# started only when there is a process that was not there before.
_LEFT = (
    '__ota_left=; set -- /proc/[0-9]*; [ "$*" = "$__ota_pids" ] || { '
    'set -- $(grep -ls "VARIABLE=$VARIABLE" /proc/[0-9]*/environ 2>/dev/null); '
    'for f in "$@"; do p=${f#/proc/}; p=${p%/environ}; '
    '{ [ "$p" != $$ ] && read -r l <"/proc/$p/stat"; } 2>/dev/null || continue; '
    'case "${l##*) }" in [ZX]*) ;; *) __ota_left="$__ota_left $p" ;; esac; done; }'
).replace("VARIABLE", BODY_VARIABLE)
_KEEPER = "while true; do sleep 3600; done"
NOT_THE_ONE = "ota: another container has this name"
"""What the shell says, instead of beginning, in a container that cannot show that it is the one."""
# Builtins only, as everywhere here. Process 1 is the keeper, or an init that was given its words.
_SHOWS_PROOF = (
    "__ota_first=; read -r __ota_first 2>/dev/null </proc/1/cmdline; "
    'case "$__ota_first" in *PROOF*) MARK ;; *) OTHERWISE ;; esac'
)
# What was there before the body and is there after it is no process of the body.
_BEFORE = 'set -- /proc/[0-9]*; __ota_pids="$*"'
_PATH_REFERENCE = re.compile(r"\$PATH\b|\$\{PATH\}")


class Marks(Struct, frozen=True, kw_only=True):
    """What the shell of one body writes for ota alone."""

    nonce: str

    @property
    def prefix(self) -> bytes:
        """How every mark of this body begins."""
        return f"{_OPEN}ota:{self.nonce}:".encode()

    @property
    def end(self) -> bytes:
        """How every mark ends."""
        return _CLOSE.encode()

    def printed(self, text: str) -> str:
        """The shell words that write a mark to stderr."""
        return f"printf '\\002ota:{self.nonce}:{text}\\003' >&2"

    @property
    def opening(self) -> str:
        """The shell words that say on both streams that the body begins."""
        start = self.printed("start")
        return f"{start.removesuffix(' >&2')}; {start}"


class Proof(Struct, frozen=True, kw_only=True):
    """How a container that stays shows from inside which one it is: its keeper carries the text."""

    text: str
    is_required: bool = False
    """Nobody has asked the engine: without the proof the body does not begin."""

    def words(self, marks: Marks) -> str:
        """The shell words that look for it."""
        otherwise = f"echo '{NOT_THE_ONE}' >&2; exit 125" if self.is_required else ""
        script = _SHOWS_PROOF.replace("PROOF", f"ota:{self.text}").replace("MARK", marks.printed("proven"))
        return script.replace("OTHERWISE", otherwise)


def keeper_arguments(proof: str) -> tuple[str, str, str]:
    """What keeps a container running that waits for bodies."""
    return ("-c", _KEEPER, f"ota:{proof}")


def body_script(
    body: str,
    *,
    marks: Marks | None,
    path: str | None = None,
    makes_home: bool = False,
    watches_memory: bool = False,
    looks_after: bool = False,
    proof: Proof | None = None,
) -> str:
    """The argument of `sh -c`. Without `marks` nothing is written beside the body's own output.

    `watches_memory`: a kill for want of memory is told. `looks_after`: processes of the body that outlive
    it are told. `proof`: whether the container is the one that is meant is told.
    """
    prelude = [_TRAPS]
    if path is not None:
        prelude.append(path_export(path))
    if makes_home:
        prelude.append('mkdir -p -m 700 "$HOME" 2>/dev/null')
    if marks is None:
        return "; ".join(prelude) + "\n" + body
    if not (watches_memory or looks_after):
        # A line of its own: the shell has said that it began before it reads a body with a syntax error.
        return "; ".join((*prelude, marks.opening)) + "\n" + body
    lines = [proof.words(marks)] if proof is not None else []
    lines.append("; ".join((_OUTLIVE, *prelude[1:])))
    if watches_memory:
        lines.append(f"{_OOM_COUNT}; __ota_before=$(__ota_oom)")
    if looks_after:
        lines.append(_BEFORE)
    inner = posix_quoted(f"{_TRAPS}\n{body}")
    lines += [marks.opening, f"sh -c {inner}", "__ota_code=$?"]
    if watches_memory:
        told = marks.printed("oom")
        lines.append(
            f'if [ "$__ota_code" -gt 128 ] && [ "$(__ota_oom)" != "$__ota_before" ]; then {told}; fi'
        )
    if looks_after:
        told = marks.printed("left%s").replace(" >&2", ' "$__ota_left" >&2')
        lines += [_LEFT, f'[ -z "$__ota_left" ] || {told}']
    return "\n".join((*lines, 'exit "$__ota_code"'))


def path_export(path: str) -> str:
    """`export PATH=…` with the image's own PATH where the value says `$PATH`."""
    literal = _PATH_REFERENCE.split(path)
    return "export PATH=" + '"$PATH"'.join(posix_quoted(part) if part else "" for part in literal)
