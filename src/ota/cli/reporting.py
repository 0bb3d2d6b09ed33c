"""Why a command has no result, told in the one way of every command.

What it is told with is `ota.cli.render.failure`'s; which exit code it comes to is `ota.cli.dispatch`'s.

Source: commands specification 1.8; json-and-receipts specification 1.3; decision D5.
"""

from ota.cli.flags import Arguments
from ota.cli.session import Session
from ota.errors import ContractError, ContractUnreadableError, OtaError, errors_among


def report(session: Session, arguments: Arguments, error: OtaError) -> None:
    """Tell why there is no result, in the one way of every command."""
    is_semantic = isinstance(error, ContractError) and not isinstance(error, ContractUnreadableError)
    if arguments.is_json:
        from ota.cli.render.failure import failure_document
        from ota.cli.render.json import print_document

        document = failure_document(session.shown, error.findings, is_semantic=is_semantic)
        if session.member is not None:
            document["member"] = session.member
        print_document(document, session.out)
        return
    from ota.cli.render.failure import failure_text

    has_file = isinstance(error, ContractError) and any(each.place is not None for each in error.findings)
    follow = session.rerun_lines() if has_file else ()
    command = arguments.command.name
    # advice on a contract that does not load anyway belongs to the command that checks contracts
    findings = error.findings if command == "validate" else errors_among(error.findings) or error.findings
    style = session.style_of(session.err)
    text = failure_text(findings, style, follow=follow, command=command)
    print(style.tamed(text), file=session.err)
