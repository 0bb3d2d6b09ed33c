"""Where a program is: the look-up on a given PATH, and nothing about what the program says.

Apart from `ota.requirements.probes`, because engines are looked up by runs that ask for no version.

Source: doctor specification 6.
"""

import os
from collections.abc import Mapping
from pathlib import Path

_FALLBACK_PATH = "/usr/local/bin:/usr/bin:/bin"


def find_executable(name: str, env: Mapping[str, str], cwd: Path, *, host_os: str = "linux") -> Path | None:
    """The first regular file on the PATH of `env` that may be executed; a name with a separator is a path.

    An empty entry of PATH is the working directory. On Windows the working directory comes first and the
    extensions of PATHEXT are tried.
    """
    is_windows = host_os == "windows"
    if not name or "\0" in name:
        return None
    if "/" in name or (is_windows and "\\" in name):
        folders = [cwd]
    else:
        entries = env.get("PATH", _FALLBACK_PATH).split(";" if is_windows else ":")
        folders = [cwd / entry for entry in entries if "\0" not in entry]
        if is_windows:
            folders.insert(0, cwd)
    names = _with_extensions(name, env) if is_windows else [name]
    candidates = (folder / candidate for folder in folders for candidate in names)
    return next((path for path in candidates if _is_executable(path)), None)


def _with_extensions(name: str, env: Mapping[str, str]) -> list[str]:
    extensions = [*env.get("PATHEXT", "").split(";"), ".CMD", ".COM", ".EXE", ".BAT"]
    has_extension = any(name.lower().endswith(ext.lower()) for ext in extensions if ext)
    return [name] if has_extension else [name + ext for ext in dict.fromkeys(filter(None, extensions))]


def _is_executable(path: Path) -> bool:
    try:
        return path.is_file() and os.access(path, os.X_OK)
    except OSError:
        return False
