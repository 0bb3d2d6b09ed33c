"""Asking this machine for a runtime or tool: is it there, does it answer, is it the right version.

Owns the look-up on the *given* PATH, the probe commands, their time limit and the outcome. Does not decide
what is required, what to do about it, or how a container or a remote host is asked; the words for an outcome
(`requirement_finding`) are the same wherever it came from.

A broken tool is an outcome, never an exception: a hanging one is killed with everything it started.

Source: doctor specification 6; runtime specification 18; lessons, "Engine talk" (time-outs on every call).
"""

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Literal

from msgspec import Struct

from ota.errors import Category, Evidence, Finding, Owner
from ota.requirements.executables import find_executable
from ota.requirements.versions import (
    VersionError,
    VersionRequirement,
    observed_version,
    parse_requirement,
    plain_text,
    satisfies,
)
from ota.resolve.plan import RequirementPlan
from ota.system.clock import SYSTEM_CLOCK, Clock, Deadline
from ota.system.cutting import cut
from ota.system.processes import end_processes, owned_processes
from ota.system.spawn import SpawnError, SpawnRequest, Stream
from ota.system.workload import Workload

PROBE_LIMIT_S = 5.0
"""For all forms of one tool's probe together."""
MOST_AT_ONCE = 32

_KEPT_BYTES = 65_536
_FIRST_LINE_CHARACTERS = 200
_LOOK_UP_S = 0.1

Kind = Literal["runtime", "tool"]
ProbeStatus = Literal["satisfied", "missing", "failing", "unparseable", "mismatch"]


class Wanted(Struct, frozen=True, kw_only=True):
    """One thing that has to be there."""

    kind: Kind
    name: str
    version: str
    """The requirement as the contract has it, `*` for mere presence."""
    is_channel_allowed: bool = False
    """`stable`, `beta` and `nightly` count: the rust toolchain only."""


def wanted_of(requirement: RequirementPlan) -> Wanted:
    """What a planned requirement asks of a machine. A toolchain is asked through its runtime."""
    return Wanted(
        kind="tool" if requirement.kind == "tool" else "runtime",
        name=requirement.name,
        version=requirement.version,
        is_channel_allowed=requirement.kind == "toolchain" and requirement.name == "rust",
    )


class ProbeOutcome(Struct, frozen=True, kw_only=True):
    """What was observed. Empty text and None mean: not observed."""

    wanted: Wanted
    status: ProbeStatus
    executable: str = ""
    """Absolute path of what was found."""
    command: str = ""
    """What was run, with the plain name: `node --version`."""
    version: str = ""
    exit_code: int | None = None
    first_line: str = ""
    """The first line a failing or unparseable tool wrote; may hold secrets, mask it before showing it."""
    is_timed_out: bool = False
    detail: str = ""
    """Why the requirement cannot be met by any version, when its text is not a requirement."""


# --- names and commands -------------------------------------------------------------------------------------

_EXECUTABLES: dict[str, tuple[str, ...]] = {
    "maven": ("mvn",),
    "bundler": ("bundle",),
    "rust": ("rustc",),
    "leiningen": ("lein",),
    "kotlin": ("kotlinc",),
    "python": ("python", "python3"),
    "nodejs": ("node",),
    "golang": ("go",),
    "erlang": ("erl",),
}

# Tools for which the general forms fail, answer slowly, or do something else.
_FORMS: dict[str, tuple[tuple[str, ...], ...]] = {
    "go": (("version",),),
    "java": (("--version",), ("-version",)),
    "javac": (("--version",), ("-version",)),
    "kubectl": (("version", "--client"),),
    "helm": (("version",),),
    "zig": (("version",),),
    "openssl": (("version",),),
    "nginx": (("-v",),),
    "lsof": (("-v",),),
    "unzip": (("-v",),),
    "ssh": (("-V",),),
    "tmux": (("-V",),),
    "lua": (("-v",),),
    "erl": (("+V",),),
    "ffmpeg": (("-version",),),
    "xcodebuild": (("-version",),),
    # A shell takes a bare `version` for the name of a script in the working directory.
    **dict.fromkeys(("sh", "dash", "ash", "ksh", "bash", "zsh"), (("--version",),)),
}
_GENERAL_FORMS = (("--version",), ("version",), ("-version",))


