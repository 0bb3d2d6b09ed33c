"""Starts ota from the source beside this folder, in the environment that `bootstrap.py` made.

The interpreter is called with `-S`: `site` would spend a fifth of a bare interpreter's time on finding
the two folders that are named here. They come last, because most imports are the standard library's.
"""

import sys

# Plain text operations: `pathlib` would cost more than all of this file saves.
_environment = sys.executable.rpartition("/bin/")[0]
_packages = f"python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
_tools = __file__.rpartition("/")[0]
# Some distributions keep compiled packages in `lib64`.
sys.path += [f"{_environment}/lib/{_packages}", f"{_environment}/lib64/{_packages}", f"{_tools}/../src"]

import ota.__main__  # noqa: E402, F401  it runs the command line and ends the process
