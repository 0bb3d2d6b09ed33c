"""Keeps the transcripts of the documentation real: every one is what the commands print.

A block announced by a comment line directly above it is made again in a copy of the named example:

    <!-- transcript in examples/notes -->      a `console` block: each `$ ota ...` line with what it prints
    <!-- document in examples/notes: run -->   a `json` block: what the command in the next line prints, valid
    <!-- $ ota run test --json --quiet -->     against docs/schema/output/run.json

In a transcript the line `^C` interrupts the command once the line above it was printed. What differs from
run to run is written as something that stands for it: the folder of the copy, times, durations, run ids.
Fixed ports of the examples are replaced by free ones while they run, and put back in what is shown.

    <!-- container transcript in examples/bulletin -->   needs Docker, with a stand-in for its image,

is made only when asked for, and cleaned up after.

    python tools/transcripts.py                 write them
    python tools/transcripts.py --check         exit code 1 when one is not what the commands print
    python tools/transcripts.py --containers    those of containers too (see tests/engines/README.md)
"""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHOWN_FOLDER = "/home/me"
FIXED_PORTS = ("8765", "9000")
LIMIT_S = 60.0
TRANSCRIPT = re.compile(
    r"(?P<head><!-- transcript in (?P<folder>\S+) -->\n```console\n)(?P<body>.*?)(?P<tail>^```$)", re.M | re.S
)
CONTAINERS = re.compile(
    TRANSCRIPT.pattern.replace("<!-- transcript", "<!-- container transcript"), re.M | re.S
)
SHOWN_IMAGE, REAL_IMAGE = "busybox:1", "ota-test/busybox"
DOCUMENT = re.compile(
    r"(?P<head><!-- document in (?P<folder>\S+): (?P<schema>[\w-]+) -->\n"
    r"<!-- \$ ota (?P<line>.*?) -->\n```json\n)(?P<body>.*?)(?P<tail>^```$)",
    re.M | re.S,
)
LEFT_OUT = shutil.ignore_patterns(".ota", "data", "archives", "settings.env", "__pycache__")
STEADY: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"), "2026-01-31T12:00:00.000Z"),
    (re.compile(r"\d{8}T\d{6}Z-([\w-]+)-[0-9a-f]{6}"), r"20260131T120000Z-\1-5f0c1e"),
    (re.compile(r"repo-receipt-\d{8}-\d{6}-\d{3}Z"), "repo-receipt-20260131-120000-000Z"),
    (re.compile(r"\d\d/[A-Z][a-z]{2}/\d{4} \d\d:\d\d:\d\d"), "31/Jan/2026 12:00:00"),
    (re.compile(r"(\"(?:duration|elapsed)_ms\": )\d+"), r"\g<1>42"),
    (re.compile(r"(\"attempts\": )\d+"), r"\g<1>3"),
    (re.compile(r"\b\d+ ms\b|(?<=after )\d+(?:\.\d+)? s\b"), "42 ms"),
    (re.compile(r"^\S+ waits for .*\n", re.M), ""),  # said only when it takes a second
    (re.compile(r"^(.*\"GET .*\n)\1+", re.M), r"\1"),  # how often ota asked
    (re.compile(r"\b\d+\.\d+s\b"), "0.042s"),
    (re.compile(r"\bpid \d+"), "pid 4242"),
    (re.compile(r"\b(ota-|ota-ephemeral-|ota-isolated-)[0-9a-f]{16}\b"), r"\g<1>5f0c1e2d3a4b5c6d"),
    (re.compile(r"(OTA_HOST_[UG]ID(?:=| required=no value=))\d+"), r"\g<1>1000"),
    (re.compile(r"(\"OTA_HOST_[UG]ID\": \")\d+"), r"\g<1>1000"),
)


def steady(text: str, folder: Path, ports: dict[str, str]) -> str:
    """The text with everything that differs from run to run replaced by something that stands for it."""
    for real in dict.fromkeys((str(folder.resolve()), str(folder))):
        text = text.replace(real, SHOWN_FOLDER)
    for fixed, real in ports.items():
        text = text.replace(real, fixed)
    for pattern, stand_in in STEADY:
        text = pattern.sub(stand_in, text)
    return text


@contextmanager
def copied(folder: str) -> Iterator[tuple[Path, dict[str, str]]]:
    """A fresh copy of an example, and the free port that took the place of each fixed one."""
    ports = free_ports()
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary).resolve() / Path(folder).name
        shutil.copytree(ROOT / folder, copy, ignore=LEFT_OUT)
        contract = copy / "ota.yaml"
        text = contract.read_text(encoding="utf-8")
        for fixed, free in ports.items():
            text = text.replace(fixed, free)
        contract.write_text(text, encoding="utf-8")
        yield copy, ports


def free_ports() -> dict[str, str]:
    """A different free port for each fixed one."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in FIXED_PORTS]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return {fixed: str(probe.getsockname()[1]) for fixed, probe in zip(FIXED_PORTS, probes, strict=True)}


def environment() -> dict[str, str]:
    """The caller's, without what would change the output."""
    foreign = ("OTA_", "COLUMNS", "COMPLETE", "CLICOLOR", "NO_COLOR", "FORCE_COLOR")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}"
    return {**kept, "PYTHONPATH": str(ROOT / "src"), "PATH": path, "PYTHONUNBUFFERED": "1"}


