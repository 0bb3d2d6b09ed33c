"""Whether the engine publishes what a run reserved, as the whole of `ota run` sees it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from support.container_project import ContainerProject
from support.engine_faults import put_before
from support.engines import Engine

pytestmark = pytest.mark.engine

CONTRACT = """version: 1
project: {name: web}
execution:
  contexts:
    app: {backend: container, lifecycle: ephemeral, container: {image: IMAGE, engines: [ENGINE]}}
tasks:
  dev:
    context: app
    run: mkdir -p /www && echo hello >/www/index.html && exec httpd -f -p 8080 -h /www
    runtime:
      kind: service
      listeners:
        http:
          protocol: http
          bind: {address: 0.0.0.0, port: {mode: fixed, value: 8080}}
          project: {host: {address: 127.0.0.1, port: {mode: auto}}}
"""


@pytest.mark.proves("S001-155")
def test_a_service_whose_reserved_port_the_engine_did_not_publish_is_ended(
    engine: Engine,
    on_engine: Callable[..., ContainerProject],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    repo = on_engine(engine, CONTRACT)
    edit = 's/"HostPort": "[0-9]*"/"HostPort": "9"/'
    script = f"""[ "$1" = inspect ] && {{ "$REAL" "$@" | sed '{edit}'; exit; }}"""
    put_before(engine, tmp_path / "bin", script, monkeypatch)
    done = repo.run("dev", code=1)
    assert "container engine did not report host port" in done.err
    assert repo.containers == []
