"""A repository whose tasks run in containers of a real engine, and what the engine says about it."""

import json
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support.engines import BUSYBOX, Engine
from support.project import Project, Result

MANAGED = "dev.ota.managed=true"


class ContainerProject:
    """A project on one engine; everything of its token goes when the test ends."""

    def __init__(self, engine: Engine, project: Project) -> None:
        self.engine = engine
        self.project = project

    @property
    def path(self) -> Path:
        return self.project.path

    @property
    def token(self) -> str:
        """The ownership token; empty while the repository never needed one."""
        path = self.path / ".ota" / "state" / "ownership-id"
        return path.read_text().strip() if path.exists() else ""

    def write(self, text: str, **files: str) -> None:
        """The contract, and other files; `ENGINE` and `IMAGE` in it stand for what the test uses."""
        contract = text.replace("ENGINE", self.engine.name).replace("IMAGE", BUSYBOX)
        self.project.write({"ota.yaml": contract, **files})

    def run(self, *args: str, code: int = 0, **options: Any) -> Result:
        """`ota run <args>`, which ends with this code."""
        done = self.project.run("run", *args, **options)
        assert done.code == code, done
        return done

    def owned(self) -> dict[str, list[str]]:
        """What carries this repository's token."""
        if not self.token:
            return {"container": [], "volume": [], "network": []}
        return self.engine.found(MANAGED, f"dev.ota.repo={self.token}")

    @property
    def containers(self) -> list[str]:
        if not self.token:
            return []
        return self.engine.containers(MANAGED, f"dev.ota.repo={self.token}")

    @property
    def volumes(self) -> list[str]:
        return self.owned()["volume"]

    def container(self) -> dict[str, Any]:
        """What the engine says about the only container."""
        [name] = self.containers
        return self.engine.inspect(name)[0]

    def volume(self, name: str) -> dict[str, Any]:
        """What the engine says about a volume."""
        found = json.loads(self.engine.run("volume", "inspect", name).stdout)
        assert isinstance(found[0], dict)
        return found[0]

    def mounts(self) -> dict[str, str]:
        """Named volumes of the only container, by destination."""
        found = self.container()["Mounts"]
        return {each["Destination"]: each["Name"] for each in found if each["Type"] == "volume"}

    def discard(self) -> None:
        self.engine.remove(self.owned())


def image_with(engine: Engine, files: Mapping[str, str], folder: Path) -> str:
    """A throw-away image: busybox with these programs; `engine rmi` it at the end."""
    tag = f"ota-test/with-programs:{uuid.uuid4().hex[:8]}"
    name = engine.start(BUSYBOX, "sleep", "600")
    for target, text in files.items():
        source = folder / uuid.uuid4().hex
        source.write_text(text)
        source.chmod(0o755)
        engine.run("cp", str(source), f"{name}:{target}")
    engine.run("commit", name, tag)
    engine.run("rm", "-f", name)
    return tag


def image_from_host(engine: Engine, paths: Sequence[Path], files: Mapping[str, str], folder: Path) -> str:
    """A throw-away image: busybox with programs of this machine, and the libraries they are linked to.

    `paths` are programs and folders; folders come without their tests, caches and installed packages.
    """
    wanted = dict.fromkeys(paths)
    for program in paths:
        linked = [program] if program.is_file() else list(program.rglob("*.so"))
        for each in linked:
            wanted |= dict.fromkeys(_libraries(each))
    left_out = ("__pycache__", "site-packages", "test", "idlelib", "lib2to3", "config-*")
    name = engine.start(BUSYBOX, "sleep", "600")
    archive = folder / "programs.tar"
    words = [f"--exclude={each}" for each in left_out]
    names = [str(path).lstrip("/") for path in wanted]
    subprocess.run(
        ["tar", "-cf", archive, "-C", "/", *words, "--dereference", *names], check=True, capture_output=True
    )
    with archive.open("rb") as stream:
        subprocess.run([engine.name, "cp", "-", f"{name}:/"], stdin=stream, check=True, capture_output=True)
    archive.unlink()
    for target, text in files.items():
        source = folder / uuid.uuid4().hex
        source.write_text(text)
        source.chmod(0o755)
        engine.run("cp", str(source), f"{name}:{target}")
    tag = f"ota-test/with-programs:{uuid.uuid4().hex[:8]}"
    engine.run("commit", name, tag, timeout=180)
    engine.run("rm", "-f", name)
    return tag


def _libraries(program: Path) -> list[Path]:
    said = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    return [Path(word) for word in said.split() if word.startswith("/")]