def executables_of(name: str) -> tuple[str, ...]:
    """The executables a requirement may be met by, in order: `maven` is `mvn`."""
    return _EXECUTABLES.get(name, (name,))


def version_forms(executable: str) -> tuple[tuple[str, ...], ...]:
    """The arguments that ask this executable for its version; the next form is for when one fails."""
    return _FORMS.get(Path(executable).name, _GENERAL_FORMS)


# --- probing ------------------------------------------------------------------------------------------------


class Answer(Struct, frozen=True, kw_only=True):
    """What an executable said, whatever was wanted of it."""

    command: str
    exit_code: int | None = None
    stdout: str = ""
    stderr: str = ""
    is_timed_out: bool = False

    @property
    def is_success(self) -> bool:
        return self.exit_code == 0 and not self.is_timed_out


class Prober:
    """Probes one environment in one directory. Every executable is asked at most once in its life."""

    def __init__(
        self,
        env: Mapping[str, str],
        cwd: Path,
        *,
        run_id: str = "",
        host_os: str = "linux",
        limit_s: float = PROBE_LIMIT_S,
        should_stop: Callable[[], bool] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`run_id` makes what is started belong to that run; `should_stop` is looked at while waiting."""
        self._env = env
        self._cwd = cwd
        self._run_id = run_id
        self._host_os = host_os
        self._limit_s = limit_s
        self._should_stop = should_stop
        self._clock = clock
        self._lock = Lock()
        self._asking: dict[Path, Lock] = {}
        self._answers: dict[Path, Answer] = {}
        self._workloads: set[Workload] = set()
        self._is_cancelled = Event()

    def probe(self, wanted: Wanted) -> ProbeOutcome:
        """Look one thing up and, unless mere presence is enough, ask it for its version."""
        found = self._find(wanted.name)
        if found is None:
            return ProbeOutcome(wanted=wanted, status="missing")
        name, path = found
        try:
            requirement = parse_requirement(wanted.version, channels=wanted.is_channel_allowed)
        except VersionError as error:
            return ProbeOutcome(wanted=wanted, status="mismatch", executable=str(path), detail=error.reason)
        if requirement.is_presence_only:
            # Not asked: `lsof --version` exits 1, and a server named by a task might simply start.
            return ProbeOutcome(wanted=wanted, status="satisfied", executable=str(path))
        return judged(wanted, requirement, str(path), name, self._answer_of(path, name))

    def probe_many(self, wanted: Sequence[Wanted]) -> tuple[ProbeOutcome, ...]:
        """All of them side by side; the outcomes come in the order of `wanted`.

        Takes little more than the slowest one. When `should_stop` says so, or an exception passes through,
        what still runs is killed, and unanswered tools count as failing.
        """
        if not wanted or (len(wanted) == 1 and self._should_stop is None):
            return tuple(self.probe(one) for one in wanted)
        outcomes: dict[int, ProbeOutcome] = {}
        troubles: list[BaseException] = []
        pending = iter(enumerate(wanted))
        done = Event()
        count = min(len(wanted), MOST_AT_ONCE)
        working = [count]

        def work() -> None:
            try:
                while (task := self._next_of(pending)) is not None:
                    outcomes[task[0]] = self.probe(task[1])
            except BaseException as trouble:  # noqa: BLE001 - raised again in the calling thread
                troubles.append(trouble)
            finally:
                with self._lock:
                    working[0] -= 1
                    if not working[0]:
                        done.set()

        threads = [Thread(target=work, name=f"ota-probe-{number}", daemon=True) for number in range(count)]
        try:
            for thread in threads:
                thread.start()
            while not self._clock.wait(done, _LOOK_UP_S):
                if self._should_stop is not None and self._should_stop():
                    self.cancel()
        except BaseException:
            self.cancel()
            raise
        finally:
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
        if troubles:
            raise troubles[0]
        return tuple(outcomes[index] for index in range(len(wanted)))

    def cancel(self) -> None:
        """Kill what is being asked and start nothing more; from any thread."""
        self._is_cancelled.set()
        with self._lock:
            for workload in self._workloads:
                workload.wake()

    def _next_of(self, pending: Iterator[tuple[int, Wanted]]) -> tuple[int, Wanted] | None:
        with self._lock:
            return next(pending, None)

    def _find(self, name: str) -> tuple[str, Path] | None:
        for executable in executables_of(name):
            path = find_executable(executable, self._env, self._cwd, host_os=self._host_os)
            if path is not None:
                return executable, path
        return None

    def _answer_of(self, path: Path, name: str) -> Answer:
        """Asked once, also when two requirements name it at the same moment."""
        with self._lock:
            asking = self._asking.setdefault(path, Lock())
        with asking:
            if path not in self._answers:
                self._answers[path] = self._ask(path, name)
            return self._answers[path]

    def _ask(self, path: Path, name: str) -> Answer:
        """The first form that succeeds; when none does, the first form's failure, which tells most."""
        deadline = Deadline.after(self._clock, self._limit_s)
        first: Answer | None = None
        for arguments in version_forms(name):
            answer = self._run(path, name, arguments, deadline)
            if answer.is_success:
                return answer
            first = first or answer
            if answer.is_timed_out or self._is_cancelled.is_set():
                return answer
        assert first is not None
        return first

    def _run(self, path: Path, name: str, arguments: tuple[str, ...], deadline: Deadline) -> Answer:
        command = " ".join((name, *arguments))
        try:
            return self._supervised((str(path), *arguments), command, deadline)
        except SpawnError as error:
            if error.findings[0].code == "OTA_SPAWN_NOT_EXECUTABLE" and _is_bare_script(path):
                return self._run_bare_script(path, command, arguments, deadline)
            return Answer(command=command, exit_code=error.exit_code, stderr=error.findings[0].why)

    def _run_bare_script(
        self, path: Path, command: str, arguments: tuple[str, ...], deadline: Deadline
    ) -> Answer:
        """A script without `#!` runs from every shell, so it counts as a tool."""
        try:
            return self._supervised(("/bin/sh", str(path), *arguments), command, deadline)
        except SpawnError as error:
            return Answer(command=command, exit_code=error.exit_code, stderr=error.findings[0].why)

    def _supervised(self, argv: tuple[str, ...], command: str, deadline: Deadline) -> Answer:
        kept: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}

        def keep(stream: Stream, data: bytes) -> None:
            kept[stream].extend(data[: max(0, _KEPT_BYTES - len(kept[stream]))])

        probe_id = f"probe-{os.urandom(6).hex()}"
        # A chain of ids: the child belongs to the run, whose guardian ends it when ota is killed, and to
        # this probe, which ends it when it hangs.
        chain = f"{self._run_id}:{probe_id}" if self._run_id else probe_id
        request = SpawnRequest(argv=argv, cwd=self._cwd, env=self._env, run_id=chain)
        with Workload(request, clock=self._clock, grace_s=0.0) as workload, self._registered(workload):

            def stop_when_cancelled() -> None:
                if self._is_cancelled.is_set():
                    workload.request_stop(signal.SIGKILL, grace_s=0.0)

            stop_when_cancelled()
            end = workload.supervise(
                keep, on_wake=stop_when_cancelled, limit_s=max(0.0, deadline.remaining_s(self._clock))
            )
            is_cut_short = end is None or self._is_cancelled.is_set()
            if end is None:
                end = workload.stop(signal.SIGKILL, grace_s=0.0)
        if is_cut_short:
            # What took a session of its own is found by the probe's marker.
            escaped = owned_processes(probe_id)
            end_processes(escaped, grace_s=0.0, clock=self._clock, again=lambda: owned_processes(probe_id))
        return Answer(
            command=command,
            exit_code=None if is_cut_short else end.exit_code,
            stdout=kept["stdout"].decode("utf-8", "replace"),
            stderr=kept["stderr"].decode("utf-8", "replace"),
            is_timed_out=is_cut_short,
        )

    @contextmanager
    def _registered(self, workload: Workload) -> Iterator[None]:
        with self._lock:
            self._workloads.add(workload)
        try:
            yield
        finally:
            with self._lock:
                self._workloads.discard(workload)


