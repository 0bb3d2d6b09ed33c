"""`ota execution topology`: what is declared, normalised. Nothing is resolved, reserved or probed.

Source: commands specification 6; json-and-receipts specification 3.11.
"""

from ota.cli.flags import Arguments
from ota.cli.render.style import Style
from ota.cli.session import Session
from ota.resolve.documents.topology import topology_document
from ota.system.host import observe_host


def run(arguments: Arguments, session: Session) -> int:
    """Show the declared topology."""
    document = topology_document(session.load_contract(arguments.path), observe_host())

    def text(style: Style) -> str:
        from ota.cli.render.execution_text import topology_text

        return topology_text(document, style)

    session.show(document, text)
    return 0
