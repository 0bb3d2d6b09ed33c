"""Signals for a body inside its container: engines pass none on to `exec`, and only to one process else.

What belongs to a body is found inside: processes that carry its mark in their environment, those in the
sessions they lead, and their descendants. Process 1 and the keeper of a container that stays are never
among them. One call looks, signals, waits and tells; the script uses what the smallest image has.

Source: runtime specification 7.3, 7.4, 20.3; lessons, "Nothing left behind".
"""

from msgspec import Struct

from ota.backends.container.body import BODY_VARIABLE
from ota.backends.container.engine import Engine, EngineAnswer, ask, refusal, says_absent
from ota.errors import Finding, HostError

SIGNAL_LIMIT_S = 10.0
END_GRACE_S = 5.0
_KILL_TENTHS = 20
_HELD = ("is paused", "container state improper")
"""Podman says the same of a container that is stopped."""
_STOPPED = ("is not running", "container state improper", "can only create exec sessions on running")

# `members` prints the living processes of the body whose mark is `$mark`: seeds by environment, then, until
# nothing is added, everything of their sessions and all they started. Session 1 is the container's own.
# No `-F`: the one of busybox stops at the first NUL byte.
_MEMBERS = r"""
members() {
  found=' '
  for f in $(grep -ls "VARIABLE=$mark" /proc/[0-9]*/environ 2>/dev/null); do
    p=${f#/proc/}; p=${p%/environ}
    case $p in 1|$$) ;; *) found="$found$p " ;; esac
  done
  [ "$found" = ' ' ] && return
  table=; living=' '
  for f in /proc/[0-9]*/stat; do
    { read -r line <"$f"; } 2>/dev/null || continue
    p=${line%% *}; set -- ${line##*) }
    case $1 in Z|X) continue ;; esac
    case $p in 1|$$) continue ;; esac
    table="$table $p:$2:$4"; living="$living$p "
  done
  sessions=' '; more=1
  while [ $more = 1 ]; do
    more=0
    for row in $table; do
      p=${row%%:*}; session=${row##*:}; parent=${row%:*}; parent=${parent#*:}
      case $found in
        *" $p "*)
          case " 0 1$sessions" in *" $session "*) ;; *) sessions="$sessions$session "; more=1 ;; esac ;;
        *)
          case "$found" in *" $parent "*) found="$found$p "; more=1; continue ;; esac
          case "$sessions" in *" $session "*) found="$found$p "; more=1 ;; esac ;;
      esac
    done
  done
  for p in $found; do case $living in *" $p "*) echo "$p" ;; esac; done
}
""".replace("VARIABLE", BODY_VARIABLE)

# Everything stands still until everybody has the signal: a shell whose child ended before its own signal came
# would go on with its next command.
_SIGNAL = (
    _MEMBERS
    + r"""
mark=$1; m=$(members)
[ -z "$m" ] || { kill -STOP $m; kill -$2 $m; kill -CONT $m; } 2>/dev/null
echo ${m:+$(set -- $m; echo $#)}
"""
)
_END = (
    _MEMBERS
    + r"""
mark=$1; told=' '; count=0; tenth=0; last=$(($2 + $3))
while m=$(members); [ -n "$m" ] && [ $tenth -le $last ]; do
  for p in $m; do
    case $told in *" $p "*) ;; *) told="$told$p "; count=$((count + 1)); kill -TERM $p; kill -CONT $p ;; esac
  done 2>/dev/null
  [ $tenth -ge $2 ] && kill -KILL $m 2>/dev/null
  tenth=$((tenth + 1)); sleep 0.1 2>/dev/null || { sleep 1; tenth=$((tenth + 9)); }
done
echo $count $m
"""
)


class BodyEnding(Struct, frozen=True, kw_only=True):
    """What ending a body inside a container came to."""

    ended: int = 0
    survived: tuple[int, ...] = ()
    """Pids inside the container."""
    finding: Finding | None = None
    """Why it is not known, or what is left: a warning."""
    is_absent: bool = False
    """There is no container of that name."""


def signal_body(engine: Engine, name: str, body_mark: str, signal_name: str) -> int:
    """Send `INT`, `TERM` or `HUP` to every process of one body in a container that stays; how many.

    Returns at once: whoever is attached to the body sees it end.

    Raises:
        HostError: the engine does not let anybody in.
    """
    answer = _run(engine, name, _SIGNAL, body_mark, signal_name, limit_s=SIGNAL_LIMIT_S)
    if not answer.is_ok and not is_nothing_running(answer.stderr):
        raise HostError(refusal(engine, answer, f"signal the body in {name}"))
    words = answer.stdout.split()
    return int(words[0]) if words and words[0].isdigit() else 0


