"""Brings `.venv` to what `requirements/dev.lock` says: the tools that check and test this project.

They live apart from ota's own environment, because what is installed beside ota costs it start-up time
(msgspec, for one, imports `typing_extensions` when it finds it). An existing `.venv` is brought up to date,
never removed.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".venv"
LOCK = ROOT / "requirements" / "dev.lock"
STAMP = FOLDER / "ota-lock"


def main() -> int:
    python = str(FOLDER / "bin" / "python")
    wanted = LOCK.read_text(encoding="utf-8").partition("\n")[0]
    if os.access(python, os.X_OK) and STAMP.is_file() and STAMP.read_text(encoding="utf-8") == wanted:
        return 0
    if not os.access(python, os.X_OK):
        print("making .venv", flush=True)
        venv.create(FOLDER, with_pip=True, symlinks=True, clear=True)
    print("installing the development tools (hash-checked)", flush=True)
    pip = [python, "-I", "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]
    done = subprocess.run([*pip, "--require-hashes", "--no-deps", "-r", str(LOCK)])
    if done.returncode == 0:
        STAMP.write_text(wanted, encoding="utf-8")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
