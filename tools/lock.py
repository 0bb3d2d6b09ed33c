"""Writes `requirements/<name>.lock` from `requirements/<name>.in`: exact versions, the hash of every file.

The first line of a lock carries a digest of the rest. The wrapper `./ota` names the environment after it, so
a changed lock leads to a new environment and an unchanged one costs a single line read. Needs `uv` on PATH.

    python tools/lock.py            write all locks
    python tools/lock.py --check    only compare each lock with its own first line (no network, no uv)
"""

import argparse
import hashlib
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "requirements"
MARK = "# lock "


def digest(body: str) -> str:
    """Twelve hexadecimal digits that name a lock's content."""
    return hashlib.sha256(body.encode()).hexdigest()[:12]


def is_intact(lock: Path) -> bool:
    """Whether the first line still describes the rest."""
    first, _, body = lock.read_text(encoding="utf-8").partition("\n")
    return first == MARK + digest(body)


def compile_lock(source: Path) -> str:
    """Resolve one `.in` file for every platform and every supported Python."""
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--upgrade"]
    options = ["--generate-hashes", "--no-annotate", "--no-header", "--no-emit-index-url"]
    done = subprocess.run([*command, *options, source.name], cwd=FOLDER, stdout=subprocess.PIPE, check=True)
    return done.stdout.decode()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare only")
    if parser.parse_args().check:
        broken = [lock.name for lock in sorted(FOLDER.glob("*.lock")) if not is_intact(lock)]
        for name in broken:
            print(f"requirements/{name} was edited by hand: run `python tools/lock.py`", file=sys.stderr)
        return 1 if broken else 0
    for source in sorted(FOLDER.glob("*.in")):
        body = compile_lock(source)
        source.with_suffix(".lock").write_text(f"{MARK}{digest(body)}\n{body}", encoding="utf-8")
        print(f"wrote requirements/{source.stem}.lock")
    return 0


if __name__ == "__main__":
    sys.exit(main())
