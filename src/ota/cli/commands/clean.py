"""`ota clean`: remove what this repository owns on container engines, and nothing else.

Source: commands specification 13; runtime specification 21.
"""

from typing import TYPE_CHECKING

from ota.cli.flags import Arguments, usage_error
from ota.cli.session import Session
from ota.system.host import environ

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ota.backends.container.clean_report import CleanFailure

STALE = "--stale"


def run(arguments: Arguments, session: Session) -> int:
    """Clean one repository, or with `--stale` what is stopped of all; 1 when anything stood in the way."""
    return _stale(arguments, session) if arguments.has(STALE) else _repository(arguments, session)


def _repository(arguments: Arguments, session: Session) -> int:
    from ota.backends.container.cleaning import clean_repository
    from ota.backends.container.expected import expected_state
    from ota.backends.container.release import release_announced
    from ota.system.host import observe_host
    from ota.system.reconcile import reconcile

    loaded = session.load_contract(arguments.path)
    settled = reconcile(loaded.root, release=release_announced)
    cleaned = clean_repository(loaded.root, expected_state(loaded, observe_host()), environ())
    if arguments.is_json:
        from ota.backends.container.clean_document import clean_document
        from ota.cli.render.json import print_document

        print_document(clean_document(loaded.shown, cleaned), session.out)
    else:
        from ota.cli.render.clean_text import clean_text

        style = session.style_of(session.out)
        text = clean_text(style.target(loaded.shown), cleaned, settled.notes, style)
        if text:
            print(style.tamed(text), file=session.out)
        _print_failures(cleaned.failures, session)
    return 1 if cleaned.failures else 0


def _stale(arguments: Arguments, session: Session) -> int:
    from ota.backends.container.stale import clean_stale

    given = next((each for each in ("--file", "--member") if arguments.has(each)), None)
    given = "PATH" if arguments.path is not None else given
    if given is not None:
        raise usage_error(
            arguments.command,
            f"the argument '{STALE}' cannot be used with '{given}'",
            f"`{STALE}` is global: it looks at every repository's containers on every engine",
        )
    is_dry_run = arguments.has("--dry-run")
    cleaned = clean_stale(environ(), is_dry_run=is_dry_run)
    if arguments.is_json:
        from ota.backends.container.clean_document import stale_document
        from ota.cli.render.json import print_document

        print_document(stale_document(session.shown, cleaned, is_dry_run=is_dry_run), session.out)
    else:
        from ota.cli.render.clean_text import stale_text

        style = session.style_of(session.out)
        if cleaned.engines:
            print(style.tamed(stale_text(cleaned, style, is_dry_run=is_dry_run)), file=session.out)
        _print_failures(cleaned.failures, session)
    return 1 if cleaned.failures else 0


def _print_failures(failures: "Sequence[CleanFailure]", session: Session) -> None:
    if not failures:
        return
    from ota.cli.render.failure import failure_text

    style = session.style_of(session.err)
    findings = [failure.finding for failure in failures]
    print(style.tamed(failure_text(findings, style, follow=(), command="clean")), file=session.err)
