"""`./ota`: the first use makes an environment, later uses start at once, and refusals say what to do.

The checkouts here are small copies with stand-in packages and hashes of their own, so that the real `venv`
and `pip` run without a network.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.edge, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
SH = shutil.which("sh") or "/bin/sh"
ECHO = """
import sys
import ota
print(sys.argv[1:], ota.WHERE)
sys.exit(7)
"""


def _wheel(folder: Path, name: str, module: str, source: str) -> str:
    """Write a tiny wheel and return its line for a lock file."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{module}.py", source)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return f"{name}==1.0 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


class Checkout:
    """A copy of the front door with stand-in packages and an `ota` that echoes its arguments."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.wheels = path.parent / f"{path.name}.wheels".replace(
            " ", "-"
        )  # pip splits this setting at blanks
        self.wheels.mkdir(parents=True)
        (path / "tools").mkdir(parents=True)
        for name in ("ota", "tools/environment.sh", "tools/bootstrap.py", "tools/launch.py", "tools/python"):
            shutil.copy2(ROOT / name, path / name)
        package = path / "src" / "ota"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("WHERE = 'stand-in'\n")
        (package / "__main__.py").write_text(ECHO)
        (path / "requirements").mkdir()
        self.write_lock("a" * 12)

    def write_lock(self, name: str) -> None:
        lines = _wheel(self.wheels, "msgspec", "msgspec", "")
        lines += _wheel(self.wheels, "pyyaml", "yaml", "class CSafeLoader: ...\n")
        (self.path / "requirements" / "runtime.lock").write_text(f"# lock {name}\n{lines}")

    def environment(self, **changes: str) -> dict[str, str]:
        env = {name: value for name, value in os.environ.items() if not name.startswith(("OTA_", "PIP_"))}
        offline = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels)}
        return {**env, **offline, "OTA_PYTHON": sys.executable, **changes}

    def start(self, *args: str, command: str | None = None, cwd: Path | None = None, **changes: str):
        return subprocess.Popen(
            [command or str(self.path / "ota"), *args],
            cwd=cwd or self.path,
            env=self.environment(**changes),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *args: str, command: str | None = None, cwd: Path | None = None, **changes: str):
        process = self.start(*args, command=command, cwd=cwd, **changes)
        out, err = process.communicate(timeout=280)
        return process.returncode, out, err


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout (with blanks in its path) whose first use is over."""
    checkout = Checkout(tmp_path_factory.mktemp("front") / "my  check out")
    code, out, err = checkout.run("one", "two words", "")
    assert (code, out) == (7, "['one', 'two words', ''] stand-in\n"), err
    checkout.first_err = err
    return checkout


def test_first_use_says_what_it_does_on_standard_error(ready):
    first, last = ready.first_err.splitlines()
    assert first.startswith(
        "ota: first use of this checkout: making its environment in .venv-ota with Python 3."
    )
    assert last.startswith("ota: ready after ")


def test_later_uses_are_silent_and_pass_arguments_and_exit_code(ready):
    assert ready.run("a b", "--x=1") == (7, "['a b', '--x=1'] stand-in\n", "")


def test_it_works_from_another_directory(ready, tmp_path):
    assert ready.run(cwd=tmp_path) == (7, "[] stand-in\n", "")


def test_it_works_through_chains_of_absolute_and_relative_links(ready, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "absolute").symlink_to(ready.path / "ota")
    (tmp_path / "relative").symlink_to(Path("bin") / "absolute")
    assert ready.run(command=str(tmp_path / "relative"), cwd=tmp_path)[:2] == (7, "[] stand-in\n")
    assert ready.run(command="./relative", cwd=tmp_path)[:2] == (7, "[] stand-in\n")
    assert ready.run("relative", command=SH, cwd=tmp_path)[:2] == (7, "[] stand-in\n")


def test_a_module_in_the_working_directory_is_never_imported(ready, tmp_path):
    (tmp_path / "ota.py").write_text("raise SystemExit('hijacked')")
    (tmp_path / "msgspec.py").write_text("raise SystemExit('hijacked')")
    assert ready.run(cwd=tmp_path, PYTHONPATH=str(tmp_path)) == (7, "[] stand-in\n", "")


def test_the_environment_holds_no_installer_and_no_start_up_hook(ready):
    packages = next((ready.path / ".venv-ota" / ("a" * 12)).glob("lib/python3*/site-packages"))
    names = {each.name.partition("-")[0] for each in packages.iterdir()}
    assert names <= {"msgspec", "msgspec.py", "pyyaml", "yaml.py", "ota", "__pycache__"}