def probe_many(
    wanted: Sequence[Wanted],
    env: Mapping[str, str],
    cwd: Path,
    *,
    run_id: str = "",
    host_os: str = "linux",
    limit_s: float = PROBE_LIMIT_S,
) -> tuple[ProbeOutcome, ...]:
    """Probe all of them with a prober of their own."""
    return Prober(env, cwd, run_id=run_id, host_os=host_os, limit_s=limit_s).probe_many(wanted)


def judged(
    wanted: Wanted, requirement: VersionRequirement, path: str, name: str, answer: Answer
) -> ProbeOutcome:
    """What an answer means for what is wanted, wherever the executable was asked."""
    version = ""
    status: ProbeStatus
    if not answer.is_success:
        status = "failing"
    else:
        version = observed_version(answer.stdout, answer.stderr, names=(wanted.name, name)) or ""
        if not version:
            status = "unparseable"
        else:
            status = "satisfied" if satisfies(requirement, wanted.name, version) else "mismatch"
    return ProbeOutcome(
        wanted=wanted,
        status=status,
        executable=path,
        command=answer.command,
        version=version,
        exit_code=answer.exit_code,
        first_line=_first_line(answer) if status in ("failing", "unparseable") else "",
        is_timed_out=answer.is_timed_out,
    )


