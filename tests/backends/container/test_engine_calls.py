"""Asking an engine: absent, down, too old, mute, talkative, told to stop. Stand-ins on PATH play it."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from ota.backends.container.engine import Engine, ask, engine_of, find_engine, refusal, require
from ota.errors import HostError

MakeShim = Callable[..., dict[str, str]]


@pytest.fixture
def shim(tmp_path: Path) -> MakeShim:
    """Put a stand-in of a name on PATH; the environment that finds it first."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def make(script: str, name: str = "docker") -> dict[str, str]:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return {"PATH": f"{folder}:/usr/bin:/bin"}

    return make


def engine(environ: dict[str, str], name: str = "docker") -> Engine:
    found = engine_of(name, environ)
    assert found is not None
    return found


def test_no_engine_on_path_lists_the_candidates() -> None:
    with pytest.raises(HostError) as missing:
        find_engine(("docker", "podman"), {"PATH": "/nonexistent"})
    (finding,) = missing.value.findings
    assert finding.code == "OTA_CONTAINER_BACKEND_CLI_MISSING"
    assert "docker, podman" in finding.summary and "available on PATH" in finding.summary


def test_the_only_engine_there_is_taken_at_its_word(shim: MakeShim, tmp_path: Path) -> None:
    environ = shim(f"touch {tmp_path}/asked; exit 1")
    environ["PATH"] = environ["PATH"].split(":")[0]
    found = find_engine(("docker", "podman"), environ)
    assert found.name == "docker" and not (tmp_path / "asked").exists()


def test_of_several_engines_the_first_that_answers_is_chosen(shim: MakeShim) -> None:
    shim("exit 1")
    environ = shim("exit 0", "podman")
    assert find_engine(("docker", "podman"), environ).name == "podman"
    assert find_engine(("podman", "docker"), environ).name == "podman"


def test_when_none_answers_the_first_is_asked_on_so_that_its_words_are_told(shim: MakeShim) -> None:
    shim("exit 1", "podman")
    said = "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?"
    environ = shim(f"echo '{said}' >&2; exit 1")
    found = find_engine(("docker", "podman"), environ)
    with pytest.raises(HostError) as down:
        require(found, "list containers", "ps")
    (finding,) = down.value.findings
    assert finding.code == "OTA_CONTAINER_BACKEND_UNAVAILABLE"
    assert "container backend `docker` is unavailable" in finding.summary
    assert "unix:///x" in finding.why and "docker info" in finding.next


def test_an_engine_that_never_answers_is_given_up_and_its_client_ended(shim: MakeShim) -> None:
    found = engine(shim("echo $$ >&2; trap '' TERM; sleep 600 & wait"))
    with pytest.raises(HostError) as mute:
        ask(found, "ps", limit_s=0.3)
    (finding,) = mute.value.findings
    assert finding.code == "OTA_CONTAINER_BACKEND_UNAVAILABLE"
    assert "timed out after 0.3 seconds" in finding.why


def test_a_call_is_given_up_soon_after_the_user_asked_to_stop(
    shim: MakeShim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ota.backends.container.engine.STOPPING_LIMIT_S", 0.2)
    found = engine_of("docker", shim("sleep 600"), should_stop=lambda: True)
    assert found is not None
    with pytest.raises(HostError) as stopped:
        ask(found, "pull", "x", limit_s=600)
    assert "interrupted" in stopped.value.findings[0].why


def test_an_engine_without_an_option_is_too_old(shim: MakeShim) -> None:
    found = engine(shim("echo 'unknown flag: --pull' >&2; exit 125"))
    answer = ask(found, "create")
    assert refusal(found, answer, "create a container").code == "OTA_CONTAINER_ENGINE_TOO_OLD"


@pytest.mark.parametrize(
    "said",
    [
        'error during connect: Post "http://x": EOF',
        "unexpected EOF",
        "Error: unable to connect to Podman socket",
        "read unix @->/run/x.sock: read: connection reset by peer",
    ],
)
def test_an_engine_that_dies_in_the_middle_of_a_call_is_unavailable(shim: MakeShim, said: str) -> None:
    found = engine(shim(f"echo '{said}' >&2; exit 1"))
    assert refusal(found, ask(found, "create"), "create").code == "OTA_CONTAINER_BACKEND_UNAVAILABLE"


def test_what_the_engine_says_is_told_without_its_chatter(shim: MakeShim) -> None:
    script = "echo 'time=\"2025\" level=warning msg=cni' >&2; echo 'Error: no space left' >&2; exit 125"
    answer = ask(engine(shim(script)), "create")
    assert answer.detail == "Error: no space left"


def test_an_engine_that_says_nothing_is_quoted_by_its_status(shim: MakeShim) -> None:
    assert ask(engine(shim("exit 3")), "create").detail == "`create` exited with status 3"


def test_what_an_engine_starts_for_itself_outlives_the_call_and_carries_no_run(
    shim: MakeShim, tmp_path: Path
) -> None:
    """conmon and the name servers of networks serve others too."""
    kept, pid_file = tmp_path / "env", tmp_path / "pid"
    script = f"setsid sh -c 'env >{kept}; echo $$ >{pid_file}; exec sleep 600' >/dev/null 2>&1 &\n"
    script += f"until [ -s {pid_file} ]; do :; done"
    os.environ["OTA_RUN_MARKER"] = "outer:run"
    try:
        ask(engine(shim(script)), "start")
    finally:
        del os.environ["OTA_RUN_MARKER"]
    pid = int(pid_file.read_text())
    os.kill(pid, 0)
    os.kill(pid, 9)
    assert "OTA_RUN_MARKER" not in kept.read_text()


def test_an_engine_does_not_show_its_environment() -> None:
    from ota.backends.container.engine import CallCount

    found = Engine(name="docker", program="/x", environ={"TOKEN": "s3cret"}, count=CallCount())
    assert "s3cret" not in repr(found)


@pytest.mark.parametrize("name", ["podman", "docker"])
def test_a_configuration_named_from_here_is_found_wherever_podman_runs(
    shim: MakeShim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "s.conf").write_text("kept elsewhere")
    environ = {**shim('cat "$CONTAINERS_STORAGE_CONF" "$REGISTRY_AUTH_FILE"', name)}
    environ |= {"CONTAINERS_STORAGE_CONF": "s.conf", "REGISTRY_AUTH_FILE": str(tmp_path / "s.conf")}
    monkeypatch.chdir(tmp_path)
    answer = ask(engine(environ, name), "info")
    assert answer.stdout == "kept elsewhere" * 2, answer.detail
