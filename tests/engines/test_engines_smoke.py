"""The engines do what tests of backends and services build on: run, publish, exec, compose, health, clean."""

import json
import socket
import urllib.request

import pytest

from support.engines import BUSYBOX, COMPOSE_COMMANDS, KV, MANAGED_LABEL, TEST_LABEL, Session, wait_until

pytestmark = pytest.mark.engine

APPLICATION = {
    "services": {
        "web": {
            "image": BUSYBOX,
            "init": True,
            "command": ["httpd", "-f", "-p", "8080", "-h", "/www"],
            "ports": ["127.0.0.1::8080"],
            "healthcheck": {
                "test": ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/"],
                "interval": "1s",
                "timeout": "5s",
                "retries": 20,
            },
        },
        "kv": {"image": KV, "init": True},
    }
}


def fetch(address):
    """The start page, or nothing while nobody is behind the published port."""
    host, port = address
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/", timeout=5) as answer:
            return answer.read().decode()
    except OSError:
        return ""


def talk(address, sent):
    """Send once and read what comes back, or nothing when nobody is behind the published port yet."""
    try:
        with socket.create_connection(address, timeout=5) as connection:
            connection.sendall(sent)
            return connection.recv(200)
    except OSError:
        return b""


def test_a_container_runs_and_its_exit_code_comes_back(engine):
    label = f"{TEST_LABEL}={engine.token}"
    done = engine.run(
        "run", "--rm", "--init", "--label", label, BUSYBOX, "sh", "-c", "echo said; exit 3", check=False
    )
    assert (done.returncode, done.stdout) == (3, "said\n")


def test_a_published_port_answers_from_the_host(engine):
    web = engine.start(BUSYBOX, "httpd", "-f", "-p", "8080", "-h", "/www", options=["-p", "127.0.0.1::8080"])
    address = engine.address(web, 8080)
    wait_until(lambda: fetch(address) == "hello\n", "the web server")
    assert engine.run("exec", web, "wget", "-q", "-O", "-", "http://127.0.0.1:8080/").stdout == "hello\n"


def test_the_kv_service_answers_as_redis_does(engine):
    address = engine.address(engine.start(KV, options=["-p", "127.0.0.1::6379"]), 6379)
    wait_until(lambda: talk(address, b"PING\r\n") == b"+PONG\r\n", "PONG")
    array = b"*3\r\n$3\r\nSET\r\n$4\r\ncity\r\n$7\r\nUtrecht\r\n"
    assert talk(address, array) == b"+OK\r\n"
    assert talk(address, b"GET city\r\n") == b"$7\r\nUtrecht\r\n"
    assert talk(address, b"GET none\r\n") == b"$-1\r\n"


def test_a_bind_mount_and_a_named_volume_keep_what_a_container_writes(engine, tmp_path):
    volume = engine.run("volume", "create", "--label", f"{TEST_LABEL}={engine.token}").stdout.strip()
    mounts = ["-v", f"{tmp_path}:/here", "-v", f"{volume}:/kept", "--label", f"{TEST_LABEL}={engine.token}"]
    engine.run("run", "--rm", *mounts, BUSYBOX, "sh", "-c", "echo one > /here/file; cp /here/file /kept/file")
    assert (tmp_path / "file").read_text() == "one\n"
    assert engine.run("run", "--rm", *mounts, BUSYBOX, "cat", "/kept/file").stdout == "one\n"


@pytest.mark.parametrize("command", COMPOSE_COMMANDS)
def test_a_compose_project_comes_up_answers_stops_and_goes(compose_project, command):
    project = compose_project(command, APPLICATION)
    project.run("up", "-d")
    assert (project.state("web"), project.state("kv")) == ("running", "running")

    listing = project.run("ps").stdout
    assert "web" in listing
    assert "kv" in listing

    address = project.engine.address(project.container("web"), 8080)
    wait_until(lambda: fetch(address) == "hello\n", "the web server")
    # Services find each other by name, on a network of the project.
    inside = project.run("exec", "-T", "kv", "wget", "-q", "-O", "-", "http://web:8080/")
    # podman-compose tells on standard output what it does, between the lines of the command.
    assert "hello" in inside.stdout.splitlines()

    project.run("stop", "-t", "5", "kv")
    assert (project.state("web"), project.state("kv")) == ("running", "exited")

    project.run("down", "-t", "5")
    assert project.engine.containers(f"com.docker.compose.project={project.name}") == []


@pytest.mark.parametrize("command", [name for name, engine in COMPOSE_COMMANDS.items() if engine == "docker"])
def test_docker_reports_the_health_of_a_compose_service(compose_project, command):
    project = compose_project(command, APPLICATION)
    project.run("up", "-d", "web")

    def health():
        return project.engine.inspect(project.container("web"))[0]["State"]["Health"]["Status"]

    wait_until(lambda: health() == "healthy", "the health check")


def test_compose_v2_waits_until_services_are_healthy(compose_project):
    project = compose_project("docker compose", APPLICATION)
    project.run("up", "-d", "--wait", "web")
    (service,) = [json.loads(line) for line in project.run("ps", "--format", "json").stdout.splitlines()]
    assert (service["Service"], service["State"], service["Health"]) == ("web", "running", "healthy")


def test_podman_runs_a_health_check_when_asked(compose_project):
    """Podman leaves the schedule of health checks to systemd timers: without systemd the status stays
    `starting` however long one waits, and only asking tells.
    """
    project = compose_project("podman-compose", APPLICATION)
    project.run("up", "-d", "web")
    web = project.container("web")
    wait_until(
        lambda: project.engine.run("healthcheck", "run", web, check=False).returncode == 0, "the health check"
    )


def test_the_end_of_the_session_finds_and_removes_what_a_test_left(engine):
    session = Session()
    ours = session.engine(engine.name)
    left = ours.start(BUSYBOX, "sleep", "600")
    assert session.close() == [f"{engine.name} container {left}"]
    assert ours.containers(f"{TEST_LABEL}={session.token}") == []


def test_the_end_of_the_session_finds_what_ota_left(engine, monkeypatch):
    session = Session()
    ours = session.engine(engine.name)
    monkeypatch.setattr(session, "_is_alone", lambda: True)
    # Another session may be at work here: this one only has to see, not to remove.
    ours.is_own = False
    left = engine.start(BUSYBOX, "sleep", "600", options=["--label", f"{MANAGED_LABEL}=true"])
    assert f"{engine.name} container {left}" in session.close()
    assert engine.containers(MANAGED_LABEL) != []
