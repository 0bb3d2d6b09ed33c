"""Whether git would pick up ota's local state, and the lines that keep it from doing so.

Looks and plans; writing is the command's. A folder without git has nothing to keep out.

Source: doctor specification 12; commands specification 4.3.
"""

from pathlib import Path

from msgspec import Struct

from ota.diagnose.scene import Scene
from ota.errors import Evidence, Finding, HostError
from ota.system.files import read_bytes

FILE = ".gitignore"
COMMENT = "# ota: local state and receipts"
_WANTED: tuple[tuple[str, tuple[str, ...]], ...] = tuple(
    (f"{folder}/", (folder, f"{folder}/", f"{folder}/*", f"{folder}/**"))
    for folder in (".ota/state", ".ota/receipts", ".ota/contracts")
)
_ALL = (".ota", ".ota/", ".ota/*", ".ota/**")


class Ignored(Struct, frozen=True, kw_only=True):
    """What `.gitignore` says about ota's files."""

    is_repository: bool
    exists: bool = False
    content: bytes = b""
    missing: tuple[str, ...] = ()
    """Rules to add."""
    trouble: str = ""
    """Why it cannot be read."""


def observe_ignored(root: Path) -> Ignored:
    """Read `.gitignore`; nothing is asked of git."""
    path = root / FILE
    exists = path.exists() or path.is_symlink()
    if not exists:
        is_repository = (root / ".git").exists()
        missing = tuple(rule for rule, _ in _WANTED) if is_repository else ()
        return Ignored(is_repository=is_repository, missing=missing)
    try:
        content = read_bytes(path)
    except HostError as error:
        return Ignored(is_repository=True, exists=True, trouble=error.findings[0].why)
    rules = {
        line.strip().lstrip("/").removeprefix("**/")
        for line in content.decode("utf-8", "replace").removeprefix("\ufeff").splitlines()
    }
    missing = tuple(rule for rule, spellings in _WANTED if not rules.intersection((*spellings, *_ALL)))
    return Ignored(is_repository=True, exists=True, content=content, missing=missing)


def with_rules(ignored: Ignored) -> bytes:
    """The file's content with the missing rules appended under one comment; nothing else changes."""
    newline = b"\r\n" if b"\r\n" in ignored.content else b"\n"
    gap = b"" if not ignored.content else newline if ignored.content.endswith(b"\n") else newline * 2
    return ignored.content + gap + added_block(ignored, newline)


def added_block(ignored: Ignored, newline: bytes = b"\n") -> bytes:
    """The lines that are added."""
    return b"".join(line.encode() + newline for line in (COMMENT, *ignored.missing))


def hygiene_findings(scene: Scene) -> tuple[Finding, ...]:
    """A warning when local state would be committed."""
    ignored = observe_ignored(scene.loaded.root)
    if ignored.trouble:
        return (
            Finding(
                code="OTA_REPO_HYGIENE_GITIGNORE_UNREADABLE",
                severity="warn",
                summary="`.gitignore` cannot be read",
                why=ignored.trouble,
                next=f"make `.gitignore` a readable file, then rerun `{scene.rerun}`",
                owner="host",
                evidence=Evidence(source="host", path=FILE),
            ),
        )
    if not ignored.missing:
        return ()
    listed = ", ".join(f"`{rule}`" for rule in ignored.missing)
    return (
        Finding(
            code="OTA_REPO_HYGIENE_OTA_STATE_GITIGNORE",
            severity="warn",
            summary="Repo local runtime state is not ignored by git",
            why=f"`.gitignore` has no rule for {listed}",
            next=f"`ota doctor{scene.target} --fix --dry-run` shows the lines to add, "
            f"`ota doctor{scene.target} --fix` adds them",
            evidence=Evidence(
                observed="not ignored", expected=", ".join(ignored.missing), source="host", path=FILE
            ),
        ),
    )
