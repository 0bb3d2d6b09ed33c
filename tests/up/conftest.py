"""Repositories to bring up, and an end for whatever they leave running on purpose."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from services.conftest import served_on_host as served_on_host  # a fixture of this folder too
from support.project import Project
from support.servers import SERVER

HEAD = "version: 1\nproject: {name: upped}\nexecution:\n  contexts:\n    host: {backend: native}\n"


def web(
    port: int,
    *,
    name: str = "dev",
    body: str = "python3 server.py",
    ready: str = "{kind: http, listener: http, path: /health, interval: 50ms, retries: 200}",
    more: str = "",
) -> str:
    """A service task on one fixed port; `ready` empty: without declared readiness."""
    readiness = f"      readiness: {ready}\n" if ready else ""
    return (
        f"  {name}:\n    run: {body}\n    runtime:\n      kind: service\n{readiness}"
        f"      listeners:\n        http: {{http: {port}}}\n{more}"
    )


def contract(
    *, tasks: str = "", services: str = "", workflow: str = "", checks: str = "", more: str = ""
) -> str:
    """A contract from its parts; `workflow` is the body of the default workflow `app`."""
    text = HEAD
    text += f"services:\n{services}" if services else ""
    text += f"checks:\n{checks}" if checks else ""
    text += f"tasks:\n{tasks}" if tasks else ""
    text += f"workflows:\n  default: app\n  app:\n{workflow}" if workflow else ""
    return text + more


@pytest.fixture
def upped(
    project: Callable[..., Project], served_on_host: Callable[[Project], None]
) -> Iterator[Callable[..., Project]]:
    """Make a repository with `server.py` and `daemon.py`; what it left running is ended with the test."""
    made: list[Path] = []

    def make(text: str, **files: str) -> Project:
        repo = project({"ota.yaml": text, "server.py": SERVER, **files})
        served_on_host(repo)
        made.append(repo.path)
        return repo

    yield make
    for path in made:
        for record in (path / ".ota/state/workloads").glob("*.json"):
            pid = json.loads(record.read_text())["leader"]["pid"]
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                process = psutil.Process(pid)
                os.killpg(pid, signal.SIGKILL)
                process.wait(10)


def steps_of(document: dict) -> dict:
    """Steps of the receipt by label."""
    return {each["label"]: each for each in document["receipt"]["steps"]}


def codes_of(document: dict) -> list[str]:
    """Codes of the findings that block."""
    return [each["code"] for each in document["findings"] if each["severity"] == "error"]
