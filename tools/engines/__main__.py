"""Real container engines for the tests: `engines up | down | status | env`.

    sh tools/python tools/engines up [--debian]   install what is missing, start, build the test images
    sh tools/python tools/engines status [--json] what answers, which versions, which images
    sh tools/python tools/engines down [--force]  stop and remove everything that `up` made
    eval "$(sh tools/python tools/engines env)"   talk to these engines from a shell

`up` is for Debian and needs root; repeated, it only does what is missing. Docker is one that already
answers, or else a `dockerd` of our own with data, socket and configuration below /var/lib/ota-engines
(`OTA_ENGINES_HOME` names another folder). Podman always gets storage of its own there. Nothing is pulled:
the images are made from Debian packages. What was downloaded or took long to build is kept in build/engines
and makes the next `up` quick, also without network. Packages stay installed after `down`.

Does not own: the fixtures that tests use (tests/support/engines.py), which read `state.json` of this folder.
"""

import argparse
import fcntl
import json
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import engine_docker
import engine_host
import engine_images
import engine_packages
import engine_podman
import engine_programs
from engine_host import EngineError, Home

CACHE = Path(__file__).resolve().parents[2] / "build" / "engines"


@contextmanager
def only_one(home: Home) -> Iterator[None]:
    """Let `up` and `down` wait for each other, whichever checkout they were started in."""
    home.path.parent.mkdir(parents=True, exist_ok=True)
    path = home.path.with_suffix(".lock")
    while True:
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not is_the_same(lock.fileno(), path):
                continue  # the one before us took the file away with everything else
            try:
                yield
            finally:
                if not home.path.exists():
                    path.unlink()
            return


def is_the_same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def refuse_without_root(verb: str) -> None:
    if os.geteuid() != 0:
        raise EngineError(
            f"`engines {verb}` needs root",
            "it installs packages, starts a container engine and changes the packet filter",
            f"run it as root: sudo sh tools/python tools/engines {verb}",
        )


def refuse_other_systems() -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise EngineError(
            "`engines up` knows Debian only",
            "there is no apt-get here to install engines with",
            "run it on Debian 12, or run the other tests: ./ota run test",
        )


def up(home: Home, *, with_debian: bool) -> None:
    refuse_other_systems()
    refuse_without_root("up")
    with only_one(home):
        CACHE.mkdir(parents=True, exist_ok=True)
        engine_packages.install_missing(with_debian=with_debian)
        home.create()
        state = home.state()
        state.setdefault("host", engine_host.observe())
        home.keep(
            state
        )  # before anything is started: whatever happens now, `down` knows what was there before
        state["docker"] = engine_docker.start(home, state.get("docker"))
        state["environment"] = {
            **engine_docker.environment(home, state["docker"]["host"]),
            **engine_podman.configure(home),
        }
        home.keep(state)
        engine_packages.place_compose_plugin(CACHE, Path(state["environment"]["DOCKER_CONFIG"]))
        engine_images.build_missing(state["environment"], CACHE, with_debian=with_debian)
        engine_programs.build_missing(state["environment"], CACHE)
    status(home, as_json=False)


def down(home: Home, *, force: bool) -> None:
    refuse_without_root("down")
    with only_one(home):
        if not home.path.is_dir():
            print("nothing is up")
            return
        if not force and home.is_in_use():
            raise EngineError(
                "the engines are in use",
                f"a test run holds {home.users}",
                "wait for it, or take the engines away from it: engines down --force",
            )
        state = home.state()
        engine_podman.clear(home, state.get("environment", {}))
        engine_docker.stop(home, state.get("docker"), state.get("environment", {}))
        engine_host.unmount_below(home.path)
        if "host" in state:
            engine_host.restore(state["host"])
        shutil.rmtree(home.path)
    print("nothing is left but the packages and build/engines")


def status(home: Home, *, as_json: bool) -> bool:
    """Print what answers; true when both engines and all three compose commands do."""
    environment = home.state().get("environment", {})
    compose = engine_docker.observe_compose(environment) if environment else {}
    facts = {
        "home": str(home.path),
        "docker": engine_docker.observe(environment),
        "podman": engine_podman.observe(environment),
        "compose": compose,
        "images": engine_images.observe(environment) if environment else {},
    }
    if as_json:
        print(json.dumps(facts, indent=1))
    elif not environment:
        print("down")
    else:
        for name in ("docker", "podman", "compose", "images"):
            print(f"{name}: {describe(facts[name])}")
    return bool(facts["docker"] and facts["podman"] and compose and all(compose.values()))


def describe(value: object) -> str:
    if not isinstance(value, dict) or not value:
        return "does not answer"
    return ", ".join(f"{key} {each if each else 'does not answer'}" for key, each in value.items())


def main() -> int:
    parser = argparse.ArgumentParser(prog="engines", description="Real container engines for the tests")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("up", help="install, start, build the test images")
    verb.add_argument(
        "--debian", action="store_true", help="also build ota-test/debian (debootstrap, a minute)"
    )
    verb = verbs.add_parser("down", help="stop and remove everything that `up` made")
    verb.add_argument("--force", action="store_true", help="also while a test run uses the engines")
    verb = verbs.add_parser("status", help="what answers; exit code 1 when something does not")
    verb.add_argument("--json", action="store_true")
    verbs.add_parser("env", help="print the environment that leads to these engines, for a shell")
    given = parser.parse_args()

    # In the background of a shell Ctrl-C is ignored, and what an engine runs would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    home = Home(Path(os.environ.get("OTA_ENGINES_HOME") or "/var/lib/ota-engines").resolve())
    try:
        match given.verb:
            case "up":
                up(home, with_debian=given.debian)
            case "down":
                down(home, force=given.force)
            case "status":
                return 0 if status(home, as_json=given.json) else 1
            case "env":
                for name, value in home.state().get("environment", {}).items():
                    print(f"export {name}={shlex.quote(value)}")
    except EngineError as error:
        print(f"engines: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("engines: interrupted; run it again, or `engines down`", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
