"""Real programs from clone to confirmed URL and back: PostgreSQL, compose services, the example."""

import os
import pwd
import shutil
import subprocess
import tempfile
import textwrap
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from support.engines import BUSYBOX, KV, PROJECT_LABEL, ComposeProject
from support.servers import SERVER, free_port, is_listening
from up.conftest import steps_of, web

pytestmark = pytest.mark.engine

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "notes"
PROGRAMS = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


@pytest.fixture
def postgres() -> Path:
    """Where PostgreSQL's programs are (package `postgresql`)."""
    if PROGRAMS is None:
        if os.environ.get("OTA_ENGINES") == "required":
            pytest.fail("PostgreSQL is not installed: `apt-get install postgresql`")
        pytest.skip("PostgreSQL is not installed: `apt-get install postgresql`")
    return PROGRAMS


@pytest.fixture
def data() -> Iterator[Path]:
    """A folder that the user PostgreSQL runs as owns; whatever still uses it is ended with the test."""
    folder = Path(tempfile.mkdtemp(prefix="ota-test-postgres-"))
    if os.getuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
    yield folder
    pidfile = folder / "db" / "postmaster.pid"
    if pidfile.exists():
        with open(pidfile) as file:
            psutil.Process(int(file.readline())).kill()
    shutil.rmtree(folder)


CONTROL = """\
#!/bin/sh
# postgres.sh start|stop: a server of this repository's own in $DATA, on $PORT.
set -e
as_owner() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
cd /
case $1 in
start)
    test -s "$DATA/db/PG_VERSION" || as_owner "$PROGRAMS/initdb" -D "$DATA/db" -A trust -U notes
    as_owner "$PROGRAMS/pg_ctl" -D "$DATA/db" -l "$DATA/log" -w \\
        -o "-p $PORT -c listen_addresses=127.0.0.1 -k $DATA" start
    ;;
stop) as_owner "$PROGRAMS/pg_ctl" -D "$DATA/db" -m fast -w stop ;;
esac
"""

ADDED = """
execution:
  contexts:
    host: {{backend: native}}

services:
  postgres:
    required: true
    manager:
      kind: host
      start: {{exe: ./postgres.sh, args: [start]}}
      stop: {{exe: ./postgres.sh, args: [stop]}}
    endpoints: {{host: {{address: 127.0.0.1, port: {database}}}}}
    readiness: {{kind: tcp, from: host, interval: 100ms, retries: 200}}
  cache:
    required: true
    manager: {{kind: compose, name: {project}, service: cache, file: compose.yaml}}
    endpoints: {{host: {{address: 127.0.0.1, port: {cache}}}}}
    readiness: {{kind: tcp, from: host, interval: 100ms, retries: 200}}

checks:
  - name: schema-is-there
    kind: health
    severity: error
    run: psql -h 127.0.0.1 -p {database} -U notes postgres -qAt -c 'select count(*) from visits'
    timeout: 10s
"""


def example_with_services(database: int, cache: int, port: int, project: str) -> str:
    """The contract of the example with a database and a cache, its setup making a table in the one."""
    text = (EXAMPLE / "ota.yaml").read_text(encoding="utf-8")
    text = text.replace("port: 8765", f"port: {port}")
    text = text.replace(
        "    command: {exe: python3, args: [-m, notes, migrate, --samples]}\n",
        "    run: |\n"
        f"      psql -h 127.0.0.1 -p {database} -U notes postgres -q"
        " -c 'create table if not exists visits (n int)'\n"
        "      python3 -m notes migrate --samples\n",
    )
    text = text.replace(
        "    readiness: {surfaces: [api]}\n",
        "    services: {required: [postgres, cache]}\n"
        "    readiness: {surfaces: [api], checks: [schema-is-there]}\n",
    )
    assert "schema-is-there" in text and "create table" in text
    return text + ADDED.format(database=database, cache=cache, project=project)


def ask_kv(port: int, line: str) -> bytes:
    import socket

    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"{line}\r\n".encode())
        return connection.recv(100)


