"""What people see, compared with files that are reviewed as diffs.

`UPDATE_TRANSCRIPTS=1` writes them anew; the diff then says what changed for users.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from support.project import Project

FOLDER = Path(__file__).parent / "transcripts"
CONTRACTS = Path(__file__).parent / "contracts"


def contract(name: str) -> str:
    """A contract of this folder."""
    return (CONTRACTS / f"{name}.yaml").read_text(encoding="utf-8")


def assert_transcript(
    name: str, repo: Project, *commands: str, env: Mapping[str, str | None] | None = None
) -> None:
    """Run the commands one after another and compare everything they print with the transcript."""
    parts = []
    for command in commands:
        done = repo.run(*command.split(), env=env)
        parts.append(f"$ ota {command}\n{done.out}")
        if done.err:
            parts.append(f"--- standard error ---\n{done.err}")
        parts.append(f"[exit {done.code}]\n\n")
    seen = "".join(parts).replace(str(repo.path), "<repo>").rstrip("\n") + "\n"
    file = FOLDER / f"{name}.txt"
    if os.environ.get("UPDATE_TRANSCRIPTS"):
        file.write_text(seen, encoding="utf-8")
    assert seen == file.read_text(encoding="utf-8"), f"{file} differs; UPDATE_TRANSCRIPTS=1 writes it anew"
