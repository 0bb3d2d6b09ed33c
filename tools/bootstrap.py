"""Makes the checkout's own environment: `.venv-ota/<digest of the lock>`, from hash-checked packages only.

Called by `tools/environment.sh` when that environment is missing, with any Python from 3.11 on, so it uses
the standard library alone. The environment is built beside its final place and renamed when it works: it
exists whole or not at all. Commands that start at the same moment wait for the one that builds. Everything
is said on standard error, because standard output belongs to the command that follows.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".venv-ota"
LOCK = ROOT / "requirements" / "runtime.lock"
WAIT_LIMIT_S = 600.0
POLL_S = 0.2
SHOWN_LINES = 12

RUN_WHEEL = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); runpy.run_module('pip', run_name='__main__')"
)
INSTALL = ("--quiet", "--require-hashes", "--no-deps", "--only-binary=:all:")

# These steer pip away from the environment it runs in; what names an index, a proxy or a certificate stays.
_MISLEADING = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_REQUIRE_VIRTUALENV")


class Refusal(Exception):  # noqa: N818 - it is an answer, not an accident
    """The environment cannot be made here; the message says why and what to do."""


def say(text: str) -> None:
    print(f"ota: {text}", file=sys.stderr, flush=True)


def refuse_missing_modules() -> None:
    """Debian and its relatives ship `venv` without `ensurepip` unless one more package is installed."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as missing:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise Refusal(
            f"this Python cannot make environments: module `{missing.name}` is missing\n"
            f"  Why:  {sys.executable} (Python {version}) came without it\n"
            f"  Next: install the package that has it (Debian, Ubuntu: `apt install python{version}-venv`),\n"
            "        or let OTA_PYTHON name another Python 3.11 or newer"
        ) from None


@contextmanager
def only_one_builder() -> Iterator[None]:
    """Hold the lock file; the system lets go of it even when the holder is killed."""
    try:
        FOLDER.mkdir(exist_ok=True)
        handle = (FOLDER / "lock").open("w")
    except OSError as refused:
        raise Refusal(
            f"cannot write to this checkout: {refused.strerror}: {FOLDER}\n"
            "  Why:  the first use keeps its packages in .venv-ota beside the source\n"
            f"  Next: make {ROOT} writable for the first use, or `pip install` it elsewhere"
        ) from None
    with handle:
        deadline = time.monotonic() + WAIT_LIMIT_S
        waiting = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Refusal(f"another first use still builds after {WAIT_LIMIT_S:.0f} s") from None
                if not waiting:
                    say("another command is making the environment; waiting for it")
                    waiting = True
                time.sleep(POLL_S)
        yield


def run(step: str, command: list[str], advice: str) -> None:
    """Run one step quietly; when it fails, refuse with the end of what it printed."""
    env = {name: value for name, value in os.environ.items() if name not in _MISLEADING}
    quiet, pipe = subprocess.DEVNULL, subprocess.PIPE
    done = subprocess.run(command, env=env, stdin=quiet, stdout=pipe, stderr=subprocess.STDOUT)
    if done.returncode:
        lines = done.stdout.decode("utf-8", "replace").rstrip().splitlines()[-SHOWN_LINES:]
        shown = "".join(f"  | {line}\n" for line in lines)
        raise Refusal(f"{step} failed (exit code {done.returncode})\n{shown}  Next: {advice}")


def bundled_pip() -> Path | None:
    """The pip wheel that came with this Python: in `ensurepip`, or where distributions move it to."""
    import ensurepip

    folders = [Path(ensurepip.__file__).parent / "_bundled", Path("/usr/share/python-wheels")]
    if moved := sysconfig.get_config_var("WHEEL_PKG_DIR"):
        folders.insert(0, Path(moved))
    return next((wheel for folder in folders for wheel in sorted(folder.glob("pip-*.whl"))), None)


def build(place: Path) -> None:
    """Make the environment in `place` and check that it works."""
    # The resolved name (python3.11, not python3): an upgrade of the system's Python then leaves a dangling
    # link, which is noticed, instead of an interpreter that no longer finds its packages.
    base = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    python = str(place / "bin" / "python")
    wheel = bundled_pip()
    # Running pip out of its wheel halves the first use and leaves nothing that every later start pays for.
    venv = [base, "-I", "-m", "venv", "--clear", *(["--without-pip"] if wheel else []), str(place)]
    pip = [python, "-I", "-c", RUN_WHEEL, str(wheel)] if wheel else [python, "-I", "-m", "pip"]
    run("making the environment", venv, "read the lines above")
    run(
        "installing the packages",
        [*pip, "--disable-pip-version-check", "--no-input", "install", *INSTALL, "-r", str(LOCK)],
        "see that pip reaches its package index (network, proxy, PIP_INDEX_URL), then try again",
    )
    run("trying the packages", [python, "-I", "-c", "import msgspec, yaml; yaml.CSafeLoader"], "report this")
    # Named, because the default scheme of Debian's own Python is its `local` folder.
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(place), "platbase": str(place)}))
    # Relative, so that a checkout may be moved.
    source = os.path.relpath(ROOT / "src", FOLDER / "any" / packages.relative_to(place))
    (packages / "ota-checkout.pth").write_text(source + "\n", encoding="utf-8")


def remove_older(current: Path) -> None:
    """Keep the newest former environment, for a command that may still run in it; remove the others."""
    former = [each for each in FOLDER.iterdir() if each.is_dir() and each != current]
    former.sort(key=lambda each: each.stat().st_mtime)
    for each in former[:-1]:
        shutil.rmtree(each, ignore_errors=True)


def make(name: str) -> None:
    """Make `.venv-ota/<name>` unless somebody else just did."""
    final = FOLDER / name
    with only_one_builder():
        if os.access(final / "bin" / "python", os.X_OK):
            return
        started = time.monotonic()
        version = ".".join(map(str, sys.version_info[:3]))
        say(f"first use of this checkout: making its environment in .venv-ota with Python {version}")
        partial = FOLDER / f"{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        build(partial)
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
        remove_older(final)
        say(f"ready after {time.monotonic() - started:.1f} s; later commands start at once")


def main() -> int:
    try:
        refuse_missing_modules()
        make(sys.argv[1])
    except Refusal as refusal:
        say(str(refusal))
        return 1
    except OSError as failed:
        say(f"the environment could not be made: {failed}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; the next use begins again")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