@pytest.mark.proves("S001-134")
def test_the_example_with_postgres_and_a_cache_from_clone_to_url_and_back(
    project, compose_project, postgres, data, assert_schema
):
    database, cache, port = free_port(), free_port(), free_port()
    origin = project(git=True)
    shutil.copytree(
        EXAMPLE,
        origin.path,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("data", ".ota", "__pycache__"),
    )
    document = {"services": {"cache": {"image": KV, "init": True, "ports": [f"127.0.0.1:{cache}:6379"]}}}
    app = compose_project("docker compose", document, folder=origin.path)
    origin.write(
        {
            "ota.yaml": example_with_services(database, cache, port, app.name),
            "postgres.sh": CONTROL,
            ".gitignore": ".ota/\ndata/\n__pycache__/\n",
        }
    )
    origin.git("add", "-A")
    origin.git("commit", "-q", "-m", "the application")
    repo = project()
    repo.git("clone", "-q", str(origin.path), ".")
    env = {"DATA": str(data), "PORT": str(database), "PROGRAMS": str(postgres)}
    assert repo.run("validate").code == 0
    preview = repo.run("up", "--dry-run", env=env)
    assert preview.code == 0, preview
    result = repo.run("up", "--detach", "--json", env=env, timeout=110)
    assert result.code == 0, result
    assert_schema(result.json, "up")
    labels = list(steps_of(result.json))
    assert sorted(labels[1:3]) == ["service cache", "service postgres"]
    assert [labels[0], *labels[3:]] == ["preconditions", "setup", "serve", "post-up diagnosis"]
    url = result.json["receipt"]["runtime"]["primary_endpoint"]["host"]["url"]
    assert result.json["receipt"]["runtime"]["primary_endpoint"]["confirmed"]
    with urllib.request.urlopen(f"{url}health", timeout=10) as answer:
        assert answer.status == 200
    assert ask_kv(cache, "PING").startswith(b"+PONG")
    again = repo.run("up", "--json", env=env, timeout=110).json
    assert again["status"] == "READY"
    assert all(
        "already running" in steps_of(again)[label]["detail"]
        for label in ("service postgres", "service cache", "serve")
    )
    # and back: everything that was left running has a command that ends it
    ota, *words = again["receipt"]["next"].split("`")[1].split()
    assert (ota, repo.run(*words).code) == ("ota", 0)
    subprocess.run(["./postgres.sh", "stop"], cwd=repo.path, env={**os.environ, **env}, check=True)
    app.run("down", "-v")
    for each in (port, database, cache):
        assert not is_listening(each)
    assert repo.git("status", "--porcelain") == ""
    after = repo.run("doctor", env=env)
    assert after.code == 1  # the services are gone, and doctor says so
    assert app.engine.containers(f"{PROJECT_LABEL}={app.name}") == []


SEED = """\
version: 1
project: {{name: application}}
execution:
  contexts:
    host: {{backend: native}}
services:
  postgres:
    required: true
    manager: {{kind: compose, name: {project}, service: postgres, file: compose.yaml}}
    endpoints: {{host: {{address: 127.0.0.1, port: {database}}}}}
    readiness: {{kind: tcp, from: host, interval: 200ms, retries: 300}}
checks:
  - name: backend-ready
    kind: health
    severity: error
    run: python3 -c "import urllib.request as r; r.urlopen('http://127.0.0.1:5678/health')"
    timeout: 10000
tasks:
  setup:
    run: psql -h 127.0.0.1 -p {database} -U notes postgres -q -c 'create table visits (n int)'
{dev}workflows:
  default: app
  app:
    setup:
      task: setup
    run:
      task: dev
    services:
      required:
        - postgres
    readiness:
      checks:
        - backend-ready
    exposes:
      - http://127.0.0.1:5678
"""


def postgres_in_compose(programs: Path, port: int) -> dict:
    """A real PostgreSQL in a container: the programs of this machine, read only, and a disk in memory."""
    start = textwrap.dedent(
        f"""\
        set -e
        export PATH={programs}:$PATH LC_ALL=C
        test -s /data/db/PG_VERSION || initdb -D /data/db -A trust -U notes
        echo 'host all all all trust' >> /data/db/pg_hba.conf
        exec postgres -D /data/db -c listen_addresses='*' -c unix_socket_directories=/data
        """
    )
    service = {
        "image": BUSYBOX,
        "user": "1000:1000",
        "command": ["sh", "-c", start.replace("$", "$$")],
        "tmpfs": ["/data:uid=1000,gid=1000,mode=0700"],
        "volumes": ["/usr:/usr:ro", "/lib:/lib:ro", "/lib64:/lib64:ro"],
        "ports": [f"127.0.0.1:{port}:5432"],
    }
    return {"services": {"postgres": service}}