def signal_all(engine: Engine, name: str, signal_name: str) -> None:
    """Send a signal to everything in a container of one body, but for its process 1.

    Raises:
        HostError: the engine does not let anybody in, or nothing runs there any more.
    """
    # as root: the body may have started something as another user
    script = f"kill -{signal_name} -1"
    answer = ask(engine, "exec", "--user", "0", name, "sh", "-c", script, limit_s=SIGNAL_LIMIT_S)
    # the shell that sends it is hit too, and says 128 plus the signal
    if not answer.is_ok and answer.exit_code < 128:
        raise HostError(refusal(engine, answer, f"signal the body in {name}"))


def end_body(engine: Engine, name: str, body_mark: str, *, grace_s: float = END_GRACE_S) -> BodyEnding:
    """TERM, grace, KILL for everything of one body inside a container; the container stays.

    A container that is gone or does not run has nothing of the body. One that somebody paused is resumed for
    as long as it takes: what is held there would go on some day, with nobody to end it.
    """
    said, ending = _ended(engine, name, body_mark, grace_s)
    if not is_held(said) or not _asked(engine, "unpause", name):
        return ending
    try:
        return _ended(engine, name, body_mark, grace_s)[1]
    finally:
        _asked(engine, "pause", name)


def _asked(engine: Engine, verb: str, name: str) -> bool:
    try:
        return ask(engine, verb, name, limit_s=SIGNAL_LIMIT_S).is_ok
    except HostError:
        return False


def _ended(engine: Engine, name: str, body_mark: str, grace_s: float) -> tuple[str, BodyEnding]:
    """What the engine had against it, and what it came to."""
    grace = int(grace_s * 10)
    words = (body_mark, str(grace), str(_KILL_TENTHS))
    try:
        answer = _run(engine, name, _END, *words, limit_s=grace_s + _KILL_TENTHS / 10 + SIGNAL_LIMIT_S)
    except HostError as error:
        return "", BodyEnding(finding=_not_ended(engine, name, error.findings[0].why))
    if _is_over(answer):
        return answer.stderr, BodyEnding(is_absent=says_absent(answer.stderr))
    numbers = [int(word) for word in answer.stdout.split() if word.isdigit()]
    if not answer.is_ok or not numbers:
        return answer.stderr, BodyEnding(finding=_not_ended(engine, name, answer.detail))
    count, survivors = numbers[0], tuple(numbers[1:])
    if survivors:
        survivors = _killed_as_root(engine, name, body_mark, survivors)
    finding = None
    if survivors:
        pids = " ".join(map(str, survivors))
        finding = _not_ended(engine, name, f"still there after KILL, inside the container: {pids}")
    return "", BodyEnding(ended=count - len(survivors), survived=survivors, finding=finding)


def _killed_as_root(engine: Engine, name: str, body_mark: str, pids: tuple[int, ...]) -> tuple[int, ...]:
    """What belongs to another user than the body's is root's to end."""
    targets = " ".join(map(str, pids))
    script = f"kill -KILL {targets} 2>/dev/null; sleep 0.1 2>/dev/null; for p in {targets}; do "
    script += (
        'read -r line <"/proc/$p/stat" 2>/dev/null && case ${line##*) } in Z*) ;; *) echo $p ;; esac; done'
    )
    try:
        answer = ask(engine, "exec", "--user", "0", name, "sh", "-c", script, limit_s=SIGNAL_LIMIT_S)
    except HostError:
        return pids
    return tuple(int(word) for word in answer.stdout.split() if word.isdigit())


def _run(engine: Engine, name: str, script: str, *words: str, limit_s: float) -> EngineAnswer:
    return ask(engine, "exec", name, "sh", "-c", script, "ota", *words, limit_s=limit_s)


def is_held(said: str) -> bool:
    """Whether these words of an engine may mean that the container is paused."""
    return any(text in said.lower() for text in _HELD)


def is_nothing_running(said: str) -> bool:
    """Whether these words of an engine mean that nothing runs in the container, or that there is none."""
    return says_absent(said) or any(text in said.lower() for text in _STOPPED)


def _is_over(answer: EngineAnswer) -> bool:
    return not answer.is_ok and is_nothing_running(answer.stderr)


def _not_ended(engine: Engine, name: str, why: str) -> Finding:
    return Finding(
        code="OTA_CONTAINER_BODY_SURVIVED",
        title="Cleanup is incomplete",
        summary=f"interrupted workload cleanup failed in `{name}`",
        why=why,
        next=f"see what runs there: `{engine.name} top {name}`; `{engine.name} restart {name}` ends it",
        severity="warn",
        category="execution",
        owner="host",
    )
