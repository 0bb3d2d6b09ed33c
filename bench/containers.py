"""What a task in a container costs beside the engine's own command, and how often the engine is called."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from engine import IMAGE, engine_environment
from measuring import OTA, ROOT, Subject, measure, show, verdict

REUSED_TARGET = 2.5
FRESH_TARGET = 1.6
REUSED_CALLS = 1
FRESH_CALLS = 4
DEVCONTAINERS = "@devcontainers/cli@0.89.0"
NODE = ROOT / ".venv-bench" / "node"
CONTRACT = f"""\
version: 1
project: {{name: bench}}
execution:
  default_context: kept
  contexts:
    kept: {{backend: container, lifecycle: persistent, container: {{image: {IMAGE}, engines: [docker]}}}}
    fresh: {{backend: container, lifecycle: ephemeral, container: {{image: {IMAGE}, engines: [docker]}}}}
tasks:
  reused: {{context: kept, run: "true"}}
  fresh: {{context: fresh, run: "true"}}
"""
LABEL = "dev.ota.repo"


def bench(rounds: int) -> None:
    environ = engine_environment()
    if environ is None:
        return
    with repository(environ) as (folder, container):
        reused = [
            Subject("docker exec true", ["docker", "exec", container, "true"]),
            Subject("ota run, reused container", [OTA, "run", "reused"], REUSED_TARGET),
        ]
        if devcontainer := devcontainer_command():
            # it looks for the name of the system, which the small image lacks
            named = ["docker", "exec", container, "sh", "-c", "echo ID=busybox > /etc/os-release"]
            subprocess.run(named, env=environ, check=True)
            command = [devcontainer, "exec", "--workspace-folder", ".", "--container-id", container, "true"]
            reused.append(Subject("devcontainer exec", command))
        title = f"A no-op in a container that is there, median of {rounds}"
        show(title, reused, measure(reused, folder, rounds, environ))
        fresh = [
            Subject("docker run --rm true", ["docker", "run", "--rm", IMAGE, "true"]),
            Subject("ota run, fresh container", [OTA, "run", "fresh"], FRESH_TARGET),
        ]
        title = f"A no-op in a container of its own, median of {rounds}"
        show(title, fresh, measure(fresh, folder, rounds, environ))
        print("\nCalls of the engine's command")
        for task, target in (("reused", REUSED_CALLS), ("fresh", FRESH_CALLS)):
            calls = engine_calls(folder, environ, task)
            print(
                f"  ota run {task:<8}{len(calls):>3}  {verdict(len(calls), target):<10}  {', '.join(calls)}"
            )


@contextmanager
def repository(environ: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    """A repository whose persistent container runs, and that container; both are removed."""
    with tempfile.TemporaryDirectory(prefix="ota-bench-") as name:
        folder = Path(name)
        (folder / "ota.yaml").write_text(CONTRACT, encoding="utf-8")
        (folder / ".devcontainer.json").write_text(
            json.dumps({"image": IMAGE, "workspaceFolder": "/workspace"}), encoding="utf-8"
        )
        quiet = {"cwd": folder, "env": environ, "check": True, "capture_output": True, "text": True}
        try:
            subprocess.run([OTA, "run", "reused"], **quiet)  # type: ignore[call-overload]
            token = (folder / ".ota" / "state" / "ownership-id").read_text(encoding="utf-8").strip()
            listed = ["docker", "ps", "--quiet", "--filter", f"label={LABEL}={token}"]
            yield folder, subprocess.run(listed, **quiet).stdout.split()[0]  # type: ignore[call-overload]
        finally:
            subprocess.run([OTA, "clean"], cwd=folder, env=environ, stdout=subprocess.DEVNULL)


def engine_calls(folder: Path, environ: Mapping[str, str], task: str) -> list[str]:
    """The sub-commands of every call, seen by a stand-in before the real command."""
    real = shutil.which("docker", path=environ["PATH"])
    shim, log = folder / "shim", folder / "calls"
    shim.mkdir(exist_ok=True)
    log.write_text("", encoding="utf-8")
    script = shim / "docker"
    script.write_text(f'#!/bin/sh\necho "$1" >> "{log}"\nexec "{real}" "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    watched = {**environ, "PATH": f"{shim}{os.pathsep}{environ['PATH']}"}
    subprocess.run([OTA, "run", task], cwd=folder, env=watched, check=True, capture_output=True)
    return log.read_text(encoding="utf-8").split()


def devcontainer_command() -> str | None:
    """The command line of development containers, from npm; None where it cannot be had."""
    command = NODE / "node_modules" / ".bin" / "devcontainer"
    if not command.exists():
        npm = shutil.which("npm")
        if npm is None:
            print("without npm `devcontainer exec` is left out")
            return None
        print("installing the command line of development containers", flush=True)
        install = [
            npm,
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--prefix",
            str(NODE),
            DEVCONTAINERS,
        ]
        if subprocess.run(install, stdout=subprocess.DEVNULL).returncode:
            print("it could not be installed; it is left out")
            return None
    return str(command)
