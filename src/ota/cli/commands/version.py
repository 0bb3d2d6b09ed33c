"""`ota --version` and `ota version`.

The short form answers before anything else is imported: it is what people and programs time.

Source: commands specification 1.1; json-and-receipts specification 3.18; decisions D6, D16.
"""

import sys

from ota import CONTRACT_LEVEL, VERSION

TYPE_CHECKING = False  # see `ota.cli.main`
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ota.cli.flags import Arguments
    from ota.cli.session import Session


def show(tokens: "Sequence[str]") -> int:
    """`ota --version`: one line on standard output."""
    if "--json" in tokens:
        from ota.cli.render.json import print_document

        print_document(version_document(), sys.stdout)
    else:
        print(_line(has_icon="--plain" not in tokens and _is_rich()))
    return 0


def run(arguments: "Arguments", session: "Session") -> int:
    """`ota version`: the same line, and which contracts this build understands."""
    if arguments.is_json:
        return show(("--json",))
    style = session.style_of(session.out)
    print(_line(has_icon=style.is_rich), file=session.out)
    print(f"{style.label('Contract level')} {CONTRACT_LEVEL}", file=session.out)
    return 0


def version_document() -> dict[str, object]:
    """The document of `--version --json`."""
    checkout = _checkout()
    return {
        "ok": True,
        "semver": VERSION,
        "version": f"v{VERSION}",
        "source_build": checkout is not None,
        "commit": _commit(checkout) if checkout is not None else None,
        "dirty": False,
        "schema_version": 1,
        "contract_level": CONTRACT_LEVEL,
        "contract_capabilities": [{"id": "contract", "introduced_in": CONTRACT_LEVEL}],
    }


def _line(*, has_icon: bool) -> str:
    return f"🦦 v{VERSION}" if has_icon else f"v{VERSION}"


def _is_rich() -> bool:
    """As `Style` decides, without its imports unless there is a terminal to ask about."""
    if not sys.stdout.isatty():
        return False
    from ota.cli.render.style import Style

    return Style.for_stream(sys.stdout, is_plain=False, is_concise=False).is_rich


def _checkout() -> "Path | None":
    """The checkout this code runs from; None when it was installed."""
    from pathlib import Path

    root = Path(__file__).resolve().parents[4]
    return root if (root / "pyproject.toml").is_file() and (root / "src" / "ota").is_dir() else None


def _commit(root: "Path") -> str | None:
    """The commit a checkout is at, read from git's own files; None when they do not say."""
    try:
        head = (root / ".git" / "HEAD").read_text(encoding="ascii").strip()
        if not head.startswith("ref: "):
            return head or None
        name = head[len("ref: ") :]
        loose = root / ".git" / name
        if loose.is_file():
            return loose.read_text(encoding="ascii").strip() or None
        packed = (root / ".git" / "packed-refs").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    return next((line.split(" ")[0] for line in packed.splitlines() if line.endswith(f" {name}")), None)
