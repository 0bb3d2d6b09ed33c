"""Real container engines for tests: the fixtures `docker`, `podman`, `engine` (both), `compose_project`.

`engines up` (tools/engines) makes the engines and notes in its folder how to reach them; here that note is
read, and for the time of a test its environment is set, so that `project(...).run(...)` talks to the same
engines. Without engines a test is skipped and says so; with `OTA_ENGINES=required` it fails. While `engines
up` is at work, tests marked `engine` wait for it.

Whatever is made through these fixtures carries the label `dev.ota.test=<token of this session>` and is
removed when its test ends. When the session ends, both engines are asked whether anything of ours is left:
things with that label or with `dev.ota.managed`, and compose projects of tests. Something left is an error
of the last test. Where workers share a run, each looks after its own label, and the last one after all.
"""

import fcntl
import http.client
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.parse
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from support.parallel import shared_folder
from support.waiting import wait_until as wait_until

HOME = Path(os.environ.get("OTA_ENGINES_HOME") or "/var/lib/ota-engines")
TEST_LABEL = "dev.ota.test"
MANAGED_LABEL = "dev.ota.managed"
PROJECT_LABEL = "com.docker.compose.project"
# Compose projects of tests begin like this, so that they are known by name whichever command made them.
PROJECT_PREFIX = "otatest-"
BUSYBOX = "ota-test/busybox"
KV = "ota-test/kv"
DEBIAN = "ota-test/debian"
COMPOSE_COMMANDS = {
    "docker compose": "docker",
    "docker-compose": "docker",
    "podman-compose": "podman",
}
_ADVICE = "start them with `./ota run engines:up`"


