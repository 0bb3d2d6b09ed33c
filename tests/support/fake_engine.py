"""A container engine that is a folder: a program on PATH that lists, inspects and removes what is put there.

For what a real engine does not do on request: fail, hang, lie, lose things between two calls. Behaviour is
of Docker; `podman` in the name makes removal of several containers, one of them missing, remove none.

    fake = FakeEngine(tmp_path, "docker")
    fake.container("ota-x", labels); fake.volume("v", labels)
    project.run("clean", env=fake.environment)
    assert fake.names("container") == []; assert fake.calls()
"""

import json
import os
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROGRAM = """#!{python}
import sys
sys.path.insert(0, {support!r})
from support.fake_engine import main
sys.exit(main({home!r}, sys.argv[1:]))
"""


def engines_with_every_image(folder: Path) -> dict[str, str]:
    """Variables under which Docker and Podman answer and miss nothing, whatever this machine has."""
    programs = folder / "willing-engines"
    programs.mkdir()
    for name in ("docker", "podman"):
        (programs / name).write_text("#!/bin/sh\nexit 0\n")
        (programs / name).chmod(0o755)
    return {"PATH": f"{programs}:{os.environ['PATH']}"}


class FakeEngine:
    """The engine of one test, seen from outside."""

    def __init__(self, folder: Path, name: str = "docker") -> None:
        self.name = name
        self.home = folder / f"fake-{name}"
        self.bin = folder / "fake-bin"
        for kind in ("container", "volume", "network"):
            (self.home / kind).mkdir(parents=True)
        self.bin.mkdir(exist_ok=True)
        program = self.bin / name
        support = str(Path(__file__).resolve().parents[1])
        program.write_text(PROGRAM.format(python=sys.executable, support=support, home=str(self.home)))
        program.chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        """PATH with this engine, and without any other."""
        return {"PATH": f"{self.bin}:/usr/bin-without-engines:/bin-without-engines"}

    def container(self, name: str, labels: Mapping[str, str], status: str = "running", **more: Any) -> str:
        """Put a container there; `volumes`, `networks` by name, `workspace` a folder."""
        mounts = [
            {"Type": "volume", "Name": each, "Destination": f"/{each}"} for each in more.get("volumes", ())
        ]
        if "workspace" in more:
            mounts.append({"Type": "bind", "Source": str(more["workspace"]), "Destination": "/workspace"})
        id_ = uuid.uuid4().hex * 2
        self._put(
            "container",
            id_,
            {
                "Id": id_,
                "Name": f"/{name}",
                "State": {"Status": status},
                "Config": {"Labels": dict(labels)},
                "Mounts": mounts,
                "NetworkSettings": {"Networks": {each: {} for each in more.get("networks", ())}},
            },
        )
        return id_

    def volume(self, name: str, labels: Mapping[str, str] | None) -> None:
        """Put a volume there."""
        self._put("volume", name, {"Name": name, "Labels": labels})

    def network(self, name: str, labels: Mapping[str, str]) -> None:
        """Put a network there."""
        self._put("network", name, {"Name": name, "Labels": dict(labels)})

    def _put(self, kind: str, handle: str, raw: Mapping[str, Any]) -> None:
        (self.home / kind / handle).write_text(json.dumps(raw))

    def misbehave(self, **how: Any) -> None:
        """`down=text`, `stuck=[name]` (cannot be removed), `vanish=[handle]` (gone after the next list),
        `inspect=text` (what inspecting prints), `down_on=verb` (as `down`, from the first such call),
        `unlisted=n` (so many lists of volumes fail, because somebody's volume went meanwhile)."""
        (self.home / "how.json").write_text(json.dumps(how))

    def names(self, kind: str) -> list[str]:
        """What is there."""
        raws = [json.loads(path.read_text()) for path in (self.home / kind).iterdir()]
        return sorted(str(raw["Name"]).removeprefix("/") for raw in raws)

    def calls(self) -> list[list[str]]:
        """Every call so far."""
        log = self.home / "calls"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def main(home: str, args: list[str]) -> int:
    """One call of the engine."""
    folder = Path(home)
    with (folder / "calls").open("a") as log:
        log.write(json.dumps(args) + "\n")
    how_path = folder / "how.json"
    how = json.loads(how_path.read_text()) if how_path.exists() else {}
    if how.get("down_on") in args:
        how["down"] = "Cannot connect to the Docker daemon. Is the docker daemon running?"
        how_path.write_text(json.dumps(how))
    if how.get("down"):
        print(how["down"], file=sys.stderr)
        return 1
    kind = args[0] if args[0] in ("volume", "network", "container") else "container"
    words = args[1:] if args[0] == kind else args
    verb, handles = words[0], [word for word in words[1:] if not word.startswith("-")]
    if verb == "ls" and kind == "volume" and how.get("unlisted"):
        how["unlisted"] -= 1
        how_path.write_text(json.dumps(how))
        print("Error: no such volume: somebody-elses", file=sys.stderr)
        return 1
    if verb in ("ls", "ps"):
        for path in sorted((folder / kind).iterdir()):
            print(path.name)
        for handle in how.get("vanish", ()):
            (folder / kind / handle).unlink(missing_ok=True)
        return 0
    if verb == "inspect" and "inspect" in how:
        print(how["inspect"])
        return 0
    if verb == "inspect":
        return _inspect(folder / kind, handles)
    if verb == "rm":
        return _remove(folder, kind, handles, how)
    print(f"unknown command: {args}", file=sys.stderr)
    return 125


def _inspect(folder: Path, handles: list[str]) -> int:
    found = [json.loads((folder / each).read_text()) for each in handles if (folder / each).exists()]
    print(json.dumps(found))
    missing = [each for each in handles if not (folder / each).exists()]
    for each in missing:
        print(f"Error: No such object: {each}", file=sys.stderr)
    return 1 if missing else 0


def _remove(folder: Path, kind: str, handles: list[str], how: Mapping[str, Any]) -> int:
    there = {each: folder / kind / each for each in handles if (folder / kind / each).exists()}
    if kind == "container" and len(there) < len(handles) and folder.name == "fake-podman":
        return 0
    mounts = "".join(path.read_text() for path in (folder / "container").iterdir())
    code = 0
    for handle, path in there.items():
        name = json.loads(path.read_text())["Name"].removeprefix("/")
        if name in how.get("stuck", ()):
            print(
                f"Error response from daemon: cannot remove {name}: device or resource busy", file=sys.stderr
            )
            code = 1
        elif kind == "volume" and json.dumps(name) in mounts:
            print(f"Error response from daemon: remove {name}: volume is in use - [x]", file=sys.stderr)
            code = 1
        else:
            os.unlink(path)
            print(handle)
    return code
