"""`ota validate`: is the contract right? Nothing is run, nothing is probed.

A wrong contract is reported by `ota.cli.reporting`, in the same words for every command.

Source: commands specification 10; json-and-receipts specification 3.1.
"""

from ota.cli.flags import Arguments
from ota.cli.session import Session
from ota.contract.load import Loaded


def run(arguments: Arguments, session: Session) -> int:
    """Load the contract; what loads is valid, once those it names are there."""
    loaded = session.load_contract(arguments.path)
    loaded.require_reach()
    if arguments.is_json:
        _print_json(loaded, session)
    else:
        _print_text(loaded, session, arguments)
    return 0


def _print_json(loaded: Loaded, session: Session) -> None:
    from ota.cli.render.failure import warning_lines
    from ota.cli.render.json import print_document

    warnings = warning_lines(loaded.warnings)
    document: dict[str, object] = {
        "ok": True,
        "path": loaded.shown,
        "summary": {"error_count": 0, "warn_count": len(warnings)},
    }
    if warnings:
        document["warnings"] = warnings
    print_document(document, session.out)


def _print_text(loaded: Loaded, session: Session, arguments: Arguments) -> None:
    from ota.cli.render.failure import count_line, finding_text

    style = session.style_of(session.out)
    blocks = [style.header("VALIDATE", loaded.shown), style.good("VALID")]
    blocks += [finding_text(finding, style) for finding in loaded.warnings]
    if loaded.warnings:
        blocks.append(count_line(loaded.warnings))
    target = session.target(arguments.path)
    follow = [f"`ota tasks --use{target}`", f"`ota execution plan{target}`"]
    blocks.append("\n".join([style.label("Next"), *(f"{style.bullet} {line}" for line in follow)]))
    print(style.tamed(("\n" if style.is_concise else "\n\n").join(blocks)), file=session.out)