class Engine:
    """One container engine, asked through its command line as a user asks it."""

    def __init__(self, name: str, environment: Mapping[str, str], token: str, *, is_own: bool) -> None:
        self.name = name
        self.environment = environment
        self.token = token
        self.is_own = is_own
        """Nobody but tests uses it: podman always (its own storage), docker when `engines up` started it."""
        self.before_labelled: Mapping[str, Sequence[str]] | None = None
        """What carried the label of this session before the test used it; `None` when it did not."""

    def run(self, *args: str, check: bool = True, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run `<engine> <args>` to its end."""
        if self.before_labelled is None and "ls" not in args and any(TEST_LABEL in word for word in args):
            self.before_labelled = self.found(f"{TEST_LABEL}={self.token}")
        return run_command((self.name, *args), self.environment, check=check, timeout=timeout)

    def start(self, image: str, *command: str, options: Sequence[str] = ()) -> str:
        """Start a container that the test's end removes; its name."""
        name = f"{PROJECT_PREFIX}{uuid.uuid4().hex[:12]}"
        label = f"{TEST_LABEL}={self.token}"
        self.run("run", "-d", "--init", "--name", name, "--label", label, *options, image, *command)
        return name

    def inspect(self, *names: str) -> list[dict[str, Any]]:
        """What the engine says about containers, in one call."""
        found = json.loads(self.run("container", "inspect", *names).stdout)
        assert isinstance(found, list)
        return found

    def address(self, container: str, port: int) -> tuple[str, int]:
        """Where a published container port answers on the host."""
        line = self.run("port", container, f"{port}/tcp").stdout.splitlines()[0]
        host, _, published = line.rpartition(":")
        return host.strip("[]"), int(published)

    def has_image(self, name: str) -> bool:
        return self.run("image", "inspect", name, check=False).returncode == 0

    @property
    def _socket(self) -> str:
        """Where docker is asked without its command line."""
        host = self.environment.get("DOCKER_HOST", "") if self.name == "docker" else ""
        return host.removeprefix("unix://") if host.startswith("unix://") else ""

    def containers(self, *filters: str) -> list[str]:
        """Containers, running or not, with all these `label` or `label=value`."""
        if self._socket:
            return docker_lists(self._socket, filters)["container"]
        chosen = [word for each in filters for word in ("--filter", f"label={each}")]
        return self._listed("container", "ls", "-a", "--format", "{{.Names}}", *chosen).split()

    def found(self, *filters: str) -> dict[str, list[str]]:
        """Containers, volumes and networks with all these `label` or `label=value`."""
        if self._socket:
            return docker_lists(self._socket, filters)
        chosen = [word for each in filters for word in ("--filter", f"label={each}")]
        return {
            "container": self.containers(*filters),
            # Podman 4 takes several labels of volumes as "any of them".
            "volume": [
                each["Name"]
                for each in json.loads(self._listed("volume", "ls", "--format", "json", *chosen) or "[]")
                if has_labels(each.get("Labels") or {}, filters)
            ],
            "network": self._listed("network", "ls", "--format", "{{.Name}}", *chosen).split(),
        }

    def _listed(self, *args: str) -> str:
        """Podman fails when something that it lists goes meanwhile, and that may be another test's."""
        for _ in range(20):
            done = self.run(*args, check=False)
            if done.returncode == 0 or "no such" not in done.stderr:
                break
        assert done.returncode == 0, f"{self.name} {' '.join(args)} -> {done.returncode}\n{done.stderr}"
        return done.stdout

    def remove(self, things: Mapping[str, Sequence[str]]) -> bool:
        """Remove containers first, then what they used; whether everything went."""
        went = True
        # Podman lets each container end in peace for ten seconds, in which nobody can list them.
        at_once = ("-t", "0") if self.name == "podman" else ()
        for kind, options in (
            ("container", ("rm", "-f", "-v", *at_once)),
            ("volume", ("rm", "-f")),
            ("network", ("rm",)),
        ):
            if names := things.get(kind):
                went = self.run(kind, *options, *names, check=False).returncode == 0 and went
        return went

    def ours(self) -> dict[str, set[str]]:
        """Everything a test, or ota under test, may have made here."""
        found: dict[str, set[str]] = {"container": set(), "volume": set(), "network": set()}
        for label in (TEST_LABEL, MANAGED_LABEL, PROJECT_LABEL):
            for kind, names in self.found(label).items():
                # A compose project of somebody else is none of our business.
                found[kind].update(
                    name for name in names if label != PROJECT_LABEL or name.startswith(PROJECT_PREFIX)
                )
        return found


class ComposeProject:
    """A throw-away compose project in a folder, under a name of its own."""

    def __init__(self, command: str, engine: Engine, folder: Path) -> None:
        self.command = command
        self.engine = engine
        self.folder = folder
        self.file = folder / "compose.yaml"
        self.name = f"{PROJECT_PREFIX}{uuid.uuid4().hex[:12]}"

    def write(self, document: Mapping[str, Any]) -> None:
        """Write the compose file; services get the label that marks things of tests."""
        services = {
            name: {
                "init": True,
                **service,
                "labels": {**service.get("labels", {}), TEST_LABEL: self.engine.token},
            }
            for name, service in document["services"].items()
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        # JSON is YAML, and says no more than was meant.
        self.file.write_text(json.dumps({**document, "services": services}, indent=1) + "\n")

    def run(self, *args: str, check: bool = True, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run the compose command on this project."""
        argv = (*self.command.split(), "-f", str(self.file), "-p", self.name, *args)
        return run_command(argv, self.engine.environment, check=check, timeout=timeout, cwd=self.folder)

    def container(self, service: str) -> str:
        """The name of a service's only container, running or not."""
        names = self.engine.containers(
            f"{PROJECT_LABEL}={self.name}", f"com.docker.compose.service={service}"
        )
        assert len(names) == 1, f"containers of service {service}: {names}"
        return names[0]

    def state(self, service: str) -> str:
        """`running`, `exited`, ... as the engine says."""
        status = self.engine.inspect(self.container(service))[0]["State"]["Status"]
        assert isinstance(status, str)
        return status

    def discard(self) -> bool:
        """Remove all of the project by its label, which works when its compose command no longer does.

        A network stays (false) while somebody else's container is attached to it.
        """
        return self.engine.remove(self._found())

    def _found(self) -> dict[str, list[str]]:
        return self.engine.found(f"{PROJECT_LABEL}={self.name}")


MakeComposeProject = Callable[..., ComposeProject]


class _SocketConnection(http.client.HTTPConnection):
    """HTTP through a socket of this machine: an answer for a tenth of what a command costs."""

    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def docker_lists(path: str, labels: Sequence[str]) -> dict[str, list[str]]:
    """What Docker's command would list, asked from the daemon itself."""
    filters = urllib.parse.quote(json.dumps({"label": list(labels)}))
    with closing(_SocketConnection(path)) as connection:

        def ask(question: str) -> Any:
            connection.request("GET", f"{question}filters={filters}")
            answer = connection.getresponse()
            content = answer.read()
            assert answer.status == 200, content.decode()
            return json.loads(content)

        return {
            "container": [each["Names"][0].lstrip("/") for each in ask("/containers/json?all=1&")],
            "volume": [each["Name"] for each in ask("/volumes?")["Volumes"] or []],
            "network": [each["Name"] for each in ask("/networks?")],
        }


def has_labels(labels: Mapping[str, str], wanted: Sequence[str]) -> bool:
    pairs = [each.partition("=") for each in wanted]
    return all(name in labels and (not equals or labels[name] == value) for name, equals, value in pairs)


def run_command(
    argv: Sequence[str],
    environment: Mapping[str, str],
    *,
    check: bool,
    timeout: float,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        argv,
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    if check and done.returncode != 0:
        said = f"--- out ---\n{done.stdout}\n--- err ---\n{done.stderr}"
        raise AssertionError(f"{' '.join(argv)} -> {done.returncode}\n{said}")
    return done


def are_required() -> bool:
    """Whether this run exists to run engine tests, so that a missing engine is a failure."""
    return os.environ.get("OTA_ENGINES") == "required"


def unavailable(why: str) -> None:
    if are_required():
        pytest.fail(f"{why}; {_ADVICE}", pytrace=False)
    pytest.skip(f"{why}; {_ADVICE}")


class Session:
    """The engines of this test session, each asked for once."""

    def __init__(self, shared: Path | None = None) -> None:
        """`shared` is the folder of a run that has several sessions, one for each worker."""
        self.token = uuid.uuid4().hex
        self._shared = shared
        self._known: dict[str, Engine | str] = {}
        self._before: dict[str, dict[str, set[str]]] = {}
        self._lock: Any = None
        self._workers: Any = None
        self._answering: dict[str, bool] = {}
        self.unfinished: list[ComposeProject] = []
        """Projects that did not go with their test, because something else of it was still there."""

    def answers(self, command: str, engine: Engine) -> bool:
        """Whether a compose command answers; some take a second for it, so each is asked once."""
        if command not in self._answering:
            argv = (*command.split(), "--version")
            asked = run_command(argv, engine.environment, check=False, timeout=30)
            self._answering[command] = asked.returncode == 0
        return self._answering[command]

    def engine(self, name: str) -> Engine:
        """The engine, or a skip (a failure where engines are required)."""
        if name not in self._known:
            self._known[name] = self._reach(name)
        known = self._known[name]
        if isinstance(known, str):
            unavailable(known)
        assert isinstance(known, Engine)
        return known

    def _reach(self, name: str) -> Engine | str:
        try:
            state = json.loads((HOME / "state.json").read_text())
        except (OSError, ValueError):
            return "no container engines are up"
        environment = state.get("environment")
        if not environment:
            return "`engines up` did not get to its end"
        if shutil.which(name) is None:
            return f"{name} is not on PATH"
        engine = Engine(name, environment, self.token, is_own=name == "podman" or state["docker"]["own"])
        try:
            done = engine.run("image", "inspect", BUSYBOX, check=False, timeout=20)
        except subprocess.TimeoutExpired:
            return f"{name} does not answer within 20 s"
        if done.returncode != 0:
            return f"{name} does not answer, or misses the test images: {done.stderr.strip()[-300:]}"
        if self._lock is None:
            # Shared by all sessions: while one holds it, `engines down` refuses.
            self._lock = (HOME / "users.lock").open()
            fcntl.flock(self._lock, fcntl.LOCK_SH)
            if self._shared is not None:
                self._workers = (self._shared / "engine-workers.lock").open("w")
                fcntl.flock(self._workers, fcntl.LOCK_SH)
        self._before[name] = self._seen_before(engine)
        return engine

    def _seen_before(self, engine: Engine) -> dict[str, set[str]]:
        """What of ours was there when the run began to use this engine: asked by the first of its workers."""
        if self._shared is None:
            return engine.ours()
        path = self._shared / f"{engine.name}-before.json"
        with path.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if path.stat().st_size == 0:
                file.write(json.dumps({kind: sorted(names) for kind, names in engine.ours().items()}))
                file.flush()
            file.seek(0)
            return {kind: set(names) for kind, names in json.load(file).items()}

    def close(self) -> list[str]:
        """What is left of ours, one line each; it is removed where nobody else can own it."""
        left = []
        for project in self.unfinished:
            project.discard()
        looks_at_all = self._is_last_worker() and self._is_alone()
        for name, before in self._before.items():
            engine = self._known[name]
            assert isinstance(engine, Engine)
            mine = engine.found(f"{TEST_LABEL}={self.token}")
            after = engine.ours() if looks_at_all else {kind: set(names) for kind, names in mine.items()}
            new = {kind: sorted(names - before[kind]) for kind, names in after.items()}
            left += [f"{name} {kind} {each}" for kind, names in new.items() for each in names]
            engine.remove(new if engine.is_own else mine)
        for lock in (self._lock, self._workers):
            if lock is not None:
                lock.close()
        return left

    def _is_last_worker(self) -> bool:
        return self._workers is None or _becomes_exclusive(self._workers)

    def _is_alone(self) -> bool:
        """Whether no other run uses the engines; if one does, what has no label of ours may be its."""
        # The other workers of this run may be about to close.
        deadline = time.monotonic() + (0 if self._shared is None else 10)
        while self._lock is not None and not _becomes_exclusive(self._lock):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


def _becomes_exclusive(lock: Any) -> bool:
    """Trying gives up the share, so of several that try at the same time at least one succeeds."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        fcntl.flock(lock, fcntl.LOCK_UN)
        return False
    return True


@pytest.fixture(scope="session")
def engine_session(request: pytest.FixtureRequest) -> Iterator[Session]:
    session = Session(shared_folder(request.config))
    yield session
    if left := session.close():
        pytest.fail("left behind in the engines:\n  " + "\n  ".join(left), pytrace=False)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give each case of a test marked `dealt` to one engine, like the black and white squares of a board.

    Where the cases differ in what ota does and not in what the engine does, both engines are tried this way
    for the price of one, and each value of each parameter meets both.
    """
    seen: dict[tuple[str, str], list[str]] = {}
    dealt = [item for item in items if isinstance(item, pytest.Function) and item.get_closest_marker("dealt")]
    left_out = {item for item in dealt if not _is_where_it_belongs(item, seen)}
    if left_out:
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]


def _is_where_it_belongs(item: pytest.Function, seen: dict[tuple[str, str], list[str]]) -> bool:
    """Whether the engine a case was collected for is its own; `seen` counts the values of parameters."""
    params, place = item.callspec.params, 0
    for mark in item.iter_markers("parametrize"):
        names = mark.args[0] if isinstance(mark.args[0], str) else ",".join(mark.args[0])
        known = seen.setdefault((item.nodeid.partition("[")[0], names), [])
        value = repr([params[name.strip()] for name in names.split(",")])
        if value not in known:
            known.append(value)
        place += known.index(value)
    return ("docker", "podman")[place % 2] == params["engine"]


# Outermost, so that this waiting does not count against the time limit of a test.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if item.get_closest_marker("engine"):
        await_engines()
    return (yield)


def await_engines() -> None:
    """Return when no `engines up` is at work (any more)."""
    with suppress(FileNotFoundError, PermissionError), HOME.with_suffix(".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)


def _lend(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    for name, value in engine.environment.items():
        monkeypatch.setenv(name, value)
    engine.before_labelled = None
    yield engine
    if (before := engine.before_labelled) is not None:
        after = engine.found(f"{TEST_LABEL}={engine.token}")
        engine.remove(
            {kind: [name for name in names if name not in before[kind]] for kind, names in after.items()}
        )


# Each leans on `no_process_left_behind`: containers are gone before that check looks for their processes.


@pytest.fixture
def docker(
    engine_session: Session, no_process_left_behind: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    """Docker, with its environment set."""
    yield from _lend(engine_session.engine("docker"), monkeypatch)


@pytest.fixture
def podman(
    engine_session: Session, no_process_left_behind: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    """Podman, with its environment set."""
    yield from _lend(engine_session.engine("podman"), monkeypatch)


@pytest.fixture(params=["docker", "podman"])
def engine(
    request: pytest.FixtureRequest,
    engine_session: Session,
    no_process_left_behind: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Engine]:
    """Each engine in turn."""
    yield from _lend(engine_session.engine(request.param), monkeypatch)


@pytest.fixture
def compose_project(
    engine_session: Session,
    no_process_left_behind: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[MakeComposeProject]:
    """Make a compose project: `compose_project("docker compose", {"services": ...}, folder=None)`."""
    made: list[ComposeProject] = []

    def make(command: str, document: Mapping[str, Any], *, folder: Path | None = None) -> ComposeProject:
        engine = engine_session.engine(COMPOSE_COMMANDS[command])
        for name, value in engine.environment.items():
            monkeypatch.setenv(name, value)
        if not engine_session.answers(command, engine):
            unavailable(f"`{command}` does not answer")
        new = ComposeProject(command, engine, folder or tmp_path / f"compose-{len(made) + 1}")
        made.append(new)
        new.write(document)
        return new

    yield make
    engine_session.unfinished += [each for each in made if not each.discard()]