@pytest.mark.proves("S003-21")
@pytest.mark.proves("S003-70")
def test_the_workflow_of_the_founding_document_comes_up_with_a_real_postgres(
    project, compose_project, postgres, assert_schema
):
    if is_listening(5678):
        pytest.skip("port 5678, which the document names, is taken on this machine")
    database = free_port()
    repo = project()
    app: ComposeProject = compose_project(
        "docker compose", postgres_in_compose(postgres, database), folder=repo.path
    )
    repo.write(
        {
            "ota.yaml": SEED.format(project=app.name, database=database, dev=web(5678)),
            "server.py": SERVER,
        }
    )
    result = repo.run("up", "--json", timeout=110)
    assert result.code == 0, (result, app.run("logs", check=False).stdout)
    assert_schema(result.json, "up")
    document = result.json
    assert (document["status"], document["workflow"]["name"], document["task"]) == ("READY", "app", "dev")
    steps = steps_of(result.json)
    assert list(steps) == ["preconditions", "service postgres", "setup", "dev", "post-up diagnosis"]
    assert all(each["status"] == "READY" for each in steps.values())
    assert app.state("postgres") == "running"
    asked = ["psql", "-h", "127.0.0.1", "-p", str(database), "-U", "notes", "postgres", "-qAt"]
    assert subprocess.run([*asked, "-c", "select count(*) from visits"], capture_output=True).stdout == b"0\n"
    assert not is_listening(5678)
    app.run("stop", "postgres")
    repo.write({"ota.yaml": repo.read("ota.yaml").replace("service: postgres,", "service: nobody,")})
    failed = repo.run("up", "--json", timeout=110)
    assert (failed.code != 0, failed.json["status"]) == (True, "SERVICE START FAILED")
    assert failed.json["service"] == "postgres"


@pytest.mark.proves("S002-60")
def test_a_task_that_requires_a_real_postgres_can_connect_at_once(project, compose_project, postgres):
    database = free_port()
    repo = project()
    app = compose_project("docker compose", postgres_in_compose(postgres, database), folder=repo.path)
    text = SEED.format(project=app.name, database=database, dev=web(free_port()))
    body = f"psql -h 127.0.0.1 -p {database} -U notes postgres -qAt -c 'select 6 * 7'"
    text = text.replace(
        "workflows:\n", f"  ask:\n    requires_services: [postgres]\n    run: {body}\nworkflows:\n"
    )
    repo.write({"ota.yaml": text, "server.py": SERVER})
    first = repo.run("run", "ask", "--json", timeout=110)
    assert (first.code, first.json["stdout"]) == (0, "42\n"), first
    assert [each["label"] for each in first.json["receipt"]["steps"]] == ["service postgres", "ask"]
    assert app.state("postgres") == "running"
    again = repo.run("run", "ask", "--json", timeout=110)
    assert (again.code, again.json["stdout"]) == (0, "42\n"), again
    assert "already running, not started" in steps_of(again.json)["service postgres"]["detail"]


def test_an_engine_that_is_down_is_named_and_nothing_else_starts(project, compose_project, docker):
    database = free_port()
    repo = project()
    document = {"services": {"postgres": {"image": BUSYBOX, "command": ["sleep", "60"]}}}
    app = compose_project("docker compose", document, folder=repo.path)
    text = SEED.format(project=app.name, database=database, dev=web(free_port()))
    repo.write({"ota.yaml": text, "server.py": SERVER})
    away = {"DOCKER_HOST": "unix:///nonexistent/docker.sock", "DOCKER_CONTEXT": None}
    result = repo.run("up", "--json", env=away, timeout=110)
    assert result.code != 0
    assert (result.json["status"], result.json["phase"]) == ("SERVICE START FAILED", "services")
    assert result.json["findings"][0]["code"] == "OTA_SERVICE_ENGINE_UNAVAILABLE"
    assert "setup" not in steps_of(result.json)
