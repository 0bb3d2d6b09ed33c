"""Readiness requests as shell text, for planes where ota itself is not: inside a container, on a remote.

The script makes one request with whatever the plane has and prints what came of it; judging is done here,
by the rules every HTTP probe follows. An image without any of the tools is a fact of its own.

Source: runtime specification 13.3 (container, remote).
"""

from collections.abc import Mapping
from shlex import quote

from ota.readiness.probes import StatusRange, render_statuses
from ota.readiness.results import ProbeResult, failed, passed, shortened
from ota.system.cutting import last_line

TOOLLESS = 97
"""Exit code of a plane that has nothing to ask with."""
TIMED_OUT = 124
_STATUS = "ota-status "
_BODY_BYTES = 32768

_PYTHON_HTTP = """\
import http.client as h,ssl,sys
s,m,a,p,t,path=sys.argv[1:7]
c=h.HTTPConnection(a,int(p),timeout=float(t)) if s=="http" else h.HTTPSConnection(
 a,int(p),timeout=float(t),context=ssl._create_unverified_context())
c.request(m,path,headers=dict(x.split(": ",1) for x in sys.argv[7:]))
r=c.getresponse();sys.stdout.write("ota-status %d\\n"%r.status);sys.stdout.flush()
sys.stdout.buffer.write(r.read(32768))"""
_PYTHON_TCP = "import socket,sys;socket.create_connection((sys.argv[1],int(sys.argv[2])),float(sys.argv[3]))"


def _has(tool: str) -> str:
    return f"if command -v {tool} >/dev/null 2>&1; then"


def tcp_script(address: str, port: int, timeout_s: float) -> str:
    """Ends 0 when something accepts a connection."""
    words = f"{quote(address)} {port}"
    seconds = max(1, round(timeout_s))
    return (
        f"{_has('python3')} exec python3 -c {quote(_PYTHON_TCP)} {words} {timeout_s:g}; fi\n"
        f"{_has('nc')}\n"
        f"  case $(nc -h 2>&1) in *-z*) exec nc -z -w {seconds} {words} ;; esac\n"
        # some of busybox cannot stop after connecting: who is still talking then has accepted
        f"  timeout {seconds + 1} nc -w {seconds} {words} </dev/null >/dev/null; e=$?\n"
        f"  case $e in {TIMED_OUT}|143) exit 0 ;; esac; exit $e\nfi\n"
        f"{_has('bash')} "
        f"exec bash -c 'exec 3<>\"/dev/tcp/$0/$1\"' {words}; fi\n"
        f"exit {TOOLLESS}"
    )


def http_script(
    method: str,
    address: str,
    port: int,
    path: str,
    headers: Mapping[str, str],
    timeout_s: float,
    *,
    scheme: str = "http",
) -> str:
    """Prints `ota-status <code>` and then the body; redirects are not followed, certificates not verified."""
    host = f"[{address}]" if ":" in address else address
    url = quote(f"{scheme}://{host}:{port}{path}")
    unverified = " --no-check-certificate" if scheme == "https" else ""
    fields = [f"{name}: {value}" for name, value in headers.items()]
    curl_fields = "".join(f" -H {quote(field)}" for field in fields)
    wget_fields = "".join(f" --header {quote(field)}" for field in fields)
    python_words = " ".join(
        quote(word) for word in (scheme, method, address, str(port), f"{timeout_s:g}", path, *fields)
    )
    seconds = max(1, round(timeout_s))
    head = " -I" if method == "HEAD" else ""
    return (
        f"{_has('curl')}\n  t=$(mktemp) || exit 1\n"
        f"  c=$(curl -sS -g -k{head} -o \"$t\" -w '%{{http_code}}' --max-time {timeout_s:g}"
        f"{curl_fields} {url}); e=$?\n"
        f'  [ $e -eq 28 ] && e={TIMED_OUT}; [ $e -eq 0 ] || {{ rm -f "$t"; exit $e; }}\n'
        f'  echo "{_STATUS}$c"; head -c {_BODY_BYTES} "$t"; rm -f "$t"; exit 0\nfi\n'
        f"{_has('python3')} exec python3 -c {quote(_PYTHON_HTTP)} {python_words}; fi\n"
        f"{_wget_branch(method, url, f'{unverified}{wget_fields}', seconds)}"
        f"exit {TOOLLESS}"
    )


def _wget_branch(method: str, url: str, words: str, seconds: int) -> str:
    """Asks with a wget that shows headers: of them the first status is the answer to this request.

    busybox follows redirects whatever it is told, and asks with GET for HEAD: of the former only the status
    of the first answer counts, the latter it is not asked to do.
    """
    others = f"exit {TOOLLESS}" if method == "HEAD" else ":"
    gnu = "-nv -t 1 --max-redirect=0" + (" --spider" if method == "HEAD" else " --content-on-error")
    return (
        f"{_has('wget')}\n"
        f"  case $(wget --help 2>&1) in *--max-redirect*) o='{gnu}' ;; *-S*) o=-q; {others} ;;"
        f" *) exit {TOOLLESS} ;; esac\n"
        # the wget of some images dies of its own time limit, so another program keeps it where there is one
        f"  w='wget -T {seconds}'; command -v timeout >/dev/null 2>&1 && w='timeout {seconds} wget'\n"
        "  t=$(mktemp) || exit 1\n"
        f'  h=$($w $o -S -O "$t"{words} {url} 2>&1); e=$?\n'
        "  s=${h#*HTTP/[12]}; s=${s#* }; s=${s%%[!0-9]*}\n"
        "  case $h in *HTTP/[12]*) ;; *) s= ;; esac\n"
        "  case $s in\n"
        f'    3??) echo "{_STATUS}$s" ;;\n'
        f'    ???) echo "{_STATUS}$s"; head -c {_BODY_BYTES} "$t" ;;\n'
        '    *) echo "$h" >&2; rm -f "$t"; [ $e -eq 0 ] && e=1; exit $e ;;\n'
        "  esac\n"
        '  rm -f "$t"; exit 0\nfi\n'
    )


def judged_tcp(code: int | None, said: str) -> ProbeResult:
    """What the TCP script came to."""
    if code == 0:
        return passed("connection", "accepts connections")
    return _not_connected(code, said)


def judged_http(
    code: int | None, printed: str, said: str, accepts: tuple[StatusRange, ...], body_contains: str | None
) -> ProbeResult:
    """What the HTTP script came to."""
    line, _, body = printed.partition("\n")
    if code != 0 or not line.startswith(_STATUS) or not line.removeprefix(_STATUS).strip().isdigit():
        return _not_connected(code, said)
    status = int(line.removeprefix(_STATUS))
    if not any(low <= status <= high for low, high in accepts):
        return failed("answer", "status", f"status {status} (expected {render_statuses(accepts)})")
    if body_contains is not None and body_contains not in body:
        return failed("answer", "body", f'status {status}, body lacks "{shortened(body_contains)}"')
    return passed("content", f"status {status}")


def _not_connected(code: int | None, said: str) -> ProbeResult:
    last = last_line(said)
    if code is None or code == TIMED_OUT:
        return failed("nothing", "connect_timed_out", "no answer in time")
    if "refused" in last.lower() or "couldn't connect" in last.lower():
        return failed("nothing", "refused", "refused")
    return failed("nothing", "failed", last or f"exited {code}")