class Command:
    """One `ota` command that is running; and what it printed so far, both streams mixed."""

    def __init__(self, line: str, cwd: Path, *, with_errors: bool = True) -> None:
        argv = [sys.executable, "-P", "-m", "ota", *shlex.split(line, comments=True)]
        self.text = ""
        self._grew = threading.Condition()
        self._process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if with_errors else subprocess.DEVNULL,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        while chunk := os.read(self._process.stdout.fileno(), 65536):
            with self._grew:
                self.text += chunk.decode("utf-8", "replace")
                self._grew.notify_all()

    def interrupt_after(self, expected: str, shown: Callable[[str], str]) -> None:
        """Send Ctrl-C's signal as soon as a line was printed that reads as expected."""
        with self._grew:
            self._grew.wait_for(lambda: expected in shown(self.text) or not self._reader.is_alive(), LIMIT_S)
        self._process.send_signal(signal.SIGINT)

    def finish(self) -> str:
        """Everything it printed, once it ended."""
        try:
            self._process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.terminate()
            self._process.wait(LIMIT_S)
            raise
        finally:
            self._reader.join(LIMIT_S)
            assert self._process.stdout is not None
            self._process.stdout.close()
        return self.text


def transcript(folder: str, body: str, *, in_containers: bool = False) -> str:
    """The same commands with what they print now."""
    shown: list[str] = []
    with copied(folder) as (copy, ports), ExitStack() as stack:

        def calm(text: str) -> str:
            if in_containers:  # ports that an engine chose
                text = re.sub(r"\b127\.0\.0\.1:[3-6]\d{4}\b", "127.0.0.1:41733", text)
            return steady(text, copy.parent, ports).replace(REAL_IMAGE, SHOWN_IMAGE)

        if in_containers:
            contract = copy / "ota.yaml"
            contract.write_text(contract.read_text(encoding="utf-8").replace(SHOWN_IMAGE, REAL_IMAGE))
            stack.callback(lambda: Command("clean", copy).finish())
        for line, wanted in _commands(body):
            command = Command(line.removeprefix("$ ota "), copy)
            before = wanted.split("\n^C\n")[0].rsplit("\n", 1)[-1] if "\n^C\n" in f"\n{wanted}" else ""
            if before:
                command.interrupt_after(before, calm)
            text = calm(command.finish()).rstrip("\n")
            if before:
                text = text.replace(f"{before}\n", f"{before}\n^C\n", 1)
            shown.append(f"{line}\n{text}\n" if text else f"{line}\n")
    return "\n".join(shown)


def _commands(body: str) -> Iterator[tuple[str, str]]:
    """Each command line with what is shown under it."""
    for part in re.split(r"^(?=\$ ota )", body, flags=re.M):
        if part.strip():
            line, _, rest = part.partition("\n")
            yield line, rest


def document(folder: str, line: str) -> str:
    """The document a command prints now. Commands before it, separated by `;`, make the scene."""
    *before, last = (each.strip().removeprefix("ota ") for each in line.split(";"))
    with copied(folder) as (copy, ports):
        for each in before:
            Command(each, copy).finish()
        text = Command(last, copy, with_errors=False).finish()
        return steady(json.dumps(json.loads(text), indent=2, ensure_ascii=False), copy.parent, ports) + "\n"


def current(text: str, *, with_containers: bool = False) -> str:
    """A page with every transcript and document made again."""
    if with_containers:
        text = current_in_containers(text)
    text = TRANSCRIPT.sub(lambda m: f"{m['head']}{transcript(m['folder'], m['body'])}{m['tail']}", text)
    return DOCUMENT.sub(lambda m: f"{m['head']}{document(m['folder'], m['line'])}{m['tail']}", text)


def current_in_containers(text: str) -> str:
    """A page with the transcripts of containers made again."""
    return CONTAINERS.sub(
        lambda m: f"{m['head']}{transcript(m['folder'], m['body'], in_containers=True)}{m['tail']}", text
    )


def pages() -> list[Path]:
    """Every page that may hold one."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def shown_documents(text: str) -> Iterator[tuple[str, str]]:
    """Schema name and text of every document of a page."""
    for match in DOCUMENT.finditer(text):
        yield match["schema"], match["body"]


def main() -> int:
    """Write or check; the exit code."""
    code = 0
    for page in pages():
        before = page.read_text(encoding="utf-8")
        after = current(before, with_containers="--containers" in sys.argv[1:])
        if after == before:
            continue
        shown = page.relative_to(ROOT)
        if "--check" in sys.argv[1:]:
            import difflib

            print(f"{shown}: not what the commands print: run python tools/transcripts.py")
            print("\n".join(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1)))
            code = 1
        else:
            page.write_text(after, encoding="utf-8")
            print(f"wrote {shown}")
    return code


if __name__ == "__main__":
    sys.exit(main())
