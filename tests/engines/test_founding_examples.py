"""Whole examples of the founding documents on real engines, with a real Compose and a real PostgreSQL.

Each is the contract of tests/fixtures/founding, changed in what a machine without their images needs: an
image with stand-ins for the tools, a Compose project of its own, small bodies where a row asks for them. One
database serves all examples of an engine; those that are about starting it have one of their own.
"""

import fcntl
import re
import signal
import socket
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from contract.reading import FIXTURES
from support.container_project import ContainerProject
from support.engines import BUSYBOX, HOME, ComposeProject, Engine, Session, unavailable
from support.project import Live, Result
from support.servers import free_port
from support.waiting import wait_until

pytestmark = pytest.mark.engine

POSTGRES = "ota-test/postgres"
TOOLCHAIN = "ota-test/toolchain"
COMMANDS = {"docker": "docker compose", "podman": "podman-compose"}
DB_URL = "jdbc:postgresql://postgres:5432/app"

MakeContainerProject = Callable[..., ContainerProject]


@contextmanager
def port_of_the_example(number: int) -> Iterator[int]:
    """The port that an example names; another one where somebody has it already."""
    with (HOME / f"port-{number}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as attempt:
                attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                attempt.bind(("127.0.0.1", number))
        except OSError:
            number = free_port()
        yield number


class Database:
    """PostgreSQL of a Compose project, on one engine."""

    def __init__(self, project: ComposeProject, port: int) -> None:
        self.project = project
        self.port = port
        """Where this host reaches it."""
        published = [f"127.0.0.1:{port}:5432"]
        project.write({"services": {"postgres": {"image": POSTGRES, "ports": published}}})

    @property
    def engine(self) -> Engine:
        return self.project.engine

    def start(self) -> None:
        self.project.run("up", "-d")
        asked = ("exec", self.project.container("postgres"), "pg_isready", "-q", "-h", "127.0.0.1")
        wait_until(lambda: self.engine.run(*asked, check=False).returncode == 0, "a database that answers")


# Workers take an engine each.
ENGINES = [pytest.param(each, marks=pytest.mark.xdist_group(f"examples-{each}")) for each in COMMANDS]


@pytest.fixture(scope="module", params=ENGINES)
def database(
    request: pytest.FixtureRequest, engine_session: Session, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """A running database, once for all examples; the environment leads to its engine."""
    engine = engine_session.engine(request.param)
    command = COMMANDS[engine.name]
    if not engine_session.answers(command, engine):
        unavailable(f"`{command}` does not answer")
    with ExitStack() as stack:
        monkeypatch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in engine.environment.items():
            monkeypatch.setenv(name, value)
        port = stack.enter_context(port_of_the_example(5432))
        project = ComposeProject(command, engine, tmp_path_factory.mktemp("database"))
        stack.callback(project.discard)
        made = Database(project, port)
        made.start()
        yield made


@pytest.fixture
def cold(database: Database, no_process_left_behind: None, tmp_path: Path) -> Iterator[Database]:
    """A database that nobody has started yet."""
    project = ComposeProject(database.project.command, database.engine, tmp_path / "cold")
    yield Database(project, free_port())
    project.discard()


@pytest.fixture
def example(database: Database, on_engine: MakeContainerProject) -> Callable[..., ContainerProject]:
    """A repository with an example: `example("pattern-1", ("run: mvn", "run: echo"), server=cold)`."""

    def make(name: str, *changes: tuple[str, str], server: Database = database) -> ContainerProject:
        text = (FIXTURES / "founding" / f"{name}.yaml").read_text(encoding="utf-8")
        text = fitted(text, server)
        for written, instead in changes:
            assert written in text, f"{written!r} in\n{text}"
            text = text.replace(written, instead)
        repo = on_engine(server.engine)
        # One name only: podman-compose merges the files of all names there are.
        file = "docker-compose.yml" if "docker-compose.yml" in text else "compose.yaml"
        repo.project.write({"ota.yaml": text, file: server.project.file.read_text()})
        return repo

    return make


def fitted(text: str, server: Database) -> str:
    """The example with the image, the project and the port that there are."""
    engine, project, port = server.engine.name, server.project.name, server.port
    text = re.sub(r"( *)image: (?:maven|node):\S+", rf"\1image: {TOOLCHAIN}\n\1engines: [{engine}]", text)
    text = text.replace("name: local\n", f"name: {project}\n").replace("- local\n", f"- {project}\n")
    text = re.sub(r"(address: 127\.0\.0\.1\n *port: )5432", rf"\g<1>{port}", text)
    return text.replace("127.0.0.1:5432/", f"127.0.0.1:{port}/")


def hostname(repo: ContainerProject) -> str:
    """Of the repository's only container."""
    name = repo.container()["Config"]["Hostname"]
    assert isinstance(name, str)
    return name


def lifecycle(repo: ContainerProject) -> str:
    label = repo.container()["Config"]["Labels"]["dev.ota.lifecycle"]
    assert isinstance(label, str)
    return label


def bound(facts: dict[str, Any]) -> dict[str, Any]:
    """The container's ports that the host has, as the engine says."""
    ports = facts["HostConfig"]["PortBindings"] or {}
    assert isinstance(ports, dict)
    return ports


def answer(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as response:
        return str(response.read().decode())


def served(live: Live) -> str:
    """The URL that ota says it reached."""
    live.wait_for("External: ")
    live.wait_for("Internal: ")
    return next(line.split()[1] for line in live.err.splitlines() if line.startswith("External: "))


def interrupted(live: Live) -> Result:
    live.signal(signal.SIGINT)
    done = live.finish()
    assert done.code == 130, done
    return done


def findings(done: Result, *prefixes: str) -> dict[str, dict[str, Any]]:
    """What doctor or check found under these codes, by summary."""
    return {each["summary"]: each for each in done.json["findings"] if each["code"].startswith(prefixes)}


# --- execution topology ----------------------------------------------------------------------------


@pytest.mark.proves("S001-18")
def test_doctor_asks_for_java_node_and_maven_inside_the_image(
    example: Callable[..., ContainerProject], assert_schema: Callable[[object, str], None]
) -> None:
    repo = example("execution-contexts")
    text = repo.project.read("ota.yaml")

    def told(*changes: tuple[str, str]) -> dict[str, dict[str, Any]]:
        changed = text
        for written, instead in changes:
            assert written in changed
            changed = changed.replace(written, instead)
        repo.project.write({"ota.yaml": changed})
        done = repo.project.run("doctor", "--mode", "container", "--json")
        assert_schema(done.json, "doctor")
        return findings(done, "OTA_RUNTIME", "OTA_TOOL", "OTA_REQUIREMENT")

    assert told() == {}
    wrong = told(('java: ">=21"', 'java: ">=22"'), ('node: ">=24.14.1"', 'node: ">=24.14.2"'))
    said = " ".join(each["why"] for each in wrong.values())
    assert len(wrong) == 2
    assert "21.0.7" in said
    assert "24.14.1" in said
    absent = told((f"image: {TOOLCHAIN}", f"image: {BUSYBOX}"))
    assert len(absent) == 3
    for name in ("java", "node", "maven"):
        [finding] = [each for summary, each in absent.items() if name in summary]
        assert f"inside image `{BUSYBOX}` of context `app`" in finding["why"]


@pytest.mark.proves("S001-28")
def test_setup_is_hidden_and_runs_in_the_container_of_the_app(
    example: Callable[..., ContainerProject],
) -> None:
    repo = example("tasks-workloads-services")
    listed = repo.project.run("tasks", "--json").json["tasks"]
    assert [each["name"] for each in listed] == ["compose:up", "db:integration", "dev"]
    assert "setup" not in repo.project.run("tasks").out
    done = repo.run("setup", "--stream", timeout=120)
    assert f"mvn -q -DskipTests dependency:go-offline on {hostname(repo)}" in done.out.splitlines()
    assert lifecycle(repo) == "persistent"


@pytest.mark.proves("S001-33", "S002-08")
def test_the_host_and_the_app_each_reach_the_database_at_its_own_address(
    example: Callable[..., ContainerProject], database: Database
) -> None:
    query = "psql -U postgres -At -c 'select current_database(), inet_client_addr()' app -h"
    repo = example(
        "tasks-workloads-services",
        ("docker compose up -d postgres", f"{query} 127.0.0.1 -p {database.port}"),
        ("mvn -B -Dgroups=db-integration test", f"{query} postgres -p 5432"),
    )
    endpoints = repo.project.run("execution", "topology", "--json").json["services"][0]["endpoints"]
    assert {each: (at["address"], at["port"]) for each, at in endpoints.items()} == {
        "host": ("127.0.0.1", database.port),
        "app": ("postgres", 5432),
    }
    from_app = repo.run("db:integration", "--stream", timeout=120).out.strip()
    networks = repo.container()["NetworkSettings"]["Networks"]
    assert from_app == f"app|{networks[f'{database.project.name}_default']['IPAddress']}"
    from_host = repo.run("compose:up", "--stream").out.strip()
    assert from_host.startswith("app|")
    assert from_host != from_app


# --- execution contexts ----------------------------------------------------------------------------


@pytest.mark.proves("S002-21")
def test_the_default_context_is_a_container_and_its_exception_the_host(
    example: Callable[..., ContainerProject],
) -> None:
    repo = example(
        "default-context-first",
        ("run: npm test", "run: hostname"),
        ("run: docker compose up -d", "run: hostname"),
    )
    inside = {repo.run("test", "--stream").out.strip() for _ in range(2)}
    assert inside == {hostname(repo)}
    assert lifecycle(repo) == "persistent"
    assert repo.run("compose:up", "--stream").out.strip() == socket.gethostname()


@pytest.mark.proves("S002-37")
def test_pattern_1_runs_each_task_in_a_container_that_is_gone_afterwards(
    example: Callable[..., ContainerProject], database: Database
) -> None:
    repo = example("pattern-1")
    seen = set()
    for _ in range(2):
        said = repo.run("build", "--stream").out.splitlines()[0]
        assert said.startswith("npm run build on ")
        seen.add(said.rpartition(" ")[2])
        assert repo.owned() == {"container": [], "volume": [], "network": []}
    assert len(seen) == 2
    assert all(database.engine.run("inspect", each, check=False).returncode != 0 for each in seen)


@pytest.mark.proves("S002-53")
def test_the_container_plane_of_one_task_has_its_own_environment(
    example: Callable[..., ContainerProject], assert_schema: Callable[[object, str], None]
) -> None:
    repo = example("two-honest-planes")
    document = repo.run("start", "--json", timeout=120).json
    assert_schema(document, "run")
    assert document["stdout"].splitlines() == [
        f"mvn spring-boot:run on {hostname(repo)}",
        f"DB_URL={DB_URL}",
        "SERVER_ADDRESS=0.0.0.0",
        "SERVER_PORT=8080",
        "database app",
    ]
    receipt = document["receipt"]
    assert (receipt["context"], receipt["lifecycle"]) == ("app", "persistent")
    assert lifecycle(repo) == "persistent"


@pytest.mark.proves("S002-65")
def test_the_app_is_started_after_a_database_that_answers_it_and_published_on_a_free_port(
    example: Callable[..., ContainerProject], cold: Database
) -> None:
    repo = example("container-app-compose-postgres", ("persistent", "ephemeral"), server=cold)
    live = repo.project.start("run", "start", "--stream")
    url = served(live)
    assert answer(url) == "database app\n"
    assert lifecycle(repo) == "ephemeral"
    done = interrupted(live)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", url)
    assert [line for line in done.out.splitlines() if line.startswith(("DB_URL", "database"))] == [
        f"DB_URL={DB_URL}",
        "database app",
    ]
    assert done.err.index("service postgres") < done.err.index("Endpoint (planned)")
    assert cold.project.state("postgres") == "running"
    assert repo.containers == []


LOOPBACK = ("address: postgres\n        port: 5432", "address: 127.0.0.1\n        port: 5432")


@pytest.mark.proves("S002-134")
def test_readiness_that_holds_on_the_host_alone_is_told_from_the_context_that_asked(
    example: Callable[..., ContainerProject], assert_schema: Callable[[object, str], None]
) -> None:
    """The app's endpoint is the host's: right there, and nobody's in a container."""
    asked = ("run: pg_isready -h postgres -p 5432", "kind: tcp\n      retries: 2")
    repo = example(
        "honest-topology", LOOPBACK, asked, ("    context: app\n", "    context: app\n    run: x\n")
    )
    done = repo.project.run("doctor", "--json", timeout=120)
    assert_schema(done.json, "doctor")
    [finding] = findings(done, "OTA_SERVICE").values()
    assert finding["code"] == "OTA_SERVICE_READINESS_FAILED"
    assert "from context `app` at 127.0.0.1:5432: refused" in finding["why"]
    text = repo.project.read("ota.yaml")
    repo.project.write({"ota.yaml": text.replace("from: app", "from: host")})
    assert findings(repo.project.run("doctor", "--json", timeout=120), "OTA_SERVICE") == {}


@pytest.mark.proves("S002-132")
def test_a_loopback_url_that_holds_on_the_host_fails_in_the_container_and_ota_says_where(
    example: Callable[..., ContainerProject], database: Database
) -> None:
    url = f"jdbc:postgresql://127.0.0.1:{database.port}/app"
    repo = example("two-start-paths", (DB_URL, url))
    write_gradlew(repo)
    native = repo.run("start", "--native", "--stream", timeout=120)
    assert native.out.splitlines()[-1] == "database app"
    refused = repo.run("start", code=2, timeout=120)
    assert f'"127.0.0.1", port {database.port} failed: Connection refused' in refused.err
    lines = [" ".join(line.split()) for line in refused.err.splitlines()]
    for line in ("task `start` exited with code 2", "Context: app", "Mode: container"):
        assert line in lines, refused


@pytest.mark.proves("S002-138")
def test_the_honest_topology_serves_with_its_database(
    example: Callable[..., ContainerProject], database: Database
) -> None:
    repo = example("honest-topology", ("    context: app\n", "    context: app\n    run: pnpm dev\n"))
    live = repo.project.start("run", "dev", "--stream")
    url = served(live)
    assert answer(url) == "database app\n"
    published = [each for each in database.engine.inspect(*repo.containers) if "3000/tcp" in bound(each)]
    assert [each["Config"]["Labels"]["dev.ota.lifecycle"] for each in published] == ["persistent"]
    done = interrupted(live)
    assert f"DB_URL={DB_URL}" in done.out.splitlines()
    assert done.err.index("service postgres") < done.err.index(f"Endpoint (planned) {url}")


@pytest.mark.proves("S002-144")
def test_compose_is_driven_from_the_host_and_the_app_runs_in_its_container(
    example: Callable[..., ContainerProject], cold: Database
) -> None:
    project = cold.project
    project.write({"services": {"web": {"image": BUSYBOX, "init": True, "command": ["sleep", "600"]}}})
    up = f"hostname && {project.command} -p {project.name} up -d"
    repo = example(
        "host-setup-container-app",
        ("run: docker compose up -d", f"run: {up}"),
        ("run: npm run dev", "run: hostname"),
        server=cold,
    )
    assert repo.run("compose:up", "--stream").out.splitlines()[0] == socket.gethostname()
    assert project.state("web") == "running"
    assert repo.run("dev", "--stream").out.strip() == hostname(repo)
    assert lifecycle(repo) == "persistent"


def write_gradlew(repo: ContainerProject) -> None:
    """The application of the repository: what it was given, and what its database says to that."""
    script = repo.path / "gradlew"
    script.write_text(
        '#!/bin/sh\necho "gradlew $* on $(hostname)"\necho "DB_URL=$DB_URL"\n'
        'psql -U postgres -At -c "select \'database \' || current_database()" "${DB_URL#jdbc:}"\n'
    )
    script.chmod(0o755)


@pytest.mark.proves("S002-146")
def test_one_name_starts_the_app_on_both_planes_each_with_its_own_url(
    example: Callable[..., ContainerProject], database: Database
) -> None:
    repo = example("two-start-paths")
    write_gradlew(repo)
    inside = repo.run("start", "--stream", timeout=120)
    assert inside.out.splitlines() == [
        f"gradlew bootRun on {hostname(repo)}",
        f"DB_URL={DB_URL}",
        "database app",
    ]
    outside = repo.run("start", "--mode", "native", "--stream", timeout=120)
    assert outside.out.splitlines() == [
        f"gradlew bootRun on {socket.gethostname()}",
        f"DB_URL=jdbc:postgresql://127.0.0.1:{database.port}/app",
        "database app",
    ]


# --- readiness -------------------------------------------------------------------------------------


@pytest.mark.proves("S003-32")
def test_the_runtime_of_a_task_is_ready_and_confirmed_at_the_port_it_names(
    example: Callable[..., ContainerProject],
) -> None:
    with port_of_the_example(3000) as port:
        repo = example(
            "task-runtime-readiness", ("                value: 3000", f"                value: {port}")
        )
        live = repo.project.start("run", "dev", "--stream")
        assert served(live) == f"http://127.0.0.1:{port}/"
        assert answer(f"http://127.0.0.1:{port}/") == "no database\n"
        done = interrupted(live)
    assert "service interrupted after readiness" in done.err
    assert "Internal: http://0.0.0.0:3000" in done.err


@pytest.mark.proves("S003-38", "S001-122")
def test_a_structured_readiness_is_asked_from_the_context_of_the_service(
    example: Callable[..., ContainerProject], cold: Database, assert_schema: Callable[[object, str], None]
) -> None:
    repo = example("service-readiness", server=cold)
    task = "tasks: {setup: {context: app, requires_services: [postgres], run: pg_isready -h postgres}}\n"
    repo.project.write({"ota.yaml": repo.project.read("ota.yaml") + task})
    before = repo.project.run("doctor", "--json", timeout=120)
    [finding] = findings(before, "OTA_SERVICE").values()
    assert "from context `app` at postgres:5432" in finding["why"]
    done = repo.project.run("up", "--json", timeout=120)
    assert_schema(done.json, "up")
    assert done.code == 0, done
    assert cold.project.state("postgres") == "running"
    [service] = [each for each in done.json["receipt"]["steps"] if each["label"] == "service postgres"]
    command = f"{cold.project.command} -f compose.yaml -p {cold.project.name} up -d postgres"
    assert f"started with `{command}`; ready after" in service["detail"]


@pytest.mark.proves("S003-121")
def test_a_probe_of_a_service_is_made_where_its_endpoint_is_valid(
    example: Callable[..., ContainerProject], assert_schema: Callable[[object, str], None]
) -> None:
    """Only a container on the network of the project knows the name `postgres`."""
    repo = example("topology-derived-probe")
    check = "checks:\n  - {name: database, kind: health, severity: error, probe: postgres-ready}\n"
    text = repo.project.read("ota.yaml") + check
    repo.project.write({"ota.yaml": text})
    done = repo.project.run("check", "--json", timeout=120)
    assert_schema(done.json, "check")
    assert done.code == 0, done
    repo.project.write(
        {
            "ota.yaml": text.replace(
                "address: postgres\n        port: 5432", "address: postgres\n        port: 5433"
            )
        }
    )
    failed = repo.project.run("check", "--json", timeout=120)
    assert failed.code == 1, failed
    [finding] = findings(failed, "OTA_CHECK").values()
    assert "postgres:5433" in finding["why"]
    assert "app" in finding["why"]