def _first_line(answer: Answer) -> str:
    lines = (line.strip() for line in plain_text(answer.stderr + "\n" + answer.stdout).split("\n"))
    return next((cut(line, _FIRST_LINE_CHARACTERS) for line in lines if line), "")


def _is_bare_script(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(256)
    except OSError:
        return False
    return bool(head) and not head.startswith(b"#!") and b"\0" not in head


# --- words --------------------------------------------------------------------------------------------------


def requirement_finding(
    outcome: ProbeOutcome,
    *,
    is_required: bool = True,
    owner: Owner = "host",
    next_step: str = "",
    rerun: str = "ota doctor",
) -> Finding | None:
    """What doctor and a refused run say about an outcome; None when the requirement is met.

    `next_step` is a better remedy when the caller knows one (a version manager, a policy action).
    """
    wanted, kind = outcome.wanted, outcome.wanted.kind
    asked = f"`{outcome.command}`"
    match outcome.status:
        case "satisfied":
            return None
        case "missing":
            code, headline = "MISSING", f"Missing {kind}: {wanted.name}"
            tried = " or ".join(f"`{name}`" for name in executables_of(wanted.name))
            why = f"{tried} is not on the PATH; the contract asks for {_wanted_text(wanted)}"
        case "failing":
            code, headline = "PROBE_FAILED", f"{kind.capitalize()} probe failed: {wanted.name}"
            how = "did not answer in time" if outcome.is_timed_out else f"exited {outcome.exit_code}"
            why = f"{asked} {how}" + (f": {outcome.first_line}" if outcome.first_line else "")
        case "unparseable":
            code, headline = "VERSION_UNPARSEABLE", f"Unparseable version for {kind}: {wanted.name}"
            said = f"; it wrote: {outcome.first_line}" if outcome.first_line else " and wrote nothing"
            why = f"{asked} succeeded without naming a version{said}"
        case "mismatch":
            code, headline = "VERSION_MISMATCH", f"Version mismatch for {kind}: {wanted.name}"
            why = (
                f"`{wanted.version}` is no version requirement: {outcome.detail}"
                if outcome.detail
                else f"{asked} says {outcome.version}; the contract asks for {_wanted_text(wanted)}"
            )
    category: Category = "environment"
    return Finding(
        code=f"OTA_{kind.upper()}_{code}",
        summary=headline,
        why=why,
        next=next_step or _next_step(outcome, rerun),
        severity="error" if is_required else "warn",
        category=category,
        owner=owner,
        evidence=Evidence(
            observed=outcome.version or outcome.status,
            expected=wanted.version,
            source="host" if owner == "host" else owner,
            command=outcome.command,
            path=outcome.executable,
        ),
    )


def _wanted_text(wanted: Wanted) -> str:
    return "any version" if wanted.version.strip() == "*" else f"`{wanted.version}`"


def _next_step(outcome: ProbeOutcome, rerun: str) -> str:
    wanted = outcome.wanted
    if outcome.detail:
        return f"Correct the version of `{wanted.name}` in `ota.yaml`."
    if outcome.status in ("failing", "unparseable"):
        return f"Run `{outcome.command}` by hand, repair the installation, then rerun `{rerun}`."
    suitable = "" if wanted.version.strip() == "*" else f" in a version that satisfies `{wanted.version}`"
    return f"Install {wanted.name}{suitable}, then rerun `{rerun}`."
