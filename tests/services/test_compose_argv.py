"""The compose manager without an engine: argv, the choice of the command, and what an engine's words mean."""

import shlex
from pathlib import Path

import pytest
from msgspec.structs import replace

from ota.errors import HostError
from ota.resolve.service_plan import ComposeControl
from ota.services.compose import (
    ComposeChoices,
    ComposeCommand,
    engine_trouble,
    observe_container,
    observe_health,
)
from ota.services.scene import ServiceScene

pytestmark = pytest.mark.edge

DOCKER = ComposeCommand(words=("docker", "compose"), engine="docker")
DB = ComposeControl(project="local", service="db", engine="docker")


class Shims:
    """Stand-ins on PATH that record their argv and answer as they are told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir()

    def program(self, name: str, body: str) -> None:
        file = self.folder / name
        record = shlex.quote(str(self.folder / "calls.txt"))
        file.write_text(f'#!/bin/sh\necho "{name} $*" >> {record}\n{body}\n')
        file.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        file = self.folder / "calls.txt"
        return file.read_text().splitlines() if file.exists() else []

    @property
    def scene(self) -> ServiceScene:
        environ = {"PATH": f"{self.folder}:/usr/bin:/bin"}
        return ServiceScene(root=self.folder, environ=environ, run_id="r", what="run go")


@pytest.fixture
def shims(tmp_path: Path) -> Shims:
    made = Shims(tmp_path / "bin")
    for name in ("docker", "docker-compose", "podman", "podman-compose"):
        made.program(name, "exit 125")
    return made


def test_the_start_command_is_argv_with_every_option_in_declared_order():
    control = ComposeControl(
        project="my project",
        service="db",
        engine="docker",
        files=("a b.yaml", "c.yaml"),
        env_files=("one.env", "two.env"),
        profiles=("dev", "ci"),
    )
    assert control.start_argv(DOCKER.words) == (
        *("docker", "compose", "--env-file", "one.env", "--env-file", "two.env"),
        *("-f", "a b.yaml", "-f", "c.yaml", "--profile", "dev", "--profile", "ci"),
        *("-p", "my project", "up", "-d", "db"),
    )
    assert DB.stop_argv(DOCKER.words) == ("docker", "compose", "-p", "local", "stop", "db")


@pytest.mark.parametrize(
    ("answers", "engine", "chosen"),
    [
        ({"docker": "exit 0"}, "docker", "docker compose"),
        ({"docker-compose": "exit 0"}, "docker", "docker-compose"),
        ({"podman": "exit 0", "podman-compose": "exit 0"}, "docker", "podman compose"),
        ({"podman-compose": "exit 0"}, "docker", "podman-compose"),
        ({"docker": "exit 0", "podman-compose": "exit 0"}, "podman", "podman-compose"),
    ],
)
def test_the_first_compose_command_that_answers_is_taken(shims, answers, engine, chosen):
    for name, body in answers.items():
        shims.program(name, body)
    choices = ComposeChoices()
    command = choices.choose(engine, shims.scene)
    assert command.text == chosen
    assert command.engine == ("podman" if "podman" in chosen else "docker")
    asked = len(shims.calls)
    assert choices.choose(engine, shims.scene) == command
    assert len(shims.calls) == asked


@pytest.mark.parametrize(
    ("there", "candidates", "chosen"),
    [
        ({"docker": "exit 0"}, [("podman", "docker")], "docker compose"),
        ({"docker": "exit 0", "podman": "exit 0"}, [("podman", "docker")], "podman compose"),
        ({"docker": "exit 0", "podman": '[ "$1" != info ]'}, [("podman", "docker")], "docker compose"),
        ({"docker": "exit 0", "podman": "exit 0"}, [("podman", "docker"), ("docker",)], "docker compose"),
    ],
    ids=["only docker", "both", "podman is down", "one is on docker"],
)
def test_a_service_is_on_the_engine_its_containers_find(shims, there, candidates, chosen):
    for name, body in there.items():
        shims.program(name, body)
    control = replace(DB, engine="podman", candidates=tuple(candidates))
    choices = ComposeChoices()
    assert choices.of(control, shims.scene).text == chosen
    asked = len(shims.calls)
    assert choices.of(control, shims.scene).text == chosen
    assert len(shims.calls) == asked


def test_a_machine_without_compose_is_told_what_was_tried(shims):
    with pytest.raises(HostError) as raised:
        ComposeChoices().choose("docker", shims.scene)
    (finding,) = raised.value.findings
    assert finding.code == "OTA_SERVICE_MANAGER_MISSING"
    assert finding.why == "tried `docker compose`, `docker-compose`, `podman compose`, `podman-compose`"


def test_a_service_is_found_by_its_labels_in_one_call(shims):
    shims.program("docker", "echo abc123")
    assert observe_container(DOCKER, DB, shims.scene, 5).id == "abc123"
    (call,) = shims.calls
    assert "label=com.docker.compose.project=local" in call
    assert "label=com.docker.compose.service=db" in call
    assert "status=running" in call


def test_no_running_container_and_no_engine_are_two_answers(shims):
    shims.program("docker", "exit 0")
    state = observe_container(DOCKER, DB, shims.scene, 5)
    assert (state.id, state.detail) == (None, "no running container of service `db` in project `local`")
    shims.program("docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    assert observe_container(DOCKER, DB, shims.scene, 5).detail == "Cannot connect to the Docker daemon"
    trouble = engine_trouble(DOCKER, shims.scene)
    assert trouble is not None
    assert trouble.code == "OTA_SERVICE_ENGINE_UNAVAILABLE"


def test_an_engine_that_does_not_answer_is_given_up(shims):
    shims.program("docker", "exec sleep 60")
    assert observe_container(DOCKER, DB, shims.scene, 0.2).detail == "`docker ps` timed out after 0.2 seconds"


@pytest.mark.parametrize(
    ("said", "meant"),
    [("healthy", "healthy"), ("starting", "starting"), ("", "the container declares no health check")],
)
def test_health_is_what_the_engine_says(shims, said, meant):
    shims.program("docker", f'[ "$1" = ps ] && echo abc || echo "{said}"')
    assert observe_health(DOCKER, DB, shims.scene, 5) == meant
