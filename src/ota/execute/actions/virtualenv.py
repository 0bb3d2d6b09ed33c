"""`ensure_virtualenv`: one Python environment, made by uv, never replaced.

An environment holds absolute paths, so it cannot be made elsewhere and renamed: what an interrupt
leaves half made is removed again.

Source: contract specification 15.3 (`ensure_virtualenv`).
"""

import os
import re
from pathlib import Path, PurePath

from ota.contract.model.bodies import EnsureVirtualenv
from ota.execute.actions.children import Children
from ota.execute.actions.failure import failed
from ota.execute.actions.places import inner_target, remove_tree
from ota.system.files import read_bytes

_MARK = "pyvenv.cfg"
_VERSION = re.compile(r"^version(?:_info)?\s*=\s*(\d+(?:\.\d+)*)", re.MULTILINE)
_PLAIN_VERSION = re.compile(r"\d+(?:\.\d+)*")


def ensure_virtualenv(children: Children, part: EnsureVirtualenv) -> str:
    """Make the environment unless it is there.

    Raises:
        ActionFailedError: something else is in its place, or an environment that is not the wanted one.
        ChildEndedError: uv failed.
    """
    target = inner_target(children.root, part.path, part)
    if _is_there(target, part):
        return f"kept {part.path}"
    was_there = target.exists()
    python = ("--python", part.python) if part.python is not None else ()
    is_made = False
    try:
        children.run(("uv", "venv", *python, part.path), children.root)
        is_made = True
    finally:
        if not is_made:
            remove_tree(target, keep_itself=was_there)
    return f"created {part.path}"


def _is_there(target: Path, part: EnsureVirtualenv) -> bool:
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return False
    away = f"move `{part.path}` away, or remove it"
    if not PurePath(part.path).parts:
        away = "give the environment a folder of its own, such as `path: .venv`"
    if not (target / _MARK).is_file():
        raise failed(part, f"`{part.path}` exists and is no virtual environment", away)
    if not any(os.access(target / each, os.X_OK) for each in ("bin/python", "Scripts/python.exe")):
        raise failed(part, f"`{part.path}` has no working python: the one it was made with is gone", away)
    version = _VERSION.search(read_bytes(target / _MARK).decode("utf-8", "replace"))
    wanted = part.python
    if version is None or wanted is None or not _PLAIN_VERSION.fullmatch(wanted):
        return True
    if not f"{version[1]}.".startswith(f"{wanted}."):
        raise failed(part, f"`{part.path}` has Python {version[1]}, not {wanted}", away)
    return True
