"""`ota execution topology`: what is declared, normalised. Nothing is resolved, reserved or probed.

Source: commands specification 6; json-and-receipts specification 3.11.
"""

from ota.cli.flags import Arguments
from ota.cli.session import Session
from ota.resolve.documents.topology import topology_document
from ota.system.host import observe_host


def run(arguments: Arguments, session: Session) -> int:
    """Show the declared topology."""
    document = topology_document(session.load_contract(arguments.path), observe_host())
    if arguments.is_json:
        from ota.cli.render.json import print_document

        print_document(document, session.out)
        return 0
    from ota.cli.render.execution_text import topology_text

    print(topology_text(document, session.style_of(session.out)), file=session.out)
    return 0