def test_a_moved_checkout_still_works(ready, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(ready.path, moved, symlinks=True)
    assert ready.run(command=str(moved / "ota")) == (7, "[] stand-in\n", "")


def test_the_warm_path_starts_no_program_but_python(ready):
    # Counted, not timed: what the shell runs on the way are builtins.
    traced = subprocess.run(
        [SH, "-x", str(ready.path / "ota")], env=ready.environment(), capture_output=True, text=True
    ).stderr
    assert traced.count("+ exec ") == 1
    assert "readlink" not in traced
    assert "command -v" not in traced


def test_simultaneous_first_uses_build_once_and_all_work(tmp_path):
    checkout = Checkout(tmp_path / "checkout")
    running = [checkout.start(str(number)) for number in range(4)]
    ended = [process.communicate(timeout=280) for process in running]
    assert [process.returncode for process in running] == [7] * 4
    assert [out for out, _ in ended] == [f"['{number}'] stand-in\n" for number in range(4)]
    assert sum("making its environment" in err for _, err in ended) == 1
    assert not list((checkout.path / ".venv-ota").glob("*.partial"))


def test_a_changed_lock_gets_a_new_environment_and_keeps_the_former_one_for_running_commands(ready, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(ready.path, moved, symlinks=True)
    lock = moved / "requirements" / "runtime.lock"
    for name in ("b" * 12, "c" * 12):
        lock.write_text(f"# lock {name}\n" + lock.read_text().partition("\n")[2])
        code, out, err = ready.run(command=str(moved / "ota"))
        assert (code, out) == (7, "[] stand-in\n"), err
    kept = sorted(each.name for each in (moved / ".venv-ota").iterdir() if each.is_dir())
    assert kept == ["b" * 12, "c" * 12]


def test_a_package_that_does_not_match_its_hash_is_refused_and_nothing_half_made_is_used(tmp_path):
    checkout = Checkout(tmp_path / "checkout")
    _wheel(checkout.wheels, "msgspec", "msgspec", "EVIL = True\n")
    code, out, err = checkout.run()
    assert (code, out) == (1, "")
    assert "DO NOT MATCH THE HASHES" in err
    assert "  Next: see that pip reaches its package index" in err
    checkout.write_lock("d" * 12)
    assert checkout.run()[0] == 7


def _stub(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!{SH}\n{script}\n")
    (folder / name).chmod(0o755)


def test_an_older_python_is_refused_by_name(tmp_path):
    checkout = Checkout(tmp_path / "checkout")
    _stub(tmp_path / "bin", "python3", 'case $1 in --version) echo "Python 3.9.2";; *) exit 1;; esac')
    code, out, err = checkout.run(PATH=str(tmp_path / "bin"), OTA_PYTHON="")
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        "ota: Python 3.11 or newer is needed",
        "  Why:  python3 is Python 3.9.2",
        "  Next: install Python 3.11 or newer, or let OTA_PYTHON name one",
    ]


def test_no_python_at_all_is_refused(tmp_path):
    checkout = Checkout(tmp_path / "checkout")
    (tmp_path / "bin").mkdir()
    code, _, err = checkout.run(PATH=str(tmp_path / "bin"), OTA_PYTHON="")
    assert code == 1
    assert "  Why:  no python3 is on PATH" in err


def test_the_python_named_by_the_user_is_used_or_refused_never_replaced(tmp_path):
    checkout = Checkout(tmp_path / "checkout")
    code, _, err = checkout.run(OTA_PYTHON="/nowhere/python")
    assert code == 1
    assert (
        "OTA_PYTHON=/nowhere/python is not a working Python" in err.replace("\n", " ") or "not found" in err
    )
    assert "Next: let OTA_PYTHON name a Python 3.11 or newer, or unset it" in err


def test_a_newer_name_that_does_not_run_is_passed_over(tmp_path):
    checkout = Checkout(tmp_path / "checkout")
    _stub(tmp_path / "bin", "python3.14", "exit 127")
    _stub(tmp_path / "bin", "python3.11", f'exec "{sys.executable}" "$@"')
    code, out, err = checkout.run(PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin", OTA_PYTHON="")
    assert (code, out) == (7, "[] stand-in\n"), err


def test_a_python_without_ensurepip_is_refused_with_the_name_of_the_package(tmp_path):
    checkout = Checkout(tmp_path / "checkout")
    python = f'"{sys.executable}"'
    bare = "import sys, runpy; sys.modules['ensurepip'] = None; sys.argv = sys.argv[1:]; "
    bare += "runpy.run_path(sys.argv[0], run_name='__main__')"
    script = f'case $1 in -I) shift; exec {python} -c "{bare}" "$@";; *) exec {python} "$@";; esac'
    _stub(tmp_path / "bin", "python-bare", script)
    code, out, err = checkout.run(OTA_PYTHON=str(tmp_path / "bin" / "python-bare"))
    assert (code, out) == (1, "")
    assert "module `ensurepip` is missing" in err
    assert f"apt install python3.{sys.version_info.minor}-venv" in err


def test_a_checkout_that_cannot_be_written_is_refused(tmp_path):
    checkout = Checkout(tmp_path / "checkout")
    # A plain file in the way: permissions would not stop root, as whom tests run in many containers.
    (checkout.path / ".venv-ota").write_text("")
    code, out, err = checkout.run()
    assert (code, out) == (1, "")
    assert "cannot write to this checkout" in err
    assert f"Next: make {checkout.path} writable" in err


def test_a_damaged_lock_is_refused(tmp_path):
    checkout = Checkout(tmp_path / "checkout")
    (checkout.path / "requirements" / "runtime.lock").unlink()
    code, _, err = checkout.run()
    assert code == 1
    assert "requirements/runtime.lock is missing or damaged" in err


def test_a_killed_first_use_does_not_spoil_the_next(tmp_path):
    checkout = Checkout(tmp_path / "checkout")
    first = checkout.start()
    deadline = time.monotonic() + 60
    while not list((checkout.path / ".venv-ota").glob("*.partial/bin/python")):
        assert time.monotonic() < deadline
        assert first.poll() is None
    # The shell, the builder and its pip are all killed, as a closed terminal would.
    for process in [*psutil.Process(first.pid).children(recursive=True), psutil.Process(first.pid)]:
        process.kill()
    first.communicate()
    code, out, err = checkout.run()
    assert (code, out) == (7, "[] stand-in\n"), err


def test_locks_are_as_their_tool_wrote_them():
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "lock.py"), "--check"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
